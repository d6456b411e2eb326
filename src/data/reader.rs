//! A get as a byte stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use crate::data::Get;
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::session::reorder::Reorder;

/// A file's contents in order, as tokio's [`AsyncRead`] and [`AsyncBufRead`].
///
/// The end of the stream means that the file is whole: the server confirmed it and its size was right. A broken transfer is
/// an [`io::Error`], whose source is the crate's [`Error`].
///
/// # Cancel safety
/// Reads are cancel safe. Dropping a `Reader` ends the transfer.
#[derive(Debug)]
pub struct Reader {
    get: Get,
    reorder: Reorder,
    chunk: Bytes,
    failed: Option<Error>,
    over: bool,
}

impl Reader {
    pub(super) fn new(get: Get) -> Self {
        let reorder =
            Reorder::leaving_out(get.start_offset(), get.left_out()).with_window(get.window_blocks());
        Self { get, reorder, chunk: Bytes::new(), failed: None, over: false }
    }

    /// The size of the whole file in bytes, where the server told it before the transfer.
    pub fn size(&self) -> Option<u64> {
        self.get.size()
    }

    /// The next piece in order, without a copy. `None` at the confirmed end.
    ///
    /// # Errors
    /// As [`Get::next_block`]; `Unsupported` when the blocks are too far out of order; `Truncated` when some are missing.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if !self.chunk.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.chunk))));
        }
        let result = loop {
            if let Some(data) = self.reorder.next() {
                break Ok(Some(data));
            }
            if self.over {
                break Ok(None);
            }
            self.get.hold_from(self.reorder.horizon());
            match ready!(self.get.poll_block(cx)) {
                Ok(Some(block)) => {
                    if let Err(error) = self.reorder.insert(block.offset, block.data) {
                        break Err(error.with_url(self.get.url()));
                    }
                }
                Ok(None) if self.reorder.is_empty() => self.over = true,
                Ok(None) => break Err(self.hole()),
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        Poll::Ready(result)
    }

    fn hole(&self) -> Error {
        let message =
            format!("the server did not send the bytes from {} on, but later ones", self.reorder.position());
        Error::new(ErrorKind::Truncated, Phase::Data, message)
            .with_side(Side::Server)
            .with_url(self.get.url())
    }
}

impl AsyncBufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.chunk.is_empty() {
            match ready!(this.poll_chunk(cx)) {
                Ok(Some(chunk)) => this.chunk = chunk,
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        self.get_mut().chunk.advance(amount);
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let amount = available.len().min(buf.remaining());
        buf.put_slice(&available[..amount]);
        self.consume(amount);
        Poll::Ready(Ok(()))
    }
}
