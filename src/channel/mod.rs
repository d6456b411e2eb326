//! Data channels as a session sees them: C's where something is sent or protected; our own where data is received from a peer
//! that nobody has authenticated.
//!
//! In extended block mode a peer can abort the process inside the C library: 17 bytes are enough (C7, C8). So what is
//! received that way without data channel authentication is received here, by tasks of the session's runtime. A stream is received
//! here as well, because that is faster: its reader reads the socket itself, or has the kernel move the bytes to a file. All
//! kinds look the same from outside, and it is checked here that no byte of a file comes twice.
//!
//! Never here: FTP commands and replies, deadlines, what a file's bytes are for, C.

mod connection;
mod ledger;
mod listen;
mod port;
mod receiver;
mod socket;
mod stream;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::engine::{self, Direction, Engine, Failure, PortSecurity, PortSettings, WriteRun, fork};
use ledger::Ledger;
pub(crate) use socket::Own;

/// The local end of data channels.
///
/// A port serves one direction. In stream mode it serves one run; in extended block mode its connections stay open and
/// serve one run after another. After a failure it is of no more use; dropping it closes what is open, without waiting.
#[derive(Debug)]
pub(crate) struct DataPort {
    kind: Kind,
    extended_block: bool,
}

#[derive(Debug)]
enum Kind {
    C(engine::DataPort),
    Own(port::Port),
    Stream(stream::Port),
}

/// Has C receive everything, as it did before there was a receiver of our own: to show what that prevents.
///
/// For the whole process; a child process of a test is told by the variable `GRIDFTP_TEST_C_RECEIVER`.
#[cfg(test)]
pub(crate) static C_RECEIVES: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

fn c_receives() -> bool {
    #[cfg(test)]
    if C_RECEIVES.load(std::sync::atomic::Ordering::SeqCst)
        || std::env::var_os("GRIDFTP_TEST_C_RECEIVER").is_some()
        || crate::hooks::without("a receiver of our own")
    {
        return true;
    }
    false
}

impl DataPort {
    /// A new port. Nothing waits; what fails is told by the first operation on it.
    pub(crate) fn open(engine: &Engine, settings: PortSettings, direction: Direction) -> Self {
        let extended_block = settings.extended_block;
        let own =
            direction == Direction::Read && matches!(settings.security, PortSecurity::None) && !c_receives();
        let kind = match (own, extended_block) {
            // In extended block mode whoever receives listens, so ours never connects; in stream mode it always does.
            (true, true) => Kind::Own(port::Port::new(engine, settings)),
            (true, false) => Kind::Stream(stream::Port::new(engine, settings)),
            (false, _) => Kind::C(engine::DataPort::open(engine, settings)),
        };
        Self { kind, extended_block }
    }

    /// Listens for each of so many stripes, on free ports (of `GLOBUS_TCP_PORT_RANGE`, if set) of the address, and returns
    /// what to tell the server, in their order. Once in a port's life.
    pub(crate) async fn listen_all(
        &mut self,
        on: IpAddr,
        stripes: usize,
    ) -> Result<Vec<SocketAddr>, Failure> {
        match &mut self.kind {
            Kind::C(port) => port.listen_all(on, stripes).await,
            Kind::Own(port) => port.listen_all(on, stripes),
            Kind::Stream(_) => Err(Failure::new(
                engine::FailureKind::Other,
                "a stream is connected to its server, not waited for",
            )),
        }
    }

    /// Notes the address, or in striped mode the addresses, to connect to.
    pub(crate) fn peers(&self, addresses: Vec<SocketAddr>) {
        match &self.kind {
            Kind::C(port) => port.peers(addresses),
            Kind::Stream(port) => port.peers(&addresses),
            Kind::Own(_) => {}
        }
    }

    /// Starts connecting, or accepting, before a run.
    pub(crate) fn connect(&self, direction: Direction) {
        match &self.kind {
            Kind::C(port) => port.connect(direction),
            Kind::Stream(port) => port.connect(),
            Kind::Own(_) => {}
        }
    }

    /// Whether the port has failed by now, and why; for those who have no run that would tell them.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        match &self.kind {
            Kind::C(port) => port.check().await,
            Kind::Own(port) => port.check(),
            Kind::Stream(port) => port.check(),
        }
    }

    /// Whether a port of our own has failed by now. C's tells only those who wait for it.
    pub(crate) fn is_spent(&self) -> bool {
        matches!(&self.kind, Kind::Own(port) if port.check().is_err())
    }

    /// Whether anybody has ever connected to a port of our own; of others nobody asks, and they count as reached.
    pub(crate) fn is_reached(&self) -> bool {
        match &self.kind {
            Kind::C(_) | Kind::Stream(_) => true,
            Kind::Own(port) => port.is_reached(),
        }
    }

    /// Queues a run of incoming data; at most `window` blocks are in flight or untaken.
    pub(crate) fn read(&self, window: usize) -> ReadRun {
        self.queue_run(window, false)
    }

    /// [`Self::read`], where a port of our own hands on what there is of a block instead of waiting for the rest of it.
    pub(crate) fn read_as_it_comes(&self, window: usize) -> ReadRun {
        self.queue_run(window, true)
    }

    fn queue_run(&self, window: usize, as_it_comes: bool) -> ReadRun {
        let source = match &self.kind {
            Kind::C(port) => Source::C(port.read(window)),
            Kind::Own(port) => Source::Own(port.read(window, as_it_comes)),
            Kind::Stream(port) => Source::Stream(port.read()),
        };
        ReadRun { source, ledger: self.extended_block.then(Ledger::default) }
    }

    /// Queues a run of outgoing data; at most `window` blocks are in flight.
    pub(crate) fn write(&self, window: usize) -> WriteRun {
        match &self.kind {
            Kind::C(port) => port.write(window),
            Kind::Own(port) => port.write(),
            Kind::Stream(port) => port.write(),
        }
    }
}

/// One file's data on its way in. Dropping it before its end closes the port's connections.
#[derive(Debug)]
pub(crate) struct ReadRun {
    source: Source,
    /// The bytes that came; none for a stream, whose bytes come one after the other.
    ledger: Option<Ledger>,
}

#[derive(Debug)]
enum Source {
    C(engine::ReadRun),
    Own(port::Run),
    Stream(stream::Run),
    /// What came could not be believed; the rest is not heard.
    Given,
}

impl ReadRun {
    /// The next block, as `(offset, data)`: any order in extended block mode. `None` after the last one.
    ///
    /// In stream mode offsets count from zero; in extended block mode no byte comes twice. Cancel safe: a block is either
    /// returned or still there.
    pub(crate) async fn next(&mut self) -> Result<Option<(u64, Bytes)>, Failure> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`Self::next`] for hand-written futures.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<(u64, Bytes)>, Failure>> {
        fork::check_engine()?;
        let arrival = match &mut self.source {
            Source::C(run) => run.poll_next(cx),
            Source::Own(run) => run.poll_next(cx),
            Source::Stream(run) => run.poll_next(cx),
            Source::Given => return Poll::Ready(Ok(None)),
        };
        arrival.map(|arrival| self.note(arrival))
    }

    /// What has arrived already, without waiting.
    pub(crate) fn try_next(&mut self) -> Option<Result<Option<(u64, Bytes)>, Failure>> {
        let arrival = match &mut self.source {
            Source::C(run) => run.try_next(),
            Source::Own(run) => run.try_next(),
            Source::Stream(run) => match run.poll_next(&mut Context::from_waker(std::task::Waker::noop())) {
                Poll::Ready(arrival) => Some(arrival),
                Poll::Pending => None,
            },
            Source::Given => return Some(Ok(None)),
        };
        arrival.map(|arrival| self.note(arrival))
    }

    /// Whether bytes can go into a pipe without coming here.
    pub(crate) fn can_splice(&self) -> bool {
        matches!(self.source, Source::Stream(_))
    }

    /// Moves what has arrived into an empty pipe, at most so many bytes, and tells `(offset, count)`; as [`Self::poll_next`]
    /// otherwise. Only for a run that [can](Self::can_splice).
    pub(crate) fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        most: usize,
    ) -> Poll<Result<Option<(u64, usize)>, Failure>> {
        fork::check_engine()?;
        match &mut self.source {
            Source::Stream(run) => run.poll_splice(cx, pipe, most),
            _ => Poll::Ready(Err(Failure::new(
                engine::FailureKind::Other,
                "these bytes cannot go into a pipe",
            ))),
        }
    }

    /// For those who read in order: no byte from `offset` on is taken for now, as far as whole MiB go, so that connections that
    /// run ahead wait for those that lag behind. It goes up as the reader goes on. C's connections know nothing of it.
    ///
    /// A server that sends later bytes first on the very connection that is to bring the earlier ones is waited for in vain,
    /// until the deadline.
    pub(crate) fn hold_from(&self, offset: u64) {
        if let Source::Own(run) = &self.source
            && !fork::is_child()
        {
            run.hold_from(offset);
        }
    }

    /// Whether what came so far is one stretch of bytes, from offset 0 if `from_zero`.
    pub(crate) fn is_gapless(&self, from_zero: bool) -> bool {
        self.ledger.as_ref().is_none_or(|ledger| ledger.is_gapless(from_zero))
    }

    fn note(
        &mut self,
        arrival: Result<Option<(u64, Bytes)>, Failure>,
    ) -> Result<Option<(u64, Bytes)>, Failure> {
        let arrival = arrival?;
        if let (Some(ledger), Some((offset, data))) = (&mut self.ledger, &arrival)
            && let Err(failure) = ledger.note(*offset, data.len())
        {
            // Dropping what is left of the run closes the connections.
            self.source = Source::Given;
            return Err(failure);
        }
        Ok(arrival)
    }
}
