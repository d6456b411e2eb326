//! A file on its way out.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::client::{Claim, Exclusive};
use crate::data::unseen::Unseen;
use crate::data::{PutBuilder, Writer};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::protocol::command::Command;
use crate::session::put::{ActivePut, NotSent, Outgoing, Placement, PutRequest};
use crate::session::watch::{died, too_long, within};
use crate::types::RestartMarker;
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
/// Dropping an unfinished `Put` ends its data connection in the background and deletes the incomplete file, unless
/// something of it was there before: not below `/dev`, not after [`offset`](PutBuilder::offset), [`append`](PutBuilder::append) and
/// [`restart`](PutBuilder::restart), nor through an [`algorithm`](PutBuilder::algorithm) of the server. [`Put::abort`]
/// leaves what came, for a later put to go on from, and so does a put that is to
/// [keep](PutBuilder::keep_incomplete) it.
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
    /// All of the file is this put's, so that an incomplete one is deleted.
    whole_file: bool,
    /// What is incomplete stays, as the caller wants to go on with it.
    keep: bool,
    /// Until that is done.
    claim: Claim,
}

impl Put {
    pub(super) async fn start(mut builder: PutBuilder) -> Result<Self> {
        let url = builder.choices.checked()?;
        builder.check().map_err(|error| error.with_url(&url))?;
        let deadline = builder.choices.deadline();
        let start = Self::try_start(&builder, &url, deadline);
        within(deadline, start).await.map_err(|error| error.with_url(&url))
    }

    async fn try_start(builder: &PutBuilder, url: &Url, deadline: Option<Instant>) -> Result<Self> {
        let choices = &builder.choices;
        loop {
            let lease = choices.client.exclusive(url, &choices.session).await?;
            let reused = lease.is_reused();
            // What an earlier put of this name left is deleted before, or not at all.
            let path = Bytes::copy_from_slice(&choices.client.server_path(url));
            let claim = Claim::within(choices.limits().reply, url, &path).await?;
            let request = PutRequest {
                path,
                placement: placement(builder),
                marker_seconds: builder.marker_interval.map(whole_seconds),
                check_size: builder.check_size,
                options: choices.options.clone(),
                limits: choices.limits(),
            };
            // In a task of its own: once STOR is on its way its outcome must be known, so that nothing incomplete stays
            // behind when the caller goes away.
            let (sender, receiver) = oneshot::channel();
            let keep = builder.keep_incomplete;
            let store = Self::store(lease, claim, request, url.clone(), keep, deadline, sender);
            let guard = builder.guard.clone();
            let store = async move {
                store.await;
                drop(guard);
            };
            tokio::spawn(store.in_current_span());
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
        claim: Claim,
        request: PutRequest,
        url: Url,
        keep: bool,
        deadline: Option<Instant>,
        sender: oneshot::Sender<Result<Self>>,
    ) {
        if sender.is_closed() {
            return;
        }
        lease.mark_broken();
        let path = request.path.clone();
        let whole_file = matches!(request.placement, Placement::Replace)
            && request.options.storage_module.is_none()
            && !is_device(&path);
        let unseen = Unseen::new(&url);
        let result = lease.start_put(request).await;
        unseen.seen();
        // One whose channels turned out to be broken would only be tried again.
        if lease.control.is_open() && !result.as_ref().is_err_and(died) {
            lease.mark_clean();
        }
        let result = match result {
            Ok(active) => {
                let open = Some(Open { lease, active, path, whole_file, keep, claim });
                Ok(Self { url, open, deadline, failed: None })
            }
            Err(error) => {
                if error.reply().is_some() {
                    claim.stored_nothing();
                }
                Err(error)
            }
        };
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
        let before = data.len();
        let result = within(deadline, open.active.write(offset, &mut data)).await;
        open.lease.control.counters().sent(before - data.len());
        self.note(result)
    }

    /// Whether it takes a [file](PutBuilder::of_file), and no blocks.
    pub(crate) fn sends_files(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.active.sends_files())
    }

    /// Begins to send a file; what came of it is told by [`Self::file_sent`].
    pub(crate) async fn begin_file(&mut self, outgoing: Outgoing) -> Result<()> {
        let deadline = self.deadline;
        let open = self.usable()?;
        let result = within(deadline, open.active.begin_file(outgoing)).await;
        self.note(result)
    }

    /// Waits until all of the file was handed to the network, for that long: tells whether it was.
    ///
    /// Cancel safe: may be called again.
    pub(crate) async fn file_sent(&mut self, wait: Duration) -> Result<bool, NotSent> {
        let deadline = self.deadline;
        let now = Instant::now();
        let open = self.usable()?;
        // The end of the waiting is no deadline: what takes longer to be explained is waited for.
        let sent = open.active.file_sent(now.checked_add(wait).unwrap_or(now));
        let sent = match deadline {
            None => sent.await,
            Some(deadline) => {
                tokio::time::timeout_at(deadline, sent).await.unwrap_or_else(|_| Err(too_long().into()))
            }
        };
        match sent {
            Ok(sent) => {
                if sent {
                    let bytes = usize::try_from(open.active.sent()).unwrap_or(usize::MAX);
                    open.lease.control.counters().sent(bytes);
                }
                Ok(sent)
            }
            Err(NotSent::Failed(error)) => self.note(Err(error)).map(|()| false).map_err(NotSent::Failed),
            Err(other) => Err(other),
        }
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
        lease.control.counters().transfers_done.one_more();
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
                if let Some(open) = &self.open {
                    open.lease.control.counters().transfers_failed.one_more();
                }
                self.failed = Some(error.clone());
            }
            error
        })
    }

    /// What of the file is at the server for certain: what the put was restarted with, and in extended block mode what the
    /// server told of since (111 markers, every few seconds: see [`PutBuilder::marker_interval`]).
    ///
    /// In stream mode servers tell nothing while data moves; [`Put::abort`] asks for the size. What merely left this end
    /// does not count.
    ///
    /// Corresponds to `globus_ftp_client_restart_marker_t` (GFD.20).
    pub fn restart_marker(&mut self) -> RestartMarker {
        let nothing = RestartMarker::Stream { offset: 0 };
        self.open.as_mut().map_or(nothing, |open| open.active.restart_marker())
    }

    /// Ends the put before its end, leaves the file as it is, and tells what of it is there. May be called after an error
    /// too, as long as the session lives.
    ///
    /// On the wire: the data connections are closed, the final reply is waited for, and in stream mode SIZE tells how far
    /// the data came. In extended block mode it is what the server had told of (111): a marker may tell less than what is
    /// there, never more. A new put with [`restart`](PutBuilder::restart) goes on from there.
    ///
    /// After an [append](PutBuilder::append) the marker tells of the whole file, the old part included; after a put at an
    /// [offset](PutBuilder::offset), of the bytes from there on, in the file's own count.
    ///
    /// # Errors
    /// `ConnectionLost` and `Timeout(Reply)`, when the server's last word did not come: what
    /// [`restart_marker`](Put::restart_marker) said before still holds.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the file as it is, and closes the session.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> gridftp::Result<()> {
    /// # let client = gridftp::Client::new()?;
    /// # let contents = gridftp::Bytes::new();
    /// let mut put = client.put("ftp://ftp.example.org/f").await?;
    /// put.write(contents.slice(..1_000_000)).await?;
    /// let marker = put.abort().await?;
    /// let there = usize::try_from(marker.contiguous()).unwrap_or(0);
    /// let mut put = client.put("ftp://ftp.example.org/f").restart(marker).await?;
    /// put.write(contents.slice(there..)).await?;
    /// put.finish().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_abort`.
    pub async fn abort(mut self) -> Result<RestartMarker> {
        let Some(Open { mut lease, active, .. }) = self.open.take() else { return Err(finished()) };
        lease.mark_broken();
        let marker = lease.abort_put(active).await.map_err(|error| error.with_url(&self.url))?;
        if lease.control.is_open() {
            lease.mark_clean();
        }
        Ok(marker)
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

fn placement(builder: &PutBuilder) -> Placement {
    if let Some(words) = &builder.algorithm {
        Placement::Algorithm(words.clone())
    } else if let Some(marker) = &builder.restart {
        Placement::Restart(marker.clone())
    } else if builder.append {
        Placement::Append
    } else {
        builder.offset.map_or(Placement::Replace, Placement::At)
    }
}

/// Whether a path leads to `/dev`, where what is written to was there before, and would be missed: a server that runs as root
/// deletes `/dev/null` when it is told to. `/dev/shm` has files like any other folder.
pub(crate) fn is_device(path: &[u8]) -> bool {
    let mut parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    path.starts_with(b"/") && parts.next().is_some_and(|part| part == b"dev") && parts.next() != Some(b"shm")
}

/// At least as long, in seconds.
fn whole_seconds(interval: Duration) -> u32 {
    u32::try_from(interval.as_secs() + u64::from(interval.subsec_nanos() > 0)).unwrap_or(u32::MAX)
}

fn finished() -> Error {
    Error::invalid("the put is over")
}

impl Drop for Put {
    fn drop(&mut self) {
        let Some(Open { mut lease, active, path, whole_file, keep, claim }) = self.open.take() else {
            return;
        };
        // What the server called complete is deleted only if it is known to be cut off: a stream that ended too early is
        // confirmed like any other.
        let incomplete = !active.is_confirmed();
        let last = active.cancel();
        // If the runtime throws the task away, nobody waits for the server: the session ends with this.
        lease.mark_broken();
        let url = self.url.clone();
        let unseen = Unseen::new(&url);
        // The session's own runtime: this may be dropped in a thread that has none.
        lease.runtime().spawn(async move {
            if let Err(error) = last.await {
                unseen.seen();
                if !keep {
                    tracing::warn!(%url, %error, "an incomplete file may be left: the server did not end its transfer");
                }
                return;
            }
            if keep && incomplete {
                tracing::debug!(%url, "an incomplete file is kept");
            } else if !whole_file && incomplete {
                tracing::warn!(%url, "a file was changed in part: its put was given up");
            } else if incomplete && let Ok(command) = Command::with("DELE", &path) {
                match claim.deletion() {
                    None => tracing::debug!(%url, "an incomplete file is left to the later put of its name"),
                    Some(_deletion) => match lease.control.command(command).await {
                        Ok(reply) if reply.is_completion() => {
                            tracing::debug!(%url, "deleted an incomplete file");
                        }
                        Ok(reply) => tracing::warn!(%url, %reply, "an incomplete file could not be deleted"),
                        Err(error) => tracing::warn!(%url, %error, "an incomplete file could not be deleted"),
                    },
                }
            }
            unseen.seen();
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

#[cfg(test)]
mod tests {
    use super::is_device;

    #[test]
    fn devices_are_told_by_their_folder() {
        for path in ["/dev/null", "/dev/full", "//dev/x/y", "/./dev/null", "/dev", "/dev/shmem", "/dev/x/shm"]
        {
            assert!(is_device(path.as_bytes()), "{path}");
        }
        for path in ["/device", "/home/dev/null", "dev/null", "/", "", "/dev/shm/f", "//dev/./shm/a/b"] {
            assert!(!is_device(path.as_bytes()), "{path}");
        }
    }
}
