//! The control connection: commands go out in the order of the calls, replies come back to whom they belong.
//!
//! A task (`actor`) owns the socket; [`Control`] is a handle to it, and [`PendingReply`] (in `slot`) is where the replies
//! to one command arrive. Queueing never waits and never blocks, so any number of commands can be on their way at once; the
//! actor keeps no more than a window of them unanswered on the wire.
//!
//! Whatever is dropped, forgotten or cancelled outside, the actor reads the reply all the same and throws it away: the
//! order of commands and replies is never lost by a cancelled future.

mod actor;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::channel::Own;
use crate::engine::{GssContext, fork};
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::protocol::command::Command;
use crate::session::counters::Counters;
use crate::session::ssh;

pub(crate) use slot::PendingReply;
use slot::Slot;

/// Unanswered commands on the wire; globus-gridftp-server refuses at 1,000.
pub(crate) const WINDOW: usize = 512;

/// A handle to a control connection. Cloning is cheap; the connection is closed when the last handle is gone.
#[derive(Clone)]
pub(crate) struct Control {
    handle: Arc<Handle>,
}

/// What tells the actor that nobody can send any more.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        self.shared.lock().abandoned = true;
        self.shared.wake.notify_one();
    }
}

/// What handles, pending replies and the actor have in common.
struct Shared {
    state: Mutex<State>,
    /// The actor has something to look at: a command, a changed limit, room for replies, the end.
    wake: Notify,
    window: AtomicUsize,
    reply_limit: Duration,
    /// The server drops bytes above 127 from commands: they are refused here.
    ascii_only: AtomicBool,
    /// A limit was changed: time is counted from now.
    touched: AtomicBool,
    /// Bytes of replies that arrived and that nobody has taken yet.
    unread: AtomicUsize,
    counters: Arc<Counters>,
    peer: SocketAddr,
    local: SocketAddr,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Request>,
    /// Why no command can be sent any more.
    closed: Option<Error>,
    /// QUIT as soon as everything queued is answered.
    quitting: bool,
    /// The last handle is gone.
    abandoned: bool,
}

enum Request {
    Command(Command, Arc<Slot>),
    /// From here on everything is wrapped; handed over when nothing is unanswered.
    Protect(Box<GssContext>),
}

impl Shared {
    /// Why a command cannot be said to this server.
    fn unspeakable(&self, command: &Command) -> Option<Error> {
        if !self.ascii_only.load(Ordering::Relaxed) || command.as_bytes().is_ascii() {
            return None;
        }
        let message = "the server drops all bytes above 127 from names on an unprotected control channel, and would take this \
                       for another name; use gsiftp:// for it";
        Some(Error::new(ErrorKind::Unsupported, Phase::Command, message).with_side(Side::Server))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// Takes over a connected socket; the second value gets the server's greeting (120, then 220).
    ///
    /// Must be called within a tokio runtime; the connection lives and dies with it.
    ///
    /// # Errors
    /// `Connect` when the socket has lost its peer already.
    pub(crate) fn start(
        stream: TcpStream,
        reply_limit: Duration,
        counters: Arc<Counters>,
    ) -> Result<(Self, PendingReply)> {
        let addresses = stream.peer_addr().and_then(|peer| Ok((peer, stream.local_addr()?)));
        let (peer, local) = addresses.map_err(|source| {
            Error::new(ErrorKind::Connect, Phase::Connect, "the server closed the connection at once")
                .with_side(Side::Server)
                .with_source(source)
        })?;
        let (shared, handle, pending, greeting) = Self::prepare(peer, local, reply_limit, counters);
        let (reader, writer) = stream.into_split();
        let (reader, writer) = (Own::new(reader), Own::new(writer));
        tokio::spawn(actor::Actor::new(shared, greeting).run(reader, writer, None));
        Ok((handle, pending))
    }

    /// The same over the standard input and output of an ssh process, which ends with the connection.
    pub(crate) fn start_over(
        connection: ssh::Connection,
        reply_limit: Duration,
        counters: Arc<Counters>,
    ) -> (Self, PendingReply) {
        let ssh::Connection { reader, writer, process, peer, local } = connection;
        let (reader, writer) = (Own::new(reader), Own::new(writer));
        let (shared, handle, pending, greeting) = Self::prepare(peer, local, reply_limit, counters);
        tokio::spawn(actor::Actor::new(shared, greeting).run(reader, writer, Some(process)));
        (handle, pending)
    }

    fn prepare(
        peer: SocketAddr,
        local: SocketAddr,
        reply_limit: Duration,
        counters: Arc<Counters>,
    ) -> (Arc<Shared>, Self, PendingReply, Arc<Slot>) {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            wake: Notify::new(),
            window: AtomicUsize::new(WINDOW),
            reply_limit,
            ascii_only: AtomicBool::new(false),
            touched: AtomicBool::new(false),
            unread: AtomicUsize::new(0),
            counters,
            peer,
            local,
        });
        let greeting = Arc::new(Slot::new(reply_limit));
        let pending = PendingReply::new(Arc::clone(&greeting), Arc::clone(&shared));
        let handle = Self { handle: Arc::new(Handle { shared: Arc::clone(&shared) }) };
        (shared, handle, pending, greeting)
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Queues a command and returns at once. The order of calls is the order on the wire.
    pub(crate) fn send(&self, command: Command) -> PendingReply {
        let shared = self.shared();
        let slot = Arc::new(Slot::new(shared.reply_limit));
        let pending = PendingReply::new(Arc::clone(&slot), Arc::clone(shared));
        let refused = {
            let mut state = shared.lock();
            match refusal(&state).or_else(|| shared.unspeakable(&command)) {
                Some(error) => Some(error),
                None => {
                    state.queue.push_back(Request::Command(command, Arc::clone(&slot)));
                    None
                }
            }
        };
        match refused {
            Some(error) => slot.finish(Err(error), shared),
            None => shared.wake.notify_one(),
        }
        pending
    }

    /// Queues several commands that nothing gets between, and that leave in one write where the window allows it.
    pub(crate) fn send_all(&self, commands: Vec<Command>) -> Vec<PendingReply> {
        let shared = self.shared();
        let slots: Vec<_> = commands.iter().map(|_| Arc::new(Slot::new(shared.reply_limit))).collect();
        let pending =
            slots.iter().map(|slot| PendingReply::new(Arc::clone(slot), Arc::clone(shared))).collect();
        let refused = {
            let mut state = shared.lock();
            let refused =
                refusal(&state).or_else(|| commands.iter().find_map(|command| shared.unspeakable(command)));
            if refused.is_none() {
                let pairs = commands.into_iter().zip(slots.iter().map(Arc::clone));
                state.queue.extend(pairs.map(|(command, slot)| Request::Command(command, slot)));
            }
            refused
        };
        match refused {
            Some(error) => slots.iter().for_each(|slot| slot.finish(Err(error.clone()), shared)),
            None => shared.wake.notify_one(),
        }
        pending
    }

    /// Sends a command and waits for the first reply that is not preliminary, whatever its code.
    ///
    /// # Errors
    /// What broke the connection, never a negative reply (other than 421, with which the server leaves).
    ///
    /// # Cancel safety
    /// The command is sent all the same, and its reply thrown away.
    pub(crate) async fn command(&self, command: Command) -> Result<Reply> {
        self.send(command).last().await
    }

    /// Protects everything that follows. Call it when no command is unanswered.
    pub(crate) fn protect(&self, context: GssContext) {
        let shared = self.shared();
        shared.lock().queue.push_back(Request::Protect(Box::new(context)));
        shared.wake.notify_one();
    }

    /// Refuses commands with bytes above 127 from now on.
    ///
    /// globus-gridftp-server reads an unprotected control channel through a telnet filter that drops those bytes without a
    /// word (xio/src/builtins/telnet): `STOR Größe` stores `Gre`.
    pub(crate) fn speak_ascii_only(&self) {
        self.shared().ascii_only.store(true, Ordering::Relaxed);
    }

    /// Refuses a command that cannot be said to this server, as sending it would.
    pub(crate) fn speakable(&self, command: &Command) -> Result<()> {
        self.shared().unspeakable(command).map_or(Ok(()), Err)
    }

    /// How many commands may be unanswered on the wire: 512 unless set.
    pub(crate) fn window(&self) -> usize {
        self.shared().window.load(Ordering::Relaxed)
    }

    /// Sets the window; 1 is for servers that do not queue commands.
    pub(crate) fn set_window(&self, window: usize) {
        let shared = self.shared();
        shared.window.store(window.clamp(1, WINDOW), Ordering::Relaxed);
        shared.wake.notify_one();
    }

    /// What the client counts.
    pub(crate) fn counters(&self) -> &Counters {
        &self.shared().counters
    }

    /// The server's address.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.shared().peer
    }

    /// Our address as the server sees it.
    pub(crate) fn local(&self) -> SocketAddr {
        self.shared().local
    }

    /// Whether commands can still be sent.
    pub(crate) fn is_open(&self) -> bool {
        refusal(&self.shared().lock()).is_none()
    }

    /// Why the connection ended, if it has.
    pub(crate) fn why_closed(&self) -> Option<Error> {
        self.shared().lock().closed.clone()
    }

    /// Says goodbye once everything queued is answered, and closes. Returns at once; the farewell takes two seconds at
    /// most, also when no handle is left.
    pub(crate) fn quit(&self) {
        if fork::is_child() {
            return;
        }
        let shared = self.shared();
        shared.lock().quitting = true;
        shared.wake.notify_one();
    }
}

/// Why a command cannot be queued.
fn refusal(state: &State) -> Option<Error> {
    if let Some(reason) = &state.closed {
        return Some(lost(format!("the connection was closed before: {reason}")).with_source(reason.clone()));
    }
    (state.quitting || state.abandoned).then(|| lost("the session is being closed"))
}

/// A broken connection, seen from a command that had not been sent.
fn lost(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::ConnectionLost, Phase::Command, message).with_side(Side::Server)
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("peer", &self.peer()).field("open", &self.is_open()).finish()
    }
}
