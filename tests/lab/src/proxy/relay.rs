//! One connection through the proxy: two directions, and what happens to them.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::net::sockopt;

use super::address::{self, Reader};
use super::{Fault, Way, What, Where};

/// Bytes of one direction that are held at most: little, so that a stall is felt by the sender soon.
const MOST_HELD: usize = 64 * 1024;

/// A line of a control channel that is longer is passed on as it is.
const LONGEST_LINE: usize = 64 * 1024;

/// How often a connection is read and written in one go, so that none keeps the others waiting.
const TURNS: usize = 8;

/// Finds the proxy's own address for one that the other side would be told.
pub(super) type Stand<'a> = &'a mut dyn FnMut(Way, SocketAddr) -> io::Result<SocketAddr>;

/// A connection between a client and a server.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) connection: Where,
    /// None once that end is closed.
    client: Option<TcpStream>,
    server: Option<TcpStream>,
    to_server: Flow,
    to_client: Flow,
    replies: Reader,
    pub(super) struck: usize,
}

/// One direction.
#[derive(Debug)]
struct Flow {
    /// A line that has not ended yet.
    line: Vec<u8>,
    /// Read, and ready to be written.
    held: Vec<u8>,
    passed: u64,
    /// What is still to happen, the last first.
    faults: Vec<Fault>,
    state: State,
    /// The sender has no more.
    ended: bool,
    /// The receiver was told so.
    closed: bool,
    not_before: Option<Instant>,
    pace: Option<Pace>,
    /// A bit of the next byte is flipped.
    flips: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Nothing is taken from the sender.
    Stalled,
    /// What is taken is thrown away.
    Lost,
    /// The same, and the sender's end goes unnoticed: it stays so until the proxy ends.
    Hole,
}

impl State {
    fn swallows(self) -> bool {
        matches!(self, Self::Lost | Self::Hole)
    }
}

/// How often what is held back is let through.
const STEP: Duration = Duration::from_millis(5);

/// No more than so many bytes a second.
#[derive(Debug, Clone, Copy)]
struct Pace {
    since: Instant,
    from: u64,
    per_second: u64,
}

impl Pace {
    /// How many of the bytes may have passed by now.
    fn allowed(&self, now: Instant) -> u64 {
        // In steps: byte by byte as time passes, the proxy and who receives would do nothing else.
        let steps = now.saturating_duration_since(self.since).as_micros() / STEP.as_micros();
        let micros = u64::try_from(steps * STEP.as_micros()).unwrap_or(u64::MAX);
        self.from.saturating_add(micros.saturating_mul(self.per_second) / 1_000_000)
    }
}

impl Flow {
    fn new(way: Way, connection: Where, faults: &[Fault]) -> Self {
        let mut faults: Vec<_> = faults
            .iter()
            .filter(|fault| fault.connection.names(connection) && fault.way == way)
            .cloned()
            .collect();
        faults.sort_by_key(|fault| std::cmp::Reverse(fault.at));
        Self {
            line: Vec::new(),
            held: Vec::new(),
            passed: 0,
            faults,
            state: State::Open,
            ended: false,
            closed: false,
            not_before: None,
            pace: None,
            flips: false,
        }
    }

    fn reads(&self) -> bool {
        let room = self.held.len() < MOST_HELD || self.state.swallows();
        !self.ended && self.state != State::Stalled && room
    }

    /// How many of the held bytes may be written now.
    fn may_write(&self, now: Instant) -> usize {
        if self.state != State::Open || self.not_before.is_some_and(|time| time > now) {
            return 0;
        }
        let mut limit = u64::try_from(self.held.len()).unwrap_or(u64::MAX);
        if let Some(fault) = self.faults.last() {
            limit = limit.min(fault.at.saturating_sub(self.passed));
        }
        if let Some(pace) = &self.pace {
            limit = limit.min(pace.allowed(now).saturating_sub(self.passed));
        }
        usize::try_from(limit).unwrap_or(usize::MAX)
    }

    fn next_fault(&mut self) -> Option<What> {
        let due = self.state == State::Open && !self.closed && self.faults.last()?.at <= self.passed;
        let waits = self.not_before.is_some_and(|time| time > Instant::now());
        if due && !waits { self.faults.pop().map(|fault| fault.what) } else { None }
    }

    /// When it goes on by itself.
    fn wakes(&self, now: Instant) -> Option<Instant> {
        if self.state != State::Open {
            return None;
        }
        if let Some(time) = self.not_before.filter(|time| *time > now) {
            return Some(time);
        }
        let waits = self.pace.is_some() && !self.held.is_empty() && self.may_write(now) == 0;
        waits.then(|| now + STEP)
    }

    fn is_over(&self) -> bool {
        self.ended && (self.closed || self.state == State::Lost)
    }
}

/// Which end of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Server,
}

impl Relay {
    pub(super) fn new(
        connection: Where,
        client: TcpStream,
        server: TcpStream,
        faults: &[Fault],
    ) -> io::Result<Self> {
        for stream in [&client, &server] {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
        }
        Ok(Self {
            connection,
            client: Some(client),
            server: Some(server),
            to_server: Flow::new(Way::ToServer, connection, faults),
            to_client: Flow::new(Way::ToClient, connection, faults),
            replies: Reader::default(),
            struck: 0,
        })
    }

    pub(super) fn passed(&self, way: Way) -> u64 {
        match way {
            Way::ToServer => self.to_server.passed,
            Way::ToClient => self.to_client.passed,
        }
    }

    /// What has to be waited for at this end: nothing for an end without interest, which would only report that it is gone.
    pub(super) fn interest(&self, end: End, now: Instant) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let (stream, out, into) = match end {
            End::Client => (self.client.as_ref()?, &self.to_server, &self.to_client),
            End::Server => (self.server.as_ref()?, &self.to_client, &self.to_server),
        };
        let mut flags = PollFlags::empty();
        if out.reads() {
            flags |= PollFlags::IN;
        }
        if into.may_write(now) > 0 {
            flags |= PollFlags::OUT;
        }
        (!flags.is_empty()).then(|| (stream.as_fd(), flags))
    }

    pub(super) fn wakes(&self, now: Instant) -> Option<Instant> {
        [self.to_server.wakes(now), self.to_client.wakes(now)].into_iter().flatten().min()
    }

    pub(super) fn is_over(&self) -> bool {
        let gone = self.client.is_none() && self.server.is_none();
        gone || (self.to_server.is_over() && self.to_client.is_over())
    }

    /// Moves what can be moved.
    pub(super) fn step(&mut self, stand: Stand<'_>) {
        for _ in 0..TURNS {
            let mut moved = false;
            for way in [Way::ToServer, Way::ToClient] {
                match self.step_way(way, stand) {
                    Ok(more) => moved |= more,
                    // A broken connection is broken at both ends.
                    Err(_) => self.reset(),
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn step_way(&mut self, way: Way, stand: Stand<'_>) -> io::Result<bool> {
        let mut moved = self.strike(way);
        moved |= self.read(way, stand)?;
        moved |= self.write(way)?;
        // The last byte before a fault takes it with it.
        moved |= self.strike(way);
        let (flow, _, to) = self.parts(way);
        if flow.ended && flow.held.is_empty() && flow.state == State::Open && !flow.closed {
            flow.closed = true;
            if let Some(to) = to {
                let _ = to.shutdown(Shutdown::Write);
            }
        }
        Ok(moved)
    }

    fn parts(&mut self, way: Way) -> (&mut Flow, Option<&TcpStream>, Option<&TcpStream>) {
        match way {
            Way::ToServer => (&mut self.to_server, self.client.as_ref(), self.server.as_ref()),
            Way::ToClient => (&mut self.to_client, self.server.as_ref(), self.client.as_ref()),
        }
    }

    fn read(&mut self, way: Way, stand: Stand<'_>) -> io::Result<bool> {
        let is_control = matches!(self.connection, Where::Control(_));
        let (flow, from, _) = self.parts(way);
        let Some(mut from) = from.filter(|_| flow.reads()) else { return Ok(false) };
        let mut bytes = [0; 16 * 1024];
        let count = match from.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if is_for_later(&error) => return Ok(false),
            // Who is in a black hole does not hear of the other's end.
            Err(_) if flow.state.swallows() => 0,
            Err(error) => return Err(error),
        };
        flow.ended = count == 0;
        if flow.state.swallows() {
            return Ok(true);
        }
        let new = &bytes[..count];
        if !is_control {
            flow.held.extend_from_slice(new);
            return Ok(true);
        }
        flow.line.extend_from_slice(new);
        let mut rest = std::mem::take(&mut flow.line);
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let behind = rest.split_off(end + 1);
            let line = std::mem::replace(&mut rest, behind);
            let line = self.translated(way, line, stand)?;
            self.parts(way).0.held.extend(line);
        }
        let (flow, ..) = self.parts(way);
        if flow.ended || rest.len() > LONGEST_LINE {
            flow.held.append(&mut rest);
        }
        flow.line = rest;
        Ok(true)
    }

    /// A line of the control channel as the other side shall see it.
    fn translated(&mut self, way: Way, line: Vec<u8>, stand: Stand<'_>) -> io::Result<Vec<u8>> {
        let names_address = match way {
            Way::ToServer => address::is_command_with_address(&line),
            Way::ToClient => self.replies.is_reply_with_address(&line),
        };
        if !names_address {
            return Ok(line);
        }
        let own =
            self.server.as_ref().map_or_else(|| Err(ErrorKind::NotConnected.into()), TcpStream::peer_addr)?;
        address::replace(&line, own.ip(), |told| stand(way, told))
    }

    fn write(&mut self, way: Way) -> io::Result<bool> {
        let (flow, _, to) = self.parts(way);
        let count = flow.may_write(Instant::now());
        let Some(mut to) = to.filter(|_| count > 0) else { return Ok(false) };
        if std::mem::take(&mut flow.flips)
            && let Some(byte) = flow.held.first_mut()
        {
            *byte ^= 8;
        }
        let count = match to.write(&flow.held[..count]) {
            Ok(count) => count,
            Err(error) if is_for_later(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        flow.held.drain(..count);
        flow.passed += u64::try_from(count).unwrap_or(0);
        Ok(count > 0)
    }

    /// Lets happen what is due.
    fn strike(&mut self, way: Way) -> bool {
        let mut any = false;
        while let Some(what) = self.parts(way).0.next_fault() {
            any = true;
            self.struck += 1;
            self.happen(way, what);
        }
        any
    }

    fn happen(&mut self, way: Way, what: What) {
        let now = Instant::now();
        let (flow, from, to) = self.parts(way);
        match what {
            What::Reset => self.reset(),
            What::Stall => flow.state = State::Stalled,
            What::Delay(time) => flow.not_before = Some(now + time),
            What::Throttle(per_second) => {
                flow.pace = Some(Pace { since: now, from: flow.passed, per_second: per_second.max(1) });
            }
            What::Inject(bytes) => drop(flow.held.splice(..0, bytes)),
            What::Flip => flow.flips = true,
            What::Truncate => {
                flow.state = State::Lost;
                flow.closed = true;
                if let Some(to) = to {
                    let _ = to.shutdown(Shutdown::Write);
                }
            }
            What::BlackHole => {
                (self.to_server.state, self.to_client.state) = (State::Hole, State::Hole);
            }
            What::Cut => {
                for end in [from, to].into_iter().flatten() {
                    let _ = end.shutdown(Shutdown::Write);
                }
                // The sender's end is closed, so that the kernel answers what still comes. The receiver's stays open as long
                // as the receiver does: closed with something unread in it, it would send a reset instead of the end.
                (self.to_server.state, self.to_client.state) = (State::Lost, State::Lost);
                match way {
                    Way::ToServer => (self.to_server.ended, self.client) = (true, None),
                    Way::ToClient => (self.to_client.ended, self.server) = (true, None),
                }
            }
        }
    }

    /// Closes both ends so that they see a reset.
    fn reset(&mut self) {
        for stream in [self.client.take(), self.server.take()].into_iter().flatten() {
            let _ = sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
