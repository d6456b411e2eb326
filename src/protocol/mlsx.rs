//! Facts about files: the reply to MLST and the lines that MLSD sends (RFC 3659 §7).

use crate::error::{Reply, Result};
use crate::protocol::command::is_control;
use crate::protocol::time::parse_time;
use crate::protocol::value::parse_size;
use crate::protocol::{excerpt, expect_code, violation};
use crate::types::{Entry, EntryKind};

/// Longest line, in bytes: no path and no facts of a real file come near.
const MAX_LINE: usize = 64 * 1024;

/// The entry in `250-…`, a line of facts behind one blank, `250 End`.
///
/// The name is what the server calls the file, usually its full path.
///
/// # Errors
/// `Protocol` for another code, for no line of facts, and as [`parse_line`].
pub(crate) fn parse_mlst(reply: &Reply) -> Result<Entry> {
    expect_code(reply, 250)?;
    let between = reply.lines().len().saturating_sub(2);
    let lines = || reply.lines().skip(1).take(between);
    // The blank is what marks the line; servers that leave it out have their line of facts next.
    match lines().find_map(|line| line.strip_prefix(b" ")).or_else(|| lines().next()) {
        Some(line) => parse_line(line),
        None => Err(violation(format!("expected the facts of a file, the server said {reply}"))),
    }
}

/// One line of a listing, without its line end: `fact=value;fact=value; name`.
///
/// The line end is CR LF: a bare LF can be part of a name and then belongs to the line.
///
/// # Errors
/// `Protocol` for a line that is not of the form, a size that is none, and a line that is too long.
pub(crate) fn parse_line(line: &[u8]) -> Result<Entry> {
    let refused = |what: &str| violation(format!("{what} in a line of facts: {}", excerpt(line)));
    if line.len() > MAX_LINE {
        return Err(refused("more than 65536 bytes"));
    }
    // Facts hold no blank, so the first one ends them; all others are part of the name.
    let Some(at) = line.iter().position(|&byte| byte == b' ') else {
        return Err(refused("no name"));
    };
    let (facts, name) = (&line[..at], &line[at + 1..]);
    if name.is_empty() {
        return Err(refused("no name"));
    }
    if facts.iter().any(|&byte| is_control(byte)) {
        return Err(refused("a control byte"));
    }
    let mut entry = Entry::new(name, EntryKind::Unknown);
    for fact in facts.split(|&byte| byte == b';').filter(|fact| !fact.is_empty()) {
        let Some(at) = fact.iter().position(|&byte| byte == b'=') else {
            return Err(refused("a fact without a value"));
        };
        let (fact, value) = (&fact[..at], &fact[at + 1..]);
        if fact.eq_ignore_ascii_case(b"size") {
            entry.size = Some(parse_size(value).ok_or_else(|| refused("a size that is none"))?);
        } else if fact.eq_ignore_ascii_case(b"modify") {
            // A wrong time makes no file unusable; what the server wrote can still be asked for.
            entry.modified = parse_time(value);
        } else if fact.eq_ignore_ascii_case(b"type") {
            entry.kind = kind(value);
        }
    }
    entry.facts = facts.into();
    Ok(entry)
}

/// The value of the fact `Type`. `OS.unix=slink:target` (RFC 3659 §7.5.1) names the target as well.
fn kind(value: &[u8]) -> EntryKind {
    let word = value.split(|&byte| byte == b':').next().unwrap_or(value).to_ascii_lowercase();
    match &word[..] {
        b"file" => EntryKind::File,
        b"dir" => EntryKind::Dir,
        b"cdir" => EntryKind::CurrentDir,
        b"pdir" => EntryKind::ParentDir,
        b"slink" | b"os.unix=slink" | b"os.unix=symlink" => EntryKind::Symlink,
        _ => EntryKind::Other(String::from_utf8_lossy(value).into_owned()),
    }
}

#[cfg(test)]
mod tests;
