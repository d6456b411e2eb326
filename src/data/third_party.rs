//! A file on its way between two servers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::client::{Claim, Client, Exclusive, SessionOptions};
use crate::data::ThirdPartyBuilder;
use crate::data::put::is_device;
use crate::data::stall::Stall;
use crate::data::third_party_choices::named;
use crate::data::unseen::Unseen;
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::protocol::classify::kind_of_reply;
use crate::protocol::command::Command;
use crate::session::get::size_of;
use crate::session::third_party::{Active, Event, Part, Request, of_side, start};
use crate::session::watch::{Alarm, EXPLANATION_LIMIT, Limits, died, too_long, within};
use crate::types::{Marker, RestartMarker};
use crate::url::Url;

/// What a finished transfer between servers amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThirdPartySummary {
    /// The size of the file at the destination, where it tells it: the one that was compared with the source's.
    pub size: Option<u64>,
    /// Bytes that the destination received in this transfer, where it tells that (markers, in extended block mode).
    pub received: Option<u64>,
}

/// A file on its way between two servers.
///
/// It moves whether or not anybody looks. [`ThirdParty::join`] waits for its end: both servers have confirmed it then, and
/// the sizes that they tell were compared.
///
/// # Cancel safety
/// Dropping it before its end is known closes the session with the source, which ends the transfer; the incomplete file is
/// deleted in the background, unless only a part of it was to be written.
pub struct ThirdParty {
    from: Url,
    to: Url,
    /// None once it is over and cleaned up.
    open: Option<Open>,
    context: ThirdContext,
    deadline: Option<Alarm>,
    until: Option<Instant>,
    /// How it ended, once that is known.
    outcome: Option<Result<()>>,
}

/// What is needed to clean up.
#[derive(Clone)]
struct ThirdContext {
    client: Client,
    destination: SessionOptions,
    path: Bytes,
    whole_file: bool,
    limits: Limits,
    /// What the commands after the start are shown in, too.
    span: Span,
}

struct Open {
    source: Exclusive,
    destination: Exclusive,
    claim: Claim,
    active: Active,
    stall: Stall,
    /// The time that the other side is given to say why, once one has failed.
    grace: Option<Alarm>,
}

impl ThirdParty {
    pub(super) async fn start(mut builder: ThirdPartyBuilder, span: Span) -> Result<Self> {
        let from = builder.from.clone()?;
        let to = builder.to.clone()?;
        builder.choices.check().map_err(|error| error.with_url(&from))?;
        let part = builder.part().map_err(|error| error.with_url(&from))?;
        let deadline = builder.choices.deadline();
        let begin = Self::try_start(&builder, &from, &to, part, deadline, span);
        within(deadline, begin).await.map_err(named(&from, &to))
    }

    async fn try_start(
        builder: &ThirdPartyBuilder,
        from: &Url,
        to: &Url,
        part: Part,
        deadline: Option<Instant>,
        span: Span,
    ) -> Result<Self> {
        let choices = &builder.choices;
        let path = |url| Bytes::copy_from_slice(&choices.client.server_path(url));
        let whole_file = part == Part::Whole;
        if whole_file && from.endpoint() == to.endpoint() && path(from) == path(to) {
            // The server would empty the file before it reads it.
            return Err(Error::invalid(format!(
                "{from} is the source and the destination; expected two files"
            )));
        }
        let request = Request {
            from: path(from),
            to: path(to),
            part,
            source_module: builder.source_module.clone(),
            destination_module: builder.destination_module.clone(),
            check_size: builder.check_size,
            options: choices.options.clone(),
        };
        let context = ThirdContext {
            client: choices.client.clone(),
            destination: choices.destination.clone(),
            path: request.to.clone(),
            whole_file: whole_file && !is_device(&request.to),
            limits: choices.limits(),
            span,
        };
        loop {
            let (mut source, mut destination) = choices.sessions(from, to).await?;
            let reused = source.is_reused() || destination.is_reused();
            // What an earlier transfer to this name left is deleted before, or not at all.
            let claim = Claim::within(context.limits.reply, to, &context.path).await;
            let claim = claim.map_err(|error| error.with_url(to))?;
            // If this is dropped on the way, nobody knows what the servers were told.
            source.mark_broken();
            destination.mark_broken();
            match start(&mut source, &mut destination, &request).await {
                Ok(active) => {
                    let looks = destination.features.size();
                    let (client, options) = (context.client.clone(), context.destination.clone());
                    let stall = Stall::new(client, to.clone(), options, looks, context.limits);
                    let open = Open { source, destination, claim, active, stall, grace: None };
                    return Ok(Self {
                        from: from.clone(),
                        to: to.clone(),
                        open: Some(open),
                        context,
                        deadline: deadline.map(Alarm::at),
                        until: deadline,
                        outcome: None,
                    });
                }
                Err(failed) => {
                    let again = reused && died(&failed.error);
                    if failed.untouched {
                        claim.stored_nothing();
                    }
                    // One whose channels turned out to be broken would only be tried again.
                    if failed.untouched && !again {
                        for lease in [&mut source, &mut destination] {
                            if lease.control.is_open() {
                                lease.mark_clean();
                            }
                        }
                    }
                    if again {
                        tracing::debug!(error = %failed.error, "a session of the pool was dead, trying another one");
                        continue;
                    }
                    return Err(failed.error);
                }
            }
        }
    }

    /// The next marker of the destination; `None` once the transfer is over, whichever way: [`ThirdParty::join`] tells.
    ///
    /// globus-gridftp-server sends them in extended block mode only: at the beginning, every five seconds, and at the end.
    ///
    /// # Cancel safety
    /// Cancel safe: a marker that was not returned is returned by the next call.
    pub async fn next_marker(&mut self) -> Option<Marker> {
        std::future::poll_fn(|cx| self.poll_marker(cx)).await
    }

    /// The markers of the destination, as [`ThirdParty::next_marker`] gives them.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(mut transfer: gridftp::ThirdParty) -> gridftp::Result<()> {
    /// use futures_util::StreamExt as _;
    /// use gridftp::Marker;
    ///
    /// let mut markers = transfer.markers();
    /// while let Some(marker) = markers.next().await {
    ///     if let Marker::Performance(marker) = marker {
    ///         println!("stripe {}: {} bytes", marker.stripe, marker.bytes);
    ///     }
    /// }
    /// drop(markers);
    /// transfer.join().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_perf_plugin_init` and `globus_ftp_client_restart_marker_plugin_init` (GFD.20).
    pub fn markers(&mut self) -> impl Stream<Item = Marker> + Send + Unpin + '_ {
        Markers(self)
    }

    fn poll_marker(&mut self, cx: &mut Context<'_>) -> Poll<Option<Marker>> {
        if self.outcome.is_some() {
            return Poll::Ready(None);
        }
        let Some(open) = &mut self.open else { return Poll::Ready(None) };
        let end = loop {
            if open.active.is_over() {
                let failed = open.active.failure().is_some();
                break if failed { Err(open.active.reason()) } else { Ok(()) };
            }
            match open.active.poll_event(cx) {
                Poll::Ready(Event::Marker(marker, moved)) => {
                    if moved {
                        open.stall.progress();
                    }
                    return Poll::Ready(Some(marker));
                }
                Poll::Ready(Event::Sign | Event::Ended) => {
                    open.stall.sign();
                    continue;
                }
                Poll::Pending => {}
            }
            if let Some(own_reason) = open.active.failure() {
                // The other side may say what was behind it.
                let grace = open.grace.get_or_insert_with(|| Alarm::after(EXPLANATION_LIMIT));
                if own_reason || grace.poll(cx).is_ready() {
                    break Err(open.active.reason());
                }
                return Poll::Pending;
            }
            if let Some(deadline) = &mut self.deadline
                && deadline.poll(cx).is_ready()
            {
                break Err(too_long());
            }
            match open.stall.poll(cx) {
                Poll::Ready(error) => {
                    // Nobody can know which of the two it is that stopped; the one that still owes its word is named.
                    let side = if open.active.has_ended(Side::Destination) {
                        Side::Source
                    } else {
                        Side::Destination
                    };
                    break Err(of_side(side)(error).with_may_have_applied());
                }
                Poll::Pending => return Poll::Pending,
            }
        };
        if end.is_err() {
            self.context.client.count_end(false);
        }
        self.outcome = Some(end.map_err(named(&self.from, &self.to)));
        Poll::Ready(None)
    }

    /// Waits for the end of the transfer: both servers have confirmed it, and the destination's file has the size of the
    /// source's, where both tell sizes.
    ///
    /// # Errors
    /// Of the side that failed, as [`Client::third_party`] says; `Truncated` when the sizes differ; `Timeout(FirstByte |
    /// Stall | Total)`: the transfer stalls when for the limit no server says anything, no marker shows more bytes than the
    /// one before, and the destination's file, which is looked at in between (SIZE and MDTM on another session), does not
    /// change. Raise the limit for servers that do none of this while they receive.
    ///
    /// # Cancel safety
    /// Dropping the future is dropping the `ThirdParty`.
    pub async fn join(mut self) -> Result<ThirdPartySummary> {
        while self.next_marker().await.is_some() {}
        match &self.outcome {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(error.clone()),
            None => return Err(Error::invalid("the transfer is over")),
        }
        let until = self.until;
        let span = self.context.span.clone();
        let verified = within(until, self.verify()).instrument(span).await;
        let verified = verified.map_err(named(&self.from, &self.to));
        self.context.client.count_end(verified.is_ok());
        match verified {
            Ok(summary) => {
                if let Some(Open { mut source, mut destination, .. }) = self.open.take() {
                    source.mark_clean();
                    destination.mark_clean();
                }
                Ok(summary)
            }
            Err(error) => {
                self.outcome = Some(Err(error.clone()));
                Err(error)
            }
        }
    }

    async fn verify(&mut self) -> Result<ThirdPartySummary> {
        let Some(open) = &mut self.open else { return Err(Error::invalid("the transfer is over")) };
        let received = Some(open.active.received()).filter(|&bytes| bytes > 0);
        let Some((end, exactly)) = open.active.end().filter(|_| open.destination.features.size()) else {
            return Ok(ThirdPartySummary { size: None, received });
        };
        let command = Command::with("SIZE", &self.context.path)?;
        let reply = open.destination.control.command(command).await.map_err(of_side(Side::Destination))?;
        if kind_of_reply(&reply) == ErrorKind::NotFound {
            // Removed or renamed by somebody while it was written.
            let message = "the server called the file complete, and has no such file";
            return Err(of_side(Side::Destination)(
                Error::from_reply(reply, Phase::Verify, message).with_may_have_applied(),
            ));
        }
        // A server may not tell sizes of what it does not let us read.
        let Some(size) = size_of(&reply) else { return Ok(ThirdPartySummary { size: None, received }) };
        if size == end || (size > end && !exactly) {
            return Ok(ThirdPartySummary { size: Some(size), received });
        }
        let message = format!("the source's bytes end at {end}, and the destination's file has {size}");
        Err(Error::new(ErrorKind::Truncated, Phase::Verify, message)
            .with_side(Side::Destination)
            .with_may_have_applied())
    }

    /// Ends the transfer, keeps what is at the destination, and tells what that is: a marker for
    /// [`ThirdPartyBuilder::restart`].
    ///
    /// The session with the source is closed. In extended block mode the marker is what the destination has told by its
    /// markers (111), which globus-gridftp-server sends every five seconds; in stream mode it is the size that its file has
    /// then. It may say less than what is there, never more.
    ///
    /// # Errors
    /// `ConnectionLost`, `Timeout` and others when the destination could not be asked in stream mode.
    ///
    /// # Cancel safety
    /// The transfer ends all the same, and what is at the destination stays.
    pub async fn abort(mut self) -> Result<RestartMarker> {
        let Some(Open { mut source, mut destination, mut active, .. }) = self.open.take() else {
            return Err(Error::invalid("the transfer is over"));
        };
        if active.has_ended(Side::Source) && active.failure().is_none() && source.control.is_open() {
            source.mark_clean();
        }
        // The source ends the transfer when its session is closed, and the destination says so.
        drop(source);
        let ended = tokio::time::timeout(EXPLANATION_LIMIT, active.destination_ends()).await.is_ok();
        let answers = ended && active.destination_answers();
        if answers {
            destination.mark_clean();
        }
        if !active.wants_size() {
            return Ok(active.marker(None));
        }
        let error = |error| of_side(Side::Destination)(error).with_url(&self.to);
        let command = Command::with("SIZE", &self.context.path).map_err(error)?;
        let reply = if answers {
            destination.control.command(command).await
        } else {
            drop(destination);
            self.context.on_another_session(&self.to, command).await
        };
        let size = size_of(&reply.map_err(error)?);
        Ok(active.marker(size))
    }

    /// Why the transfer failed, once it is over.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.outcome.as_ref().and_then(|outcome| outcome.as_ref().err().cloned())
    }

    /// Bytes that the destination says it has received so far: 0 unless it sends markers and these were looked at.
    pub fn received(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.active.received())
    }

    /// The file's size at the source, where that told it before the transfer.
    pub fn size(&self) -> Option<u64> {
        self.open.as_ref().and_then(|open| open.active.size())
    }

    /// Where the file comes from.
    pub fn source(&self) -> &Url {
        &self.from
    }

    /// Where the file goes.
    pub fn destination(&self) -> &Url {
        &self.to
    }
}

impl ThirdContext {
    async fn on_another_session(&self, url: &Url, command: Command) -> Result<crate::error::Reply> {
        let session = self.client.shared(url, &self.destination).await?;
        session.control.command(command).await
    }

    /// Ends what is still running and removes what it leaves.
    async fn clean_up(self, open: Open, url: Url) {
        let Open { mut source, mut destination, claim, mut active, .. } = open;
        if active.has_ended(Side::Source) && source.control.is_open() {
            source.mark_clean();
        }
        drop(source);
        let ended = tokio::time::timeout(EXPLANATION_LIMIT, active.destination_ends()).await.is_ok();
        let answers = ended && active.destination_answers() && destination.control.is_open();
        if answers {
            destination.mark_clean();
        }
        // What stands there is what stood there before.
        if !self.whole_file || active.destination_refused() {
            return;
        }
        let Ok(command) = Command::with("DELE", &self.path) else { return };
        let reply = if answers {
            let Some(_deletion) = claim.deletion() else { return left_to_another(&url) };
            destination.control.command(command).await
        } else {
            // The server ends the transfer, and closes the file, when its session is gone.
            drop(destination);
            match self.client.shared(&url, &self.destination).await {
                Err(error) => Err(error),
                // Only now that nothing has to be waited for: a later transfer to this name may hold the only session there is,
                // and waits for a deletion.
                Ok(session) => {
                    let Some(_deletion) = claim.deletion() else { return left_to_another(&url) };
                    session.control.command(command).await
                }
            }
        };
        match reply {
            Ok(reply) if reply.is_completion() => tracing::debug!(%url, "deleted an incomplete file"),
            // Behind the end of the transfer this is known; a server that was hung up on may create the file later.
            Ok(reply) if answers => tracing::debug!(%url, %reply, "an incomplete file was not deleted"),
            Ok(reply) => tracing::warn!(%url, %reply, "an incomplete file may be left"),
            Err(error) => tracing::warn!(%url, %error, "an incomplete file could not be deleted"),
        }
    }
}

fn left_to_another(url: &Url) {
    tracing::debug!(%url, "an incomplete file is left to the later transfer to its name");
}

impl Drop for ThirdParty {
    fn drop(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        if open.active.is_over() && open.active.failure().is_none() {
            // What both servers called complete is not deleted, whatever was wrong with it.
            if matches!(self.outcome, Some(Ok(()))) {
                // It ended well, and only nobody asked.
                open.source.mark_clean();
                open.destination.mark_clean();
            }
            return;
        }
        let span = self.context.span.clone();
        // The sessions' own runtime: this may be dropped in a thread that has none.
        let runtime = open.destination.runtime();
        let unseen = Unseen::new(&self.to);
        let cleaning = self.context.clone().clean_up(open, self.to.clone());
        let cleaning = async move {
            cleaning.await;
            unseen.seen();
        };
        runtime.spawn(cleaning.instrument(span));
    }
}

impl fmt::Debug for ThirdParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThirdParty")
            .field("from", &self.from.to_string())
            .field("to", &self.to.to_string())
            .finish_non_exhaustive()
    }
}

struct Markers<'a>(&'a mut ThirdParty);

impl Stream for Markers<'_> {
    type Item = Marker;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Marker>> {
        self.0.poll_marker(cx)
    }
}
