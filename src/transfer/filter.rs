//! Which entries of a tree take part.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use globset::{GlobBuilder, GlobMatcher};

use crate::error::{Error, Escaped, Result};

/// Includes and excludes, tried in the order in which they were given: the first that matches an entry decides.
///
/// Patterns are those of shells: `*` and `?` for anything but a slash, `**` for any number of folders, `[a-z]`, `{a,b}`. One
/// without a slash is compared with the last part of a path, wherever it is; one with a slash with the whole path below the
/// root of the transfer (a slash in front is the root's own). What is below an excluded folder is excluded, whatever else matches.
/// What no pattern matches takes part, unless there are includes and no excludes before them: then only files that are
/// included do.
///
/// # Examples
/// ```
/// use gridftp::transfer::Filter;
///
/// # fn main() -> gridftp::Result<()> {
/// let filter = Filter::new().exclude("*.tmp")?.exclude("/scratch")?;
/// assert!(filter.takes(b"run/a.root", false));
/// assert!(!filter.takes(b"run/a.tmp", false));
/// assert!(!filter.takes(b"scratch/b.root", false));
/// let only = Filter::new().include("*.root")?;
/// assert!(only.takes(b"run/a.root", false) && only.takes(b"run", true) && !only.takes(b"run/log", false));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Filter {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    include: bool,
    text: String,
    matcher: GlobMatcher,
    /// Compared with the whole path, not with its last part.
    whole: bool,
}

impl Filter {
    /// Takes everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Entries that match take part.
    ///
    /// # Errors
    /// `InvalidInput` for what is no pattern.
    pub fn include(self, pattern: &str) -> Result<Self> {
        self.rule(pattern, true)
    }

    /// Entries that match, and what is below them, do not.
    ///
    /// # Errors
    /// `InvalidInput` for what is no pattern.
    pub fn exclude(self, pattern: &str) -> Result<Self> {
        self.rule(pattern, false)
    }

    fn rule(mut self, pattern: &str, include: bool) -> Result<Self> {
        let bare = pattern.trim_start_matches('/').trim_end_matches('/');
        let whole = pattern.trim_end_matches('/').contains('/');
        let matcher = matcher(bare)?;
        self.rules.push(Rule { include, text: pattern.to_owned(), matcher, whole });
        Ok(self)
    }

    /// Whether an entry takes part, by its path below the root.
    pub fn takes(&self, path: &[u8], is_dir: bool) -> bool {
        if self.rules.is_empty() {
            return true;
        }
        // A folder above decides first: what is below an excluded one is never looked at.
        let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
        above.map(|path| (path, true)).chain([(path, is_dir)]).all(|(path, is_dir)| self.alone(path, is_dir))
    }

    fn alone(&self, path: &[u8], is_dir: bool) -> bool {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        for rule in &self.rules {
            let compared = if rule.whole { path } else { name };
            if rule.matcher.is_match(OsStr::from_bytes(compared)) {
                return rule.include;
            }
        }
        // Folders are entered: something in them may be included.
        is_dir || !self.rules.first().is_some_and(|rule| rule.include)
    }

    /// What tells this filter from another one.
    pub(crate) fn describe(&self) -> String {
        let rules = self.rules.iter().map(|rule| {
            let sign = if rule.include { '+' } else { '-' };
            format!("{sign}{}", rule.text)
        });
        rules.collect::<Vec<_>>().join("\n")
    }
}

/// The pattern, ready to be compared with a path of bytes.
///
/// # Errors
/// `InvalidInput` for what is no pattern.
pub(crate) fn matcher(pattern: &str) -> Result<GlobMatcher> {
    let refused = |reason: String| {
        let shown = Escaped(&pattern.as_bytes()[..pattern.len().min(200)]);
        Error::invalid(format!(
            "the pattern \"{shown}\" {reason}; expected one like *.root, run/**/x, [a-f]?"
        ))
    };
    if pattern.is_empty() {
        return Err(refused("is empty".to_owned()));
    }
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| refused(format!("is none: {}", error.kind())))
}

/// Whether a name is a pattern rather than a name.
pub(crate) fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_decides() {
        let filter = Filter::new().include("keep.tmp").unwrap().exclude("*.tmp").unwrap();
        assert!(filter.takes(b"a/keep.tmp", false));
        assert!(!filter.takes(b"a/b.tmp", false));
        // An include in front: only what is included.
        assert!(!filter.takes(b"a/b", false));
        let filter = Filter::new().exclude("*.tmp").unwrap().include("*.root").unwrap();
        assert!(filter.takes(b"a/b", false));
    }

    #[test]
    fn whole_paths_and_names() {
        let filter =
            Filter::new().exclude("run/*/log").unwrap().exclude("/top").unwrap().exclude("x/").unwrap();
        for (path, takes) in [
            (&b"run/1/log"[..], false),
            (b"run/1/2/log", true),
            (b"a/run/1/log", true),
            (b"top", false),
            (b"a/top", true),
            (b"a/x/y", false),
            (b"top/deep/er", false),
            (b"\xff\xfe", true),
        ] {
            assert_eq!(filter.takes(path, false), takes, "{}", Escaped(path));
        }
        let deep = Filter::new().exclude("**/log").unwrap();
        assert!(!deep.takes(b"log", false) && !deep.takes(b"a/b/log", false));
        assert!(!Filter::new().exclude("*\u{e9}").unwrap().takes("caf\u{e9}".as_bytes(), false));
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        for bad in ["", "/", "a[", "{a"] {
            let error = Filter::new().exclude(bad).unwrap_err().to_string();
            assert!(error.contains("the pattern \"") && error.contains("expected"), "{error}");
        }
    }
}
