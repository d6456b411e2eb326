//! Checksums of many files, through one session without a round trip each.

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use super::completed;
use crate::client::{Client, Exclusive, SessionOptions};
use crate::error::{Error, Result};
use crate::protocol::command::Command;
use crate::protocol::value::checksum_reply;
use crate::session::PendingReply;
use crate::session::watch::may_go_on;
use crate::types::{Checksum, ChecksumAlgorithm};
use crate::url::{IntoUrl, Url};

/// Files that are asked for ahead.
const AHEAD: usize = 100;

/// Sessions that may be lost one after the other without any checksum in between.
const LOST_SESSIONS: usize = 3;

/// Checksums to be asked for: made by [`Client::checksum_many`], begun by `.await`.
#[derive(Debug, Clone)]
#[must_use = "checksums are asked for by `.await`"]
pub struct ChecksumManyBuilder {
    client: Client,
    urls: Result<Vec<Url>>,
    algorithm: ChecksumAlgorithm,
}

impl Client {
    /// Has a server compute the checksums of many files.
    ///
    /// On the wire: `OPTS CKSM Markers=…` once, and `CKSM` sent up to 100 files ahead on a session of its own. Each file's
    /// answer is limited by [`Timeouts::checksum`](crate::options::Timeouts::checksum) from the one before on.
    ///
    /// # Errors
    /// `InvalidInput` for no URLs and for those of several servers; what a login can fail with. Each file has its own result.
    ///
    /// # Cancel safety
    /// Dropping the [`ChecksumMany`] closes the session, if answers are under way.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// use gridftp::ChecksumAlgorithm;
    ///
    /// let urls = (0..1000).map(|n| format!("gsiftp://dtn.example.org/data/part{n}"));
    /// let mut many = client.checksum_many(urls, ChecksumAlgorithm::Adler32).await?;
    /// while let Some(outcome) = many.next_outcome().await {
    ///     match outcome.result {
    ///         Ok(checksum) => println!("{checksum} {}", outcome.url),
    ///         Err(error) => eprintln!("{error}"), // this file's own; the others go on
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to many calls of `globus_ftp_client_cksm` (GFD.47 §4).
    pub fn checksum_many<U: IntoUrl>(
        &self,
        urls: impl IntoIterator<Item = U>,
        algorithm: ChecksumAlgorithm,
    ) -> ChecksumManyBuilder {
        let urls = urls.into_iter().map(IntoUrl::into_url).collect();
        ChecksumManyBuilder { client: self.clone(), urls, algorithm }
    }
}

impl IntoFuture for ChecksumManyBuilder {
    type Output = Result<ChecksumMany>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let urls = self.urls?;
            let Some(first) = urls.first() else {
                return Err(Error::invalid("no URL was given; expected one or more"));
            };
            let other = |url: &&Url| url.endpoint() != first.endpoint() || url.user() != first.user();
            if let Some(other) = urls.iter().find(other) {
                let message =
                    format!("expected files of one server, {}, got {}", first.endpoint(), other.endpoint());
                return Err(Error::invalid(message).with_url(other));
            }
            let mut many = ChecksumMany {
                waiting: (0..urls.len()).collect(),
                asked: VecDeque::new(),
                lease: None,
                lost: 0,
                client: self.client,
                algorithm: self.algorithm,
                urls,
            };
            many.lease().await?;
            Ok(many)
        })
    }
}

/// The checksum of one file of many.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChecksumOutcome {
    /// The file's place in the list of URLs.
    pub index: usize,
    /// The file.
    pub url: Url,
    /// Its checksum, or why there is none.
    pub result: Result<Checksum>,
}

/// Checksums as they come, in the order of the URLs.
///
/// # Cancel safety
/// Dropping it with answers under way closes the session.
#[derive(Debug)]
pub struct ChecksumMany {
    client: Client,
    urls: Vec<Url>,
    algorithm: ChecksumAlgorithm,
    waiting: VecDeque<usize>,
    asked: VecDeque<(usize, PendingReply)>,
    lease: Option<Exclusive>,
    lost: usize,
}

impl ChecksumMany {
    async fn lease(&mut self) -> Result<()> {
        if self.lease.is_none() {
            let mut lease = self.client.exclusive(&self.urls[0], &SessionOptions::default()).await?;
            lease.mark_broken();
            // A server that knows no such option refuses it, and that is all.
            let seconds = (self.patience().as_secs() / 2).clamp(1, 5);
            drop(lease.control.send(Command::with("OPTS", format!("CKSM Markers={seconds};"))?));
            self.lease = Some(lease);
        }
        Ok(())
    }

    fn patience(&self) -> Duration {
        self.client.timeouts().checksum_limit()
    }

    fn refill(&mut self) {
        let Some(lease) = &self.lease else { return };
        // In batches: a command a file, as each one ends, would be a system call each.
        if self.asked.len() > AHEAD / 2 {
            return;
        }
        let room = AHEAD.min(lease.control.window()).saturating_sub(self.asked.len());
        let count = room.min(self.waiting.len());
        let (mut commands, mut indices) = (Vec::new(), Vec::new());
        for index in self.waiting.drain(..count) {
            let path = self.client.server_path(&self.urls[index]);
            let argument = [format!("{} 0 -1 ", self.algorithm).as_bytes(), &path].concat();
            // URLs were checked when they were made.
            if let Ok(command) = Command::with("CKSM", argument) {
                commands.push(command);
                indices.push(index);
            }
        }
        let patience = self.patience();
        for (index, pending) in indices.into_iter().zip(lease.control.send_all(commands)) {
            pending.within(patience);
            self.asked.push_back((index, pending));
        }
    }

    /// What came of the next file, in the order of the URLs. `None` after the last.
    ///
    /// # Cancel safety
    /// Not cancel safe: drop the `ChecksumMany` then.
    pub async fn next_outcome(&mut self) -> Option<ChecksumOutcome> {
        loop {
            if self.asked.is_empty() && self.waiting.is_empty() {
                if let Some(mut lease) = self.lease.take() {
                    lease.mark_clean();
                }
                return None;
            }
            if let Err(error) = self.lease().await {
                return self.next_failed(&error);
            }
            self.refill();
            let Some((index, mut pending)) = self.asked.pop_front() else {
                // A command that could not be built: it has no answer.
                return self.next_failed(&super::no_reply());
            };
            let reply = pending.last().await;
            let open = self.lease.as_ref().is_some_and(|lease| lease.control.is_open());
            match reply {
                Err(error) if !open => {
                    self.lease = None;
                    self.lost += 1;
                    self.waiting.push_front(index);
                    for (index, _) in self.asked.drain(..).rev() {
                        // Behind the first one, in their order.
                        self.waiting.insert(1, index);
                    }
                    if self.lost > LOST_SESSIONS || !may_go_on(&error) {
                        return self.next_failed(&error);
                    }
                    tracing::debug!(%error, "checksums are asked for on another session");
                }
                reply => {
                    self.lost = 0;
                    let reply = reply.and_then(|reply| completed(reply, "computing the checksum"));
                    let result = reply.and_then(|reply| checksum_reply(&reply, &self.algorithm));
                    return Some(self.outcome(index, result));
                }
            }
        }
    }

    fn next_failed(&mut self, error: &Error) -> Option<ChecksumOutcome> {
        let index = self.waiting.pop_front()?;
        Some(self.outcome(index, Err(error.clone())))
    }

    fn outcome(&self, index: usize, result: Result<Checksum>) -> ChecksumOutcome {
        let url = self.urls[index].clone();
        ChecksumOutcome { index, result: result.map_err(|error| error.with_url(&url)), url }
    }
}
