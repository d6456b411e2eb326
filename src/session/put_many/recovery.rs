//! What is done when something is not as it should be, and what is left when nobody wants the rest.

use bytes::Bytes;
use tokio::time::timeout;

use super::file::{Fault, Item, Keeper, is_own};
use super::{Done, IRREGULARITIES, TRIES, Uploads};
use crate::error::{Error, Result};
use crate::session::third_party_many::{Deleted, delete};
use crate::session::watch::{EXPLANATION_LIMIT, Limits, explained};
use crate::session::{PendingReply, Session};

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
        let limits = self.manner.limits;
        // A server that nobody has connected to waits for that, and says nothing.
        let silent = failure.is_some() && !self.proven;
        let patience = if silent { EXPLANATION_LIMIT.min(limits.reply) } else { limits.reply };
        let heard = timeout(patience, async {
            for moving in &mut self.moving {
                moving.hear_out(limits.reply).await?;
            }
            Ok::<_, Error>(())
        });
        match heard.await {
            Ok(Ok(())) => {}
            Ok(Err(lost)) => return Err(lost),
            Err(_) if silent => return Err(error),
            Err(_) => return Err(limits.not_ended()),
        }
        if let (Some(failure), Some(head)) = (failure, self.moving.front()) {
            // The server's words are worth more than "connection reset".
            error = explained(failure, head.last().cloned());
            own = error.reply().is_some() && is_own(error.kind());
        }
        let stored: Vec<_> = self.moving.iter().map(|moving| moving.temporary.clone()).collect();
        let Deleted { kept, .. } = delete(session, &stored).await;
        for path in &stored {
            self.temporaries.remove(path);
        }
        self.doubtful.extend(kept);
        for (place, moving) in std::mem::take(&mut self.moving).into_iter().enumerate().rev() {
            let (mut item, _) = moving.into_parts();
            item.tries += usize::from(place == 0);
            if place == 0 && (own || item.tries >= TRIES) {
                self.ended.push_back(item.failed(error.clone(), false));
            } else {
                self.waiting.push_front(item);
            }
        }
        Ok(())
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
