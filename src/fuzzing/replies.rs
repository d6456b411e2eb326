//! Replies, and what stands in them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

use super::{lines, pieces, refused, shown};
use crate::error::{ErrorKind, Reply};
use crate::protocol::address::{eprt_argument, passive, port_argument, spor_argument, striped};
use crate::protocol::classify::kind_of_reply;
use crate::protocol::features::parse_features;
use crate::protocol::reply::{Limits, ReplyParser, parse_complete};
use crate::protocol::value::{checksum_reply, folder_reply, modified_reply, size_reply};
use crate::protocol::{markers, time};
use crate::types::{ChecksumAlgorithm, Marker, RangeSet, RestartMarker};

/// The most that a reply shows: 600 bytes of it, each escaped.
const SHOWN: usize = 6 * 600 + 100;

/// A stream of replies, with the usual limits and with narrow ones.
pub(super) fn reply(data: &[u8]) {
    let (whole, _) = pieces(data);
    for limits in [Limits::CLEAR, Limits { line: 48, total: 160, lines: 6 }] {
        let at_once = parsed(limits, std::iter::once(Bytes::copy_from_slice(whole)));
        let cut_up = parsed(limits, pieces(data).1);
        assert_eq!(at_once, cut_up, "the pieces mattered");
        for reply in &at_once.0 {
            sound(reply, limits);
        }
        if limits == Limits::CLEAR {
            let written: Vec<u8> = at_once.0.iter().flat_map(written).collect();
            let again = parsed(limits, std::iter::once(Bytes::from(written)));
            assert_eq!(again, (at_once.0.clone(), false), "what was read can be written");
        }
    }
    if let Ok(replies) = parse_complete(whole) {
        let same = parsed(Limits::CLEAR, [whole, b"\r\n"].into_iter().map(Bytes::copy_from_slice));
        assert_eq!(replies[..], same.0[..replies.len().min(same.0.len())]);
    }
}

/// All replies, and whether an error ended the connection. (Its words tell of what had arrived by then.)
fn parsed(limits: Limits, pieces: impl Iterator<Item = Bytes>) -> (Vec<Reply>, bool) {
    let mut parser = ReplyParser::new(limits);
    let mut input = BytesMut::new();
    let mut replies = Vec::new();
    for piece in pieces {
        input.extend_from_slice(&piece);
        loop {
            match parser.next(&mut input) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => {
                    refused(&error, ErrorKind::Protocol);
                    return (replies, true);
                }
            }
        }
        assert!(input.len() < limits.line, "an unfinished line of {} bytes is held", input.len());
    }
    (replies, false)
}

/// The reply as a server that takes care would write it.
fn written(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    let last = reply.lines().len() - 1;
    for (at, line) in reply.lines().enumerate() {
        out.extend_from_slice(reply.code().to_string().as_bytes());
        out.push(if at == last { b' ' } else { b'-' });
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn sound(reply: &Reply, limits: Limits) {
    assert!((100..=659).contains(&reply.code()));
    assert!((1..=limits.lines + 1).contains(&reply.lines().len()));
    assert!(reply.lines().map(<[u8]>::len).sum::<usize>() <= limits.total);
    assert!(!reply.lines().any(|line| line.contains(&b'\n')));
    shown(&reply.to_string(), SHOWN);
    shown(&format!("{reply:?}"), SHOWN);
    let _ = kind_of_reply(reply);
    values(reply);
}

/// The single values that some replies hold.
fn values(reply: &Reply) {
    let with = |code| Reply::new(code, reply.lines().map(Bytes::copy_from_slice).collect());
    match size_reply(&with(213)) {
        Ok(size) => assert!(i64::try_from(size).is_ok()),
        Err(error) => refused(&error, ErrorKind::Protocol),
    }
    match modified_reply(&with(213)) {
        Ok(told) => assert!(time::format_time(told).is_ok() || told > SystemTime::UNIX_EPOCH),
        Err(error) => refused(&error, ErrorKind::Protocol),
    }
    match checksum_reply(&with(213), &ChecksumAlgorithm::Adler32) {
        Ok(sum) => assert_eq!(sum.bytes().len(), 4),
        Err(error) => refused(&error, ErrorKind::Protocol),
    }
    match folder_reply(&with(257)) {
        Ok(path) => assert!(path.starts_with(b"/") && !path.iter().any(|byte| *byte < 0x20 || *byte == 0x7f)),
        Err(error) => refused(&error, ErrorKind::Protocol),
    }
}

/// Markers of ranges and of performance, and those that a user keeps as text.
pub(super) fn marker(data: &[u8]) {
    for code in [111, 112] {
        let marker = markers::parse(&Reply::new(code, lines(data)));
        match marker {
            Some(Marker::Range(set)) => sound_set(&set, data.len()),
            Some(Marker::Performance(told)) => assert!(i64::try_from(told.bytes).is_ok()),
            None => {}
        }
    }
    if let Some(set) = markers::ranges(data) {
        sound_set(&set, data.len());
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<RestartMarker>() {
        Ok(marker) => {
            assert_eq!(marker.to_string().parse::<RestartMarker>().ok().as_ref(), Some(&marker));
            assert!(
                marker.contiguous()
                    <= marker.ranges().complement(u64::MAX >> 1).total_bytes().max(marker.contiguous())
            );
        }
        Err(error) => refused(&error, ErrorKind::InvalidInput),
    }
}

fn sound_set(set: &RangeSet, told: usize) {
    assert!(set.len() <= told, "more ranges than were told");
    let ranges: Vec<_> = set.iter().collect();
    assert!(ranges.iter().all(|range| range.start < range.end && i64::try_from(range.end).is_ok()));
    assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "ranges that touch");
    assert_eq!(set.to_string().parse::<RangeSet>().ok().as_ref(), Some(set));
    let size = ranges.last().map_or(0, |range| range.end);
    assert_eq!(set.total_bytes() + set.complement(size).total_bytes(), size);
}

/// The reply to FEAT.
pub(super) fn feature(data: &[u8]) {
    let reply = Reply::new(211, lines(data));
    let Ok(set) = parse_features(&reply) else { panic!("a 211 is a list of features") };
    assert!(set.iter().len() <= reply.lines().len());
    let names: BTreeSet<&str> = set.iter().map(|(name, _)| name).collect();
    for name in names {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()), "{name:?}");
        assert!(set.has(name) && set.has(&name.to_ascii_lowercase()));
    }
    assert!(set.mlst_facts().all(|(name, _)| !name.is_empty()));
    let _ = (set.checksums().count(), set.delayed_passive(), set.rest_stream());
    shown(&format!("{set:?}"), 16 * data.len() + 100 * (reply.lines().len() + 1));
}

/// Replies to PASV, EPSV and SPAS: the first byte chooses.
pub(super) fn address(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let code = [127, 129, 227, 229][usize::from(first % 4)];
    let reply = Reply::new(code, lines(rest));
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    match passive(&reply) {
        Ok(listener) => there_and_back(&[listener.at(peer)]),
        Err(error) => refused(&error, ErrorKind::Protocol),
    }
    match striped(&reply) {
        Ok(listeners) => {
            assert!((1..=1024).contains(&listeners.len()) && code == 229);
            there_and_back(&listeners.into_iter().map(|listener| listener.at(peer)).collect::<Vec<_>>());
        }
        Err(error) => refused(&error, ErrorKind::Protocol),
    }
}

/// What a server said can be said to another one, and means the same there.
fn there_and_back(addresses: &[SocketAddr]) {
    let expected: Vec<_> =
        addresses.iter().map(|at| SocketAddr::new(at.ip().to_canonical(), at.port())).collect();
    assert!(expected.iter().all(|address| address.port() != 0));
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let at = |found: crate::Result<crate::protocol::address::Listener>| found.map(|it| it.at(peer)).ok();
    let one = expected.first().copied();
    if let (Some(first), [_]) = (one, addresses) {
        if let Ok(argument) = port_argument(first) {
            let said = Reply::new(227, vec![Bytes::from(format!("Entering Passive Mode ({argument})"))]);
            assert_eq!(at(passive(&said)), one);
        }
        let argument = eprt_argument(first).unwrap_or_default();
        let said = Reply::new(229, vec![Bytes::from(format!("Entering Extended Passive Mode ({argument})"))]);
        assert_eq!(at(passive(&said)), one);
    }
    let argument = spor_argument(addresses).unwrap_or_default();
    let middle = argument.split(' ').map(|address| Bytes::from(format!(" {address}")));
    let said = std::iter::once(Bytes::from_static(b"Entering Striped Passive Mode"))
        .chain(middle)
        .chain([Bytes::from_static(b"End")]);
    let again = striped(&Reply::new(229, said.collect()));
    let again = again.map(|found| found.into_iter().map(|it| it.at(peer)).collect::<Vec<_>>());
    assert_eq!(again.ok(), Some(expected));
}
