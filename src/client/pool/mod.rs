//! The sessions of one endpoint and one identity.
//!
//! Two ways to use a session: a place on a shared one, for commands whose replies come on the control channel, and an
//! exclusive one, for transfers. Who does not get one at once waits in a queue; whoever gives something back, or finishes
//! a login, hands it on in order. Logins run in tasks of their own, so that a caller who goes away takes nothing with it.
//!
//! `state` decides, under a lock and without side effects; what it decided is carried out here after the lock is gone.
//! A login that fails is the answer for everybody who waits at that moment, unless other sessions live and trying later may
//! help: then they wait for those.

mod lease;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::builder::Config;
use super::metrics::Counted;
use super::{Common, Key};
use crate::engine::fork;
use crate::error::{Error, ErrorKind, Phase, Result, Side, TimeoutKind};
use crate::session::Session;

pub(crate) use lease::{Exclusive, Shared};
use state::{Failed, Purpose, State, Todo};

/// Sessions shared by commands, at most.
const MAX_SHARED: usize = 4;

/// A limit that nobody lives to see, and that can be added to a moment.
const LONGEST: Duration = Duration::from_secs(86_400 * 365);

pub(super) struct Pool {
    key: Key,
    common: Arc<Common>,
    application: Arc<str>,
    idle: Duration,
    runtime: Handle,
    state: Mutex<State>,
    /// Sleeps for as long as a session may be idle, which can be days: it ends with the pool.
    reaper: Mutex<Option<AbortHandle>>,
}

impl Pool {
    pub(super) fn new(key: Key, config: &Config, common: Arc<Common>, runtime: Handle) -> Self {
        let sessions = config.sessions;
        let state = Mutex::new(State::new(sessions, sessions.min(MAX_SHARED)));
        let (application, idle) = (Arc::clone(&config.application), config.idle);
        Self { key, common, application, idle, runtime, state, reaper: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.renewal = self.key.who.credential.renewals();
        state
    }

    /// Whether anything is open, on its way or wanted.
    pub(super) fn is_used(&self) -> bool {
        let mut closing = Vec::new();
        let used = {
            let mut state = self.lock();
            // Those of a runtime that has ended, for instance.
            state.remove_dead(&mut closing);
            state.is_used()
        };
        closing.iter().for_each(|session| session.control.quit());
        used
    }

    /// Keeps nothing from now on: what is idle is closed, and what is in use when it comes back.
    pub(super) fn retire(self: &Arc<Self>) {
        self.lock().retired = true;
        self.settle();
    }

    /// A place on a shared session.
    pub(super) async fn shared(self: &Arc<Self>) -> Result<Shared> {
        let (place, grow) = {
            let mut state = self.lock();
            (state.place_at_once(), state.should_grow())
        };
        if let Some(place) = place {
            let place = Shared::new(Arc::clone(self), place);
            if grow {
                self.settle();
            }
            return Ok(place);
        }
        let (sender, waiting) = oneshot::channel();
        self.lock().shared_waiters.push_back(sender);
        self.settle();
        let _counted = Counted::new(&self.common.operations.waiting);
        waiting.await.unwrap_or_else(|_| Err(abandoned()))
    }

    /// A session of one's own.
    pub(super) async fn exclusive(self: &Arc<Self>) -> Result<Exclusive> {
        let (sender, waiting) = oneshot::channel();
        self.lock().exclusive_waiters.push_back(sender);
        self.settle();
        let _counted = Counted::new(&self.common.operations.waiting);
        waiting.await.unwrap_or_else(|_| Err(abandoned()))
    }

    /// Gives what there is to those who wait, and starts what is missing.
    fn settle(self: &Arc<Self>) {
        let todo = self.lock().settle(Instant::now());
        self.carry_out(todo);
    }

    fn carry_out(self: &Arc<Self>, todo: Todo) {
        let Todo { exclusive, shared, failed, connect, reap, closing } = todo;
        for session in closing {
            session.control.quit();
        }
        // A receiver that is gone by now gives its session back by dropping the lease.
        for (waiter, session, reused) in exclusive {
            drop(waiter.send(Ok(Exclusive::new(Arc::clone(self), session, reused))));
        }
        for (waiter, place) in shared {
            drop(waiter.send(Ok(Shared::new(Arc::clone(self), place))));
        }
        if let Some(Failed { error, exclusive, shared }) = failed {
            exclusive.into_iter().for_each(|waiter| drop(waiter.send(Err(error.clone()))));
            shared.into_iter().for_each(|waiter| drop(waiter.send(Err(error.clone()))));
        }
        for purpose in connect {
            let attempt = Attempt { pool: Arc::clone(self), purpose, over: false };
            self.runtime.spawn(attempt.run());
        }
        if reap {
            let reaper = Reaper { pool: Arc::downgrade(self), over: false };
            let reaper = self.runtime.spawn(reaper.run()).abort_handle();
            *self.reaper.lock().unwrap_or_else(PoisonError::into_inner) = Some(reaper);
        }
    }

    fn arrived(self: &Arc<Self>, purpose: Purpose, result: Result<Session>) {
        let todo = {
            let mut state = self.lock();
            let now = Instant::now();
            let failed = state.arrived(purpose, result, now);
            let mut todo = state.settle(now);
            todo.failed = failed;
            todo
        };
        self.carry_out(todo);
    }

    fn give_back_exclusive(self: &Arc<Self>, session: Option<Session>) {
        let todo = {
            let mut state = self.lock();
            let now = Instant::now();
            state.give_back(session, now);
            state.settle(now)
        };
        self.carry_out(todo);
    }

    fn give_back_seat(self: &Arc<Self>, number: u64) {
        let todo = {
            let mut state = self.lock();
            let now = Instant::now();
            if !state.leave(number, now) {
                return;
            }
            state.settle(now)
        };
        self.carry_out(todo);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for session in state.take_unused() {
            session.control.quit();
        }
        if let Some(reaper) = self.reaper.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            reaper.abort();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("endpoint", &self.key.who.endpoint).finish_non_exhaustive()
    }
}

/// One login under way.
struct Attempt {
    pool: Arc<Pool>,
    purpose: Purpose,
    over: bool,
}

impl Attempt {
    async fn run(mut self) {
        let result = self.login().await;
        self.over = true;
        self.pool.arrived(self.purpose, result);
    }

    async fn login(&self) -> Result<Session> {
        let Pool { key, common, application, .. } = &*self.pool;
        // Before it is read: one that is renewed in between is used once too seldom, never once too often.
        let renewal = key.who.credential.renewals();
        let sequential = self.pool.lock().sequential;
        // Files can be on servers that do not answer.
        let limit = key.connect_limit;
        // One limit for everything, however often it is tried.
        let deadline = Instant::now() + limit.min(LONGEST);
        let login = timeout_at(deadline, common.credentials.login(application, key, sequential)).await;
        let login = login.unwrap_or_else(|_| Err(unread(limit)))?;
        let opened = match login.open(&common.counters, deadline).await {
            // Once more: everybody who waits would get this answer, and connections do break.
            Err(error) if error.kind() == ErrorKind::ConnectionLost => {
                tracing::debug!(endpoint = %key.who.endpoint, "the login is tried once more: {error}");
                login.open(&common.counters, deadline).await
            }
            result => result,
        };
        opened.map(|mut session| {
            if let Some(security) = &mut session.security {
                security.renewal = renewal;
            }
            session
        })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // The runtime throws its tasks away when it is shut down.
        if !self.over && !fork::is_child() {
            self.pool.arrived(self.purpose, Err(abandoned()));
        }
    }
}

/// Closes sessions that were idle for too long. Ends with the last idle session and keeps nothing alive.
struct Reaper {
    pool: Weak<Pool>,
    over: bool,
}

impl Reaper {
    async fn run(mut self) {
        while let Some(next) = self.round() {
            sleep_until(next).await;
        }
        self.over = true;
    }

    /// Closes what is due, and says when something will be again.
    fn round(&self) -> Option<Instant> {
        let pool = self.pool.upgrade()?;
        let (closing, next) = pool.lock().expire(Instant::now(), pool.idle);
        for session in closing {
            session.control.quit();
        }
        next
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        // Thrown away by its runtime; with a round that found nothing, the pool knows already.
        if !self.over
            && !fork::is_child()
            && let Some(pool) = self.pool.upgrade()
        {
            pool.lock().reaping = false;
        }
    }
}

fn unread(limit: Duration) -> Error {
    let message = format!("reading the credential took longer than {limit:?}, the limit for connecting");
    Error::new(ErrorKind::Timeout(TimeoutKind::Connect), Phase::Credential, message).with_side(Side::Local)
}

fn abandoned() -> Error {
    Error::new(ErrorKind::Aborted, Phase::Login, "the runtime was shut down during the login")
}
