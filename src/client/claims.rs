//! Who stores under which name: a put, or a transfer between servers, that failed is cleaned up in the background, and must not
//! delete what a later one has stored, or renamed, there meanwhile.
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
    /// The transfers to this name, in order, that go on, or have stored something of which a later one may have to know.
    claims: Vec<u64>,
    /// Ends when the deletion that is under way does.
    deletion: Option<watch::Receiver<()>>,
}

fn lock() -> MutexGuard<'static, Names> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The claim of a transfer to the name that it writes to, until it is finished and cleaned up.
#[derive(Debug)]
pub(crate) struct Claim {
    name: Name,
    number: u64,
    /// Something may stand under the name that was not there before.
    stored: bool,
}

/// The right to delete a file; while it lasts, nobody else gets a claim to its name.
#[derive(Debug)]
pub(crate) struct Deletion<'a> {
    claim: &'a Claim,
    _end: watch::Sender<()>,
}

impl Claim {
    /// [`Self::of`], for as long as a reply may take: a deletion belongs to a runtime that need not be driven any more.
    ///
    /// # Errors
    /// `Timeout(Reply)`.
    pub(crate) async fn within(limit: Duration, url: &Url, path: &Bytes) -> Result<Self> {
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
                let entry =
                    names.by_name.entry(name.clone()).or_insert(Entry { claims: Vec::new(), deletion: None });
                match entry.deletion.clone() {
                    Some(deletion) => deletion,
                    None => {
                        entry.claims.push(number);
                        names.last = number;
                        return Self { name, number, stored: true };
                    }
                }
            };
            // Nothing is ever sent: it ends.
            while deletion.changed().await.is_ok() {}
        }
    }

    /// The server was told to store nothing, or refused it: what an earlier transfer left is deleted by that.
    pub(crate) fn stored_nothing(mut self) {
        self.stored = false;
    }

    /// The right to delete what this transfer left, unless the name is a later one's.
    pub(crate) fn deletion(&self) -> Option<Deletion<'_>> {
        let mut names = lock();
        let entry =
            names.by_name.get_mut(&self.name).filter(|entry| entry.claims.last() == Some(&self.number))?;
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
        let Some(entry) = names.by_name.get_mut(&self.name) else { return };
        // What was stored is nobody's to delete who began before.
        entry.claims.retain(|&number| number > self.number || (number < self.number && !self.stored));
        if entry.claims.is_empty() {
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
        let fifth = Claim::of(&url, &path).await;
        assert!(fourth.deletion().is_none());
        fifth.stored_nothing();
        assert!(fourth.deletion().is_some(), "nothing of a later one stands there");
        drop((third, fourth, other));
        assert!(lock().by_name.keys().all(|(endpoint, _)| endpoint != url.endpoint()), "nothing is kept");
    }
}
