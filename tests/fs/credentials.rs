//! `cred`, and GSI servers.

use std::fs;

use gridftp_lab::{Pki, PlainServer, Server};

use crate::support::run_as;

#[test]
fn the_credential_that_would_be_used_is_shown() {
    let pki = Pki::new();
    let outcome = run_as(&pki.env(), &["cred"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.text().contains(&format!("file  {}", pki.proxy().display())), "{}", outcome.text());
    assert!(outcome.text().contains(&format!("identity  {}", pki.user_subject())));
    let object = &run_as(&pki.env(), &["cred", "--json", "-q"]).succeeded().json()[0];
    assert_eq!((&object["kind"], &object["valid"]), (&"proxy".into(), &true.into()));
    assert!(object["key_bits"].as_u64().unwrap() >= 1024 && object["seconds_left"].as_u64().unwrap() > 0);
    // The one that is named goes before the one that would be found.
    let limited = pki.limited_proxy();
    let object =
        &run_as(&pki.env(), &["cred", "--json", "-q", "--cred", limited.to_str().unwrap()]).json()[0];
    assert_eq!(
        (&object["kind"], &object["file"]),
        (&"limited proxy".into(), &limited.to_str().unwrap().into())
    );
}

#[test]
fn none_or_an_expired_one_is_5() {
    let pki = Pki::new();
    run_as(&pki.env_without_credential(), &["cred"]).failed(5, &["no-proxy"]);
    let expired = pki.expired_proxy();
    let outcome = run_as(&pki.env(), &["cred", "--cred", expired.to_str().unwrap()]).failed(5, &["expired"]);
    assert!(outcome.text().contains("expired on 20"), "{}", outcome.text());
    let outcome = run_as(&pki.env_with_proxy(&expired), &["cred", "--json"]).failed(5, &[]);
    assert_eq!(outcome.json()[0]["valid"], false);
    run_as(&pki.env(), &["cred", "--cred", "/no/such/file"]).failed(5, &["/no/such/file"]);
}

#[test]
fn with_a_credential_gsi_servers_are_used() {
    let pki = Pki::new();
    let server = Server::gsi(&pki).start();
    fs::write(server.dir().join("f"), "x").unwrap();
    let url = server.url("");
    assert_eq!(run_as(&pki.env(), &["ls", &url]).succeeded().text(), "f\n");
    let proxy = pki.proxy();
    let named = ["ls", &url, "--cred", proxy.to_str().unwrap()];
    assert_eq!(run_as(&pki.env_without_credential(), &named).succeeded().text(), "f\n");
    run_as(&pki.env_without_credential(), &["ls", &url]).failed(5, &["no-proxy"]);
    run_as(&pki.env_with_proxy(&pki.expired_proxy()), &["ls", &url]).failed(5, &["expired"]);
    run_as(&pki.env(), &["ls", "--subject", "/O=Lab/CN=other", &url]).failed(5, &[]);
}

#[test]
fn a_server_with_another_name_needs_a_subject() {
    let pki = Pki::new();
    let server = Server::gsi(&pki).host_certificate(&pki.wrong_host_cert(), &pki.wrong_host_key()).start();
    run_as(&pki.env(), &["ls", &server.url("")]).failed(5, &["logging in"]);
    run_as(&pki.env(), &["ls", "--subject", "/O=Lab/CN=elsewhere.example", &server.url("")]).silent();
}

#[test]
fn a_password_is_never_shown() {
    let server = PlainServer::with_password("ada").start();
    fs::write(server.dir().join("f"), "x").unwrap();
    for verb in [
        &["ls", "--json"][..],
        &["ls", "-R"],
        &["stat"],
        &["find"],
        &["du"],
        &["sum"],
        &["features"],
        &["doctor"],
    ] {
        let outcome = run_as(&[], &[verb, &["--dbg", server.url("/").as_str()]].concat());
        let all = format!("{}{}", outcome.text(), outcome.stderr);
        assert!(all.contains("ada") && !all.contains(server.password()), "{verb:?} {all}");
    }
    run_as(&[], &["ls", &server.url("/").replace(server.password(), "wrong")]).failed(5, &["530"]);
}
