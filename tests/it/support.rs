//! What the tests have in common.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gridftp::options::{Timeouts, TransferMode};
use gridftp::{Client, ClientBuilder, Credential};
use gridftp_lab::{Pki, Server, random_bytes};
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
    trusting_by(Command::new(std::env::current_exe().unwrap()), test, body);
}

/// The same in a network of its own, which holds nothing but loopback and lets the test see all packets.
///
/// Root needs no more for that; other users get it with a user namespace, where the system lets them have one.
pub(crate) fn trusting_in_own_network<F: Future<Output = ()>>(test: &str, body: impl FnOnce(Pki) -> F) {
    let ip = gridftp_lab::packages::IP.program().unwrap_or_else(|error| panic!("{error}"));
    let unshare = gridftp_lab::packages::UNSHARE.program().unwrap_or_else(|error| panic!("{error}"));
    let mut command = Command::new(unshare);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    command.args(["--net", "--", "sh", "-c", "\"$0\" link set lo up && exec \"$@\""]);
    command.arg(ip).arg(std::env::current_exe().unwrap());
    trusting_by(command, test, body);
}

fn trusting_by<F: Future<Output = ()>>(mut command: Command, test: &str, body: impl FnOnce(Pki) -> F) {
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
    let status = command
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
        assert!(
            tokio::time::Instant::now() < limit,
            "not within 20 s: {what}; {:?}",
            gridftp::engine_metrics()
        );
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

const ALONE: &str = "GRIDFTP_TEST_ALONE";

/// Runs `body` in a process of its own, whose memory and descriptors are nobody else's.
pub(crate) fn alone<F: Future<Output = ()>>(test: &str, body: impl FnOnce() -> F) {
    if let Some(mark) = std::env::var_os(ALONE) {
        std::fs::write(mark, "").unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(body());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("ran");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(ALONE, &mark)
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in its own process: {status}");
    assert!(mark.exists(), "{test} did not run: is its name right?");
}

/// A figure of this process from the kernel, in KiB: `VmRSS` is the memory in use, `VmHWM` the most that ever was.
pub(crate) fn memory_kib(figure: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

const PAGE: usize = 4096;

/// Writes a file in which no page is like another, much quicker than a random one.
pub(crate) fn write_pages(path: &Path, size: u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut page = random_bytes(size, PAGE);
    let mut written = 0;
    while written < size {
        page[..8].copy_from_slice(&written.to_le_bytes());
        let length = usize::try_from(size - written).unwrap_or(PAGE).min(PAGE);
        file.write_all(&page[..length]).unwrap();
        written += length as u64;
    }
    file.into_inner().unwrap();
}

/// A file to compare with, piece by piece.
pub(crate) struct Original {
    file: File,
    size: u64,
    seen: u64,
    piece: Vec<u8>,
}

impl Original {
    pub(crate) fn open(path: &Path) -> Self {
        let file = File::open(path).unwrap();
        let size = file.metadata().unwrap().len();
        Self { file, size, seen: 0, piece: Vec::new() }
    }

    /// How many bytes were compared so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The next bytes must be these.
    #[track_caller]
    pub(crate) fn follows(&mut self, data: &[u8]) {
        self.has(self.seen, data);
    }

    /// The bytes there must be these; counts them.
    #[track_caller]
    pub(crate) fn has(&mut self, offset: u64, data: &[u8]) {
        self.piece.resize(data.len(), 0);
        self.file.read_exact_at(&mut self.piece, offset).unwrap();
        assert!(self.piece == data, "{} bytes at {offset} are not those of the file", data.len());
        self.seen += data.len() as u64;
    }

    /// As many bytes as the file has must have been seen.
    #[track_caller]
    pub(crate) fn ends(self) {
        assert_eq!(self.seen, self.size);
    }

    /// The other file must be the same.
    #[track_caller]
    pub(crate) fn equals(mut self, other: &Path) {
        let mut other = File::open(other).unwrap();
        let mut data = vec![0; 1 << 20];
        loop {
            match other.read(&mut data).unwrap() {
                0 => return self.ends(),
                count => self.follows(&data[..count]),
            }
        }
    }
}
