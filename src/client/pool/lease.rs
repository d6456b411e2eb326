//! What a user of a session holds.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use super::Pool;
use super::state::Place;
use crate::engine::fork;
use crate::session::Session;

/// A place on a session that others use at the same time. Given back when dropped.
pub(crate) struct Shared {
    // Dropped before the seat: a session whose last seat was given back has the pool as its only owner.
    session: Arc<Session>,
    rested: Option<Duration>,
    _seat: Seat,
}

struct Seat {
    pool: Arc<Pool>,
    number: u64,
}

impl Shared {
    pub(super) fn new(pool: Arc<Pool>, place: Place) -> Self {
        let Place { number, session, rested } = place;
        Self { session, rested, _seat: Seat { pool, number } }
    }

    /// How long nobody had used the session; `None` for one that was made for this.
    pub(crate) fn rested(&self) -> Option<Duration> {
        self.rested
    }
}

impl Deref for Shared {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        self.pool.give_back_seat(self.number);
    }
}

/// A session for one user. Given back when dropped, unless it was marked as broken.
pub(crate) struct Exclusive {
    pool: Arc<Pool>,
    /// Only empty while this is dropped.
    session: Option<Session>,
    reused: bool,
    broken: bool,
}

const TAKEN: &str = "a session is only taken out when its lease is dropped";

impl Exclusive {
    pub(super) fn new(pool: Arc<Pool>, session: Session, reused: bool) -> Self {
        Self { pool, session: Some(session), reused, broken: false }
    }

    /// Whether others have used the session before, so that it may have died in between.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// The runtime that the session belongs to: what is left to be done on it is done there, whoever lets go of it where.
    pub(crate) fn runtime(&self) -> tokio::runtime::Handle {
        self.pool.runtime.clone()
    }

    /// The session is in no state for anybody else: it is closed when this is dropped.
    pub(crate) fn mark_broken(&mut self) {
        self.broken = true;
    }

    /// Takes [`Exclusive::mark_broken`] back, when what made the session doubtful ended well.
    pub(crate) fn mark_clean(&mut self) {
        self.broken = false;
    }
}

impl Deref for Exclusive {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().expect(TAKEN)
    }
}

impl DerefMut for Exclusive {
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect(TAKEN)
    }
}

impl fmt::Debug for Exclusive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exclusive")
            .field("session", &self.session)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        // A broken session is closed by dropping it, without a word and at once.
        let session = self.session.take().filter(|_| !self.broken);
        self.pool.give_back_exclusive(session);
    }
}
