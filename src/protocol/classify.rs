//! What a negative reply means: its [`ErrorKind`], from the words first and from the code where the words say nothing.
//!
//! The code alone is of little use: globus-gridftp-server answers 500 to a missing file and 451 to a folder that is not
//! empty, others 550 to everything. A kind is only given when the server said as much. `NotFound` in particular is never
//! guessed, because callers go on as if nothing were wrong where it is harmless that a file is missing.

use crate::error::{ErrorKind, Reply};

/// Lines and bytes per line that are looked at; reasons stand at the beginning.
const LINES: usize = 64;
const LINE: usize = 1024;

/// The class of a negative reply. A reply that is not 4yz or 5yz does not fit where it was sent: `Protocol`.
pub(crate) fn kind_of_reply(reply: &Reply) -> ErrorKind {
    let words = Words::of(reply);
    match reply.code() {
        421 => words.closing(),
        430 | 530..=535 => words.login().unwrap_or_else(|| by_code(reply.code())),
        code @ 400..=599 => words.reason(code).unwrap_or_else(|| by_code(code)),
        _ => ErrorKind::Protocol,
    }
}

/// What is left to say when the words are of no help (RFC 959 §4.2, RFC 2228 §5, RFC 2428, RFC 4217).
fn by_code(code: u16) -> ErrorKind {
    match code {
        425 | 426 => ErrorKind::ConnectionLost,
        430 | 431 | 530 | 535 => ErrorKind::Authentication,
        450 => ErrorKind::ServerBusy,
        452 | 552 => ErrorKind::NoSpace,
        502 | 504 | 522 | 536 | 537 | 555 => ErrorKind::Unsupported,
        503 => ErrorKind::Protocol,
        532..=534 => ErrorKind::Authorization,
        _ => ErrorKind::Refused,
    }
}

/// The lines of a reply in lower case.
struct Words(Vec<String>);

impl Words {
    fn of(reply: &Reply) -> Self {
        let lower =
            |line: &[u8]| String::from_utf8_lossy(&line[..line.len().min(LINE)]).trim().to_ascii_lowercase();
        Self(reply.lines().take(LINES).map(lower).collect())
    }

    fn has(&self, words: &[&str]) -> bool {
        self.0.iter().any(|line| words.iter().any(|word| line.contains(word)))
    }

    /// 421: the server hangs up, because it is busy or because nothing was asked of it for long.
    fn closing(&self) -> ErrorKind {
        if self.has(&["timeout", "timed out", "idle", "no transfer"]) {
            ErrorKind::ConnectionLost
        } else {
            ErrorKind::ServerBusy
        }
    }

    fn login(&self) -> Option<ErrorKind> {
        if self.has(&["c=endpoint_error", "too many", "maximum number", "try again", "try later"]) {
            return Some(ErrorKind::ServerBusy);
        }
        if self.has(&["expired", "not yet valid"]) {
            return Some(ErrorKind::CredentialExpired);
        }
        let unmapped = ["gridmap", "could not map", "mapping", "c=login_denied", "permission_denied"];
        let denied = [
            "not authorized",
            "authorization",
            "permission denied",
            "access denied",
            "not allowed",
            "banned",
        ];
        (self.has(&unmapped) || self.has(&denied)).then_some(ErrorKind::Authorization)
    }

    fn reason(&self, code: u16) -> Option<ErrorKind> {
        self.gridftp()
            .or_else(|| self.system())
            .or_else(|| self.unknown_command(code))
            .or_else(|| self.phrase())
    }

    /// The lines that globus-gridftp-server writes for programs.
    fn gridftp(&self) -> Option<ErrorKind> {
        // One version spells it GlobusEror.
        let token = |line: &String| line.split_once("globuser").and_then(|(_, rest)| gridftp_token(rest));
        let text = |line: &String| line.strip_prefix("gridftp-error-string: ").and_then(system_text);
        let number = |line: &String| line.strip_prefix("gridftp-errno: ").and_then(system_number);
        let lines = &self.0;
        lines
            .iter()
            .find_map(token)
            .or_else(|| lines.iter().find_map(text))
            .or_else(|| lines.iter().find_map(number))
    }

    /// The text of a system error behind the last colon (`/d/x: Permission denied`), alone, or in front of the first one
    /// (`Not a directory: /d/x`).
    fn system(&self) -> Option<ErrorKind> {
        // This line ends in a path, which may read like anything.
        let lines = || self.0.iter().filter(|line| !line.starts_with("globus_xio: unable to open file"));
        let last =
            |line: &String| system_text(line.rsplit_once(": ").map_or(line.as_str(), |(_, text)| text));
        let first = |line: &String| line.split_once(": ").and_then(|(text, _)| system_text(text));
        lines().find_map(last).or_else(|| lines().find_map(first))
    }

    fn unknown_command(&self, code: u16) -> Option<ErrorKind> {
        const UNKNOWN: &[&str] = &[
            "unknown",
            "unrecognized",
            "unrecognised",
            "not understood",
            "not supported",
            "unsupported",
            "not implemented",
            "invalid command.",
        ];
        (matches!(code, 500..=504) && self.has(UNKNOWN)).then_some(ErrorKind::Unsupported)
    }

    /// What other servers write, in the order in which one phrase holds another.
    fn phrase(&self) -> Option<ErrorKind> {
        const PHRASES: &[(&[&str], ErrorKind)] = &[
            (
                &[
                    "certificate has expired",
                    "certificate expired",
                    "credential has expired",
                    "expired credential",
                    "proxy expired",
                ],
                ErrorKind::CredentialExpired,
            ),
            (
                &["gss major status", "authentication failed", "authentication error"],
                ErrorKind::Authentication,
            ),
            (&["already exist", "file exists", "overwrit"], ErrorKind::AlreadyExists),
            (&["not empty"], ErrorKind::NotEmpty),
            (&["no space", "disk full", "out of space", "quota", "insufficient storage"], ErrorKind::NoSpace),
            (&["not a directory"], ErrorKind::NotADirectory),
            (
                &["is a directory", "not a regular file", "not a plain file", "not a file"],
                ErrorKind::IsADirectory,
            ),
            (&["no such", "not found", "does not exist", "doesn't exist"], ErrorKind::NotFound),
            (
                &[
                    "denied",
                    "not permitted",
                    "privilege",
                    "not allowed",
                    "not authorized",
                    "no permission",
                    "forbidden",
                    "read-only",
                ],
                ErrorKind::PermissionDenied,
            ),
            (
                &[
                    "connection re",
                    "connection closed",
                    "connection timed out",
                    "broken pipe",
                    "end-of-file",
                    // The stock server's own library, of a data channel that broke under it.
                    "handle not in the proper state",
                ],
                ErrorKind::ConnectionLost,
            ),
            (
                &[
                    "too many connections",
                    "too many users",
                    "too many open",
                    "try again",
                    "temporarily",
                    "overload",
                    "busy",
                ],
                ErrorKind::ServerBusy,
            ),
        ];
        PHRASES.iter().find(|(words, _)| self.has(words)).map(|&(_, kind)| kind)
    }
}

/// The value of `c=` in `GlobusError: v=1 c=…`.
fn gridftp_token(rest: &str) -> Option<ErrorKind> {
    let token = rest.split_whitespace().find_map(|word| word.strip_prefix("c="))?;
    Some(match token {
        "path_not_found" => ErrorKind::NotFound,
        "path_exists" => ErrorKind::AlreadyExists,
        "permission_denied" => ErrorKind::PermissionDenied,
        "not_a_directory" => ErrorKind::NotADirectory,
        "is_a_directory" => ErrorKind::IsADirectory,
        "no_space_left" | "quota_exceeded" => ErrorKind::NoSpace,
        "data_channel_communication_failure" => ErrorKind::ConnectionLost,
        "endpoint_error" => ErrorKind::ServerBusy,
        "login_denied" => ErrorKind::Authorization,
        // INTERNAL_ERROR is whatever has no name of its own: the system's error says more.
        _ => return None,
    })
}

/// The texts of the C library for system errors, and the same said by servers in their own words.
fn system_text(text: &str) -> Option<ErrorKind> {
    Some(match text.trim().trim_end_matches('.') {
        "no such file or directory" | "file not found" | "no such file" | "no such directory" => {
            ErrorKind::NotFound
        }
        "permission denied" | "operation not permitted" | "read-only file system" => {
            ErrorKind::PermissionDenied
        }
        "file exists" => ErrorKind::AlreadyExists,
        "not a directory" => ErrorKind::NotADirectory,
        "is a directory" | "not a regular file" | "not a file" => ErrorKind::IsADirectory,
        "directory not empty" => ErrorKind::NotEmpty,
        "no space left on device" | "disk quota exceeded" | "file too large" => ErrorKind::NoSpace,
        "operation not supported" | "function not implemented" | "invalid cross-device link" => {
            ErrorKind::Unsupported
        }
        "text file busy"
        | "device or resource busy"
        | "resource temporarily unavailable"
        | "cannot allocate memory"
        | "too many open files"
        | "too many open files in system" => ErrorKind::ServerBusy,
        "connection refused"
        | "connection reset by peer"
        | "connection timed out"
        | "software caused connection abort"
        | "broken pipe"
        | "no route to host"
        | "network is unreachable"
        | "an end-of-file was reached" => ErrorKind::ConnectionLost,
        _ => return None,
    })
}

/// The numbers of Linux, for a server that speaks another language than English.
fn system_number(number: &str) -> Option<ErrorKind> {
    Some(match number.trim() {
        "2" => ErrorKind::NotFound,
        "1" | "13" | "30" => ErrorKind::PermissionDenied,
        "17" => ErrorKind::AlreadyExists,
        "20" => ErrorKind::NotADirectory,
        "21" => ErrorKind::IsADirectory,
        "39" => ErrorKind::NotEmpty,
        "27" | "28" | "122" => ErrorKind::NoSpace,
        "18" | "38" | "95" => ErrorKind::Unsupported,
        "11" | "12" | "16" | "23" | "24" | "26" => ErrorKind::ServerBusy,
        "32" | "101" | "103" | "104" | "110" | "111" | "113" => ErrorKind::ConnectionLost,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
