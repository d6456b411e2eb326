//! What the server is asked for, and the first of it together with the set of channels.

use tokio::time::Instant;

use super::{Asked, Item, Pipeline, What};
use crate::engine::Direction;
use crate::error::Result;
use crate::protocol::command::Command;
use crate::session::{PendingReply, Session};

impl Pipeline {
    /// Makes the set, and asks for the first file in the same write where that is safe: one, so that little has to be heard out
    /// when there is no set. The server connects for it while the others are asked for.
    pub(super) async fn make_set(&mut self, session: &mut Session) -> Result<()> {
        // A name that this server cannot be told is refused with all commands that go along.
        let first = self.waiting.front().filter(|item| item.path.is_ascii());
        let behind = match first {
            Some(item) if session.takes_more_behind_port(&self.options) => self.questions(session, item)?,
            _ => Vec::new(),
        };
        let (ready, replies) = session.make_ready_ahead(&self.options, behind, self.limits.reach()).await?;
        ready.port.connect(Direction::Read);
        self.ready = Some(ready);
        self.wait.begun = None;
        let mut replies = replies.into_iter().peekable();
        if replies.peek().is_some()
            && let Some(item) = self.waiting.pop_front()
        {
            self.note_asked(session, item, &mut replies);
        }
        Ok(())
    }

    /// The commands that ask for one file.
    pub(super) fn questions(&self, session: &Session, item: &Item) -> Result<Vec<Command>> {
        let verb = match self.what {
            What::Files { .. } => "RETR",
            What::Listings { .. } => "MLSD",
        };
        let mut commands = Vec::with_capacity(2);
        if self.asks_sizes(session) {
            commands.push(Command::with("SIZE", &item.path)?);
        }
        commands.push(Command::with(verb, &item.path)?);
        Ok(commands)
    }

    /// Takes in that [these](Self::questions) were sent.
    pub(super) fn note_asked(
        &mut self,
        session: &Session,
        item: Item,
        replies: &mut impl Iterator<Item = PendingReply>,
    ) {
        self.wait.begun.get_or_insert_with(Instant::now);
        let size = if self.asks_sizes(session) { replies.next() } else { None };
        let Some(transfer) = replies.next() else { return };
        self.asked.push_back(Asked { item, size, transfer, first: None });
    }

    fn asks_sizes(&self, session: &Session) -> bool {
        matches!(self.what, What::Files { check_sizes: true, .. }) && session.features.size()
    }
}
