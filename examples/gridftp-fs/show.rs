//! How things are shown: nothing that a server says reaches a terminal, or a program, as anything but text.

use std::fmt::Write as _;

use gridftp::{Entry, EntryKind, Url};
use serde_json::{Map, Value, json};

use crate::when;

/// Bytes of a name, with control characters, direction overrides and what is no UTF-8 escaped.
pub(crate) fn name(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let hidden = matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
            if c.is_control() || hidden {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Text from a server.
pub(crate) fn text(text: &str) -> String {
    name(text.as_bytes())
}

/// A size as in `1.5M`, in powers of 1024.
pub(crate) fn human(bytes: u64) -> String {
    let mut unit = 0;
    let mut whole = bytes;
    let mut rest = 0;
    while whole >= 1024 && unit < 6 {
        (whole, rest) = (whole / 1024, whole % 1024);
        unit += 1;
    }
    match unit {
        0 => bytes.to_string(),
        _ => {
            let suffix = ["", "K", "M", "G", "T", "P", "E"][unit];
            if whole < 10 {
                format!("{whole}.{}{suffix}", rest * 10 / 1024)
            } else {
                format!("{whole}{suffix}")
            }
        }
    }
}

pub(crate) fn size(bytes: u64, as_human: bool) -> String {
    if as_human { human(bytes) } else { bytes.to_string() }
}

/// The word for what it is; a link is one whatever is behind it.
pub(crate) fn kind(entry: &Entry) -> String {
    if entry.is_symlink() {
        return "link".into();
    }
    match entry.kind() {
        EntryKind::File => "file".into(),
        EntryKind::Dir | EntryKind::CurrentDir | EntryKind::ParentDir => "dir".into(),
        EntryKind::Other(word) => word.clone(),
        _ => "unknown".into(),
    }
}

/// The letters of `ls -l`; question marks where the server does not tell.
pub(crate) fn mode(entry: &Entry) -> String {
    let mut text = String::with_capacity(10);
    text.push(match kind(entry).as_str() {
        "link" => 'l',
        "file" => '-',
        "dir" => 'd',
        _ => '?',
    });
    let Some(mode) = entry.unix_mode() else { return text + "?????????" };
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift & 7;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
        });
    }
    text
}

/// Bytes as JSON: text where they are, with U+FFFD in it otherwise.
fn lossy(bytes: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(bytes).into_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An entry for programs. `url` is null for a name that no URL can hold.
pub(crate) fn object(name: &[u8], path: &[u8], url: Option<&Url>, entry: &Entry) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("name".into(), lossy(name));
    map.insert("path".into(), lossy(path));
    map.insert("type".into(), kind(entry).into());
    map.insert("size".into(), json!(entry.size()));
    map.insert("modified".into(), json!(entry.modified().map(when::rfc3339)));
    map.insert("mode".into(), json!(entry.unix_mode().map(|mode| format!("{mode:04o}"))));
    map.insert("owner".into(), json!(entry.owner()));
    map.insert("group".into(), json!(entry.group()));
    map.insert("link_target".into(), json!(entry.link_target().as_deref().map(lossy)));
    map.insert("url".into(), json!(url.map(ToString::to_string)));
    if std::str::from_utf8(path).is_err() {
        // Nothing is lost to those who need the very bytes.
        map.insert("path_hex".into(), hex(path).into());
    }
    map
}

/// Every fact the server told.
pub(crate) fn facts(entry: &Entry) -> Value {
    let facts = entry.facts();
    Value::Object(
        facts.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), lossy(value))).collect(),
    )
}

/// Lines with columns of the same width. `right` are the columns that are aligned to the right; the last one is as it is.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]], right: &[usize]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            // Writing to a String cannot fail.
            let _ = match column {
                _ if column + 1 == N => write!(line, "{cell}"),
                _ if right.contains(&column) => write!(line, "{cell:>width$}  "),
                _ => write!(line, "{cell:<width$}  "),
            };
        }
        line
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_plays_with_a_terminal() {
        assert_eq!(name(b"a\x1b[2J\x01\xff\xe2\x80\xae b\n"), "a\\u{1b}[2J\\u{1}\\xff\\u{202e} b\\n");
    }

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 1023, 1024, 1536, 10 * 1024, 1 << 40, u64::MAX].map(human);
        assert_eq!(sizes, ["0", "1023", "1.0K", "1.5K", "10K", "1.0T", "15E"]);
    }
}
