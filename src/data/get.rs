//! A file on its way in.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;

use crate::client::Exclusive;
use crate::data::{GetBuilder, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::session::get::{ActiveGet, GetRequest, Taken};
use crate::session::watch::{Alarm, died, too_long, within};
use crate::types::RestartMarker;
use crate::url::Url;

/// Most bytes that [`Get::bytes`] collects.
const MAX_COLLECTED_BYTES: u64 = 1 << 40;

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Where its first byte stands in the file.
    pub offset: u64,
    /// Its bytes; never empty.
    pub data: Bytes,
}

/// A file's contents on their way in.
///
/// Blocks come as they arrive: in order in stream mode, in any order in extended block mode. The file is whole when
/// [`Get::next_block`] has returned `None`: only then has the server confirmed that it sent everything, and the number of
/// bytes was compared with the size it had announced. (A range that ends before the file does, at a server without ERET,
/// is cut off here: then the count is all there is.)
///
/// Memory is bounded: when nobody takes blocks, no more than a window of them is received.
///
/// # Cancel safety
/// Dropping a `Get` ends its data connection in the background; the session is used for other operations.
pub struct Get {
    url: Url,
    active: ActiveGet,
    lease: Option<Exclusive>,
    /// The limit of the whole operation.
    total: Option<Alarm>,
    /// The stream has shown its end or its error.
    over: bool,
}

impl Get {
    pub(super) async fn start(mut builder: GetBuilder) -> Result<Self> {
        let url = builder.choices.checked()?;
        builder.check().map_err(|error| error.with_url(&url))?;
        let range = builder.range.check().map_err(|error| error.with_url(&url))?;
        let choices = builder.choices;
        let deadline = choices.deadline();
        let start = async {
            loop {
                let mut lease = choices.client.exclusive(&url, &choices.session).await?;
                // If this future is dropped now, nobody knows what the server has been told.
                lease.mark_broken();
                let request = GetRequest {
                    path: Bytes::copy_from_slice(&choices.client.server_path(&url)),
                    range,
                    restart: builder.restart.clone(),
                    algorithm: builder.algorithm.clone(),
                    options: choices.options.clone(),
                    limits: choices.limits(),
                };
                match lease.start_get(request).await {
                    Ok(active) => return Ok((lease, active)),
                    Err(error) if lease.is_reused() && died(&error) => {
                        tracing::debug!(%error, "a session of the pool was dead, trying another one");
                    }
                    Err(error) => {
                        if lease.control.is_open() {
                            lease.mark_clean();
                        }
                        return Err(error);
                    }
                }
            }
        };
        let (mut lease, active) = within(deadline, start).await.map_err(|error| error.with_url(&url))?;
        // From here on a drop leaves the session in order: its next user waits for the transfer's last reply.
        lease.mark_clean();
        let total = deadline.map(Alarm::at);
        Ok(Self { url, active, lease: Some(lease), total, over: false })
    }

    /// The next block, in the order of arrival. `None` once everything has arrived and was confirmed.
    ///
    /// # Errors
    /// `ConnectionLost`, `Truncated` (fewer or more bytes than announced), `Timeout(FirstByte | Stall | Total)`, or what the
    /// server said. After an error the get is over; the same error comes again.
    ///
    /// # Cancel safety
    /// Cancel safe: a block is either returned or comes with the next call.
    pub async fn next_block(&mut self) -> Result<Option<Block>> {
        std::future::poll_fn(|cx| self.poll_block(cx)).await
    }

    pub(super) fn poll_block(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Block>>> {
        let block = self.poll_any(cx, |active, cx| active.poll_next(cx), Bytes::len);
        block.map_ok(|block| block.map(|(offset, data)| Block { offset, data }))
    }

    /// Whether bytes can go into a pipe without coming here.
    pub(crate) fn can_splice(&self) -> bool {
        self.active.can_splice()
    }

    /// As [`Self::next_block`], but what has not been read yet is moved into a pipe, which has to be empty: at most so many
    /// bytes. Cancel safe: what was moved is told.
    pub(crate) async fn next_piece(
        &mut self,
        pipe: BorrowedFd<'_>,
        most: usize,
    ) -> Result<Option<(u64, Taken)>> {
        let length = |piece: &Taken| match piece {
            Taken::Block(data) => data.len(),
            Taken::Piped(count) => *count,
        };
        std::future::poll_fn(|cx| self.poll_any(cx, |active, cx| active.poll_splice(cx, pipe, most), length))
            .await
    }

    fn poll_any<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut ActiveGet, &mut Context<'_>) -> Poll<Result<Option<(u64, T)>>>,
        length: impl FnOnce(&T) -> usize,
    ) -> Poll<Result<Option<(u64, T)>>> {
        if let Some(total) = &mut self.total
            && total.poll(cx).is_ready()
        {
            if let Some(mut lease) = self.lease.take() {
                lease.control.counters().transfers_failed.one_more();
                lease.mark_broken();
            }
            return Poll::Ready(Err(too_long().with_url(&self.url)));
        }
        match take(&mut self.active, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(Some((offset, taken)))) => {
                if let Some(lease) = &self.lease {
                    lease.control.counters().received(length(&taken));
                }
                Poll::Ready(Ok(Some((offset, taken))))
            }
            Poll::Ready(Ok(None)) => {
                if let Some(mut lease) = self.lease.take() {
                    lease.control.counters().transfers_done.one_more();
                    if let Some(ready) = self.active.finished() {
                        lease.give_back(ready);
                    }
                }
                Poll::Ready(Ok(None))
            }
            Poll::Ready(Err(error)) => {
                // The next user of a session waits for the transfer's last reply: from a server that keeps silent it
                // would be waited for in vain.
                if let Some(mut lease) = self.lease.take() {
                    lease.control.counters().transfers_failed.one_more();
                    if matches!(error.kind(), ErrorKind::Timeout(_)) {
                        lease.mark_broken();
                    }
                }
                Poll::Ready(Err(error.with_url(&self.url)))
            }
        }
    }

    /// The size of the whole file in bytes, where the server told it before the transfer.
    pub fn size(&self) -> Option<u64> {
        self.active.size()
    }

    /// Where the range that was asked for begins.
    pub(super) fn start_offset(&self) -> u64 {
        self.active.base_offset()
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.active.received()
    }

    /// The file's URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What is here: what the get was restarted with, and every block that was handed out since.
    ///
    /// In stream mode it is an offset as long as that says all of it. A new get with
    /// [`restart`](GetBuilder::restart) fetches the rest. Of text ([`ascii`](GetBuilder::ascii)) it tells nothing.
    ///
    /// Corresponds to `globus_ftp_client_restart_marker_t` (GFD.20).
    pub fn restart_marker(&self) -> RestartMarker {
        self.active.restart_marker()
    }

    /// Ends the get before its end, and tells what of the file is here: see [`Get::restart_marker`].
    ///
    /// The data connection is closed, and the server's last word is waited for, so that the session can be used again.
    ///
    /// # Errors
    /// None at present: the marker is this end's own knowledge.
    ///
    /// # Cancel safety
    /// Dropping the future is dropping the `Get`.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> gridftp::Result<()> {
    /// # let client = gridftp::Client::new()?;
    /// let mut get = client.get("ftp://ftp.example.org/f").await?;
    /// let first = get.next_block().await?;
    /// let marker = get.abort().await?;
    /// let rest = client.get("ftp://ftp.example.org/f").restart(marker).await?.bytes().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_abort`.
    pub async fn abort(mut self) -> Result<RestartMarker> {
        let marker = self.active.restart_marker();
        let Some(mut lease) = self.lease.take() else { return Ok(marker) };
        if let Some(mut last) = self.active.cancel() {
            lease.mark_broken();
            match tokio::time::timeout(self.active.limits().reply, last.last()).await {
                Ok(Ok(_)) => lease.mark_clean(),
                Ok(Err(error)) => tracing::debug!(url = %self.url, %error, "a get that was ended"),
                Err(_) => tracing::debug!(url = %self.url, "the server did not end a get in time"),
            }
        }
        Ok(marker)
    }

    pub(super) fn window_blocks(&self) -> usize {
        self.active.window_blocks()
    }

    /// Has connections wait that are so far ahead of a reader in order.
    pub(super) fn hold_from(&self, offset: u64) {
        self.active.hold_from(offset);
    }

    /// The bytes that are not asked for.
    pub(super) fn left_out(&self) -> crate::types::RangeSet {
        self.active.left_out()
    }

    /// Collects the file in memory, or what of it was asked for: the range, the part that is missing.
    ///
    /// # Errors
    /// As [`Get::next_block`]; `InvalidInput` for more than the machine's memory can be asked for.
    ///
    /// # Cancel safety
    /// Dropping the future ends the get.
    pub async fn bytes(self) -> Result<Bytes> {
        let url = self.url.clone();
        if self.active.expected().is_some_and(|bytes| bytes > MAX_COLLECTED_BYTES) {
            return Err(Error::invalid("the file is too large to be collected in memory").with_url(&url));
        }
        let mut reader = self.into_reader();
        let mut whole = BytesMut::new();
        let mut only = None;
        while let Some(data) = reader.next_chunk().await? {
            match only.take() {
                // A file of one block is handed out without a copy.
                None if whole.is_empty() => only = Some(data),
                None => whole.extend_from_slice(&data),
                Some(first) => {
                    let first: Bytes = first;
                    whole.extend_from_slice(&first);
                    whole.extend_from_slice(&data);
                }
            }
        }
        Ok(only.unwrap_or_else(|| whole.freeze()))
    }

    /// The same as a byte stream, in order.
    ///
    /// In extended block mode, blocks that come early are held in memory: 64 MiB at most. Connections that run further ahead wait
    /// for the others; where C receives (protected channels) that is an error instead.
    pub fn into_reader(self) -> Reader {
        Reader::new(self)
    }
}

impl Stream for Get {
    type Item = Result<Block>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let item = std::task::ready!(self.poll_block(cx)).transpose();
        self.over = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

impl fmt::Debug for Get {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get")
            .field("url", &self.url.to_string())
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}
