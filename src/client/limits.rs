//! Deadlines and second tries around whole operations.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::Span;

use super::metrics::Counted;
use super::{Client, SessionOptions, Shared};
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side, TimeoutKind};
use crate::protocol::command::Command;
use crate::session::Session;
use crate::url::Url;

/// How long a session may have rested before it is asked whether it is still alive, where a command must not be sent twice.
const DOUBTFUL: Duration = Duration::from_secs(15);

/// Whether doing something twice is the same as doing it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It only asks, or the second time changes nothing.
    Harmless,
    /// It changes something: it is sent again only when it certainly was not done.
    Never,
}

/// The span of an operation: what all its commands and replies are shown in.
pub(crate) fn span(operation: &'static str, url: &Url) -> Span {
    tracing::debug_span!("operation", operation, %url, endpoint = %url.endpoint())
}

/// One operation with its deadline: what users of [`Client`] call ends up here.
pub(crate) struct Operation<'a> {
    client: &'a Client,
    url: &'a Url,
    repeat: Repeat,
    /// Commands were queued, so the server may have done something.
    sent: AtomicBool,
}

impl Client {
    pub(crate) fn operation<'a>(&'a self, url: &'a Url, repeat: Repeat) -> Operation<'a> {
        Operation { client: self, url, repeat, sent: AtomicBool::new(false) }
    }

    /// Counts a transfer that could not be started.
    pub(crate) fn count_failure(&self) {
        self.count_end(false);
    }

    /// Counts how an operation ended whose bytes do not come here.
    pub(crate) fn count_end(&self, well: bool) {
        self.inner.common.operations.ended(well);
    }

    /// Runs something under the limit for whole operations, in a span of its own, and counts it.
    ///
    /// # Errors
    /// `Timeout(Total)`, and whatever `work` fails with; both name the URL.
    pub(crate) fn limited<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        url: &'a Url,
        work: impl Future<Output = Result<T>> + Send + 'a,
    ) -> impl Future<Output = Result<T>> + Send + 'a {
        self.judged(operation, url, Box::pin(work), |_| true)
    }

    /// The same; `well` says which results count as success.
    async fn judged<T>(
        &self,
        operation: &'static str,
        url: &Url,
        // In a box: or everything that waits for it would have room for it several times over.
        mut work: Pin<Box<dyn Future<Output = Result<T>> + Send + '_>>,
        well: impl FnOnce(&T) -> bool,
    ) -> Result<T> {
        let operations = &self.inner.common.operations;
        let _counted = Counted::new(&operations.running);
        let span = span(operation, url);
        let work = poll_fn(|cx| {
            let _entered = span.enter();
            work.as_mut().poll(cx)
        });
        let result = match self.timeouts().total_limit() {
            None => work.await,
            Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
                let message = format!("not done within {limit:?}, the limit for a whole operation");
                Err(Error::new(ErrorKind::Timeout(TimeoutKind::Total), Phase::Command, message)
                    .with_side(Side::Server))
            }),
        };
        operations.ended(result.as_ref().is_ok_and(well));
        result.map_err(|error| error.with_url(url))
    }
}

impl Operation<'_> {
    /// Sends one command on a shared session and waits for its final reply, whatever its code.
    ///
    /// # Errors
    /// What kept the reply away; with `may_have_applied` where the server may have got the command.
    pub(crate) async fn reply(&self, command: Command) -> Result<Reply> {
        let send = |session: &Session| {
            let pending = session.control.send(command.clone()).withdraw_on_drop();
            async move {
                let mut pending = pending;
                pending.last().await
            }
        };
        self.judged(command.verb(), send, |reply| reply.code() < 400).await
    }

    /// Sends two commands that nothing gets between, and waits for both final replies.
    ///
    /// # Errors
    /// As [`Operation::reply`].
    pub(crate) async fn replies(&self, first: Command, second: Command) -> Result<(Reply, Reply)> {
        let mut replies = self.all_replies(Vec::from([first, second])).await?;
        match (replies.pop(), replies.pop()) {
            (Some(second), Some(first)) => Ok((first, second)),
            _ => Err(Error::new(ErrorKind::Internal, Phase::Command, "not one reply for each command")),
        }
    }

    /// Sends commands that nothing gets between, and waits for all final replies, in their order.
    ///
    /// # Errors
    /// As [`Operation::reply`].
    pub(crate) async fn all_replies(&self, commands: Vec<Command>) -> Result<Vec<Reply>> {
        let send = |session: &Session| {
            let pending = session.control.send_all(commands.clone());
            async move {
                let mut replies = Vec::with_capacity(pending.len());
                for mut pending in pending {
                    replies.push(pending.last().await?);
                }
                Ok(replies)
            }
        };
        let verb = commands.first().map_or("nothing", Command::verb);
        self.judged(verb, send, |replies| replies.last().is_some_and(|reply| reply.code() < 400)).await
    }

    /// Runs `send` with a shared session; once more with another session if the first one turns out to be dead and nothing
    /// can have been done.
    ///
    /// # Errors
    /// As [`Operation::reply`].
    pub(crate) async fn on_session<T, F>(
        &self,
        operation: &'static str,
        send: impl Fn(&Session) -> F + Send + Sync,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        self.judged(operation, send, |_| true).await
    }

    async fn judged<T, F>(
        &self,
        operation: &'static str,
        send: impl Fn(&Session) -> F + Send + Sync,
        well: impl FnOnce(&T) -> bool + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let work = Box::pin(async {
            let mut second_try = false;
            loop {
                let lease = self.lease().await?;
                self.sent.store(true, Ordering::Relaxed);
                let error = match send(&lease).await {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                };
                let broken = matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::ServerBusy)
                    && !lease.control.is_open();
                let undone = !error.may_have_applied();
                if second_try
                    || !broken
                    || lease.rested().is_none()
                    || !(undone || self.repeat == Repeat::Harmless)
                {
                    return Err(error);
                }
                tracing::debug!(url = %self.url, "a session of the pool was dead, trying another one: {error}");
                self.sent.store(!undone, Ordering::Relaxed);
                second_try = true;
            }
        });
        self.client.judged(operation, self.url, work, well).await.map_err(|error| {
            let total = matches!(error.kind(), ErrorKind::Timeout(TimeoutKind::Total));
            let applied = total && self.repeat == Repeat::Never && self.sent.load(Ordering::Relaxed);
            if applied { error.with_may_have_applied() } else { error }
        })
    }

    /// A session that is alive as far as one can know.
    async fn lease(&self) -> Result<Shared> {
        loop {
            let lease = self.client.shared(self.url, &SessionOptions::default()).await?;
            if self.repeat == Repeat::Harmless || lease.rested().is_none_or(|rested| rested < DOUBTFUL) {
                return Ok(lease);
            }
            // A command that must not be sent twice is not risked on a connection that may be gone without a word.
            if lease.control.command(Command::new("NOOP")).await.is_ok() {
                return Ok(lease);
            }
        }
    }
}
