//! Many files to one server through one pipeline.

mod file;
mod run;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::IntoFuture;
use std::hash::BuildHasher as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender, WeakUnboundedSender};
use tracing::{Instrument as _, Span};

use crate::client::{Client, Exclusive};
use crate::credential::Credential;
use crate::data::PutSummary;
use crate::data::choices::{Boxed, Choices, connection_setters};
use crate::data::unseen::Unseen;
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::options::{DataChannelAuth, ProtectionLevel, Timeouts, TransferMode};
use crate::session::put_many::{Manner, Uploads};
use crate::session::watch::{died, within};
use crate::types::{ChecksumAlgorithm, FeatureSet};
use crate::url::{IntoUrl, Url};

pub use file::PutFile;
use file::{Held, Room};
use run::Run;

/// What goes to the task: a file, or the word that none follows.
type Input = Option<crate::session::put_many::Item<Held>>;

/// A pipeline of puts to be started: made by [`Client::put_many`], started by `.await`.
#[derive(Debug, Clone)]
#[must_use = "a pipeline is started by `.await`"]
pub struct PutManyBuilder {
    choices: Choices,
    checksum: Option<ChecksumAlgorithm>,
    replace: bool,
    tag: Option<Arc<str>>,
}

impl PutManyBuilder {
    connection_setters!();

    /// The checksum that the server computes of each stored file that comes with [one](PutFile::checksum): CKSM (GFD.47),
    /// sent behind its STOR, so that it costs no round trip. A file whose checksum is another one does not get its name.
    /// Default: none.
    pub fn checksum(mut self, algorithm: impl Into<Option<ChecksumAlgorithm>>) -> Self {
        self.checksum = algorithm.into();
        self
    }

    /// Whether an old file is deleted (DELE) where the server refuses to rename over it, as dCache does. Without it that
    /// refusal is the file's error, `AlreadyExists`; servers that rename over files, as globus-gridftp-server does, do so in
    /// either case. Default: true.
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Part of the names of temporary files, for a caller who finds what a killed process has left by it.
    pub(crate) fn tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        self.tag = Some(tag.into());
        self
    }
}

impl IntoFuture for PutManyBuilder {
    type Output = Result<PutMany>;
    type IntoFuture = Boxed<PutMany>;

    fn into_future(self) -> Self::IntoFuture {
        let watched = self.choices.watched("put_many");
        let span = watched.span();
        Box::pin(watched.start(PutMany::start(self, span)))
    }
}

impl Client {
    /// Stores many files on one server over one connection, without waiting between them.
    ///
    /// `server` is any URL of the server: only its host, port and user count. On the wire: one PASV, then a STOR for each
    /// file with its SIZE (and CKSM, SITE CHMOD, MFMT or SITE UTIME, where asked for), up to 200 files ahead of the
    /// replies, and the contents behind one another over one data channel in extended block mode that stays open (GFD.20),
    /// so that a small file costs no round trip. Nothing on the channel says which file is which, and a server that refuses
    /// one STOR would store all that follow under wrong names. So files are stored under temporary names in their folders
    /// (`.gridftp-…`) and renamed (RNFR, RNTO) when their own transfer and all before it were confirmed and the sizes are
    /// right; after an irregularity whatever may be affected is sent again, for which contents are kept until then. A name
    /// holds the old file or the whole new one (or none for a moment, where an old file must be [deleted](PutManyBuilder::replace)
    /// first).
    ///
    /// Files are fed by a [`PutManySender`] while outcomes are taken from the [`PutMany`]. It may be left open with nothing
    /// to do: after five seconds its session serves others, and it takes another one when the next file comes.
    ///
    /// # Errors
    /// `Unsupported` from servers without extended block mode, as plain FTP servers are, and from those without the
    /// [checksum](PutManyBuilder::checksum) that was asked for; what a login and setting up a data channel can fail with.
    /// Each file has its own result, see [`PutMany::next_outcome`].
    ///
    /// # Cancel safety
    /// Dropping the future does nothing. Dropping the [`PutMany`] ends what is on its way and deletes the temporary files in
    /// the background, which needs the runtime and the server.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> gridftp::Result<()> {
    /// use gridftp::{PutFile, Url};
    ///
    /// let client = gridftp::Client::new()?;
    /// let mut many = client.put_many("gsiftp://dtn.example.org/").await?;
    /// let sender = many.sender();
    /// tokio::spawn(async move {
    ///     for n in 0..10_000 {
    ///         let url: Url = format!("gsiftp://dtn.example.org/data/part{n}").parse()?;
    ///         let contents = format!("contents {n}");
    ///         sender.send(n, PutFile::new(url, contents).mode(0o640)).await?; // waits for room
    ///     }
    ///     gridftp::Result::<()>::Ok(()) // the sender is gone: no more files
    /// });
    /// while let Some(outcome) = many.next_outcome().await {
    ///     if let Err(error) = outcome.result {
    ///         eprintln!("{error}"); // this file's own; the others go on
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_handleattr_set_pipeline`, which does not work for puts, and stores files under each
    /// other's names when one is refused.
    pub fn put_many(&self, server: impl IntoUrl) -> PutManyBuilder {
        let mut choices = Choices::new(self, server);
        choices.options.mode = TransferMode::ExtendedBlock;
        PutManyBuilder { choices, checksum: None, replace: true, tag: None }
    }
}

/// What became of one file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PutManyOutcome {
    /// The number that [`PutManySender::send`] was given with it.
    pub index: u64,
    /// The file's URL.
    pub url: Url,
    /// What is stored under the file's name; or why it is not.
    pub result: Result<PutSummary>,
    /// Whether permissions and time were set as asked for, where the file is stored. A file whose attributes could not be
    /// set is stored all the same.
    pub attributes: Result<()>,
}

/// Many files on their way to one server. They move whether or not anybody looks.
///
/// Outcomes that are not taken are kept, without a limit: take them while files are sent.
///
/// # Cancel safety
/// Dropping it ends what is on its way, and temporary files are deleted in the background. What was reported is there; the
/// last files before that may be there as well.
pub struct PutMany {
    outcomes: UnboundedReceiver<PutManyOutcome>,
    /// Until the first sender is made: without any, no file would come.
    first: Mutex<Option<UnboundedSender<Input>>>,
    others: WeakUnboundedSender<Input>,
    room: Arc<Room>,
}

impl PutMany {
    async fn start(mut builder: PutManyBuilder, span: Span) -> Result<Self> {
        let url = builder.choices.checked()?;
        let PutManyBuilder { choices, checksum, replace, tag } = builder;
        let deadline = choices.deadline();
        let first = within(deadline, Self::first_session(&choices, &url, checksum.as_ref()));
        let lease = first.await.map_err(|error| error.with_url(&url))?;
        // Not a secret, only something that nobody else has.
        let random = || format!("{:016x}", RandomState::new().hash_one(std::process::id())).into();
        let tag: Arc<str> = tag.unwrap_or_else(random);
        let manner = Manner {
            checksum: checksum.clone(),
            replace,
            options: choices.options.clone(),
            limits: choices.limits(),
            checksum_limit: choices.timeouts.checksum_limit(),
        };
        let (input, files) = mpsc::unbounded_channel();
        let (sender, outcomes) = mpsc::unbounded_channel();
        let room = Arc::new(Room::new(choices.client.clone(), url.clone(), checksum, choices.limits().reply));
        let unseen = Unseen::of_many(&url, format!(".gridftp-{tag}-*"));
        let run =
            Run::new(Uploads::new(files, tag, manner), choices, url, sender, Arc::clone(&room), deadline);
        let running = async move {
            run.run(lease).await;
            unseen.seen();
        };
        tokio::spawn(running.instrument(span));
        let others = input.downgrade();
        Ok(Self { outcomes, first: Mutex::new(Some(input)), others, room })
    }

    /// A session on which extended block mode is known to work, and the checksum to be there.
    async fn first_session(
        choices: &Choices,
        url: &Url,
        checksum: Option<&ChecksumAlgorithm>,
    ) -> Result<Exclusive> {
        loop {
            let mut lease = choices.client.exclusive(url, &choices.session).await?;
            if let Some(algorithm) = checksum {
                check_algorithm(&lease.features, algorithm)?;
            }
            // If this is dropped now, nobody knows what the server has been told.
            lease.mark_broken();
            match lease.make_ready_for_puts(&choices.options).await {
                Ok(()) => {
                    lease.mark_clean();
                    return Ok(lease);
                }
                Err(error) if lease.is_reused() && died(&error) => {
                    tracing::debug!(%error, "a session of the pool was dead, trying another one");
                }
                Err(error) => {
                    if lease.control.is_open() && !error.is_transient() {
                        lease.mark_clean();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// What files are sent by; any number of them. When all are dropped, no file follows, and outcomes end with the last
    /// one's.
    ///
    /// After [`finish_input`](PutMany::finish_input), or when all others are dropped, it is of no use any more: its `send` is
    /// an error.
    pub fn sender(&self) -> PutManySender {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        PutManySender { input: first.or_else(|| self.others.upgrade()), room: Arc::clone(&self.room) }
    }

    /// No file follows, whoever still has a sender: their `send` is an error from now on. What was sent before goes on.
    pub fn finish_input(&mut self) {
        self.room.finish();
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(input) = first.or_else(|| self.others.upgrade()) {
            // A task that has ended needs to be told nothing.
            let _ = input.send(None);
        }
    }

    /// What became of the next file, in the order in which it is known. `None` when no file follows and that of every file
    /// was told.
    ///
    /// A file's error is `NotFound`, `PermissionDenied`, `NoSpace` and other refusals; `Unsupported` for a name that this
    /// server cannot be told; `ChecksumMismatch` and `Truncated` when that happened three times; and `ConnectionLost` or
    /// `Timeout` when sessions were lost three times without a file in between, or what a login can fail with: then every
    /// file that is left has it, and no more can be sent.
    ///
    /// # Cancel safety
    /// Cancel safe: an outcome that was not returned is returned by the next call.
    pub async fn next_outcome(&mut self) -> Option<PutManyOutcome> {
        self.outcomes.recv().await
    }
}

impl Stream for PutMany {
    type Item = PutManyOutcome;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PutManyOutcome>> {
        self.outcomes.poll_recv(cx)
    }
}

impl fmt::Debug for PutMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutMany").field("room", &self.room).finish_non_exhaustive()
    }
}

/// Where files are sent to a [`PutMany`]. Clones send to the same one.
#[derive(Debug, Clone)]
pub struct PutManySender {
    input: Option<UnboundedSender<Input>>,
    room: Arc<Room>,
}

impl PutManySender {
    /// Sends a file; waits for room first. `index` is the caller's own number for it, and comes back with its outcome.
    ///
    /// At most 400 files and 32 MiB of contents (one file, if it is larger) are on their way at a time, from here until their
    /// outcome is known. Where an earlier transfer to the same name is being cleaned up, that is waited for.
    ///
    /// # Errors
    /// `InvalidInput` for the URL of another server or user, a mode above `0o7777`, a year outside 1601 to 9999, a checksum
    /// of another algorithm than the [one](PutManyBuilder::checksum) that was chosen, a name below `/dev`, where files
    /// cannot be exchanged, and after the end of the input; `Timeout(Reply)` when the cleaning up did not end; and the
    /// error with which all ended, if it did. Then there is no outcome for the file.
    ///
    /// # Cancel safety
    /// Dropping the future sends nothing.
    pub async fn send(&self, index: u64, file: PutFile) -> Result<()> {
        let url = file.url.clone();
        self.try_send(index, file).await.map_err(|error| error.with_url(&url))
    }

    async fn try_send(&self, index: u64, file: PutFile) -> Result<()> {
        let item = self.room.admit(index, file).await?;
        let Some(input) = &self.input else { return Err(self.room.ended()) };
        input.send(Some(item)).map_err(|_| self.room.ended())
    }
}

fn check_algorithm(features: &FeatureSet, algorithm: &ChecksumAlgorithm) -> Result<()> {
    let there = features.cksm()
        && (features.checksums().next().is_none()
            || features.checksums().any(|name| name.eq_ignore_ascii_case(algorithm.as_str())));
    if there {
        return Ok(());
    }
    let message = format!("the server does not compute {algorithm} checksums (CKSM)");
    Err(Error::new(ErrorKind::Unsupported, Phase::Command, message).with_side(Side::Server))
}
