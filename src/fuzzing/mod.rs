//! What must hold of every parser, whatever it is given. Compiled for tests and for `cargo fuzz` only.
//!
//! Each function takes arbitrary bytes, hands them to a parser as a server or a user might, and asserts what callers rely
//! on: that the result is within its bounds, that it does not depend on how bytes were cut up on the way, that what is read
//! can be written and read again, and that no control byte is in what is shown. `fuzz/` calls them with bytes that libFuzzer
//! makes up; `tests.rs` calls the same ones with the kept corpus, and with bytes at random, in every run of the tests.
//!
//! Never here: anything that a program uses, and any input or output.

mod blocks;
mod listings;
mod replies;
#[cfg(test)]
mod tests;
mod urls;

use bytes::Bytes;

use crate::error::{Error, ErrorKind};

/// Gives bytes to a parser, and asserts what must hold of what comes of them.
pub type Check = fn(&[u8]);

/// The parsers by name. Each has a file in `fuzz/fuzz_targets` and a folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Check); 9] = [
    ("address", replies::address),
    ("block", blocks::block),
    ("command", urls::command),
    ("feature", replies::feature),
    ("list", listings::list),
    ("marker", replies::marker),
    ("mlsx", listings::mlsx),
    ("reply", replies::reply),
    ("url", urls::url),
];

/// Runs one parser; what `fuzz/fuzz_targets` consist of.
///
/// # Panics
/// If there is no such target, and if the parser breaks a promise.
pub fn check(target: &str, data: &[u8]) {
    match TARGETS.iter().find(|(name, _)| *name == target) {
        Some((_, check)) => check(data),
        None => panic!("no target {target}"),
    }
}

/// A text for people holds nothing that a terminal acts on, and is not longer than `most` bytes.
fn shown(text: &str, most: usize) {
    let acted_on = |c: char| {
        c.is_control() || matches!(c, '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(acted_on), "shown as it came: {text:?}");
    assert!(text.len() <= most, "{} bytes are shown, at most {most} expected", text.len());
}

/// An error that a parser gives is of its kind, and can be shown.
fn refused(error: &Error, kind: ErrorKind) {
    assert_eq!(error.kind(), kind, "{error}");
    shown(&error.to_string(), 8 * 1024);
    shown(&format!("{error:?}"), 16 * 1024);
}

/// The bytes behind the first, cut into pieces of a size that the first one tells.
fn pieces(data: &[u8]) -> (&[u8], impl Iterator<Item = Bytes>) {
    let (size, rest) = data.split_first().map_or((1, data), |(size, rest)| (usize::from(*size) + 1, rest));
    (rest, rest.chunks(size).map(Bytes::copy_from_slice))
}

/// Lines, as they are inside a reply.
fn lines(data: &[u8]) -> Vec<Bytes> {
    data.split(|&byte| byte == b'\n').map(Bytes::copy_from_slice).collect()
}
