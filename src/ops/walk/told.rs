//! What was told of a folder whose listing may have to begin again: none of it is told twice.

use std::collections::HashSet;

use crate::error::Result;
use crate::types::Entry;

/// The names are few: a pipeline lists a folder again only as long as the first block's worth of it was handed out.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// In all attempts so far.
    all: Seen,
    /// In those before this one, and not yet met again in this one.
    before: Seen,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    names: HashSet<Box<[u8]>>,
    /// Lines that made no sense.
    errors: usize,
}

impl Told {
    /// Takes in what a listing that may still begin again has told.
    pub(super) fn note(&mut self, entry: &Result<Entry>) {
        match entry {
            Ok(entry) => drop(self.all.names.insert(entry.name().into())),
            Err(_) => self.all.errors += 1,
        }
    }

    /// The listing begins again.
    pub(super) fn begin_again(&mut self) {
        self.before = self.all.clone();
    }

    /// Whether that was not told before the listing began again.
    pub(super) fn is_new(&mut self, entry: &Result<Entry>) -> bool {
        match entry {
            Ok(entry) => !self.before.names.remove(entry.name()),
            Err(_) if self.before.errors > 0 => {
                self.before.errors -= 1;
                false
            }
            Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::protocol::listing::{Decoder, Form};

    fn entries(names: &[&str]) -> Vec<Result<Entry>> {
        let mut decoder = Decoder::new(Form::Facts);
        let lines: String = names.iter().map(|name| format!("Type=file; {name}\r\n")).collect();
        decoder.push(lines.into());
        decoder.finish();
        std::iter::from_fn(|| decoder.next().unwrap()).collect()
    }

    /// One attempt; what of it is told.
    fn attempt(told: &mut Told, names: &[&str], bad_lines: usize) -> (Vec<String>, usize) {
        let bad = (0..bad_lines).map(|_| Err(Error::invalid("no line of a listing")));
        let (mut new, mut errors) = (Vec::new(), 0);
        for entry in entries(names).into_iter().chain(bad) {
            if told.is_new(&entry) {
                told.note(&entry);
                match entry {
                    Ok(entry) => new.push(String::from_utf8(entry.name().to_vec()).unwrap()),
                    Err(_) => errors += 1,
                }
            }
        }
        (new, errors)
    }

    #[test]
    fn nothing_is_told_twice_however_often_a_listing_begins() {
        let mut told = Told::default();
        assert_eq!(attempt(&mut told, &["a", "b"], 1), (vec!["a".into(), "b".into()], 1));
        told.begin_again();
        // In another order, and a little further.
        assert_eq!(attempt(&mut told, &["c", "a"], 2), (vec!["c".into()], 1));
        told.begin_again();
        assert_eq!(attempt(&mut told, &["b", "a", "d", "c"], 3), (vec!["d".into()], 1));
    }

    /// A server's own repetitions are its own affair.
    #[test]
    fn what_a_listing_says_twice_is_told_twice() {
        let mut told = Told::default();
        assert_eq!(attempt(&mut told, &["a", "a"], 0).0, ["a", "a"]);
        told.begin_again();
        assert_eq!(attempt(&mut told, &["a", "b"], 0).0, ["b"]);
    }
}
