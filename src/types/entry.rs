//! What a server tells about a file or folder.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use crate::error::Escaped;
use crate::protocol::time::parse_time;

/// A file, folder or whatever else a server keeps under a name, with the facts it told about it (RFC 3659 §7).
///
/// Every fact is optional: [`FeatureSet::mlst_facts`](crate::FeatureSet::mlst_facts) says which ones a server knows. All of
/// them, also those without a method here, are given by [`fact`](Self::fact) and [`facts`](Self::facts).
///
/// globus-gridftp-server follows symbolic links: the entry of a link tells the kind, size and times of what it points to,
/// and [`link_target`](Self::link_target) where that is. Links that lead nowhere are missing from its listings.
///
/// Corresponds to what `globus_ftp_client_mlst` and `globus_ftp_client_machine_list` give as text (RFC 3659).
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub(crate) kind: EntryKind,
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<SystemTime>,
    name: Box<[u8]>,
    /// `fact=value;…` as the server wrote it: one allocation however many facts there are, and none is lost.
    pub(crate) facts: Box<[u8]>,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link, told as such. Servers that follow links tell what is behind them instead.
    Symlink,
    /// The folder that is listed, `.`.
    CurrentDir,
    /// The folder above the one that is listed, `..`.
    ParentDir,
    /// Something else, in the server's word: `OS.unix=pipe`, for example.
    Other(String),
    /// The server did not tell.
    Unknown,
}

impl Entry {
    /// An entry without facts, for what was not learnt from a line of them.
    pub(crate) fn new(name: impl Into<Box<[u8]>>, kind: EntryKind) -> Self {
        Self { kind, size: None, modified: None, name: name.into(), facts: Box::default() }
    }

    /// The name as the server wrote it, in bytes: in a listing one segment of a path, from `MLST` usually a full path.
    ///
    /// A server can write anything here. Before a name of a listing becomes part of a path, ask
    /// [`is_safe_child`](Self::is_safe_child).
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The name as text, with U+FFFD for what is not UTF-8. It may hold control characters.
    pub fn name_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.name)
    }

    /// Whether the name can be that of something in the folder that was listed: it is not empty, `.` or `..`, and holds no
    /// slash and no NUL. Whatever else it is, a joined path stays below the folder.
    pub fn is_safe_child(&self) -> bool {
        !matches!(&self.name[..], b"" | b"." | b"..")
            && !self.name.iter().any(|byte| matches!(byte, b'/' | 0))
    }

    /// What it is.
    pub fn kind(&self) -> &EntryKind {
        &self.kind
    }

    /// Whether it is a file, behind links that the server followed.
    pub fn is_file(&self) -> bool {
        self.kind == EntryKind::File
    }

    /// Whether it is a folder (also the listed one or the one above), behind links that the server followed.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, EntryKind::Dir | EntryKind::CurrentDir | EntryKind::ParentDir)
    }

    /// Whether the name is a symbolic link, whatever the server told of what is behind it.
    pub fn is_symlink(&self) -> bool {
        self.kind == EntryKind::Symlink || self.fact("UNIX.slink").is_some()
    }

    /// The size in bytes. Servers also give folders one, which says nothing about what is in them.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The time of the last change. Most servers cut it to whole seconds.
    pub fn modified(&self) -> Option<SystemTime> {
        self.modified
    }

    /// The time of creation.
    pub fn created(&self) -> Option<SystemTime> {
        parse_time(self.fact("Create")?)
    }

    /// The Unix permission bits, as in `chmod` (`0o4755`).
    pub fn unix_mode(&self) -> Option<u32> {
        let digits = self.fact_text("UNIX.mode")?;
        let octal = (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten().filter(|mode| *mode <= 0o7777)
    }

    /// The owner, by name where the server tells it, else by number.
    pub fn owner(&self) -> Option<&str> {
        self.fact_text("UNIX.ownername").or_else(|| self.fact_text("UNIX.owner"))
    }

    /// The owner's number.
    pub fn uid(&self) -> Option<u32> {
        self.fact_number("UNIX.uid").or_else(|| self.fact_number("UNIX.owner"))
    }

    /// The group, by name where the server tells it, else by number.
    pub fn group(&self) -> Option<&str> {
        self.fact_text("UNIX.groupname").or_else(|| self.fact_text("UNIX.group"))
    }

    /// The group's number.
    pub fn gid(&self) -> Option<u32> {
        self.fact_number("UNIX.gid").or_else(|| self.fact_number("UNIX.group"))
    }

    /// What this user may do, in the letters of RFC 3659 §7.5.5: for a file `r` read, `w` write, `a` append; for a folder
    /// `e` enter, `l` list, `c` create files in, `m` create folders in, `p` remove from; for both `d` delete, `f` rename.
    ///
    /// A hint only: globus-gridftp-server computes it from the permission bits alone.
    pub fn permissions(&self) -> Option<&str> {
        self.fact_text("Perm")
    }

    /// A mark that two names of one file share, and no other file on the server has. Two ways to a folder, as symbolic links
    /// make them, are recognised by it.
    pub fn unique(&self) -> Option<&[u8]> {
        self.fact("Unique")
    }

    /// Where a symbolic link leads, as bytes of a path. globus-gridftp-server tells the full path of the last target, not
    /// what is written in the link.
    pub fn link_target(&self) -> Option<Vec<u8>> {
        if let Some(target) = self.fact("UNIX.slink") {
            return Some(percent_encoding::percent_decode(target).collect());
        }
        let target = self.fact("Type").filter(|_| self.kind == EntryKind::Symlink)?;
        let colon = target.iter().position(|&byte| byte == b':')?;
        Some(target[colon + 1..].to_vec())
    }

    /// The value of the fact `name`, whose case does not matter; the last one where a server repeats it.
    pub fn fact(&self, name: &str) -> Option<&[u8]> {
        self.facts()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
            .last()
    }

    /// Every fact with its value, as the server wrote them, in its order. Of an entry that `LIST` told they are made from its
    /// columns.
    pub fn facts(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.facts.split(|&byte| byte == b';').filter_map(|fact| {
            let at = fact.iter().position(|&byte| byte == b'=')?;
            Some((&fact[..at], &fact[at + 1..]))
        })
    }

    fn fact_text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.fact(name)?).ok()
    }

    fn fact_number(&self, name: &str) -> Option<u32> {
        let digits = self.fact_text(name)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &format_args!("\"{}\"", Escaped(&self.name)))
            .field("kind", &self.kind)
            .field("size", &self.size)
            .field("modified", &self.modified)
            .field("facts", &format_args!("\"{}\"", Escaped(&self.facts)))
            .finish()
    }
}
