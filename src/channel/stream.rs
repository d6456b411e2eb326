//! A stream from a peer that nobody has authenticated: one connection, read by the task that takes its bytes.
//!
//! No thread, queue or copy stands between the socket and whoever takes: a block is read when it is asked for, and the window
//! is the kernel's. Bytes that go to a file need not come here at all: [`Run::poll_splice`] moves them into a pipe.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;

use super::listen::{failure, out_of_the_way};
use super::receiver::{Open, pool};
use super::socket::Own;
use crate::engine::{Engine, Failure, FailureKind, Pool, PortSettings, WriteRun};

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
        let (mut sender, connection) = oneshot::channel();
        *self.connecting.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        let peer = *self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(peer), Ok(runtime)) = (peer, tokio::runtime::Handle::try_current()) else { return };
        let (buffer, failed) = (self.settings.tcp_buffer_bytes, Arc::clone(&self.failed));
        runtime.spawn(async move {
            let connection = tokio::select! {
                biased;
                // Nobody wants it any more.
                () = sender.closed() => return,
                connection = connect(peer, buffer) => connection,
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
        let mut over = self.engine.over();
        Run {
            state,
            offset: 0,
            pool: pool(&counters),
            open: Open::new(&counters),
            // An error is that the engine's last handle has gone.
            over: Box::pin(async move { drop(over.wait_for(|over| *over).await) }),
        }
    }

    /// Nothing can be sent here.
    pub(super) fn write(&self) -> WriteRun {
        WriteRun::nowhere(&self.engine)
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        self.failed.get().cloned().map_or(Ok(()), Err)
    }
}

async fn connect(peer: SocketAddr, tcp_buffer_bytes: Option<u32>) -> io::Result<TcpStream> {
    let socket = if peer.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = tcp_buffer_bytes {
        // Before it connects: what window may be offered is told then.
        socket.set_recv_buffer_size(bytes)?;
    }
    out_of_the_way(socket.connect(peer).await?)
}

enum State {
    Connecting(oneshot::Receiver<Connection>),
    Open(Own<TcpStream>),
    Ended,
    Failed(Failure),
}

/// One stream's data on its way in. Dropping it closes the connection.
pub(super) struct Run {
    state: State,
    /// Where the next byte stands.
    offset: u64,
    pool: Pool,
    open: Open,
    over: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
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
            self.state = State::Failed(broke(&error));
        }
        if data.is_empty() {
            self.state = State::Ended;
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
                self.state = State::Ended;
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

    /// Has `read` take something from the connection as soon as there is something. None when all is over.
    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<Result<Option<T>, Failure>> {
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(Ok(None)),
                State::Failed(failure) => return Poll::Ready(Err(failure.clone())),
                State::Connecting(connecting) => match Pin::new(connecting).poll(cx) {
                    Poll::Ready(Ok(Ok(connection))) => self.state = State::Open(connection),
                    Poll::Ready(Ok(Err(failure))) => return self.fail(failure),
                    // Its runtime has ended.
                    Poll::Ready(Err(_)) => return self.fail(Failure::gone()),
                    Poll::Pending => break,
                },
                State::Open(connection) => {
                    let Some(stream) = connection.get() else { return self.fail(Failure::gone()) };
                    match stream.poll_read_ready(cx) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(error)) => return self.fail(broke(&error)),
                        Poll::Pending => break,
                    }
                    match stream.try_io(Interest::READABLE, || read(stream)) {
                        Ok(taken) => return Poll::Ready(Ok(Some(taken))),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return self.fail(broke(&error)),
                    }
                }
            }
        }
        match self.over.as_mut().poll(cx) {
            Poll::Ready(()) => self.fail(Failure::gone()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn fail<T>(&mut self, failure: Failure) -> Poll<Result<Option<T>, Failure>> {
        self.state = State::Failed(failure.clone());
        Poll::Ready(Err(failure))
    }
}

fn broke(error: &io::Error) -> Failure {
    failure(error, "a data connection broke")
}
