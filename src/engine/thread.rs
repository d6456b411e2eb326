//! The thread itself: start, loop, end.

use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use globus_sys as sys;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::{oneshot, watch};

use super::buffer::Pool;
use super::command::{Command, Id};
use super::counters::Counters;
use super::data::{self, Event};
use super::exit::{self, Rest};
use super::failure::{Failure, FailureKind};
use super::fds;
use super::fork;
use super::gss::{Contexts, Credentials};
use super::ports::Ports;
use super::queue::Queue;
use super::wake::Wake;
use crate::error::{Error, ErrorKind, Phase, Side};

/// Bytes of a block that C reads into: the server's own block size, so that one block of extended block mode fills it.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;

/// Descriptors that activation takes, with some to spare.
const ENGINE_DESCRIPTORS: usize = 16;

/// The way to the engine thread; cheap to clone. The thread runs until [`shutdown`] or the end of the process.
#[derive(Debug, Clone)]
pub(crate) struct Engine(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Queue,
    next_id: AtomicU64,
    counters: Arc<Counters>,
    /// Tells those who move data without this thread that the engine has ended, or is about to.
    over: watch::Sender<bool>,
    /// A forked child has no engine thread.
    process: rustix::process::Pid,
}

/// What has become of the one engine of this process.
#[derive(Debug)]
enum Lifecycle {
    Active(Engine),
    /// It could not be started, or it was shut down; Globus is not started twice.
    Over(Failure),
}

/// `GLOBUS_TCP_PORT_RANGE` as it was before the engine was started, which is when Globus reads it.
pub(crate) fn port_range() -> Option<&'static str> {
    static TEXT: OnceLock<Option<String>> = OnceLock::new();
    TEXT.get_or_init(|| std::env::var("GLOBUS_TCP_PORT_RANGE").ok()).as_deref()
}

/// `GLOBUS_TCP_SOURCE_RANGE`, likewise: the ports that data connections are made from.
pub(crate) fn source_range() -> Option<&'static str> {
    static TEXT: OnceLock<Option<String>> = OnceLock::new();
    TEXT.get_or_init(|| std::env::var("GLOBUS_TCP_SOURCE_RANGE").ok()).as_deref()
}

static LIFECYCLE: Mutex<Option<Lifecycle>> = Mutex::new(None);

/// The counters outlive the engine, so that a test can look after a shutdown.
static COUNTERS: OnceLock<Arc<Counters>> = OnceLock::new();

impl Engine {
    /// The engine, started by the first call. Never blocks: commands wait in the queue while Globus is being activated.
    pub(crate) fn handle() -> Result<Self, Error> {
        // Before the lock, which a child may find held for ever.
        fork::watch();
        fork::check()?;
        let mut lifecycle = LIFECYCLE.lock().unwrap_or_else(PoisonError::into_inner);
        if lifecycle.is_none() {
            // A lack of descriptors or threads may pass, so a failed start is tried again by the next caller.
            let engine = Self::start().map_err(|failure| {
                let doing = "the Globus engine could not be started";
                match failure.kind {
                    // No server had a part in it.
                    FailureKind::Other => Error::new(ErrorKind::Internal, Phase::DataSetup, doing)
                        .with_side(Side::Local)
                        .with_transient(true)
                        .with_source(failure),
                    _ => failure.into_data_error(Phase::DataSetup, doing),
                }
            })?;
            *lifecycle = Some(Lifecycle::Active(engine));
        }
        match &*lifecycle {
            Some(Lifecycle::Active(engine)) => Ok(engine.clone()),
            None => {
                Err(Error::new(ErrorKind::Internal, Phase::DataSetup, "the Globus engine is not running"))
            }
            Some(Lifecycle::Over(failure)) => {
                Err(Error::new(ErrorKind::Internal, Phase::DataSetup, "the Globus engine is not running")
                    .with_side(Side::Local)
                    .with_source(failure.clone()))
            }
        }
    }

    /// [`Self::handle`], for those who are in an async function anyway.
    pub(crate) async fn get() -> Result<Self, Error> {
        Self::handle()
    }

    /// What the engine counts; zeros if it was never started.
    pub(crate) fn counters() -> Arc<Counters> {
        Arc::clone(COUNTERS.get_or_init(Arc::default))
    }

    /// Panics that were stopped on the engine thread, in callbacks and elsewhere.
    pub(crate) fn panics() -> u64 {
        Self::counters().panics.get() + data::PANICS.load(Ordering::Relaxed)
    }

    /// Blocks until Globus is activated, or has failed to be.
    pub(crate) fn wait_until_active(&self) -> Result<(), Error> {
        let (done, wait) = std::sync::mpsc::channel();
        self.push(Command::Ping { done });
        match wait.recv() {
            Ok(()) => Ok(()),
            // The queue was closed with the command in it; this tells why.
            Err(_) => Self::handle().map(|_| ()),
        }
    }

    /// Asks the engine to touch nothing of C any more, for the process ends. False if there is none to be asked.
    pub(super) fn rest(rest: Rest) -> bool {
        // Whoever holds the lock at the end of the process may be a thread that is never scheduled again.
        let Ok(lifecycle) = LIFECYCLE.try_lock() else { return false };
        match &*lifecycle {
            Some(Lifecycle::Active(engine)) if engine.0.process == rustix::process::getpid() => {
                engine.push(Command::Rest(rest));
                true
            }
            _ => false,
        }
    }

    fn start() -> Result<Self, Failure> {
        // Before activation: Globus sizes its tables by the limit that it finds.
        fds::raise_limit();
        // Activation sets variables, and nobody may look at the environment meanwhile.
        port_range();
        source_range();
        let system = |errno: rustix::io::Errno| {
            Failure::new(FailureKind::Errno(errno.raw_os_error()), format!("no pipe for the engine: {errno}"))
        };
        let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(system)?;
        let probe = rustix::io::fcntl_dupfd_cloexec(&read_end, 0).map_err(system)?;
        // Globus opens a pipe of its own while it is activated.
        if !fds::room_for(&probe, ENGINE_DESCRIPTORS) {
            return Err(Failure::new(
                FailureKind::NoDescriptor,
                "no descriptor below 1024 is left for the Globus engine; close files first",
            ));
        }
        let counters = Self::counters();
        let engine = Self(Arc::new(Shared {
            queue: Queue::new(write_end, Arc::clone(&counters)),
            next_id: AtomicU64::new(1),
            counters,
            over: watch::Sender::new(false),
            process: rustix::process::getpid(),
        }));
        let inside = engine.clone();
        exit::prepare();
        std::thread::Builder::new()
            .name("globus".to_owned())
            .spawn(move || run(inside, read_end, probe))
            .map_err(|error| {
                Failure::new(FailureKind::Other, format!("no thread for the engine: {error}"))
            })?;
        Ok(engine)
    }

    /// True when the engine has ended, or is told to. Whoever holds this has something open that `shutdown` waits for.
    pub(crate) fn over(&self) -> watch::Receiver<bool> {
        self.0.over.subscribe()
    }

    /// Posts a command; never blocks. After the end of the engine it is dropped, and with it the way to answer.
    pub(super) fn push(&self, command: Command) {
        self.0.queue.push(command);
    }

    pub(super) fn next_id(&self) -> Id {
        self.0.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// Closes what is open and ends the thread; every operation from then on fails. Waits `limit` at most.
///
/// Returns false if something was still open at the limit. Never needed for correctness: a process may simply end.
pub(crate) async fn shutdown(limit: Duration) -> bool {
    let engine = {
        let mut lifecycle = LIFECYCLE.lock().unwrap_or_else(PoisonError::into_inner);
        let over = Lifecycle::Over(Failure::gone());
        match lifecycle.replace(over) {
            Some(Lifecycle::Active(engine)) => engine,
            Some(Lifecycle::Over(_)) | None => return true,
        }
    };
    let (answer, wait) = oneshot::channel();
    engine.push(Command::Shutdown { answer });
    engine.0.over.send_replace(true);
    let ended = async {
        let ended = wait.await;
        // What is open beside the engine's thread is closed by tasks of other runtimes.
        engine.0.over.closed().await;
        ended
    };
    matches!(tokio::time::timeout(limit, ended).await, Ok(Ok(Ok(()))))
}

/// The life of the engine thread.
fn run(engine: Engine, read_end: OwnedFd, probe: OwnedFd) {
    fds::widen(&probe);
    // What C may still look at must not be freed when this function ends, by whatever way: never dropped, on purpose.
    let mut state = ManuallyDrop::new(State::new(&engine, probe));
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let mut wake = ManuallyDrop::new(activate(read_end)?);
        state.serve(&mut wake)
    }));
    let failure = match ended {
        Ok(Ok(())) => Failure::gone(),
        Ok(Err(failure)) => failure,
        Err(_panic) => {
            engine.0.counters.panics.add(1);
            Failure::new(FailureKind::Other, "the Globus engine stopped because of a defect")
        }
    };
    tracing::debug!(%failure, "the engine thread ends");
    *LIFECYCLE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Lifecycle::Over(failure));
    // Whoever waits for an answer is told by the drop of its sender.
    drop(engine.0.queue.close());
    engine.0.over.send_replace(true);
    state.abandon();
}

/// Sets Globus up on this thread.
fn activate(read_end: OwnedFd) -> Result<Wake, Failure> {
    let _limit = fds::ModestLimit::set();
    let model = c"none";
    #[cfg(test)]
    let model = if crate::hooks::without("K10") { c"nonsense" } else { model };
    // SAFETY: this thread is the only one of the process that calls Globus. The model is a constant that exists (K10), set
    // before the first activation. The module descriptors are statics of the libraries.
    unsafe {
        if sys::globus_thread_set_model(model.as_ptr()) != 0 {
            return Err(Failure::new(
                FailureKind::Other,
                "Globus is in use already, with another thread model, by another library of this process",
            ));
        }
        for module in [
            sys::GLOBUS_COMMON_MODULE,
            sys::GLOBUS_XIO_MODULE,
            sys::GLOBUS_GSI_GSSAPI_MODULE,
            sys::GLOBUS_FTP_CONTROL_MODULE,
        ] {
            let result = sys::globus_module_activate(module);
            if result != 0 {
                return Err(Failure::new(
                    FailureKind::Other,
                    format!("a Globus module did not activate ({result})"),
                ));
            }
        }
    }
    let mut wake = Wake::new(read_end)?;
    wake.arm()?;
    Ok(wake)
}

#[derive(Debug)]
struct State {
    engine: Engine,
    ports: Ports,
    credentials: Credentials,
    contexts: Contexts,
    ending: Option<super::command::Answer<()>>,
}

impl State {
    fn new(engine: &Engine, probe: OwnedFd) -> Self {
        let counters = &engine.0.counters;
        let pool = Pool::new(BLOCK_BYTES, Arc::clone(counters));
        Self {
            engine: engine.clone(),
            ports: Ports::new(pool, Arc::clone(counters), probe),
            credentials: Credentials::new(Arc::clone(counters)),
            contexts: Contexts::new(Arc::clone(counters)),
            ending: None,
        }
    }

    fn serve(&mut self, wake: &mut Wake) -> Result<(), Failure> {
        let mut events = Vec::new();
        loop {
            for command in self.engine.0.queue.take() {
                self.handle(command);
            }
            let tick = self.ports.tick();
            if self.ending.is_some() && self.ports.is_empty() {
                self.contexts.close_all();
                // A parked handle may look at its credential for ever.
                if !self.ports.has_parked() {
                    self.credentials.release_all();
                }
                if let Some(answer) = self.ending.take() {
                    let _ = answer.send(Ok(()));
                }
                return Ok(());
            }
            // With commands waiting, Globus gets its turn without a wait.
            let timeout = if self.engine.0.queue.may_sleep() { tick } else { Some(Duration::ZERO) };
            poll(timeout);
            self.engine.0.queue.awake();
            data::take_events(&mut events);
            for event in events.drain(..) {
                match event {
                    Event::Woken => wake.arm()?,
                    Event::Connected { port, failure } => self.ports.connected(port, failure),
                    Event::Closed { port } => self.ports.closed(port),
                    Event::Moved { operation, failure, length, offset, eof } => {
                        self.ports.moved(operation, failure, length, offset, eof);
                    }
                }
            }
        }
    }

    fn handle(&mut self, command: Command) {
        // An answer that nobody waits for is dropped, and what it owns posts its own release.
        match command {
            Command::Open { port, settings } => {
                self.ports.open(port, settings, &self.credentials);
                if self.ending.is_some() {
                    self.ports.close(port);
                }
            }
            Command::Listen { port, on, ports, answer } => {
                drop(answer.send(self.ports.listen(port, on, ports)));
            }
            Command::Check { port, answer } => drop(answer.send(self.ports.check(port))),
            Command::Peers { port, addresses } => self.ports.peers(port, &addresses),
            Command::Connect { port, direction } => self.ports.connect(port, direction),
            Command::Read { port, run, feed } => self.ports.read(port, run, feed),
            Command::Write { port, run, feed } => self.ports.write(port, run, feed),
            Command::Data { port, run, data, offset } => self.ports.data(port, run, data, offset),
            Command::Finish { port, run } => self.ports.finish(port, run),
            Command::Rearm { port } => self.ports.advance(port),
            Command::Cancel { port, run } => self.ports.cancel(port, run),
            Command::Withdraw { port, run } => self.ports.withdraw(port, run),
            Command::Close { port } => self.ports.close(port),
            Command::ImportCredential { pem, answer } => {
                let imported =
                    self.ports.spare_files().and_then(|()| self.credentials.import(&self.engine, &pem));
                drop(answer.send(imported));
            }
            Command::ReleaseCredential { credential } => self.credentials.release(credential),
            Command::NewContext { credential, target, delegate, answer } => {
                drop(answer.send(self.contexts.open(&self.engine, credential, &target, delegate)));
            }
            Command::StepContext { context, token, answer } => {
                let step = self.ports.spare_files();
                let step = step.and_then(|()| self.contexts.step(&self.credentials, context, &token));
                drop(answer.send(step));
            }
            Command::Wrap { context, messages, answer } => {
                drop(answer.send(self.contexts.wrap(context, &messages)));
            }
            Command::Unwrap { context, tokens, answer } => {
                drop(answer.send(self.contexts.unwrap(context, &tokens)));
            }
            Command::DropContext { context } => self.contexts.close(context),
            Command::Rest(rest) => exit::rest_for_ever(rest),
            Command::Ping { done } => drop(done.send(())),
            Command::Shutdown { answer } => {
                for port in self.ports.ids() {
                    self.ports.close(port);
                }
                self.ending = Some(answer);
            }
        }
    }

    /// Tells every run that the engine is gone.
    fn abandon(&mut self) {
        self.ports.abandon();
    }
}

/// Lets Globus work until an event was recorded, or for `timeout`; none means without limit.
fn poll(timeout: Option<Duration>) {
    // SAFETY: engine thread; the time is a local, or a static of the library.
    unsafe {
        match timeout {
            None => sys::globus_callback_space_poll(
                &raw const sys::globus_i_abstime_infinity,
                sys::GLOBUS_CALLBACK_GLOBAL_SPACE,
            ),
            Some(Duration::ZERO) => {
                sys::globus_callback_space_poll(
                    &raw const sys::globus_i_abstime_zero,
                    sys::GLOBUS_CALLBACK_GLOBAL_SPACE,
                );
            }
            Some(wait) => {
                let until = sys::globus_abstime_after(wait);
                sys::globus_callback_space_poll(&raw const until, sys::GLOBUS_CALLBACK_GLOBAL_SPACE);
            }
        }
    }
}
