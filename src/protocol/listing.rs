//! Listings as they arrive: bytes in pieces of any size, entries out, in bounded memory.

use std::time::SystemTime;

use bytes::Bytes;

use crate::error::Result;
use crate::protocol::{list, mlsx, violation};
use crate::types::Entry;

/// Longest line, in bytes. Under the fuzzer it is short, so that it is reached.
const MAX_LINE: usize = if cfg!(fuzzing) { 100 } else { 64 * 1024 };

/// What a listing consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lines of facts, as MLSD sends them.
    Facts,
    /// Lines of LIST. Dates in them leave the year out: the present time tells it.
    Verbose { now: SystemTime },
}

/// Makes entries of what MLSD or LIST sends.
#[derive(Debug)]
pub(crate) struct Decoder {
    form: Form,
    lines: Lines,
}

impl Decoder {
    pub(crate) fn new(form: Form) -> Self {
        // In lines of facts a bare LF is part of a name. In those of LIST it ends a line: programs called `ls` write it so.
        Self { form, lines: Lines::new(form == Form::Facts) }
    }

    /// Takes in what has arrived. Call it when [`Decoder::next`] has nothing more.
    pub(crate) fn push(&mut self, data: Bytes) {
        self.lines.push(data);
    }

    /// Nothing more will come: what is held is the last line.
    pub(crate) fn finish(&mut self) {
        self.lines.over = true;
    }

    /// The next entry, or what is wrong with a line; `None` until more is pushed.
    ///
    /// # Errors
    /// `Protocol` for a line without end, after which nothing can be told any more.
    pub(crate) fn next(&mut self) -> Result<Option<Result<Entry>>> {
        while let Some(line) = self.lines.next()? {
            let entry = match self.form {
                Form::Facts if line.is_empty() => continue,
                Form::Facts => mlsx::parse_line(&line).map(Some),
                Form::Verbose { now } => list::parse_line(&line, now),
            };
            if let Some(entry) = entry.transpose() {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// Cuts bytes into lines, without their ends.
#[derive(Debug)]
struct Lines {
    /// What has not been looked at.
    chunk: Bytes,
    /// The beginning of a line that ends in a later chunk.
    begun: Vec<u8>,
    /// Only CR LF ends a line.
    strict: bool,
    /// A line that ended with CR LF was seen.
    proven: bool,
    over: bool,
}

impl Lines {
    fn new(strict: bool) -> Self {
        Self { chunk: Bytes::new(), begun: Vec::new(), strict, proven: false, over: false }
    }

    fn push(&mut self, data: Bytes) {
        debug_assert!(self.chunk.is_empty(), "the chunk before was looked at");
        self.chunk = data;
    }

    fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let found = self.line_end();
            // Judged before anything else, so that it does not matter how the bytes were cut up on their way.
            let length = self.begun.len() + found.map_or(self.chunk.len(), |(end, _)| end);
            let cr = found.map_or_else(|| self.may_end(), |(_, cr)| cr);
            if length - usize::from(cr) > MAX_LINE {
                if !self.loosen() {
                    return Err(endless());
                }
                continue;
            }
            if let Some((end, cr)) = found {
                let mut line = self.chunk.split_to(end + 1);
                line.truncate(end);
                self.proven |= cr;
                if !self.begun.is_empty() {
                    self.begun.extend_from_slice(&line);
                    line = std::mem::take(&mut self.begun).into();
                }
                if cr {
                    line.truncate(line.len() - 1);
                }
                return Ok(Some(line));
            }
            self.begun.extend_from_slice(&std::mem::take(&mut self.chunk));
            if !self.over || self.begun.is_empty() {
                return Ok(None);
            }
            if self.loosen() {
                continue;
            }
            return Ok(Some(std::mem::take(&mut self.begun).into()));
        }
    }

    /// Whether what is held ends in a CR that the LF of a line end may follow.
    fn may_end(&self) -> bool {
        !self.over && self.chunk.last().or_else(|| self.begun.last()) == Some(&b'\r')
    }

    /// Where the LF of the next line end is in the chunk, and whether a CR is before it.
    fn line_end(&self) -> Option<(usize, bool)> {
        let mut from = 0;
        loop {
            let at = from + self.chunk[from..].iter().position(|&byte| byte == b'\n')?;
            let before = if at == 0 { self.begun.last() } else { self.chunk.get(at - 1) };
            let cr = before == Some(&b'\r');
            if cr || !self.strict {
                return Some((at, cr));
            }
            from = at + 1;
        }
    }

    /// A server that has never sent CR LF, but LF, means that: looks at what is held once more.
    fn loosen(&mut self) -> bool {
        let held = self.begun.contains(&b'\n') || self.chunk.contains(&b'\n');
        if !self.strict || self.proven || !held {
            return false;
        }
        self.strict = false;
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(&self.chunk);
        self.chunk = all.into();
        true
    }
}

fn endless() -> crate::Error {
    violation(format!("a line of a listing with more than {MAX_LINE} bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(strict: bool, text: &[u8], sizes: &[usize]) -> Result<Vec<Vec<u8>>> {
        let (mut lines, mut found, mut rest) = (Lines::new(strict), Vec::new(), text);
        let mut sizes = sizes.iter().copied().cycle();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
            lines.push(Bytes::copy_from_slice(piece));
            rest = later;
            while let Some(line) = lines.next()? {
                found.push(line.to_vec());
            }
        }
        lines.over = true;
        while let Some(line) = lines.next()? {
            found.push(line.to_vec());
        }
        Ok(found)
    }

    #[test]
    fn line_ends() {
        let strict = |text: &[u8]| cut(true, text, &[3]).unwrap();
        assert_eq!(strict(b"a\r\nb\nc\r\n\r\nd"), [&b"a"[..], b"b\nc", b"", b"d"]);
        assert_eq!(strict(b"a\nb\nc"), [b"a", b"b", b"c"]);
        assert_eq!(strict(b"a\nb\nc\n"), [b"a", b"b", b"c"]);
        assert_eq!(strict(b""), [b""; 0]);
        assert_eq!(cut(false, b"a\r\nb\nc\rd\n", &[2]).unwrap(), [&b"a"[..], b"b", b"c\rd"]);
        // A long listing that knows no CR LF.
        let text = b"line\n".repeat(40_000);
        assert_eq!(cut(true, &text, &[10_000]).unwrap().len(), 40_000);
    }

    #[test]
    fn lines_without_end_are_refused() {
        assert!(cut(true, &vec![b'a'; MAX_LINE], &[1000]).is_ok());
        for text in [vec![b'a'; MAX_LINE + 1], [b"ok\r\n", &b"a\n".repeat(MAX_LINE)[..]].concat()] {
            for size in [1000, MAX_LINE * 4] {
                assert!(cut(true, &text, &[size]).unwrap_err().to_string().contains("65536"), "{size}");
            }
        }
    }

    #[test]
    fn long_lines_are_judged_alike_however_they_are_cut_up() {
        // The longest line that there may be, a listing without CR LF but for a name that ends in CR, and one byte too much.
        let longest = [&vec![b'a'; MAX_LINE][..], b"\r\n"].concat();
        let loose = [&b"name\n".repeat(MAX_LINE / 4)[..], b"odd\r\nlast\n"].concat();
        let endless = [&vec![b'a'; MAX_LINE + 1][..], b"\r\n"].concat();
        for size in [1, 1000, MAX_LINE, MAX_LINE + 1, MAX_LINE * 4] {
            assert_eq!(cut(true, &longest, &[size]).unwrap().len(), 1, "{size}");
            assert_eq!(cut(true, &loose, &[size]).unwrap().len(), MAX_LINE / 4 + 2, "{size}");
            assert!(cut(true, &endless, &[size]).is_err(), "{size}");
        }
    }

    #[test]
    fn a_bad_line_does_not_end_a_listing() {
        let mut decoder = Decoder::new(Form::Facts);
        decoder.push(Bytes::from_static(b"Type=file; a\r\nnonsense\r\nType=dir; b\r\nSize=1; c"));
        decoder.finish();
        let mut seen = Vec::new();
        while let Some(entry) = decoder.next().unwrap() {
            seen.push(entry.map(|entry| entry.name().to_vec()).map_err(|error| error.kind()));
        }
        let name = |name: &[u8]| Ok(name.to_vec());
        assert_eq!(seen, [name(b"a"), Err(crate::ErrorKind::Protocol), name(b"b"), name(b"c")]);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            lines in proptest::collection::vec("[a\r\n ]{0,5}b", 0..30),
            sizes in proptest::collection::vec(1_usize..20, 1..10),
        ) {
            let text = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
            let expected: Vec<_> = text.split_terminator("\r\n").map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(cut(true, text.as_bytes(), &sizes).unwrap(), expected);
        }
    }
}
