//! The spelling of `globus-url-copy`: long options with one dash.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use super::table::{Does, find};

/// What was typed, with every option of `globus-url-copy` in the form `--name` or `--name=value`, and what is to be said about
/// those that are not done.
#[derive(Debug, Default)]
pub(crate) struct Normalized {
    pub(crate) words: Vec<OsString>,
    pub(crate) warnings: Vec<String>,
}

/// Goes by the table. `own` says whether a name is that of a long option of this program's: those are clap's.
///
/// # Errors
/// A sentence for an option that has no value behind it, and for one that is refused.
pub(crate) fn normalized(
    words: impl Iterator<Item = OsString>,
    own: impl Fn(&str) -> bool,
) -> Result<Normalized, String> {
    let mut words = words.fuse().peekable();
    let mut out = Normalized::default();
    while let Some(word) = words.next() {
        if word == "--" {
            out.words.push(word);
            out.words.extend(words);
            return Ok(out);
        }
        if word == "--shard" {
            // A value that is left out must not be mistaken for a place.
            let share = words.peek().filter(|next| is_share(next.as_bytes())).cloned();
            let joined = match share {
                Some(share) => {
                    words.next();
                    OsString::from_vec([b"--shard=", share.as_bytes()].concat())
                }
                None => word,
            };
            out.words.push(joined);
            continue;
        }
        let Some((name, value)) = option(&word, &own) else {
            out.words.push(word);
            continue;
        };
        let Some(row) = find(name) else {
            out.words.push(word);
            continue;
        };
        let value = match (row.value, value) {
            (None, None) => None,
            (None, Some(_)) => return Err(format!("-{name} has no value; expected -{name} alone")),
            (Some(_), Some(value)) => Some(value),
            (Some(what), None) => {
                Some(words.next().ok_or_else(|| format!("-{name} needs a value behind it: -{name} {what}"))?)
            }
        };
        match row.does {
            Does::Refused(why) => return Err(format!("-{name} of globus-url-copy is not to be had: {why}")),
            Does::Warns(what) => out.warnings.push(format!("-{name} is not done: {what}")),
            Does::Is(long) => {
                // Joined, so that a value may begin with a dash.
                let mut text = format!("--{long}").into_bytes();
                if let Some(value) = value {
                    text.push(b'=');
                    text.extend_from_slice(value.as_bytes());
                }
                out.words.push(OsString::from_vec(text));
            }
        }
    }
    Ok(out)
}

/// Two numbers with a slash between them.
fn is_share(word: &[u8]) -> bool {
    let mut numbers = word.split(|&byte| byte == b'/');
    let mut number =
        || numbers.next().is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit));
    number() && number() && numbers.next().is_none()
}

/// The name of an option that could be in the table, and the value that is joined to it.
fn option<'a>(word: &'a OsString, own: &impl Fn(&str) -> bool) -> Option<(&'a str, Option<OsString>)> {
    let bytes = word.as_bytes();
    let end = bytes.iter().position(|&byte| byte == b'=').unwrap_or(bytes.len());
    let name = std::str::from_utf8(&bytes[..end]).ok()?;
    let value = (end < bytes.len()).then(|| OsString::from_vec(bytes[end + 1..].to_vec()));
    match (name.strip_prefix("--"), name.strip_prefix('-')) {
        (Some(long), _) => (!long.is_empty() && !own(long)).then_some((long, value)),
        // With one dash a value is a word of its own.
        (None, Some(short)) => (!short.is_empty() && value.is_none()).then_some((short, None)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<Vec<String>, String> {
        let own = |name: &str| ["fast", "preserve", "sync", "concurrency"].contains(&name);
        let out = normalized(words.iter().map(|word| OsString::from(*word)), own)?;
        Ok(out.words.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn one_dash_becomes_two_and_values_stay_with_their_option() {
        let words = of(&["-p", "4", "-fast", "-tcp-bs", "1M", "-vb", "-len", "-1", "a", "-", "b"]).unwrap();
        let wanted = [
            "--parallel=4",
            "--fast",
            "--tcp-buffer-size=1M",
            "--verbose-perf",
            "--partial-length=-1",
            "a",
            "-",
            "b",
        ];
        assert_eq!(words, wanted);
    }

    #[test]
    fn its_long_names_may_have_two_dashes() {
        assert_eq!(of(&["--filename", "x", "--dumpfile=y"]).unwrap(), ["--from-file=x", "--dumpfile=y"]);
        // But what is an option of ours is ours.
        assert_eq!(
            of(&["--sync=size", "--preserve", "mode"]).unwrap(),
            ["--sync=size", "--preserve", "mode"]
        );
    }

    #[test]
    fn what_is_not_known_or_stands_behind_two_dashes_is_left_alone() {
        assert_eq!(
            of(&["-x", "--fast", "--", "-fast", "-p"]).unwrap(),
            ["-x", "--fast", "--", "-fast", "-p"]
        );
        assert_eq!(of(&["-s", "-fast"]).unwrap(), ["--subject=-fast"]);
        assert_eq!(of(&["-rq", "-p=4"]).unwrap(), ["-rq", "-p=4"]);
    }

    #[test]
    fn a_share_is_a_value_and_a_place_is_not() {
        assert_eq!(of(&["--shard", "0/4", "a", "b"]).unwrap(), ["--shard=0/4", "a", "b"]);
        assert_eq!(of(&["--shard", "a", "b"]).unwrap(), ["--shard", "a", "b"]);
        assert_eq!(of(&["--shard=1/2", "0/4/5", "b"]).unwrap(), ["--shard=1/2", "0/4/5", "b"]);
    }

    #[test]
    fn what_is_refused_or_not_done_is_said() {
        assert!(of(&["-MC", "f", "a", "b"]).unwrap_err().contains("-MC of globus-url-copy is not to be had"));
        assert!(of(&["a", "b", "-p"]).unwrap_err().contains("-p needs a value"));
        let out = normalized(["-nlb", "-nli", "5", "a"].map(OsString::from).into_iter(), |_| false).unwrap();
        assert_eq!(out.words, ["a"]);
        assert_eq!(out.warnings.len(), 2);
    }
}
