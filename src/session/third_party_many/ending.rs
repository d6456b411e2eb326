//! What is left when a pipeline between two servers ends, and its deletion.

use std::future::poll_fn;

use bytes::Bytes;

use super::{NOT_WORTH_ENDING, Pairs};
use crate::error::{Error, ErrorKind, Phase};
use crate::protocol::command::Command;
use crate::session::Session;
use crate::session::third_party::Active;

impl Pairs {
    /// Gives up what is under way, for somebody to end it and to delete what it leaves.
    pub(crate) fn abandon(&mut self) -> Abandoned {
        let moving = std::mem::take(&mut self.moving);
        let bytes = moving.iter().map(|moving| moving.size.unwrap_or(u64::MAX)).fold(0, u64::saturating_add);
        let (begun, under_way): (Vec<_>, Vec<_>) =
            moving.into_iter().map(|moving| (moving.temporary, moving.active)).unzip();
        let mut left = std::mem::take(&mut self.left);
        left.extend(self.named.drain(..).map(|named| named.temporary));
        left.extend(begun);
        Abandoned { under_way, left, doubtful: self.take_doubtful(), bytes, set: self.set }
    }
}

/// Transfers that nobody waits for any more.
#[derive(Debug)]
pub(crate) struct Abandoned {
    under_way: Vec<Active>,
    /// Temporary files that may be there when the sessions are through with what they were told.
    pub(crate) left: Vec<Bytes>,
    /// Temporary files of earlier sessions, which may come to be there at any time.
    pub(crate) doubtful: Vec<Bytes>,
    /// What is still to be moved, at most.
    bytes: u64,
    /// The sessions are in the middle of nothing but transfers.
    set: bool,
}

impl Abandoned {
    /// Whether so little is under way that its end may be waited for.
    pub(crate) fn is_small(&self) -> bool {
        self.bytes <= NOT_WORTH_ENDING
    }

    /// Waits for both servers' last words about everything, and says whether the sessions are fit for others.
    pub(crate) async fn ends(&mut self) -> bool {
        for active in &mut self.under_way {
            while !active.is_over() {
                poll_fn(|cx| active.poll_event(cx)).await;
            }
        }
        self.set && self.under_way.iter().all(|active| active.failure().is_none())
    }

    /// Waits for the destination's last words: it creates no more files then.
    pub(crate) async fn destination_ends(&mut self) {
        for active in &mut self.under_way {
            active.destination_ends().await;
        }
    }
}

/// Temporary files that a server did not delete.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    /// They were not there.
    pub(crate) missing: Vec<Bytes>,
    /// The server refused, or said nothing.
    pub(crate) kept: Vec<Bytes>,
}

/// Deletes temporary files, as far as that can be done, and gives back the others.
pub(crate) async fn delete(session: &Session, paths: &[Bytes]) -> Deleted {
    let (mut deleted, mut commands, mut asked) = (Deleted::default(), Vec::new(), Vec::new());
    for path in paths {
        // Where it could not be said, it was not stored either.
        if let Ok(command) = Command::with("DELE", path) {
            commands.push(command);
            asked.push(path.clone());
        }
    }
    for (mut pending, path) in session.control.send_all(commands).into_iter().zip(asked) {
        match pending.last().await {
            Ok(reply) if reply.is_completion() => {}
            Ok(reply) => {
                let error = Error::from_reply(reply, Phase::Command, "a temporary file was not deleted");
                let missing = error.kind() == ErrorKind::NotFound;
                if missing { deleted.missing.push(path) } else { deleted.kept.push(path) }
            }
            Err(_) => deleted.kept.push(path),
        }
    }
    deleted
}
