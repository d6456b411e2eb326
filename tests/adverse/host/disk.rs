//! Disks that are full, quotas that are used up, disks that fail.

use std::path::Path;
use std::process::Command;

use gridftp::{Bytes, Client, ErrorKind};
use gridftp_lab::{Server, packages, random_bytes};

use super::{unprivileged, with_small_disk};
use crate::support::{WAYS, anonymous, builder, eventually};

/// Puts 3 MB where they have no room; the error.
async fn too_much(client: &Client, url: &str, way: usize) -> gridftp::Error {
    let (mode, streams) = WAYS[way];
    let mut put = match client.put(url).mode(mode).parallelism(streams).await {
        Ok(put) => put,
        Err(error) => return error,
    };
    let contents = Bytes::from(random_bytes(1, 3_000_000));
    for start in (0..3_000_000).step_by(500_000) {
        if let Err(error) = put.write(contents.slice(start..start + 500_000)).await {
            return error;
        }
    }
    put.finish().await.unwrap_err()
}

/// The server is one that could not delete the device, if it were told to.
#[tokio::test]
async fn a_device_that_is_always_full() {
    let server = unprivileged(Server::anonymous()).log_level("ALL").start();
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for (way, named) in WAYS.iter().enumerate() {
        let error = too_much(&client, &server.url("/dev/full"), way).await;
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{named:?}: {error:?}");
    }
    // The session is back when everything was cleaned up.
    assert!(client.get(server.url("missing")).await.is_err());
    assert!(!server.log().contains("DELE"), "a device is not deleted because it is full");
}

#[test]
fn a_disk_that_fills_up() {
    with_small_disk("host::disk::a_disk_that_fills_up", 1 << 20, |disk| async move {
        let server = Server::anonymous().start();
        let client = anonymous();
        let path = disk.join("f");
        for (way, (mode, streams)) in WAYS.into_iter().enumerate() {
            let error = too_much(&client, &server.url(&path), way).await;
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{mode:?} {streams}: {error:?}");
            eventually("what fitted is deleted, and there is room again", || !path.exists()).await;
            let contents = Bytes::from(random_bytes(2, 900_000));
            let mut put = client.put(server.url(&path)).mode(mode).parallelism(streams).await.unwrap();
            put.write(contents.clone()).await.unwrap();
            put.finish().await.unwrap();
            assert!(std::fs::read(&path).unwrap() == contents);
            client.remove_file(server.url(&path)).await.unwrap();
        }
        // From one server to another, the second of which has no room.
        let from = Server::anonymous().start();
        std::fs::write(from.dir().join("big"), random_bytes(3, 3_000_000)).unwrap();
        for (mode, streams) in WAYS {
            let transfer =
                client.third_party(from.url("big"), server.url(&path)).mode(mode).parallelism(streams).await;
            let error = match transfer {
                Ok(transfer) => transfer.join().await.unwrap_err(),
                Err(error) => error,
            };
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{mode:?} {streams}: {error:?}");
            let _ = std::fs::remove_file(&path);
        }
    });
}

/// The kernel's word for a write beyond a limit, said in its place: quotas take root and a file system that has them.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static long left = -1;

static int refuses(int fd, size_t size)
{
    struct stat file;
    if (fd <= 2 || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) return 0;
    if (left < 0) left = atol(getenv("SHIM_BYTES"));
    if ((long)size <= left) { left -= size; return 0; }
    errno = atoi(getenv("SHIM_ERRNO"));
    return 1;
}

static size_t total(const struct iovec *v, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++) sum += v[i].iov_len;
    return sum;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
ssize_t write(int fd, const void *b, size_t n) { return refuses(fd, n) ? -1 : REAL(write)(fd, b, n); }
ssize_t pwrite(int fd, const void *b, size_t n, off_t o) { return refuses(fd, n) ? -1 : REAL(pwrite)(fd, b, n, o); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { return refuses(fd, n) ? -1 : REAL(pwrite64)(fd, b, n, o); }
ssize_t writev(int fd, const struct iovec *v, int n) { return refuses(fd, total(v, n)) ? -1 : REAL(writev)(fd, v, n); }
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t o) { return refuses(fd, total(v, n)) ? -1 : REAL(pwritev)(fd, v, n, o); }
ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t o) { return refuses(fd, total(v, n)) ? -1 : REAL(pwritev64)(fd, v, n, o); }
"#;

/// A server whose writes to files fail like this once a megabyte is written.
fn failing(folder: &Path, errno: rustix::io::Errno) -> Server {
    let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
    std::fs::write(&source, SHIM).unwrap();
    let compiler = packages::CC.program().unwrap_or_else(|error| panic!("{error}"));
    let status = Command::new(compiler)
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(status.unwrap().success());
    Server::anonymous()
        .env("LD_PRELOAD", library)
        .env("SHIM_BYTES", "1000000")
        .env("SHIM_ERRNO", errno.raw_os_error().to_string())
        .start()
}

#[tokio::test]
async fn a_quota_that_is_used_up_and_a_disk_that_fails() {
    use rustix::io::Errno;
    let folder = tempfile::tempdir().unwrap();
    for (errno, kinds) in [
        (Errno::DQUOT, &[ErrorKind::NoSpace][..]),
        (Errno::NOSPC, &[ErrorKind::NoSpace]),
        (Errno::FBIG, &[ErrorKind::NoSpace, ErrorKind::Refused]),
        (Errno::IO, &[ErrorKind::Refused]),
    ] {
        let server = failing(folder.path(), errno);
        let client = anonymous();
        let path = server.dir().join("f");
        for (way, (mode, streams)) in WAYS.into_iter().enumerate() {
            let error = too_much(&client, &server.url(&path), way).await;
            assert!(kinds.contains(&error.kind()), "{errno} {mode:?} {streams}: {error:?}");
            eventually("the part of it is deleted", || !path.exists()).await;
        }
    }
}
