//! Many files from one server to another one over data channels that stay open, with the commands sent ahead.
//!
//! Nothing on the channels says which file is which: the first that the source sends is the first that the destination
//! stores. A RETR that is refused while its STOR is accepted, or the other way round, therefore moves all contents behind it
//! by one file, and both servers say 226. What makes it safe:
//!
//! * files are stored under temporary names, and get their own (RNFR, RNTO) only when their transfer *and all before it on
//!   these channels* were accepted and confirmed by both servers, with equal sizes;
//! * at the first irregularity the channels are closed at both ends (PASV at each), all replies are heard, the temporary
//!   files are deleted, and whatever was behind it is moved again over fresh channels;
//! * a source whose SIZE, asked well ahead, says that there is no such file is never asked for.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::options::DataOptions;
use crate::protocol::command::Command;
use crate::session::get::size_of;
use crate::session::third_party::{Active, Event, introduce, no_source, of_side};
use crate::session::watch::{EXPLANATION_LIMIT, Limits};
use crate::session::{PendingReply, Session};

/// Pairs whose transfers are asked for ahead. With sizes and names these stay below the 512 commands that a server queues.
const AHEAD: usize = 100;

/// Bytes that are asked for ahead: after an irregularity they have moved for nothing.
const BYTES_AHEAD: u64 = 256 << 20;

/// Sizes that are asked for ahead of the transfers.
const SIZES_AHEAD: usize = 100;

/// Bytes whose transfers are not broken off when nobody wants them any more: they end sooner by themselves.
const NOT_WORTH_ENDING: u64 = 4 << 20;

/// Times that one pair is tried when the channels broke under it for no reason of its own.
const TRIES: usize = 3;

/// One file to be moved.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// The caller's number for it.
    pub(crate) index: usize,
    /// The paths as the servers take them.
    pub(crate) from: Bytes,
    pub(crate) to: Bytes,
    tries: usize,
}

impl Item {
    pub(crate) fn new(index: usize, from: Bytes, to: Bytes) -> Self {
        Self { index, from, to, tries: 0 }
    }
}

/// A pair and what came of it: the size that both sides tell.
pub(crate) type Outcome = (usize, Result<Option<u64>>);

/// A pipeline between two sessions.
#[derive(Debug)]
pub(crate) struct Pairs {
    waiting: VecDeque<Item>,
    sized: VecDeque<Sized>,
    moving: VecDeque<Moving>,
    named: VecDeque<Named>,
    /// The two servers have channels between them.
    set: bool,
    /// Part of temporary names, so that no two transfers ever write to one file.
    tag: Arc<str>,
    round: u64,
    /// Temporary files of an earlier session.
    left: Vec<Bytes>,
    /// Those of them that were not there to be deleted, or were not deleted.
    doubtful: Vec<Bytes>,
    options: DataOptions,
    limits: Limits,
}

/// A file whose size the source was asked for.
#[derive(Debug)]
struct Sized {
    item: Item,
    size: Size,
}

#[derive(Debug)]
enum Size {
    Asked(PendingReply),
    Known(Option<u64>),
}

/// A file that can be sent for, its size and its temporary name.
type Ready = (Item, Option<u64>, Bytes);
/// A file on its way to a temporary name.
#[derive(Debug)]
struct Moving {
    item: Item,
    size: Option<u64>,
    temporary: Bytes,
    active: Active,
    stored: Option<PendingReply>,
}

/// A file that gets its name.
#[derive(Debug)]
struct Named {
    item: Item,
    size: Option<u64>,
    temporary: Bytes,
    from: PendingReply,
    to: PendingReply,
}

impl Pairs {
    pub(crate) fn new(items: VecDeque<Item>, tag: Arc<str>, options: DataOptions, limits: Limits) -> Self {
        Self {
            waiting: items,
            sized: VecDeque::new(),
            moving: VecDeque::new(),
            named: VecDeque::new(),
            set: false,
            tag,
            round: 0,
            left: Vec::new(),
            doubtful: Vec::new(),
            options,
            limits,
        }
    }

    /// What came of the next pair; `None` after the last one.
    ///
    /// # Errors
    /// Those after which the sessions cannot be used any more. What is left is asked for again after [`Self::restart`].
    pub(crate) async fn next(
        &mut self,
        source: &mut Session,
        destination: &mut Session,
    ) -> Result<Option<Outcome>> {
        loop {
            if !self.left.is_empty() {
                let deleted = delete(destination, &self.left).await;
                self.left.clear();
                // A lost session's server may be slow to do what it was told: these are looked for again at the end.
                self.doubtful.extend(deleted.kept.into_iter().chain(deleted.missing));
            }
            if let Some(outcome) = self.refill(source, destination).await? {
                return Ok(Some(outcome));
            }
            if let Some(named) = self.named.front_mut() {
                // While files move, only what is known already is taken.
                let reply = match now(&mut named.to) {
                    Poll::Ready(reply) => reply,
                    Poll::Pending if self.moving.is_empty() => {
                        // Nobody watches any more: the ordinary limits are back.
                        named.from.within(self.limits.reply);
                        named.to.within(self.limits.reply);
                        named.to.last().await
                    }
                    Poll::Pending => {
                        if let Some(outcome) = self.head(source, destination).await? {
                            return Ok(Some(outcome));
                        }
                        continue;
                    }
                };
                return self.name(reply).await.map(Some);
            }
            if !self.moving.is_empty() {
                if let Some(outcome) = self.head(source, destination).await? {
                    return Ok(Some(outcome));
                }
            } else if self.sized.is_empty() && self.waiting.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Keeps both queues full. An outcome is that of a source that is not there.
    async fn refill(&mut self, source: &mut Session, destination: &mut Session) -> Result<Option<Outcome>> {
        let at_source = of_side(Side::Source);
        if self.sized.len() <= SIZES_AHEAD / 2 && !self.waiting.is_empty() {
            let count = (SIZES_AHEAD - self.sized.len()).min(self.waiting.len());
            for item in self.waiting.drain(..count) {
                let ask = source.features.size().then(|| Command::with("SIZE", &item.from).ok()).flatten();
                let size = ask.map_or(Size::Known(None), |command| Size::Asked(source.control.send(command)));
                self.sized.push_back(Sized { item, size });
            }
        }
        // In batches: a write for each file, as each one ends, would be a system call each.
        let room = AHEAD.min(source.control.window()).min(destination.control.window());
        if self.moving.len() > room / 2 || self.sized.is_empty() {
            return Ok(None);
        }
        if !self.set {
            introduce(source, destination, &self.options, true, None, None).await?;
            self.set = true;
        }
        let (mut to_source, mut to_destination, mut batch) = (Vec::new(), Vec::new(), Vec::<Ready>::new());
        let checks = destination.features.size();
        let mut bytes: u64 = self.moving.iter().filter_map(|moving| moving.size).sum();
        while self.moving.len() + batch.len() < room && bytes < BYTES_AHEAD {
            let Some(front) = self.sized.front_mut() else { break };
            let size = match &mut front.size {
                Size::Known(size) => Ok(*size),
                Size::Asked(pending) => {
                    let reply = match now(pending) {
                        Poll::Ready(reply) => reply,
                        Poll::Pending if self.moving.is_empty() && batch.is_empty() => pending.last().await,
                        Poll::Pending => break,
                    };
                    if reply.is_err() && !source.control.is_open() {
                        // It is asked again on the next session.
                        let asked = self.sized.pop_front().map(|sized| sized.item);
                        // And so is what was ready to be sent, and was not.
                        let ready = batch.into_iter().map(|(item, ..)| item);
                        ready.chain(asked).rev().for_each(|item| self.waiting.push_front(item));
                        return Err(at_source(reply.err().unwrap_or_else(no_pair)));
                    }
                    match reply {
                        Ok(reply) => no_source(&reply).map_or_else(|| Ok(size_of(&reply)), Err),
                        Err(error) => Err(at_source(error)),
                    }
                }
            };
            if let Err(error) = &size
                && !batch.is_empty()
            {
                // What is ready goes first, so that nothing is held up.
                let error = error.clone();
                let Some(Sized { item, .. }) = self.sized.pop_front() else { break };
                self.send(source, destination, batch, to_source, to_destination)?;
                return Ok(Some((item.index, Err(error))));
            }
            let Some(Sized { item, .. }) = self.sized.pop_front() else { break };
            let size = match size {
                Ok(size) => size,
                Err(error) => return Ok(Some((item.index, Err(error)))),
            };
            let temporary = self.temporary(&item);
            let commands = commands(source, destination, &item, &temporary);
            match commands {
                Ok((retrieve, store, stored)) => {
                    to_source.push(retrieve);
                    to_destination.push(store);
                    to_destination.extend(checks.then_some(stored));
                    bytes = bytes.saturating_add(size.unwrap_or(0));
                    batch.push((item, size, temporary));
                }
                Err(error) => {
                    self.send(source, destination, batch, to_source, to_destination)?;
                    return Ok(Some((item.index, Err(error))));
                }
            }
        }
        if batch.is_empty() {
            return Ok(None);
        }
        self.send(source, destination, batch, to_source, to_destination)?;
        Ok(None)
    }

    fn send(
        &mut self,
        source: &Session,
        destination: &Session,
        batch: Vec<Ready>,
        to_source: Vec<Command>,
        to_destination: Vec<Command>,
    ) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let checks = to_destination.len() > batch.len();
        let mut stores = destination.control.send_all(to_destination).into_iter();
        let mut retrieves = source.control.send_all(to_source).into_iter();
        for (item, size, temporary) in batch {
            let (Some(store), Some(retrieve)) = (stores.next(), retrieves.next()) else {
                return Err(Error::new(
                    ErrorKind::Internal,
                    Phase::Command,
                    "not one reply for each command",
                ));
            };
            let stored = if checks { stores.next() } else { None };
            if let Some(stored) = &stored {
                // It waits behind the transfer, which is watched.
                stored.within(None);
            }
            let active = Active::of_many(store, retrieve);
            self.moving.push_back(Moving { item, size, temporary, active, stored });
        }
        Ok(())
    }

    /// In the destination's own folder, so that giving it its name moves no data.
    fn temporary(&self, item: &Item) -> Bytes {
        let folder = item.to.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        let mut path = item.to[..folder].to_vec();
        path.extend_from_slice(format!(".gridftp-{}-{}-{}", self.tag, self.round, item.index).as_bytes());
        path.into()
    }

    /// Waits for the file at the head of the queue.
    async fn head(&mut self, source: &mut Session, destination: &mut Session) -> Result<Option<Outcome>> {
        let limits = self.limits;
        let Some(head) = self.moving.front_mut() else { return Ok(None) };
        let late = watch(&mut head.active, limits).await;
        if head.active.is_lost() || late.is_some() {
            // Nobody knows what the servers still do: these sessions are over.
            return Err(late.unwrap_or_else(|| head.active.reason()));
        }
        if head.active.failure().is_some() {
            let error = head.active.reason();
            if head.active.both_refused() {
                let index = head.item.index;
                self.moving.pop_front();
                return Ok(Some((index, Err(error))));
            }
            #[cfg(test)]
            if crate::hooks::without("fresh channels behind a refusal") {
                let index = head.item.index;
                self.moving.pop_front();
                return Ok(Some((index, Err(error))));
            }
            let own = head.active.failure() == Some(true);
            return self.start_over(source, destination, error, own).await;
        }
        let stored = match &mut head.stored {
            Some(pending) => {
                pending.within(limits.reply);
                size_of(&pending.last().await.map_err(of_side(Side::Destination))?)
            }
            None => None,
        };
        if let (Some(wanted), Some(stored)) = (head.size, stored)
            && wanted != stored
        {
            let message = format!("the source's file has {wanted} bytes, and {stored} were stored");
            let error = Error::new(ErrorKind::Truncated, Phase::Verify, message).with_side(Side::Destination);
            return self.start_over(source, destination, error, false).await;
        }
        let Some(head) = self.moving.pop_front() else { return Ok(None) };
        let commands = vec![Command::with("RNFR", &head.temporary)?, Command::with("RNTO", &head.item.to)?];
        let mut replies = destination.control.send_all(commands).into_iter();
        let (Some(from), Some(to)) = (replies.next(), replies.next()) else { return Err(no_pair()) };
        // They wait behind transfers that are watched.
        from.within(None);
        to.within(None);
        let Moving { item, size, temporary, .. } = head;
        self.named.push_back(Named { item, size: stored.or(size), temporary, from, to });
        Ok(None)
    }

    /// Takes in the reply to the RNTO at the head of the queue.
    async fn name(&mut self, reply: Result<Reply>) -> Result<Outcome> {
        let reply = reply.map_err(of_side(Side::Destination))?;
        let Some(named) = self.named.front_mut() else { return Err(no_pair()) };
        // RNFR comes first, so its reply is here; where it was refused that is the reason.
        let first = if reply.is_completion() { None } else { named.from.last().await.ok() };
        let Some(named) = self.named.pop_front() else { return Err(no_pair()) };
        if reply.is_completion() {
            return Ok((named.item.index, Ok(named.size)));
        }
        let reply = first.filter(|first| !first.is_intermediate()).unwrap_or(reply);
        let error =
            Error::from_reply(reply, Phase::Completion, "the stored file could not be given its name");
        self.left.push(named.temporary);
        Ok((named.item.index, Err(of_side(Side::Destination)(error))))
    }

    /// Something went wrong at the head, so that what is behind it may be anything: closes the channels at both ends, hears
    /// all replies, deletes what was stored, and puts the rest back.
    async fn start_over(
        &mut self,
        source: &mut Session,
        destination: &mut Session,
        error: Error,
        own_reason: bool,
    ) -> Result<Option<Outcome>> {
        tracing::debug!(%error, behind = self.moving.len(), "the data channels between two servers are made anew");
        self.set = false;
        self.round += 1;
        // Either server drops its end when it is told to listen, behind all that was asked of it before: what still waits for
        // data or for somebody to take it ends then.
        let listen = |session: &Session| {
            let v4 = session.peer().ip().to_canonical().is_ipv4();
            session.control.send(Command::new(if v4 { "PASV" } else { "EPSV" }))
        };
        let (at_source, at_destination) = (listen(source), listen(destination));
        let heard = async {
            for moving in &mut self.moving {
                while !moving.active.is_over() {
                    poll_fn(|cx| moving.active.poll_event(cx)).await;
                }
                if moving.active.is_lost() {
                    return Err(moving.active.reason());
                }
            }
            for (side, mut pending) in [(Side::Source, at_source), (Side::Destination, at_destination)] {
                pending.last().await.map_err(of_side(side))?;
            }
            Ok(())
        };
        match timeout(self.limits.reply, heard).await {
            Ok(Ok(())) => {}
            Ok(Err(lost)) => return Err(lost),
            Err(_) => return Err(of_side(Side::Destination)(self.limits.not_ended())),
        }
        let stored: Vec<_> = self.moving.iter().map(|moving| moving.temporary.clone()).collect();
        self.doubtful.extend(delete(destination, &stored).await.kept);
        let mut outcome = None;
        for (place, moving) in std::mem::take(&mut self.moving).into_iter().enumerate().rev() {
            let Moving { mut item, size, .. } = moving;
            item.tries += usize::from(place == 0);
            if place == 0 && (own_reason || item.tries >= TRIES) {
                outcome = Some((item.index, Err(error.clone())));
            } else {
                self.sized.push_front(Sized { item, size: Size::Known(size) });
            }
        }
        Ok(outcome)
    }

    /// Forgets broken sessions: what has not ended is asked for again on the next ones.
    pub(crate) fn restart(&mut self) {
        self.set = false;
        self.round += 1;
        let named = self.named.drain(..).map(|named| (named.item, named.temporary));
        let moving = self.moving.drain(..).map(|moving| (moving.item, moving.temporary));
        let begun: Vec<_> = named.chain(moving).collect();
        let sized: Vec<_> = self.sized.drain(..).map(|sized| sized.item).collect();
        let mut items: Vec<_> = begun.iter().map(|(item, _)| item.clone()).chain(sized).collect();
        if let Some(first) = items.first_mut() {
            first.tries += 1;
        }
        for item in items.into_iter().rev() {
            self.waiting.push_front(item);
        }
        self.left.extend(begun.into_iter().map(|(_, temporary)| temporary));
    }

    /// Temporary files that should be gone, but may be there.
    pub(crate) fn take_doubtful(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.doubtful)
    }

    /// Gives up what is under way, for somebody to end it and to delete what it leaves.
    pub(crate) fn abandon(&mut self) -> Abandoned {
        let moving = std::mem::take(&mut self.moving);
        let bytes = moving.iter().map(|moving| moving.size.unwrap_or(u64::MAX)).fold(0, u64::saturating_add);
        let (begun, under_way): (Vec<_>, Vec<_>) =
            moving.into_iter().map(|moving| (moving.temporary, moving.active)).unzip();
        let mut left = std::mem::take(&mut self.left);
        left.extend(self.named.drain(..).map(|named| named.temporary));
        left.extend(begun);
        Abandoned { under_way, left, doubtful: self.take_doubtful(), bytes, set: self.set }
    }
}

/// Transfers that nobody waits for any more.
#[derive(Debug)]
pub(crate) struct Abandoned {
    under_way: Vec<Active>,
    /// Temporary files that may be there when the sessions are through with what they were told.
    pub(crate) left: Vec<Bytes>,
    /// Temporary files of earlier sessions, which may come to be there at any time.
    pub(crate) doubtful: Vec<Bytes>,
    /// What is still to be moved, at most.
    bytes: u64,
    /// The sessions are in the middle of nothing but transfers.
    set: bool,
}

impl Abandoned {
    /// Whether so little is under way that its end may be waited for.
    pub(crate) fn is_small(&self) -> bool {
        self.bytes <= NOT_WORTH_ENDING
    }

    /// Waits for both servers' last words about everything, and says whether the sessions are fit for others.
    pub(crate) async fn ends(&mut self) -> bool {
        for active in &mut self.under_way {
            while !active.is_over() {
                poll_fn(|cx| active.poll_event(cx)).await;
            }
        }
        self.set && self.under_way.iter().all(|active| active.failure().is_none())
    }

    /// Waits for the destination's last words: it creates no more files then.
    pub(crate) async fn destination_ends(&mut self) {
        for active in &mut self.under_way {
            active.destination_ends().await;
        }
    }
}

/// The reply, if it is there.
fn now(pending: &mut PendingReply) -> Poll<Result<Reply>> {
    pending.poll_next(&mut Context::from_waker(Waker::noop()))
}

/// Waits until both sides are through with a file, or one failed and the other one has said whether it took part. The error
/// is that nothing moved for too long.
async fn watch(active: &mut Active, limits: Limits) -> Option<Error> {
    let late = |from: Instant| from.checked_add(limits.stall);
    let mut deadline = late(Instant::now());
    while !active.is_over() {
        if active.failure().is_some() {
            // A side that only lost the other one is not the reason; and whoever waits for a connection that is not made says
            // nothing.
            let heard = async {
                while !(active.is_over() || active.failure() == Some(true) && active.both_heard()) {
                    poll_fn(|cx| active.poll_event(cx)).await;
                }
            };
            let _ = timeout(EXPLANATION_LIMIT, heard).await;
            return None;
        }
        let next = poll_fn(|cx| active.poll_event(cx));
        let event = match deadline {
            Some(deadline) => timeout_at(deadline, next).await,
            None => Ok(next.await),
        };
        match event {
            Ok(Event::Marker(_, false)) => {}
            Ok(_) => deadline = late(Instant::now()),
            Err(_) => {
                let side = if active.has_ended(Side::Destination) { Side::Source } else { Side::Destination };
                return Some(of_side(side)(limits.stalled()).with_may_have_applied());
            }
        }
    }
    None
}

/// RETR, STOR and SIZE of a pair, if the servers can be told all its names. One that cannot be said would take the commands
/// that go along with it.
fn commands(
    source: &Session,
    destination: &Session,
    item: &Item,
    temporary: &Bytes,
) -> Result<(Command, Command, Command)> {
    let (at_source, at_destination) = (of_side(Side::Source), of_side(Side::Destination));
    let said = |session: &Session, verb, path: &Bytes| {
        let command = Command::with(verb, path)?;
        session.control.speakable(&command).map(|()| command)
    };
    let retrieve = said(source, "RETR", &item.from).map_err(at_source)?;
    said(destination, "RNTO", &item.to).map_err(&at_destination)?;
    let store = said(destination, "STOR", temporary).map_err(&at_destination)?;
    let size = said(destination, "SIZE", temporary).map_err(&at_destination)?;
    Ok((retrieve, store, size))
}

/// Temporary files that a server did not delete.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    /// They were not there.
    pub(crate) missing: Vec<Bytes>,
    /// The server refused, or said nothing.
    pub(crate) kept: Vec<Bytes>,
}

/// Deletes temporary files, as far as that can be done, and gives back the others.
pub(crate) async fn delete(session: &Session, paths: &[Bytes]) -> Deleted {
    let (mut deleted, mut commands, mut asked) = (Deleted::default(), Vec::new(), Vec::new());
    for path in paths {
        // Where it could not be said, it was not stored either.
        if let Ok(command) = Command::with("DELE", path) {
            commands.push(command);
            asked.push(path.clone());
        }
    }
    for (mut pending, path) in session.control.send_all(commands).into_iter().zip(asked) {
        match pending.last().await {
            Ok(reply) if reply.is_completion() => {}
            Ok(reply) => {
                let error = Error::from_reply(reply, Phase::Command, "a temporary file was not deleted");
                let missing = error.kind() == ErrorKind::NotFound;
                if missing { deleted.missing.push(path) } else { deleted.kept.push(path) }
            }
            Err(_) => deleted.kept.push(path),
        }
    }
    deleted
}

fn no_pair() -> Error {
    Error::new(ErrorKind::Internal, Phase::Command, "a reply belongs to no pair")
}
