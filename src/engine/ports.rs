//! The data ports as the engine thread keeps them: one small state machine each.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::buffer::{Buffer, Pool};
use super::command::Id;
use super::counters::Counters;
use super::data::{Direction, PortSettings};
use super::failure::{Failure, FailureKind};
use super::fds;
use super::gss::Credentials;
use super::handle::Handle;
use super::run::{Arrival, ReadFeed, WriteFeed};

/// How long a closing port may take to come to rest before it is parked.
const REST_LIMIT: Duration = Duration::from_secs(10);

/// The same for a port whose connect or handshake failed: it hardly ever comes to rest (C11).
const BROKEN_LIMIT: Duration = Duration::from_millis(200);

/// How often a port is looked at that waits for something C has no callback for.
const TICK: Duration = Duration::from_millis(2);

/// A registered buffer. It stays here until its callback, whatever becomes of port and run.
#[derive(Debug)]
enum Operation {
    Read {
        port: Id,
        buffer: Buffer,
    },
    Write {
        port: Id,
        data: Bytes,
    },
    /// The end of a put: no bytes, but an address of its own (C12).
    End {
        port: Id,
        _address: Box<u8>,
    },
}

#[derive(Debug)]
enum Run {
    Read { id: Id, feed: ReadFeed, eof: bool, registered: usize, position: u64 },
    Write { id: Id, feed: WriteFeed, queue: VecDeque<(u64, Bytes)>, finish: bool, ending: bool },
}

impl Run {
    fn id(&self) -> Id {
        match self {
            Self::Read { id, .. } | Self::Write { id, .. } => *id,
        }
    }

    fn direction(&self) -> Direction {
        match self {
            Self::Read { .. } => Direction::Read,
            Self::Write { .. } => Direction::Write,
        }
    }

    fn end(self, end: Result<(), Failure>) {
        // Nobody may be there to hear it.
        match self {
            Self::Read { feed, .. } => drop(feed.arrivals.send(Arrival::End(end))),
            Self::Write { feed, .. } => {
                if let Err(failure) = &end {
                    let _ = feed.shared.failure.set(failure.clone());
                    feed.shared.permits.close();
                }
                drop(feed.end.send(end));
            }
        }
    }
}

/// Connections of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
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
struct Port {
    handle: Option<Handle>,
    /// Keeps the credential alive for as long as C borrows it.
    settings: PortSettings,
    link: Link,
    direction: Option<Direction>,
    listening: bool,
    stripes: usize,
    runs: VecDeque<Run>,
    registered: usize,
    failure: Option<Failure>,
    /// A connect or handshake failed: the handle will never come to rest.
    broken: bool,
    closing: bool,
    orphan_since: Option<Instant>,
    /// The first block of a parallel put is registered: the library opens the other connections now.
    primed: bool,
    /// All parallel connections of a put are up (C9: until then only one block is registered).
    warm: bool,
    channels_checked: usize,
}

/// All ports and all registered buffers.
#[derive(Debug)]
pub(super) struct Ports {
    ports: HashMap<Id, Port>,
    operations: HashMap<Id, Operation>,
    next_operation: Id,
    pool: Pool,
    counters: Arc<Counters>,
    /// Ports that are looked at every tick.
    restless: Vec<Id>,
    /// Handles that cannot be freed (C11), with the credentials they may still look at.
    parked: Vec<(Option<Handle>, PortSettings)>,
    /// Any open descriptor, to ask for the lowest free number with.
    probe: OwnedFd,
}

impl Ports {
    pub(super) fn new(pool: Pool, counters: Arc<Counters>, probe: OwnedFd) -> Self {
        Self {
            ports: HashMap::new(),
            operations: HashMap::new(),
            next_operation: 1,
            pool,
            counters,
            restless: Vec::new(),
            parked: Vec::new(),
            probe,
        }
    }

    pub(super) fn open(&mut self, id: Id, settings: PortSettings, credentials: &Credentials) {
        let (handle, failure) = match Handle::new(&settings, credentials) {
            Ok(handle) => (Some(handle), None),
            Err(failure) => (None, Some(failure)),
        };
        let port = Port {
            handle,
            settings,
            link: Link::Idle,
            direction: None,
            listening: false,
            stripes: 1,
            runs: VecDeque::new(),
            registered: 0,
            failure,
            broken: false,
            closing: false,
            orphan_since: None,
            primed: false,
            warm: false,
            channels_checked: 0,
        };
        self.counters.ports.add(1);
        self.ports.insert(id, port);
    }

    pub(super) fn listen(&mut self, id: Id, on: std::net::IpAddr) -> Result<std::net::SocketAddr, Failure> {
        let port = self.ports.get_mut(&id).ok_or_else(Failure::gone)?;
        let result = port.usable(&self.probe).and_then(|handle| handle.listen(on));
        match &result {
            Ok(_) => port.listening = true,
            Err(failure) => port.failure = Some(failure.clone()),
        }
        result
    }

    pub(super) fn peers(&mut self, id: Id, addresses: &[std::net::SocketAddr]) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        port.stripes = addresses.len().max(1);
        let result = port.usable(&self.probe).and_then(|handle| match addresses {
            [one] => handle.peer(*one),
            several => handle.stripes(several),
        });
        if let Err(failure) = result {
            port.failure = Some(failure);
        }
    }

    pub(super) fn connect(&mut self, id: Id, direction: Direction) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if port.link == Link::Idle {
            port.start(id, direction, &self.probe);
        }
        self.advance(id);
    }

    pub(super) fn read(&mut self, id: Id, run: Id, feed: ReadFeed) {
        let run = Run::Read { id: run, feed, eof: false, registered: 0, position: 0 };
        self.queue(id, run);
    }

    pub(super) fn write(&mut self, id: Id, run: Id, feed: WriteFeed) {
        let run = Run::Write { id: run, feed, queue: VecDeque::new(), finish: false, ending: false };
        self.queue(id, run);
    }

    fn queue(&mut self, id: Id, run: Run) {
        match self.ports.get_mut(&id) {
            Some(port) => port.runs.push_back(run),
            None => run.end(Err(Failure::gone())),
        }
        self.advance(id);
    }

    pub(super) fn data(&mut self, id: Id, run: Id, data: Bytes, offset: u64) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let found = port.runs.iter_mut().find(|candidate| candidate.id() == run);
        if let Some(Run::Write { queue, .. }) = found {
            queue.push_back((offset, data));
            self.advance(id);
        }
    }

    pub(super) fn finish(&mut self, id: Id, run: Id) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let found = port.runs.iter_mut().find(|candidate| candidate.id() == run);
        if let Some(Run::Write { finish, .. }) = found {
            *finish = true;
            self.advance(id);
        }
    }

    /// A run's consumer went away: what flows cannot be told from the next run's data, so the connections end.
    pub(super) fn cancel(&mut self, id: Id, run: Id) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if port.runs.iter().any(|candidate| candidate.id() == run) {
            port.fail(id, Failure::new(FailureKind::Closed, "the transfer was cancelled"));
        }
    }

    /// A write run that nothing was posted to is taken back: its connections serve the next one.
    pub(super) fn withdraw(&mut self, id: Id, run: Id) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let Some(at) = port.runs.iter().position(|candidate| candidate.id() == run) else { return };
        let untouched = matches!(&port.runs[at], Run::Write { queue, finish: false, .. } if queue.is_empty())
            && (at > 0 || port.registered == 0);
        if untouched {
            port.runs.remove(at);
        } else {
            port.fail(id, Failure::new(FailureKind::Closed, "the transfer was cancelled"));
        }
    }

    /// The owner is gone: closes what is open; the handle is freed when it has come to rest.
    pub(super) fn close(&mut self, id: Id) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        port.orphan_since = Some(Instant::now());
        port.fail(id, Failure::new(FailureKind::Closed, "the data port was closed"));
        self.reap(id);
    }

    pub(super) fn ids(&self) -> Vec<Id> {
        self.ports.keys().copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    pub(super) fn connected(&mut self, id: Id, failure: Option<Failure>) {
        let Some(port) = self.ports.get_mut(&id) else {
            self.counters.strays.add(1);
            return;
        };
        match failure {
            None => {
                if port.link == Link::Starting {
                    port.link = Link::Up;
                }
                self.advance(id);
            }
            Some(failure) => {
                port.broken = true;
                port.link = Link::Spent;
                port.fail(id, failure);
                self.reap(id);
            }
        }
    }

    pub(super) fn closed(&mut self, id: Id) {
        let Some(port) = self.ports.get_mut(&id) else {
            self.counters.strays.add(1);
            return;
        };
        port.closing = false;
        self.reap(id);
    }

    /// A registered buffer is back.
    pub(super) fn moved(
        &mut self,
        operation: Id,
        failure: Option<Failure>,
        length: usize,
        offset: i64,
        eof: bool,
    ) {
        let Some(operation) = self.operations.remove(&operation) else {
            self.counters.strays.add(1);
            return;
        };
        self.counters.registered.sub(1);
        let (Operation::Read { port: id, .. }
        | Operation::Write { port: id, .. }
        | Operation::End { port: id, .. }) = operation;
        let Some(port) = self.ports.get_mut(&id) else { return };
        port.registered -= 1;
        if port.failure.is_some() {
            // The content of callbacks after an end means nothing: they only bring buffers back.
            self.reap(id);
            return;
        }
        if let Some(failure) = failure {
            port.fail(id, failure);
            self.reap(id);
            return;
        }
        match operation {
            Operation::Read { buffer, .. } => {
                if let Err(failure) = port.arrived(buffer, length, offset, eof, &self.counters) {
                    port.fail(id, failure);
                    self.reap(id);
                    return;
                }
            }
            Operation::Write { data, .. } => {
                if let Some(Run::Write { feed, .. }) = port.runs.front() {
                    let sent = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    feed.shared.written.fetch_add(sent, Ordering::Relaxed);
                    self.counters.bytes_written.add(sent);
                    feed.shared.permits.add_permits(1);
                }
            }
            Operation::End { .. } => {
                if let Some(run) = port.runs.pop_front() {
                    run.end(Ok(()));
                }
                port.rest();
            }
        }
        self.advance(id);
    }

    /// Does whatever the port's state allows: connects for the next run, registers reads and writes.
    pub(super) fn advance(&mut self, id: Id) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if let Some(failure) = port.failure.clone() {
            for run in port.runs.drain(..) {
                run.end(Err(failure.clone()));
            }
            return;
        }
        let Some(direction) = port.runs.front().map(Run::direction) else { return };
        if port.link == Link::Idle {
            port.start(id, direction, &self.probe);
        }
        if port.link == Link::Spent && port.failure.is_none() {
            port.fail(id, Failure::new(FailureKind::Other, "a stream port serves one transfer"));
        }
        if port.failure.is_none() {
            let registered = match direction {
                Direction::Read => {
                    port.register_reads(id, &mut self.operations, &mut self.next_operation, &self.pool)
                }
                Direction::Write => port.register_writes(id, &mut self.operations, &mut self.next_operation),
            };
            match registered {
                Ok(count) => self.counters.registered.add(count),
                Err(failure) => port.fail(id, failure),
            }
        }
        if port.needs_tick() && !self.restless.contains(&id) {
            self.restless.push(id);
        }
    }

    /// Looks again at ports that wait for something without a callback; returns when to do so next.
    pub(super) fn tick(&mut self) -> Option<Duration> {
        for id in std::mem::take(&mut self.restless) {
            self.advance(id);
            self.reap(id);
        }
        (!self.restless.is_empty()).then_some(TICK)
    }

    /// Tells every run that the engine is gone. Nothing is freed: C may still hold the addresses.
    pub(super) fn abandon(&mut self) {
        for port in self.ports.values_mut() {
            for run in port.runs.drain(..) {
                run.end(Err(Failure::gone()));
            }
        }
    }

    /// Frees a port that nobody owns, once it has come to rest; parks one that never will.
    fn reap(&mut self, id: Id) {
        let Some(port) = self.ports.get(&id) else { return };
        let Some(since) = port.orphan_since else { return };
        let at_rest =
            port.registered == 0 && !port.closing && port.handle.as_ref().is_none_or(Handle::is_idle);
        let patience = if port.broken && port.registered == 0 { BROKEN_LIMIT } else { REST_LIMIT };
        let hopeless = since.elapsed() > patience;
        if !at_rest && !hopeless {
            if !self.restless.contains(&id) {
                self.restless.push(id);
            }
            return;
        }
        let Some(port) = self.ports.remove(&id) else { return };
        self.counters.ports.sub(1);
        if at_rest {
            // A refusal leaves the memory to C for ever, which is the right thing to do with it (C11).
            if port.handle.is_some_and(|handle| handle.destroy().is_err()) {
                self.counters.parked.add(1);
            }
        } else {
            // Dropping a `Handle` frees nothing. Its buffers stay in `operations`, where their callbacks would find them.
            self.counters.parked.add(1);
            self.counters.lost_buffers.add(u64::try_from(port.registered).unwrap_or(u64::MAX));
            self.parked.push((port.handle, port.settings));
        }
    }
}

impl Port {
    /// The handle, if the port has not failed and there are descriptors left for what it is about to open.
    fn usable(&self, probe: &OwnedFd) -> Result<&Handle, Failure> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if !fds::room_for(probe, self.connections() + 1) {
            return Err(Failure::new(
                FailureKind::NoDescriptor,
                "no descriptor below 1024 is left for data channels; close files or use fewer sessions",
            ));
        }
        self.handle.as_ref().ok_or_else(Failure::gone)
    }

    fn connections(&self) -> usize {
        usize::from(self.settings.parallelism.max(1)) * self.stripes
    }

    /// Connects, accepts, or re-arms what is cached.
    fn start(&mut self, id: Id, direction: Direction, probe: &OwnedFd) {
        let turned = self.direction.is_some_and(|earlier| earlier != direction);
        let result = if turned {
            Err(Failure::new(FailureKind::Other, "a data port serves one direction"))
        } else {
            self.usable(probe).and_then(|handle| handle.connect(direction, id)).inspect_err(|_| {
                // After a synchronous error of connect_* the handle holds a connection that never existed (§1.1).
                self.broken = true;
            })
        };
        self.direction = Some(direction);
        match result {
            Ok(()) => self.link = Link::Starting,
            Err(failure) => {
                self.link = Link::Spent;
                self.fail(id, failure);
            }
        }
    }

    /// Ends everything on this port, once, with one reason. Buffers come back later, by their callbacks.
    fn fail(&mut self, id: Id, failure: Failure) {
        if self.failure.is_none() {
            self.failure = Some(failure.clone());
        }
        for run in self.runs.drain(..) {
            run.end(Err(failure.clone()));
        }
        let Some(handle) = &self.handle else { return };
        // Asked once: a set that is idle or on its way down refuses, and says nothing more.
        if !self.closing && !handle.is_idle() && !handle.is_closing() && handle.force_close(id).is_ok() {
            self.closing = true;
        }
    }

    /// The run is over; extended block connections wait for the next one.
    fn rest(&mut self) {
        self.link = if self.settings.extended_block { Link::Idle } else { Link::Spent };
    }

    /// A read is back with data, with the end of the file, or with both.
    fn arrived(
        &mut self,
        buffer: Buffer,
        length: usize,
        offset: i64,
        last: bool,
        counters: &Counters,
    ) -> Result<(), Failure> {
        self.check_peers()?;
        let extended_block = self.settings.extended_block;
        let Some(Run::Read { feed, eof, registered, position, .. }) = self.runs.front_mut() else {
            return Ok(());
        };
        *registered -= 1;
        if length > 0 {
            let data = buffer.into_bytes(length);
            let size = u64::try_from(data.len()).unwrap_or(u64::MAX);
            let at = if extended_block { u64::try_from(offset).ok() } else { Some(*position) };
            let at = at.filter(|at| at.checked_add(size).is_some_and(|end| i64::try_from(end).is_ok()));
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
            let _ = feed.arrivals.send(Arrival::Block { offset: at, data });
        }
        *eof |= last;
        if *eof && *registered == 0 {
            if let Some(run) = self.runs.pop_front() {
                run.end(Ok(()));
            }
            self.rest();
        }
        Ok(())
    }

    /// On a listener without DCAU, whoever connects could inject blocks: only the server's addresses are believed.
    fn check_peers(&mut self) -> Result<(), Failure> {
        let (true, Some(allowed), Some(handle)) =
            (self.listening, &self.settings.allowed_peers, &self.handle)
        else {
            return Ok(());
        };
        let channels = handle.channels();
        if channels == self.channels_checked {
            return Ok(());
        }
        // A peer that has closed already has no address any more: the call fails, and the next block asks again.
        if let Ok(hosts) = handle.remote_hosts(channels) {
            if let Some(stranger) = hosts.iter().find(|host| !allowed.contains(host)) {
                return Err(Failure::new(
                    FailureKind::Violation,
                    format!("{stranger}, which is not the server, connected to the data port"),
                ));
            }
            self.channels_checked = channels;
        }
        Ok(())
    }

    /// Registers as many reads as the consumer has credit for.
    fn register_reads(
        &mut self,
        id: Id,
        operations: &mut HashMap<Id, Operation>,
        next: &mut Id,
        pool: &Pool,
    ) -> Result<u64, Failure> {
        let Some(handle) = &self.handle else { return Err(Failure::gone()) };
        let Some(Run::Read { feed, eof, registered, .. }) = self.runs.front_mut() else { return Ok(0) };
        if *eof {
            // After the end nothing is registered until all reads are back and the next run begins.
            return Ok(0);
        }
        let mut count = 0;
        loop {
            if *registered + feed.shared.waiting() >= feed.shared.window {
                if feed.shared.starved.load(Ordering::SeqCst) {
                    return Ok(count);
                }
                // The consumer may have taken blocks since the look above: it wakes us only if it saw the flag, so look again.
                feed.shared.starved.store(true, Ordering::SeqCst);
                continue;
            }
            let mut buffer = pool.take();
            let (memory, capacity) = buffer.as_mut_ptr();
            let operation = *next;
            *next += 1;
            // The table owns the buffer before C hears of it, and until the callback: the memory cannot go away or move.
            operations.insert(operation, Operation::Read { port: id, buffer });
            // SAFETY: `memory` is the pool block just put into the table; it is removed, and looked at, only in `moved`,
            // after C's callback for this operation.
            if let Err(failure) = unsafe { handle.read(memory, capacity, operation) } {
                // Refused: C has not kept the address and will not call back.
                operations.remove(&operation);
                return Err(failure);
            }
            *registered += 1;
            self.registered += 1;
            count += 1;
        }
    }

    /// Registers the run's data, and its end when all of it is back.
    fn register_writes(
        &mut self,
        id: Id,
        operations: &mut HashMap<Id, Operation>,
        next: &mut Id,
    ) -> Result<u64, Failure> {
        let Some(handle) = &self.handle else { return Err(Failure::gone()) };
        let wanted = usize::from(self.settings.parallelism.max(1)) * self.stripes;
        let parallel = self.settings.extended_block && wanted > 1;
        let Some(Run::Write { feed, queue, finish, ending, .. }) = self.runs.front_mut() else {
            return Ok(0);
        };
        let mut count = 0;
        loop {
            if parallel && self.primed && !self.warm {
                // C9: with more registered, a connection that is refused while another is being made aborts the process.
                self.warm = handle.remote_hosts(wanted).is_ok_and(|hosts| hosts.len() >= wanted);
                if !self.warm {
                    return Ok(count);
                }
            }
            let (operation, entry) = (*next, queue.pop_front());
            let (offset, data) = match entry {
                // C refuses an empty block; there is nothing to send.
                Some((_, data)) if data.is_empty() => {
                    feed.shared.permits.add_permits(1);
                    continue;
                }
                Some(entry) => entry,
                None if *finish && !*ending && self.registered == 0 => {
                    *ending = true;
                    let address = Box::new(0_u8);
                    let memory: *const u8 = &raw const *address;
                    *next += 1;
                    operations.insert(operation, Operation::End { port: id, _address: address });
                    // SAFETY: no byte is read (length 0); the address is the table's until the callback.
                    if let Err(failure) = unsafe { handle.write(memory, 0, 0, true, operation) } {
                        operations.remove(&operation);
                        return Err(failure);
                    }
                    self.registered += 1;
                    return Ok(count + 1);
                }
                None => return Ok(count),
            };
            let offset = i64::try_from(offset)
                .map_err(|_| Failure::new(FailureKind::Other, "an offset is beyond 2^63"))?;
            let (memory, length) = (data.as_ptr(), data.len());
            *next += 1;
            // The table keeps the `Bytes`, whose memory neither moves nor changes, until the callback.
            operations.insert(operation, Operation::Write { port: id, data });
            // SAFETY: as said; the entry is removed only in `moved`, after C's callback for this operation.
            if let Err(failure) = unsafe { handle.write(memory, length, offset, false, operation) } {
                operations.remove(&operation);
                return Err(failure);
            }
            self.primed = true;
            self.registered += 1;
            count += 1;
        }
    }

    /// True while the port waits for something that C has no callback for.
    fn needs_tick(&self) -> bool {
        self.primed
            && !self.warm
            && self.failure.is_none()
            && self.settings.extended_block
            && self.connections() > 1
            && matches!(self.runs.front(), Some(Run::Write { .. }))
    }
}
