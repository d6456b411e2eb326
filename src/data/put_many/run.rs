//! The task that sends the files of a pipeline of puts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout, timeout_at};

use super::PutManyOutcome;
use super::file::{Held, Room};
use crate::client::Exclusive;
use crate::data::PutSummary;
use crate::data::choices::Choices;
use crate::data::unseen::warn_of;
use crate::error::{Error, Phase};
use crate::session::put_many::{Abandoned, Done, Uploads};
use crate::session::third_party_many::{Deleted, delete};
use crate::session::watch::{EXPLANATION_LIMIT, died, may_go_on, too_long};
use crate::url::Url;

/// Sessions that may be lost one after the other without any file in between.
const LOST_SESSIONS: usize = 3;

/// How long a session is kept that has nothing to do.
const IDLE: Duration = Duration::from_secs(5);

pub(super) struct Run {
    work: Uploads<Held>,
    choices: Choices,
    url: Url,
    outcomes: UnboundedSender<PutManyOutcome>,
    room: Arc<Room>,
    deadline: Option<Instant>,
    /// Outcomes so far.
    told: u64,
}

/// Why a task has nothing more to do on its session.
enum Over {
    /// No file follows.
    Done,
    /// No file has come for a while.
    Idle,
    /// Nobody waits for outcomes any more.
    Dropped,
    Failed(Error),
}

impl Run {
    pub(super) fn new(
        work: Uploads<Held>,
        choices: Choices,
        url: Url,
        outcomes: UnboundedSender<PutManyOutcome>,
        room: Arc<Room>,
        deadline: Option<Instant>,
    ) -> Self {
        Self { work, choices, url, outcomes, room, deadline, told: 0 }
    }

    pub(super) async fn run(mut self, first: Exclusive) {
        let mut lost = 0;
        // It outlives the work on it, which may be thrown away at any point: what it began is ended where it was begun.
        let mut session = Some(first);
        loop {
            let before = self.told;
            let over = {
                let gone = self.outcomes.clone();
                let deadline = self.deadline;
                let work = self.one_session(&mut session);
                let limited = async {
                    match deadline {
                        None => work.await,
                        Some(at) => timeout_at(at, work).await.unwrap_or_else(|_| Over::Failed(too_long())),
                    }
                };
                tokio::select! {
                    over = limited => over,
                    () = gone.closed() => Over::Dropped,
                }
            };
            match over {
                Over::Idle => lost = 0,
                Over::Done | Over::Dropped => {
                    self.room.finish();
                    let abandoned = self.work.abandon();
                    // Outcomes end when nothing is left; and names are claimed until it is certain that no more is stored
                    // under them.
                    return clean_up(self.choices.clone(), self.url.clone(), abandoned, session.take()).await;
                }
                Over::Failed(error) => {
                    lost = if self.told == before { lost + 1 } else { 1 };
                    let reached = !matches!(error.phase(), Phase::Resolve | Phase::Connect | Phase::Login);
                    if may_go_on(&error) && reached && lost <= LOST_SESSIONS {
                        tracing::debug!(%error, "a pipeline of puts goes on with another session");
                        session = None;
                        self.work.restart();
                        continue;
                    }
                    // Those who wait are told at once, and may take their time.
                    self.room.fail(&error);
                    let abandoned = self.work.abandon();
                    for done in self.work.fail(&error) {
                        self.tell(done);
                    }
                    let (choices, url) = (self.choices.clone(), self.url.clone());
                    // Nobody needs to wait for the cleaning up, which the end of outcomes would tell of.
                    drop(self);
                    return clean_up(choices, url, abandoned, session.take()).await;
                }
            }
        }
    }

    /// Sends files until none is left or the session is of no more use. One that is left behind in `session` has not ended
    /// what it was told.
    async fn one_session(&mut self, session: &mut Option<Exclusive>) -> Over {
        if session.as_ref().is_some_and(|lease| !lease.control.is_open()) {
            *session = None;
        }
        if session.is_none() && !self.work.more().await {
            return Over::Done;
        }
        if session.is_none() {
            match self.choices.client.exclusive(&self.url, &self.choices.session).await {
                Ok(lease) => *session = Some(lease),
                Err(error) => return Over::Failed(error),
            }
        }
        let mut fresh = true;
        loop {
            let Some(lease) = session.as_mut() else { return Over::Idle };
            // If this is dropped now, nobody knows what the server has been told.
            lease.mark_broken();
            match self.work.next(lease).await {
                Ok(Some(done)) => {
                    fresh = false;
                    if !self.tell(done) {
                        return Over::Dropped;
                    }
                }
                Ok(None) => {
                    self.work.rest(lease);
                    lease.mark_clean();
                    if self.work.is_over() {
                        return Over::Done;
                    }
                    match timeout(IDLE, self.work.more()).await {
                        Ok(true) => {}
                        Ok(false) => return Over::Done,
                        Err(_) => {
                            // Servers hang up on whoever says nothing, and others may have use for it.
                            *session = None;
                            return Over::Idle;
                        }
                    }
                    if !lease.control.is_open() {
                        *session = None;
                        return Over::Idle;
                    }
                }
                Err(error) => {
                    let dead = fresh && lease.is_reused() && died(&error);
                    // A server that does not do what is needed is not asked again, and is well.
                    if !error.is_transient() && lease.control.is_open() {
                        lease.mark_clean();
                    }
                    *session = None;
                    if dead {
                        // It was dead before it was used, which says nothing about the server.
                        self.work.restart();
                        return Over::Idle;
                    }
                    return Over::Failed(error);
                }
            }
        }
    }

    /// Tells an outcome; false when nobody wants to know.
    fn tell(&mut self, done: Done<Held>) -> bool {
        let Done { keeper, result, attributes, touched } = done;
        let Held { index, url, claim, .. } = keeper;
        if !touched {
            claim.stored_nothing();
        }
        self.told += 1;
        self.choices.client.count_end(result.is_ok());
        let result = result.map(|bytes| PutSummary { bytes }).map_err(|error| error.with_url(&url));
        let attributes = attributes.map_err(|error| error.with_url(&url));
        self.outcomes.send(PutManyOutcome { index, url, result, attributes }).is_ok()
    }
}

/// Ends what is under way and deletes what it leaves, or says that it may be there.
async fn clean_up(choices: Choices, url: Url, mut abandoned: Abandoned, session: Option<Exclusive>) {
    let all: Vec<Bytes> = abandoned.left.iter().chain(&abandoned.doubtful).cloned().collect();
    if all.is_empty() {
        return;
    }
    let mut known = false;
    if let Some(mut lease) = session {
        // The deletions must not come before the files do: behind the replies to all that created them they do not.
        known = abandoned.ends().await;
        if known && lease.control.is_open() {
            let deleted = delete(&lease, &all).await;
            if lease.control.is_open() {
                lease.speak_freely();
                lease.mark_clean();
                return warn_of(&url, &abandoned.remains(deleted, true), None);
            }
        }
    }
    let work = async {
        let session = choices.client.shared(&url, &choices.session).await?;
        Ok::<Deleted, Error>(delete(&session, &all).await)
    };
    match timeout(choices.limits().reply.saturating_add(EXPLANATION_LIMIT), work).await {
        Ok(Ok(deleted)) => warn_of(&url, &abandoned.remains(deleted, known), None),
        Ok(Err(error)) => warn_of(&url, &all, Some(error)),
        Err(_) => warn_of(&url, &all, Some(too_long())),
    }
}
