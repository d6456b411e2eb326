//! Descriptors: Globus waits with `select()`, and a descriptor of 1024 or above would abort the process (K1).
//!
//! The engine asks before each start whether the numbers it will get are low enough; control connections are moved
//! above the border to leave the low numbers to Globus. A program that says [`large_fd!`](globus_sys::large_fd) has no such
//! border, only that of the tables that Globus made when it was activated.

use std::ffi::{CStr, c_void};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::FdFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// `FD_SETSIZE` of glibc: the first number that glibc's check does not let pass.
const SELECT_LIMIT: i32 = 1024;

/// How many numbers are left free below the border for what other threads open between our check and C's use.
const MARGIN: i32 = 64;

/// The soft limit that is asked for. Globus sizes its tables by the limit it finds when it is activated.
const WANTED: u64 = 16 * 1024;

/// How many descriptors Globus has tables for; it answers an error to others. Until it is activated, the most that there will
/// be.
static TABLES: AtomicI32 = AtomicI32::new(16 * 1024);

/// Raises the soft limit of open files as far as allowed (up to 16,384); a limit that is higher already is left alone.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current else { return };
    let wanted = limit.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if current < wanted {
        // A refusal only means that fewer connections fit; each of them then reports `TooManyOpenFiles` by itself.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}

/// The first number that Globus cannot wait for.
fn border() -> i32 {
    let tables = TABLES.load(Ordering::Relaxed);
    // Beyond its tables Globus only refuses, so no margin is needed there.
    if has_no_check() { tables } else { tables.min(SELECT_LIMIT - MARGIN) }
}

/// Whether another function than libc's stands where libc's ends the process: see [`large_fd!`](globus_sys::large_fd).
fn has_no_check() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| match home_of(c"__fdelt_chk") {
        // A libc that has no check checks nothing.
        None => true,
        Some(home) => home_of(c"gnu_get_libc_version").is_some_and(|libc| libc != home),
    })
}

/// Where the object begins that a symbol is taken from, as the dynamic linker finds it for every library of the program.
fn home_of(symbol: &CStr) -> Option<usize> {
    // SAFETY: looks a name up among the libraries of the process.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) };
    if address.is_null() {
        return None;
    }
    let mut found = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: any address may be asked about; the structure is a local, filled before the call returns.
    let known = unsafe { libc::dladdr(address.cast_const(), &raw mut found) };
    (known != 0).then(|| <*mut c_void>::addr(found.dli_fbase))
}

/// Whether `count` more descriptors would get numbers that `select()` can take. `probe` is any open descriptor.
///
/// Free numbers need not be in a row, so as many as are wanted are taken, and given back. What other threads open between
/// this look and C's use is covered by a margin only: a program that opens many files at a time and holds nearly a
/// thousand needs [`large_fd!`](globus_sys::large_fd).
pub(super) fn room_for(probe: impl AsFd, count: usize) -> bool {
    #[cfg(test)]
    if crate::hooks::without("K1") {
        return true;
    }
    let border = border();
    let mut held = Vec::new();
    for _ in 0..count.max(1) {
        match rustix::io::fcntl_dupfd_cloexec(&probe, 0) {
            Ok(next) if next.as_raw_fd() < border => held.push(next),
            _ => return false,
        }
    }
    true
}

/// Whether `count` more descriptors can be had at all, whatever their numbers.
pub(super) fn any_left(probe: impl AsFd, count: usize) -> bool {
    let taken: Result<Vec<_>, _> =
        (0..count.max(1)).map(|_| rustix::io::fcntl_dupfd_cloexec(&probe, 0)).collect();
    taken.is_ok()
}

/// Keeps the soft limit of open files from being larger than what Globus can make tables for, until it is dropped.
///
/// XIO sizes its descriptor sets by the limit at activation and copies them whole at each wait: with the limits of a
/// million and more that containers have, every event would cost hundreds of kilobytes of copying.
#[derive(Debug)]
pub(super) struct ModestLimit(Option<Rlimit>);

impl ModestLimit {
    pub(super) fn set() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let modest = Rlimit { current: Some(WANTED), maximum: limit.maximum };
        let lowered = limit.current.is_none_or(|current| current > WANTED)
            && setrlimit(Resource::Nofile, modest).is_ok();
        let tables = if lowered { Some(WANTED) } else { limit.current };
        let tables = tables.and_then(|tables| i32::try_from(tables).ok()).unwrap_or(i32::MAX);
        TABLES.store(tables, Ordering::Relaxed);
        Self(lowered.then_some(limit))
    }
}

impl Drop for ModestLimit {
    fn drop(&mut self) {
        if let Some(limit) = self.0.take() {
            // What was allowed a moment ago is allowed again.
            let _ = setrlimit(Resource::Nofile, limit);
        }
    }
}

/// Has the kernel make the process's table of descriptors as large as [`move_high`] needs it.
///
/// While there is one thread that costs nothing. With more of them it is a wait of some 10 ms (an RCU grace period), for whoever
/// needs the larger table first: better for the engine's thread than for one that moves data.
pub(super) fn widen(probe: impl AsFd) {
    // It never shrinks. Where the limit does not allow it, nothing is moved there either.
    drop(rustix::io::fcntl_dupfd_cloexec(probe, SELECT_LIMIT));
}

/// The same, for a process that has no engine yet.
pub(crate) fn widen_early() {
    raise_limit();
    if let Ok(probe) = std::fs::File::open("/dev/null") {
        widen(probe);
    }
}

/// Moves a descriptor that Globus never sees above the border, when the limit of the process allows it.
pub(crate) fn move_high(fd: OwnedFd) -> OwnedFd {
    match rustix::io::fcntl_dupfd_cloexec(&fd, SELECT_LIMIT) {
        Ok(high) => high,
        Err(_) => fd,
    }
}

/// Keeps connections that were accepted at this address from living on in programs that this process starts: Globus accepts
/// without a word about that.
///
/// The address is that of a listener of ours, so no other socket of the process has it.
pub(super) fn close_on_exec(local: SocketAddr) {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    for number in numbers {
        // SAFETY: a number that was open a moment ago, borrowed for two questions and a flag. Another thread may have closed it
        // meanwhile, or closed and opened it: then the answer to the first question is another address, or an error.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        let is_ours = rustix::net::getsockname(fd)
            .ok()
            .and_then(|address| SocketAddr::try_from(address).ok())
            .is_some_and(|address| {
                address.port() == local.port() && address.ip().to_canonical() == local.ip().to_canonical()
            });
        if is_ours && let Ok(flags) = rustix::io::fcntl_getfd(fd) {
            let _ = rustix::io::fcntl_setfd(fd, flags | FdFlags::CLOEXEC);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_has_glibcs_check() {
        assert!(!has_no_check());
        assert_eq!(border(), SELECT_LIMIT - MARGIN);
    }

    #[test]
    fn what_a_listener_accepts_is_closed_on_exec() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let _peer = std::net::TcpStream::connect(local).unwrap();
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (accepted, _) = listener.accept().unwrap();
        for fd in [accepted.as_fd(), other.as_fd()] {
            rustix::io::fcntl_setfd(fd, FdFlags::empty()).unwrap();
        }
        close_on_exec(local);
        assert_eq!(rustix::io::fcntl_getfd(&accepted).unwrap(), FdFlags::CLOEXEC);
        assert_eq!(rustix::io::fcntl_getfd(&other).unwrap(), FdFlags::empty(), "another's descriptor");
    }
}
