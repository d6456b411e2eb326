//! Many files to one server over one extended-block channel that stays open, their data sent ahead of the replies.
//!
//! Nothing on the channel says which file is which: the server stores the first that comes under the first STOR that it
//! accepts. A STOR that is refused therefore moves all contents behind it by one file, and the server says 226 to each. What
//! makes it safe:
//!
//! * files are stored under temporary names, and get their own (RNFR, RNTO) only when their STOR *and all before it on this
//!   channel* were accepted and confirmed, with the size (and the checksum, where one is asked for) that they must have;
//! * at the first irregularity the channel is closed, all replies are heard, the temporary files behind it are deleted, and
//!   what is left is sent again over a fresh one: contents are kept until a file has its name;
//! * when that happened twice, no data is sent before its STOR is accepted, until a hundred files went well: a folder without
//!   permission costs a round trip a file then, and no fresh channel.
//!
//! `item` is what is to be stored, `ahead` what is sent before the replies, `file` one file on its way, `naming` its last
//! step, `recovery` what is done when something is not as it should be.

mod ahead;
mod file;
mod item;
mod naming;
mod recovery;

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout};

use crate::error::{Reply, Result};
use crate::options::DataOptions;
use crate::session::channel::Ready;
use crate::session::watch::{Limits, Patience};
use crate::session::{PendingReply, Session};
use crate::types::ChecksumAlgorithm;

use file::{Moving, Step};
pub(crate) use item::{Item, Keeper};
use naming::{Named, Verified};
pub(crate) use recovery::Abandoned;

/// Files whose STOR is sent ahead of the one that is stored. Their commands beyond the 512 that a server queues wait here.
const AHEAD: usize = 200;

/// Times that one file is tried when the channel broke under it, or its contents were not what they must be.
const TRIES: usize = 3;

/// Irregularities after which no data is sent before its STOR is accepted.
const IRREGULARITIES: usize = 2;

/// Files in a row that have to go well before data is sent ahead again.
const GOOD_FILES: usize = 100;

/// What became of a file.
#[derive(Debug)]
pub(crate) struct Done<K> {
    /// What the caller gave with it.
    pub(crate) keeper: K,
    /// Bytes that are stored under the file's name.
    pub(crate) result: Result<u64>,
    /// Whether permissions and time were set.
    pub(crate) attributes: Result<()>,
    /// Something may stand under the name that was not there before.
    pub(crate) touched: bool,
}

/// How files are sent.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// What the server computes of files that come with a checksum.
    pub(crate) checksum: Option<ChecksumAlgorithm>,
    /// An old file is deleted where the server does not rename over it.
    pub(crate) replace: bool,
    pub(crate) options: DataOptions,
    pub(crate) limits: Limits,
    /// The limit for the server's silence while it computes.
    pub(crate) checksum_limit: Duration,
}

/// A pipeline of puts.
#[derive(Debug)]
pub(crate) struct Uploads<K> {
    /// Files that are still to come; `None` among them says that none is.
    input: UnboundedReceiver<Option<Item<K>>>,
    input_ended: bool,
    waiting: VecDeque<Item<K>>,
    moving: VecDeque<Moving<K>>,
    /// They are stored, and wait for their names to be sent for, many in one write.
    verified: VecDeque<Verified<K>>,
    named: VecDeque<Named<K>>,
    /// Temporary files of which the names were refused, and which are being deleted.
    swept: VecDeque<(Bytes, PendingReply)>,
    ended: VecDeque<Done<K>>,
    ready: Option<Ready>,
    /// The server has accepted a file on this set.
    proven: bool,
    manner: Manner,
    /// Part of temporary names, so that no two pipelines ever write to one file.
    tag: Arc<str>,
    round: u64,
    /// Counts what is sent, as commands are answered in their order.
    order: u64,
    /// Temporary files that may be there.
    temporaries: HashSet<Bytes>,
    /// Those of an earlier session.
    orphans: Vec<Bytes>,
    /// Those of them that were not there to be deleted, or were not deleted.
    doubtful: Vec<Bytes>,
    /// The server does not rename over a file.
    deletes_first: bool,
    irregularities: usize,
    /// No data is sent before its STOR is accepted.
    careful: bool,
    good_files: usize,
    /// Replies to renames, which show that the server is at work.
    heard: u64,
    patience: Option<Patience<(u64, u64, u64, u64)>>,
    #[cfg(test)]
    unread: Vec<crate::channel::WriteRun>,
}

/// What happens next.
enum Event<K> {
    Head(Step),
    Named(Result<Reply>),
    Input(Option<Option<Item<K>>>),
    /// Time to look whether anything moves.
    Tick,
}

impl<K: Keeper> Uploads<K> {
    pub(crate) fn new(input: UnboundedReceiver<Option<Item<K>>>, tag: Arc<str>, manner: Manner) -> Self {
        Self {
            input,
            input_ended: false,
            waiting: VecDeque::new(),
            moving: VecDeque::new(),
            verified: VecDeque::new(),
            named: VecDeque::new(),
            swept: VecDeque::new(),
            ended: VecDeque::new(),
            ready: None,
            proven: false,
            manner,
            tag,
            round: 0,
            order: 0,
            temporaries: HashSet::new(),
            orphans: Vec::new(),
            doubtful: Vec::new(),
            deletes_first: false,
            irregularities: 0,
            careful: false,
            good_files: 0,
            heard: 0,
            patience: None,
            #[cfg(test)]
            unread: Vec::new(),
        }
    }

    /// Waits for another file; false when none will come.
    ///
    /// Cancel safe.
    pub(crate) async fn more(&mut self) -> bool {
        if !self.waiting.is_empty() {
            return true;
        }
        if self.input_ended {
            return false;
        }
        let input = self.input.recv().await;
        self.take(input);
        !self.waiting.is_empty()
    }

    /// What came of the next file; `None` when nothing is left to be done for now.
    ///
    /// # Errors
    /// Those after which the session cannot be used any more. What is left is sent again after [`Self::restart`].
    pub(crate) async fn next(&mut self, session: &mut Session) -> Result<Option<Done<K>>> {
        self.bury(session).await;
        loop {
            self.take_input();
            if let Some(done) = self.ended.pop_front() {
                let counters = session.control.counters();
                match done.result {
                    Ok(_) => counters.transfers_done.one_more(),
                    Err(_) => counters.transfers_failed.one_more(),
                }
                return Ok(Some(done));
            }
            self.refill(session).await?;
            let event = match self.event_now() {
                Some(event) => event,
                None => {
                    self.name_all(session)?;
                    if !self.ended.is_empty() {
                        continue;
                    }
                    if self.moving.is_empty() && self.named.is_empty() {
                        self.sweep(true).await;
                        return Ok(None);
                    }
                    self.event().await
                }
            };
            match event {
                Event::Head(step) => self.step(session, step).await?,
                Event::Named(reply) => {
                    self.name(session, reply)?;
                    self.sweep(false).await;
                }
                Event::Input(input) => self.take(input),
                Event::Tick => self.look()?,
            }
        }
    }

    fn take_input(&mut self) {
        while !self.input_ended {
            match self.input.try_recv() {
                Ok(input) => self.take(Some(input)),
                Err(tokio::sync::mpsc::error::TryRecvError::Empty) => return,
                Err(tokio::sync::mpsc::error::TryRecvError::Disconnected) => self.take(None),
            }
        }
    }

    fn take(&mut self, input: Option<Option<Item<K>>>) {
        match input {
            Some(Some(item)) => self.waiting.push_back(item),
            // What was sent before is still in there; nothing more gets in.
            Some(None) => self.input.close(),
            None => self.input_ended = true,
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event<K>> {
        if let Some(named) = self.named.front_mut()
            && let Poll::Ready(reply) = named.to.poll_next(cx)
        {
            return Poll::Ready(Event::Named(reply));
        }
        if let Some(head) = self.moving.front_mut()
            && let Poll::Ready(step) = head.poll_step(cx)
        {
            return Poll::Ready(Event::Head(step));
        }
        if !self.input_ended
            && let Poll::Ready(input) = self.input.poll_recv(cx)
        {
            return Poll::Ready(Event::Input(input));
        }
        Poll::Pending
    }

    fn event_now(&mut self) -> Option<Event<K>> {
        match self.poll_event(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        }
    }

    async fn event(&mut self) -> Event<K> {
        let stall = self.manner.limits.stall;
        // Nothing tells of written bytes, so they are looked for.
        let tick = (stall / 16).clamp(Duration::from_millis(5), Duration::from_secs(1)).min(stall);
        timeout(tick, poll_fn(|cx| self.poll_event(cx))).await.unwrap_or(Event::Tick)
    }

    /// Ends the session when nothing moves any more.
    fn look(&mut self) -> Result<()> {
        let stall = self.manner.limits.stall;
        let Some(head) = self.moving.front().filter(|head| head.is_storing()) else {
            self.patience = None;
            return Ok(());
        };
        // What the server still has to answer before has limits of its own.
        if self.named.front().is_some_and(|named| named.order < head.order) {
            self.patience = None;
            return Ok(());
        }
        let signs = (head.order, head.written(), head.news(), self.heard);
        let Some(patience) = &mut self.patience else {
            self.patience = Some(Patience::new(signs, stall));
            return Ok(());
        };
        if !patience.look(signs, stall) && patience.end() <= Instant::now() {
            return Err(self.manner.limits.stalled().with_may_have_applied());
        }
        Ok(())
    }

    /// Takes in what happened to the file at the head of the queue.
    async fn step(&mut self, session: &mut Session, step: Step) -> Result<()> {
        match step {
            Step::Alive => self.look()?,
            Step::Accepted => {
                self.proven = true;
                if let (Some(head), Some(ready)) = (self.moving.front_mut(), &self.ready) {
                    head.post(&ready.port, session.control.counters());
                }
            }
            Step::Verified => {
                if let Some(head) = self.moving.pop_front() {
                    self.verified.push_back(head.into_verified());
                }
                self.good_files += 1;
                if self.careful && self.good_files >= GOOD_FILES {
                    self.careful = false;
                    // The next one is enough.
                    self.irregularities = IRREGULARITIES - 1;
                    if !self.is_careful(session) {
                        self.post_ahead(session);
                    }
                }
            }
            Step::Wrong(fault) => {
                self.good_files = 0;
                let spent = self.moving.front().is_some_and(Moving::is_posted);
                #[cfg(test)]
                let spent = spent && !crate::hooks::without("a fresh channel behind a refused put");
                if fault.own && fault.failure.is_none() && !spent {
                    // Nothing of it was sent, so the channel serves the next file.
                    if let Some(head) = self.moving.pop_front() {
                        self.temporaries.remove(&head.temporary);
                        #[cfg(test)]
                        self.unread.extend(head.run);
                        self.ended.push_back(head.item.failed(fault.error, false));
                    }
                } else {
                    self.start_over(session, fault).await?;
                }
            }
            Step::Lost(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether no file will come, and none is left.
    pub(crate) fn is_over(&self) -> bool {
        self.input_ended
            && self.waiting.is_empty()
            && self.moving.is_empty()
            && self.verified.is_empty()
            && self.named.is_empty()
            && self.ended.is_empty()
    }

    /// Gives a session back what belongs to it, when nothing is under way.
    pub(crate) fn rest(&mut self, session: &mut Session) {
        match self.ready.take() {
            Some(ready) => session.give_back(ready),
            None => session.speak_freely(),
        }
    }
}
