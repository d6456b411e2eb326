//! A file on its way into a pipeline of puts.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::client::{Claim, Client};
use crate::data::put::is_device;
use crate::error::{Error, Result};
use crate::protocol::time::format_time;
use crate::session::put_many::{Item, Keeper};
use crate::types::{Checksum, ChecksumAlgorithm};
use crate::url::Url;

/// Files on their way at a time: those that are sent ahead, and as many that wait for their names.
const FILES: usize = 400;

/// Contents on their way at a time, in KiB. They are in memory until their files are stored.
const KIB: u32 = 32 * 1024;

/// One file for [`PutManySender::send`](crate::PutManySender::send).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PutFile {
    /// Where it goes. An old file of this name is replaced when the new one is stored.
    pub url: Url,
    /// All of it.
    pub contents: Bytes,
    /// Unix permission bits (SITE CHMOD), up to `0o7777`. Default: the server's choice.
    pub mode: Option<u32>,
    /// When it was last changed (MFMT, or SITE UTIME where the server has no MFMT), in whole seconds. Default: now, by the
    /// server's clock.
    pub modified: Option<SystemTime>,
    /// What the contents' checksum is, to be compared with what the server computes, if [`PutManyBuilder::checksum`] says
    /// so. Default: none, and no comparison.
    ///
    /// [`PutManyBuilder::checksum`]: crate::PutManyBuilder::checksum
    pub checksum: Option<Checksum>,
}

impl PutFile {
    /// A file with these contents.
    pub fn new(url: Url, contents: impl Into<Bytes>) -> Self {
        Self { url, contents: contents.into(), mode: None, modified: None, checksum: None }
    }

    /// Sets [`PutFile::mode`].
    pub fn mode(mut self, mode: impl Into<Option<u32>>) -> Self {
        self.mode = mode.into();
        self
    }

    /// Sets [`PutFile::modified`].
    pub fn modified(mut self, time: impl Into<Option<SystemTime>>) -> Self {
        self.modified = time.into();
        self
    }

    /// Sets [`PutFile::checksum`].
    pub fn checksum(mut self, checksum: impl Into<Option<Checksum>>) -> Self {
        self.checksum = checksum.into();
        self
    }
}

/// What is kept with a file on its way.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) index: u64,
    pub(super) url: Url,
    /// Until the outcome: what earlier transfers to this name have left is deleted before, or not at all.
    pub(super) claim: Claim,
    _file: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Keeper for Held {
    fn may_delete(&self) -> bool {
        self.claim.deletion().is_some()
    }
}

/// What there is room for, and who is let in.
#[derive(Debug)]
pub(super) struct Room {
    client: Client,
    server: Url,
    checksum: Option<ChecksumAlgorithm>,
    claim_limit: Duration,
    files: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    /// Why no file is taken any more, if that is an error.
    failed: OnceLock<Error>,
}

impl Room {
    pub(super) fn new(
        client: Client,
        server: Url,
        checksum: Option<ChecksumAlgorithm>,
        claim_limit: Duration,
    ) -> Self {
        let (files, kib) = (Arc::new(Semaphore::new(FILES)), Arc::new(Semaphore::new(KIB as usize)));
        Self { client, server, checksum, claim_limit, files, kib, failed: OnceLock::new() }
    }

    /// Waits for room. The waits end when the task does, all of whose own waits have limits.
    pub(super) async fn admit(&self, index: u64, file: PutFile) -> Result<Item<Held>> {
        let PutFile { url, contents, mode, modified, checksum } = file;
        let path = Bytes::copy_from_slice(&self.client.server_path(&url));
        self.check(&url, &path, mode)?;
        let modified = modified.map(format_time).transpose()?;
        if let (Some(wanted), Some(checksum)) = (&self.checksum, &checksum)
            && checksum.algorithm() != wanted
        {
            let message = format!("the checksum {checksum}: expected one of the algorithm {wanted}");
            return Err(Error::invalid(message));
        }
        let kib = u32::try_from(contents.len().div_ceil(1024)).unwrap_or(u32::MAX).min(KIB);
        let file = Arc::clone(&self.files).acquire_owned().await.map_err(|_| self.ended())?;
        let bytes = Arc::clone(&self.kib).acquire_many_owned(kib).await.map_err(|_| self.ended())?;
        let claim = Claim::within(self.claim_limit, &url, &path).await?;
        let held = Held { index, url, claim, _file: file, _bytes: bytes };
        Ok(Item::new(held, path, contents).with_attributes(mode, modified).with_checksum(checksum))
    }

    fn check(&self, url: &Url, path: &Bytes, mode: Option<u32>) -> Result<()> {
        let server = &self.server;
        if url.endpoint() != server.endpoint() || url.user() != server.user() {
            let message = format!(
                "a pipeline is of one server; expected {}, got {}",
                server.endpoint(),
                url.endpoint()
            );
            return Err(Error::invalid(message));
        }
        if let Some(mode) = mode.filter(|&mode| mode > 0o7777) {
            return Err(Error::invalid(format!("the mode {mode:#o}: expected permission bits up to 0o7777")));
        }
        if is_device(path) {
            // A file would take the device's place.
            return Err(Error::invalid("a name below /dev: expected one where files can be exchanged"));
        }
        Ok(())
    }

    /// No file is let in any more.
    pub(super) fn finish(&self) {
        self.files.close();
        self.kib.close();
    }

    /// No file is let in any more, for this reason.
    pub(super) fn fail(&self, error: &Error) {
        // The first one counts.
        let _ = self.failed.set(error.clone());
        self.finish();
    }

    /// Why.
    pub(super) fn ended(&self) -> Error {
        let over =
            || Error::invalid("the pipeline takes no more files: its input was finished, or it was dropped");
        self.failed.get().cloned().unwrap_or_else(over)
    }
}
