//! Lines of LIST, which no standard describes: those of Unix (`ls -l`) and of MS-DOS.
//!
//! What they tell is less than a line of facts does: times are cut to minutes or days and are in a time zone that is not
//! told (UTC is assumed), a year is often left out, and where a name begins is a matter of columns.

use std::time::{Duration, SystemTime};

use crate::error::Result;
use crate::protocol::time::{format_time, parse_time};
use crate::protocol::value::parse_size;
use crate::protocol::{excerpt, violation};
use crate::types::{Entry, EntryKind};

/// How far a date without a year may lie ahead of our clock: the time zone of a server is up to 14 hours ahead of UTC.
const AHEAD: Duration = Duration::from_secs(86_400);

/// Columns of a line that are looked at: permissions, links, owner, group, size, and room for blanks in names of groups.
const MAX_COLUMNS: usize = 24;

/// Blanks between `<DIR>` and the name, as Microsoft's server writes them.
const AFTER_DIR: usize = 10;

const MONTHS: [&[u8]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

/// One line of LIST, without its line end; `None` for a line that is about nothing: an empty one, `total 12`.
///
/// # Errors
/// `Protocol` for a line in neither form.
pub(crate) fn parse_line(line: &[u8], now: SystemTime) -> Result<Option<Entry>> {
    let refused = || Err(violation(format!("a line of a listing in no known form: {}", excerpt(line))));
    let mut text = line.trim_ascii_end();
    if text.is_empty() || is_total(text) {
        return Ok(None);
    }
    // Blanks at the end may belong to the name.
    text = line;
    match unix(text, now).or_else(|| ms_dos(text)) {
        Some(entry) => Ok(Some(entry)),
        None => refused(),
    }
}

fn is_total(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"total ") else { return false };
    rest.trim_ascii().first().is_some_and(u8::is_ascii_digit)
}

/// A column: where it begins and ends in the line.
#[derive(Debug, Clone, Copy)]
struct Column<'a> {
    text: &'a [u8],
    end: usize,
}

/// The first columns of a line.
fn columns(line: &[u8]) -> Vec<Column<'_>> {
    let mut found = Vec::with_capacity(10);
    let mut at = 0;
    while found.len() < MAX_COLUMNS {
        let Some(begin) = line[at..].iter().position(|&byte| byte != b' ').map(|skip| at + skip) else {
            break;
        };
        let end =
            line[begin..].iter().position(|&byte| byte == b' ').map_or(line.len(), |length| begin + length);
        found.push(Column { text: &line[begin..end], end });
        at = end;
    }
    found
}

fn unix(line: &[u8], now: SystemTime) -> Option<Entry> {
    let columns = columns(line);
    let (mode, kind) = permissions(columns.first()?.text)?;
    // The date is what can be told for certain; what stands in front of it is counted from there.
    let (at, date) = (2..columns.len()).find_map(|at| Some((at, date(&columns[at..], now)?)))?;
    let size_column = columns[at - 1].text;
    let (size, before) = match parse_size(size_column) {
        // `4, 64`: the numbers of a device.
        Some(_) if at >= 3 && columns[at - 2].text.ends_with(b",") => (None, at - 2),
        Some(size) => (Some(size), at - 1),
        None if size_column.split(|&byte| byte == b',').all(|part| parse_size(part).is_some()) => {
            (None, at - 1)
        }
        None => return None,
    };
    let name = line.get(columns[at + date.columns - 1].end + 1..).filter(|name| !name.is_empty())?;
    let (name, target) = match kind {
        EntryKind::Symlink => link(name, size),
        _ => (name, None),
    };
    let mut entry = Entry::new(name, kind);
    entry.size = size;
    entry.modified = date.time;
    entry.facts = facts(&entry.kind, size, mode, &columns[1..before], target);
    Some(entry)
}

/// What `drwxr-xr-x` says: the permission bits, if they are readable, and the kind.
fn permissions(text: &[u8]) -> Option<(Option<u32>, EntryKind)> {
    let (&kind, bits) = text.split_first()?;
    // Behind the nine may stand a mark that there are access control lists.
    if !(9..=11).contains(&bits.len()) || !bits[..9].iter().all(|byte| b"rwxsStTlL-?".contains(byte)) {
        return None;
    }
    let other = |word: &str| EntryKind::Other(format!("OS.unix={word}"));
    let kind = match kind {
        b'-' | b'f' => EntryKind::File,
        b'd' => EntryKind::Dir,
        b'l' => EntryKind::Symlink,
        b'p' => other("pipe"),
        b's' => other("socket"),
        b'c' => other("chr"),
        b'b' => other("blk"),
        byte if byte.is_ascii_graphic() => other(&char::from(byte).to_string()),
        _ => return None,
    };
    let mut mode = 0;
    for (place, &byte) in (0_u32..).zip(&bits[..9]) {
        let bit = 0o400 >> place;
        let special = 0o4000 >> (place / 3);
        match (byte, place % 3) {
            (b'-', _) => {}
            (b'r', 0) | (b'w', 1) | (b'x', 2) => mode |= bit,
            (b's' | b't', 2) => mode |= bit | special,
            (b'S' | b'T' | b'l' | b'L', 2) => mode |= special,
            _ => return Some((None, kind)),
        }
    }
    Some((Some(mode), kind))
}

/// A date, and how many columns it takes.
struct Date {
    time: Option<SystemTime>,
    columns: usize,
}

/// `Nov 22 16:28`, `Nov 22 2001`, `22 Nov 2001`, `2001-11-22 16:28`.
fn date(columns: &[Column<'_>], now: SystemTime) -> Option<Date> {
    let [first, second, rest @ ..] = columns else { return None };
    if let Some((year, month, day)) = iso_date(first.text) {
        let clock = clock(second.text)?;
        return Some(Date { time: point(year, month, day, clock), columns: 2 });
    }
    let (month, day) = match month(first.text) {
        Some(month) => (month, number(second.text, 2)?),
        None => (month(second.text)?, number(first.text, 2)?),
    };
    if !(1..=31).contains(&day) {
        return None;
    }
    let third = rest.first()?.text;
    let time = match clock(third) {
        Some(clock) => latest(month, day, clock, now),
        None => point(number(third, 4).filter(|_| third.len() == 4)?, month, day, 0),
    };
    Some(Date { time, columns: 3 })
}

fn month(text: &[u8]) -> Option<u64> {
    let lower = text.get(..3)?.to_ascii_lowercase();
    let place = MONTHS.iter().position(|month| *month == lower)?;
    (text.len() == 3 || text.len() == 4 && text[3] == b'.').then(|| u64::try_from(place + 1).ok())?
}

fn iso_date(text: &[u8]) -> Option<(u64, u64, u64)> {
    let [year @ .., b'-', m1, m2, b'-', d1, d2] = text else { return None };
    Some((number(year, 4).filter(|_| year.len() == 4)?, number(&[*m1, *m2], 2)?, number(&[*d1, *d2], 2)?))
}

/// Seconds of the day in `16:28` or `16:28:01`.
fn clock(text: &[u8]) -> Option<u64> {
    let mut parts = text.split(|&byte| byte == b':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |part| number(part, 2))?;
    (hour < 24 && minute < 60 && second <= 60 && parts.next().is_none())
        .then_some(hour * 3600 + minute * 60 + second)
}

fn number(digits: &[u8], most: usize) -> Option<u64> {
    let plain = !digits.is_empty() && digits.len() <= most;
    plain
        .then_some(digits)?
        .iter()
        .try_fold(0_u64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0')))
}

fn point(year: u64, month: u64, day: u64, clock: u64) -> Option<SystemTime> {
    let midnight = parse_time(format!("{year:04}{month:02}{day:02}000000").as_bytes())?;
    midnight.checked_add(Duration::from_secs(clock))
}

/// The most recent such day that is not in the future: a year is left out for files of the last months only.
fn latest(month: u64, day: u64, clock: u64, now: SystemTime) -> Option<SystemTime> {
    let limit = now.checked_add(AHEAD)?;
    let this_year = number(format_time(now).ok()?.as_bytes().get(..4)?, 4)?;
    // Eight years back there was a 29 February, at any turn of a century.
    let years = (this_year.saturating_sub(8)..=this_year + 1).rev();
    years.filter_map(|year| point(year, month, day, clock)).find(|time| *time <= limit)
}

/// Name and target of a link. A name may hold ` -> ` itself: the size of a link is the length of its target.
fn link(text: &[u8], size: Option<u64>) -> (&[u8], Option<&[u8]>) {
    const ARROW: &[u8] = b" -> ";
    let split = |at: usize| (&text[..at], Some(&text[at + ARROW.len()..]));
    let mut arrows = (1..text.len().saturating_sub(ARROW.len() - 1))
        .filter(|&at| text[at..].starts_with(ARROW))
        .peekable();
    let Some(first) = arrows.peek().copied() else { return (text, None) };
    let fits = |at: &usize| size == u64::try_from(text.len() - at - ARROW.len()).ok();
    split(arrows.find(fits).unwrap_or(first))
}

/// The columns as facts, so that everything that is asked of an entry is found in one place.
fn facts(
    kind: &EntryKind,
    size: Option<u64>,
    mode: Option<u32>,
    names: &[Column<'_>],
    target: Option<&[u8]>,
) -> Box<[u8]> {
    use std::fmt::Write as _;
    let mut facts = String::new();
    let word = match kind {
        EntryKind::File => "file",
        EntryKind::Dir => "dir",
        EntryKind::Symlink => "OS.unix=slink",
        EntryKind::Other(word) => word,
        _ => "",
    };
    if !word.is_empty() {
        let _ = write!(facts, "Type={word};");
    }
    if let Some(size) = size {
        let _ = write!(facts, "Size={size};");
    }
    if let Some(mode) = mode {
        let _ = write!(facts, "UNIX.mode={mode:04o};");
    }
    // Links, owner, group. With more or fewer columns nobody can tell which is which.
    let names = match names {
        [links, names @ ..] if !names.is_empty() && links.text.iter().all(u8::is_ascii_digit) => names,
        names => names,
    };
    let keys: &[&str] = match names.len() {
        1 => &["UNIX.owner"],
        2 => &["UNIX.owner", "UNIX.group"],
        _ => &[],
    };
    for (key, column) in keys.iter().zip(names) {
        if let Ok(name) = std::str::from_utf8(column.text)
            && !name.contains(|c: char| c == ';' || c.is_control())
        {
            let _ = write!(facts, "{key}={name};");
        }
    }
    if let Some(target) = target {
        let _ = write!(
            facts,
            "UNIX.slink={};",
            percent_encoding::percent_encode(target, percent_encoding::NON_ALPHANUMERIC)
        );
    }
    facts.into_bytes().into()
}

/// `11-22-26  04:28PM       <DIR>          name`.
fn ms_dos(line: &[u8]) -> Option<Entry> {
    let columns = columns(line);
    let [date, clock, size, ..] = &columns[..] else { return None };
    let mut fields = date.text.split(|&byte| byte == b'-');
    let (month, day) = (number(fields.next()?, 2)?, number(fields.next()?, 2)?);
    let year = fields.next().filter(|year| year.len() == 2 || year.len() == 4)?;
    let year = match (number(year, 4)?, year.len()) {
        (year, 2) if year < 70 => 2000 + year,
        (year, 2) => 1900 + year,
        (year, _) => year,
    };
    if fields.next().is_some() {
        return None;
    }
    let time = point(year, month, day, half_day_clock(clock.text)?);
    let rest = &line[size.end..];
    let (kind, size, name) = match size.text {
        b"<DIR>" | b"<JUNCTION>" | b"<SYMLINKD>" | b"<SYMLINK>" => {
            let blanks = rest.iter().take_while(|&&byte| byte == b' ').count();
            let kind = if size.text == b"<DIR>" { EntryKind::Dir } else { EntryKind::Symlink };
            (kind, None, &rest[blanks.min(AFTER_DIR)..])
        }
        digits => {
            let digits: Vec<u8> = digits.iter().copied().filter(|&byte| byte != b',').collect();
            (EntryKind::File, Some(parse_size(&digits)?), rest.get(1..)?)
        }
    };
    if name.is_empty() {
        return None;
    }
    let mut entry = Entry::new(name, kind);
    entry.size = size;
    entry.modified = time;
    entry.facts = facts(&entry.kind, size, None, &[], None);
    Some(entry)
}

/// `04:28PM`, or `16:28`.
fn half_day_clock(text: &[u8]) -> Option<u64> {
    let (digits, half) = match text {
        [digits @ .., half @ (b'A' | b'a' | b'P' | b'p'), b'M' | b'm'] => (digits, Some(half)),
        _ => (text, None),
    };
    let seconds = clock(digits)?;
    match half {
        None => Some(seconds),
        Some(_) if !(3600..13 * 3600).contains(&seconds) => None,
        Some(b'A' | b'a') => Some(seconds % (12 * 3600)),
        Some(_) => Some(seconds % (12 * 3600) + 12 * 3600),
    }
}

#[cfg(test)]
mod tests;
