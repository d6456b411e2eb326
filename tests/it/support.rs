//! What the tests have in common.

use std::time::Duration;

use gridftp::{Client, Credential};
use gridftp::options::Timeouts;
use gridftp_lab::{Pki, Server};

/// Limits that make a hang a quick failure.
pub fn short() -> Timeouts {
    let limit = Duration::from_secs(20);
    Timeouts::default().connect(limit).reply(limit).first_byte(limit).stall(limit)
}

/// A client for anonymous servers.
pub fn anonymous() -> Client {
    Client::builder().timeouts(short()).build().unwrap()
}

/// A GSI server, and a client that may use it. `X509_CERT_DIR` is read from the environment by the C library only, so a
/// test that needs it runs in a process of its own (nextest) and sets it through [`trust`].
pub fn gsi(pki: &Pki) -> (Server, Client) {
    let server = Server::gsi(pki).start();
    let client =
        Client::builder().credential(Credential::from_proxy_file(pki.proxy())).timeouts(short()).build().unwrap();
    (server, client)
}
