//! Data channels as a session sees them: C's where blocks are sent or something is protected; our own where data is received from
//! a peer that nobody has authenticated, and where whole files are sent to one.
//!
//! In extended block mode a peer can abort the process inside the C library: 17 bytes are enough (C7, C8). So what is
//! received that way without data channel authentication is received here, by tasks of the session's runtime. A stream is received
//! here as well, because that is faster: its reader reads the socket itself, or has the kernel move the bytes to a file. For the same
//! reason files are sent from here: a thread has the kernel move their bytes to the connections, or moves them itself. All
//! kinds look the same from outside, and it is checked here that no byte of a file comes twice.
//!
//! Never here: FTP commands and replies, deadlines, what a file's bytes are for, C.

mod connection;
mod ledger;
mod listen;
mod port;
mod pump;
mod receiver;
mod sender;
mod socket;
mod stream;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::engine::{self, Direction, Engine, Failure, PortSecurity, PortSettings, fork};
use ledger::Ledger;
pub(crate) use pump::{Broken, Stretch, Supply};
pub(crate) use sender::Outgoing;
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
    File(sender::Port),
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
    ///
    /// `files` says that whole files are to be sent over it, to one server and not to stripes: where nobody has to prove
    /// anything, such a port [sends them](WriteRun::sends_files) by itself.
    pub(crate) fn open(engine: &Engine, settings: PortSettings, direction: Direction, files: bool) -> Self {
        let extended_block = settings.extended_block;
        let plain = matches!(settings.security, PortSecurity::None);
        let own = direction == Direction::Read && plain && !c_receives();
        let kind = match (own, extended_block) {
            // In extended block mode whoever receives listens, so ours never connects; in stream mode it always does.
            (true, true) => Kind::Own(port::Port::new(engine, settings)),
            (true, false) => Kind::Stream(stream::Port::new(engine, settings)),
            (false, true) if plain && files => Kind::File(sender::Port::new(engine, settings)),
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
            Kind::Stream(_) | Kind::File(_) => Err(Failure::new(
                engine::FailureKind::Other,
                "this port connects to its server, which is not waited for",
            )),
        }
    }

    /// Notes the address, or in striped mode the addresses, to connect to.
    pub(crate) fn peers(&self, addresses: Vec<SocketAddr>) {
        match &self.kind {
            Kind::C(port) => port.peers(addresses),
            Kind::Stream(port) => port.peers(&addresses),
            Kind::File(port) => port.peers(&addresses),
            Kind::Own(_) => {}
        }
    }

    /// Starts connecting, or accepting, before a run.
    pub(crate) fn connect(&self, direction: Direction) {
        match &self.kind {
            Kind::C(port) => port.connect(direction),
            Kind::Stream(port) => port.connect(),
            Kind::File(port) => port.connect(),
            Kind::Own(_) => {}
        }
    }

    /// Whether the port has failed by now, and why; for those who have no run that would tell them.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        match &self.kind {
            Kind::C(port) => port.check().await,
            Kind::Own(port) => port.check(),
            Kind::Stream(port) => port.check(),
            Kind::File(port) => port.check(),
        }
    }

    /// Whether a port of our own has failed by now. C's tells only those who wait for it.
    pub(crate) fn is_spent(&self) -> bool {
        match &self.kind {
            Kind::Own(port) => port.check().is_err(),
            Kind::File(port) => port.check().is_err(),
            Kind::C(_) | Kind::Stream(_) => false,
        }
    }

    /// Whether anybody has ever connected to a port of our own; of others nobody asks, and they count as reached.
    pub(crate) fn is_reached(&self) -> bool {
        match &self.kind {
            Kind::C(_) | Kind::Stream(_) | Kind::File(_) => true,
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
            // Nothing is received there.
            Kind::File(_) => Source::Given,
        };
        ReadRun { source, ledger: self.extended_block.then(Ledger::default) }
    }

    /// Queues a run of outgoing data; at most `window` blocks are in flight.
    pub(crate) fn write(&self, window: usize) -> WriteRun {
        let to = match &self.kind {
            Kind::C(port) => To::C(port.write(window)),
            Kind::Own(port) => To::C(port.write()),
            Kind::Stream(port) => To::C(port.write()),
            Kind::File(port) => To::File(port.write()),
        };
        WriteRun(to)
    }
}

/// One file's data on its way out. Dropping it before its end closes the port's connections.
///
/// It is given in blocks ([`post`](Self::post)), or as a file ([`begin_file`](Self::begin_file)); the port decides which.
#[derive(Debug)]
pub(crate) struct WriteRun(To);

#[derive(Debug)]
enum To {
    C(engine::WriteRun),
    File(sender::Run),
}

impl WriteRun {
    /// Whether it takes a file, and no blocks.
    pub(crate) fn sends_files(&self) -> bool {
        matches!(self.0, To::File(_))
    }

    /// Begins to send a file, as soon as there are connections. Once in a run's life. If nobody asks what came of it, it ends
    /// when nothing has moved for that long.
    pub(crate) async fn begin_file(&mut self, outgoing: Outgoing, patience: Duration) -> Result<(), Failure> {
        match &mut self.0 {
            To::File(run) => run.begin(outgoing, patience).await,
            To::C(_) => Err(Failure::new(engine::FailureKind::Other, "these connections take blocks")),
        }
    }

    /// Waits until all of a file was handed to the network. Cancel safe.
    pub(crate) async fn file_sent(&mut self) -> Result<(), Broken> {
        match &mut self.0 {
            To::File(run) => run.sent().await,
            To::C(_) => Ok(()),
        }
    }

    /// Whether the file is being waited for at this moment, and not the network.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(&self.0, To::File(run) if run.is_reading())
    }

    /// Waits until the window has room for one more block. Cancel safe: nothing is taken.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        match &self.0 {
            To::C(run) => run.ready().await,
            To::File(_) => Err(takes_a_file()),
        }
    }

    /// Posts one block without waiting; false when the window is full (see [`Self::ready`]).
    ///
    /// In stream mode blocks go out in the order of posting and `offset` means nothing.
    pub(crate) fn post(&mut self, offset: u64, data: Bytes) -> Result<bool, Failure> {
        match &mut self.0 {
            To::C(run) => run.post(offset, data),
            To::File(_) => Err(takes_a_file()),
        }
    }

    /// Bytes that were handed to the network so far.
    pub(crate) fn written(&self) -> u64 {
        match &self.0 {
            To::C(run) => run.written(),
            To::File(run) => run.written(),
        }
    }

    /// Sends the end of the data and waits until it is on the wire; the server's word comes on the control channel.
    ///
    /// Cancel safe: may be called again.
    pub(crate) async fn finish(&mut self) -> Result<(), Failure> {
        match &mut self.0 {
            To::C(run) => run.finish().await,
            To::File(run) => run.finish().await,
        }
    }

    /// Ends when the run has failed; never while it is well. Cancel safe.
    pub(crate) async fn failed(&self) -> Failure {
        match &self.0 {
            To::C(run) => run.failed().await,
            To::File(run) => run.failed().await,
        }
    }

    /// Takes the run back before anything was posted; the connections stay for the next one.
    pub(crate) fn withdraw(self) {
        match self.0 {
            To::C(run) => run.withdraw(),
            To::File(run) => run.withdraw(),
        }
    }
}

fn takes_a_file() -> Failure {
    Failure::new(engine::FailureKind::Other, "these connections take a file, not blocks")
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
