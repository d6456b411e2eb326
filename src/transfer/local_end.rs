//! The end of a transfer that is on this machine.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::Facts;
use super::local::{self, Root};
use crate::error::{Error, ErrorKind, Phase, Result, Side};

/// A file or folder of this machine that everything is below.
#[derive(Debug)]
pub(super) struct LocalEnd {
    /// The file or folder itself.
    pub(super) root: PathBuf,
    /// What is written to, once it is there: the folder, or that of the file.
    written: Option<Arc<Root>>,
    /// The name of the file in it, where it is a file.
    single: Option<Vec<u8>>,
}

impl LocalEnd {
    /// To be read.
    pub(super) fn source(root: PathBuf) -> Self {
        Self { root, written: None, single: None }
    }

    /// A folder to be written to.
    pub(super) fn folder(path: PathBuf, root: Root) -> Self {
        Self { root: path, written: Some(Arc::new(root)), single: None }
    }

    /// A file to be written.
    pub(super) fn file(path: PathBuf, folder: Root, name: Vec<u8>) -> Self {
        Self { root: path, written: Some(Arc::new(folder)), single: Some(name) }
    }

    /// Of what is below it.
    pub(super) fn path(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(OsStr::from_bytes(path)) }
    }

    /// Where that is written: the folder, and the path in it.
    pub(super) fn target(&self, path: &[u8]) -> Result<(Arc<Root>, Vec<u8>)> {
        let root = self.written.clone().ok_or_else(|| {
            let message = "a local source was to be written to";
            Error::new(ErrorKind::Internal, Phase::LocalFile, message)
        })?;
        Ok((root, self.single.clone().unwrap_or_else(|| path.to_vec())))
    }

    /// Runs what blocks, with where to write.
    pub(super) async fn at<T: Send + 'static>(
        &self,
        path: &[u8],
        work: impl FnOnce(&Root, &[u8]) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (root, path) = self.target(path)?;
        blocking(move || work(&root, &path)).await
    }

    /// What is there at the destination.
    pub(super) async fn facts(&self, path: &[u8]) -> Result<Option<Facts>> {
        self.at(path, |root, path| Ok(root.facts(path)?.map(of_local))).await
    }
}

pub(super) fn of_local(facts: local::Facts) -> Facts {
    Facts { kind: facts.kind, size: Some(facts.size), modified: Some(facts.modified), mode: Some(facts.mode) }
}

/// Runs what blocks on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let ended = |_| {
        Error::new(ErrorKind::Internal, Phase::LocalFile, "a thread for local files ended before its time")
            .with_side(Side::Local)
    };
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}
