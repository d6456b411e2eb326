//! Sockets that a forked child leaves alone.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::engine::fork;

/// A socket, or a half of one, that belongs to the process it was made in.
///
/// A forked child has the same socket and the same epoll set as its parent: reading would take what is the parent's, and
/// dropping it would shut the connection down, or keep the parent from being told about it. So a child is refused, and
/// what it drops stays open until it ends, or until its exec.
#[derive(Debug)]
pub(crate) struct Own<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Own<T> {
    pub(crate) fn new(socket: T) -> Self {
        Self(Some(socket))
    }

    /// The socket, to ask about it.
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }

    fn socket(&mut self) -> io::Result<&mut T> {
        if fork::is_child() {
            return Err(io::Error::other(fork::refusal()));
        }
        self.0.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }
}

impl<T: Send + 'static> Drop for Own<T> {
    fn drop(&mut self) {
        if fork::is_child()
            && let Some(socket) = self.0.take()
        {
            fork::keep(Box::new(socket));
        }
    }
}

impl<T: AsyncRead + Unpin + Send + 'static> AsyncRead for Own<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.socket()?).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin + Send + 'static> AsyncWrite for Own<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.socket()?).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.socket()?).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.socket()?).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.socket()?).poll_shutdown(cx)
    }
}
