//! What can go wrong, told so that a program can decide and a person can act.
//!
//! An [`Error`] carries a [kind](ErrorKind), the [side](Side) it happened on, the [phase](Phase) it happened in, the
//! server's own words where it had any, and two judgements: [`Error::is_transient`] (would a retry help) and
//! [`Error::may_have_applied`] (could the server have done the thing all the same).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::url::Url;

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Arc<dyn std::error::Error + Send + Sync + 'static>;

/// An operation that did not succeed. Cheap to move and to clone.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    phase: Phase,
    side: Option<Side>,
    message: Cow<'static, str>,
    reply: Option<Reply>,
    url: Option<Url>,
    source: Option<Source>,
    transient: Option<bool>,
    may_have_applied: bool,
}

/// The class of a failure: what a program branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A URL, path, option or other value given by the caller is not acceptable; nothing was sent.
    InvalidInput,
    /// The host's name has no address.
    Resolve,
    /// No TCP connection could be made.
    Connect,
    /// An established connection broke.
    ConnectionLost,
    /// A deadline passed; [`TimeoutKind`] says which.
    Timeout(TimeoutKind),
    /// The two sides could not establish who they are: no credential, an untrusted one, a wrong host name, a refused
    /// password.
    Authentication,
    /// The server knows who asks and does not let them.
    Authorization,
    /// The credential's lifetime is over (or has not begun).
    CredentialExpired,
    /// There is no such file or folder.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// A folder was expected.
    NotADirectory,
    /// A file was expected, a folder found.
    IsADirectory,
    /// The folder holds entries.
    NotEmpty,
    /// The file system refuses the access.
    PermissionDenied,
    /// No space or quota is left.
    NoSpace,
    /// The server has too much to do just now.
    ServerBusy,
    /// The server (or this client) does not do what was asked for.
    Unsupported,
    /// The server refused for a reason that it did not give, or that this client does not know; its words are in
    /// [`Error::reply`].
    Refused,
    /// Fewer or more bytes arrived than were announced.
    Truncated,
    /// Contents differ from their checksum.
    ChecksumMismatch,
    /// The operation was ended by its caller.
    Aborted,
    /// The server said something that the protocol does not allow.
    Protocol,
    /// A local file or stream failed.
    LocalIo,
    /// The process has no descriptor left that Globus can use.
    TooManyOpenFiles,
    /// A defect of this crate or of the libraries below it.
    Internal,
}

/// Which deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// Connecting and logging in.
    Connect,
    /// The reply to one command.
    Reply,
    /// The first byte of data after the transfer was accepted.
    FirstByte,
    /// A pause in a running transfer.
    Stall,
    /// The whole operation.
    Total,
}

/// Where an error arose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Side {
    /// This machine: its files, its credentials, its network.
    Local,
    /// The one server of the operation.
    Server,
    /// The server (or file system) that is read from.
    Source,
    /// The server (or file system) that is written to.
    Destination,
}

/// How far the operation had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Checking what the caller gave.
    Input,
    /// Finding and reading a credential.
    Credential,
    /// Looking up the host's addresses.
    Resolve,
    /// Making the control connection.
    Connect,
    /// Authenticating and logging in.
    Login,
    /// A command on the control channel.
    Command,
    /// Agreeing on and making data channels.
    DataSetup,
    /// Moving data.
    Data,
    /// Waiting for the server's word that all is stored or sent.
    Completion,
    /// Comparing sizes or checksums.
    Verify,
    /// Reading or writing local files.
    LocalFile,
}

impl Error {
    /// A new error of `kind`; `message` is a sentence without a full stop.
    pub(crate) fn new(kind: ErrorKind, phase: Phase, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            phase,
            side: None,
            message: message.into(),
            reply: None,
            url: None,
            source: None,
            transient: None,
            may_have_applied: false,
        }))
    }

    /// A refusal of something the caller gave: names the value and what was expected.
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, Phase::Input, message).with_side(Side::Local)
    }

    /// A local file that could not be had: names what was tried, and the path.
    pub(crate) fn local(doing: &str, path: &std::path::Path, error: std::io::Error, side: Side) -> Self {
        use std::io::ErrorKind as Io;
        use std::os::unix::ffi::OsStrExt as _;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::NoSpace,
            Io::IsADirectory => ErrorKind::IsADirectory,
            Io::NotADirectory => ErrorKind::NotADirectory,
            Io::DirectoryNotEmpty => ErrorKind::NotEmpty,
            _ => match error.raw_os_error() {
                // EMFILE and ENFILE of Linux, which have no kind of their own.
                Some(23 | 24) => ErrorKind::TooManyOpenFiles,
                _ => ErrorKind::LocalIo,
            },
        };
        let message = format!("{doing} {}: {error}", Escaped(path.as_os_str().as_bytes()));
        Self::new(kind, Phase::LocalFile, message).with_side(side).with_source(error)
    }

    /// A final reply of class 4yz or 5yz (or one that does not fit), classified by its code and text.
    pub(crate) fn from_reply(reply: Reply, phase: Phase, doing: impl Into<Cow<'static, str>>) -> Self {
        let kind = crate::protocol::classify::kind_of_reply(&reply);
        let mut error = Self::new(kind, phase, doing).with_side(Side::Server);
        error.0.reply = Some(reply);
        error
    }

    pub(crate) fn with_side(mut self, side: Side) -> Self {
        self.0.side = Some(side);
        self
    }

    /// The same, once it is known to have happened in the middle of something.
    pub(crate) fn with_phase(mut self, phase: Phase) -> Self {
        self.0.phase = phase;
        self
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Names the URL unless one is named already.
    pub(crate) fn with_url(mut self, url: &Url) -> Self {
        if self.0.url.is_none() {
            self.0.url = Some(url.clone());
        }
        self
    }

    pub(crate) fn with_reply(mut self, reply: Reply) -> Self {
        self.0.reply = Some(reply);
        self
    }

    pub(crate) fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn with_transient(mut self, transient: bool) -> Self {
        self.0.transient = Some(transient);
        self
    }

    /// Marks that the command had been sent, so that the server may have done it.
    pub(crate) fn with_may_have_applied(mut self) -> Self {
        self.0.may_have_applied = true;
        self
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The server's reply, where one led to the error.
    pub fn reply(&self) -> Option<&Reply> {
        self.0.reply.as_ref()
    }

    /// The URL of the operation that failed.
    pub fn url(&self) -> Option<&Url> {
        self.0.url.as_ref()
    }

    /// The side it happened on, where that is known.
    pub fn side(&self) -> Option<Side> {
        self.0.side
    }

    /// How far the operation had come.
    pub fn phase(&self) -> Phase {
        self.0.phase
    }

    /// Whether the same call, made again later, can be expected to succeed.
    ///
    /// True for broken connections, deadlines, busy servers, and for 4yz replies whose words do not speak against it; false
    /// for what would only fail again.
    pub fn is_transient(&self) -> bool {
        if let Some(transient) = self.0.transient {
            return transient;
        }
        match self.0.kind {
            ErrorKind::Connect
            | ErrorKind::ConnectionLost
            | ErrorKind::Timeout(_)
            | ErrorKind::ServerBusy
            | ErrorKind::Truncated
            | ErrorKind::ChecksumMismatch
            | ErrorKind::TooManyOpenFiles => true,
            // Only where the kind leaves it open does the code decide: globus-gridftp-server says 451 to a folder that is
            // not empty, ProFTPD 450 to a file that is missing.
            ErrorKind::Refused | ErrorKind::NoSpace => {
                self.0.reply.as_ref().is_some_and(Reply::is_transient_negative)
            }
            _ => false,
        }
    }

    /// Whether the server may have done what was asked although no success was reported.
    ///
    /// True when the connection broke, or a deadline passed, after the command was sent and before its final reply.
    pub fn may_have_applied(&self) -> bool {
        self.0.may_have_applied
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        if let Some(url) = &inner.url {
            write!(f, "{url}: ")?;
        }
        f.write_str(&inner.message)?;
        if let Some(reply) = &inner.reply {
            write!(f, ": server said {reply}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("phase", &inner.phase)
            .field("side", &inner.side)
            .field("message", &inner.message)
            .field("reply", &inner.reply)
            .field("url", &inner.url.as_ref().map(ToString::to_string))
            .field("source", &inner.source)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            ErrorKind::InvalidInput => Io::InvalidInput,
            ErrorKind::Connect => Io::NotConnected,
            ErrorKind::ConnectionLost => Io::ConnectionReset,
            ErrorKind::Timeout(_) => Io::TimedOut,
            ErrorKind::NotFound => Io::NotFound,
            ErrorKind::AlreadyExists => Io::AlreadyExists,
            ErrorKind::NotADirectory => Io::NotADirectory,
            ErrorKind::IsADirectory => Io::IsADirectory,
            ErrorKind::NotEmpty => Io::DirectoryNotEmpty,
            ErrorKind::PermissionDenied
            | ErrorKind::Authorization
            | ErrorKind::Authentication
            | ErrorKind::CredentialExpired => Io::PermissionDenied,
            ErrorKind::NoSpace => Io::StorageFull,
            ErrorKind::ServerBusy => Io::ResourceBusy,
            ErrorKind::Unsupported => Io::Unsupported,
            ErrorKind::Truncated => Io::UnexpectedEof,
            ErrorKind::ChecksumMismatch | ErrorKind::Protocol => Io::InvalidData,
            _ => Io::Other,
        };
        Self::new(kind, error)
    }
}

/// A reply of an FTP server: a three-digit code and its lines (RFC 959 §4.2).
///
/// What a server says is not trusted: lines are bounded when they are read, and [`fmt::Display`] escapes everything
/// that is not printable.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    lines: Vec<Bytes>,
}

/// Longest excerpt of a reply that `Display` shows, in bytes.
const SHOWN: usize = 600;

impl Reply {
    pub(crate) fn new(code: u16, lines: Vec<Bytes>) -> Self {
        Self { code, lines }
    }

    /// The three digits, 100 to 659.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The text of each line, without code and line end, as the server sent it.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.lines.iter().map(|line| &line[..])
    }

    /// 1yz: more replies to the same command follow.
    pub fn is_preliminary(&self) -> bool {
        self.code / 100 == 1
    }

    /// 2yz: done.
    pub fn is_completion(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3yz: accepted, more is needed.
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4yz: failed, and may succeed when tried again.
    pub fn is_transient_negative(&self) -> bool {
        self.code / 100 == 4
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        let mut left = SHOWN;
        for (index, line) in self.lines.iter().enumerate() {
            let shown = &line[..line.len().min(left)];
            let between = if index == 0 { " " } else { " / " };
            // Lines without text count as well.
            left = left.saturating_sub(shown.len() + between.len());
            f.write_str(between)?;
            write!(f, "{}", Escaped(shown))?;
            if left == 0 {
                return f.write_str(" …");
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({self})")
    }
}

/// Bytes from outside, shown so that no control character, no terminal sequence and no direction override gets through.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                let hidden = matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
                if c.is_control() || hidden {
                    write!(f, "{}", c.escape_default())?;
                } else {
                    f.write_char(c)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_reply_is_shown_escaped_and_bounded() {
        let mut line = b"bad \x1b[2J \xff name\x07 \xe2\x80\xae".to_vec();
        line.extend(std::iter::repeat_n(b'x', 5000));
        let shown = Reply::new(550, vec![Bytes::from(line)]).to_string();
        assert!(shown.starts_with("550 bad \\u{1b}[2J \\xff name\\u{7} \\u{202e}xxx"), "{shown}");
        assert!(shown.len() < 800 && shown.ends_with('…'));
    }

    #[test]
    fn errors_are_send_and_small() {
        fn check<T: Send + Sync + Clone + 'static>() {}
        check::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
