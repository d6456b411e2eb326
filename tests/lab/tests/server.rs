//! The lab itself, tried with the Globus Toolkit's own client.
#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

use gridftp_lab::{Pki, Server, Tree, packages, random_bytes};

/// One file through globus-url-copy, with this environment on top of an empty one.
fn url_copy<K: AsRef<std::ffi::OsStr>, V: AsRef<std::ffi::OsStr>>(
    env: impl IntoIterator<Item = (K, V)>,
    args: &[&str],
) -> Output {
    let program = packages::URL_COPY.program().unwrap();
    Command::new("timeout")
        .arg("30")
        .arg(program)
        .args(args)
        .env_remove("X509_USER_PROXY")
        .envs(env)
        .output()
        .unwrap()
}

const NO_ENV: [(&str, &str); 0] = [];

fn assert_ok(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

fn file_url(path: &Path) -> String {
    format!("file://{}", path.display())
}

#[test]
fn an_anonymous_server_gives_and_takes_files_unchanged() {
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let tree = Tree::create(server.dir(), 1, [("a file", 1_000_001), ("sub/b", 0)]).unwrap();
    fs::create_dir(here.path().join("sub")).unwrap();
    for file in &tree.files {
        let to = file_url(&here.path().join(&file.path)).replace(' ', "%20");
        assert_ok(&url_copy(NO_ENV, &[&server.url(&file.path), &to]));
    }
    assert_eq!(tree.differences(here.path()), Vec::<String>::new());

    let from = file_url(&here.path().join("sub/b"));
    assert_ok(&url_copy(NO_ENV, &[&from, &server.url("put back")]));
    assert_eq!(fs::read(server.dir().join("put back")).unwrap(), b"");
    assert!(server.log().contains("Server started in daemon mode"), "{}", server.log());
}

#[test]
fn a_gsi_server_lets_in_whom_it_should_and_nobody_else() {
    let pki = Pki::new();
    let server = Server::gsi(&pki).start();
    let here = tempfile::tempdir().unwrap();
    fs::write(server.dir().join("f"), random_bytes(3, 100_000)).unwrap();
    let to = here.path().join("f");
    let get = |env: Vec<(&'static str, std::path::PathBuf)>| {
        let _ = fs::remove_file(&to);
        url_copy(env, &[&server.url("f"), &file_url(&to)])
    };
    assert_ok(&get(pki.env()));
    assert_eq!(fs::read(&to).unwrap(), random_bytes(3, 100_000));
    assert_ok(&get(pki.env_with_proxy(&pki.limited_proxy())));

    // Each of these must fail for its own reason, or the tests of the errors would test nothing.
    let refused = |env, why: &str| {
        let output = get(env);
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(
            !output.status.success() && said.contains(why),
            "wanted {why:?}, got {}: {said}",
            output.status
        );
    };
    refused(pki.env_with_proxy(&pki.expired_proxy()), "expired");
    refused(pki.env_with_proxy(&pki.untrusted_proxy()), "530");
    refused(pki.env_without_credential(), "credential");
    let mut env = pki.env();
    env[0].1 = pki.untrusted_ca_dir();
    refused(env, "certificate");
}

#[test]
fn a_wrong_host_certificate_is_noticed_by_the_client() {
    let pki = Pki::new();
    let server = Server::gsi(&pki).host_certificate(&pki.wrong_host_cert(), &pki.wrong_host_key()).start();
    fs::write(server.dir().join("f"), "x").unwrap();
    let here = tempfile::tempdir().unwrap();
    let output = url_copy(pki.env(), &[&server.url("f"), &file_url(&here.path().join("f"))]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("elsewhere.example"), "{said}");
}

#[test]
fn the_machines_name_is_in_the_host_certificate_too() {
    let pki = Pki::new();
    let text = Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(pki.host_cert())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    let host = Command::new("uname").arg("-n").output().unwrap();
    let host = String::from_utf8_lossy(&host.stdout).trim().to_owned();
    assert!(text.contains("DNS:localhost"), "{text}");
    assert!(text.contains(&format!("DNS:{host}")), "{text}");
}

#[test]
fn a_password_lets_in_and_a_wrong_one_does_not() {
    let server = Server::with_password("lab").start();
    fs::write(server.dir().join("f"), "for lab only").unwrap();
    let here = tempfile::tempdir().unwrap();
    let to = here.path().join("f");
    assert_ok(&url_copy(NO_ENV, &[&server.url("f"), &file_url(&to)]));
    assert_eq!(fs::read_to_string(&to).unwrap(), "for lab only");
    let wrong = server.url("f").replace(server.password(), "wrong");
    let output = url_copy(NO_ENV, &[&wrong, &file_url(&to)]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("530"), "{output:?}");
}

#[test]
fn striped_servers_move_bytes_through_their_nodes() {
    let pki = Pki::new();
    let here = tempfile::tempdir().unwrap();
    let from = here.path().join("from");
    let to = here.path().join("to");
    fs::write(&from, random_bytes(5, 5_000_000)).unwrap();
    for server in [Server::anonymous().striped(2).start(), Server::gsi(&pki).striped(2).start()] {
        assert_ok(&url_copy(pki.env(), &["-stripe", &file_url(&from), &server.url("f")]));
        assert_eq!(fs::read(server.dir().join("f")).unwrap(), random_bytes(5, 5_000_000));
        assert_ok(&url_copy(pki.env(), &["-stripe", &server.url("f"), &file_url(&to)]));
        assert_eq!(fs::read(&to).unwrap(), random_bytes(5, 5_000_000));
    }
}

#[test]
fn a_dropped_server_is_gone_with_its_connections_and_its_folder() {
    let server = Server::anonymous().start();
    let (pid, port, dir) = (server.pid(), server.port(), server.dir());
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // The greeting comes from the child forked for this connection.
    let mut greeting = [0; 3];
    std::io::Read::read_exact(&mut connection, &mut greeting).unwrap();
    assert_eq!(&greeting, b"220");
    assert_eq!(server.processes().len(), 2, "{:?}", server.processes());
    drop(server);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!dir.exists());
    // Closed from the other side, whatever was still on its way.
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut connection, &mut rest);
}

#[test]
fn a_server_that_cannot_start_tells_why() {
    let error = Server::anonymous().arg("-no-such-option").try_start().unwrap_err().to_string();
    assert!(error.contains("ended at once"), "{error}");
    assert!(error.contains("-no-such-option"), "{error}");
}

#[test]
fn a_fixed_port_is_used() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let server = Server::anonymous().port(port).start();
    assert_eq!(server.port(), port);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
}

#[test]
fn a_confined_server_shows_its_own_folder_only() {
    let server = Server::anonymous().confined().start();
    fs::write(server.dir().join("f"), "inside").unwrap();
    let here = tempfile::tempdir().unwrap();
    let to = here.path().join("f");
    assert_ok(&url_copy(NO_ENV, &[&server.url("f"), &file_url(&to)]));
    assert_eq!(fs::read_to_string(&to).unwrap(), "inside");
    let output = url_copy(NO_ENV, &[&server.url("/etc/hostname"), &file_url(&to)]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("Path not allowed"), "{output:?}");
}
