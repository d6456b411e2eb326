//! A put as a byte stream.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;

use crate::data::{Put, PutSummary};
use crate::error::{Error, Result};

/// Bytes that are collected before they are sent.
const BLOCK_BYTES: usize = 512 * 1024;

/// A file's contents on their way out, as tokio's [`AsyncWrite`].
///
/// `shutdown` ends the file and waits until the server has confirmed it: without it, the file is incomplete and is deleted
/// when the `Writer` is dropped. An error is an [`io::Error`], whose source is the crate's [`Error`].
///
/// # Cancel safety
/// Writes are cancel safe, as tokio asks for. Dropping an unfinished `Writer` is dropping its [`Put`].
pub struct Writer {
    state: State,
    block: BytesMut,
    summary: Option<PutSummary>,
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum State {
    Open(Box<Put>),
    Sending(Work<(Box<Put>, Result<()>)>),
    Finishing(Work<Result<PutSummary>>),
    Over(Result<(), Error>),
    /// Only while the state is being changed.
    Moving,
}

impl Writer {
    pub(super) fn new(put: Put) -> Self {
        Self { state: State::Open(Box::new(put)), block: BytesMut::new(), summary: None }
    }

    /// What was stored, once `shutdown` has returned.
    pub fn summary(&self) -> Option<PutSummary> {
        self.summary
    }

    /// Waits until nothing is being sent.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Sending(sending) => {
                let (put, result) = ready!(sending.as_mut().poll(cx));
                match result {
                    Ok(()) => self.state = State::Open(put),
                    Err(error) => {
                        self.state = State::Over(Err(error.clone()));
                        return Poll::Ready(Err(error.into()));
                    }
                }
                Poll::Ready(Ok(()))
            }
            State::Over(Err(error)) => Poll::Ready(Err(error.clone().into())),
            State::Open(_) | State::Finishing(_) | State::Over(Ok(())) | State::Moving => Poll::Ready(Ok(())),
        }
    }

    /// Starts sending what was collected.
    fn send(&mut self) {
        if self.block.is_empty() {
            return;
        }
        match std::mem::replace(&mut self.state, State::Moving) {
            State::Open(mut put) => {
                let data: Bytes = self.block.split().freeze();
                self.state = State::Sending(Box::pin(async move {
                    let result = put.write(data).await;
                    (put, result)
                }));
            }
            other => self.state = other,
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.block.len() >= BLOCK_BYTES {
            ready!(this.poll_idle(cx))?;
            this.send();
        }
        // What is under way goes on while more is collected; a failure is told at once.
        if let Poll::Ready(result) = this.poll_idle(cx) {
            result?;
        }
        if matches!(this.state, State::Finishing(_) | State::Over(_)) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, "the file was finished")));
        }
        if this.block.capacity() == 0 {
            this.block.reserve(BLOCK_BYTES);
        }
        let amount = data.len().min(BLOCK_BYTES - this.block.len());
        this.block.extend_from_slice(&data[..amount]);
        Poll::Ready(Ok(amount))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_idle(cx))?;
        this.send();
        this.poll_idle(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        let this = self.get_mut();
        if let State::Open(_) = &this.state
            && let State::Open(put) = std::mem::replace(&mut this.state, State::Moving)
        {
            this.state = State::Finishing(Box::pin(async move { put.finish().await }));
        }
        match &mut this.state {
            State::Finishing(finishing) => {
                let result = ready!(finishing.as_mut().poll(cx));
                this.state = State::Over(result.as_ref().map(|_| ()).map_err(Clone::clone));
                this.summary = result.as_ref().ok().copied();
                Poll::Ready(result.map(|_| ()).map_err(Into::into))
            }
            State::Over(result) => Poll::Ready(result.clone().map_err(Into::into)),
            State::Open(_) | State::Sending(_) | State::Moving => {
                Poll::Ready(Err(io::Error::other("the writer is in no state to be finished")))
            }
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("collected", &self.block.len()).finish_non_exhaustive()
    }
}
