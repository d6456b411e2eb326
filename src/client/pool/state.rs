//! Who has which session, and who is next: decisions only, made under the pool's lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::lease::{Exclusive, Shared};
use crate::error::{Error, Result};
use crate::session::Session;

/// Operations on one shared session at a time; beyond that another session is opened, or they wait.
const SEATS: usize = 128;

/// From here on another session is worth its login: a server works on each one in a process, and so on a core, of its own.
const CROWDED: usize = 32;

/// Seats on a session with a server that takes one command at a time.
const SEATS_SEQUENTIAL: usize = 4;

/// How long no further session is tried after the server refused one while others live.
const BUSY: Duration = Duration::from_secs(10);

pub(super) type ExclusiveWaiter = oneshot::Sender<Result<Exclusive>>;
pub(super) type SharedWaiter = oneshot::Sender<Result<Shared>>;

/// What a login is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Exclusive,
    Shared,
}

/// A place on a shared session.
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) session: Arc<Session>,
    pub(super) rested: Option<Duration>,
}

/// What is to be done without the lock.
#[derive(Default)]
pub(super) struct Todo {
    pub(super) exclusive: Vec<(ExclusiveWaiter, Session, bool)>,
    pub(super) shared: Vec<(SharedWaiter, Place)>,
    pub(super) failed: Option<Failed>,
    pub(super) connect: Vec<Purpose>,
    pub(super) reap: bool,
    pub(super) closing: Vec<Session>,
}

/// A login that failed, and everybody whose answer that is.
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) exclusive: VecDeque<ExclusiveWaiter>,
    pub(super) shared: VecDeque<SharedWaiter>,
}

/// An exclusive session that nobody uses.
struct Parked {
    session: Session,
    since: Instant,
    used: bool,
}

/// A shared session.
struct Member {
    number: u64,
    session: Arc<Session>,
    seats_taken: usize,
    /// When the last seat was given back.
    since: Instant,
    used: bool,
}

pub(super) struct State {
    idle: Vec<Parked>,
    shared: Vec<Member>,
    /// Exclusive sessions that somebody uses.
    in_use: usize,
    connecting: usize,
    connecting_shared: bool,
    pub(super) exclusive_waiters: VecDeque<ExclusiveWaiter>,
    pub(super) shared_waiters: VecDeque<SharedWaiter>,
    limit: usize,
    max_shared: usize,
    busy_until: Option<Instant>,
    next_number: u64,
    /// Sessions of an earlier renewal of their credential serve nobody new.
    pub(super) renewal: u64,
    /// The server does not read commands ahead.
    pub(super) sequential: bool,
    /// A reaper runs.
    pub(super) reaping: bool,
    /// The client is gone: nothing is kept for later.
    pub(super) retired: bool,
}

impl State {
    pub(super) fn new(limit: usize, max_shared: usize) -> Self {
        Self {
            idle: Vec::new(),
            shared: Vec::new(),
            in_use: 0,
            connecting: 0,
            connecting_shared: false,
            exclusive_waiters: VecDeque::new(),
            shared_waiters: VecDeque::new(),
            limit,
            max_shared,
            busy_until: None,
            next_number: 0,
            renewal: 0,
            sequential: false,
            reaping: false,
            retired: false,
        }
    }

    pub(super) fn is_used(&self) -> bool {
        let sessions = self.idle.len() + self.shared.len() + self.in_use + self.connecting;
        sessions > 0
            || self.connecting_shared
            || !self.exclusive_waiters.is_empty()
            || !self.shared_waiters.is_empty()
    }

    /// A place on a shared session, when there is one and nobody waits for it.
    pub(super) fn place_at_once(&mut self) -> Option<Place> {
        if self.shared_waiters.is_empty() { self.take_seat() } else { None }
    }

    /// Whether another shared session should be opened although there are free seats.
    pub(super) fn should_grow(&self) -> bool {
        !self.connecting_shared
            && self.shared.len() < self.max_shared
            && self.shared.iter().all(|member| member.seats_taken > CROWDED)
            && self.busy_until.is_none_or(|until| until <= Instant::now())
    }

    fn take_seat(&mut self) -> Option<Place> {
        let seats = if self.sequential { SEATS_SEQUENTIAL } else { SEATS };
        let renewal = self.renewal;
        let free = self
            .shared
            .iter_mut()
            .filter(|member| member.seats_taken < seats && is_usable(&member.session, renewal));
        let member = free.min_by_key(|member| member.seats_taken)?;
        member.seats_taken += 1;
        let rested = if member.seats_taken > 1 { Duration::ZERO } else { member.since.elapsed() };
        let used = std::mem::replace(&mut member.used, true);
        Some(Place {
            number: member.number,
            session: Arc::clone(&member.session),
            rested: used.then_some(rested),
        })
    }

    /// Gives what there is to those who wait, and decides which sessions are missing.
    pub(super) fn settle(&mut self, now: Instant) -> Todo {
        let mut todo = Todo::default();
        self.remove_dead(&mut todo.closing);
        while let Some(waiter) = next_waiter(&mut self.exclusive_waiters) {
            match self.take_exclusive() {
                Some((session, used)) => {
                    self.in_use += 1;
                    todo.exclusive.push((waiter, session, used));
                }
                None => {
                    self.exclusive_waiters.push_front(waiter);
                    break;
                }
            }
        }
        while let Some(waiter) = next_waiter(&mut self.shared_waiters) {
            let place = self.take_seat().or_else(|| {
                self.share_idle();
                self.take_seat()
            });
            match place {
                Some(place) => todo.shared.push((waiter, place)),
                None => {
                    self.shared_waiters.push_front(waiter);
                    break;
                }
            }
        }
        self.connect(now, &mut todo.connect);
        if self.retired {
            todo.closing.extend(self.take_unused());
        }
        let resting = !self.idle.is_empty() || self.shared.iter().any(|member| member.seats_taken == 0);
        todo.reap = resting && !self.reaping;
        self.reaping |= resting;
        todo
    }

    /// Forgets sessions that can serve nobody any more; those that are open are to be closed.
    pub(super) fn remove_dead(&mut self, closing: &mut Vec<Session>) {
        let renewal = self.renewal;
        let dead = self.idle.extract_if(.., |parked| !is_usable(&parked.session, renewal));
        closing.extend(dead.map(|parked| parked.session));
        // Those who still have a seat there keep the session until they have noticed, or are done.
        self.shared.retain(|member| is_usable(&member.session, renewal));
    }

    /// An idle session, or a shared one that nobody shares; whether somebody used it before.
    fn take_exclusive(&mut self) -> Option<(Session, bool)> {
        if let Some(parked) = self.idle.pop() {
            return Some((parked.session, parked.used));
        }
        if self.in_use + self.connecting >= self.limit || !self.shared_waiters.is_empty() {
            return None;
        }
        let at = self.shared.iter().position(|member| member.seats_taken == 0)?;
        let member = self.shared.swap_remove(at);
        let used = member.used;
        match Arc::try_unwrap(member.session) {
            Ok(session) => Some((session, used)),
            // Somebody is just giving the seat back: later, then.
            Err(session) => {
                self.shared.push(Member { session, ..member });
                None
            }
        }
    }

    /// Makes an idle session a shared one.
    fn share_idle(&mut self) {
        if self.shared.len() < self.max_shared
            && self.exclusive_waiters.is_empty()
            && let Some(parked) = self.idle.pop()
        {
            self.add_shared(parked.session, parked.since, parked.used);
        }
    }

    fn add_shared(&mut self, session: Session, since: Instant, used: bool) {
        self.next_number += 1;
        let number = self.next_number;
        self.shared.push(Member { number, session: Arc::new(session), seats_taken: 0, since, used });
    }

    fn connect(&mut self, now: Instant, connect: &mut Vec<Purpose>) {
        let busy = self.busy_until.is_some_and(|until| now < until);
        let sessions = self.in_use + self.idle.len() + self.connecting;
        let room = match busy {
            // The server has refused one more than there are; with none left, it is asked again.
            true => usize::from(sessions == 0),
            false => self.limit.saturating_sub(sessions),
        };
        let wanted = self.exclusive_waiters.len().saturating_sub(self.connecting).min(room);
        self.connecting += wanted;
        connect.extend(std::iter::repeat_n(Purpose::Exclusive, wanted));
        let may_share = self.shared.is_empty() || (!busy && self.shared.len() < self.max_shared);
        let wanted = !self.shared_waiters.is_empty() || (!self.shared.is_empty() && self.should_grow());
        if wanted && !self.connecting_shared && may_share {
            self.connecting_shared = true;
            connect.push(Purpose::Shared);
        }
    }

    /// The end of a login.
    pub(super) fn arrived(
        &mut self,
        purpose: Purpose,
        result: Result<Session>,
        now: Instant,
    ) -> Option<Failed> {
        match purpose {
            Purpose::Exclusive => self.connecting -= 1,
            Purpose::Shared => self.connecting_shared = false,
        }
        let error = match result {
            Ok(session) => {
                self.sequential |= session.sequential;
                match purpose {
                    Purpose::Exclusive => self.idle.push(Parked { session, since: now, used: false }),
                    Purpose::Shared => self.add_shared(session, now, false),
                }
                return None;
            }
            Err(error) => error,
        };
        let others = match purpose {
            Purpose::Exclusive => self.in_use + self.connecting,
            Purpose::Shared => self.shared.len(),
        };
        if others > 0 {
            self.busy_until = Some(now + BUSY);
            if error.is_transient() {
                return None;
            }
        }
        let mut failed = Failed { error, exclusive: VecDeque::new(), shared: VecDeque::new() };
        match purpose {
            Purpose::Exclusive => std::mem::swap(&mut failed.exclusive, &mut self.exclusive_waiters),
            Purpose::Shared => std::mem::swap(&mut failed.shared, &mut self.shared_waiters),
        }
        Some(failed)
    }

    /// An exclusive session comes back, or has ended.
    pub(super) fn give_back(&mut self, session: Option<Session>, now: Instant) {
        self.in_use -= 1;
        if let Some(session) = session {
            self.idle.push(Parked { session, since: now, used: true });
        }
    }

    /// A seat is free again. Says whether somebody may be interested.
    pub(super) fn leave(&mut self, number: u64, now: Instant) -> bool {
        if let Some(member) = self.shared.iter_mut().find(|member| member.number == number) {
            member.seats_taken -= 1;
            member.since = now;
            let resting = member.seats_taken == 0 && (!self.reaping || self.retired);
            return resting || !self.shared_waiters.is_empty() || !self.exclusive_waiters.is_empty();
        }
        !self.shared_waiters.is_empty()
    }

    /// Sessions that were idle for too long, and when the next one will be.
    pub(super) fn expire(&mut self, now: Instant, idle: Duration) -> (Vec<Session>, Option<Instant>) {
        let mut closing = Vec::new();
        self.remove_dead(&mut closing);
        // A limit too large to add is one that never passes.
        let end = |since: Instant| since.checked_add(idle);
        let is_over = |since| end(since).is_some_and(|end| end <= now);
        closing.extend(self.idle.extract_if(.., |parked| is_over(parked.since)).map(|parked| parked.session));
        let resting = self.shared.extract_if(.., |member| member.seats_taken == 0 && is_over(member.since));
        closing.extend(resting.filter_map(|member| Arc::into_inner(member.session)));
        let parked = self.idle.iter().map(|parked| parked.since);
        let resting = self.shared.iter().filter(|member| member.seats_taken == 0).map(|member| member.since);
        let next = parked.chain(resting).filter_map(end).min();
        self.reaping = next.is_some();
        (closing, next)
    }

    /// Every session that nobody uses, for the end.
    pub(super) fn take_unused(&mut self) -> Vec<Session> {
        let parked = self.idle.drain(..).map(|parked| parked.session);
        let unused = self.shared.extract_if(.., |member| member.seats_taken == 0);
        parked.chain(unused.filter_map(|member| Arc::into_inner(member.session))).collect()
    }
}

/// The next one that still waits.
fn next_waiter<T>(waiters: &mut VecDeque<oneshot::Sender<T>>) -> Option<oneshot::Sender<T>> {
    loop {
        let waiter = waiters.pop_front()?;
        if !waiter.is_closed() {
            return Some(waiter);
        }
    }
}

/// Whether a session can be given to somebody: open, with the credential that is there now, which is still good for data
/// channels.
fn is_usable(session: &Session, renewal: u64) -> bool {
    session.control.is_open()
        && session.security.as_ref().is_none_or(|security| {
            security.renewal >= renewal && security.credential.expires() > SystemTime::now()
        })
}
