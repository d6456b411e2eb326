//! The end of a transfer that is at a server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinSet;

use super::local::temporary_name;
use super::location::url_below;
use super::{Facts, Overwrite};
use crate::client::Client;
use crate::data::is_device;
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::ops::{ListStream, WalkStream};
use crate::options::{DataChannelAuth, ProtectionLevel};
use crate::types::{Checksum, ChecksumAlgorithm, Entry, EntryKind, FeatureSet};
use crate::url::Url;

use super::channels::{Channels, FAR};
use super::choices::{Links, Preserve};
use super::hash::Hasher;
use super::queue::Item;
use super::report::ReportKind;

/// How long the end of a transfer is put off to leave no half file behind.
pub(super) const CLEAN_UP: Duration = Duration::from_secs(10);

/// An answer that comes later than that has had a long way, and is not merely late.
const DOUBTLESS: Duration = Duration::from_millis(20);

/// A server, and the file or folder at it that everything is below.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) client: Client,
    pub(super) root: Url,
    pub(super) features: FeatureSet,
    /// Of all data, listings and what is read back included.
    protection: ProtectionLevel,
    dcau: DataChannelAuth,
    /// The root is a folder, and this is what the server knows it by, if it told.
    folder: Option<Option<Box<[u8]>>>,
    /// How long a short question took.
    pub(super) round_trip: Duration,
    /// Sessions that are got ready while nobody needs them yet.
    logins: Mutex<JoinSet<()>>,
    /// Pipelines do not work: it has no extended block mode, or cannot reach this client.
    alone: AtomicBool,
    /// Whether it can connect to this client for a file in extended block mode; nothing is known before the first.
    reaches: OnceLock<bool>,
}

impl Remote {
    /// Asks a server what it can do, and what the root is, which it may not say. One that is far away is [logged in
    /// to](Self::log_in_ahead) so many times before it has answered that.
    ///
    /// # Errors
    /// What a login can fail with.
    pub(super) async fn of(
        client: Client,
        root: Url,
        channels: &Channels,
        ahead: usize,
    ) -> Result<(Self, Result<Option<Facts>>)> {
        let features = client.features(&root).await?;
        let mut remote = Self {
            client,
            root,
            features,
            protection: channels.protection,
            dcau: channels.dcau.clone(),
            folder: None,
            round_trip: Duration::ZERO,
            logins: Mutex::default(),
            alone: AtomicBool::new(channels.by_itself()),
            reaches: OnceLock::new(),
        };
        let asked = Instant::now();
        let entry = {
            let mut entry = std::pin::pin!(remote.entry(b""));
            match tokio::time::timeout(FAR, &mut entry).await {
                Ok(entry) => entry,
                Err(_) => {
                    remote.log_in_ahead(ahead);
                    entry.await
                }
            }
        };
        let facts = entry.as_ref().map(|entry| entry.as_ref().map(facts_of)).map_err(Error::clone);
        if let Err(error) = &facts
            && (error.is_transient() || error.may_have_applied())
        {
            return Err(error.clone());
        }
        remote.round_trip = remote.shortest(asked.elapsed()).await;
        if let Ok(Some(entry)) = entry
            && entry.is_dir()
        {
            remote.folder = Some(entry.unique().map(Into::into));
        }
        Ok((remote, facts))
    }

    /// How long a short question takes that took that long just now. Where the answer may merely have been late, from a server
    /// or a machine that has much to do, it is asked again: what is far is treated in another way than what is slow.
    async fn shortest(&self, mut took: Duration) -> Duration {
        for _ in 0..2 {
            if !(FAR..DOUBTLESS).contains(&took) {
                break;
            }
            let asked = Instant::now();
            if self.facts(b"").await.is_err() {
                break;
            }
            took = took.min(asked.elapsed());
        }
        took
    }

    /// Logs in that many times in the background, once, so that there are sessions when there are files: a login takes longer than
    /// to find the first ones.
    pub(super) fn log_in_ahead(&self, sessions: usize) {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        if logins.is_empty() {
            for _ in 0..sessions {
                let (client, root) = (self.client.clone(), self.root.clone());
                logins.spawn(async move { client.warm(&root).await });
            }
        }
    }

    /// Everything below a folder.
    pub(super) fn walk(&self, folder: &[u8], links: Links) -> Result<WalkStream> {
        let mut walk = self.client.walk(self.url(folder)?).follow_links(links == Links::Follow);
        if let (b"", Some(unique)) = (folder, &self.folder) {
            walk = walk.root_is_folder(unique.clone());
        }
        Ok(walk.protection(self.protection).dcau(self.dcau.clone()))
    }

    /// What is in the root.
    pub(super) fn list(&self) -> ListStream {
        self.client.list(&self.root).protection(self.protection).dcau(self.dcau.clone())
    }

    pub(super) fn url(&self, path: &[u8]) -> Result<Url> {
        url_below(&self.root, path)
    }

    /// Whether it speaks the extensions of GFD.20.
    pub(super) fn is_gridftp(&self) -> bool {
        self.features.parallel() || self.features.eret()
    }

    /// Whether many files can go through one pipeline.
    pub(super) fn pipelines(&self) -> bool {
        self.is_gridftp() && !self.alone.load(Ordering::Relaxed)
    }

    /// Whether it can connect to this client, as far as that is known.
    pub(super) fn reaches(&self) -> Option<bool> {
        self.reaches.get().copied()
    }

    /// What was found out about that; the first finding counts.
    pub(super) fn found_to_reach(&self, reaches: bool) {
        if self.reaches.set(reaches).is_ok() && !reaches {
            tracing::debug!(server = %self.root.endpoint(), "large files come as streams: the server does not connect to this client");
        }
    }

    pub(super) fn no_pipelines(&self) {
        if !self.alone.swap(true, Ordering::Relaxed) {
            tracing::debug!(server = %self.root.endpoint(), "files go one by one: the server does not take part in pipelines");
        }
    }

    /// What it tells about a file or folder; none if there is no such thing.
    pub(super) async fn facts(&self, path: &[u8]) -> Result<Option<Facts>> {
        Ok(self.entry(path).await?.as_ref().map(facts_of))
    }

    async fn entry(&self, path: &[u8]) -> Result<Option<Entry>> {
        match self.client.stat(&self.url(path)?).await {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether what is written to is no file, but was there before and stays: a device. Nothing is exchanged for those.
    pub(super) fn is_device(&self, path: &[u8]) -> bool {
        self.url(path).is_ok_and(|url| is_device(&self.client.server_path(&url)))
    }

    /// Where a file is written to until it is whole: in the folder of its name.
    pub(super) fn temporary(&self, path: &[u8], tag: u64) -> Result<Url> {
        let url = self.url(path)?;
        let name = url.file_name().unwrap_or(b"file");
        let temporary = temporary_name(name, tag);
        url.parent().unwrap_or_else(|| url.clone()).join(temporary)
    }

    /// Gives a whole file its name.
    pub(super) async fn name(&self, temporary: &Url, path: &[u8], overwrite: Overwrite) -> Result<()> {
        let url = self.url(path)?;
        if overwrite == Overwrite::Never && self.facts(path).await?.is_some() {
            return Err(taken(&url));
        }
        let refused = match self.client.rename(temporary, &url).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if refused.may_have_applied() {
            // The connection broke behind the command: the names tell whether it was done.
            let (old, new) = (self.client.exists(temporary).await?, self.client.exists(&url).await?);
            if !old && new {
                return Ok(());
            }
            return Err(refused);
        }
        // Some servers never overwrite. They say so in many ways, so the old file is looked for.
        let about_name = matches!(
            refused.kind(),
            ErrorKind::AlreadyExists | ErrorKind::Refused | ErrorKind::PermissionDenied
        );
        if !about_name || overwrite == Overwrite::Never {
            return Err(refused);
        }
        match self.facts(path).await? {
            Some(facts) if facts.kind == ReportKind::File => {}
            _ => return Err(refused),
        }
        self.client.remove_file(&url).await?;
        self.client.rename(temporary, &url).await
    }

    /// The checksum of a file at the server: its own word, or else the contents are read back.
    pub(super) async fn checksum(&self, url: &Url, algorithm: &ChecksumAlgorithm) -> Result<Checksum> {
        let offered = self.offers(algorithm);
        if offered {
            match self.client.checksum(url, algorithm.clone(), ..).await {
                Err(error) if error.kind() == ErrorKind::Unsupported => {}
                result => return result,
            }
        }
        let mut hasher = Hasher::new(algorithm)?;
        let get = self.client.get(url).protection(self.protection).dcau(self.dcau.clone());
        let mut reader = get.await?.into_reader();
        while let Some(data) = reader.next_chunk().await? {
            hasher.update(&data)?;
        }
        hasher.finish()
    }

    /// An algorithm by which it computes checksums.
    pub(super) fn any_algorithm(&self) -> Option<ChecksumAlgorithm> {
        use ChecksumAlgorithm as A;
        [A::Sha256, A::Sha1, A::Md5, A::Sha512, A::Adler32]
            .into_iter()
            .find(|algorithm| self.offers(algorithm))
    }

    pub(super) fn offers(&self, algorithm: &ChecksumAlgorithm) -> bool {
        let name = algorithm.as_str();
        // CKSM comes from GridFTP servers, some of which do not say which algorithms they have: those have MD5.
        let mut names = self.features.checksums().peekable();
        if names.peek().is_none() {
            return self.features.cksm() && *algorithm == ChecksumAlgorithm::Md5;
        }
        names.any(|known| {
            known.eq_ignore_ascii_case(name) || known.replace('-', "").eq_ignore_ascii_case(name)
        })
    }

    /// Keeps what was asked for of a file that is about to get its name.
    pub(super) async fn set_attributes(&self, url: &Url, item: &Item, preserve: Preserve) {
        let mode = item.mode.filter(|_| preserve.mode);
        let modified = item.modified.filter(|_| preserve.modified);
        self.attributes(url, mode, modified).await;
    }

    /// Sets them; that it cannot be done is no failure of a copy.
    pub(super) async fn attributes(&self, url: &Url, mode: Option<u32>, modified: Option<SystemTime>) {
        if let Some(mode) = mode
            && let Err(error) = self.client.chmod(url, mode).await
        {
            tracing::warn!(%url, %error, "the permissions were not kept");
        }
        if let Some(modified) = modified
            && let Err(error) = self.client.set_modified(url, modified).await
        {
            tracing::warn!(%url, %error, "the time was not kept");
        }
    }

    /// Removes a half file, as far as that can be done.
    pub(super) async fn remove_temporary(&self, url: &Url) {
        match tokio::time::timeout(CLEAN_UP, self.client.remove_file(url)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {}
            Ok(Err(error)) => tracing::warn!(%url, %error, "a half file may be left at the server"),
            Err(_) => {
                tracing::warn!(%url, "a half file may be left at the server: it did not answer in time");
            }
        }
    }

    /// Makes a folder; it is no mistake that it is there.
    pub(super) async fn make_folder(&self, path: &[u8]) -> Result<()> {
        let url = self.url(path)?;
        match self.client.create_dir(&url).await {
            Ok(()) => Ok(()),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::AlreadyExists | ErrorKind::Refused | ErrorKind::PermissionDenied
                ) =>
            {
                match self.facts(path).await? {
                    Some(facts) if facts.kind == ReportKind::Folder => Ok(()),
                    Some(_) => {
                        let message = "a folder cannot be made: there is a file of that name";
                        Err(Error::new(ErrorKind::NotADirectory, Phase::Command, message)
                            .with_side(Side::Destination)
                            .with_url(&url))
                    }
                    None => Err(error),
                }
            }
            // The connection broke behind the command, perhaps.
            Err(error) if error.may_have_applied() && self.client.exists(&url).await? => Ok(()),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn taken(url: &Url) -> Error {
    let message = "the name is taken, and nothing is to be overwritten";
    Error::new(ErrorKind::AlreadyExists, Phase::Completion, message)
        .with_side(Side::Destination)
        .with_url(url)
}

/// What a listing, or MLST, says in the terms of a transfer.
pub(super) fn facts_of(entry: &Entry) -> Facts {
    let kind = match entry.kind() {
        EntryKind::File => ReportKind::File,
        EntryKind::Dir | EntryKind::CurrentDir | EntryKind::ParentDir => ReportKind::Folder,
        EntryKind::Symlink => ReportKind::Link,
        // A server without a word for it has files, and folders that it calls so.
        EntryKind::Unknown => ReportKind::File,
        EntryKind::Other(_) => ReportKind::Special,
    };
    Facts {
        kind,
        size: entry.size(),
        modified: entry.modified(),
        mode: entry.unix_mode().map(|mode| mode & 0o7777),
    }
}
