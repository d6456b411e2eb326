//! A process may end at any moment, whatever the engine is doing: with its own exit code, not with a signal.

use std::process::Command;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use gridftp::options::TransferMode;
use gridftp::{Client, Credential, Get};
use gridftp_lab::{Pki, Server};
use tokio::runtime::Runtime;

use crate::support::{anonymous, write_pages};

/// What is in here is never dropped.
static KEPT: Mutex<Option<(Get, Client, Runtime)>> = Mutex::new(None);

const STEP: &str = "GRIDFTP_TEST_STEP";
const URL: &str = "GRIDFTP_TEST_URL";

/// Runs the same test in new processes, which find the number of their step in the environment.
fn in_processes(test: &str, steps: u64, url: &str) {
    for step in 0..steps {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads", "1"])
            .env(STEP, step.to_string())
            .env(URL, url)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "step {step}: {}: {said}", output.status);
        assert!(said.contains("1 passed"), "{test} did not run: is its name right? {said}");
    }
}

fn step() -> Option<u64> {
    std::env::var(STEP).ok()?.parse().ok()
}

#[test]
fn while_the_engine_is_starting() {
    let Some(step) = step() else {
        return in_processes("ending::while_the_engine_is_starting", 60, "");
    };
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(gridftp::init().is_ok()));
    // A little later each time, until it has started.
    if let Ok(started) = wait.recv_timeout(Duration::from_micros(150 * step)) {
        assert!(started);
    }
}

#[test]
fn while_data_moves() {
    let Some(step) = step() else {
        let server = Server::anonymous().start();
        write_pages(&server.dir().join("big"), 50_000_000);
        return in_processes("ending::while_data_moves", 20, &server.url("big"));
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let client = anonymous();
    let url = std::env::var(URL).unwrap();
    let mode = if step % 2 == 0 { TransferMode::Stream } else { TransferMode::ExtendedBlock };
    let get = runtime.block_on(async {
        let mut get = client.get(&url).mode(mode).await.unwrap();
        for _ in 0..step {
            assert!(get.next_block().await.unwrap().is_some());
        }
        get
    });
    // Nothing is put away: the runtime goes on while the process ends.
    *KEPT.lock().unwrap() = Some((get, client, runtime));
}

/// What is in here is never dropped.
static AT_WORK: Mutex<Option<Runtime>> = Mutex::new(None);

#[test]
fn while_proxies_are_made() {
    let Some(step) = step() else {
        let pki = Pki::new();
        return in_processes("ending::while_proxies_are_made", 20, pki.dir().to_str().unwrap());
    };
    let folder = std::path::PathBuf::from(std::env::var(URL).unwrap());
    let user = Credential::from_cert_and_key(folder.join("user.pem"), folder.join("user.key"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // OpenSSL is used here before the engine uses it, or the other way round.
    if step % 2 == 0 {
        gridftp::init().unwrap();
    }
    let info = runtime.block_on(user.info()).unwrap();
    assert_eq!(info.identity(), "/O=Lab/CN=Tester");
    for _ in 0..2 {
        let user = user.clone();
        runtime.spawn(async move { user.make_proxy().key_bits(4096).build().await });
    }
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(gridftp::init().is_ok()));
    if let Ok(started) = wait.recv_timeout(Duration::from_micros(500 * step)) {
        assert!(started);
    }
    // Keys are being looked for on other threads while the process ends.
    *AT_WORK.lock().unwrap() = Some(runtime);
}
