//! Lists of what is to be copied: lines as `globus-url-copy -f` takes and writes them, JSON lines, or words with NUL behind.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use crate::failure::Failure;
use crate::stream::Part;

/// Longest list that is read. A line of it is some hundred bytes.
const MAX_BYTES: u64 = 4 << 30;

/// One line of a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) source: OsString,
    pub(crate) dest: OsString,
    pub(crate) part: Part,
}

/// Reads a whole list; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::local(format!("cannot read the list {}", path.display()), error);
    let mut text = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_BYTES).read_to_end(&mut text).map_err(failed)?;
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text))
            .map_err(failed)?;
    }
    Ok(text)
}

/// The pairs of a list.
pub(crate) fn pairs(text: &[u8], null: bool, path: &Path) -> Result<Vec<Line>, Failure> {
    if null {
        return nul_separated(text, path);
    }
    let mut pairs = Vec::new();
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let parsed = if line.starts_with(b"{") { json(line) } else { words(line) };
        pairs.push(
            parsed
                .map_err(|why| Failure::usage(format!("{}, line {}: {why}", path.display(), number + 1)))?,
        );
    }
    Ok(pairs)
}

/// The paths of a list for `--files-from`.
pub(crate) fn paths(text: &[u8], null: bool) -> Vec<Vec<u8>> {
    let end = if null { 0 } else { b'\n' };
    let lines = text.split(|&byte| byte == end);
    let trimmed = lines.map(|line| if null { line } else { line.strip_suffix(b"\r").unwrap_or(line) });
    let below = trimmed.map(|line| line.strip_prefix(b"./").unwrap_or(line));
    let relative = below.map(|line| {
        let end = line.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
        line[..end].iter().position(|&byte| byte != b'/').map_or(&b""[..], |begin| &line[begin..end])
    });
    relative.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

fn nul_separated(text: &[u8], path: &Path) -> Result<Vec<Line>, Failure> {
    let mut words: Vec<&[u8]> = text.split(|&byte| byte == 0).collect();
    // The last one has a NUL behind it too, mostly with nothing following.
    if words.last().is_some_and(|last| last.trim_ascii().is_empty()) {
        words.pop();
    }
    let (pairs, []) = words.as_chunks::<2>() else {
        return Err(Failure::usage(format!(
            "{}: {} words, expected pairs: SOURCE NUL DEST NUL",
            path.display(),
            words.len()
        )));
    };
    let line = |[source, dest]: &[&[u8]; 2]| Line {
        source: OsStr::from_bytes(source).to_owned(),
        dest: OsStr::from_bytes(dest).to_owned(),
        part: Part::default(),
    };
    Ok(pairs.iter().map(line).collect())
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonLine {
    source: String,
    destination: String,
    offset: Option<u64>,
    length: Option<u64>,
}

fn json(line: &[u8]) -> Result<Line, String> {
    let line: JsonLine = serde_json::from_slice(line).map_err(|error| {
        format!("{error}; expected {{\"source\": \"…\", \"destination\": \"…\"}}, with \"offset\" and \"length\" if wanted")
    })?;
    let partial = line.offset.is_some() || line.length.is_some();
    let offset = line.offset.unwrap_or(0);
    check_end(offset, line.length)?;
    Ok(Line {
        source: line.source.into(),
        dest: line.destination.into(),
        part: Part { offset, length: line.length, partial },
    })
}

fn check_end(offset: u64, length: Option<u64>) -> Result<(), String> {
    let end = offset.checked_add(length.unwrap_or(0)).filter(|end| i64::try_from(*end).is_ok());
    end.map(drop).ok_or_else(|| "the part ends beyond 2^63 bytes".to_owned())
}

/// `SOURCE DEST [OFFSET,LENGTH] [FACTS]`, each in double quotes if there are blanks in it.
fn words(line: &[u8]) -> Result<Line, String> {
    let (source, rest) = word(line)?;
    let (dest, rest) = word(rest)?;
    if dest.is_empty() {
        return Err("one word, expected SOURCE DEST, in double quotes if there are blanks in them".to_owned());
    }
    let (part, _) = word(rest)?;
    // What may follow are facts that a dump writes down.
    let part = match part.to_str() {
        Some("") => Part::default(),
        Some(text) if !text.contains('=') => parse_part(text)?,
        _ => Part::default(),
    };
    Ok(Line { source, dest, part })
}

fn word(text: &[u8]) -> Result<(OsString, &[u8]), String> {
    let text = text.trim_ascii_start();
    let (word, rest) = match text.strip_prefix(b"\"") {
        Some(quoted) => {
            let end = quoted.iter().position(|&byte| byte == b'"').ok_or("a quote has no end")?;
            (&quoted[..end], &quoted[end + 1..])
        }
        None => {
            let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
            text.split_at(end)
        }
    };
    Ok((OsString::from_vec(word.to_vec()), rest))
}

fn parse_part(text: &str) -> Result<Part, String> {
    let wrong = || format!("\"{text}\" is no part, expected OFFSET,LENGTH in bytes, with -1 for all of it");
    let (offset, length) = text.split_once(',').ok_or_else(wrong)?;
    let number = |text: &str| match text {
        "-1" | "" => Ok(None),
        text => text.parse::<u64>().map(Some).map_err(|_| wrong()),
    };
    let (offset, length) = (number(offset)?, number(length)?);
    check_end(offset.unwrap_or(0), length)?;
    let partial = length.is_some() || offset.is_some_and(|offset| offset > 0);
    Ok(Part { offset: offset.unwrap_or(0), length, partial })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<(String, String, Part)>, String> {
        let lines =
            pairs(text.as_bytes(), false, Path::new("list")).map_err(|failure| failure.line().unwrap())?;
        let shown = |text: OsString| text.into_string().unwrap();
        Ok(lines.into_iter().map(|line| (shown(line.source), shown(line.dest), line.part)).collect())
    }

    #[test]
    fn lines_as_globus_url_copy_has_them() {
        let text = "# a comment\n\n  ftp://h/a file:///b  \n\"ftp://h/a b\" \"x y\" 0,-1 size=3;modify=1;\r\nftp://h/c d 5,10\n";
        let none = Part::default();
        assert_eq!(
            of(text).unwrap(),
            [
                ("ftp://h/a".into(), "file:///b".into(), none),
                ("ftp://h/a b".into(), "x y".into(), none),
                ("ftp://h/c".into(), "d".into(), Part { offset: 5, length: Some(10), partial: true }),
            ]
        );
    }

    #[test]
    fn json_lines_and_nul() {
        let text = "{\"source\": \"a b\", \"destination\": \"c\\u0000\", \"length\": 3}\n";
        let part = Part { offset: 0, length: Some(3), partial: true };
        assert_eq!(of(text).unwrap(), [("a b".into(), "c\0".into(), part)]);
        let lines = pairs(b"a\nb\0c\0d\0e\0", true, Path::new("l")).unwrap();
        assert_eq!((lines.len(), lines[0].source.as_os_str()), (2, OsStr::new("a\nb")));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, words) in [
            ("a\n", "line 1: one word"),
            ("a b\n\"a", "line 2: a quote has no end"),
            ("a b c", "is no part"),
            ("a b 9223372036854775807,2", "beyond 2^63"),
            ("{\"source\": \"a\"}", "destination"),
            ("{\"source\": \"a\", \"destination\": \"b\", \"sizes\": 1}", "sizes"),
        ] {
            let message = of(text).unwrap_err();
            assert!(message.contains(words), "{message}");
        }
        let odd = pairs(b"a\0b\0c\0", true, Path::new("l")).unwrap_err().line().unwrap();
        assert!(odd.contains("3 words"), "{odd}");
    }

    #[test]
    fn paths_below_a_folder() {
        assert_eq!(paths(b"a\n./b/c\n\n/d/\r\n", false), [&b"a"[..], b"b/c", b"d"]);
        assert_eq!(paths(b"a\nb\0c\0", true), [&b"a\nb"[..], b"c"]);
    }
}
