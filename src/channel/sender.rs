//! A port that sends files in extended block mode to a server that nobody has to prove anything to: the bytes go from the file
//! to the connections without passing through C (see [`pump`](super::pump)).

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::listen::failure;
use super::pump::{self, Broken, Lanes, Pump, Supply};
use super::receiver::Open;
use super::stream::connect;
use crate::engine::{Direction, Engine, Failure, FailureKind, PortSettings, fork};

/// Where the connections of a port are.
#[derive(Debug, Clone)]
enum Stage {
    Connecting,
    Connected(Arc<Lanes>),
    Failed(Failure),
}

/// The end of connections to where one server listens.
#[derive(Debug)]
pub(super) struct Port {
    engine: Engine,
    settings: PortSettings,
    peer: Mutex<Option<SocketAddr>>,
    /// Only empty before it is connected, and while this is dropped.
    stage: Mutex<Option<watch::Receiver<Stage>>>,
}

impl Port {
    pub(super) fn new(engine: &Engine, settings: PortSettings) -> Self {
        Self { engine: engine.clone(), settings, peer: Mutex::default(), stage: Mutex::default() }
    }

    /// Notes where to connect to.
    pub(super) fn peers(&self, addresses: &[SocketAddr]) {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = addresses.first().copied();
    }

    fn stage(&self) -> std::sync::MutexGuard<'_, Option<watch::Receiver<Stage>>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects, in a task of the runtime that this is called in; where there are connections from an earlier file, those serve.
    pub(super) fn connect(&self) {
        let mut stage = self.stage();
        let peer = *self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        // Without either the run says that it was aimed nowhere.
        let (None, Some(peer), Ok(runtime)) = (&*stage, peer, tokio::runtime::Handle::try_current()) else {
            return;
        };
        let (sender, receiver) = watch::channel(Stage::Connecting);
        *stage = Some(receiver);
        let (buffer, count) = (self.settings.tcp_buffer_bytes, self.settings.parallelism.max(1));
        runtime.spawn(async move {
            let connected = tokio::select! {
                biased;
                // Nobody wants them any more.
                () = sender.closed() => return,
                connected = connect_all(peer, buffer, count) => connected,
            };
            sender.send_replace(match connected {
                Ok(lanes) => Stage::Connected(Arc::new(lanes)),
                Err(error) => Stage::Failed(failure(&error, format!("no data connection to {peer}"))),
            });
        });
    }

    /// A run. It fails if nothing was connected to.
    pub(super) fn write(&self) -> Run {
        let nowhere = || {
            let failure = Failure::new(FailureKind::Other, "a data port that was aimed nowhere");
            watch::channel(Stage::Failed(failure)).1
        };
        let stage = self.stage().clone().unwrap_or_else(nowhere);
        let inner = Inner { stage, over: self.engine.over(), state: State::Waiting, ended: false };
        Run { inner: Some(inner), engine: self.engine.clone(), progress: Arc::default() }
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        let stage = self.stage();
        // Whoever connects has gone without a word: its runtime has ended.
        let gone = stage.as_ref().is_some_and(|stage| stage.has_changed().is_err());
        match stage.as_ref().map(|stage| stage.borrow().clone()) {
            Some(Stage::Connecting) if gone => Err(Failure::gone()),
            Some(Stage::Failed(failure)) => Err(failure),
            Some(Stage::Connected(lanes)) if lanes.is_spent() => {
                Err(Failure::new(FailureKind::EndOfFile, "the server closed a data connection"))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if fork::is_child()
            && let Ok(mut stage) = self.stage.try_lock()
            && let Some(stage) = stage.take()
        {
            // Its end is told to a task that is the parent's.
            fork::keep(Box::new(stage));
        }
    }
}

async fn connect_all(peer: SocketAddr, tcp_buffer_bytes: Option<u32>, count: u16) -> io::Result<Lanes> {
    let mut connecting = JoinSet::new();
    for _ in 0..count {
        connecting.spawn(async move {
            let stream = connect(peer, tcp_buffer_bytes, Direction::Write).await?;
            // The header that ends the data is small, and nothing comes behind it.
            stream.set_nodelay(true)?;
            stream.into_std()
        });
    }
    let mut sockets: Vec<TcpStream> = Vec::new();
    while let Some(connected) = connecting.join_next().await {
        sockets.push(connected.map_err(io::Error::other)??);
    }
    // Whoever is reached from his own address is here.
    let here = sockets.first().is_some_and(|socket| {
        socket.local_addr().is_ok_and(|local| local.ip().to_canonical() == peer.ip().to_canonical())
    });
    Ok(Lanes::new(sockets, here))
}

/// A file whose bytes are to be sent.
pub(crate) struct Outgoing {
    pub(crate) file: File,
    pub(crate) supply: Box<dyn Supply>,
}

#[derive(Debug)]
enum State {
    /// Nothing was sent.
    Waiting,
    Sending(oneshot::Receiver<Result<(), Broken>>),
    Sent,
    /// It was not sent, or not all of it: no end of data must follow.
    Spoiled(Failure),
    Ending(oneshot::Receiver<Result<(), Failure>>),
}

/// One file's data on its way out. Dropping it before its end closes the connections.
#[derive(Debug)]
pub(crate) struct Run {
    /// Only empty while this is dropped.
    inner: Option<Inner>,
    engine: Engine,
    progress: pump::Shared,
}

/// What others have a part in: a forked child must not drop it.
#[derive(Debug)]
struct Inner {
    stage: watch::Receiver<Stage>,
    over: watch::Receiver<bool>,
    state: State,
    /// The connections are to stay.
    ended: bool,
}

impl Inner {
    async fn lanes(&mut self) -> Result<Arc<Lanes>, Failure> {
        let mut over = self.over.clone();
        tokio::select! {
            biased;
            // An error is that the engine's last handle has gone.
            _ = over.wait_for(|over| *over) => Err(Failure::gone()),
            stage = self.stage.wait_for(|stage| !matches!(stage, Stage::Connecting)) => match stage.as_deref() {
                Ok(Stage::Connected(lanes)) => Ok(Arc::clone(lanes)),
                Ok(Stage::Failed(failure)) => Err(failure.clone()),
                // Its runtime has ended.
                Ok(Stage::Connecting) | Err(_) => Err(Failure::gone()),
            }
        }
    }
}

impl Run {
    fn inner(&mut self) -> Result<&mut Inner, Failure> {
        fork::check_engine()?;
        self.inner.as_mut().ok_or_else(Failure::gone)
    }

    /// Begins to send a file, as soon as there are connections; [`Self::sent`] tells what came of it. Once in a run's life. If
    /// nobody hears of that, it ends when nothing has moved for that long.
    pub(super) async fn begin(&mut self, outgoing: Outgoing, patience: Duration) -> Result<(), Failure> {
        let (engine, progress) = (self.engine.clone(), Arc::clone(&self.progress));
        let inner = self.inner()?;
        let lanes = inner.lanes().await?;
        let (sender, sent) = oneshot::channel();
        let over = inner.over.clone();
        let open = Open::new(&Engine::counters());
        tokio::task::spawn_blocking(move || {
            let Outgoing { file, mut supply } = outgoing;
            let mut pump = || {
                // It ignores SIGPIPE, which a connection that has ended would raise from here on.
                engine
                    .wait_until_active()
                    .map_err(|error| Failure::new(FailureKind::Other, error.to_string()))?;
                let supply = &mut *supply;
                Pump { file: &file, supply, progress: &progress, open: &open, over: &over, patience }
                    .run(&lanes)
            };
            let result = pump();
            drop(open);
            // Nobody may want to know.
            let _ = sender.send(result);
        });
        inner.state = State::Sending(sent);
        Ok(())
    }

    /// Waits until all of the file was handed to the network. Cancel safe.
    pub(super) async fn sent(&mut self) -> Result<(), Broken> {
        let inner = self.inner()?;
        let sent = match &mut inner.state {
            State::Sending(sent) => sent,
            State::Spoiled(failure) => return Err(failure.clone().into()),
            State::Waiting | State::Sent | State::Ending(_) => return Ok(()),
        };
        let result = sent.await.unwrap_or_else(|_| Err(pump::lost()));
        inner.state = match &result {
            Ok(()) => State::Sent,
            Err(Broken::Channel(failure)) => State::Spoiled(failure.clone()),
            Err(Broken::File(_) | Broken::Short) => {
                State::Spoiled(Failure::new(FailureKind::Other, "the file was not sent"))
            }
        };
        result
    }

    /// Bytes that were handed to the network.
    pub(super) fn written(&self) -> u64 {
        self.progress.sent.load(Ordering::Relaxed)
    }

    /// Whether the thread is waiting for the file.
    pub(super) fn is_reading(&self) -> bool {
        self.progress.reading.load(Ordering::Relaxed)
    }

    /// Ends the data, and waits until the end is on its way. Cancel safe: may be called again.
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        self.sent().await.map_err(|broken| match broken {
            Broken::Channel(failure) => failure,
            Broken::File(_) | Broken::Short => Failure::new(FailureKind::Other, "the file was not sent"),
        })?;
        let inner = self.inner()?;
        if inner.ended {
            return Ok(());
        }
        if matches!(inner.state, State::Waiting) {
            return Err(Failure::new(FailureKind::Other, "no file was sent"));
        }
        if !matches!(inner.state, State::Ending(_)) {
            let lanes = inner.lanes().await?;
            let (sender, ended) = oneshot::channel();
            let over = inner.over.clone();
            tokio::task::spawn_blocking(move || drop(sender.send(pump::end(&lanes, &over))));
            inner.state = State::Ending(ended);
        }
        if let State::Ending(ended) = &mut inner.state {
            let end = ended.await.unwrap_or_else(|_| Err(Failure::gone()));
            end.inspect_err(|failure| inner.state = State::Spoiled(failure.clone()))?;
        }
        inner.ended = true;
        Ok(())
    }

    /// Ends when it cannot be connected; never while all is well. Cancel safe.
    pub(super) async fn failed(&self) -> Failure {
        let Some(inner) = &self.inner else { return Failure::gone() };
        let mut inner = Inner {
            stage: inner.stage.clone(),
            over: inner.over.clone(),
            state: State::Waiting,
            ended: false,
        };
        match inner.lanes().await {
            Ok(_) => std::future::pending().await,
            Err(failure) => failure,
        }
    }

    /// Takes the run back before anything was sent; the connections stay for the next one.
    pub(super) fn withdraw(mut self) {
        if let Some(inner) = &mut self.inner {
            inner.ended = true;
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        if fork::is_child() {
            return fork::keep(Box::new(inner));
        }
        if !inner.ended
            && let Stage::Connected(lanes) = &*inner.stage.borrow()
        {
            lanes.close();
        }
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").field("file", &self.file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
