//! What the benches time and programs cannot see: the reorder buffer, and the parsers by themselves.
//!
//! In builds for tests and with `--cfg gridftp_bench` only. Each is a thin cover of one private item: what is measured is that
//! item, and nothing that was made for the purpose. A test holds that they do what they say, so that a bench which only runs
//! now and then does not time nothing.
//!
//! Never here: anything that a program uses, and any logic.

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

use crate::error::{ErrorKind, Reply, Result};
use crate::protocol::block::{HEADER_BYTES, Header};
use crate::protocol::listing::{Decoder, Form};
use crate::protocol::reply::{Limits, ReplyParser};
use crate::protocol::{address, classify, features, list, markers, mlsx, time, value};
use crate::session::reorder;
use crate::types::{Checksum, ChecksumAlgorithm, Entry, FeatureSet, Marker, RangeSet};

/// Blocks in any order in, bytes in order out.
#[derive(Debug)]
pub struct Reorder(reorder::Reorder);

impl Reorder {
    /// Begins with the first byte that is not left out.
    pub fn leaving_out(ranges: RangeSet) -> Self {
        Self(reorder::Reorder::leaving_out(0, ranges))
    }

    /// Takes a block in.
    ///
    /// # Errors
    /// When too much is held.
    pub fn insert(&mut self, offset: u64, data: Bytes) -> Result<()> {
        self.0.insert(offset, data)
    }

    /// The next bytes in order, if they are there.
    #[allow(clippy::should_implement_trait, reason = "none now is not none for ever")]
    pub fn next(&mut self) -> Option<Bytes> {
        self.0.next()
    }
}

/// A control connection's replies, as they arrive.
#[derive(Debug)]
pub struct Replies {
    parser: ReplyParser,
    input: BytesMut,
}

impl Default for Replies {
    fn default() -> Self {
        Self { parser: ReplyParser::new(Limits::CLEAR), input: BytesMut::new() }
    }
}

impl Replies {
    /// Takes in what was read from the socket.
    pub fn push(&mut self, data: &[u8]) {
        self.input.extend_from_slice(data);
    }

    /// The next whole reply.
    ///
    /// # Errors
    /// For what is no reply.
    #[allow(clippy::should_implement_trait, reason = "none now is not none for ever")]
    pub fn next(&mut self) -> Result<Option<Reply>> {
        self.parser.next(&mut self.input)
    }
}

/// A listing, as it arrives.
#[derive(Debug)]
pub struct Listing(Decoder);

impl Listing {
    /// Of lines of facts (MLSD).
    pub fn facts() -> Self {
        Self(Decoder::new(Form::Facts))
    }

    /// Of lines of LIST.
    pub fn verbose(now: SystemTime) -> Self {
        Self(Decoder::new(Form::Verbose { now }))
    }

    /// Takes in a piece.
    pub fn push(&mut self, piece: Bytes) {
        self.0.push(piece);
    }

    /// The next entry.
    ///
    /// # Errors
    /// For a line that is none.
    #[allow(clippy::should_implement_trait, reason = "none now is not none for ever")]
    pub fn next(&mut self) -> Result<Option<Entry>> {
        self.0.next()?.transpose()
    }
}

/// A reply that is there already, to give to a parser.
pub fn reply(code: u16, lines: &[&str]) -> Reply {
    Reply::new(code, lines.iter().map(|line| Bytes::copy_from_slice(line.as_bytes())).collect())
}

/// One line of MLSD.
///
/// # Errors
/// For a line that is none.
pub fn facts_line(line: &[u8]) -> Result<Entry> {
    mlsx::parse_line(line)
}

/// A reply to MLST.
///
/// # Errors
/// For another one.
pub fn facts_reply(reply: &Reply) -> Result<Entry> {
    mlsx::parse_mlst(reply)
}

/// One line of LIST; `None` for one that names no file.
///
/// # Errors
/// For a line that is none.
pub fn list_line(line: &[u8], now: SystemTime) -> Result<Option<Entry>> {
    list::parse_line(line, now)
}

/// A time as MDTM and MLSx write it.
pub fn parse_time(text: &[u8]) -> Option<SystemTime> {
    time::parse_time(text)
}

/// A reply to FEAT.
///
/// # Errors
/// For another one.
pub fn parse_features(reply: &Reply) -> Result<FeatureSet> {
    features::parse_features(reply)
}

/// A marker of ranges or performance.
pub fn marker(reply: &Reply) -> Option<Marker> {
    markers::parse(reply)
}

/// A reply to SIZE.
///
/// # Errors
/// For another one.
pub fn size_reply(reply: &Reply) -> Result<u64> {
    value::size_reply(reply)
}

/// A reply to CKSM.
///
/// # Errors
/// For another one.
pub fn checksum_reply(reply: &Reply, algorithm: &ChecksumAlgorithm) -> Result<Checksum> {
    value::checksum_reply(reply, algorithm)
}

/// The port in a reply to PASV or EPSV.
///
/// # Errors
/// For another one.
pub fn passive_port(reply: &Reply) -> Result<u16> {
    address::passive(reply).map(|listener| listener.port)
}

/// What a refusal means.
pub fn kind_of_reply(reply: &Reply) -> ErrorKind {
    classify::kind_of_reply(reply)
}

/// Offset and count in the header of an extended block.
///
/// # Errors
/// For one that no file has.
pub fn block_header(bytes: [u8; HEADER_BYTES]) -> std::result::Result<(u64, u64), String> {
    Header::parse(bytes).map(|header| (header.offset, header.count))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 22 November 2026.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600)
    }

    #[test]
    fn blocks_come_out_in_order_without_what_is_left_out() {
        let mut reorder = Reorder::leaving_out(std::iter::once(0..2).collect());
        reorder.insert(4, Bytes::from_static(b"cd")).unwrap();
        assert_eq!(reorder.next(), None);
        reorder.insert(2, Bytes::from_static(b"ab")).unwrap();
        assert_eq!([reorder.next().unwrap(), reorder.next().unwrap()], ["ab", "cd"]);
    }

    #[test]
    fn replies_and_listings_come_out_as_they_arrive() {
        let mut replies = Replies::default();
        replies.push(b"213 5\r\n226 Tr");
        assert_eq!(size_reply(&replies.next().unwrap().unwrap()).unwrap(), 5);
        assert!(replies.next().unwrap().is_none());
        replies.push(b"ansfer complete.\r\n");
        assert_eq!(replies.next().unwrap().unwrap().code(), 226);

        for (mut listing, line) in [
            (Listing::facts(), "Type=file;Size=7; name\r\n"),
            (Listing::verbose(now()), "-rw-r--r-- 1 u g 7 Nov 22 16:28 name\r\n"),
        ] {
            listing.push(Bytes::from_static(line.as_bytes()));
            let entry = listing.next().unwrap().unwrap();
            assert_eq!((entry.name(), entry.size()), (&b"name"[..], Some(7)));
            assert!(listing.next().unwrap().is_none());
        }
    }

    #[test]
    fn each_parser_is_the_one_it_is_called() {
        assert_eq!(facts_line(b"Type=file;Size=7; name").unwrap().size(), Some(7));
        let facts = reply(250, &["status of name", " Type=file;Size=7; name", "End"]);
        assert_eq!(facts_reply(&facts).unwrap().size(), Some(7));
        let line = list_line(b"-rw-r--r-- 1 u g 7 Nov 22 16:28 name", now()).unwrap().unwrap();
        assert_eq!(line.size(), Some(7));
        assert_eq!(parse_time(b"19700101000100"), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(60)));
        assert!(parse_features(&reply(211, &["Extensions", " MDTM", "End"])).unwrap().mdtm());
        let ranges: RangeSet = [0..10, 20..30].into_iter().collect();
        assert_eq!(marker(&reply(111, &["Range Marker 0-10,20-30"])), Some(Marker::Range(ranges)));
        let sum = checksum_reply(&reply(213, &["0ad50045"]), &ChecksumAlgorithm::Adler32).unwrap();
        assert_eq!(sum.to_hex(), "0ad50045");
        assert_eq!(
            passive_port(&reply(227, &["Entering Passive Mode (127,0,0,1,4,1)"])).unwrap(),
            4 * 256 + 1
        );
        assert_eq!(kind_of_reply(&reply(550, &["No such file or directory"])), ErrorKind::NotFound);
        let mut header = [0; HEADER_BYTES];
        (header[8], header[16]) = (3, 9);
        assert_eq!(block_header(header), Ok((9, 3)));
    }
}
