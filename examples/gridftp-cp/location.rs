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
        let Some(scheme) = scheme(bytes) else { return Ok(Self::Local(text.into())) };
        if scheme.eq_ignore_ascii_case(b"file") {
            return file_url(&bytes[scheme.len() + 3..]).map(Self::Local);
        }
        Url::parse(&escaped(bytes)).map(Self::Remote).map_err(|error| Failure::usage(error.to_string()))
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
    fn the_name_of_a_copy_is_the_last_part_of_the_path() {
        let name = |text: &str| parse(text).unwrap().file_name().map(ToOwned::to_owned);
        assert_eq!(name("ftp://h/a/b%20c").unwrap(), "b c");
        assert_eq!(name("x/y").unwrap(), "y");
        assert_eq!(name("-"), None);
        assert_eq!(name("ftp://h"), None);
        assert_eq!(name("/"), None);
    }
}
