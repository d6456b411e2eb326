//! What the host does to a server or a client in the middle of a transfer: kill, full disks, quotas, permissions, time.

mod disk;
mod expiry;
mod files;
mod kill;

use std::path::PathBuf;
use std::process::Command;

use gridftp_lab::{Builder, packages};

const DISK: &str = "GRIDFTP_TEST_SMALL_DISK";

/// Runs `body` in a process with a file system of its own, of so many bytes, in the folder that it is given.
///
/// That takes a mount, in a mount namespace of the process's own: root may have one, and others where the system gives them
/// user namespaces.
fn with_small_disk<F: Future<Output = ()>>(test: &str, bytes: u64, body: impl FnOnce(PathBuf) -> F) {
    if let Some(disk) = std::env::var_os(DISK) {
        let disk = PathBuf::from(disk);
        std::fs::write(disk.with_extension("ran"), "").unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(body(disk));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let unshare = packages::UNSHARE.program().unwrap_or_else(|error| panic!("{error}"));
    let mut command = Command::new(unshare);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--", "sh", "-c"]);
    command.arg(format!("mount -t tmpfs -o size={bytes} tmpfs \"$0\" && exec \"$@\"")).arg(&disk);
    command.arg(std::env::current_exe().unwrap());
    let status = command
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(DISK, &disk)
        .status()
        .unwrap();
    assert!(
        folder.path().join("disk.ran").exists(),
        "{test} did not run. It mounts a small file system, which takes root, or user namespaces for everybody: \
         `sysctl kernel.unprivileged_userns_clone=1` (Debian) or `sysctl kernel.apparmor_restrict_unprivileged_userns=0` \
         (Ubuntu). Is its name right?"
    );
    assert!(status.success(), "{test} failed in its own process: {status}");
}

/// A server whose sessions are not root's, for whom permissions mean nothing. Where the tests are run by another user, that
/// one does.
fn unprivileged(builder: Builder) -> Builder {
    if !rustix::process::geteuid().is_root() {
        return builder;
    }
    // Later ones count.
    builder.args(["-anonymous-user", "nobody", "-anonymous-group", "nogroup"])
}
