//! Cutting a stream of bytes into replies (RFC 959 §4.2), with every length bounded.

use bytes::{Bytes, BytesMut};

use crate::error::{Error, Reply, Result};
use crate::protocol::{excerpt, violation};

/// How much a server may say in one reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes in one line, its end included.
    pub(crate) line: usize,
    /// Bytes in all lines of one reply, their ends included.
    pub(crate) total: usize,
    /// Lines in one reply.
    pub(crate) lines: usize,
}

impl Limits {
    /// For replies in clear text. A listing by `STAT`, or the features of a server with many modules, stay far below. The
    /// longest lines are markers: 111 names every stretch that came since the one before, in one line, and of a transfer
    /// over many connections in small blocks that can be tens of thousands. So a line may be as long as a reply.
    pub(crate) const CLEAR: Self = Self { line: 1024 * 1024, total: 1024 * 1024, lines: 16 * 1024 };

    /// For replies 631, 632 and 633, whose lines are base64 tokens around a whole reply in clear text.
    pub(crate) const PROTECTED: Self = Self { line: 1536 * 1024, total: 2048 * 1024, lines: 16 * 1024 };
}

/// An incremental parser. It keeps its place between calls, so that the work is linear in the bytes received however
/// they are cut up, and keeps nothing of the input buffer alive in the replies it gives out.
///
/// After an error the stream has no meaning any more and the connection must be dropped.
#[derive(Debug)]
pub(crate) struct ReplyParser {
    limits: Limits,
    /// Bytes at the start of the input that are known to hold no line end.
    scanned: usize,
    partial: Option<Partial>,
}

/// A reply whose last line is still to come.
#[derive(Debug)]
struct Partial {
    code: u16,
    /// Texts of all lines, one behind the other.
    text: BytesMut,
    /// Where each text ends.
    ends: Vec<usize>,
    /// Raw bytes taken from the input so far.
    taken: usize,
}

impl ReplyParser {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, scanned: 0, partial: None }
    }

    /// Whether a reply has begun whose last line has not arrived; bytes of an unfinished line still lie in the input.
    pub(crate) fn in_reply(&self) -> bool {
        self.partial.is_some()
    }

    /// Takes the next complete reply from the front of `input`; `None` when more bytes are needed.
    ///
    /// Lines end in CR LF or in LF alone. Whatever else is in them, NUL included, is kept as it is.
    ///
    /// # Errors
    /// `Protocol` for a line that is no reply, and for a line or a reply over the limits.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Reply>> {
        loop {
            let from = self.scanned.min(input.len());
            let Some(at) = input[from..].iter().position(|&byte| byte == b'\n') else {
                self.scanned = input.len();
                if self.scanned >= self.limits.line {
                    return Err(self.line_too_long(input));
                }
                return Ok(None);
            };
            self.scanned = 0;
            let end = from + at + 1;
            if end > self.limits.line {
                return Err(self.line_too_long(input));
            }
            let raw = input.split_to(end);
            let line = raw.strip_suffix(b"\n").unwrap_or(&raw);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(reply) = self.line(line, end)? {
                return Ok(Some(reply));
            }
        }
    }

    /// Adds one line to the reply under way, or begins one with it.
    fn line(&mut self, line: &[u8], raw: usize) -> Result<Option<Reply>> {
        let head = Head::of(line);
        let Some(partial) = &mut self.partial else {
            let Some(head) = head else {
                return Err(not_a_reply(line));
            };
            if head.last {
                return Ok(Some(Reply::new(head.code, vec![Bytes::copy_from_slice(head.text)])));
            }
            let mut partial =
                Partial { code: head.code, text: BytesMut::with_capacity(256), ends: Vec::new(), taken: 0 };
            partial.push(head.text, raw);
            self.partial = Some(partial);
            return Ok(None);
        };
        if partial.taken + raw > self.limits.total {
            return Err(violation(format!(
                "reply {} is longer than {} bytes, more than this client accepts",
                partial.code, self.limits.total
            )));
        }
        if partial.ends.len() >= self.limits.lines {
            return Err(violation(format!(
                "reply {} has more than {} lines, more than this client accepts",
                partial.code, self.limits.lines
            )));
        }
        // Between the first and the last line anything goes: another code is text, the same code may be repeated.
        match head.filter(|head| head.code == partial.code) {
            Some(head) => {
                partial.push(head.text, raw);
                if head.last {
                    return Ok(self.partial.take().map(Partial::finish));
                }
            }
            None => partial.push(line, raw),
        }
        Ok(None)
    }

    fn line_too_long(&self, input: &[u8]) -> Error {
        violation(format!(
            "a line of a reply is longer than {} bytes, more than this client accepts: {}",
            self.limits.line,
            excerpt(input)
        ))
    }
}

impl Partial {
    fn push(&mut self, text: &[u8], raw: usize) {
        self.text.extend_from_slice(text);
        self.ends.push(self.text.len());
        self.taken += raw;
    }

    fn finish(self) -> Reply {
        let text = self.text.freeze();
        let mut begin = 0;
        let lines =
            self.ends.iter().map(|&end| text.slice(std::mem::replace(&mut begin, end)..end)).collect();
        Reply::new(self.code, lines)
    }
}

/// What a line says when it begins with a code.
struct Head<'a> {
    code: u16,
    /// `ddd ` or `ddd` alone, not `ddd-`.
    last: bool,
    text: &'a [u8],
}

impl<'a> Head<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        let (digits, rest) = line.split_at_checked(3)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        if !(100..=659).contains(&code) {
            return None;
        }
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return None,
        };
        Some(Self { code, last, text })
    }
}

/// Every reply in `bytes`, which must hold complete ones only: the text inside the tokens of one protected reply.
///
/// # Errors
/// As [`ReplyParser::next`], and `Protocol` when something is left over.
pub(crate) fn parse_complete(bytes: &[u8]) -> Result<Vec<Reply>> {
    let mut input = BytesMut::from(bytes);
    // Some servers leave out the line end inside a token.
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        input.extend_from_slice(b"\r\n");
    }
    let mut parser = ReplyParser::new(Limits::CLEAR);
    let mut replies = Vec::new();
    while let Some(reply) = parser.next(&mut input)? {
        replies.push(reply);
    }
    match parser.partial {
        Some(partial) => Err(violation(format!("a protected reply {} lacks its last line", partial.code))),
        None => Ok(replies),
    }
}

fn not_a_reply(line: &[u8]) -> Error {
    violation(format!(
        "expected a reply (three digits 100 to 659 and a blank or a hyphen), the server sent {}",
        excerpt(line)
    ))
}

#[cfg(test)]
mod tests;
