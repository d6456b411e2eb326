//! Commands on a session of one's own: those that take long, and those that change what the next ones mean.

use std::time::Duration;

use crate::client::{Client, Exclusive, SessionOptions};
use crate::error::{Reply, Result};
use crate::protocol::command::Command;
use crate::session::watch::died;
use crate::url::Url;

impl Client {
    /// Sends all commands in one write on a session that nobody else uses meanwhile, and waits for the final reply to each.
    /// The last one may be silent for `patience`, where that is given.
    ///
    /// They must do no harm when they are sent twice: a session of the pool that turns out to be dead is replaced, once. If
    /// the future is dropped, the session is closed, since what it was told is not known.
    pub(super) async fn exchange(
        &self,
        url: &Url,
        commands: &[Command],
        patience: Option<Duration>,
    ) -> Result<(Exclusive, Vec<Reply>)> {
        loop {
            let mut lease = self.exclusive(url, &SessionOptions::default()).await?;
            lease.mark_broken();
            match Self::ask_all(&lease, commands, patience).await {
                Ok(replies) => {
                    lease.mark_clean();
                    return Ok((lease, replies));
                }
                Err(error) if lease.is_reused() && died(&error) => {
                    tracing::debug!(%error, "a session of the pool was dead, trying another one");
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn ask_all(
        lease: &Exclusive,
        commands: &[Command],
        patience: Option<Duration>,
    ) -> Result<Vec<Reply>> {
        let mut pending = lease.control.send_all(commands.to_vec());
        if let (Some(last), Some(limit)) = (pending.last_mut(), patience) {
            last.within(limit);
        }
        let mut replies = Vec::with_capacity(pending.len());
        for pending in &mut pending {
            replies.push(pending.last().await?);
        }
        Ok(replies)
    }
}
