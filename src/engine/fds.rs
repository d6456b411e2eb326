//! Descriptors: Globus waits with `select()`, and a descriptor of 1024 or above would abort the process (K1).
//!
//! The engine asks before each start whether the numbers it will get are low enough; control connections are moved
//! above the border to leave the low numbers to Globus.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// `FD_SETSIZE` of glibc: the first number that `select()` cannot take.
const SELECT_LIMIT: i32 = 1024;

/// How many numbers are left free below the border for what other threads open between our check and C's use.
const MARGIN: i32 = 64;

/// The soft limit that is asked for. Globus sizes its tables by the limit it finds when it is activated.
const WANTED: u64 = 16 * 1024;

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

/// Whether `count` more descriptors would get numbers that `select()` can take. `probe` is any open descriptor.
///
/// Free numbers need not be in a row, so as many as are wanted are taken, and given back. What other threads open between
/// this look and C's use is covered by a margin only: a program that opens many files at a time and holds nearly a
/// thousand needs the feature `large-fd` of `globus-sys`.
pub(super) fn room_for(probe: impl AsFd, count: usize) -> bool {
    #[cfg(test)]
    if crate::hooks::without("K1") {
        return true;
    }
    let mut held = Vec::new();
    for _ in 0..count.max(1) {
        match rustix::io::fcntl_dupfd_cloexec(&probe, 0) {
            Ok(next) if next.as_raw_fd() < SELECT_LIMIT - MARGIN => held.push(next),
            _ => return false,
        }
    }
    true
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
        if limit.current.is_some_and(|current| current <= WANTED) {
            return Self(None);
        }
        let modest = Rlimit { current: Some(WANTED), maximum: limit.maximum };
        Self(setrlimit(Resource::Nofile, modest).is_ok().then_some(limit))
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

/// Moves a descriptor that Globus never sees above the border, when the limit of the process allows it.
pub(crate) fn move_high(fd: OwnedFd) -> OwnedFd {
    match rustix::io::fcntl_dupfd_cloexec(&fd, SELECT_LIMIT) {
        Ok(high) => high,
        Err(_) => fd,
    }
}
