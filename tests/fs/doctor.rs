//! `doctor`, `features`, `df`: about servers that work, and those that do not.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use gridftp_lab::{Pki, PlainServer, RefusedPort, Server};
use serde_json::Value;

use crate::support::{Outcome, names_in, run, run_as};

/// What has come of each step, in order.
fn statuses(outcome: &Outcome) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(outcome.text()).unwrap();
    assert_eq!(report["exit_code"], outcome.code);
    assert_eq!(report["ok"], outcome.code == 0);
    let steps = report["steps"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    steps.map(|step| (text(&step["name"]), text(&step["status"]))).collect()
}

#[track_caller]
fn check(outcome: &Outcome, code: i32, expected: &[(&str, &str)]) {
    assert_eq!((outcome.code, outcome.stderr.as_str()), (code, ""), "{}", outcome.text());
    let found = statuses(outcome);
    let found: Vec<(&str, &str)> =
        found.iter().map(|(name, status)| (name.as_str(), status.as_str())).collect();
    assert_eq!(found, expected, "{}", outcome.text());
}

#[test]
fn a_good_server_is_good() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("f"), vec![7; 100_000]).unwrap();
    let outcome = run(&["doctor", "--write", &server.url("f")]).succeeded();
    let lines = outcome.lines();
    assert_eq!(lines.len(), 12, "{lines:?}");
    for (line, words) in [
        (0, "is an address"),
        (1, "ms"),
        (2, "220"),
        (3, "ftp needs none"),
        (5, "logged in"),
        (6, "CKSM (MD5"),
        (7, "1 entries"),
        (8, "a file of 100000 bytes, first 65536 bytes at"),
        (9, "stored, read and removed"),
        (11, "Nothing is wrong"),
    ] {
        assert!(lines[line].contains(words), "{}", lines[line]);
    }
    assert!(!outcome.text().contains('\x1b'));
    assert_eq!(names_in(&server.dir()), ["f"]);
}

#[test]
fn a_good_gsi_server_is_good() {
    let pki = Pki::new();
    let server = Server::gsi(&pki).start();
    let outcome = run_as(&pki.env(), &["doctor", "--json", "--write", &server.url("")]);
    let statuses = statuses(&outcome);
    assert_eq!(outcome.code, 0);
    assert!(statuses.iter().all(|(_, status)| status == "ok" || status == "warn"), "{}", outcome.text());
    assert_eq!(statuses.len(), 10);
}

const NO_CONNECTION: [(&str, &str); 7] = [
    ("greeting", "skipped"),
    ("credential", "skipped"),
    ("trust", "skipped"),
    ("login", "skipped"),
    ("features", "skipped"),
    ("data", "skipped"),
    ("file", "skipped"),
];

#[test]
fn a_closed_port_is_told() {
    let port = RefusedPort::new();
    let url = format!("ftp://127.0.0.1:{}/", port.port());
    let outcome = run(&["doctor", "--json", &url]);
    check(&outcome, 6, &[&[("name", "ok"), ("port", "fail")][..], &NO_CONNECTION].concat());
    let outcome = run(&["doctor", &url]);
    assert!(outcome.text().contains("nothing listens on that port"), "{}", outcome.text());
}

#[test]
fn an_unknown_host_is_told() {
    let outcome = run(&["doctor", "--json", "ftp://no-such-host.invalid/"]);
    check(&outcome, 6, &[&[("name", "fail"), ("port", "skipped")][..], &NO_CONNECTION].concat());
    assert!(outcome.text().contains("has no address"));
}

#[test]
fn a_mute_server_is_told_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ftp://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let begun = Instant::now();
    let outcome = run(&["doctor", "--json", "--timeout", "1s", &url]);
    assert!(begun.elapsed() < Duration::from_secs(5));
    let mut steps = NO_CONNECTION;
    steps[0] = ("greeting", "fail");
    check(&outcome, 7, &[&[("name", "ok"), ("port", "ok")][..], &steps].concat());
    assert!(outcome.text().contains("says nothing within 1s"));
}

#[test]
fn something_else_than_a_server_is_told() {
    use std::io::Write as _;
    let answers: [(&[u8], i32, &str); 3] = [
        (b"SSH-2.0-OpenSSH_9.9\x1b[2J\r\n", 11, "SSH server"),
        (b"421 too many\r\n", 13, "no room"),
        (b"", 6, "without a word"),
    ];
    for (answer, code, words) in answers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ftp://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        std::thread::scope(|scope| {
            scope.spawn(|| drop(listener.accept().unwrap().0.write_all(answer)));
            let outcome = run(&["doctor", &url]);
            assert_eq!(outcome.code, code, "{}", outcome.text());
            assert!(outcome.text().contains(words) && !outcome.text().contains('\x1b'), "{}", outcome.text());
        });
    }
}

#[test]
fn without_a_credential_gsi_has_no_login() {
    let pki = Pki::new();
    let server = Server::gsi(&pki).start();
    let env = pki.env_without_credential();
    let outcome = run_as(&env, &["doctor", "--json", &server.url("")]);
    let expected = [
        ("name", "ok"),
        ("port", "ok"),
        ("greeting", "ok"),
        ("credential", "fail"),
        ("trust", "ok"),
        ("login", "skipped"),
        ("features", "skipped"),
        ("data", "skipped"),
        ("file", "skipped"),
    ];
    // `localhost` may have an address that nobody listens at.
    let found = statuses(&outcome);
    for ((name, status), (wanted, good)) in found.iter().zip(expected) {
        assert_eq!(name, wanted);
        assert!(status == good || (name == "port" && status == "warn"), "{}", outcome.text());
    }
    assert_eq!((outcome.code, found.len()), (5, expected.len()));
    assert!(outcome.text().contains("grid-proxy-init"));
}

#[test]
fn reasons_of_failed_logins_lead_to_advice() {
    let pki = Pki::new();
    let server = Server::gsi(&pki).start();
    let told = |env: &[(&'static str, std::path::PathBuf)], url: &str, words: &[&str]| {
        let outcome = run_as(env, &["doctor", url]);
        assert_eq!(outcome.code, 5, "{}", outcome.text());
        for word in words {
            assert!(outcome.text().contains(word), "{word:?} is not in: {}", outcome.text());
        }
    };
    let url = server.url("");
    told(&pki.env_with_proxy(&pki.expired_proxy()), &url, &["expired on", "make another proxy"]);
    let with_trust = |folder: std::path::PathBuf| {
        let mut env = pki.env();
        env.retain(|(name, _)| *name != "X509_CERT_DIR");
        env.push(("X509_CERT_DIR", folder));
        env
    };
    told(&with_trust(pki.untrusted_ca_dir()), &url, &["FAIL", "login", "authority is not trusted"]);
    told(&with_trust("/no/such/folder".into()), &url, &["/no/such/folder (X509_CERT_DIR)", "install"]);
    let other = Server::gsi(&pki).host_certificate(&pki.wrong_host_cert(), &pki.wrong_host_key()).start();
    told(&pki.env(), &other.url(""), &["--subject"]);
}

#[test]
fn a_missing_signing_policy_is_a_warning() {
    let pki = Pki::new();
    let server = Server::gsi(&pki).start();
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(pki.ca_dir()).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_str().unwrap().ends_with("signing_policy") {
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    let mut env = pki.env();
    env.retain(|(name, _)| *name != "X509_CERT_DIR");
    env.push(("X509_CERT_DIR", folder.path().to_owned()));
    let outcome = run_as(&env, &["doctor", "--json", &server.url("")]);
    let trust = &statuses(&outcome)[4];
    assert_eq!((trust.0.as_str(), trust.1.as_str()), ("trust", "warn"), "{}", outcome.text());
    assert!(outcome.text().contains("no signing_policy"));
}

#[test]
fn what_is_missing_or_closed_is_told() {
    let server = Server::anonymous().start();
    let outcome = run(&["doctor", &server.url("missing")]);
    assert_eq!(outcome.code, 3);
    assert!(outcome.text().contains("the server works; there is nothing of that name"), "{}", outcome.text());
    let closed = PlainServer::anonymous().read_only().start();
    let outcome = run(&["doctor", "--write", &closed.url("/")]);
    assert_ne!(outcome.code, 0);
    let write = outcome.lines().into_iter().find(|line| line.contains("write")).unwrap().to_owned();
    assert!(write.starts_with("FAIL"), "{write}");
}

#[test]
fn features_are_shown() {
    let server = Server::anonymous().start();
    let outcome = run(&["features", &server.url("")]).succeeded();
    assert!(outcome.lines().contains(&"REST STREAM") && outcome.lines().contains(&"PARALLEL"));
    let object = &run(&["features", "--json", &server.url("")]).succeeded().json()[0];
    assert!(object["checksums"].as_array().unwrap().contains(&"ADLER32".into()));
    assert!(object["features"].as_array().unwrap().iter().any(|feature| feature["name"] == "MLST"));
    let port = RefusedPort::new();
    run(&["features", &format!("ftp://127.0.0.1:{}/", port.port())]).failed(6, &["connecting"]);
}

#[test]
fn df_makes_nothing_up() {
    let server = Server::anonymous().start();
    let outcome = run(&["df", &server.url("")]).failed(11, &["does not tell"]);
    assert_eq!(outcome.stdout, b"");
    run(&["df", &server.url("missing")]).failed(3, &["missing"]);
}
