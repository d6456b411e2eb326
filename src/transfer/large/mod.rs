//! Files that go by themselves: large ones, those of which a part is there, and all where no pipeline is to be had.

mod between;
mod copy;
mod crew;
mod download;
mod pour;
mod relay;
mod upload;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::job::Job;
use super::local::temporary_name;
use super::queue::Item;
use super::{End, Route};
use crate::error::{Error, ErrorKind, Phase, Side, TimeoutKind};
use crate::types::Checksum;

/// A file that is whole, checked, and under its name.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) bytes: u64,
    pub(super) checksum: Option<Checksum>,
}

/// An attempt that did not succeed.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) error: Error,
    /// It brought bytes that the next attempt can build upon.
    pub(super) new_bytes: bool,
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self { error, new_bytes: false }
    }
}

/// A file in which others can join.
pub(super) trait Shared: fmt::Debug + Send + Sync {
    /// Whether there is something to do for one more.
    fn has_room(&self) -> bool;

    /// Leaves most of what is to be moved to somebody else, who does it in another way.
    fn hand_over(&self) {}

    /// Moves pieces as long as there are some.
    fn help(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Moves one file, and says what became of it.
pub(super) async fn alone(job: &Arc<Job>, mut item: Item) {
    let device = matches!(&job.to, End::Remote(to) if to.is_device(&item.path));
    let moved = match job.route {
        Route::Upload if device => upload::into_device(job, &mut item).await,
        _ if device => Err(no_device().into()),
        Route::Download => download::download(job, &mut item).await,
        Route::Upload => upload::upload(job, &mut item).await,
        Route::Between => between::between(job, &mut item).await,
        Route::Relay => relay::relay(job, &mut item).await,
        Route::Local => copy::copy(job, &mut item).await,
    };
    match moved {
        Ok(Moved { bytes, checksum }) => job.copied(&item, bytes, checksum),
        Err(Broken { error, new_bytes }) => {
            if let Some(mut item) = job.again(item, &error, new_bytes) {
                discard_half(job, &mut item).await;
                job.gave_up(&item, error);
            }
        }
    }
}

/// Removes what there is of a file that is not tried again, unless a journal remembers it for a later run.
pub(super) async fn discard_half(job: &Job, item: &mut Item) {
    if job.keeps_halves() || item.half.take().is_none() {
        return;
    }
    match &job.to {
        End::Local(to) => {
            let tag = job.tag;
            let removing = to.at(&item.path, move |root, path| {
                let begin = path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
                let temporary = temporary_name(&path[begin..], tag);
                root.remove_file(&[&path[..begin], &temporary].concat())
            });
            if let Err(error) = removing.await
                && error.kind() != ErrorKind::NotFound
            {
                tracing::warn!(%error, "a half file may be left");
            }
        }
        End::Remote(to) => {
            if let Ok(temporary) = to.temporary(&item.path, job.tag) {
                to.remove_temporary(&temporary).await;
            }
        }
    }
}

fn no_device() -> Error {
    let message = "a device at a server is written to from a local file only";
    Error::new(ErrorKind::Unsupported, Phase::Input, message).with_side(Side::Destination)
}

/// The mode of data channels for a file from or to a server, where its blocks are to come in order or not.
fn in_order(job: &Job) -> bool {
    job.channels.in_order()
}

/// Whether what there is of a file is of no use after that error.
fn spoils(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ChecksumMismatch | ErrorKind::Truncated | ErrorKind::NotFound | ErrorKind::NoSpace
    )
}

fn differs(what: &'static str, source: &Checksum, copy: &Checksum) -> Error {
    let message = format!("{what}: the source's checksum is {source}, that of the copy {copy}");
    Error::new(ErrorKind::ChecksumMismatch, Phase::Verify, message).with_side(Side::Destination)
}

/// The source is not what it was when it was planned.
fn changed(was: Option<u64>, is: Option<u64>) -> Error {
    let shown =
        |size: Option<u64>| size.map_or_else(|| "an unknown size".to_owned(), |size| format!("{size} bytes"));
    let message =
        format!("the source changed while it was copied: it had {}, and has {} now", shown(was), shown(is));
    Error::new(ErrorKind::Truncated, Phase::Verify, message).with_side(Side::Source)
}

/// Whether the channels may be to blame, rather than the file.
fn is_about_channels(error: &Error) -> bool {
    let kind = match error.kind() {
        ErrorKind::Connect | ErrorKind::ConnectionLost | ErrorKind::Refused | ErrorKind::Unsupported => true,
        ErrorKind::Timeout(kind) => kind != TimeoutKind::Total,
        _ => false,
    };
    kind && error.phase() != Phase::LocalFile
}
