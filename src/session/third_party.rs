//! One file from a server to another one: two sessions, and no data here.
//!
//! The destination listens and the source connects, in either mode: the source is the one that sends. STOR goes out before
//! RETR, and neither waits for the other's reply, because the destination says 150 only when it is connected.

mod active;

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::options::{DataOptions, StorageModule};
use crate::protocol::address;
use crate::protocol::command::Command;
use crate::session::channel::Channels;
use crate::session::get::{shorter, size_of, told as as_told};
use crate::session::settings::Authentication;
use crate::session::{PendingReply, Session};
use crate::types::RestartMarker;

pub(crate) use active::{Active, Event};

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

    // Both are heard out before either refusal counts: sessions go back to the pool with what they were told remembered.
    let settled = source.settle(source_kinds.into_iter().zip(source_replies).collect()).await;
    let settled_there = destination.settle(kinds.into_iter().zip(replies).collect()).await;
    settled.map_err(&at_source)?;
    settled_there.map_err(&at_destination)?;
    let source_size = told(source_size).await.map_err(&at_source)?;
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

/// Refuses to go on where the destination's file does not hold what the marker says: it would get a hole of zeros, and the
/// right size.
fn still_there(marker: &RestartMarker, reply: &Reply, extended_block: bool) -> Result<()> {
    let ranges = marker.ranges();
    let end = match extended_block {
        true => ranges.iter().last().map_or(0, |range| range.end),
        false => marker.contiguous(),
    };
    match size_of(reply) {
        _ if end == 0 => Ok(()),
        Some(there) if there < end => Err(shorter(end, there)),
        Some(_) => Ok(()),
        None => {
            let what = "the file that is to be continued is not there";
            let error = Error::from_reply(reply.clone(), Phase::Command, what);
            // A server that does not tell sizes of what it does not let us read is believed.
            if error.kind() == ErrorKind::NotFound { Err(error) } else { Ok(()) }
        }
    }
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
    if let (Part::Rest(marker), Some(reply)) = (&request.part, &at_there) {
        still_there(marker, reply, extended_block).map_err(of_side(Side::Destination))?;
    }
    let plan = Plan::new(request, size, there, source, destination)?;

    // A transfer's modifier that was accepted would change the next transfer on the session if this one did not follow.
    let touched = |error: Error| NotBegun { error, untouched: false };
    // Ahead of REST, which the transfer's command has to follow at once.
    let allocate = match options.allocate {
        Some(bytes) => Some(destination.control.send(Command::with("ALLO", bytes.to_string())?)),
        None => None,
    };
    let mut rests = Vec::new();
    if let Some(marker) = &plan.rest {
        let command = Command::with("REST", marker)?;
        rests.push((Side::Source, source.control.send(command.clone())));
        rests.push((Side::Destination, destination.control.send(command)));
    }
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
    let store = destination.control.send(plan.store.clone());
    let retrieve = source.control.send(plan.retrieve.clone());
    Ok(Active::of_one(store, retrieve, extended_block, &plan, size))
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
            marker if extended_block => Some(as_told(&marker.ranges()).to_string()),
            marker => Some(marker.contiguous()).filter(|&offset| offset > 0).map(|offset| offset.to_string()),
        };
        plan.before = marker;
        Ok(plan)
    }
}
