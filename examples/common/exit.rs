//! What the program's end says to the program that started it.

use std::io;

use gridftp::ErrorKind;

/// The exit codes, one for each class of failure. `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Success,
    /// A defect, or something that has no class.
    Other,
    Usage,
    NotFound,
    Permission,
    Authentication,
    Network,
    Timeout,
    Integrity,
    NoSpace,
    LocalIo,
    Server,
    InTheWay,
    Busy,
    Partial,
    Interrupted,
    BrokenPipe,
    HungUp,
    Terminated,
}

/// Every code with its number and what `--help` says of it.
pub(crate) const ALL: &[(Code, u8, &str)] = &[
    (Code::Success, 0, "everything is done, and as it should be"),
    (Code::Other, 1, "a failure without a class of its own"),
    (Code::Usage, 2, "wrong usage, or a URL or path that cannot be"),
    (Code::NotFound, 3, "no such file or folder, on either side"),
    (Code::Permission, 4, "permission denied, or the user is not authorized"),
    (Code::Authentication, 5, "no credential, an expired or untrusted one, a wrong host or password"),
    (Code::Network, 6, "unknown host, no connection, or a connection that broke"),
    (Code::Timeout, 7, "a time limit passed"),
    (
        Code::Integrity,
        8,
        "more or fewer bytes than announced, other contents, or a source that changed meanwhile",
    ),
    (Code::NoSpace, 9, "no space, quota or allowed file size left"),
    (Code::LocalIo, 10, "a local file failed in another way"),
    (Code::Server, 11, "the server refused, cannot do it, or broke the protocol"),
    (Code::InTheWay, 12, "a folder where a file should be, or the reverse, or a name that is taken"),
    (Code::Busy, 13, "the server is too busy just now"),
    (Code::Partial, 14, "some was done, some failed"),
    (Code::HungUp, 129, "ended by SIGHUP"),
    (Code::Interrupted, 130, "ended by SIGINT (Ctrl-C)"),
    (Code::BrokenPipe, 141, "whoever read standard output went away"),
    (Code::Terminated, 143, "ended by SIGTERM"),
];

impl Code {
    pub(crate) fn number(self) -> u8 {
        ALL.iter().find(|(code, ..)| *code == self).map_or(1, |(_, number, _)| *number)
    }

    /// The class in a word, for programs.
    #[allow(dead_code, reason = "not every program has such")]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Other => "other",
            Self::Usage => "usage",
            Self::NotFound => "not-found",
            Self::Permission => "permission",
            Self::Authentication => "authentication",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Integrity => "integrity",
            Self::NoSpace => "no-space",
            Self::LocalIo => "local-io",
            Self::Server => "server",
            Self::InTheWay => "in-the-way",
            Self::Busy => "busy",
            Self::Partial => "partial",
            Self::Interrupted | Self::HungUp | Self::Terminated => "signal",
            Self::BrokenPipe => "broken-pipe",
        }
    }

    /// The class in a few words, for people.
    #[allow(dead_code, reason = "not every program has such")]
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Success => "done",
            Self::Other => "failure",
            Self::Usage => "wrong usage",
            Self::NotFound => "no such file",
            Self::Permission => "permission denied",
            Self::Authentication => "not authenticated",
            Self::Network => "no connection",
            Self::Timeout => "time limit",
            Self::Integrity => "wrong contents",
            Self::NoSpace => "no space",
            Self::LocalIo => "local file",
            Self::Server => "refused",
            Self::InTheWay => "in the way",
            Self::Busy => "server busy",
            Self::Partial => "partly done",
            Self::Interrupted | Self::HungUp | Self::Terminated => "ended by a signal",
            Self::BrokenPipe => "nobody reads",
        }
    }

    /// The class of an error of the library.
    pub(crate) fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidInput => Self::Usage,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::PermissionDenied | ErrorKind::Authorization => Self::Permission,
            ErrorKind::Authentication | ErrorKind::CredentialExpired => Self::Authentication,
            ErrorKind::Resolve | ErrorKind::Connect | ErrorKind::ConnectionLost => Self::Network,
            ErrorKind::Timeout(_) => Self::Timeout,
            ErrorKind::Truncated | ErrorKind::ChecksumMismatch => Self::Integrity,
            ErrorKind::NoSpace => Self::NoSpace,
            ErrorKind::LocalIo | ErrorKind::TooManyOpenFiles => Self::LocalIo,
            ErrorKind::Unsupported | ErrorKind::Refused | ErrorKind::Protocol => Self::Server,
            ErrorKind::AlreadyExists
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::NotEmpty => Self::InTheWay,
            ErrorKind::ServerBusy => Self::Busy,
            _ => Self::Other,
        }
    }

    /// The class of an error of a local file.
    pub(crate) fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind as Io;
        match error.kind() {
            Io::NotFound => Self::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => Self::Permission,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => Self::NoSpace,
            Io::IsADirectory | Io::NotADirectory | Io::AlreadyExists => Self::InTheWay,
            Io::TimedOut => Self::Timeout,
            _ => Self::LocalIo,
        }
    }
}

impl From<Code> for std::process::ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_number_of_its_own() {
        for (index, (code, number, text)) in ALL.iter().enumerate() {
            assert_eq!(code.number(), *number);
            assert!(!text.is_empty());
            assert!(ALL[index + 1..].iter().all(|(other, n, _)| other != code && n > number), "{number}");
        }
        // What scripts rely on; a change here is a change of the interface.
        let numbers: Vec<u8> = ALL.iter().map(|(_, number, _)| *number).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 129, 130, 141, 143]);
    }

    #[test]
    fn kinds_that_a_script_would_treat_differently_differ() {
        let of = Code::of_kind;
        assert_eq!(of(ErrorKind::InvalidInput).number(), 2);
        assert_eq!(of(ErrorKind::NotFound).number(), 3);
        assert_eq!(of(ErrorKind::Authorization).number(), 4);
        assert_eq!(of(ErrorKind::CredentialExpired).number(), 5);
        assert_eq!(of(ErrorKind::Resolve).number(), 6);
        assert_eq!(of(ErrorKind::Timeout(gridftp::TimeoutKind::Stall)).number(), 7);
        assert_eq!(of(ErrorKind::Truncated).number(), 8);
        assert_eq!(of(ErrorKind::NoSpace).number(), 9);
        assert_eq!(of(ErrorKind::TooManyOpenFiles).number(), 10);
        assert_eq!(of(ErrorKind::Refused).number(), 11);
        assert_eq!(of(ErrorKind::IsADirectory).number(), 12);
        assert_eq!(of(ErrorKind::ServerBusy).number(), 13);
        assert_eq!(of(ErrorKind::Internal).number(), 1);
    }

    #[test]
    fn local_errors_have_the_classes_of_remote_ones() {
        let of = |errno| Code::of_io(&io::Error::from_raw_os_error(errno)).number();
        // ENOENT, EACCES, EPERM, EROFS, ENOSPC, EFBIG, EDQUOT, EISDIR, ENOTDIR, EIO.
        let codes = [2, 13, 1, 30, 28, 27, 122, 21, 20, 5].map(of);
        assert_eq!(codes, [3, 4, 4, 4, 9, 9, 9, 12, 12, 10]);
    }
}
