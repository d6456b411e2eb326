//! A file on its way out.

use std::fmt;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::client::Exclusive;
use crate::data::{PutBuilder, Writer};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::protocol::command::Command;
use crate::session::put::{ActivePut, PutRequest};
use crate::session::watch::{died, within};
use crate::url::Url;

/// What a finished put amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutSummary {
    /// Bytes that were sent and that the server confirmed.
    pub bytes: u64,
}

/// A file's contents on their way out.
///
/// The file is stored when [`Put::finish`] has returned: the server confirmed it, and the size it tells (SIZE) was compared
/// with what was sent.
///
/// # Cancel safety
/// Dropping an unfinished `Put` ends its data connection in the background and deletes the incomplete file, unless the
/// put began at an [offset](PutBuilder::offset).
pub struct Put {
    url: Url,
    /// None once it is finished.
    open: Option<Open>,
    deadline: Option<Instant>,
    failed: Option<Error>,
}

struct Open {
    lease: Exclusive,
    active: ActivePut,
    path: Bytes,
    whole_file: bool,
}

impl Put {
    pub(super) async fn start(mut builder: PutBuilder) -> Result<Self> {
        let url = builder.choices.checked()?;
        let deadline = builder.choices.deadline();
        let start = Self::try_start(&builder, &url, deadline);
        within(deadline, start).await.map_err(|error| error.with_url(&url))
    }

    async fn try_start(builder: &PutBuilder, url: &Url, deadline: Option<Instant>) -> Result<Self> {
        let choices = &builder.choices;
        loop {
            let lease = choices.client.exclusive(url, &choices.session).await?;
            let reused = lease.is_reused();
            let request = PutRequest {
                path: Bytes::copy_from_slice(&choices.client.server_path(url)),
                offset: builder.offset,
                check_size: builder.check_size,
                options: choices.options.clone(),
                limits: choices.limits(),
            };
            // In a task of its own: once STOR is on its way its outcome must be known, so that nothing incomplete stays
            // behind when the caller goes away.
            let (sender, receiver) = oneshot::channel();
            tokio::spawn(Self::store(lease, request, url.clone(), deadline, sender));
            let gone = || {
                Error::new(ErrorKind::Internal, Phase::Command, "the runtime ended while a put was started")
            };
            match receiver.await.unwrap_or_else(|_| Err(gone())) {
                Err(error) if reused && died(&error) => {
                    tracing::debug!(%error, "a session of the pool was dead, trying another one");
                }
                result => return result,
            }
        }
    }

    async fn store(
        mut lease: Exclusive,
        request: PutRequest,
        url: Url,
        deadline: Option<Instant>,
        sender: oneshot::Sender<Result<Self>>,
    ) {
        if sender.is_closed() {
            return;
        }
        lease.mark_broken();
        let (path, whole_file) = (request.path.clone(), request.offset.is_none());
        let result = lease.start_put(request).await;
        if lease.control.is_open() {
            lease.mark_clean();
        }
        let result = result.map(|active| {
            let open = Some(Open { lease, active, path, whole_file });
            Self { url, open, deadline, failed: None }
        });
        // If nobody waits any more, the drop of the `Put` cleans up.
        drop(sender.send(result));
    }

    /// Sends the next bytes; waits while the window is full.
    ///
    /// # Errors
    /// `ConnectionLost`, `NoSpace` and whatever else the server ends the transfer with, `Timeout(Stall | Total)`. After an
    /// error the put is over; the same error comes again.
    ///
    /// # Cancel safety
    /// Not cancel safe: it is not known how much of `data` was taken. Drop the `Put` then.
    pub async fn write(&mut self, data: Bytes) -> Result<()> {
        let offset = self.open.as_ref().map_or(0, |open| open.active.position());
        self.write_at(offset, data).await
    }

    /// Sends bytes for a place in the file: any order in extended block mode, in stream mode only the next one.
    ///
    /// # Errors
    /// As [`Put::write`]; `InvalidInput` for another offset than the next one in stream mode.
    ///
    /// # Cancel safety
    /// As [`Put::write`].
    pub async fn write_at(&mut self, offset: u64, mut data: Bytes) -> Result<()> {
        let deadline = self.deadline;
        let open = self.usable()?;
        let result = within(deadline, open.active.write(offset, &mut data)).await;
        self.note(result)
    }

    /// Ends the file and waits until the server has confirmed it.
    ///
    /// # Errors
    /// As [`Put::write`]; `Truncated` when the server's file has another size than what was sent.
    ///
    /// # Cancel safety
    /// Dropping the future is dropping the `Put`: what is incomplete is deleted.
    pub async fn finish(mut self) -> Result<PutSummary> {
        let deadline = self.deadline;
        let open = self.usable()?;
        let result = within(deadline, open.active.finish()).await;
        self.note(result)?;
        let Some(Open { mut lease, mut active, .. }) = self.open.take() else { return Err(finished()) };
        if let Some(ready) = active.finished() {
            lease.give_back(ready);
        }
        Ok(PutSummary { bytes: active.sent() })
    }

    fn usable(&mut self) -> Result<&mut Open> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.open.as_mut().ok_or_else(finished)
    }

    fn note(&mut self, result: Result<()>) -> Result<()> {
        result.map_err(|error| {
            let error = error.with_url(&self.url);
            // A mistake of the caller's, found before anything was sent, leaves the put as it was.
            if error.kind() != ErrorKind::InvalidInput {
                self.failed = Some(error.clone());
            }
            error
        })
    }

    /// Bytes handed over so far.
    pub fn sent(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.active.sent())
    }

    /// Bytes that have gone out to the network so far.
    pub fn written(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.active.written())
    }

    /// The file's URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The same as a byte stream; its `shutdown` is [`Put::finish`].
    pub fn into_writer(self) -> Writer {
        Writer::new(self)
    }
}

fn finished() -> Error {
    Error::invalid("the put is over")
}

impl Drop for Put {
    fn drop(&mut self) {
        let Some(Open { mut lease, active, path, whole_file }) = self.open.take() else { return };
        let mut last = active.cancel();
        // Without a runtime nobody can wait for the server: the session ends with this.
        lease.mark_broken();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let url = self.url.clone();
        runtime.spawn(async move {
            if let Err(error) = last.last().await {
                tracing::warn!(%url, %error, "an incomplete file may be left: the server did not end its transfer");
                return;
            }
            if whole_file && let Ok(command) = Command::with("DELE", &path) {
                match lease.control.command(command).await {
                    Ok(reply) if reply.is_completion() => tracing::debug!(%url, "deleted an incomplete file"),
                    Ok(reply) => tracing::warn!(%url, %reply, "an incomplete file could not be deleted"),
                    Err(error) => tracing::warn!(%url, %error, "an incomplete file could not be deleted"),
                }
            }
            if lease.control.is_open() {
                lease.mark_clean();
            }
        });
    }
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put")
            .field("url", &self.url.to_string())
            .field("sent", &self.sent())
            .finish_non_exhaustive()
    }
}
