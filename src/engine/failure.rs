//! What C reports, as an owned value: converted once, on the engine thread, in the moment it is reported.

use std::fmt;

use crate::error::{Error, ErrorKind, Phase, Side};

/// Longest text kept of an error chain, in bytes.
pub(super) const TEXT_LIMIT: usize = 4096;

/// RFC 2744 §3.9.1: the routine error of a major status, and "the credential's lifetime is over".
const ROUTINE: u32 = 0x00ff_0000;
const EXPIRED: u32 = 11 << 16;

/// An error of a Globus library.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// The chain as Globus prints it for people; bounded, possibly with text from the network in it.
    pub(crate) text: String,
}

/// What the chain says beyond its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// A system error number.
    Errno(i32),
    /// GSSAPI: the major status.
    Gss(u32),
    /// The peer closed.
    EndOfFile,
    /// Our own force_close.
    Closed,
    /// A descriptor below 1024 cannot be had.
    NoDescriptor,
    /// The peer broke the rules of the channel.
    Violation,
    /// Something else.
    Other,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(crate) fn gone() -> Self {
        Self::new(FailureKind::Closed, "the engine has been shut down")
    }

    /// As an error of a data channel.
    pub(crate) fn into_data_error(self, phase: Phase, doing: &'static str) -> Error {
        let (kind, side) = match self.kind {
            FailureKind::Errno(errno) => {
                let refused = [
                    rustix::io::Errno::CONNREFUSED,
                    rustix::io::Errno::HOSTUNREACH,
                    rustix::io::Errno::NETUNREACH,
                    rustix::io::Errno::TIMEDOUT,
                ];
                let full = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
                if full.iter().any(|e| e.raw_os_error() == errno) {
                    (ErrorKind::TooManyOpenFiles, Side::Local)
                } else if refused.iter().any(|e| e.raw_os_error() == errno) {
                    (ErrorKind::Connect, Side::Server)
                } else {
                    (ErrorKind::ConnectionLost, Side::Server)
                }
            }
            FailureKind::Gss(_) => (ErrorKind::Authentication, Side::Server),
            FailureKind::NoDescriptor => (ErrorKind::TooManyOpenFiles, Side::Local),
            FailureKind::Violation => (ErrorKind::Protocol, Side::Server),
            FailureKind::Closed => (ErrorKind::Aborted, Side::Local),
            FailureKind::EndOfFile | FailureKind::Other => (ErrorKind::ConnectionLost, Side::Server),
        };
        Error::new(kind, phase, doing).with_side(side).with_source(self)
    }
}

impl From<Failure> for Error {
    /// As an error of a login: GSSAPI's word on credentials, names and trust.
    fn from(failure: Failure) -> Self {
        let text = failure.text.as_str();
        let expired = matches!(failure.kind, FailureKind::Gss(major) if major & ROUTINE == EXPIRED)
            || text.contains("expired")
            || text.contains("Proxy certificate verify failed: certificate has expired");
        let (kind, side, message) = match failure.kind {
            FailureKind::Gss(_) if expired => {
                (ErrorKind::CredentialExpired, Side::Local, "a certificate of the login has expired")
            }
            FailureKind::Gss(_) if text.contains("trusted CA certificates directory") => (
                ErrorKind::Authentication,
                Side::Local,
                "there is no directory of trusted CA certificates; set X509_CERT_DIR or fill ~/.globus/certificates",
            ),
            FailureKind::Gss(_) if text.contains("Service Name") || text.contains("expected name") => (
                ErrorKind::Authentication,
                Side::Server,
                "the server's certificate is for another name than the one in the URL",
            ),
            FailureKind::Gss(_) => (
                ErrorKind::Authentication,
                Side::Server,
                "client and server could not authenticate each other",
            ),
            FailureKind::Violation => {
                (ErrorKind::Protocol, Side::Server, "the server broke the rules of the login")
            }
            FailureKind::Closed => (ErrorKind::Internal, Side::Local, "the Globus engine is not running"),
            _ => (ErrorKind::Authentication, Side::Local, "the login failed in the security library"),
        };
        Self::new(kind, Phase::Login, message).with_side(side).with_transient(false).with_source(failure)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Line ends separate the links of the chain; everything else that is not printable is escaped.
        let mut first = true;
        for line in self.text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if !first {
                f.write_str(": ")?;
            }
            first = false;
            write!(f, "{}", crate::error::Escaped(line.as_bytes()))?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
