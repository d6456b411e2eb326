//! What is done when something is not as it should be, and what is left when nobody wants the rest.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::file::{Fault, is_own};
use super::item::{Item, Keeper};
use super::{Done, IRREGULARITIES, TRIES, Uploads};
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::session::third_party_many::{Deleted, delete};
use crate::session::watch::{EXPLANATION_LIMIT, Limits, explained};
use crate::session::{PendingReply, Session};

/// How long a server is waited for that says nothing about transfers whose data connection was closed. Another session costs
/// less than the rest of the reply limit.
const QUIET: Duration = Duration::from_secs(5);

impl<K: Keeper> Uploads<K> {
    /// Something went wrong at the head, so that what is behind it may be anything: closes the channel, hears all replies,
    /// deletes what was stored, and puts the rest back.
    pub(super) async fn start_over(&mut self, session: &mut Session, fault: Fault) -> Result<()> {
        let Fault { mut error, mut own, failure } = fault;
        tracing::debug!(%error, behind = self.moving.len(), "the data channel of a pipeline of puts is made anew");
        // Without channels the server ends what it had accepted, and refuses the rest at once.
        self.moving.iter_mut().for_each(super::Moving::cut);
        self.ready = None;
        self.patience = None;
        self.round += 1;
        self.irregularities += 1;
        self.careful |= self.irregularities >= IRREGULARITIES;
        if let Some(head) = self.moving.front_mut() {
            head.item.tries += 1;
        }
        // A server that nobody has connected to waits for that, and says nothing.
        let silent = failure.is_some() && !self.proven;
        let heard = self.hear_out(if silent { EXPLANATION_LIMIT } else { QUIET }).await;
        let Some(head) = self.moving.front() else { return heard };
        if let Some(failure) = failure {
            // The server's words are worth more than "connection reset".
            error = explained(failure, head.last().cloned());
            own = error.reply().is_some() && is_own(error.kind());
        }
        let mut stored: Vec<_> = self.moving.iter().map(|moving| moving.temporary.clone()).collect();
        if (own || head.item.tries >= TRIES)
            && let Some(head) = self.moving.pop_front()
        {
            // It has its outcome, whatever becomes of the session.
            self.ended.push_back(head.into_parts().0.failed(error.clone(), false));
        }
        match heard {
            Err(_) if silent => return Err(error),
            heard => heard?,
        }
        let Deleted { kept, .. } = delete(session, &stored).await;
        for path in stored.drain(..) {
            self.temporaries.remove(&path);
        }
        self.doubtful.extend(kept);
        for moving in std::mem::take(&mut self.moving).into_iter().rev() {
            self.waiting.push_front(moving.into_parts().0);
        }
        Ok(())
    }

    /// Waits for the server's last word about everything that it was told to store.
    ///
    /// # Errors
    /// What ended the session. A server that waits for another connection instead, for as long as it likes, is left to itself.
    async fn hear_out(&mut self, quiet: Duration) -> Result<()> {
        let limits = self.manner.limits;
        let quiet = quiet.min(limits.reply);
        let all = async {
            for moving in &mut self.moving {
                match timeout(quiet, moving.hear_out(limits.reply)).await {
                    Ok(heard) => heard?,
                    Err(_) => return Err(not_ended()),
                }
            }
            Ok(())
        };
        timeout(limits.reply, all).await.unwrap_or_else(|_| Err(not_ended()))
    }

    /// Forgets a broken session: what has not ended is sent again on the next one.
    pub(crate) fn restart(&mut self) {
        self.ready = None;
        self.patience = None;
        self.round += 1;
        for item in self.begun().into_iter().rev() {
            self.waiting.push_front(item);
        }
        self.swept.clear();
        self.orphans.extend(self.temporaries.drain());
    }

    /// All that is under way, in the order in which it was sent.
    fn begun(&mut self) -> Vec<Item<K>> {
        let mut items: Vec<_> = self.named.drain(..).map(|named| named.file.item.perhaps_renamed()).collect();
        items.extend(self.verified.drain(..).map(|file| file.item));
        items.extend(self.moving.drain(..).map(|moving| moving.into_parts().0));
        items
    }

    /// Deletes what an earlier session left.
    pub(super) async fn bury(&mut self, session: &Session) {
        if self.orphans.is_empty() {
            return;
        }
        let deleted = delete(session, &self.orphans).await;
        self.orphans.clear();
        // A lost session's server may be slow to do what it was told: these are looked for again at the end.
        self.doubtful.extend(deleted.kept.into_iter().chain(deleted.missing));
    }

    /// Every file that has no outcome has this one; none is taken any more.
    pub(crate) fn fail(&mut self, error: &Error) -> Vec<Done<K>> {
        self.input.close();
        self.take_input();
        let mut done: Vec<_> = self.ended.drain(..).collect();
        let begun = self.begun();
        let left = begun.into_iter().chain(self.waiting.drain(..));
        done.extend(left.into_iter().map(|item| item.failed(error.clone(), false)));
        done
    }

    /// Gives up what is under way, for somebody to end it and to delete what it leaves.
    pub(crate) fn abandon(&mut self) -> Abandoned {
        // The channel is closed by this.
        self.ready = None;
        let moving = std::mem::take(&mut self.moving);
        let mut items = self.begun();
        let mut stores = Vec::new();
        for moving in moving {
            let (item, store) = moving.into_parts();
            items.push(item);
            stores.extend(store);
        }
        items.into_iter().rev().for_each(|item| self.waiting.push_front(item));
        self.swept.clear();
        let mut left = std::mem::take(&mut self.orphans);
        left.extend(self.temporaries.drain());
        Abandoned { stores, left, doubtful: std::mem::take(&mut self.doubtful), limits: self.manner.limits }
    }
}

/// Puts that nobody waits for any more.
#[derive(Debug)]
pub(crate) struct Abandoned {
    stores: Vec<PendingReply>,
    /// Temporary files that may be there when the session is through with what it was told.
    pub(crate) left: Vec<Bytes>,
    /// Temporary files of earlier sessions, which may come to be there at any time.
    pub(crate) doubtful: Vec<Bytes>,
    limits: Limits,
}

impl Abandoned {
    /// Waits for the server's last words about everything: it creates no more files then. False if they did not come.
    pub(crate) async fn ends(&mut self) -> bool {
        let limit = self.limits.reply;
        let ends = async {
            for pending in &mut self.stores {
                pending.within(limit);
                if pending.last().await.is_err() {
                    return false;
                }
            }
            true
        };
        timeout(limit, ends).await.unwrap_or(false)
    }
    /// What may be there after these deletions. A file that was not there may still come where an earlier session, or with
    /// `heard` unset this one, was not heard out.
    pub(crate) fn remains(&self, deleted: Deleted, heard: bool) -> Vec<Bytes> {
        let Deleted { missing, mut kept } = deleted;
        kept.extend(missing.into_iter().filter(|path| !heard || self.doubtful.contains(path)));
        kept
    }
}

fn not_ended() -> Error {
    let message = "the server did not end transfers whose data connection was closed";
    Error::new(ErrorKind::ConnectionLost, Phase::Completion, message)
        .with_side(Side::Server)
        .with_may_have_applied()
}
