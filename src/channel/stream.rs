//! A stream from a peer that nobody has authenticated: one connection, read by the task that takes its bytes.
//!
//! No thread, queue or copy stands between the socket and whoever takes: a block is read when it is asked for, and the window
//! is the kernel's. Bytes that go to a file need not come here at all: [`Run::poll_splice`] moves them into a pipe.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};

use super::listen::{failure, out_of_the_way, parse_range, turned};
use super::receiver::{Open, pool};
use super::socket::Own;
use crate::engine::{
    Direction, Engine, Failure, FailureKind, Pool, PortSettings, WriteRun, fork, source_range,
};

type Connection = Result<Own<TcpStream>, Failure>;

/// The end of one stream that connects to where the server listens.
#[derive(Debug)]
pub(super) struct Port {
    engine: Engine,
    settings: PortSettings,
    peer: Mutex<Option<SocketAddr>>,
    connecting: Mutex<Option<oneshot::Receiver<Connection>>>,
    failed: Arc<OnceLock<Failure>>,
}

impl Port {
    pub(super) fn new(engine: &Engine, settings: PortSettings) -> Self {
        let engine = engine.clone();
        Self {
            engine,
            settings,
            peer: Mutex::default(),
            connecting: Mutex::default(),
            failed: Arc::default(),
        }
    }

    /// Notes where to connect to; a stream has one peer.
    pub(super) fn peers(&self, addresses: &[SocketAddr]) {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = addresses.first().copied();
    }

    /// Connects, in a task of the runtime that this is called in.
    pub(super) fn connect(&self) {
        let peer = *self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        // Without either the run says that it was aimed nowhere.
        let (Some(peer), Ok(runtime)) = (peer, tokio::runtime::Handle::try_current()) else { return };
        let (mut sender, connection) = oneshot::channel();
        *self.connecting.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        let (buffer, failed) = (self.settings.tcp_buffer_bytes, Arc::clone(&self.failed));
        runtime.spawn(async move {
            let connection = tokio::select! {
                biased;
                // Nobody wants it any more.
                () = sender.closed() => return,
                connection = connect(peer, buffer, Direction::Read) => connection,
            };
            let connection = connection.map(Own::new).map_err(|error| {
                let failure = failure(&error, format!("no data connection to {peer}"));
                failed.get_or_init(|| failure).clone()
            });
            // Whoever does not want it drops it.
            let _ = sender.send(connection);
        });
    }

    /// The one run. It fails if nothing was connected to.
    pub(super) fn read(&self) -> Run {
        let connecting = self.connecting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let state = match connecting {
            Some(connecting) => State::Connecting(connecting),
            None => State::Failed(Failure::new(FailureKind::Other, "a data port that was aimed nowhere")),
        };
        let counters = Engine::counters();
        let (over, mut told) = (self.engine.over(), self.engine.over());
        // An error is that the engine's last handle has gone.
        let told = Box::pin(async move { drop(told.wait_for(|over| *over).await) });
        let shared = Some(Shared { state, over, told });
        Run { shared, offset: 0, pool: pool(&counters), open: Open::new(&counters) }
    }

    /// Nothing can be sent here.
    pub(super) fn write(&self) -> WriteRun {
        WriteRun::nowhere(&self.engine)
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        self.failed.get().cloned().map_or(Ok(()), Err)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if fork::is_child()
            && let Ok(mut connecting) = self.connecting.try_lock()
            && let Some(connecting) = connecting.take()
        {
            // Its end is told to a task that is the parent's.
            fork::keep(Box::new(connecting));
        }
    }
}

/// Connects from a port of `GLOBUS_TCP_SOURCE_RANGE`, if that is set.
pub(super) async fn connect(
    peer: SocketAddr,
    tcp_buffer_bytes: Option<u32>,
    direction: Direction,
) -> io::Result<TcpStream> {
    let Some((first, last)) = source_range().and_then(parse_range) else {
        return out_of_the_way(socket(peer, tcp_buffer_bytes, direction)?.connect(peer).await?);
    };
    let mut outcome = Err(io::Error::from(io::ErrorKind::AddrInUse));
    for port in turned(first, last) {
        let socket = socket(peer, tcp_buffer_bytes, direction)?;
        let own: IpAddr =
            if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        // What is still being put to rest does not take a port out of a small range.
        socket.set_reuseaddr(true)?;
        outcome = match socket.bind(SocketAddr::new(own, port)) {
            Ok(()) => socket.connect(peer).await,
            Err(error) => Err(error),
        };
        let taken = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
        };
        if !outcome.as_ref().is_err_and(taken) {
            break;
        }
    }
    out_of_the_way(outcome?)
}

fn socket(peer: SocketAddr, tcp_buffer_bytes: Option<u32>, direction: Direction) -> io::Result<TcpSocket> {
    let socket = if peer.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = tcp_buffer_bytes {
        // Before it connects: what window may be offered is told then.
        match direction {
            Direction::Read => socket.set_recv_buffer_size(bytes)?,
            Direction::Write => socket.set_send_buffer_size(bytes)?,
        }
    }
    Ok(socket)
}

enum State {
    Connecting(oneshot::Receiver<Connection>),
    Open(Own<TcpStream>),
    Ended,
    Failed(Failure),
}

/// One stream's data on its way in. Dropping it closes the connection.
pub(super) struct Run {
    /// Only empty while this is dropped.
    shared: Option<Shared>,
    /// Where the next byte stands.
    offset: u64,
    pool: Pool,
    open: Open,
}

/// What others have a part in: a forked child must not drop it.
struct Shared {
    state: State,
    over: watch::Receiver<bool>,
    /// The same, to be woken by.
    told: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if fork::is_child()
            && let Some(shared) = self.shared.take()
        {
            fork::keep(Box::new(shared));
        }
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl Run {
    /// The next block; none at the end of the stream.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<(u64, Bytes)>, Failure>> {
        let pool = self.pool.clone();
        let read = ready!(self.poll_with(cx, |stream| {
            let mut buffer = pool.take();
            let memory = buffer.as_mut_slice();
            let mut filled = stream.try_read(memory)?;
            // As much as is there: a block costs the same whatever is in it.
            let mut later = None;
            while filled > 0 && filled < memory.len() {
                match stream.try_read(&mut memory[filled..]) {
                    Ok(0) => break,
                    Ok(more) => filled += more,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => {
                        later = Some(error);
                        break;
                    }
                }
            }
            Ok((buffer.into_bytes(filled), later))
        }));
        let Some((data, later)) = read? else { return Poll::Ready(Ok(None)) };
        if let Some(error) = later {
            // The socket tells it once.
            self.becomes(State::Failed(broke(&error)));
        }
        if data.is_empty() {
            self.becomes(State::Ended);
            return Poll::Ready(Ok(None));
        }
        let offset = self.advance(data.len());
        Poll::Ready(Ok(Some((offset, data))))
    }

    /// Moves what is there into an empty pipe, at most so many bytes: `(offset, count)`. None at the end of the stream.
    pub(super) fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        most: usize,
    ) -> Poll<Result<Option<(u64, usize)>, Failure>> {
        let moved = ready!(self.poll_with(cx, |stream| {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            Ok(splice(stream, None, pipe, None, most, flags)?)
        }));
        match moved? {
            Some(0) => {
                self.becomes(State::Ended);
                Poll::Ready(Ok(None))
            }
            Some(count) => Poll::Ready(Ok(Some((self.advance(count), count)))),
            None => Poll::Ready(Ok(None)),
        }
    }

    fn advance(&mut self, count: usize) -> u64 {
        let length = u64::try_from(count).unwrap_or(u64::MAX);
        self.open.counters().bytes_read.add(length);
        let offset = self.offset;
        self.offset = offset.saturating_add(length);
        offset
    }

    fn becomes(&mut self, state: State) {
        if let Some(shared) = &mut self.shared {
            shared.state = state;
        }
    }

    /// Has `read` take something from the connection as soon as there is something. None when all is over.
    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<Result<Option<T>, Failure>> {
        let Some(shared) = &mut self.shared else { return Poll::Ready(Err(Failure::gone())) };
        let polled = shared.poll(cx, read);
        if let Poll::Ready(Err(failure)) = &polled {
            shared.state = State::Failed(failure.clone());
        }
        polled
    }
}

impl Shared {
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<Result<Option<T>, Failure>> {
        // Looked at each time: while bytes come without a pause nobody waits to be woken.
        if *self.over.borrow() && !matches!(self.state, State::Ended | State::Failed(_)) {
            return Poll::Ready(Err(Failure::gone()));
        }
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(Ok(None)),
                State::Failed(failure) => return Poll::Ready(Err(failure.clone())),
                State::Connecting(connecting) => match Pin::new(connecting).poll(cx) {
                    Poll::Ready(Ok(connection)) => self.state = State::Open(connection?),
                    // Its runtime has ended.
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Failure::gone())),
                    Poll::Pending => break,
                },
                State::Open(connection) => {
                    let Some(stream) = connection.get() else { return Poll::Ready(Err(Failure::gone())) };
                    match stream.poll_read_ready(cx) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(broke(&error))),
                        Poll::Pending => break,
                    }
                    match stream.try_io(Interest::READABLE, || read(stream)) {
                        Ok(taken) => return Poll::Ready(Ok(Some(taken))),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Poll::Ready(Err(broke(&error))),
                    }
                }
            }
        }
        self.told.as_mut().poll(cx).map(|()| Err(Failure::gone()))
    }
}

fn broke(error: &io::Error) -> Failure {
    failure(error, "a data connection broke")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::engine::{Layout, PortSecurity};

    /// Where the connections of this process come from, with the range in force.
    #[test]
    fn streams_come_from_the_range_that_the_environment_names() {
        const RANGE: &str = "GLOBUS_TCP_SOURCE_RANGE";
        if std::env::var_os("GRIDFTP_TEST_CHILD").is_some() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let work = async {
                let server = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                let settings = PortSettings {
                    extended_block: false,
                    parallelism: 1,
                    tcp_buffer_bytes: None,
                    ipv6: false,
                    layout: Layout::Turns,
                    security: PortSecurity::None,
                    allowed_peers: None,
                };
                let mut held = Vec::new();
                for _ in 0..5 {
                    let port = Port::new(&Engine::handle().unwrap(), settings.clone());
                    port.peers(&[server.local_addr().unwrap()]);
                    port.connect();
                    let mut run = port.read();
                    let (mut stream, from) = server.accept().await.unwrap();
                    assert!((21_540..=21_570).contains(&from.port()), "{from}");
                    stream.write_all(b"hello").await.unwrap();
                    let block = std::future::poll_fn(|cx| run.poll_next(cx)).await.unwrap().unwrap();
                    assert_eq!((block.0, &block.1[..]), (0, &b"hello"[..]));
                    held.push((port, run, stream));
                }
            };
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), work).await }).unwrap();
            return;
        }
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "channel::stream::tests::streams_come_from_the_range_that_the_environment_names",
            ])
            .env("GRIDFTP_TEST_CHILD", "1")
            .env(RANGE, "21540,21570")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "{said}");
    }
}
