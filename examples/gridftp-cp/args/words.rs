//! The spelling of `globus-url-copy`: long options with one dash.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// What follows the one dash, the option's own long name, and whether a value comes next.
const KNOWN: &[(&str, &str, bool)] = &[
    ("help", "help", false),
    ("usage", "help", false),
    ("version", "version", false),
    ("b", "binary", false),
    ("binary", "binary", false),
    ("p", "parallel", true),
    ("parallel", "parallel", true),
    ("fast", "fast", false),
    ("fast-data-channels", "fast", false),
    ("tcp-bs", "tcp-buffer-size", true),
    ("tcp-buffer-size", "tcp-buffer-size", true),
    ("bs", "block-size", true),
    ("block-size", "block-size", true),
    ("v", "verbose", false),
    ("verbose", "verbose", false),
    ("vb", "verbose-perf", false),
    ("verbose-perf", "verbose-perf", false),
    ("q", "quiet", false),
    ("quiet", "quiet", false),
    ("cd", "create-dest", false),
    ("create-dest", "create-dest", false),
    ("dbg", "debugftp", false),
    ("debugftp", "debugftp", false),
    ("st", "stall-timeout", true),
    ("stall-timeout", "stall-timeout", true),
    ("off", "partial-offset", true),
    ("partial-offset", "partial-offset", true),
    ("len", "partial-length", true),
    ("partial-length", "partial-length", true),
    ("s", "subject", true),
    ("subject", "subject", true),
    ("ss", "source-subject", true),
    ("source-subject", "source-subject", true),
    ("ds", "dest-subject", true),
    ("dest-subject", "dest-subject", true),
    ("nodcau", "nodcau", false),
    ("no-data-channel-authentication", "nodcau", false),
    ("dcsafe", "dcsafe", false),
    ("data-channel-safe", "dcsafe", false),
    ("dcpriv", "dcpriv", false),
    ("data-channel-private", "dcpriv", false),
    ("notpt", "no-third-party-transfers", false),
    ("no-third-party-transfers", "no-third-party-transfers", false),
];

/// Options of `globus-url-copy` that are not here, so that the answer can say so instead of guessing at a misprint.
const MISSING: &[&str] = &[
    "versions",
    "c",
    "continue-on-error",
    "a",
    "ascii",
    "f",
    "filename",
    "r",
    "recurse",
    "t",
    "transfer-time",
    "rst",
    "restart",
    "rst-retries",
    "rst-interval",
    "rst-timeout",
    "df",
    "dumpfile",
    "do",
    "dump-only",
    "rp",
    "relative-paths",
    "list",
    "list-url",
    "stripe",
    "striped",
    "sbs",
    "striped-block-size",
    "ipv6",
    "udt",
    "u",
    "g2",
    "gridftp2",
    "no-g2",
    "nogridftp2",
    "dp",
    "delayed-pasv",
    "mn",
    "mp",
    "smn",
    "smp",
    "dmn",
    "dmp",
    "aa",
    "saa",
    "daa",
    "pp",
    "pipeline",
    "ppq",
    "pipelineq",
    "cc",
    "concurrency",
    "nlb",
    "nli",
    "SP",
    "src-pipe",
    "DP",
    "dst-pipe",
    "P",
    "pipe",
    "dcstack",
    "fsstack",
    "cred",
    "sc",
    "src-cred",
    "dc",
    "dst-cred",
    "data-cred",
    "af",
    "alias-file",
    "sync",
    "sync-level",
    "checksum-alg",
    "algo",
    "verify-checksum",
    "checksum",
    "allo",
    "allocate",
    "no-allo",
    "no-allocate",
    "cp",
    "copy-perms",
    "preserve",
    "X",
    "CP",
    "plugin",
    "MC",
    "multicast",
];

/// The same words with every known option in the form `--name` or `--name=value`.
///
/// # Errors
/// A sentence for an option that has no value behind it, and for one that only `globus-url-copy` has.
pub(crate) fn normalized(words: impl Iterator<Item = OsString>) -> Result<Vec<OsString>, String> {
    let mut words = words.fuse();
    let mut out = Vec::new();
    while let Some(word) = words.next() {
        if word == "--" {
            out.push(word);
            out.extend(words);
            return Ok(out);
        }
        let Some(name) = single_dash(&word) else {
            out.push(word);
            continue;
        };
        if let Some((_, long, takes_value)) = KNOWN.iter().find(|(known, ..)| *known == name) {
            let mut text = format!("--{long}");
            if !*takes_value {
                out.push(text.into());
                continue;
            }
            // Joined, so that a value may begin with a dash.
            let Some(value) = words.next() else {
                return Err(format!("-{name} needs a value behind it"));
            };
            text.push('=');
            let mut text = OsString::from(text).into_vec();
            text.extend_from_slice(value.as_bytes());
            out.push(OsString::from_vec(text));
        } else if MISSING.contains(&name) {
            return Err(format!(
                "-{name} of globus-url-copy is not one of gridftp-cp's options (see --help)"
            ));
        } else {
            out.push(word);
        }
    }
    Ok(out)
}

/// What follows a single dash.
fn single_dash(word: &OsString) -> Option<&str> {
    let name = word.to_str()?.strip_prefix('-')?;
    (!name.is_empty() && !name.starts_with('-')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<Vec<String>, String> {
        let words = normalized(words.iter().map(|word| OsString::from(*word)))?;
        Ok(words.into_iter().map(|word| word.into_string().unwrap()).collect())
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
    fn what_is_not_known_or_stands_behind_two_dashes_is_left_alone() {
        assert_eq!(
            of(&["-x", "--fast", "--", "-fast", "-p"]).unwrap(),
            ["-x", "--fast", "--", "-fast", "-p"]
        );
        assert_eq!(of(&["-s", "-fast"]).unwrap(), ["--subject=-fast"]);
    }

    #[test]
    fn what_only_globus_url_copy_has_is_said_to_be_missing() {
        assert!(of(&["-rst", "a", "b"]).unwrap_err().contains("-rst of globus-url-copy"));
        assert!(of(&["a", "b", "-p"]).unwrap_err().contains("-p needs a value"));
        assert!(MISSING.iter().all(|name| KNOWN.iter().all(|(known, ..)| known != name)));
    }
}
