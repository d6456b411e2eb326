//! Where a transfer comes from or goes to: a local path, or a URL of a server.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::error::{Error, Escaped, Result};
use crate::url::Url;

/// One end of a transfer.
///
/// As text it is a URL (`gsiftp://`, `ftp://`, `sshftp://`), `file:///path` with percent escapes, or a path of this machine as
/// it stands: everything without `://` is one.
///
/// # Examples
/// ```
/// use gridftp::Location;
///
/// # fn main() -> gridftp::Result<()> {
/// assert!(matches!("gsiftp://dtn.example.org/run".parse()?, Location::Remote(_)));
/// assert_eq!("file:///tmp/a%20b".parse::<Location>()?, Location::Local("/tmp/a b".into()));
/// assert_eq!("run/a b%20c".parse::<Location>()?, Location::Local("run/a b%20c".into()));
/// assert!("s3://bucket/key".parse::<Location>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A file or folder of this machine.
    Local(PathBuf),
    /// A file or folder at a server.
    Remote(Url),
}

impl Location {
    /// The path in bytes, local or at the server.
    pub(crate) fn path(&self) -> &[u8] {
        match self {
            Self::Local(path) => path.as_os_str().as_bytes(),
            Self::Remote(url) => url.path(),
        }
    }

    /// Whether it is written as a folder, with a slash at its end.
    pub(crate) fn names_a_folder(&self) -> bool {
        self.path().ends_with(b"/")
    }

    /// The last part of the path, if it is a name.
    pub(crate) fn file_name(&self) -> Option<&[u8]> {
        let path = self.path();
        let end = path.iter().rposition(|&byte| byte != b'/')? + 1;
        let begin = path[..end].iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        let name = &path[begin..end];
        (!matches!(name, b"." | b"..")).then_some(name)
    }

    /// What lies below it under a name, or a path of names.
    ///
    /// # Errors
    /// `InvalidInput` and `Unsupported` for a name that cannot be sent to a server.
    pub(crate) fn below(&self, path: &[u8]) -> Result<Self> {
        match self {
            Self::Local(root) => Ok(Self::Local(root.join(OsStr::from_bytes(path)))),
            Self::Remote(root) => url_below(root, path).map(Self::Remote),
        }
    }
}

/// The URL of what lies below another one.
///
/// # Errors
/// `InvalidInput` for a name with a control byte, which no command can carry.
pub(crate) fn url_below(root: &Url, path: &[u8]) -> Result<Url> {
    let mut whole = root.path().to_vec();
    if !path.is_empty() {
        if !whole.ends_with(b"/") {
            whole.push(b'/');
        }
        whole.extend_from_slice(path);
    }
    root.with_path(whole)
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", Escaped(path.as_os_str().as_bytes())),
            Self::Remote(url) => write!(f, "{url}"),
        }
    }
}

impl FromStr for Location {
    type Err = Error;

    /// # Errors
    /// `InvalidInput` for an empty text, a scheme that is none of ours, and a URL that is wrong.
    fn from_str(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return path(text);
        };
        let is_scheme = !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        if !is_scheme {
            return path(text);
        }
        if !scheme.eq_ignore_ascii_case("file") {
            return Url::parse(text).map(Self::Remote);
        }
        let (host, at) = rest.find('/').map_or((rest, rest.len()), |at| (&rest[..at], at));
        if !(host.is_empty() || host.eq_ignore_ascii_case("localhost")) {
            let message = format!(
                "the URL \"{}\": a file of this machine has no host, expected file:///path",
                Escaped(text.as_bytes())
            );
            return Err(Error::invalid(message));
        }
        let decoded: Vec<u8> = percent_decode_str(&rest[at..]).collect();
        if decoded.is_empty() || decoded.contains(&0) {
            let message =
                format!("the URL \"{}\": expected file:/// and a path without NUL", Escaped(text.as_bytes()));
            return Err(Error::invalid(message));
        }
        Ok(Self::Local(std::ffi::OsString::from_vec(decoded).into()))
    }
}

fn path(text: &str) -> Result<Location> {
    if text.is_empty() || text.contains('\0') {
        let shown = Escaped(text.as_bytes()).to_string();
        return Err(Error::invalid(format!(
            "the path \"{shown}\": expected one or more characters, none of them NUL"
        )));
    }
    Ok(Location::Local(text.into()))
}

impl From<Url> for Location {
    fn from(url: Url) -> Self {
        Self::Remote(url)
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Local(path)
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Sealed {}
    impl Sealed for &str {}
    impl Sealed for &String {}
    impl Sealed for String {}
    impl Sealed for super::Url {}
    impl Sealed for &super::Url {}
    impl Sealed for super::PathBuf {}
    impl Sealed for &super::PathBuf {}
    impl Sealed for &super::Path {}
    impl Sealed for super::Location {}
    impl Sealed for &super::Location {}
}

/// What can say where a transfer comes from or goes to: text, a [`Url`], a path, a [`Location`].
pub trait IntoLocation: sealed::Sealed {
    /// Checks and converts.
    ///
    /// # Errors
    /// As [`Location`]'s `FromStr`.
    fn into_location(self) -> Result<Location>;
}

impl IntoLocation for &str {
    fn into_location(self) -> Result<Location> {
        self.parse()
    }
}

impl IntoLocation for &String {
    fn into_location(self) -> Result<Location> {
        self.parse()
    }
}

impl IntoLocation for String {
    fn into_location(self) -> Result<Location> {
        self.parse()
    }
}

impl IntoLocation for Url {
    fn into_location(self) -> Result<Location> {
        Ok(Location::Remote(self))
    }
}

impl IntoLocation for &Url {
    fn into_location(self) -> Result<Location> {
        Ok(Location::Remote(self.clone()))
    }
}

impl IntoLocation for PathBuf {
    fn into_location(self) -> Result<Location> {
        local(self)
    }
}

impl IntoLocation for &PathBuf {
    fn into_location(self) -> Result<Location> {
        local(self.clone())
    }
}

impl IntoLocation for &Path {
    fn into_location(self) -> Result<Location> {
        local(self.to_owned())
    }
}

impl IntoLocation for Location {
    fn into_location(self) -> Result<Location> {
        match self {
            Self::Local(path) => local(path),
            Self::Remote(_) => Ok(self),
        }
    }
}

impl IntoLocation for &Location {
    fn into_location(self) -> Result<Location> {
        self.clone().into_location()
    }
}

/// A path may hold anything but nothing, and NUL, which no system call takes.
fn local(path: PathBuf) -> Result<Location> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.contains(&0) {
        let message =
            format!("the path \"{}\": expected one or more bytes, none of them NUL", Escaped(bytes));
        return Err(Error::invalid(message));
    }
    Ok(Location::Local(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn text_is_a_url_or_a_path() {
        for (text, shown) in [
            ("gsiftp://h/a b", "gsiftp://h:2811/a%20b"),
            ("FTP://h/", "ftp://h:21/"),
            ("/tmp/x", "/tmp/x"),
            ("a%20b", "a%20b"),
            ("./ftp://x", "./ftp://x"),
            ("file:///a%FFb", "/a\\xffb"),
            ("file://localhost/a", "/a"),
        ] {
            let found = text.parse::<Location>().unwrap().to_string();
            assert!(
                found == shown || found == shown.replace(":2811", "").replace(":21", ""),
                "{text}: {found}"
            );
        }
        for bad in ["", "s3://b/k", "file://other/a", "file://", "a\0b", "gsiftp://h/%0d%0aDELE"] {
            assert_eq!(bad.parse::<Location>().unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
        }
        assert!(Path::new("").into_location().is_err());
    }

    #[test]
    fn names_and_what_lies_below() {
        for (text, name, folder) in [
            ("/a/b", Some("b"), false),
            ("/a/b/", Some("b"), true),
            ("b", Some("b"), false),
            ("/", None, true),
            ("..", None, false),
            ("ftp://h/", None, true),
            ("ftp://h/a//", Some("a"), true),
        ] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.file_name(), name.map(str::as_bytes), "{text}");
            assert_eq!(location.names_a_folder(), folder, "{text}");
        }
        let root: Location = "ftp://h/a/".parse().unwrap();
        assert_eq!(root.below(b"x/\xff y").unwrap().to_string(), "ftp://h/a/x/%FF%20y");
        assert_eq!(root.below(b"").unwrap(), root);
        assert!(root.below(b"x\r\ny").is_err());
        let root: Location = "/a".parse().unwrap();
        assert_eq!(root.below(b"x\ny").unwrap().path(), b"/a/x\ny");
    }
}
