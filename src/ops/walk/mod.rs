//! Walks of whole trees: many folders listed at once, in bounded memory, without a way out of the tree.

mod driver;
mod entry;
mod lister;
mod plan;
mod told;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::listing::choices::{Choices, listing_setters};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::options::{DataChannelAuth, ProtectionLevel, Timeouts, TransferMode};
use crate::url::IntoUrl;

pub(super) use driver::Walk;
pub use entry::{NotEntered, WalkEntry};
pub(super) use plan::{Folder, Left};

/// Batches of entries that wait for the consumer.
const BATCHES: usize = 4;

/// Sessions of a walk that cannot use a pipeline.
const SESSIONS: usize = 4;

impl Client {
    /// Walks a tree: everything below a folder, to any depth.
    ///
    /// Lists folders by `MLSD` commands sent up to 128 ahead over one extended-block data channel that stays open, so that a
    /// folder costs no round trip. Where that is not to be had (no GridFTP server, or one that cannot reach this client),
    /// folders are listed by `MLSD` or `LIST` over several sessions at once, each with a connection per folder. Nothing is
    /// sent before the stream is polled; then a task of its own does the work, and stays a bounded number of entries ahead.
    ///
    /// A folder comes before what is in it; apart from that the order is any. The root itself is not shown. Links are shown
    /// and not followed, unless [asked for](WalkStream::follow_links). A folder that is one of those above it, by the mark
    /// that servers give each file, is not entered, and nothing deeper than 256 folders (see [`WalkStream::max_depth`]).
    /// No name leads out of the tree: `..`, an empty one, or one with a slash or NUL in it is an error item, and never part
    /// of a path. A failure of one folder is an error item, and the walk goes on.
    ///
    /// Memory is bounded: 4,096 folders (1 MiB of names) are remembered of any one folder, which is listed again if it holds
    /// more, and folders are taken depth first; so what is held depends on how deep a tree is, not on how large. A folder
    /// that is reached in two ways is shown twice.
    ///
    /// Extended block mode has a risk with servers, or in networks, that you do not trust: see the crate's documentation,
    /// and choose [`TransferMode::Stream`] by [`WalkStream::mode`] for those.
    ///
    /// # Errors
    /// Come as items of the stream: see [`WalkStream::next_entry`].
    ///
    /// # Cancel safety
    /// Dropping the stream ends what it does in the background, and the session if folders are on their way.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// let mut walk = client.walk("gsiftp://data.example.org/run");
    /// let mut bytes = 0;
    /// while let Some(found) = walk.next_entry().await? {
    ///     if found.entry().is_file() {
    ///         bytes += found.entry().size().unwrap_or(0);
    ///     }
    /// }
    /// println!("{bytes} bytes");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_recursive_list`, which loses entries at the stock server (RFC 3659 §7).
    pub fn walk(&self, url: impl IntoUrl) -> WalkStream {
        let walk = Walk {
            choices: Choices::new(self, url),
            follow_links: false,
            max_depth: None,
            sessions: SESSIONS,
            removing: false,
            known: None,
        };
        WalkStream { state: State::New(Box::new(walk)) }
    }
}

/// A walk: made by [`Client::walk`], begun when it is polled first.
///
/// # Cancel safety
/// Dropping it ends what it does in the background, and the session if folders are on their way.
#[must_use = "a walk is begun when it is polled"]
pub struct WalkStream {
    state: State,
}

enum State {
    New(Box<Walk>),
    /// A choice came when it was too late for it.
    Misused,
    Running(Running),
    Over,
}

/// The task that walks, and what it has found so far.
pub(super) struct Running {
    found: mpsc::Receiver<driver::Batch>,
    batch: std::vec::IntoIter<Result<WalkEntry>>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// # Errors
    /// `InvalidInput` outside of a tokio runtime.
    pub(super) fn start(walk: Walk, left: Option<mpsc::UnboundedSender<Left>>) -> Result<Self> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(Error::invalid("a walk was polled outside of a tokio runtime"));
        };
        let (sender, found) = mpsc::channel(BATCHES);
        let span = walk.choices.span("walk");
        let task = runtime.spawn(walk.run(sender, left).instrument(span));
        Ok(Self { found, batch: Vec::new().into_iter(), task })
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<WalkEntry>>> {
        loop {
            if let Some(found) = self.batch.next() {
                return Poll::Ready(Some(found));
            }
            match ready!(self.found.poll_recv(cx)) {
                Some(batch) => self.batch = batch.into_iter(),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl WalkStream {
    fn choose(self, choice: impl FnOnce(&mut Choices)) -> Self {
        self.change(|walk| choice(&mut walk.choices))
    }

    fn change(mut self, change: impl FnOnce(&mut Walk)) -> Self {
        match &mut self.state {
            State::New(walk) => change(walk),
            _ => self.state = State::Misused,
        }
        self
    }

    /// The transmission mode (MODE, RFC 959 §4.1.2). Default: [`TransferMode::Auto`], which is extended block mode for
    /// GridFTP servers that can reach this client, else stream mode.
    ///
    /// What the server does not have then is an error for [`TransferMode::ExtendedBlock`].
    pub fn mode(self, mode: TransferMode) -> Self {
        self.choose(|choices| choices.options.mode = mode)
    }

    listing_setters!();

    /// Whether links to folders are entered. Default: false.
    ///
    /// That is for servers that show what is behind a link, as globus-gridftp-server does; a link that is only told to be
    /// one is never entered. Links lead out of the tree where they like. Loops end where the server gives files unique
    /// marks, and at the greatest depth where it does not.
    pub fn follow_links(self, follow: bool) -> Self {
        self.change(|walk| walk.follow_links = follow)
    }

    /// Folders of that depth are not entered: with 1, only the root is listed. Default: 256, and then it is an error item
    /// for each folder that is left out. At least 1.
    pub fn max_depth(self, depth: usize) -> Self {
        self.change(|walk| walk.max_depth = Some(depth.max(1)))
    }

    /// Sessions that list at the same time where no pipeline is to be had, 1 to 64. Default: 4. The client's limit of
    /// sessions goes before it.
    pub fn sessions(self, sessions: usize) -> Self {
        self.change(|walk| walk.sessions = sessions)
    }

    /// The caller has asked about the root already: it is a folder, and this is what the server knows it by. So the walk does
    /// not ask.
    pub(crate) fn root_is_folder(self, unique: Option<Box<[u8]>>) -> Self {
        self.change(|walk| walk.known = Some(unique))
    }

    /// The next thing that was found. `None` when there is no more.
    ///
    /// # Errors
    /// Each is about one folder, one name or one line of a listing, named by the URL of the folder: what
    /// [`ListStream::next_entry`](crate::ListStream::next_entry) tells; [`Protocol`](crate::ErrorKind::Protocol) for a name
    /// that cannot be one, [`Unsupported`](crate::ErrorKind::Unsupported) for one that cannot be sent (a control byte in it)
    /// and for a folder that is too deep. The next call goes on. An error of the whole walk, such as a login that failed,
    /// or [`NotADirectory`](crate::ErrorKind::NotADirectory) for a root that is a file, is followed by `None`; when
    /// connections are lost for good, each folder that was not listed is an error item.
    ///
    /// # Cancel safety
    /// Cancel safe: what was found is either returned or comes with the next call.
    pub async fn next_entry(&mut self) -> Result<Option<WalkEntry>> {
        std::future::poll_fn(|cx| self.poll_found(cx)).await.transpose()
    }

    fn poll_found(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<WalkEntry>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::New(walk) => match Running::start(*walk, None) {
                    Ok(running) => self.state = State::Running(running),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                State::Misused => {
                    let message = "a choice was made after the walk had begun; expected all of them before it is polled first";
                    return Poll::Ready(Some(Err(Error::invalid(message))));
                }
                State::Running(mut running) => {
                    let found = running.poll_next(cx);
                    if !matches!(found, Poll::Ready(None)) {
                        self.state = State::Running(running);
                    }
                    return found;
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }
}

impl Stream for WalkStream {
    type Item = Result<WalkEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_found(cx)
    }
}

impl fmt::Debug for WalkStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::New(_) => "new",
            State::Misused => "misused",
            State::Running(_) => "running",
            State::Over => "over",
        };
        f.debug_struct("WalkStream").field("state", &state).finish_non_exhaustive()
    }
}
