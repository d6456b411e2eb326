//! What is sent ahead: commands in batches, and data where it may be.

use bytes::Bytes;

use super::file::Moving;
use super::item::{Keeper, commands_of};
use super::{AHEAD, Uploads};
use crate::engine::Direction;
use crate::error::Result;
use crate::options::DataOptions;
use crate::session::Session;

impl<K: Keeper> Uploads<K> {
    /// Keeps the queue full: makes the set if there is none, sends commands and data ahead.
    pub(super) async fn refill(&mut self, session: &mut Session) -> Result<()> {
        if self.waiting.is_empty() || self.moving.len() >= AHEAD {
            return Ok(());
        }
        if self.ready.is_none() {
            // A server that is no GridFTP server is told one thing at a time.
            session.speak_in_turn();
            let (ready, _) =
                session.make_ready(Direction::Write, &self.manner.options, true, Vec::new()).await?;
            ready.port.connect(Direction::Write);
            self.ready = Some(ready);
            self.proven = false;
        }
        let (mut commands, mut batch) = (Vec::new(), Vec::new());
        while self.moving.len() + batch.len() < AHEAD
            && let Some(item) = self.waiting.pop_front()
        {
            self.order += 1;
            let temporary = self.temporary(&item.path);
            match commands_of(session, &item, &temporary, &self.manner) {
                Ok((list, questions)) => {
                    commands.extend(list);
                    batch.push((item, temporary, questions, self.order));
                }
                Err(error) => self.ended.push_back(item.failed(error, false)),
            }
        }
        let mut replies = session.control.send_all(commands).into_iter();
        for (item, temporary, questions, order) in batch {
            self.temporaries.insert(temporary.clone());
            let limit = self.manner.checksum_limit;
            self.moving.push_back(Moving::new(item, temporary, order, questions, &mut replies, limit)?);
        }
        if !self.is_careful(session) {
            self.post_ahead(session);
        }
        Ok(())
    }

    /// Data before the server's word, where it may be.
    pub(super) fn is_careful(&self, session: &Session) -> bool {
        self.careful || session.sequential || session.control.window() == 1
    }

    pub(super) fn post_ahead(&mut self, session: &Session) {
        let Some(ready) = &self.ready else { return };
        // In their order, as that is all that tells them apart.
        for moving in &mut self.moving {
            moving.post(&ready.port, session.control.counters());
        }
    }

    /// In the file's own folder, so that giving it its name moves no data.
    fn temporary(&self, path: &Bytes) -> Bytes {
        let folder = path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        let name = format!(".gridftp-{}-{}-{}", self.tag, self.round, self.order);
        [&path[..folder], name.as_bytes()].concat().into()
    }
}

impl Session {
    /// Makes the channel that the first put will go over, which shows that the server has extended block mode.
    pub(crate) async fn make_ready_for_puts(&mut self, options: &DataOptions) -> Result<()> {
        let (ready, _) = self.make_ready(Direction::Write, options, true, Vec::new()).await?;
        self.give_back(ready);
        Ok(())
    }
}
