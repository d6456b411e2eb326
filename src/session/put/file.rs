//! A put whose bytes the data channel takes from a file by itself.

use std::pin::pin;

use tokio::time::Instant;

use super::{ActivePut, Outgoing, ended_early};
use crate::channel::Broken;
use crate::error::{Error, ErrorKind, Phase, Result, Side, TimeoutKind};
use crate::session::watch::Patience;

/// Why a file was not sent.
#[derive(Debug)]
pub(crate) enum NotSent {
    /// As any other put fails.
    Failed(Error),
    /// It could not be read.
    Unreadable(std::io::Error),
    /// It ends where more of it was to be sent.
    Short,
}

impl From<Error> for NotSent {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl ActivePut {
    /// Whether it takes a file, and no blocks.
    pub(crate) fn sends_files(&self) -> bool {
        self.run.sends_files()
    }

    /// Begins to send a file; what came of it is told by [`Self::file_sent`].
    pub(crate) async fn begin_file(&mut self, outgoing: Outgoing) -> Result<()> {
        let stall = self.limits.stall;
        self.patience = Some(Patience::new(self.signs(), stall));
        self.account.to_come = true;
        let until = tokio::time::sleep(stall);
        let heard = {
            let Self { run, pending, .. } = self;
            let (mut begun, mut until) = (pin!(run.begin_file(outgoing, stall * 2)), pin!(until));
            loop {
                tokio::select! {
                    biased;
                    begun = &mut begun => break begun.map_err(Some).map(|()| None),
                    // Of nothing that was sent nothing can be told.
                    reply = pending.next() => match reply {
                        Ok(reply) if reply.is_preliminary() => {}
                        reply => break Ok(Some(reply)),
                    },
                    () = &mut until => break Err(None),
                }
            }
        };
        match heard {
            Ok(None) => Ok(()),
            Ok(Some(reply)) => {
                self.hear(reply)?;
                self.confirmed.clone().map_or(Ok(()), |reply| Err(ended_early(reply)))
            }
            Err(Some(failure)) => Err(self.reason(failure).await),
            Err(None) => Err(self.limits.stalled()),
        }
    }

    /// Waits until all of the file was handed to the network, or until then: tells whether it was.
    ///
    /// Cancel safe: may be called again.
    pub(crate) async fn file_sent(&mut self, until: Instant) -> Result<bool, NotSent> {
        let stall = self.limits.stall;
        // Nothing tells of written bytes, so they are looked for.
        let tick = self.limits.tick();
        loop {
            if let Some(reply) = &self.confirmed {
                return Err(ended_early(reply.clone()).into());
            }
            if let Some(error) = &self.lost {
                return Err(error.clone().into());
            }
            tokio::select! {
                biased;
                sent = self.run.file_sent() => {
                    // Places of its bytes were the sender's matter; how many there were counts.
                    self.account.sent_in_all(self.run.written());
                    return match sent {
                        Ok(()) => {
                            self.account.to_come = false;
                            Ok(true)
                        }
                        Err(Broken::Channel(failure)) => Err(self.reason(failure).await.into()),
                        Err(Broken::File(error)) => Err(NotSent::Unreadable(error)),
                        Err(Broken::Short) => Err(NotSent::Short),
                    };
                }
                reply = self.pending.next() => self.hear(reply)?,
                () = tokio::time::sleep(tick) => {}
                () = tokio::time::sleep_until(until) => return Ok(false),
            }
            let signs = self.signs();
            let patience = self.patience.get_or_insert_with(|| Patience::new(signs, stall));
            if !patience.look(signs, stall) && patience.end() <= Instant::now() {
                return Err(if self.run.is_reading() { unread(stall) } else { self.limits.stalled() }.into());
            }
        }
    }
}

fn unread(stall: std::time::Duration) -> Error {
    let message = format!("nothing could be read of the file for {stall:?}");
    Error::new(ErrorKind::Timeout(TimeoutKind::Stall), Phase::LocalFile, message).with_side(Side::Source)
}
