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

mod ending;
mod item;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::options::DataOptions;
use crate::protocol::classify::kind_of_reply;
use crate::protocol::command::Command;
use crate::protocol::value::checksum_reply;
use crate::session::get::size_of;
use crate::session::third_party::{Active, Event, introduce, no_source, of_side};
use crate::session::watch::{EXPLANATION_LIMIT, Limits};
use crate::session::{PendingReply, Session};

pub(crate) use ending::{Abandoned, Deleted, delete};
use item::commands;
pub(crate) use item::{Item, Manner};

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

/// A pair and what came of it: the size that both sides tell, and whether it has its attributes.
pub(crate) type Outcome = (usize, Result<Option<u64>>, Result<()>);

fn failed(index: usize, error: Error) -> Outcome {
    (index, Err(error), Ok(()))
}

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
    manner: Manner,
    /// A server did not rename over a file: from then on old files go first.
    deletes_first: bool,
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
    /// The checksums of the source, and of what was stored.
    checksums: Option<(PendingReply, PendingReply)>,
}

/// A file that gets its name.
#[derive(Debug)]
struct Named {
    item: Item,
    size: Option<u64>,
    temporary: Bytes,
    attributes: Vec<PendingReply>,
    /// What became of the old file, where it is deleted first.
    old: Option<PendingReply>,
    from: PendingReply,
    to: PendingReply,
}

impl Pairs {
    pub(crate) fn new(
        items: VecDeque<Item>,
        tag: Arc<str>,
        options: DataOptions,
        limits: Limits,
        manner: Manner,
    ) -> Self {
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
            manner,
            deletes_first: false,
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
                if let Some(outcome) = self.name(destination, reply).await? {
                    return Ok(Some(outcome));
                }
                continue;
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
                return Ok(Some(failed(item.index, error)));
            }
            let Some(Sized { item, .. }) = self.sized.pop_front() else { break };
            let size = match size {
                Ok(size) => size,
                Err(error) => return Ok(Some(failed(item.index, error))),
            };
            let temporary = self.temporary(&item);
            let said = commands(source, destination, &item, &temporary, &self.manner);
            match said {
                Ok(said) => {
                    to_source.extend(said.to_source);
                    to_destination.extend(said.to_destination);
                    bytes = bytes.saturating_add(size.unwrap_or(0));
                    batch.push((item, size, temporary));
                }
                Err(error) => {
                    self.send(source, destination, batch, to_source, to_destination)?;
                    return Ok(Some(failed(item.index, error)));
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
        let checks = destination.features.size();
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
            let checksums =
                self.manner.checksum.as_ref().and_then(|_| Some((retrieves.next()?, stores.next()?)));
            for waiting in stored.iter().chain(checksums.iter().flat_map(|(one, other)| [one, other])) {
                // It waits behind the transfer, which is watched.
                waiting.within(None);
            }
            let active = Active::of_many(store, retrieve);
            self.moving.push_back(Moving { item, size, temporary, active, stored, checksums });
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
                return Ok(Some(failed(index, error)));
            }
            #[cfg(test)]
            if crate::hooks::without("fresh channels behind a refusal") {
                let index = head.item.index;
                self.moving.pop_front();
                return Ok(Some(failed(index, error)));
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
        if let Some((mut theirs, mut ours)) = head.checksums.take() {
            for pending in [&theirs, &ours] {
                pending.within(self.manner.checksum_limit);
            }
            let theirs = theirs.last().await.map_err(of_side(Side::Source))?;
            let ours = ours.last().await.map_err(of_side(Side::Destination))?;
            if let Err(error) = self.compare(&theirs, &ours) {
                // What a server cannot compute now it cannot the next time either.
                let own = error.kind() != ErrorKind::ChecksumMismatch;
                return self.start_over(source, destination, error, own).await;
            }
        }
        let Some(Moving { item, size, temporary, .. }) = self.moving.pop_front() else { return Ok(None) };
        let attributes = item::attributes(destination, &item, &temporary)?;
        let count = attributes.len();
        let mut attributes = destination.control.send_all(attributes);
        debug_assert_eq!(attributes.len(), count);
        attributes.iter_mut().for_each(|pending| pending.within(None));
        self.give_name(destination, item, stored.or(size), temporary, attributes)?;
        Ok(None)
    }

    /// Whether both servers say the same of a file.
    fn compare(&self, theirs: &Reply, ours: &Reply) -> Result<()> {
        let Some(algorithm) = &self.manner.checksum else { return Ok(()) };
        let read = |reply: &Reply, side| {
            let value = if reply.is_completion() {
                checksum_reply(reply, algorithm)
            } else {
                Err(Error::from_reply(reply.clone(), Phase::Verify, "computing the checksum"))
            };
            value.map_err(of_side(side))
        };
        let (theirs, ours) = (read(theirs, Side::Source)?, read(ours, Side::Destination)?);
        if theirs == ours {
            return Ok(());
        }
        let message = format!("the source's checksum is {theirs}, that of what was stored {ours}");
        Err(Error::new(ErrorKind::ChecksumMismatch, Phase::Verify, message).with_side(Side::Destination))
    }

    fn give_name(
        &mut self,
        destination: &Session,
        item: Item,
        size: Option<u64>,
        temporary: Bytes,
        attributes: Vec<PendingReply>,
    ) -> Result<()> {
        let deletes = self.deletes_first && self.manner.replace;
        let mut commands = Vec::new();
        commands.extend(deletes.then(|| Command::with("DELE", &item.to)).transpose()?);
        commands.push(Command::with("RNFR", &temporary)?);
        commands.push(Command::with("RNTO", &item.to)?);
        let mut replies = destination.control.send_all(commands).into_iter();
        let old = if deletes { replies.next() } else { None };
        let (Some(from), Some(to)) = (replies.next(), replies.next()) else { return Err(no_pair()) };
        // They wait behind transfers that are watched.
        for pending in old.iter().chain([&from, &to]) {
            pending.within(None);
        }
        self.named.push_back(Named { item, size, temporary, attributes, old, from, to });
        Ok(())
    }

    /// Takes in the reply to the RNTO at the head of the queue. None when it is tried once more.
    async fn name(&mut self, destination: &Session, reply: Result<Reply>) -> Result<Option<Outcome>> {
        let reply = reply.map_err(of_side(Side::Destination))?;
        let Some(named) = self.named.front_mut() else { return Err(no_pair()) };
        // RNFR comes first, so its reply is here; where it was refused that is the reason.
        let first = if reply.is_completion() { None } else { named.from.last().await.ok() };
        let mut attributes = Ok(());
        for pending in &mut named.attributes {
            let reply = pending.last().await.map_err(of_side(Side::Destination))?;
            if !reply.is_completion() && attributes.is_ok() {
                let error = Error::from_reply(reply, Phase::Completion, "setting the attributes");
                attributes = Err(of_side(Side::Destination)(error));
            }
        }
        let Some(named) = self.named.pop_front() else { return Err(no_pair()) };
        let Named { item, size, temporary, old, .. } = named;
        if reply.is_completion() {
            return Ok(Some((item.index, Ok(size), attributes)));
        }
        let refused = first.filter(|first| !first.is_intermediate());
        let taken = refused.is_none() && kind_of_reply(&reply) == ErrorKind::AlreadyExists;
        if taken && old.is_none() && self.manner.replace {
            // A server that never renames over a file: from now on the old ones go first, so that this happens once.
            self.deletes_first = true;
            self.give_name(destination, item, size, temporary, Vec::new())?;
            return Ok(None);
        }
        let error = Error::from_reply(
            refused.unwrap_or(reply),
            Phase::Completion,
            "the stored file could not be given its name",
        );
        self.left.push(temporary);
        Ok(Some(failed(item.index, of_side(Side::Destination)(error))))
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
                outcome = Some(failed(item.index, error.clone()));
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

fn no_pair() -> Error {
    Error::new(ErrorKind::Internal, Phase::Command, "a reply belongs to no pair")
}
