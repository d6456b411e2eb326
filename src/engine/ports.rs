//! All data ports of the engine thread: commands and events find theirs here, and closed ones are freed or parked.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::buffer::Pool;
use super::command::Id;
use super::counters::Counters;
use super::data::{Direction, PortSettings};
use super::failure::{Failure, FailureKind};
use super::fds;
use super::gss::Credentials;
use super::handle::Handle;
use super::port_state::{Link, Operation, Operations, Port, Run};
use super::run::{ReadFeed, WriteFeed};
use super::stripes::Dealer;

/// How long a closing port may take to come to rest before it is parked.
const REST_LIMIT: Duration = Duration::from_secs(10);

/// The same for a port whose connect or handshake failed: it hardly ever comes to rest (C11).
const BROKEN_LIMIT: Duration = Duration::from_millis(200);

/// How often a port is looked at that waits for something C has no callback for.
const TICK: Duration = Duration::from_millis(2);

/// Files that the security library has open at a time, with some to spare.
const SPARE_FILES: usize = 4;

/// All ports and all registered buffers.
#[derive(Debug)]
pub(super) struct Ports {
    ports: HashMap<Id, Port>,
    operations: Operations,
    pool: Pool,
    counters: Arc<Counters>,
    /// Ports that are looked at every tick.
    restless: Vec<Id>,
    /// Handles that cannot be freed (C11), with the credentials they may still look at.
    parked: HashMap<Id, (Option<Handle>, PortSettings)>,
    /// Any open descriptor, to ask for the lowest free number with.
    probe: OwnedFd,
}

impl Ports {
    pub(super) fn new(pool: Pool, counters: Arc<Counters>, probe: OwnedFd) -> Self {
        Self {
            ports: HashMap::new(),
            operations: Operations::new(Arc::clone(&counters)),
            pool,
            counters,
            restless: Vec::new(),
            parked: HashMap::new(),
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
            dealer: Dealer::new(settings.layout, 1),
            settings,
            link: Link::Idle,
            direction: None,
            listening: None,
            accepted: 0,
            stripes: 1,
            stripes_up: 0,
            runs: VecDeque::new(),
            registered: 0,
            end_registered: false,
            failure,
            broken: false,
            phantom: false,
            aimed: false,
            closing: false,
            orphan_since: None,
            primed: false,
            warm: false,
            narrowed: false,
        };
        self.counters.ports.add(1);
        self.ports.insert(id, port);
    }

    pub(super) fn listen(
        &mut self,
        id: Id,
        on: std::net::IpAddr,
        ports: usize,
    ) -> Result<std::net::SocketAddr, Failure> {
        let port = self.ports.get_mut(&id).ok_or_else(Failure::gone)?;
        let usable = port.aim().and_then(|()| port.usable_with(&self.probe, ports));
        let result = usable.and_then(|handle| handle.listen(on));
        match &result {
            Ok(local) => port.listening = Some(*local),
            Err(failure) => port.fail(id, failure.clone()),
        }
        result
    }

    pub(super) fn check(&self, id: Id) -> Result<(), Failure> {
        let port = self.ports.get(&id).ok_or_else(Failure::gone)?;
        port.failure.clone().map_or(Ok(()), Err)
    }

    pub(super) fn peers(&mut self, id: Id, addresses: &[std::net::SocketAddr]) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        let aimed = port.aim();
        if aimed.is_ok() {
            port.stripes = addresses.len().max(1);
            port.dealer = Dealer::new(port.settings.layout, port.stripes);
        }
        let result = aimed.and_then(|()| port.usable(&self.probe)).and_then(|handle| match addresses {
            // C would make a set of no stripes, and look for the first of them all the same.
            [] => Err(Failure::new(FailureKind::Other, "no address to connect to")),
            [one] => handle.peer(*one),
            several => handle.stripes(several),
        });
        if let Err(failure) = result {
            port.fail(id, failure);
        }
    }

    pub(super) fn connect(&mut self, id: Id, direction: Direction) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if port.link == Link::Idle {
            port.start(id, direction, &self.probe);
        }
        #[cfg(test)]
        if crate::hooks::without("C10")
            && let Some(handle) = &port.handle
        {
            handle.change_to_stream_mode();
        }
        self.advance(id);
    }

    pub(super) fn read(&mut self, id: Id, run: Id, feed: ReadFeed) {
        let run = Run::Read { id: run, feed, eof: false, registered: 0, position: 0 };
        self.queue(id, run);
    }

    pub(super) fn write(&mut self, id: Id, run: Id, feed: WriteFeed) {
        let run = Run::Write {
            id: run,
            feed,
            queue: VecDeque::new(),
            touched: false,
            finish: false,
            ending: false,
        };
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
        if let Some(Run::Write { queue, touched, .. }) = found {
            *touched = true;
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
        if matches!(&port.runs[at], Run::Write { touched: false, finish: false, .. }) {
            port.runs.remove(at);
            // The next run's data may be waiting already.
            self.advance(id);
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

    /// Whether the security library can open the files that it reads. Without them it says things that are not true: that
    /// it trusts nobody, for instance.
    pub(super) fn spare_files(&self) -> Result<(), Failure> {
        if fds::any_left(&self.probe, SPARE_FILES) {
            return Ok(());
        }
        Err(Failure::new(FailureKind::NoDescriptor, "no descriptor is left for the security library"))
    }

    pub(super) fn ids(&self) -> Vec<Id> {
        self.ports.keys().copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// Whether there are handles that could not be freed.
    pub(super) fn has_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    pub(super) fn connected(&mut self, id: Id, failure: Option<Failure>) {
        let Some(port) = self.ports.get_mut(&id) else {
            if !self.parked.contains_key(&id) {
                self.counters.strays.add(1);
            }
            return;
        };
        match failure {
            None => {
                port.stripes_up += 1;
                port.close_accepted_on_exec();
                if port.link == Link::Starting {
                    port.link = Link::Up;
                }
                self.advance(id);
            }
            Some(failure) => {
                // Our own force_close ends a connect as well; that one comes to rest.
                port.broken |= port.failure.is_none();
                port.link = Link::Spent;
                port.fail(id, failure);
                self.reap(id);
            }
        }
    }

    pub(super) fn closed(&mut self, id: Id) {
        let Some(port) = self.ports.get_mut(&id) else {
            if !self.parked.contains_key(&id) {
                self.counters.strays.add(1);
            }
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
        let Some(operation) = self.operations.remove(operation) else {
            self.counters.strays.add(1);
            return;
        };
        let (Operation::Read { port: id, .. }
        | Operation::Write { port: id, .. }
        | Operation::End { port: id, .. }) = operation;
        let Some(port) = self.ports.get_mut(&id) else { return };
        port.registered -= 1;
        if let Operation::End { .. } = operation {
            port.end_registered = false;
        }
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
            Operation::Write { data, block, .. } => {
                if let Some(Run::Write { feed, .. }) = port.runs.front() {
                    let sent = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    feed.shared.written.fetch_add(sent, Ordering::Relaxed);
                    self.counters.bytes_written.add(sent);
                    // Stripes are not equally fast: whichever piece comes last.
                    if Rc::into_inner(block).is_some() {
                        feed.shared.permits.add_permits(1);
                    }
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
                Direction::Read => port.register_reads(id, &mut self.operations, &self.pool),
                Direction::Write => port.register_writes(id, &mut self.operations, &self.probe),
            };
            if let Err(failure) = registered {
                port.fail(id, failure);
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
        #[cfg(test)]
        let at_rest = at_rest || crate::hooks::without("C11");
        // A stream that is cancelled while it is being ended comes to rest without a word about that end (measured: 3 of
        // some 7,000 cancelled puts on a busy machine). There is no buffer to be waited for.
        let end_is_lost = port.end_registered
            && port.registered == 1
            && !port.closing
            && port.handle.as_ref().is_some_and(Handle::is_idle);
        let is_broken = port.broken && port.registered == 0;
        let patience = if is_broken || end_is_lost { BROKEN_LIMIT } else { REST_LIMIT };
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
                self.parked.insert(id, (None, port.settings));
            }
        } else {
            // Dropping a `Handle` frees nothing. Its buffers stay in `operations`, where their callbacks would find them.
            self.counters.parked.add(1);
            let mut lost = port.registered;
            if port.end_registered {
                self.operations.forget_end(id);
                lost = lost.saturating_sub(1);
            }
            self.counters.lost_buffers.add(u64::try_from(lost).unwrap_or(u64::MAX));
            self.parked.insert(id, (port.handle, port.settings));
        }
    }
}
