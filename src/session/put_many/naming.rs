//! The last step: a file that is stored and checked gets its name.

use bytes::Bytes;

use super::Uploads;
use super::item::{Item, Keeper};
use crate::error::{Error, ErrorKind, Phase, Reply, Result};
use crate::protocol::classify::kind_of_reply;
use crate::protocol::command::Command;
use crate::session::{PendingReply, Session};

/// A file that is stored.
#[derive(Debug)]
pub(super) struct Verified<K> {
    pub(super) item: Item<K>,
    pub(super) temporary: Bytes,
    pub(super) attributes: Result<()>,
}

/// A file that gets its name.
#[derive(Debug)]
pub(super) struct Named<K> {
    pub(super) file: Verified<K>,
    pub(super) order: u64,
    /// What became of the old file, where it is deleted first.
    old: Option<PendingReply>,
    from: PendingReply,
    pub(super) to: PendingReply,
}

impl<K: Keeper> Uploads<K> {
    /// Sends for the names of all that are stored, in one write.
    pub(super) fn name_all(&mut self, session: &Session) -> Result<()> {
        if self.verified.is_empty() {
            return Ok(());
        }
        let (mut commands, mut deletes) = (Vec::new(), Vec::new());
        for file in &self.verified {
            let delete = self.deletes_first && self.manner.replace && file.item.may_delete();
            commands.extend(delete.then(|| Command::with("DELE", &file.item.path)).transpose()?);
            commands.push(Command::with("RNFR", &file.temporary)?);
            commands.push(Command::with("RNTO", &file.item.path)?);
            deletes.push(delete);
        }
        let mut replies = session.control.send_all(commands).into_iter();
        for delete in deletes {
            let old = if delete { replies.next() } else { None };
            let (Some(from), Some(to)) = (replies.next(), replies.next()) else { return Err(no_file()) };
            let Some(file) = self.verified.pop_front() else { return Err(no_file()) };
            self.order += 1;
            self.named.push_back(Named { file, order: self.order, old, from, to });
        }
        Ok(())
    }

    /// Takes in the reply to the RNTO at the head of the queue.
    pub(super) fn name(&mut self, session: &Session, reply: Result<Reply>) -> Result<()> {
        let reply = reply?;
        self.heard += 1;
        let Some(Named { file, mut old, mut from, .. }) = self.named.pop_front() else {
            return Err(no_file());
        };
        let Verified { item, temporary, attributes } = file;
        if reply.is_completion() {
            self.temporaries.remove(&temporary);
            self.ended.push_back(item.stored(attributes));
            return Ok(());
        }
        // The commands before it were answered before it; where one of them was refused that is the reason.
        let first = now(&mut from).filter(|first| !first.is_intermediate());
        let removal = old
            .as_mut()
            .and_then(now)
            .filter(|reply| !reply.is_completion() && kind_of_reply(reply) != ErrorKind::NotFound);
        let taken = first.is_none() && kind_of_reply(&reply) == ErrorKind::AlreadyExists;
        if taken && old.is_none() && self.manner.replace && item.may_delete() {
            // From now on the old files go first, so that this happens once.
            self.deletes_first = true;
            self.verified.push_back(Verified { item, temporary, attributes });
            return Ok(());
        }
        let error = match (first, removal) {
            (Some(first), _) => {
                Error::from_reply(first, Phase::Completion, "the stored file could not be given its name")
            }
            (None, Some(removal)) if taken => {
                Error::from_reply(removal, Phase::Completion, "the old file could not be deleted")
            }
            _ => Error::from_reply(reply, Phase::Completion, "the stored file could not be given its name"),
        };
        let delete = session.control.send(Command::with("DELE", &temporary)?);
        self.swept.push_back((temporary, delete));
        self.ended.push_back(item.failed(error, old.is_some()));
        Ok(())
    }

    /// Takes in what became of temporary files whose names were refused; `wait` is for all of them.
    pub(super) async fn sweep(&mut self, wait: bool) {
        while let Some((_, pending)) = self.swept.front_mut() {
            let reply = if wait { pending.last().await.ok() } else { now(pending) };
            let Some(reply) = reply else { return };
            let Some((temporary, _)) = self.swept.pop_front() else { return };
            self.temporaries.remove(&temporary);
            if !reply.is_completion() && kind_of_reply(&reply) != ErrorKind::NotFound {
                self.doubtful.push(temporary);
            }
        }
    }
}

fn now(pending: &mut PendingReply) -> Option<Reply> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        match pending.poll_next(&mut cx) {
            std::task::Poll::Ready(Ok(reply)) if reply.is_preliminary() => {}
            std::task::Poll::Ready(reply) => return reply.ok(),
            std::task::Poll::Pending => return None,
        }
    }
}

fn no_file() -> Error {
    Error::new(ErrorKind::Internal, Phase::Command, "a reply belongs to no file")
}
