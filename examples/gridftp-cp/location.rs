//! Where a file is, as the user wrote it.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use gridftp::Url;

use crate::failure::Failure;

/// One end of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// Standard input or output.
    Stdio,
    Local(PathBuf),
    Remote(Url),
}

impl Location {
    /// Reads a URL, a path, or `-`.
    ///
    /// What has a scheme in front of `://` is a URL; everything else is a path, in whatever bytes.
    pub(crate) fn parse(text: &OsStr) -> Result<Self, Failure> {
        let bytes = text.as_bytes();
        match bytes {
            b"" => {
                return Err(Failure::usage("a source or destination is empty, expected a URL, a path or -"));
            }
            b"-" => return Ok(Self::Stdio),
            _ => {}
        }
        // The short form (RFC 8089 §2), which globus-url-copy takes too.
        if bytes.len() > 6 && bytes[..6].eq_ignore_ascii_case(b"file:/") && bytes[6] != b'/' {
            return file_url(&bytes[5..]).map(Self::Local);
        }
        let Some(scheme) = scheme(bytes) else { return Ok(Self::Local(text.into())) };
        if scheme.eq_ignore_ascii_case(b"file") {
            return file_url(&bytes[scheme.len() + 3..]).map(Self::Local);
        }
        Url::parse(&escaped(bytes)).map(Self::Remote).map_err(|error| Failure::usage(error.to_string()))
    }

    /// Reads a source whose last part may be a pattern: in a URL, characters that are not escaped. A path of this machine is a
    /// name, as the shell has looked for patterns already.
    ///
    /// Says whether it is one; the last part of the path is then as [`TransferBuilder::glob`](gridftp::TransferBuilder::glob)
    /// takes it.
    pub(crate) fn parse_pattern(text: &OsStr) -> Result<(Self, bool), Failure> {
        let bytes = text.as_bytes();
        let Some(scheme) = scheme(bytes) else { return Ok((Self::parse(text)?, false)) };
        let begin = bytes.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        let last = &bytes[begin..];
        // A ? or * in the host is none.
        let in_path = begin > scheme.len() + 3;
        if !in_path || !last.iter().any(|byte| b"*?[".contains(byte)) {
            return Ok((Self::parse(text)?, false));
        }
        let mut out = bytes[..begin].to_vec();
        let mut left = last;
        while let Some((&byte, behind)) = left.split_first() {
            let escape = behind.get(..2).map(<[u8]>::to_ascii_uppercase);
            let special = |escape: &[u8]| {
                [b"2A", b"3F", b"5B", b"5C", b"5D", b"7B", b"7D"].iter().any(|known| *known == escape)
            };
            match (byte, escape) {
                // What was escaped is a character, and not part of the pattern.
                (b'%', Some(escape)) if special(&escape) => {
                    out.extend_from_slice(b"%5C%");
                    out.extend_from_slice(&escape);
                    left = &behind[2..];
                    continue;
                }
                (b'\\' | b'{' | b'}', _) => {
                    out.extend_from_slice(b"%5C");
                    out.push(byte);
                }
                _ => out.push(byte),
            }
            left = behind;
        }
        Ok((Self::parse(OsStr::from_bytes(&out))?, true))
    }

    /// Whether it is written as a folder.
    pub(crate) fn names_a_folder(&self) -> bool {
        match self {
            Self::Stdio => false,
            Self::Local(path) => path.as_os_str().as_bytes().ends_with(b"/"),
            Self::Remote(url) => url.path().ends_with(b"/") || url.file_name().is_none(),
        }
    }

    /// What lies below it under a name.
    pub(crate) fn join(&self, name: &OsStr) -> Result<Self, Failure> {
        match self {
            Self::Stdio => {
                Err(Failure::usage("standard output is no folder, expected one for several files"))
            }
            Self::Local(path) => Ok(Self::Local(path.join(name))),
            Self::Remote(url) => {
                let below = url.join(name.as_bytes());
                below.map(Self::Remote).map_err(|error| Failure::usage(error.to_string()))
            }
        }
    }

    /// The folder that it is in.
    pub(crate) fn parent(&self) -> Option<Self> {
        match self {
            Self::Stdio => None,
            Self::Local(path) => {
                let folder = path.parent()?;
                let here = folder.as_os_str().is_empty();
                Some(Self::Local(if here { PathBuf::from(".") } else { folder.to_owned() }))
            }
            Self::Remote(url) => url.parent().map(Self::Remote),
        }
    }

    /// As the library takes it; none for a standard stream.
    pub(crate) fn as_transferable(&self) -> Option<gridftp::Location> {
        match self {
            Self::Stdio => None,
            Self::Local(path) => Some(gridftp::Location::Local(path.clone())),
            Self::Remote(url) => Some(gridftp::Location::Remote(url.clone())),
        }
    }

    /// As a URL, for lists: one that says the same to whoever reads it elsewhere.
    pub(crate) fn to_url(&self) -> String {
        let Self::Local(path) = self else { return self.to_string() };
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let mut text = "file://".to_owned();
        let folder = path.as_os_str().as_bytes().ends_with(b"/");
        for byte in whole.as_os_str().as_bytes() {
            let plain = byte.is_ascii_alphanumeric() || b"/-._~+=@,:!$&'()".contains(byte);
            if plain {
                text.push(char::from(*byte));
            } else {
                let _ = write!(text, "%{byte:02X}");
            }
        }
        if folder && !text.ends_with('/') {
            text.push('/');
        }
        text
    }

    /// The standard stream, if this is the path it has: opened anew, a file behind it would be read or written from its
    /// beginning.
    pub(crate) fn or_stdio(self, name: &str) -> Self {
        match self {
            Self::Local(path) if path.as_os_str() == name => Self::Stdio,
            other => other,
        }
    }

    /// The name that a copy gets in a folder.
    pub(crate) fn file_name(&self) -> Option<&OsStr> {
        match self {
            Self::Stdio => None,
            Self::Local(path) => path.file_name(),
            Self::Remote(url) => url.file_name().map(OsStr::from_bytes),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio => f.write_str("-"),
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Remote(url) => write!(f, "{url}"),
        }
    }
}

/// What stands before `://`, if it could be a scheme (RFC 3986 §3.1).
fn scheme(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(3).position(|three| three == b"://")?;
    let scheme = &bytes[..end];
    let letters = scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    (letters && scheme.first()?.is_ascii_alphabetic()).then_some(scheme)
}

/// The same as text: bytes that are no UTF-8 are written `%XX`, which is what they mean in a URL.
fn escaped(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.into();
    }
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text.into()
}

/// The path of a `file` URL, from what follows `file://` (RFC 8089 §2).
fn file_url(rest: &[u8]) -> Result<PathBuf, Failure> {
    let shown = String::from_utf8_lossy(rest);
    let wrong = |expected: &str| Err(Failure::usage(format!("the URL file://{shown}: expected {expected}")));
    let at = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(at);
    if !(host.is_empty() || host.eq_ignore_ascii_case(b"localhost")) {
        return wrong("no host or localhost in front of an absolute path, as in file:///data/x");
    }
    if path.is_empty() {
        return wrong("an absolute path, as in file:///data/x");
    }
    let mut out = Vec::with_capacity(path.len());
    let mut left = path;
    while let Some((&byte, behind)) = left.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let value = match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => u8::try_from(high << 4 | low).unwrap_or(b'%'),
            (b'%', ..) => return wrong("two hexadecimal digits behind each % (%25 for a %)"),
            _ => byte,
        };
        if value < 0x20 || value == 0x7f {
            return wrong(&format!(
                "no control byte in the path, found 0x{value:02x} (give such a name as a plain path)"
            ));
        }
        out.push(value);
        left = if byte == b'%' { &behind[2..] } else { behind };
    }
    Ok(PathBuf::from(OsString::from_vec(out)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Location, String> {
        Location::parse(OsStr::new(text)).map_err(|failure| failure.line().unwrap())
    }

    fn local(text: &str) -> Location {
        Location::Local(text.into())
    }

    #[test]
    fn urls_paths_and_standard_streams_are_told_apart() {
        assert_eq!(parse("-").unwrap(), Location::Stdio);
        assert_eq!(parse("/dev/stdout").unwrap().or_stdio("/dev/stdout"), Location::Stdio);
        assert_eq!(parse("/dev/stdout").unwrap().or_stdio("/dev/stdin"), local("/dev/stdout"));
        assert_eq!(parse("./-").unwrap(), local("./-"));
        assert_eq!(parse("a%20b").unwrap(), local("a%20b"));
        assert_eq!(parse("dir/x://y").unwrap(), local("dir/x://y"));
        assert_eq!(parse("file:relative").unwrap(), local("file:relative"));
        assert_eq!(parse("file:/a%20b/c").unwrap(), local("/a b/c"));
        assert_eq!(
            parse("file:///a%20b/%FF").unwrap(),
            Location::Local(OsStr::from_bytes(b"/a b/\xff").into())
        );
        assert_eq!(parse("FILE://LocalHost/a").unwrap(), local("/a"));
        assert!(
            matches!(parse("FTP://h/a").unwrap(), Location::Remote(url) if url.to_string() == "ftp://h/a")
        );
    }

    #[test]
    fn bytes_that_are_no_utf8_arrive_as_they_are() {
        let Ok(Location::Remote(url)) = Location::parse(OsStr::from_bytes(b"ftp://h/a \xff%41")) else {
            panic!()
        };
        assert_eq!(url.path(), b"/a \xffA");
        let path = OsStr::from_bytes(b"/a/\xfe\n");
        assert_eq!(Location::parse(path).unwrap(), Location::Local(path.into()));
    }

    #[test]
    fn wrong_ones_are_refused_and_their_part_is_named() {
        for (text, part) in [
            ("", "is empty"),
            ("http://h/a", "URL scheme \"http\""),
            ("ftp:///a", "URL host"),
            ("ftp://h:65536/", "65536"),
            ("ftp://h/a%0d%0aDELE b", "path"),
            ("ftp://h/a%00", "path"),
            ("ftp://h/a\nb", "path"),
            ("file://elsewhere/a", "file://elsewhere/a: expected no host"),
            ("file://", "absolute path"),
            ("file:///a%0a", "0x0a"),
            ("file:///a%0", "hexadecimal"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn patterns_are_what_is_not_escaped() {
        let of = |text: &str| {
            let (location, pattern) = Location::parse_pattern(OsStr::new(text)).unwrap();
            let Location::Remote(url) = location else { return (text.to_owned(), pattern) };
            (String::from_utf8(url.path().to_vec()).unwrap(), pattern)
        };
        assert_eq!(of("ftp://h/a/*.root"), ("/a/*.root".into(), true));
        assert_eq!(of("ftp://h/a/%2A.root"), ("/a/*.root".into(), false));
        assert_eq!(of("ftp://h/a/x%5b1%5D*{2}"), (r"/a/x\[1\]*\{2\}".into(), true));
        assert_eq!(of("ftp://h/*/a"), ("/*/a".into(), false));
        assert!(!of("a*").1);
        assert!(of("file:///a/b*").1);
    }

    #[test]
    fn places_as_urls_and_in_folders() {
        let there = Location::Local("/a b/ü".into());
        assert_eq!(there.to_url(), "file:///a%20b/%C3%BC");
        assert_eq!(parse("file:///a%20b/%C3%BC").unwrap(), there);
        assert_eq!(Location::Local("/d/".into()).to_url(), "file:///d/");
        assert_eq!(there.parent(), Some(local("/a b")));
        assert_eq!(local("x").parent(), Some(local(".")));
        assert_eq!(
            parse("ftp://h/d/").unwrap().join(OsStr::new("a b")).unwrap(),
            parse("ftp://h/d/a%20b").unwrap()
        );
    }

    #[test]
    fn the_name_of_a_copy_is_the_last_part_of_the_path() {
        let name = |text: &str| parse(text).unwrap().file_name().map(ToOwned::to_owned);
        assert_eq!(name("ftp://h/a/b%20c").unwrap(), "b c");
        assert_eq!(name("x/y").unwrap(), "y");
        assert_eq!(name("-"), None);
        assert_eq!(name("ftp://h"), None);
        assert_eq!(name("/"), None);
    }
}
