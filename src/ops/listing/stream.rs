//! A listing, entry by entry.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::RawListing;
use super::choices::{Choices, listing_setters};
use crate::error::{Error, Result};
use crate::options::{DataChannelAuth, ProtectionLevel, Timeouts, TransferMode};
use crate::protocol::listing::Decoder;
use crate::types::{Entry, EntryKind};
use crate::url::Url;

/// The entries of a folder on their way in: made by [`Client::list`](crate::Client::list), begun when it is polled first.
///
/// Choose what you like, then read it as a [`Stream`] or by [`ListStream::next_entry`]. The listing is whole when the end
/// has been seen: only then has the server confirmed it.
///
/// # Cancel safety
/// Dropping it ends its data connection in the background; the session is used for other operations.
#[must_use = "a listing is begun when it is polled"]
pub struct ListStream {
    raw: RawListing,
    url: Option<Url>,
    decoder: Option<Decoder>,
    dot_entries: bool,
    failed: Option<Error>,
    /// Everything has been pushed into the decoder.
    complete: bool,
    /// The stream has shown its end.
    over: bool,
}

impl ListStream {
    pub(in crate::ops) fn new(raw: RawListing) -> Self {
        let url = raw.url();
        Self { raw, url, decoder: None, dot_entries: false, failed: None, complete: false, over: false }
    }

    fn choose(mut self, choice: impl FnOnce(&mut Choices)) -> Self {
        if self.decoder.is_some() || self.complete {
            // Too late: the listing is over, and says so.
            (self.decoder, self.complete, self.over) = (None, false, false);
        }
        self.raw = self.raw.choose(choice);
        self
    }

    /// The transmission mode (MODE, RFC 959 §4.1.2). Default: [`TransferMode::Auto`], which is stream mode.
    ///
    /// In extended block mode the data channel stays open for the session's next listing or get (what C calls
    /// `list_uses_data_mode`), the server must be able to reach this client, and what is said in the crate's documentation
    /// about that mode applies.
    pub fn mode(self, mode: TransferMode) -> Self {
        self.choose(|choices| choices.options.mode = mode)
    }

    listing_setters!();

    /// Whether the folder itself (`.`, of kind [`CurrentDir`](EntryKind::CurrentDir)) and the one above (`..`, of kind
    /// [`ParentDir`](EntryKind::ParentDir)) are entries, where the server lists them. Default: false.
    pub fn dot_entries(mut self, show: bool) -> Self {
        self.dot_entries = show;
        self
    }

    /// The next entry, in the server's order. `None` once the whole listing has arrived and was confirmed.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), [`PermissionDenied`](crate::ErrorKind::PermissionDenied) and other
    /// refusals, before any entry; `ConnectionLost`, `Timeout`; what can go wrong with every operation: the URL, the
    /// connection, the login. After those the listing is over, and the same error comes again.
    /// [`Protocol`](crate::ErrorKind::Protocol) is about one line that makes no sense: the next call goes on behind it. Only
    /// a line of more than 64 KiB ends the listing.
    ///
    /// # Cancel safety
    /// Cancel safe: an entry is either returned or comes with the next call.
    pub async fn next_entry(&mut self) -> Result<Option<Entry>> {
        std::future::poll_fn(|cx| self.poll_entry(cx)).await
    }

    /// Whether nothing more comes: after the end, and after an error that ended the listing.
    pub fn is_over(&self) -> bool {
        self.over || self.failed.is_some()
    }

    fn poll_entry(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Entry>>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        let result = ready!(self.poll_next_entry(cx));
        Poll::Ready(result.map_err(|error| self.failed.insert(error).clone())?)
    }

    /// The outer error ends the listing, the inner one is about a line.
    fn poll_next_entry(&mut self, cx: &mut Context<'_>) -> Poll<Result<Result<Option<Entry>>>> {
        if self.decoder.is_none() {
            match ready!(self.raw.poll_form(cx))? {
                Some(form) => self.decoder = Some(Decoder::new(form)),
                None => return Poll::Ready(Ok(Ok(None))),
            }
        }
        let Some(decoder) = &mut self.decoder else { return Poll::Ready(Ok(Ok(None))) };
        loop {
            match decoder.next() {
                Ok(Some(Ok(entry))) => {
                    if self.dot_entries || !is_dot_entry(&entry) {
                        return Poll::Ready(Ok(Ok(Some(entry))));
                    }
                }
                Ok(Some(Err(error))) => return Poll::Ready(Ok(Err(named(error, self.url.as_ref())))),
                Ok(None) if self.complete => {
                    self.over = true;
                    return Poll::Ready(Ok(Ok(None)));
                }
                Ok(None) => match ready!(self.raw.poll_piece(cx))? {
                    Some(piece) => decoder.push(piece),
                    None => {
                        self.complete = true;
                        decoder.finish();
                    }
                },
                Err(error) => {
                    // The rest is not wanted.
                    self.raw.abandon();
                    return Poll::Ready(Err(named(error, self.url.as_ref())));
                }
            }
        }
    }
}

/// The folder itself, or the one above.
pub(crate) fn is_dot_entry(entry: &Entry) -> bool {
    match entry.kind() {
        EntryKind::CurrentDir | EntryKind::ParentDir => true,
        // As LIST shows them. A file of that name is none, and is shown: no file has it.
        EntryKind::Dir => matches!(entry.name(), b"." | b".."),
        _ => false,
    }
}

fn named(error: Error, url: Option<&Url>) -> Error {
    match url {
        Some(url) => error.with_url(url),
        None => error,
    }
}

impl Stream for ListStream {
    type Item = Result<Entry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let item = ready!(self.poll_entry(cx)).transpose();
        self.over |= self.failed.is_some() || item.is_none();
        Poll::Ready(item)
    }
}

impl fmt::Debug for ListStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListStream").field("raw", &self.raw).finish_non_exhaustive()
    }
}
