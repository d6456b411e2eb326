//! One file from a server to another one: two sessions, and no data here.
//!
//! The destination listens and the source connects, in either mode: the source is the one that sends. STOR goes out before
//! RETR, and neither waits for the other's reply, because the destination says 150 only when it is connected.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::options::{DataOptions, StorageModule};
use crate::protocol::address;
use crate::protocol::command::Command;
use crate::protocol::markers;
use crate::session::channel::Channels;
use crate::session::get::size_of;
use crate::session::settings::Authentication;
use crate::session::{PendingReply, Session};
use crate::types::{Marker, RangeSet, RestartMarker};

/// Most ranges that are remembered; more are forgotten, so that at worst something is moved twice.
const MAX_RANGES: usize = 64 * 1024;

/// Most stripes whose progress is looked at.
const MAX_STRIPES: usize = 1024;

/// Which part of the file is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// What a marker says is there already.
    Rest(RestartMarker),
    /// As [`Self::Rest`], with as much as the destination's file has by now.
    Resume,
    /// `length` bytes, or all there are, to the same place.
    Range {
        offset: u64,
        length: Option<u64>,
    },
}

/// What is to be moved, and how.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The paths as the servers take them.
    pub(crate) from: Bytes,
    pub(crate) to: Bytes,
    pub(crate) part: Part,
    pub(crate) source_module: Option<StorageModule>,
    pub(crate) destination_module: Option<StorageModule>,
    pub(crate) check_size: bool,
    pub(crate) options: DataOptions,
}

/// A transfer that was not begun.
#[derive(Debug)]
pub(crate) struct NotBegun {
    pub(crate) error: Error,
    /// Both sessions are as they were.
    pub(crate) untouched: bool,
}

/// A file on its way between two servers.
#[derive(Debug)]
pub(crate) struct Active {
    source: Leg,
    destination: Leg,
    extended_block: bool,
    /// Where the destination's offsets begin in the file.
    base: u64,
    /// What was there before.
    before: RestartMarker,
    /// What the destination says it has stored since.
    stored: RangeSet,
    bytes: BTreeMap<u32, u64>,
    /// The file's size at the source.
    size: Option<u64>,
    /// Where the last byte that is moved must lie, if that is known, and whether the file must end there.
    end: Option<(u64, bool)>,
    /// The destination's file grows from `before` on, so that its size tells what is there.
    grows: bool,
}

/// One side of a transfer.
#[derive(Debug)]
struct Leg {
    pending: PendingReply,
    accepted: bool,
    last: Option<Result<Reply>>,
}

/// What was heard of a running transfer.
#[derive(Debug)]
pub(crate) enum Event {
    /// A marker, and whether it shows that something moved.
    Marker(Marker, bool),
    /// A server accepted, or said something else on the way.
    Sign,
    /// One side is through with it.
    Ended,
}

/// Makes an error one of a side: what a server did, this server did.
pub(crate) fn of_side(side: Side) -> impl Fn(Error) -> Error {
    move |error| match error.side() {
        None | Some(Side::Server) => error.with_side(side),
        Some(_) => error,
    }
}

impl From<Error> for NotBegun {
    fn from(error: Error) -> Self {
        Self { error, untouched: true }
    }
}

impl Session {
    /// Forgets channels of this client's: another PASV or PORT makes the server close them.
    pub(crate) fn forget_channels(&mut self) {
        let told = std::mem::take(&mut self.channels.told);
        self.channels = Channels::default();
        self.channels.told = told;
    }
}

/// Makes the two servers ready for each other: both told how, the destination listening, the source knowing where.
///
/// `sizes` asks the source, and the destination for what it has, in the same round trip.
pub(crate) async fn introduce(
    source: &mut Session,
    destination: &mut Session,
    options: &DataOptions,
    extended_block: bool,
    ask_source: Option<Command>,
    ask_destination: Option<Command>,
) -> Result<(Option<Reply>, Option<Reply>)> {
    let (at_source, at_destination) = (of_side(Side::Source), of_side(Side::Destination));
    source.forget_channels();
    destination.forget_channels();
    let mine = source.authentication(options).map_err(&at_source)?;
    let theirs = destination.authentication(options).map_err(&at_destination)?;
    if (mine == Authentication::None) != (theirs == Authentication::None) {
        let bare = if mine == Authentication::None { Side::Source } else { Side::Destination };
        let message = "only one of the two servers can authenticate data channels; expected gsiftp:// for both, or DCAU N";
        return Err(Error::new(ErrorKind::Unsupported, Phase::DataSetup, message).with_side(bare));
    }
    let for_source = source.settings(options, extended_block).map_err(&at_source)?;
    let for_destination = destination.settings(options, extended_block).map_err(&at_destination)?;
    let v4 = destination.peer().ip().to_canonical().is_ipv4();
    let passive = match (options.is_striped(), v4) {
        (true, true) => Command::new("SPAS"),
        (true, false) => Command::with("SPAS", "2")?,
        (false, true) => Command::new("PASV"),
        (false, false) => Command::new("EPSV"),
    };

    // Both are on their way before either is waited for.
    let (source_kinds, mut commands): (Vec<_>, Vec<_>) = for_source.into_iter().unzip();
    commands.extend(ask_source);
    let mut source_replies = source.control.send_all(commands);
    let source_size = (source_replies.len() > source_kinds.len()).then(|| source_replies.pop()).flatten();
    let (kinds, mut commands): (Vec<_>, Vec<_>) = for_destination.into_iter().unzip();
    let asked = ask_destination.is_some();
    commands.extend(ask_destination);
    commands.push(passive);
    let mut replies = destination.control.send_all(commands);
    let listening = replies.pop();
    let destination_size = if asked { replies.pop() } else { None };

    source.settle(source_kinds.into_iter().zip(source_replies).collect()).await.map_err(&at_source)?;
    let source_size = told(source_size).await.map_err(&at_source)?;
    destination.settle(kinds.into_iter().zip(replies).collect()).await.map_err(&at_destination)?;
    let destination_size = told(destination_size).await.map_err(&at_destination)?;
    let Some(reply) = told(listening).await.map_err(&at_destination)? else {
        return Err(Error::new(ErrorKind::Internal, Phase::DataSetup, "no reply was expected for PASV"));
    };
    if !reply.is_completion() {
        let error = Error::from_reply(reply, Phase::DataSetup, "the destination does not listen for data");
        return Err(at_destination(error));
    }
    let addresses = addresses(&reply, options.is_striped(), destination).map_err(&at_destination)?;
    let active = match &addresses[..] {
        _ if options.is_striped() => Command::with("SPOR", address::spor_argument(&addresses)?)?,
        [only] if only.is_ipv4() => Command::with("PORT", address::port_argument(*only)?)?,
        [only] => Command::with("EPRT", address::eprt_argument(*only)?)?,
        _ => return Err(Error::new(ErrorKind::Internal, Phase::DataSetup, "no address for PORT")),
    };
    let reply = source.control.command(active).await.map_err(&at_source)?;
    if !reply.is_completion() {
        let error = Error::from_reply(
            reply,
            Phase::DataSetup,
            "the source does not connect where the destination listens",
        );
        return Err(at_source(error));
    }
    source.channels.told.active();
    Ok((source_size, destination_size))
}

async fn told(pending: Option<PendingReply>) -> Result<Option<Reply>> {
    match pending {
        Some(mut pending) => pending.last().await.map(Some),
        None => Ok(None),
    }
}

/// Where the destination listens, for the source to connect to. It is the source that connects, so what is told is passed
/// on; only what is no address is replaced by the destination's own.
fn addresses(reply: &Reply, striped: bool, destination: &Session) -> Result<Vec<SocketAddr>> {
    let peer = destination.peer().ip().to_canonical();
    let listeners = if striped { address::striped(reply)? } else { vec![address::passive(reply)?] };
    let known = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()),
        IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast()),
    };
    let at = listeners.into_iter().map(|listener| {
        let told = listener.at(peer);
        if known(told.ip()) { told } else { SocketAddr::new(peer, told.port()) }
    });
    Ok(at.collect())
}

/// Whether a source's answer to SIZE rules the transfer out, before anything is overwritten.
pub(crate) fn no_source(reply: &Reply) -> Option<Error> {
    if reply.is_completion() {
        return None;
    }
    let error = Error::from_reply(reply.clone(), Phase::Command, "the source does not have the file");
    let certain = matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
    );
    certain.then(|| of_side(Side::Source)(error))
}

fn with_module(verb: &'static str, module: &str, path: &[u8]) -> Result<Command> {
    let mut argument = format!("{module} ").into_bytes();
    argument.extend_from_slice(path);
    Command::with(verb, argument)
}

/// Starts a transfer: when this returns, STOR and RETR are on their way.
pub(crate) async fn start(
    source: &mut Session,
    destination: &mut Session,
    request: &Request,
) -> Result<Active, NotBegun> {
    let Request { from, to, options, .. } = request;
    let extended_block = options.extended_block();
    let size = |session: &Session, path: &Bytes, wanted: bool| {
        (wanted && session.features.size()).then(|| Command::with("SIZE", path)).transpose()
    };
    let plain = request.source_module.is_none() && request.check_size;
    let resumes = !matches!(request.part, Part::Whole | Part::Range { .. });
    let ask_source = size(source, from, plain)?;
    let ask_destination = size(destination, to, resumes)?;
    let (at_source, at_there) =
        introduce(source, destination, options, extended_block, ask_source, ask_destination).await?;
    if let Some(error) = at_source.as_ref().and_then(no_source) {
        return Err(error.into());
    }
    let size = at_source.as_ref().and_then(size_of);
    let there = at_there.as_ref().and_then(size_of);
    let plan = Plan::new(request, size, there, source, destination)?;

    // A transfer's modifier that was accepted would change the next transfer on the session if this one did not follow.
    let touched = |error: Error| NotBegun { error, untouched: false };
    let mut rests = Vec::new();
    if let Some(marker) = &plan.rest {
        let command = Command::with("REST", marker)?;
        rests.push((Side::Source, source.control.send(command.clone())));
        rests.push((Side::Destination, destination.control.send(command)));
    }
    let allocate = match options.allocate {
        Some(bytes) => Some(destination.control.send(Command::with("ALLO", bytes.to_string())?)),
        None => None,
    };
    for (side, mut pending) in rests {
        let reply = pending.last().await.map_err(|error| touched(of_side(side)(error)))?;
        if !reply.is_intermediate() {
            let error =
                Error::from_reply(reply, Phase::Command, "the server does not continue transfers (REST)")
                    .with_kind(ErrorKind::Unsupported);
            return Err(touched(of_side(side)(error)));
        }
    }
    if let Some(mut pending) = allocate {
        let reply = pending.last().await.map_err(|error| touched(of_side(Side::Destination)(error)))?;
        if !reply.is_completion() {
            let error =
                Error::from_reply(reply, Phase::Command, "the server does not make room for the file");
            return Err(touched(of_side(Side::Destination)(error)));
        }
    }
    let destination = Leg::new(destination.control.send(plan.store));
    let source = Leg::new(source.control.send(plan.retrieve));
    Ok(Active {
        source,
        destination,
        extended_block,
        base: plan.base,
        before: plan.before,
        stored: RangeSet::new(),
        bytes: BTreeMap::new(),
        size,
        end: plan.end,
        grows: plan.grows,
    })
}

/// The commands of one transfer.
struct Plan {
    rest: Option<String>,
    retrieve: Command,
    store: Command,
    base: u64,
    before: RestartMarker,
    end: Option<(u64, bool)>,
    grows: bool,
}

impl Plan {
    fn new(
        request: &Request,
        size: Option<u64>,
        there: Option<u64>,
        source: &Session,
        destination: &Session,
    ) -> Result<Self> {
        let Request { from, to, part, source_module, destination_module, .. } = request;
        let extended_block = request.options.extended_block();
        let mut plan = Self {
            rest: None,
            retrieve: match source_module {
                Some(module) => with_module("ERET", &module.to_string(), from)?,
                None => Command::with("RETR", from)?,
            },
            store: match destination_module {
                Some(module) => with_module("ESTO", &module.to_string(), to)?,
                None => Command::with("STOR", to)?,
            },
            base: 0,
            before: RestartMarker::Stream { offset: 0 },
            end: size.filter(|_| request.check_size && destination_module.is_none()).map(|size| (size, true)),
            grows: true,
        };
        let marker = match part {
            Part::Whole => return Ok(plan),
            Part::Range { offset, length } => {
                let lacking = |side, what: &str| {
                    let message = format!("the server cannot move parts of files ({what})");
                    Err(Error::new(ErrorKind::Unsupported, Phase::Command, message).with_side(side))
                };
                if !source.features.eret() {
                    return lacking(Side::Source, "ERET");
                }
                if !destination.features.esto() {
                    return lacking(Side::Destination, "ESTO");
                }
                let Some(length) = length.or_else(|| size.map(|size| size.saturating_sub(*offset))) else {
                    let message = "the source does not tell the file's size; expected a range with an end";
                    return Err(Error::invalid(message));
                };
                plan.retrieve = with_module("ERET", &format!("P {offset} {length}"), from)?;
                plan.store = with_module("ESTO", &format!("A {offset}"), to)?;
                plan.base = *offset;
                plan.grows = false;
                let end = offset.saturating_add(length);
                let end = size.map_or(end, |size| end.min(size));
                plan.end = request.check_size.then_some((end, false));
                return Ok(plan);
            }
            Part::Rest(marker) => marker.clone(),
            Part::Resume => {
                let offset = there.unwrap_or(0);
                if size.is_some_and(|size| offset > size) {
                    let message = format!(
                        "the destination's file has {offset} bytes already, more than the source's; it is not a part of it"
                    );
                    let error = Error::new(ErrorKind::AlreadyExists, Phase::Verify, message);
                    return Err(error.with_side(Side::Destination));
                }
                RestartMarker::Stream { offset }
            }
        };
        // Where the file ends beyond what the marker says is there, its size says nothing about what will be.
        plan.grows = there.is_none_or(|there| there <= marker.contiguous());
        plan.rest = match &marker {
            marker if marker.is_empty() => None,
            marker if extended_block => Some(marker.ranges().to_string()),
            marker => Some(marker.contiguous()).filter(|&offset| offset > 0).map(|offset| offset.to_string()),
        };
        plan.before = marker;
        Ok(plan)
    }
}

impl Leg {
    fn new(pending: PendingReply) -> Self {
        // Whoever waits for the transfer watches it: the connection's own limit is for commands.
        pending.within(None);
        Self { pending, accepted: false, last: None }
    }

    fn failed(&self) -> bool {
        self.last.as_ref().is_some_and(|last| !last.as_ref().is_ok_and(Reply::is_completion))
    }
}

impl Active {
    /// The next thing that is heard of the transfer. Not to be asked once [`Self::is_over`].
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        for side in [Side::Destination, Side::Source] {
            let leg = if side == Side::Source { &mut self.source } else { &mut self.destination };
            if leg.last.is_some() {
                continue;
            }
            let Poll::Ready(result) = leg.pending.poll_next(cx) else { continue };
            return Poll::Ready(match result {
                Ok(reply) if reply.is_preliminary() => {
                    leg.accepted |= !matches!(reply.code(), 111 | 112);
                    let marker = (side == Side::Destination).then(|| markers::parse(&reply)).flatten();
                    marker.map_or(Event::Sign, |marker| self.note(marker))
                }
                last => {
                    leg.last = Some(last);
                    Event::Ended
                }
            });
        }
        Poll::Pending
    }

    fn note(&mut self, marker: Marker) -> Event {
        match marker {
            Marker::Performance(marker) => {
                let known = self.bytes.len() < MAX_STRIPES || self.bytes.contains_key(&marker.stripe);
                let before =
                    if known { self.bytes.insert(marker.stripe, marker.bytes) } else { Some(marker.bytes) };
                Event::Marker(Marker::Performance(marker), before.unwrap_or(0) != marker.bytes)
            }
            Marker::Range(told) => {
                let base = self.base;
                let place = |at: u64| at.saturating_add(base);
                let ranges: RangeSet =
                    told.iter().map(|range| place(range.start)..place(range.end)).collect();
                let before = self.stored.total_bytes();
                for range in ranges.iter().take(MAX_RANGES.saturating_sub(self.stored.len())) {
                    self.stored.insert(range);
                }
                Event::Marker(Marker::Range(ranges), self.stored.total_bytes() != before)
            }
        }
    }

    /// Whether both sides are through with it.
    pub(crate) fn is_over(&self) -> bool {
        self.has_ended(Side::Source) && self.has_ended(Side::Destination)
    }

    pub(crate) fn has_ended(&self, side: Side) -> bool {
        if side == Side::Source { self.source.last.is_some() } else { self.destination.last.is_some() }
    }

    /// Whether a side failed, and so for a reason of its own: then nothing the other one may say changes it.
    pub(crate) fn failure(&self) -> Option<bool> {
        let failed = [&self.source, &self.destination].into_iter().filter(|leg| leg.failed());
        failed.map(|leg| !leg.last.as_ref().is_some_and(is_consequence)).reduce(|one, other| one || other)
    }

    /// The error of a transfer that failed: that of the side which has a reason of its own, else of the one that sends.
    pub(crate) fn into_error(&mut self) -> Error {
        let source = self.source.failed();
        let own = |leg: &Leg| leg.last.as_ref().is_some_and(|last| !is_consequence(last));
        let side = match (source, self.destination.failed()) {
            (true, true) if own(&self.source) == own(&self.destination) => Side::Source,
            (true, true) if own(&self.destination) => Side::Destination,
            (true, _) => Side::Source,
            (false, _) => Side::Destination,
        };
        let leg = if side == Side::Source { &self.source } else { &self.destination };
        let (doing, phase) = match (side, leg.accepted) {
            (Side::Source, false) => ("the source does not send the file", Phase::Command),
            (Side::Source, true) => ("the source ended the transfer", Phase::Data),
            (_, false) => ("the destination does not take the file", Phase::Command),
            (_, true) => ("the destination ended the transfer", Phase::Data),
        };
        of_side(side)(match &leg.last {
            Some(Ok(reply)) => Error::from_reply(reply.clone(), phase, doing),
            Some(Err(error)) => error.clone().with_may_have_applied(),
            None => Error::new(ErrorKind::Internal, phase, "a transfer failed on neither side"),
        })
    }

    /// The file's size at the source, where it told it.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Bytes that the destination says it has received, where it says so.
    pub(crate) fn received(&self) -> u64 {
        self.bytes.values().copied().fold(0, u64::saturating_add).max(self.stored.total_bytes())
    }

    /// Where the moved bytes must end, and whether the file must end there as well.
    pub(crate) fn end(&self) -> Option<(u64, bool)> {
        self.end
    }

    /// What is at the destination as far as markers and `size`, that of its file, tell.
    pub(crate) fn marker(&self, size: Option<u64>) -> RestartMarker {
        if self.extended_block {
            let mut ranges = self.before.ranges();
            ranges.extend(self.stored.iter());
            return RestartMarker::Extended(ranges);
        }
        match (size, &self.before) {
            (Some(size), before) if self.grows => {
                RestartMarker::Stream { offset: size.max(before.contiguous()) }
            }
            (_, before) => RestartMarker::Stream { offset: before.contiguous() },
        }
    }

    /// Whether the size of the destination's file says how much of a stream is there.
    pub(crate) fn wants_size(&self) -> bool {
        !self.extended_block && self.grows
    }

    /// Waits for the destination's last word.
    pub(crate) async fn destination_ends(&mut self) {
        while !self.has_ended(Side::Destination) {
            // The source may end meanwhile, which is of no interest.
            std::future::poll_fn(|cx| match self.destination.pending.poll_next(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(reply)) if reply.is_preliminary() => {
                    if let Some(marker) = markers::parse(&reply) {
                        self.note(marker);
                    }
                    Poll::Ready(())
                }
                Poll::Ready(last) => {
                    self.destination.last = Some(last);
                    Poll::Ready(())
                }
            })
            .await;
        }
    }

    /// Whether the destination still answers commands: it had its last word, and that was one.
    pub(crate) fn destination_answers(&self) -> bool {
        matches!(self.destination.last, Some(Ok(_)))
    }
}

/// Whether a side failed only because the data connection did, which may have been the other's doing.
fn is_consequence(last: &Result<Reply>) -> bool {
    let Ok(reply) = last else { return false };
    if matches!(reply.code(), 425 | 426) {
        return true;
    }
    let words: [&[u8]; 6] = [
        b"end-of-file",
        b"end of file",
        b"connection reset",
        b"broken pipe",
        b"connection closed",
        b"data connection",
    ];
    reply.lines().any(|line| {
        let line = line.to_ascii_lowercase();
        words.iter().any(|words| line.windows(words.len()).any(|part| part == *words))
    })
}
