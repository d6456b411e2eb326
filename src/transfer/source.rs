//! What is at the source, as it is found.

use std::path::PathBuf;

use tokio::sync::mpsc;

use super::choices::Links;
use super::local::{self, Kind};
use super::remote::{Remote, facts_of};
use super::report::ReportKind;
use super::{End, Facts};
use crate::error::{Error, Result};
use crate::ops::NotEntered;
use crate::types::Entry;

/// Entries that wait to be planned.
const AHEAD: usize = 1024;

/// Something at the source.
#[derive(Debug)]
pub(super) struct Found {
    /// Below the root.
    pub(super) path: Vec<u8>,
    pub(super) what: What,
    pub(super) facts: Facts,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    File,
    Folder,
    /// A link that is to be made anew, and where it leads: as it is written, or as the server resolves it.
    Link(Vec<u8>),
    /// A link that is left out.
    LeftOutLink,
    /// A folder that is one of those above it.
    Loop,
    Special,
}

/// Something that could not be looked at: the path, as far as it is known, and why.
#[derive(Debug)]
pub(super) struct Unseen {
    pub(super) path: Vec<u8>,
    pub(super) error: Error,
}

/// Entries as they are found.
pub(super) struct Finds(mpsc::Receiver<Result<Found, Unseen>>);

impl Finds {
    /// Everything below a folder.
    pub(super) fn below(end: &End, folder: &[u8], links: Links) -> Result<Self> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        match end {
            End::Local(local) => {
                let root = local.path(folder);
                let prefix = folder.to_vec();
                tokio::task::spawn_blocking(move || scan(root, &prefix, links, &sender));
            }
            End::Remote(remote) => {
                let walk = remote.walk(folder, links)?;
                let gridftp_root = remote.root.clone();
                tokio::spawn(walk_on(walk, gridftp_root, folder.to_vec(), links, sender));
            }
        }
        Ok(Self(receiver))
    }

    pub(super) async fn next(&mut self) -> Option<Result<Found, Unseen>> {
        self.0.recv().await
    }

    /// What is there already, without waiting.
    pub(super) fn now(&mut self) -> Option<Result<Found, Unseen>> {
        self.0.try_recv().ok()
    }
}

fn scan(root: PathBuf, prefix: &[u8], links: Links, sender: &mpsc::Sender<Result<Found, Unseen>>) {
    for found in local::Scan::new(root, links) {
        let found = match found {
            Ok(found) => Ok(of_scan(found, prefix)),
            Err((path, error)) => Err(Unseen { path: joined(prefix, &path), error }),
        };
        if sender.blocking_send(found).is_err() {
            return;
        }
    }
}

pub(super) fn of_scan(found: local::Found, prefix: &[u8]) -> Found {
    let (what, kind, size) = match found.kind {
        Kind::File { size } => (What::File, ReportKind::File, Some(size)),
        Kind::Dir => (What::Folder, ReportKind::Folder, None),
        Kind::Link { target: Some(target) } => (What::Link(target), ReportKind::Link, None),
        Kind::Link { target: None } => (What::LeftOutLink, ReportKind::Link, None),
        Kind::Loop => (What::Loop, ReportKind::Folder, None),
        Kind::Special => (What::Special, ReportKind::Special, None),
    };
    Found {
        path: joined(prefix, &found.path),
        what,
        facts: Facts { kind, size, modified: Some(found.modified), mode: Some(found.mode) },
    }
}

async fn walk_on(
    mut walk: crate::ops::WalkStream,
    root: crate::url::Url,
    prefix: Vec<u8>,
    links: Links,
    sender: mpsc::Sender<Result<Found, Unseen>>,
) {
    loop {
        let found = match walk.next_entry().await {
            Ok(None) => return,
            Ok(Some(found)) => {
                let path = joined(&prefix, &found.path());
                let not_entered = found.not_entered();
                Ok(of_entry(path, found.entry(), not_entered, links))
            }
            Err(error) => Err(Unseen { path: below_root(&root, &error), error }),
        };
        if sender.send(found).await.is_err() {
            return;
        }
    }
}

/// What a server's entry is under this policy of links.
pub(super) fn of_entry(path: Vec<u8>, entry: &Entry, not_entered: Option<NotEntered>, links: Links) -> Found {
    let mut facts = facts_of(entry);
    let is_link = entry.is_symlink();
    let what = match (facts.kind, is_link, links) {
        (_, true, Links::Skip) => What::LeftOutLink,
        (_, true, Links::Copy) => match entry.link_target() {
            Some(target) => What::Link(target),
            None => What::LeftOutLink,
        },
        // A server that does not look behind links: nobody knows what is there.
        (ReportKind::Link, _, _) => What::LeftOutLink,
        (ReportKind::Folder, ..) if not_entered == Some(NotEntered::Loop) => What::Loop,
        (ReportKind::Folder, ..) => What::Folder,
        (ReportKind::Special, ..) => What::Special,
        (ReportKind::File, ..) => What::File,
    };
    if matches!(what, What::Link(_) | What::LeftOutLink) {
        facts.kind = ReportKind::Link;
    }
    Found { path, what, facts }
}

/// The path below the root of what an error is about.
fn below_root(root: &crate::url::Url, error: &Error) -> Vec<u8> {
    let path = error.url().map_or(&b""[..], crate::url::Url::path);
    let below = path.strip_prefix(root.path()).unwrap_or(path);
    below.strip_prefix(b"/").unwrap_or(below).to_vec()
}

pub(super) fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

impl Remote {
    /// What in the root folder matches a pattern.
    pub(super) async fn matching(
        &self,
        pattern: &globset::GlobMatcher,
        hidden: bool,
        links: Links,
    ) -> Result<Vec<Found>> {
        use std::os::unix::ffi::OsStrExt as _;
        let mut list = self.list();
        let mut found = Vec::new();
        while let Some(entry) =
            std::future::poll_fn(|cx| futures_core::Stream::poll_next(std::pin::Pin::new(&mut list), cx))
                .await
        {
            let entry = entry?;
            let name = entry.name();
            let shown = hidden || !name.starts_with(b".");
            if entry.is_safe_child() && shown && pattern.is_match(std::ffi::OsStr::from_bytes(name)) {
                // Is a linked folder followed? Then it is walked as a folder.
                found.push(of_entry(name.to_vec(), &entry, None, links));
            }
        }
        Ok(found)
    }
}
