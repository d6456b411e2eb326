//! Who stores under which name: a put, or a transfer between servers, that failed is cleaned up in the background, and must not delete what a later put of
//! the same name has stored meanwhile.
//!
//! Kept for the whole process, as the next attempt may well be another client's.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Phase, Result, Side, TimeoutKind};
use crate::url::{Endpoint, Url};

static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);

/// A file, as far as it is told by its name.
type Name = (Endpoint, Bytes);

#[derive(Debug, Default)]
struct Names {
    by_name: HashMap<Name, Entry>,
    last: u64,
}

#[derive(Debug)]
struct Entry {
    /// The latest transfer to this name.
    latest: u64,
    /// Ends when the deletion that is under way does.
    deletion: Option<watch::Receiver<()>>,
}

fn lock() -> MutexGuard<'static, Names> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The claim of a transfer to the name that it writes to, until it is finished and cleaned up.
#[derive(Debug)]
pub(super) struct Claim {
    name: Name,
    number: u64,
}

/// The right to delete a file; while it lasts, nobody else gets a claim to its name.
#[derive(Debug)]
pub(super) struct Deletion<'a> {
    claim: &'a Claim,
    _end: watch::Sender<()>,
}

impl Claim {
    /// [`Self::of`], for as long as a reply may take: a deletion belongs to a runtime that need not be driven any more.
    ///
    /// # Errors
    /// `Timeout(Reply)`.
    pub(super) async fn within(limit: Duration, url: &Url, path: &Bytes) -> Result<Self> {
        tokio::time::timeout(limit, Self::of(url, path)).await.map_err(|_| {
            let message =
                format!("what an earlier transfer left under this name was not deleted within {limit:?}");
            Error::new(ErrorKind::Timeout(TimeoutKind::Reply), Phase::Command, message).with_side(Side::Local)
        })
    }

    /// Claims a name, from which on no earlier transfer deletes it. Waits for a deletion that is under way already.
    async fn of(url: &Url, path: &Bytes) -> Self {
        let name = (url.endpoint().clone(), path.clone());
        loop {
            let mut deletion = {
                let mut names = lock();
                let names = &mut *names;
                let number = names.last + 1;
                let entry = names.by_name.entry(name.clone()).or_insert(Entry { latest: 0, deletion: None });
                match entry.deletion.clone() {
                    Some(deletion) => deletion,
                    None => {
                        entry.latest = number;
                        names.last = number;
                        return Self { name, number };
                    }
                }
            };
            // Nothing is ever sent: it ends.
            while deletion.changed().await.is_ok() {}
        }
    }

    /// The right to delete what this transfer left, unless the name is a later one's.
    pub(super) fn deletion(&self) -> Option<Deletion<'_>> {
        let mut names = lock();
        let entry = names.by_name.get_mut(&self.name).filter(|entry| entry.latest == self.number)?;
        let (end, deletion) = watch::channel(());
        entry.deletion = Some(deletion);
        Some(Deletion { claim: self, _end: end })
    }
}

impl Drop for Deletion<'_> {
    fn drop(&mut self) {
        if let Some(entry) = lock().by_name.get_mut(&self.claim.name) {
            entry.deletion = None;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut names = lock();
        if names.by_name.get(&self.name).is_some_and(|entry| entry.latest == self.number) {
            names.by_name.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn only_the_latest_put_of_a_name_deletes_it() {
        let url: Url = "ftp://claims.example/f".parse().unwrap();
        let path = Bytes::from_static(b"/f");
        let first = Claim::of(&url, &path).await;
        let other = Claim::of(&url, &Bytes::from_static(b"/g")).await;
        let second = Claim::of(&url, &path).await;
        assert!(first.deletion().is_none());
        assert!(other.deletion().is_some() && second.deletion().is_some());
        drop(second);
        assert!(first.deletion().is_none(), "what the second has stored is its own");
        let third = Claim::of(&url, &path).await;
        drop(first);
        let deletion = third.deletion().unwrap();
        let mut fourth = Box::pin(Claim::of(&url, &path));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(fourth.as_mut().poll(&mut cx).is_pending(), "a deletion is waited for");
        drop(deletion);
        let fourth = fourth.await;
        assert!(third.deletion().is_none());
        drop((third, fourth, other));
        assert!(lock().by_name.keys().all(|(endpoint, _)| endpoint != url.endpoint()), "nothing is kept");
    }
}
