//! Descriptors: Globus waits with `select()`, and a descriptor of 1024 or above would abort the process (K1).
//!
//! The engine asks before each start whether the numbers it will get are low enough; control connections are moved
//! above the border to leave the low numbers to Globus.

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// `FD_SETSIZE` of glibc: the first number that `select()` cannot take.
const SELECT_LIMIT: i32 = 1024;

/// How many numbers are left free below the border for what other threads open between our check and C's use.
const MARGIN: i32 = 64;

/// The soft limit that is asked for. Globus sizes its tables by the limit it finds when it is activated.
const WANTED: u64 = 16 * 1024;

/// Raises the soft limit of open files as far as allowed (up to 16,384); a limit that is higher already is left alone.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current else { return };
    let wanted = limit.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if current < wanted {
        // A refusal only means that fewer connections fit; each of them then reports `TooManyOpenFiles` by itself.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}

/// Whether `count` more descriptors would get numbers that `select()` can take. `probe` is any open descriptor.
pub(super) fn room_for(probe: impl AsFd, count: usize) -> bool {
    let Ok(lowest) = rustix::io::fcntl_dupfd_cloexec(probe, 0) else { return false };
    let number = std::os::fd::AsRawFd::as_raw_fd(&lowest);
    let count = i32::try_from(count).unwrap_or(SELECT_LIMIT);
    number.saturating_add(count) < SELECT_LIMIT - MARGIN
}

/// Moves a descriptor that Globus never sees above the border, when the limit of the process allows it.
pub(crate) fn move_high(fd: OwnedFd) -> OwnedFd {
    match rustix::io::fcntl_dupfd_cloexec(&fd, SELECT_LIMIT) {
        Ok(high) => high,
        Err(_) => fd,
    }
}
