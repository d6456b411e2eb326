//! Many RETRs, or MLSDs, over one extended-block set: commands are sent far ahead, and every file's data is told from the
//! next one's. What is said of files here goes for listings too.
//!
//! What makes it safe (control semantics §4): a run is queued at the port only when *its* file was accepted, so that data
//! which overtakes replies waits unread; a refused RETR takes nothing from the channel; after an error behind an acceptance
//! the set is closed, all replies are awaited, and what is left is asked for again on a fresh set.

mod ask;
mod current;
mod owed;
mod reach;

use std::collections::VecDeque;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use crate::channel::ReadRun;
use crate::engine::Failure;
use crate::error::{Error, ErrorKind, Phase, Reply, Result};
use crate::options::DataOptions;
use crate::session::channel::Ready;
use crate::session::watch::Limits;
use crate::session::{PendingReply, Session};
use current::{Current, Stop};
use owed::{Heard, hear_out};
use reach::Wait;

/// Files asked for ahead of the one that is read. With their SIZE commands this stays below the 512 that a server queues.
const AHEAD: usize = 200;

/// Accepted files whose runs wait at the port.
const RUNS_AHEAD: usize = 16;

/// How long a server's answers are waited for that has let a deadline pass already.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How often what is left is asked for again after the set was lost.
const RESTARTS: usize = 3;

/// How often a refusal without a reason makes what is left be asked for again on a fresh set.
const DOUBTS: usize = 3;

/// One file of a pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// The caller's number for it.
    pub(crate) index: usize,
    /// The path as the server takes it.
    pub(crate) path: Bytes,
}

/// A pipeline of gets, or of listings, on one session.
#[derive(Debug)]
pub(crate) struct Pipeline {
    what: What,
    waiting: VecDeque<Item>,
    asked: VecDeque<Asked>,
    ready: Option<Ready>,
    options: DataOptions,
    limits: Limits,
    restarts: usize,
    doubts: usize,
    /// The file that is being read.
    current: Option<Current>,
    wait: Wait,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Files {
        check_sizes: bool,
        /// A file has ended, so the server reaches this client.
        proven: bool,
        /// As with listings.
        fall_back: bool,
    },
    /// Listings. Until the first one has ended nobody knows whether the server reaches this client at all: a failure of
    /// the set is told at once then, instead of being tried again.
    Listings {
        proven: bool,
        /// The same can be had in another way, so a server that does not connect is not waited for to the last.
        fall_back: bool,
    },
}

impl What {
    /// Listings are handed on as they come: a server may put all of one into a single block, and there is something to be done
    /// about its first lines while the others are on their way.
    fn run(self, ready: &Ready) -> ReadRun {
        match self {
            Self::Files { .. } => ready.port.read(ready.window_blocks()),
            Self::Listings { .. } => ready.port.read_as_it_comes(ready.window_blocks()),
        }
    }
}

/// A file that was asked for.
#[derive(Debug)]
struct Asked {
    item: Item,
    size: Option<PendingReply>,
    transfer: PendingReply,
    /// What the first reply was, once it is there: an accepted file has its run, every other one its error.
    first: Option<Result<ReadRun>>,
}

/// What comes next from a pipeline.
#[derive(Debug)]
pub(crate) enum Next {
    /// A file begins.
    File(usize),
    /// A file is not to be had; the others go on.
    Refused(usize, Error),
}

impl Pipeline {
    pub(crate) fn new(
        items: VecDeque<Item>,
        options: DataOptions,
        limits: Limits,
        check_sizes: bool,
    ) -> Self {
        Self {
            what: What::Files { check_sizes, proven: false, fall_back: false },
            waiting: items,
            asked: VecDeque::new(),
            ready: None,
            options,
            limits,
            restarts: RESTARTS,
            doubts: DOUBTS,
            current: None,
            wait: Wait::default(),
        }
    }

    /// A pipeline of MLSDs, to which folders are [added](Self::push) as they become known.
    ///
    /// One that others may take over from ends soon if the server does not connect, and is [unreached](Self::unreached) then.
    pub(crate) fn listings(options: DataOptions, limits: Limits, fall_back: bool) -> Self {
        let what = What::Listings { proven: false, fall_back };
        Self { what, ..Self::new(VecDeque::new(), options, limits, false) }
    }

    /// Whether files can be had in another way, so that a server that does not connect is not waited for to the last: the
    /// pipeline is [unreached](Self::unreached) then.
    pub(crate) fn fall_back(&mut self, can: bool) {
        if let What::Files { fall_back, .. } = &mut self.what {
            *fall_back = can;
        }
    }

    /// One more to be asked for, after those that wait already.
    pub(crate) fn push(&mut self, item: Item) {
        self.waiting.push_back(item);
    }

    /// Whether a listing has ended well, so that data channels are known to work.
    pub(crate) fn is_proven(&self) -> bool {
        !matches!(self.what, What::Listings { proven: false, .. })
    }

    /// Whether a file that just failed is going to be asked for again.
    pub(crate) fn will_repeat(&self, index: usize) -> bool {
        self.waiting.front().is_some_and(|item| item.index == index)
    }

    /// The next file. What is left of the one before is read and thrown away.
    ///
    /// An error ends the pipeline: it is the session's, not a file's. [`Self::left`] then tells what was not finished.
    pub(crate) async fn next_file(&mut self, session: &mut Session) -> Result<Option<Next>> {
        self.hold_from(u64::MAX);
        while self.current.is_some() {
            match self.next_block(session).await {
                Ok(Some(_)) | Ok(None) => {}
                // The caller gave that file up; only a broken session matters.
                Err(error) if !session.control.is_open() => return Err(error),
                Err(_) => {}
            }
        }
        loop {
            self.refill(session).await?;
            self.start_runs();
            let Some(mut asked) = self.asked.pop_front() else { return Ok(None) };
            let index = asked.item.index;
            let first = match asked.first.take() {
                Some(first) => first,
                None => match self.reached_reply(&mut asked.transfer).await {
                    Some(first) => first,
                    None => {
                        self.asked.push_front(asked);
                        return Err(self.never_reached());
                    }
                },
            };
            match first {
                Ok(run) => {
                    asked.transfer.within(None);
                    self.current = Some(Current::new(asked, run, self.what));
                    return Ok(Some(Next::File(index)));
                }
                Err(error) if is_lost(session, &error) || self.is_out_of_reach(&error) => {
                    // It was not answered, or could not be done: the next session is asked for it again.
                    self.asked.push_front(asked);
                    return Err(error);
                }
                Err(error) if self.is_doubtful(&error) => {
                    tracing::debug!(%error, "a file was refused without a reason");
                    self.doubts -= 1;
                    let mut behind = self.put_back();
                    self.waiting.push_front(asked.item);
                    let limit = self.limits.reply;
                    let hear = hear_out(session, None, &mut behind, limit);
                    // All of them together: each could be put off by preliminary replies.
                    let Ok(heard) = tokio::time::timeout(limit, hear).await else {
                        session.control.quit();
                        return Err(self.limits.not_ended());
                    };
                    heard.map_err(Heard::into_error)?;
                }
                Err(error) => return Ok(Some(Next::Refused(index, error))),
            }
        }
    }

    /// Whether a refusal may be about the data channels instead of the file: globus-gridftp-server says "500 Command failed"
    /// to all that was asked for when its connection broke before the first byte.
    fn is_doubtful(&self, error: &Error) -> bool {
        self.doubts > 0
            && matches!(self.what, What::Files { .. })
            && matches!(error.kind(), ErrorKind::Refused | ErrorKind::ConnectionLost)
    }

    /// All that was asked for waits again, and the set is closed. The answers are still to be [heard](hear_out).
    fn put_back(&mut self) -> VecDeque<Asked> {
        let asked = std::mem::take(&mut self.asked);
        for asked in asked.iter().rev() {
            self.waiting.push_front(asked.item.clone());
        }
        // Without runs and port the connections are closed; the server then ends what it had accepted.
        self.ready = None;
        asked
    }

    /// The next block of the current file; None at its confirmed end.
    pub(crate) async fn next_block(&mut self, session: &mut Session) -> Result<Option<(u64, Bytes)>> {
        loop {
            let reach_by = self.reach_by();
            let Some(current) = &mut self.current else { return Ok(None) };
            let port = self.ready.as_ref().map(|ready| &ready.port);
            match current.step(self.limits, reach_by.zip(port)).await {
                Ok(Some(block)) => return Ok(Some(block)),
                Ok(None) => {
                    self.current = None;
                    let (What::Listings { proven, .. } | What::Files { proven, .. }) = &mut self.what;
                    *proven = true;
                    // Whoever is next can flow while the caller looks at this one.
                    self.start_runs();
                    return Ok(None);
                }
                Err(Stop::File(error)) => {
                    let current = self.current.take();
                    if is_lost(session, &error) {
                        self.keep(current);
                    }
                    return Err(error);
                }
                Err(Stop::Step(error)) => {
                    let current = self.current.take();
                    // Another session is asked for what was asked for behind it.
                    self.restart();
                    session.control.quit();
                    self.keep(current);
                    return Err(error);
                }
                Err(Stop::Unreached) => {
                    let current = self.current.take();
                    self.keep(current);
                    return Err(self.never_reached());
                }
                Err(Stop::Set(error)) if !self.is_proven() => {
                    let current = self.current.take();
                    self.keep(current);
                    return Err(error);
                }
                Err(Stop::Set(error)) => self.recover(session, error).await?,
            }
        }
    }

    /// A listing of which nothing was shown is asked for again when the session was lost under it.
    fn keep(&mut self, current: Option<Current>) {
        let again =
            matches!(self.what, What::Listings { .. } | What::Files { fall_back: true, proven: false, .. });
        if let (true, Some(current)) = (again, current)
            && !current.shown
        {
            self.waiting.push_front(current.item);
        }
    }

    /// Keeps the pipeline full: makes the set if there is none, sends commands ahead.
    async fn refill(&mut self, session: &mut Session) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if self.ready.is_none() {
            self.make_set(session).await?;
        }
        // Asked for in batches: a command a file, as each file ends, would be a system call each.
        if self.asked.len() > AHEAD / 2 {
            return Ok(());
        }
        let ahead = AHEAD.min(session.control.window());
        let count = (ahead - self.asked.len().min(ahead)).min(self.waiting.len());
        let items: Vec<_> = self.waiting.drain(..count).collect();
        let mut replies = Vec::with_capacity(2 * items.len());
        // A name that this server cannot be told is refused with all commands that go along, so it goes alone.
        for group in items.chunk_by(|one, next| one.path.is_ascii() && next.path.is_ascii()) {
            let mut commands = Vec::with_capacity(2 * group.len());
            for item in group {
                commands.extend(self.questions(session, item)?);
            }
            replies.extend(session.control.send_all(commands));
        }
        let mut replies = replies.into_iter();
        for item in items {
            self.note_asked(session, item, &mut replies);
        }
        Ok(())
    }

    /// Queues runs for the files whose acceptance has been read already, in order, without waiting.
    fn start_runs(&mut self) {
        let Some(ready) = &self.ready else { return };
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for asked in self.asked.iter_mut().take(RUNS_AHEAD) {
            #[cfg(test)]
            if asked.first.is_none() && crate::hooks::without("a run for an accepted file") {
                asked.first = Some(Ok(self.what.run(ready)));
            }
            if asked.first.is_some() {
                continue;
            }
            match asked.transfer.poll_next(&mut cx) {
                Poll::Ready(Ok(reply)) if reply.is_preliminary() => {
                    asked.first = Some(Ok(self.what.run(ready)));
                }
                Poll::Ready(Ok(reply)) => asked.first = Some(Err(refusal(reply))),
                Poll::Ready(Err(error)) => asked.first = Some(Err(error)),
                Poll::Pending => return,
            }
        }
    }

    async fn first_reply(&self, transfer: &mut PendingReply) -> Result<ReadRun> {
        let reply = transfer.next().await?;
        if !reply.is_preliminary() {
            return Err(refusal(reply));
        }
        let no_set = || Error::new(ErrorKind::Internal, Phase::Data, "a file came without data channels");
        self.ready.as_ref().map(|ready| self.what.run(ready)).ok_or_else(no_set)
    }

    /// The set failed under the current file: closes it, hears all replies out, and asks again for what is left.
    ///
    /// An error is the current file's; what was asked for behind it is not forgotten.
    async fn recover(&mut self, session: &mut Session, error: Error) -> Result<()> {
        let Some(current) = self.current.take() else { return Err(error) };
        let Current { item, run, mut transfer, shown, last, .. } = current;
        // Refused files are asked for again as well: the reason may have been the broken set.
        let mut asked = self.put_back();
        drop(run);
        let silent = matches!(error.kind(), ErrorKind::Timeout(_));
        let hear = hear_out(session, last.is_none().then_some(&mut transfer), &mut asked, self.limits.reply);
        let patience = if silent { LAST_WORDS } else { self.limits.reply };
        let heard = match tokio::time::timeout(patience, hear).await {
            Ok(heard) => heard,
            Err(_) => {
                // Nobody waits for its answers any more; another session goes on with the others.
                session.control.quit();
                Err(Heard::Own(error.clone()))
            }
        };
        match heard {
            Ok(()) => {}
            Err(Heard::Other(error)) => return Err(error),
            Err(Heard::Own(error)) => {
                if !shown && is_lost(session, &error) && matches!(self.what, What::Listings { .. }) {
                    self.waiting.push_front(item);
                }
                return Err(error);
            }
        }
        tracing::debug!(%error, left = self.waiting.len(), "the data channels of a pipeline broke");
        // Blocks that the caller has seen cannot come a second time; and a deadline that has passed is not begun again.
        if shown || silent || self.restarts == 0 {
            return Err(error);
        }
        self.restarts -= 1;
        let index = item.index;
        self.waiting.push_front(item);
        if let Err(error) = self.refill(session).await {
            if self.waiting.front().is_some_and(|item| item.index == index) {
                self.waiting.pop_front();
            }
            return Err(error);
        }
        match self.next_current().await? {
            Some(()) => Ok(()),
            None => Err(error),
        }
    }

    /// Makes the first asked file the current one again.
    async fn next_current(&mut self) -> Result<Option<()>> {
        let Some(mut asked) = self.asked.pop_front() else { return Ok(None) };
        let run = self.first_reply(&mut asked.transfer).await?;
        asked.transfer.within(None);
        self.current = Some(Current::new(asked, run, self.what));
        Ok(Some(()))
    }

    /// The set, when everything asked for has been read to its end.
    pub(crate) fn finished(&mut self) -> Option<Ready> {
        if self.asked.is_empty() && self.current.is_none() { self.ready.take() } else { None }
    }

    /// Whether nothing is on its way any more.
    pub(crate) fn is_over(&self) -> bool {
        self.asked.is_empty() && self.current.is_none() && self.waiting.is_empty()
    }

    /// Whether nothing is on its way just now; more may wait.
    pub(crate) fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.current.is_none()
    }

    /// How often the current file was begun: what was handed out of it before counts for nothing.
    pub(crate) fn beginnings(&self) -> usize {
        RESTARTS - self.restarts
    }

    /// Whether the current listing may begin again although something of it was handed out.
    pub(crate) fn may_begin_again(&self) -> bool {
        self.current.as_ref().is_some_and(|current| !current.shown)
    }

    /// The file that is being read.
    pub(crate) fn current(&self) -> Option<usize> {
        self.current.as_ref().map(|current| current.index)
    }

    /// How many blocks of a file may be on their way, or wait to be taken.
    pub(crate) fn window_blocks(&self) -> usize {
        self.options.window_blocks
    }

    /// The caller reads the current file in order, and holds what comes before `offset`; connections that are further wait.
    pub(crate) fn hold_from(&self, offset: u64) {
        if let Some(current) = &self.current {
            current.run.hold_from(offset);
        }
    }

    /// The current file is not wanted any more, and not asked for again; the rest of it is still on its way.
    pub(crate) fn forget_current(&mut self) {
        self.current = None;
    }

    /// Forgets a broken session: what was not finished is asked for again on the next one.
    pub(crate) fn restart(&mut self) {
        self.ready = None;
        let current = self.current.take().filter(|current| !current.shown).map(|current| current.item);
        let asked: Vec<_> = self.asked.drain(..).map(|asked| asked.item).collect();
        let items: Vec<_> = current.into_iter().chain(asked).collect();
        for item in items.into_iter().rev() {
            self.waiting.push_front(item);
        }
    }
}

fn refusal(reply: Reply) -> Error {
    Error::from_reply(reply, Phase::Command, "the server does not send the file")
}

/// Whether an error is the connection's, and not the answer to one command.
fn is_lost(session: &Session, error: &Error) -> bool {
    !session.control.is_open() && error.reply().is_none_or(|reply| reply.code() == 421)
}

fn broken(failure: Failure) -> Error {
    failure.into_data_error(Phase::Data, "the data connection broke")
}
