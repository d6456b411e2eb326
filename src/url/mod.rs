//! Where a file is: `gsiftp://host:port/path`, checked part by part.
//!
//! Every [`Url`] is well formed: whatever is in it can be put on the wire as it is. Percent escapes are decoded when it is
//! parsed and written again, in one canonical way, when it is shown.
//!
//! Never here: looking a host up, or any other question to the outside.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::error::{Error, Result};
use crate::protocol::secret::Secret;

mod parse;

/// What Display writes as `%XX` in a path: everything but unreserved characters, `/`, and a few that RFC 3986 allows in a
/// path, no shell expands, and names of data files are full of.
const PATH_SET: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'+')
    .remove(b',')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');
const USER_SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The protocol of a [`Url`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scheme {
    /// `ftp://`: plain FTP (with the GridFTP extensions the server has), port 21.
    Ftp,
    /// `gsiftp://`: GridFTP with GSI security (RFC 2228, GFD.20), port 2811.
    Gsiftp,
    /// `sshftp://`: GridFTP with the control channel inside ssh, port 22.
    Sshftp,
}

impl Scheme {
    /// The name in front of `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ftp => "ftp",
            Self::Gsiftp => "gsiftp",
            Self::Sshftp => "sshftp",
        }
    }

    /// The port where a server is expected when the URL names none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Ftp => 21,
            Self::Gsiftp => 2811,
            Self::Sshftp => 22,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The server a [`Url`] points to: what connections are pooled by, together with the credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Endpoint {
    /// The protocol.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, as [`Url::host`].
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own where the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        fmt_host_port(self, f)
    }
}

/// The address of a file or folder on a server.
///
/// The path is bytes: what no UTF-8 can say is written `%XX`. It always begins with `/` and is absolute on the server,
/// save that `/~/…` is below the user's home folder and `/~name/…` below that of another user. A file whose name begins
/// with `~` in the root folder is reached with two slashes: `//~file`. `.` and `..` are left for the server to resolve.
///
/// [`fmt::Display`] gives the canonical, percent-encoded form, with the user but never the password.
///
/// # Examples
/// ```
/// use gridftp::Url;
///
/// # fn main() -> gridftp::Result<()> {
/// let url = Url::parse("gsiftp://dtn.example.org/~/run 7/part%FF")?;
/// assert_eq!(url.port(), 2811);
/// assert_eq!(url.path(), b"/~/run 7/part\xff");
/// assert_eq!(url.to_string(), "gsiftp://dtn.example.org/~/run%207/part%FF");
/// assert!(Url::parse("gsiftp://dtn.example.org/a%0d%0aDELE b").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    endpoint: Endpoint,
    user: Option<String>,
    password: Option<Secret>,
    path: Vec<u8>,
}

impl Url {
    /// Parses a URL.
    ///
    /// Blanks and characters beyond ASCII are accepted in the path as they are; `#` and `?` are not, since FTP knows
    /// neither fragments nor queries and a file name has to say `%23` and `%3F`. An empty path is `/`. Host names are
    /// put into lower case and IPv6 addresses, in brackets, into their shortest form.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the part, its value and what was expected: for control
    /// bytes anywhere, raw or as `%0d`, `%0a`, `%00` and the like, a `%` without two hexadecimal digits, an unknown
    /// scheme, an empty or malformed host, a port that is not 1 to 65535, a second `@`, and parts that are too long.
    pub fn parse(s: &str) -> Result<Self> {
        parse::url(s)
    }

    /// The protocol.
    pub fn scheme(&self) -> Scheme {
        self.endpoint.scheme
    }

    /// The host: a name in lower case, an IPv4 address, or an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.endpoint.host
    }

    /// The port: 1 to 65535; where none was given, 21 for `ftp`, 2811 for `gsiftp`, 22 for `sshftp`.
    pub fn port(&self) -> u16 {
        self.endpoint.port
    }

    /// The server alone.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The user name, decoded.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_ref().map(Secret::text)
    }

    /// The path, decoded; it always begins with `/`.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The path as a server understands it: `/~` at the beginning stands for a home folder, so its slash is left out.
    ///
    /// # Examples
    /// ```
    /// # use gridftp::Url;
    /// # fn main() -> gridftp::Result<()> {
    /// assert_eq!(&*Url::parse("ftp://h/data/x")?.server_path(), b"/data/x");
    /// assert_eq!(&*Url::parse("ftp://h/~/x")?.server_path(), b"~/x");
    /// assert_eq!(&*Url::parse("ftp://h")?.server_path(), b"/");
    /// # Ok(())
    /// # }
    /// ```
    pub fn server_path(&self) -> Cow<'_, [u8]> {
        match &self.path[..] {
            [b'/', home @ ..] if home.starts_with(b"~") => Cow::Borrowed(home),
            path => Cow::Borrowed(path),
        }
    }

    /// Appends a name, or several with `/` between them, as raw bytes: a `%` is a `%`.
    ///
    /// A name from a listing that begins with `~` stays a name in the root folder too, and does not become a home.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the name is empty, begins with `/`, holds a control byte, or
    /// makes the path too long.
    ///
    /// # Examples
    /// ```
    /// # use gridftp::Url;
    /// # fn main() -> gridftp::Result<()> {
    /// let url = Url::parse("ftp://h/data")?.join("100% done")?;
    /// assert_eq!(url.to_string(), "ftp://h/data/100%25%20done");
    /// # Ok(())
    /// # }
    /// ```
    pub fn join(&self, name: impl AsRef<[u8]>) -> Result<Self> {
        let name = name.as_ref();
        if name.is_empty() || name[0] == b'/' {
            return Err(parse::refuse(
                "name to join",
                name,
                format_args!("a relative name that is not empty"),
            ));
        }
        parse::check_controls("name to join", name)?;
        let mut path = Vec::with_capacity(self.path.len() + 2 + name.len());
        path.extend_from_slice(&self.path);
        if !path.ends_with(b"/") || (path == b"/" && name[0] == b'~') {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        self.with_checked_path(path)
    }

    /// The same server and user with another path, given as raw bytes in the meaning of [`Url::path`].
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when it does not begin with `/` (an empty one becomes `/`), holds
    /// a control byte, or is too long.
    pub fn with_path(&self, path: impl Into<Vec<u8>>) -> Result<Self> {
        let mut path = path.into();
        if path.is_empty() {
            path.push(b'/');
        }
        if path[0] != b'/' {
            return Err(parse::refuse("path", &path, format_args!("it to begin with /")));
        }
        parse::check_controls("path", &path)?;
        self.with_checked_path(path)
    }

    fn with_checked_path(&self, path: Vec<u8>) -> Result<Self> {
        parse::check_length("path", &path, parse::MAX_PATH)?;
        Ok(self.at(path))
    }

    fn at(&self, path: Vec<u8>) -> Self {
        Self {
            endpoint: self.endpoint.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            path,
        }
    }

    /// The last segment of the path, whether or not slashes follow it; `None` for the root, a home folder, `.` and `..`.
    pub fn file_name(&self) -> Option<&[u8]> {
        let (begin, end) = self.last_segment()?;
        match &self.path[begin..end] {
            b"." | b".." => None,
            name => Some(name),
        }
    }

    /// The path without its last segment; `None` for the root and for a home folder.
    ///
    /// Nothing is resolved: the parent of `/a/..` is `/a`.
    pub fn parent(&self) -> Option<Self> {
        let (begin, _) = self.last_segment()?;
        let before = &self.path[..begin];
        let kept = before.iter().rposition(|&byte| byte != b'/').map_or(begin, |last| last + 1);
        Some(self.at(self.path[..kept].to_vec()))
    }

    /// Begin and end of the last segment that can be taken away.
    fn last_segment(&self) -> Option<(usize, usize)> {
        let end = self.path.iter().rposition(|&byte| byte != b'/')? + 1;
        let begin = self.path[..end].iter().rposition(|&byte| byte == b'/')? + 1;
        // `/~` and `/~name` are homes, not names.
        (begin != 1 || self.path[1] != b'~').then_some((begin, end))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.endpoint.scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{}@", percent_encode(user.as_bytes(), USER_SET))?;
        }
        fmt_host_port(&self.endpoint, f)?;
        write!(f, "{}", percent_encode(&self.path, PATH_SET))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        Self::parse(s)
    }
}

fn fmt_host_port(endpoint: &Endpoint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if endpoint.host.contains(':') {
        write!(f, "[{}]", endpoint.host)?;
    } else {
        f.write_str(&endpoint.host)?;
    }
    if endpoint.port != endpoint.scheme.default_port() {
        write!(f, ":{}", endpoint.port)?;
    }
    Ok(())
}

/// Whatever can be made into a [`Url`]: `&str`, `String`, `&String`, `Url`, `&Url`. Sealed.
pub trait IntoUrl: sealed::Sealed {
    /// Parses or clones.
    ///
    /// # Errors
    /// As [`Url::parse`].
    fn into_url(self) -> Result<Url>;
}

mod sealed {
    #[expect(unnameable_types, reason = "that nobody else can name it is its purpose")]
    pub trait Sealed {}
    impl Sealed for &str {}
    impl Sealed for String {}
    impl Sealed for &String {}
    impl Sealed for super::Url {}
    impl Sealed for &super::Url {}
}

impl IntoUrl for &str {
    fn into_url(self) -> Result<Url> {
        Url::parse(self)
    }
}

impl IntoUrl for String {
    fn into_url(self) -> Result<Url> {
        Url::parse(&self)
    }
}

impl IntoUrl for &String {
    fn into_url(self) -> Result<Url> {
        Url::parse(self)
    }
}

impl IntoUrl for Url {
    fn into_url(self) -> Result<Url> {
        Ok(self)
    }
}

impl IntoUrl for &Url {
    fn into_url(self) -> Result<Url> {
        Ok(self.clone())
    }
}

#[cfg(test)]
mod tests;
