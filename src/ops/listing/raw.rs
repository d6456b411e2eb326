//! A listing as the server writes it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use tracing::Instrument as _;

use super::choices::{Choices, listing_setters};
use crate::client::Exclusive;
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::options::{DataChannelAuth, ProtectionLevel, Timeouts, TransferMode};
use crate::protocol::listing::Form;
use crate::session::get::ActiveGet;
use crate::session::listing::ListRequest;
use crate::session::reorder::Reorder;
use crate::session::watch::{Alarm, died, too_long, within};
use crate::url::Url;

/// A listing on its way in, as the server writes it: made by [`Client::list_raw_stream`](crate::Client::list_raw_stream),
/// begun when it is polled first.
///
/// The pieces are in order, and of any size: a line can begin in one and end in the next. The listing is whole when
/// [`RawListing::next_piece`] has returned `None`: only then has the server confirmed it. Memory is bounded by the window
/// of the data channel.
///
/// # Cancel safety
/// Dropping it ends its data connection in the background; the session is used for other operations.
#[must_use = "a listing is begun when it is polled"]
pub struct RawListing {
    verb: Option<&'static str>,
    state: State,
    /// The stream has shown its end or its error.
    over: bool,
}

enum State {
    New(Box<Choices>),
    /// A choice came when it was too late for it.
    Misused,
    Starting(Pin<Box<dyn Future<Output = Result<Running>> + Send>>),
    Running(Box<Running>),
    Over(Option<Error>),
}

struct Running {
    url: Url,
    lease: Option<Exclusive>,
    active: ActiveGet,
    form: Form,
    reorder: Reorder,
    total: Option<Alarm>,
}

impl RawListing {
    /// With a verb: that command's listing. Without: one that entries can be read from.
    pub(in crate::ops) fn new(choices: Choices, verb: Option<&'static str>) -> Self {
        Self { verb, state: State::New(Box::new(choices)), over: false }
    }

    pub(super) fn choose(mut self, choice: impl FnOnce(&mut Choices)) -> Self {
        match &mut self.state {
            State::New(choices) => choice(choices),
            _ => self.state = State::Misused,
        }
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

    /// The next piece. `None` once everything has arrived and was confirmed.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), [`PermissionDenied`](crate::ErrorKind::PermissionDenied) and other
    /// refusals, before any piece; [`Unsupported`](crate::ErrorKind::Unsupported) where the server has no such listing;
    /// `ConnectionLost`, `Timeout`; what can go wrong with every operation: the URL, the connection, the login. After an
    /// error the listing is over; the same error comes again.
    ///
    /// # Cancel safety
    /// Cancel safe: a piece is either returned or comes with the next call.
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>> {
        std::future::poll_fn(|cx| self.poll_piece(cx)).await
    }

    /// The folder's URL, before the listing has begun.
    pub(super) fn url(&self) -> Option<Url> {
        match &self.state {
            State::New(choices) => choices.url.clone().ok(),
            _ => None,
        }
    }

    /// Ends the data connection, if there is one.
    pub(super) fn abandon(&mut self) {
        self.state = State::Over(None);
    }

    /// What the lines are, once the server has accepted.
    pub(super) fn poll_form(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Form>>> {
        ready!(self.poll_start(cx))?;
        Poll::Ready(Ok(match &self.state {
            State::Running(running) => Some(running.form),
            _ => None,
        }))
    }

    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        ready!(self.poll_start(cx))?;
        let State::Running(running) = &mut self.state else { return Poll::Ready(Ok(None)) };
        let piece = ready!(running.poll(cx));
        match &piece {
            Ok(Some(_)) => {}
            Ok(None) => self.state = State::Over(None),
            Err(error) => self.state = State::Over(Some(error.clone())),
        }
        Poll::Ready(piece)
    }

    /// Polls until the server has accepted.
    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            self.state = match &mut self.state {
                State::Running(_) | State::Over(None) => return Poll::Ready(Ok(())),
                State::Over(Some(error)) => return Poll::Ready(Err(error.clone())),
                State::New(choices) => {
                    let span = choices.span(self.verb.unwrap_or("list"));
                    State::Starting(Box::pin(
                        Running::start(choices.as_ref().clone(), self.verb).instrument(span),
                    ))
                }
                State::Starting(start) => match ready!(start.as_mut().poll(cx)) {
                    Ok(running) => State::Running(Box::new(running)),
                    Err(error) => State::Over(Some(error)),
                },
                State::Misused => State::Over(Some(Error::invalid(
                    "a choice was made after the listing had begun; expected all of them before it is polled first",
                ))),
            };
        }
    }
}

impl Running {
    async fn start(mut choices: Choices, verb: Option<&'static str>) -> Result<Self> {
        let url = choices.checked()?;
        let deadline = choices.deadline();
        let request = ListRequest {
            verb,
            path: Bytes::copy_from_slice(&choices.client.server_path(&url)),
            options: choices.options.clone(),
            limits: choices.limits(),
        };
        let start = async {
            loop {
                let mut lease = choices.client.exclusive(&url, &choices.session).await?;
                // If this future is dropped now, nobody knows what the server has been told.
                lease.mark_broken();
                match lease.list(&request).await {
                    Ok((active, form)) => return Ok((lease, active, form)),
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
        let (mut lease, active, form) = within(deadline, start).await.map_err(|error| {
            choices.client.count_failure();
            error.with_url(&url)
        })?;
        // From here on a drop leaves the session in order: its next user waits for the listing's last reply.
        lease.mark_clean();
        let total = deadline.map(Alarm::at);
        Ok(Self { url, lease: Some(lease), active, form, reorder: Reorder::starting_at(0), total })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if let Some(total) = &mut self.total
            && total.poll(cx).is_ready()
        {
            if let Some(mut lease) = self.lease.take() {
                lease.mark_broken();
            }
            return Poll::Ready(Err(too_long().with_url(&self.url)));
        }
        loop {
            if let Some(data) = self.reorder.next() {
                return Poll::Ready(Ok(Some(data)));
            }
            match ready!(self.active.poll_next(cx)) {
                Ok(Some((offset, data))) => {
                    if let Err(error) = self.reorder.insert(offset, data) {
                        // The rest is not wanted: it ends with this value, and the session's next user waits for that.
                        return Poll::Ready(Err(error.with_url(&self.url)));
                    }
                }
                Ok(None) => {
                    if let (Some(mut lease), Some(ready)) = (self.lease.take(), self.active.finished()) {
                        lease.give_back(ready);
                    }
                    return Poll::Ready(self.ended());
                }
                Err(error) => {
                    // The next user of a session waits for the last reply: a silent server would not give one.
                    if let (Some(mut lease), ErrorKind::Timeout(_)) = (self.lease.take(), error.kind()) {
                        lease.mark_broken();
                    }
                    return Poll::Ready(Err(error.with_url(&self.url)));
                }
            }
        }
    }

    /// Everything has arrived. Is it all?
    fn ended(&self) -> Result<Option<Bytes>> {
        if self.reorder.is_empty() {
            return Ok(None);
        }
        let message =
            format!("the server did not send the bytes from {} on, but later ones", self.reorder.position());
        Err(Error::new(ErrorKind::Truncated, Phase::Data, message)
            .with_side(Side::Server)
            .with_url(&self.url))
    }
}

impl Stream for RawListing {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let item = ready!(self.poll_piece(cx)).transpose();
        self.over = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

impl fmt::Debug for RawListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::New(_) => "new",
            State::Misused => "misused",
            State::Starting(_) => "starting",
            State::Running(_) => "running",
            State::Over(_) => "over",
        };
        f.debug_struct("RawListing").field("verb", &self.verb).field("state", &state).finish_non_exhaustive()
    }
}
