//! What the tests have in common.

use std::process::Command;
use std::time::Duration;

use gridftp::options::{Timeouts, TransferMode};
use gridftp::{Client, ClientBuilder, Credential};
use gridftp_lab::{Pki, Server};
use rustix::process::{Pid, Signal};

/// Every way a file can go: stream mode, and extended block mode with one and several connections.
pub(crate) const WAYS: [(TransferMode, u16); 3] =
    [(TransferMode::Stream, 1), (TransferMode::ExtendedBlock, 1), (TransferMode::ExtendedBlock, 4)];

/// Limits that make a hang a quick failure.
pub(crate) fn short() -> Timeouts {
    let limit = Duration::from_secs(20);
    Timeouts::default().connect(limit).reply(limit).first_byte(limit).stall(limit)
}

/// A builder with [`short`] limits.
pub(crate) fn builder() -> ClientBuilder {
    Client::builder().timeouts(short())
}

/// A client for anonymous servers.
pub(crate) fn anonymous() -> Client {
    builder().build().unwrap()
}

/// A client with the lab's proxy.
pub(crate) fn with_proxy(pki: &Pki) -> Client {
    builder().credential(Credential::from_proxy_file(pki.proxy())).build().unwrap()
}

const TRUST: &str = "GRIDFTP_TEST_TRUST";

/// Runs `body` in a process of its own that trusts a fresh CA.
///
/// The C library finds trusted certificates by the environment only, and a running process must not change its own: so the
/// test starts itself again, as `test`, with `X509_CERT_DIR` set to a name that the child makes a link to its CA.
pub(crate) fn trusting<F: Future<Output = ()>>(test: &str, body: impl FnOnce(Pki) -> F) {
    if let Some(link) = std::env::var_os(TRUST) {
        let pki = Pki::new();
        std::os::unix::fs::symlink(pki.ca_dir(), link).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(body(pki));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("certificates");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(TRUST, &link)
        .env("X509_CERT_DIR", &link)
        .env("X509_USER_PROXY", folder.path().join("no-proxy"))
        .env("HOME", folder.path())
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in its own process: {status}");
    assert!(link.symlink_metadata().is_ok(), "{test} did not run: is its name right?");
}

/// Waits for a condition, with a limit.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(tokio::time::Instant::now() < limit, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Descriptors that this process has open.
pub(crate) fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Sends a signal to every process of a server, and tells how many there are.
pub(crate) fn signal_all(server: &Server, signal: Signal) -> usize {
    signal_each(server.processes(), signal)
}

/// Sends a signal to the process of each connection to a server, but not to the one that listens.
pub(crate) fn signal_sessions(server: &Server, signal: Signal) -> usize {
    signal_each(server.processes().into_iter().filter(|&pid| pid != server.pid()), signal)
}

fn signal_each(processes: impl IntoIterator<Item = u32>, signal: Signal) -> usize {
    let signal_one = |pid| {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        // One that has just ended by itself is as good.
        let _ = rustix::process::kill_process(pid, signal);
    };
    processes.into_iter().map(signal_one).count()
}
