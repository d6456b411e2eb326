//! One listener with its connections: which run is served, and when it has ended.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{Id, JoinSet};

use super::connection::Connection;
use super::listen;
use super::socket::Own;
use crate::engine::{Arrival, BLOCK_BYTES, Counters, Engine, Failure, FailureKind, Pool, PortSettings, fork};
use crate::protocol::block::Header;

/// The receiver's half of a run.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    pub(super) arrivals: mpsc::UnboundedSender<Arrival>,
    /// One permit a block: taken before it is read, given back when it was taken.
    pub(super) permits: Arc<Semaphore>,
    /// No byte from this offset on is taken for now: its reader could not hold it.
    pub(super) horizon: watch::Receiver<u64>,
    pub(super) source: usize,
    /// What there is of a block is handed on, however little.
    pub(super) as_it_comes: bool,
}

impl Feed {
    /// Waits for a place in the window for the byte at `offset`, and takes it.
    pub(super) async fn place(&self, offset: u64) -> Result<(), Failure> {
        loop {
            if offset >= *self.horizon.borrow() {
                // Without a place: those that lag behind need it. An error is that the reader has gone, and the run with it.
                let moved = self.horizon.clone().wait_for(|horizon| offset < *horizon).await.map(drop);
                moved.map_err(|_| Failure::gone())?;
            }
            // Nobody closes it.
            let permit = self.permits.acquire().await.map_err(|_| Failure::gone())?;
            if offset < *self.horizon.borrow() {
                permit.forget();
                return Ok(());
            }
        }
    }

    fn end(&self, how: Result<(), Failure>) {
        // Nobody may be there any more.
        let _ = self.arrivals.send(Arrival::End(how));
    }
}

/// What the connections are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing: what comes waits for a run.
    Waiting,
    /// This run's blocks are taken.
    Run(u64),
    /// End.
    Over,
}

/// One listener with its connections.
#[derive(Debug)]
pub(super) struct Receiver {
    state: Mutex<State>,
    stage: watch::Sender<Stage>,
    reached: AtomicBool,
    pub(super) pool: Pool,
    pub(super) counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct State {
    failure: Option<Failure>,
    /// The number of the last run that was queued; the first is 1.
    queued: u64,
    /// Runs by their numbers; the first of them is being served.
    runs: VecDeque<(u64, Feed)>,
    /// Of the run that is served: ends of data that there will be, and those that came.
    ends: Option<u64>,
    ended: u64,
    /// Connections that brought something of this run, and not yet its end.
    midway: usize,
}

/// Counts a port for as long as anything of it is there.
#[derive(Debug)]
pub(super) struct Open(Arc<Counters>);

impl Open {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        counters.ports.add(1);
        Self(Arc::clone(counters))
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ports.sub(1);
    }
}

/// The blocks of all receivers.
pub(super) fn pool(counters: &Arc<Counters>) -> Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::new(BLOCK_BYTES, Arc::clone(counters))).clone()
}

impl Receiver {
    /// Takes connections from now on, in a task of the runtime that this is called in.
    pub(super) fn start(engine: &Engine, settings: &PortSettings, listener: TcpListener) -> Arc<Self> {
        let counters = Engine::counters();
        let receiver = Arc::new(Self {
            state: Mutex::default(),
            stage: watch::Sender::new(Stage::Waiting),
            reached: AtomicBool::new(false),
            pool: pool(&counters),
            counters: Arc::clone(&counters),
        });
        let listener = Own::new(listener);
        let taker = Taker {
            receiver: Arc::clone(&receiver),
            open: Arc::new(Open::new(&counters)),
            allowed: settings.allowed_peers.clone(),
            // The server opens as many as it was asked for; more than that is no help to anybody.
            most: (2 * usize::from(settings.parallelism) + 16).max(64),
        };
        tokio::spawn(taker.run(listener, engine.over()));
        receiver
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a run.
    pub(super) fn begin(&self, feed: Feed) -> u64 {
        let mut state = self.state();
        state.queued += 1;
        let number = state.queued;
        match &state.failure {
            Some(failure) => feed.end(Err(failure.clone())),
            None => {
                state.runs.push_back((number, feed));
                if state.runs.len() == 1 {
                    self.stage.send_replace(Stage::Run(number));
                }
            }
        }
        number
    }

    /// A run's consumer went away: what flows cannot be told from the next run's data, so the connections end.
    pub(super) fn cancel(&self, run: u64) {
        if fork::is_child() {
            return;
        }
        if self.state().runs.iter().any(|(number, _)| *number == run) {
            self.fail(Failure::new(FailureKind::Closed, "the transfer was cancelled"));
        }
    }

    /// Ends everything, once, with one reason.
    pub(super) fn fail(&self, failure: Failure) {
        if fork::is_child() {
            // The lock may be held by a thread that this process does not have.
            return;
        }
        let mut state = self.state();
        if state.failure.is_some() {
            return;
        }
        for (_, feed) in state.runs.drain(..) {
            feed.end(Err(failure.clone()));
        }
        state.failure = Some(failure);
        self.stage.send_replace(Stage::Over);
    }

    /// Why it has ended, if it has.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.state().failure.clone().map_or(Ok(()), Err)
    }

    /// Whether somebody who may has ever connected.
    pub(super) fn is_reached(&self) -> bool {
        self.reached.load(Ordering::Acquire)
    }

    /// Whether so many connections have said something in this run, or all is over.
    #[cfg(test)]
    pub(super) fn has_heard(&self, connections: usize) -> bool {
        let state = self.state();
        let ended = usize::try_from(state.ended).unwrap();
        state.failure.is_some() || state.midway + ended >= connections
    }

    /// Where the blocks of a run go, while it is served.
    pub(super) fn feed(&self, run: u64) -> Option<Feed> {
        let state = self.state();
        state.runs.front().filter(|(number, _)| *number == run).map(|(_, feed)| feed.clone())
    }

    /// A connection has its first header of this run. False if the run is not served any more: what came is a later run's.
    ///
    /// From here to the connection's end of data the run cannot end well.
    pub(super) fn joined(&self, run: u64) -> bool {
        let mut state = self.state();
        let served = state.runs.front().is_some_and(|(number, _)| *number == run);
        state.midway += usize::from(served);
        served
    }

    /// Takes in the number of ends that there are to be (EOF).
    pub(super) fn announced(&self, header: &Header) -> Result<(), Failure> {
        let Some(ends) = header.ends else { return Ok(()) };
        let mut state = self.state();
        match state.ends.replace(ends) {
            Some(earlier) if earlier != ends => {
                Err(violation(format!("the server announced {earlier} ends of data, and {ends} later")))
            }
            _ => Ok(()),
        }
    }

    /// Takes in the end of a connection's part (EOD), and ends the run when it was the last.
    pub(super) fn ended(&self) -> Result<(), Failure> {
        let mut state = self.state();
        if state.failure.is_some() {
            // The port has ended meanwhile, and stays so.
            return Ok(());
        }
        state.midway = state.midway.saturating_sub(1);
        state.ended += 1;
        self.settle(state)
    }

    /// Ends the run when all its ends are there.
    fn settle(&self, mut state: MutexGuard<'_, State>) -> Result<(), Failure> {
        let Some(ends) = state.ends.filter(|ends| *ends <= state.ended) else { return Ok(()) };
        if state.ended > ends {
            return Err(violation(format!("the server announced {ends} ends of data and sent more")));
        }
        if state.midway > 0 {
            return Err(violation(
                "the server ended the file on one connection while another was in the middle of it",
            ));
        }
        (state.ends, state.ended) = (None, 0);
        if let Some((_, feed)) = state.runs.pop_front() {
            feed.end(Ok(()));
        }
        let next = state.runs.front().map_or(Stage::Waiting, |(number, _)| Stage::Run(*number));
        self.stage.send_replace(next);
        Ok(())
    }
}

pub(super) fn violation(text: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Violation, text)
}

/// The task that takes connections, and ends them all when it ends.
struct Taker {
    receiver: Arc<Receiver>,
    open: Arc<Open>,
    allowed: Option<Vec<IpAddr>>,
    most: usize,
}

impl Taker {
    async fn run(self, listener: Own<TcpListener>, mut over: watch::Receiver<bool>) {
        let mut stage = self.receiver.stage.subscribe();
        let mut connections = JoinSet::new();
        let mut strangers = 0;
        // The other halves of the connections, to see what has become of them while their tasks have not looked yet.
        let mut halves: Vec<(Id, Own<OwnedWriteHalf>)> = Vec::new();
        loop {
            tokio::select! {
                biased;
                _ = stage.wait_for(|stage| *stage == Stage::Over) => return,
                // An error is that the engine's last handle has gone.
                _ = over.wait_for(|over| *over) => return,
                Some(ended) = connections.join_next_with_id(), if !connections.is_empty() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(error) => {
                            self.receiver.fail(Failure::new(FailureKind::Other, format!("a data connection's task: {error}")));
                            error.id()
                        }
                    };
                    halves.retain(|(task, _)| *task != id);
                }
                accepted = accept(&listener) => {
                    let stream = match accepted {
                        Ok((stream, from)) => {
                            let host = from.ip().to_canonical();
                            if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&host)) {
                                // Whoever else finds the port must not be able to break a file, nor to add to it.
                                if strangers == 0 {
                                    tracing::warn!(%from, "a stranger connected to a data port and was turned away");
                                }
                                strangers += 1_u64;
                                tracing::debug!(%from, strangers, "a stranger was turned away");
                                continue;
                            }
                            listen::out_of_the_way(stream)
                        }
                        Err(error) => Err(error),
                    };
                    match stream {
                        Ok(_) if connections.len() >= self.most => {
                            self.receiver.fail(violation("the server opened far more data connections than it was asked for"));
                        }
                        Ok(stream) => {
                            self.receiver.reached.store(true, Ordering::Release);
                            // A reset has thrown away what was not read yet of the files that are due. What comes over a new
                            // connection belongs behind that, and must not be taken for it.
                            let others = halves.iter().filter_map(|(_, half)| half.get()).map(AsRef::as_ref);
                            if let Some(error) = others.chain([&stream]).find_map(|it| it.take_error().ok().flatten()) {
                                self.receiver.fail(listen::failure(&error, "a data connection broke"));
                                continue;
                            }
                            let (stream, half) = stream.into_split();
                            let stage = self.receiver.stage.subscribe();
                            let (receiver, open) = (Arc::clone(&self.receiver), Arc::clone(&self.open));
                            let task = connections.spawn(async move {
                                Connection::new(stream, receiver, stage).serve().await;
                                drop(open);
                            });
                            halves.push((task.id(), Own::new(half)));
                        }
                        Err(error) if is_passing(&error) => {}
                        Err(error) => self.receiver.fail(listen::failure(&error, "a data connection could not be taken")),
                    }
                }
            }
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        // Also when the runtime ends under it.
        self.receiver.fail(Failure::gone());
    }
}

/// The next connection. Cancel safe.
async fn accept(listener: &Own<TcpListener>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listener.get() {
        Some(listener) => listener.accept().await,
        None => Err(std::io::ErrorKind::NotConnected.into()),
    }
}

/// Whether an error is the one connection's that went before it was taken.
fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::TimedOut
    )
}
