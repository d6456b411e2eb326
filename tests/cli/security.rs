//! GSI: with a credential, and with everything that is not one.

use std::fs;
use std::path::Path;

use gridftp_lab::{Pki, Server, sha256_file, write_random};

use crate::support::{Outcome, command, folder, names, text};

fn copy_as(env: &[(&'static str, std::path::PathBuf)], args: &[&str]) -> Outcome {
    Outcome::of(command(args).envs(env.iter().cloned()).output().unwrap())
}

#[test]
fn with_a_proxy_or_a_certificate_it_copies_both_ways() {
    let pki = Pki::new();
    let server = Server::gsi(&pki).start();
    let local = folder();
    let original = local.path().join("original");
    let hash = write_random(&original, 1, 3_000_001).unwrap();
    let mut certificate = pki.env();
    certificate.retain(|(name, _)| *name != "X509_USER_PROXY");
    let ways = [&[][..], &["-p", "4"], &["-nodcau"], &["-dcpriv"], &["-dcsafe", "-fast"]];
    let limited = pki.env_with_proxy(&pki.limited_proxy());
    for (env, ways) in [(pki.env(), &ways[..]), (certificate, &ways[..1]), (limited, &ways[3..4])] {
        for way in ways {
            let back = local.path().join("back");
            copy_as(&env, &[way, &[text(&original), server.url("there").as_str()][..]].concat()).succeeded();
            copy_as(&env, &[way, &[server.url("there").as_str(), text(&back)][..]].concat()).succeeded();
            assert_eq!(sha256_file(&back).unwrap(), hash, "{way:?} {env:?}");
            fs::remove_file(back).unwrap();
        }
    }
    assert_eq!(names(&server.dir()), ["there"]);
}

#[test]
fn without_a_good_credential_it_is_5() {
    let pki = Pki::new();
    let server = Server::gsi(&pki).start();
    let local = folder();
    let (url, to) = (server.url("f"), local.path().join("copy"));
    fs::write(server.dir().join("f"), "x").unwrap();
    let run = |env: Vec<(&'static str, std::path::PathBuf)>| copy_as(&env, &[url.as_str(), text(&to)]);
    run(pki.env_without_credential()).failed(5, &["no-proxy", "reading the credential"]);
    run(pki.env_with_proxy(&pki.expired_proxy())).failed(5, &["expired", "will not help"]);
    run(pki.env_with_proxy(&pki.untrusted_proxy())).failed(5, &[]);
    run(pki.env_with_proxy(Path::new("/dev/null"))).failed(5, &["/dev/null"]);
    // The server is the one that cannot be believed.
    let mut other_ca = pki.env();
    other_ca.retain(|(name, _)| *name != "X509_CERT_DIR");
    other_ca.push(("X509_CERT_DIR", pki.untrusted_ca_dir()));
    run(other_ca).failed(5, &[]);
    assert_eq!(names(local.path()), [""; 0]);
}

#[test]
fn a_wrong_host_is_5_unless_its_name_is_what_was_asked_for() {
    let pki = Pki::new();
    let server = Server::gsi(&pki).host_certificate(&pki.wrong_host_cert(), &pki.wrong_host_key()).start();
    let local = folder();
    let to = local.path().join("copy");
    fs::write(server.dir().join("f"), "x").unwrap();
    let run = |flags: &[&str], from: &str, to: &str| copy_as(&pki.env(), &[flags, &[from, to]].concat());
    let url = server.url("f");
    run(&[], &url, text(&to)).failed(5, &["logging in"]);
    let name = "/O=Lab/CN=elsewhere.example";
    run(&["-s", name], &url, text(&to)).succeeded();
    run(&["-ss", name], &url, text(&to)).succeeded();
    run(&["-ds", name], text(&to), &server.url("g")).succeeded();
    run(&["-s", "/O=Lab/CN=other"], &url, text(&to)).failed(5, &[]);
    run(&["-ds", name], &url, text(&to)).failed(5, &["(source"]);
    assert_eq!(names(local.path()), ["copy"]);
}

#[test]
fn protection_that_cannot_be_had_is_refused() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("f"), "x").unwrap();
    let outcome = copy_as(&[], &["-dcpriv", server.url("f").as_str(), "/dev/null"]);
    outcome.failed(11, &["gsiftp"]);
}
