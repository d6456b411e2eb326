//! The language of FTP and GridFTP, as pure functions from bytes to values and back.
//!
//! Here live the forms of commands, replies, facts, features, addresses and times (RFC 959, 2228, 2389, 2428, 3659,
//! GFD.20 and 47). What comes from a server is not trusted: every parser is bounded, linear and free of panics, and says
//! `Protocol` with an escaped excerpt when it is given something else. What goes to a server is checked when it is made.
//!
//! Never here: sockets, files, clocks, threads, Globus, and any decision about what to do with an answer.

use crate::error::{Error, ErrorKind, Escaped, Phase, Reply, Result, Side};

pub(crate) mod address;
pub(crate) mod ascii;
pub(crate) mod block;
pub(crate) mod classify;
pub(crate) mod command;
pub(crate) mod features;
pub(crate) mod list;
pub(crate) mod listing;
pub(crate) mod markers;
pub(crate) mod mlsx;
pub(crate) mod reply;
pub(crate) mod secret;
pub(crate) mod time;
pub(crate) mod value;

/// How much of something unexpected an error shows, in bytes.
const EXCERPT: usize = 80;

/// A server said what the protocol does not allow.
fn violation(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Protocol, Phase::Command, message).with_side(Side::Server)
}

/// `"text"`, escaped and cut short.
fn excerpt(bytes: &[u8]) -> String {
    let more = if bytes.len() > EXCERPT { "…" } else { "" };
    format!("\"{}{more}\"", Escaped(&bytes[..bytes.len().min(EXCERPT)]))
}

/// An error unless the reply has the code that a parser is written for.
fn expect_code(reply: &Reply, code: u16) -> Result<()> {
    if reply.code() == code {
        return Ok(());
    }
    Err(violation(format!("expected {code}, the server said {reply}")))
}
