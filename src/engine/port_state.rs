//! One data port as the engine thread keeps it: a small state machine around a handle.

use std::collections::{HashMap, VecDeque};
use std::ffi::c_int;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use super::arrivals::Arrival;
use super::buffer::{Buffer, Pool};
use super::command::Id;
use super::counters::Counters;
use super::data::{Direction, PortSettings};
use super::failure::{Failure, FailureKind};
use super::fds;
use super::handle::Handle;
use super::run::{ReadFeed, WriteFeed};
use super::stripes::{Dealer, Piece};

/// What the end of a put points to: C wants an address that is not NULL, and reads nothing from it.
static END_ADDRESS: u8 = 0;

/// A registered buffer. It stays here until its callback, whatever becomes of port and run.
#[derive(Debug)]
pub(super) enum Operation {
    Read {
        port: Id,
        buffer: Buffer,
    },
    Write {
        port: Id,
        data: Bytes,
        /// Shared by the pieces of one posted block: with the last of them, its place in the window is free again.
        block: Rc<()>,
    },
    /// The end of a put: no bytes, but an address (C12).
    End {
        port: Id,
    },
}

#[derive(Debug)]
pub(super) enum Run {
    Read {
        id: Id,
        feed: ReadFeed,
        eof: bool,
        registered: usize,
        position: u64,
    },
    Write {
        id: Id,
        feed: WriteFeed,
        queue: VecDeque<(u64, Bytes)>,
        touched: bool,
        finish: bool,
        ending: bool,
    },
}

impl Run {
    pub(super) fn id(&self) -> Id {
        match self {
            Self::Read { id, .. } | Self::Write { id, .. } => *id,
        }
    }

    pub(super) fn direction(&self) -> Direction {
        match self {
            Self::Read { .. } => Direction::Read,
            Self::Write { .. } => Direction::Write,
        }
    }

    pub(super) fn end(self, end: Result<(), Failure>) {
        // Nobody may be there to hear it.
        match self {
            Self::Read { feed, .. } => drop(feed.arrivals.send(Arrival::End(end))),
            Self::Write { mut feed, .. } => {
                match &end {
                    // Its waiting ends with the feed.
                    Err(failure) => drop(feed.shared.failure.set(failure.clone())),
                    Ok(()) => feed.shared.ended(),
                }
                drop(feed.end.send(end));
            }
        }
    }
}

/// Connections of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// `connect_*` may be called.
    Idle,
    /// `connect_*` was called; the first callback is to come.
    Starting,
    /// Connected, or about to be: data may flow.
    Up,
    /// A stream's one run is over.
    Spent,
}

#[derive(Debug)]
pub(super) struct Port {
    pub(super) handle: Option<Handle>,
    /// Keeps the credential alive for as long as C borrows it.
    pub(super) settings: PortSettings,
    pub(super) link: Link,
    pub(super) direction: Option<Direction>,
    /// Where it listens, if it does.
    pub(super) listening: Option<SocketAddr>,
    /// Connections that other programs do not inherit any more.
    pub(super) accepted: usize,
    pub(super) stripes: usize,
    /// Stripes that are connected; each says so for itself.
    pub(super) stripes_up: usize,
    /// Hands out what goes to several stripes.
    pub(super) dealer: Dealer,
    pub(super) runs: VecDeque<Run>,
    pub(super) registered: usize,
    /// The end of a put is registered: it counts among them, and has no buffer.
    pub(super) end_registered: bool,
    pub(super) failure: Option<Failure>,
    /// A connect or handshake failed: the handle will never come to rest.
    pub(super) broken: bool,
    /// `connect_*` failed at once: the handle holds a connection that never was, and gets no other call (§1.1).
    pub(super) phantom: bool,
    /// An address to listen on or to connect to has been set: once in a port's life.
    pub(super) aimed: bool,
    pub(super) closing: bool,
    pub(super) orphan_since: Option<Instant>,
    /// The first block of a parallel put is registered: the library opens the other connections now.
    pub(super) primed: bool,
    /// All parallel connections of a put are up (C9: until then only one block is registered).
    pub(super) warm: bool,
    /// The parallelism was set to 1 for an empty file.
    pub(super) narrowed: bool,
}

/// All registered buffers. Ids are given once, so a callback can only ever find what it is for.
#[derive(Debug)]
pub(super) struct Operations {
    table: HashMap<Id, Operation>,
    next: Id,
    counters: Arc<Counters>,
}

impl Operations {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { table: HashMap::new(), next: 1, counters }
    }

    /// Takes over what C is about to hear of.
    fn insert(&mut self, operation: Operation) -> Id {
        let id = self.next;
        self.next += 1;
        self.table.insert(id, operation);
        self.counters.registered.add(1);
        id
    }

    /// Takes out the end of a port's put, which C has forgotten.
    pub(super) fn forget_end(&mut self, of: Id) {
        let is_it = |operation: &Operation| matches!(operation, Operation::End { port } if *port == of);
        let found = self.table.iter().find(|(_, operation)| is_it(operation)).map(|(&id, _)| id);
        if let Some(id) = found {
            self.remove(id);
        }
    }

    /// Takes out what C has given back, or has refused.
    pub(super) fn remove(&mut self, id: Id) -> Option<Operation> {
        let operation = self.table.remove(&id)?;
        self.counters.registered.sub(1);
        Some(operation)
    }
}

fn no_descriptor() -> Failure {
    Failure::new(
        FailureKind::NoDescriptor,
        "no descriptor that Globus can use is left for data channels; close files or use fewer sessions",
    )
}

impl Port {
    /// The handle, if the port has not failed and there are descriptors left for what it is about to open.
    pub(super) fn usable(&self, probe: &OwnedFd) -> Result<&Handle, Failure> {
        self.usable_with(probe, 1)
    }

    /// The same where there must be room for several ports like this one.
    pub(super) fn usable_with(&self, probe: &OwnedFd, ports: usize) -> Result<&Handle, Failure> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if !fds::room_for(probe, (self.connections() + 1).saturating_mul(ports.max(1))) {
            return Err(no_descriptor());
        }
        self.handle.as_ref().ok_or_else(Failure::gone)
    }

    fn connections(&self) -> usize {
        usize::from(self.settings.parallelism.max(1)) * self.stripes
    }

    /// A port is aimed once, before anything else: the library does not check, and a late event of an earlier set would meet
    /// a state that it asserts on.
    pub(super) fn aim(&mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.aimed, true) || self.direction.is_some() {
            return Err(Failure::new(FailureKind::Other, "a data port is aimed once"));
        }
        Ok(())
    }

    /// Connects, accepts, or re-arms what is cached.
    pub(super) fn start(&mut self, id: Id, direction: Direction, probe: &OwnedFd) {
        let result = match self.direction {
            Some(earlier) if earlier != direction => {
                Err(Failure::new(FailureKind::Other, "a data port serves one direction"))
            }
            // Cached connections take no new descriptor.
            Some(_) => Ok(()),
            None => self.usable(probe).map(|_| ()),
        };
        let result = result.and_then(|()| {
            let handle = self.handle.as_ref().ok_or_else(Failure::gone)?;
            handle.connect(direction, id).inspect_err(|_| self.phantom = true)
        });
        #[cfg(test)]
        if crate::hooks::without("1.1") {
            self.phantom = false;
        }
        self.direction = Some(direction);
        self.stripes_up = 0;
        match result {
            Ok(()) => self.link = Link::Starting,
            Err(failure) => {
                self.broken |= self.phantom;
                self.link = Link::Spent;
                let others = self.stripes > 1;
                #[cfg(test)]
                let others = others && !crate::hooks::without("1.1, stripes");
                // Other stripes are being connected to: they have to be closed, and can be. The one that failed has no
                // connection: its `globus_io` handle was set to NULL, which closing takes for what it is.
                self.phantom &= !others;
                self.fail(id, failure);
            }
        }
    }

    /// Ends everything on this port, once, with one reason. Buffers come back later, by their callbacks.
    pub(super) fn fail(&mut self, id: Id, failure: Failure) {
        if self.failure.is_none() {
            self.failure = Some(failure.clone());
        }
        for run in self.runs.drain(..) {
            run.end(Err(failure.clone()));
        }
        let Some(handle) = &self.handle else { return };
        // Asked once: a set that is idle or on its way down refuses, and says nothing more.
        if !self.phantom
            && !self.closing
            && !handle.is_idle()
            && !handle.is_closing()
            && handle.force_close(id).is_ok()
        {
            self.closing = true;
        }
    }

    /// The run is over; extended block connections wait for the next one.
    pub(super) fn rest(&mut self) {
        self.link = if self.settings.extended_block { Link::Idle } else { Link::Spent };
        if std::mem::take(&mut self.narrowed) {
            // The other connections are made for the next file, with all the care that takes (C9).
            (self.primed, self.warm) = (false, false);
            if let Some(handle) = &self.handle
                && let Err(failure) = handle.set_parallelism(self.settings.parallelism)
            {
                // Argument errors only; the next write would be over one connection.
                self.failure = Some(failure);
            }
        }
    }

    /// A read is back with data, with the end of the file, or with both.
    pub(super) fn arrived(
        &mut self,
        buffer: Buffer,
        length: usize,
        offset: i64,
        last: bool,
        counters: &Counters,
    ) -> Result<(), Failure> {
        let extended_block = self.settings.extended_block;
        // From a set that is going down, a block comes back as data at offset 0, with the end of the file and no error.
        if extended_block && self.handle.as_ref().is_none_or(Handle::is_dying) {
            return Err(Failure::new(FailureKind::EndOfFile, "a data connection broke"));
        }
        if length > 0 {
            self.check_peers()?;
        }
        let Some(Run::Read { feed, eof, registered, position, .. }) = self.runs.front_mut() else {
            return Ok(());
        };
        #[cfg(test)]
        if crate::hooks::without("3.3, early") {
            *registered = (*registered).max(1);
        }
        *registered -= 1;
        if length > 0 {
            let data = buffer.into_bytes(length);
            let size = u64::try_from(data.len()).unwrap_or(u64::MAX);
            let at = if extended_block { u64::try_from(offset).ok() } else { Some(*position) };
            let at = at.filter(|at| at.checked_add(size).is_some_and(|end| i64::try_from(end).is_ok()));
            #[cfg(test)]
            let at = if crate::hooks::without("K6") { Some(offset.cast_unsigned()) } else { at };
            let Some(at) = at else {
                return Err(Failure::new(
                    FailureKind::Violation,
                    format!("the server sent a block at the impossible offset {offset}"),
                ));
            };
            *position = at + size;
            counters.bytes_read.add(size);
            feed.shared.delivered.fetch_add(1, Ordering::SeqCst);
            // Nobody may be there any more; the cancel is on its way then.
            let _ = feed.arrivals.send(Arrival::Block { source: feed.source, offset: at, data });
        }
        *eof |= last;
        let all_back = *registered == 0;
        #[cfg(test)]
        let all_back = all_back || crate::hooks::without("3.3, early");
        if *eof && all_back {
            if let Some(run) = self.runs.pop_front() {
                run.end(Ok(()));
            }
            self.rest();
        }
        Ok(())
    }

    /// On a listener without DCAU, whoever connects could inject blocks: only the server's addresses are believed.
    ///
    /// A stranger whose connection came and went within one wait of the engine is not seen: sizes, checksums and DCAU are
    /// for that.
    fn check_peers(&mut self) -> Result<(), Failure> {
        let (Some(local), Some(handle)) = (self.listening, &self.handle) else { return Ok(()) };
        // The server opens as many as it was asked for; room for more shows those that nobody asked for.
        #[cfg(test)]
        if crate::hooks::without("3.3, strangers") {
            return Ok(());
        }
        let hosts = handle.remote_hosts(2 * self.connections() + 16)?;
        if hosts.len() > self.accepted {
            self.accepted = hosts.len();
            fds::close_on_exec(local);
        }
        let Some(allowed) = &self.settings.allowed_peers else { return Ok(()) };
        match hosts.iter().find(|host| !allowed.contains(host)) {
            None => Ok(()),
            Some(stranger) => Err(Failure::new(
                FailureKind::Violation,
                format!("{stranger}, which is not the server, connected to the data port"),
            )),
        }
    }

    /// What Globus accepts, programs that are started meanwhile inherit, unless it is told otherwise.
    pub(super) fn close_accepted_on_exec(&self) {
        if let Some(local) = self.listening {
            fds::close_on_exec(local);
        }
    }

    /// Registers as many reads as the consumer has credit for.
    pub(super) fn register_reads(
        &mut self,
        id: Id,
        operations: &mut Operations,
        pool: &Pool,
    ) -> Result<(), Failure> {
        let Some(handle) = &self.handle else { return Err(Failure::gone()) };
        let Some(Run::Read { feed, eof, registered, .. }) = self.runs.front_mut() else { return Ok(()) };
        if *eof {
            // After the end nothing is registered until all reads are back and the next run begins.
            return Ok(());
        }
        loop {
            if *registered + feed.shared.waiting() >= feed.shared.window {
                // Reads that are still out bring the engine back here by themselves.
                if *registered * 2 > feed.shared.window || feed.shared.starved.load(Ordering::SeqCst) {
                    return Ok(());
                }
                // The consumer may have taken blocks since the look above: it wakes us only if it saw the flag, so look again.
                feed.shared.starved.store(true, Ordering::SeqCst);
                continue;
            }
            let mut buffer = pool.take();
            let (memory, capacity) = buffer.as_mut_ptr();
            // The table owns the buffer before C hears of it, and until the callback: the memory cannot go away or move.
            let operation = operations.insert(Operation::Read { port: id, buffer });
            // SAFETY: `memory` is the pool block just put into the table; it is removed, and looked at, only in `moved`,
            // after C's callback for this operation.
            if let Err(failure) = unsafe { handle.read(memory, capacity, operation) } {
                // Refused: C has not kept the address and will not call back.
                operations.remove(operation);
                return Err(failure);
            }
            *registered += 1;
            self.registered += 1;
        }
    }

    /// Registers the run's data, and its end when all of it is back.
    pub(super) fn register_writes(
        &mut self,
        id: Id,
        operations: &mut Operations,
        probe: &OwnedFd,
    ) -> Result<(), Failure> {
        let Some(handle) = &self.handle else { return Err(Failure::gone()) };
        let wanted = usize::from(self.settings.parallelism.max(1)) * self.stripes;
        let parallel = self.settings.extended_block && wanted > 1;
        let Some(Run::Write { feed, queue, finish, ending, .. }) = self.runs.front_mut() else {
            return Ok(());
        };
        // C9 again: no stripe is given anything while another one is being connected to.
        if self.stripes > 1 && self.stripes_up < self.stripes {
            return Ok(());
        }
        loop {
            if parallel && self.primed && !self.warm {
                // The other connections have no callback of their own: their failure shows in the set.
                if handle.is_dying() {
                    self.broken = true;
                    return Err(Failure::new(FailureKind::Other, "a parallel data connection failed"));
                }
                // C9: with more registered, a connection that is refused while another is being made aborts the process.
                let wanted = if self.narrowed { self.stripes } else { wanted };
                // It fails for a connection that was reset, of which nothing else tells while nothing is written to it.
                self.warm = handle.remote_hosts(wanted)?.len() >= wanted;
                if !self.warm {
                    // One that got no descriptor is not told of either, and would never come.
                    return if fds::any_left(probe, 1) { Ok(()) } else { Err(no_descriptor()) };
                }
            }
            #[cfg(test)]
            if crate::hooks::without("C12") && !*finish {
                return Ok(());
            }
            let (offset, data) = match queue.pop_front() {
                // C refuses an empty block; there is nothing to send.
                Some((_, data)) if data.is_empty() => {
                    feed.shared.permits.add_permits(1);
                    continue;
                }
                Some(entry) => entry,
                None if *finish && !*ending && self.registered == 0 => {
                    *ending = true;
                    if parallel && !self.primed {
                        // An empty file: the other connections would be opened with the end already registered (C9).
                        handle.set_parallelism(1)?;
                        self.narrowed = true;
                    }
                    let memory: *const u8 = &raw const END_ADDRESS;
                    let operation = operations.insert(Operation::End { port: id });
                    // SAFETY: no byte is read (length 0), and the address is a static's.
                    if let Err(failure) = unsafe { handle.write(memory, 0, 0, true, operation) } {
                        operations.remove(operation);
                        return Err(failure);
                    }
                    self.registered += 1;
                    self.end_registered = true;
                    return Ok(());
                }
                None => return Ok(()),
            };
            let pieces = match self.stripes {
                1 => vec![Piece { stripe: 0, offset, data }],
                _ if self.primed || self.settings.parallelism <= 1 => self.dealer.deal(offset, data),
                _ => match self.dealer.deal_first(offset, data.clone()) {
                    Some(pieces) => pieces,
                    None => {
                        // Fewer bytes than stripes: this file goes over one connection each.
                        handle.set_parallelism(1)?;
                        self.narrowed = true;
                        self.dealer.deal(offset, data)
                    }
                },
            };
            let block = Rc::new(());
            let eof = false;
            #[cfg(test)]
            let eof = {
                *ending |= crate::hooks::without("C12") && *finish && queue.is_empty();
                eof || *ending
            };
            for Piece { stripe, offset, data } in pieces {
                let offset = i64::try_from(offset)
                    .map_err(|_| Failure::new(FailureKind::Other, "an offset is beyond 2^63"))?;
                let stripe = c_int::try_from(stripe)
                    .map_err(|_| Failure::new(FailureKind::Other, "too many stripes"))?;
                let (memory, length) = (data.as_ptr(), data.len());
                // The table keeps the `Bytes`, whose memory neither moves nor changes, until the callback.
                let operation =
                    operations.insert(Operation::Write { port: id, data, block: Rc::clone(&block) });
                // SAFETY: as said; the entry is removed only in `moved`, after C's callback for this operation. For several
                // stripes: no piece is empty, and each names one of the `self.stripes` stripes, the number of addresses
                // that the handle was aimed at, since the dealer was made with that number.
                let registered = unsafe {
                    match self.stripes {
                        1 => handle.write(memory, length, offset, eof, operation),
                        _ => handle.write_stripe(memory, length, offset, stripe, operation),
                    }
                };
                if let Err(failure) = registered {
                    operations.remove(operation);
                    return Err(failure);
                }
                self.primed = true;
                self.registered += 1;
            }
        }
    }

    /// True while the port waits for something that C has no callback for.
    pub(super) fn needs_tick(&self) -> bool {
        self.primed
            && !self.warm
            && self.failure.is_none()
            && self.settings.extended_block
            && self.connections() > 1
            && matches!(self.runs.front(), Some(Run::Write { .. }))
    }
}
