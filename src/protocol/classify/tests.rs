//! Replies as servers were heard to give them (globus-gridftp-server 13.24, vsftpd 3.0.3, ProFTPD 1.3.8, pyftpdlib 2.2.0)
//! or as their sources write them (dCache, NorduGrid ARC), each with the kind it must have.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::error::{Error, Phase};
use crate::protocol::reply::{Limits, ReplyParser};

fn reply(text: &str) -> Reply {
    let mut input = BytesMut::from(format!("{}\r\n", text.replace('\n', "\r\n")).as_bytes());
    ReplyParser::new(Limits::CLEAR).next(&mut input).unwrap().expect(text)
}

fn check(table: &[(&str, ErrorKind)]) {
    for (text, kind) in table {
        assert_eq!(kind_of_reply(&reply(text)), *kind, "{text}");
    }
}

/// `code`, `GlobusError` token, errno, call, text.
fn globus(code: u16, token: &str, errno: u16, call: &str, text: &str) -> String {
    format!(
        "{code}-GlobusError: v=1 c={token}\n{code}-GridFTP-Errno: {errno}\n\
         {code}-GridFTP-Reason: System error in {call}\n{code}-GridFTP-Error-String: {text}\n{code} End."
    )
}

/// What it says when a transfer's file cannot be opened, read or written.
fn globus_xio(what: &str, call: &str, text: &str) -> String {
    format!(
        "500-Command failed. : {what}\n500-globus_xio: System error in {call}: {text}\n\
         500-globus_xio: A system call failed: {text}\n500 End."
    )
}

#[test]
fn globus_metadata() {
    for (code, token, errno, call, text, kind) in [
        (550, "PATH_NOT_FOUND", 2, "stat", "No such file or directory", ErrorKind::NotFound),
        (500, "PATH_NOT_FOUND", 2, "stat", "No such file or directory", ErrorKind::NotFound), // RNFR
        (550, "NOT_A_DIRECTORY", 20, "rmdir", "Not a directory", ErrorKind::NotADirectory),
        (550, "IS_A_DIRECTORY", 21, "unlink", "Is a directory", ErrorKind::IsADirectory),
        (550, "PERMISSION_DENIED", 13, "scandir", "Permission denied", ErrorKind::PermissionDenied),
        (550, "INTERNAL_ERROR", 1, "chmod", "Operation not permitted", ErrorKind::PermissionDenied),
        (550, "INTERNAL_ERROR", 30, "mkdir", "Read-only file system", ErrorKind::PermissionDenied),
        (553, "PATH_EXISTS", 17, "mkdir", "File exists", ErrorKind::AlreadyExists),
        (451, "INTERNAL_ERROR", 39, "rmdir", "Directory not empty", ErrorKind::NotEmpty),
        (451, "INTERNAL_ERROR", 18, "rename", "Invalid cross-device link", ErrorKind::Unsupported),
        (451, "INTERNAL_ERROR", 40, "stat", "Too many levels of symbolic links", ErrorKind::Refused),
        (552, "NO_SPACE_LEFT", 28, "mkdir", "No space left on device", ErrorKind::NoSpace),
        (552, "QUOTA_EXCEEDED", 122, "mkdir", "Disk quota exceeded", ErrorKind::NoSpace),
        (
            426,
            "DATA_CHANNEL_COMMUNICATION_FAILURE",
            104,
            "write",
            "Connection reset by peer",
            ErrorKind::ConnectionLost,
        ),
        // A server in another language, and an error without a name.
        (451, "INTERNAL_ERROR", 39, "rmdir", "Das Verzeichnis ist nicht leer", ErrorKind::NotEmpty),
        (451, "INTERNAL_ERROR", 5, "stat", "Input/output error", ErrorKind::Refused),
    ] {
        let text = globus(code, token, errno, call, text);
        assert_eq!(kind_of_reply(&reply(&text)), kind, "{text}");
    }
    let cwd = "550-/d/none: Could not change directory. : GlobusError: v=1 c=PATH_NOT_FOUND\n550-GridFTP-Errno: 2\n550 End.";
    check(&[(cwd, ErrorKind::NotFound)]);
}

#[test]
fn globus_transfers() {
    let open = "globus_l_gfs_file_open failed.\n500-globus_xio: Unable to open file /d/x";
    for (what, call, text, kind) in [
        (open, "open", "No such file or directory", ErrorKind::NotFound),
        (open, "open", "Permission denied", ErrorKind::PermissionDenied),
        (open, "open", "Not a directory", ErrorKind::NotADirectory),
        (open, "open", "Is a directory", ErrorKind::IsADirectory),
        (open, "open", "File name too long", ErrorKind::Refused),
        ("callback failed.", "read", "Is a directory", ErrorKind::IsADirectory),
        ("callback failed.", "write", "No space left on device", ErrorKind::NoSpace),
        ("callback failed.", "connect", "Connection refused", ErrorKind::ConnectionLost),
        // The path in the reply does not decide.
        (
            "x\n500-globus_xio: Unable to open file /d/a: No such file or directory",
            "open",
            "Permission denied",
            ErrorKind::PermissionDenied,
        ),
    ] {
        let text = globus_xio(what, call, text);
        assert_eq!(kind_of_reply(&reply(&text)), kind, "{text}");
    }
    check(&[
        (
            "500-checksum read callback failed.\n500-globus_xio: System error in read: Is a directory\n500 End.",
            ErrorKind::IsADirectory,
        ),
        ("500 Unknown checksum algorithm requested.", ErrorKind::Unsupported),
        ("500 Command not supported.", ErrorKind::Unsupported),
        ("500 Invalid command.", ErrorKind::Unsupported),
        ("501 Invalid command arguments.", ErrorKind::Refused),
        ("501 'MODE X' unrecognized transfer mode.", ErrorKind::Unsupported),
        ("501 bad parameter.", ErrorKind::Refused),
        ("501 Illegal PORT command.", ErrorKind::Refused),
        ("500 command failed.", ErrorKind::Refused),
        ("500 OPTS failed.", ErrorKind::Refused),
        ("504 Unknown authentication type.", ErrorKind::Unsupported),
        ("503 You are already logged in.", ErrorKind::Protocol),
        ("421 Service not available, closing control connection.", ErrorKind::ServerBusy),
        ("421 Idle Timeout: closing control connection.", ErrorKind::ConnectionLost),
        ("425 Can't open data connection.", ErrorKind::ConnectionLost),
        (
            "500-Command failed. : globus_xio: Authentication Error\n500-GSS Major Status: Authentication Failed\n500 End.",
            ErrorKind::Authentication,
        ),
    ]);
}

#[test]
fn logins() {
    check(&[
        (
            "530-Login incorrect. : globus_gss_assist: Gridmap lookup failure: Could not map /O=Lab/CN=Tester\n530-\n530 End.",
            ErrorKind::Authorization,
        ),
        (
            "530-Login incorrect. : GlobusError: v=1 c=LOGIN_DENIED\n530-GridFTP-Message: None of your identities are from \
          domains allowed by resource policies\n530 End.",
            ErrorKind::Authorization,
        ),
        (
            "530-Login incorrect. : GlobusError: v=1 c=ENDPOINT_ERROR\n530-Failure while contacting GCS Manager API.\n530 End.",
            ErrorKind::ServerBusy,
        ),
        ("530 Must perform GSSAPI authentication.", ErrorKind::Authentication),
        (
            "530-globus_xio: Authentication Error\n530-GSS failure: \n530-GSS Major Status: Authentication Failed\n\
          530-GSS Minor Status Error Chain:\n530-globus_gsi_gssapi: SSL handshake problems\n530-globus_gsi_callback_module: \
          Could not verify credential: self-signed certificate\n530 End.",
            ErrorKind::Authentication,
        ),
        (
            "535-FTPD GSSAPI error: GSS Major Status: Authentication Failed\n535-globus_gsi_callback_module: The certificate \
          has expired: Credential with subject: /O=Lab/CN=Tester has expired.\n535 End.",
            ErrorKind::CredentialExpired,
        ),
        ("530 Login incorrect.", ErrorKind::Authentication),
        ("530 Authentication failed.", ErrorKind::Authentication),
        ("530 Please login with USER and PASS.", ErrorKind::Authentication),
        ("530 This FTP server is anonymous only.", ErrorKind::Authentication),
        ("530 Permission denied.", ErrorKind::Authorization),
        (
            "530 Sorry, the maximum number of clients (5) for this user are already connected.",
            ErrorKind::ServerBusy,
        ),
        ("534 Will accept only Clear protection level", ErrorKind::Authorization),
        ("430 Invalid username or password", ErrorKind::Authentication),
        ("421 There are too many connected users, please try later.", ErrorKind::ServerBusy),
        ("421 Timeout.", ErrorKind::ConnectionLost),
    ]);
}

#[test]
fn other_servers() {
    check(&[
        // ProFTPD
        ("550 /none: No such file or directory", ErrorKind::NotFound),
        ("450 /none: No such file or directory", ErrorKind::NotFound),
        ("550 /d/x: Permission denied", ErrorKind::PermissionDenied),
        ("550 /w: File exists", ErrorKind::AlreadyExists),
        ("550 /w/f: Directory not empty", ErrorKind::NotEmpty),
        ("550 /f: Not a directory", ErrorKind::NotADirectory),
        ("550 /w: Is a directory", ErrorKind::IsADirectory),
        ("550 /d: not a regular file", ErrorKind::IsADirectory),
        ("550 /f: Overwrite permission denied", ErrorKind::AlreadyExists),
        ("550 /f: Forbidden filename", ErrorKind::PermissionDenied),
        ("550 '/none' cannot be listed", ErrorKind::Refused),
        ("500 CKSM not understood", ErrorKind::Unsupported),
        ("552 Transfer aborted. Disk quota exceeded", ErrorKind::NoSpace),
        // vsftpd gives no reasons, and none is made up.
        ("550 Failed to open file.", ErrorKind::Refused),
        ("550 Could not get file size.", ErrorKind::Refused),
        ("550 Delete operation failed.", ErrorKind::Refused),
        ("553 Could not create file.", ErrorKind::Refused),
        ("550 Permission denied.", ErrorKind::PermissionDenied),
        ("500 Unknown command.", ErrorKind::Unsupported),
        ("504 Bad MODE command.", ErrorKind::Unsupported),
        ("426 Failure writing network stream.", ErrorKind::ConnectionLost),
        // pyftpdlib
        ("550 No such file or directory.", ErrorKind::NotFound),
        ("501 No such directory.", ErrorKind::NotFound),
        ("550 Not enough privileges.", ErrorKind::PermissionDenied),
        ("550 File exists.", ErrorKind::AlreadyExists),
        ("550 /none is not retrievable.", ErrorKind::Refused),
        ("500 Command \"CKSM\" not understood.", ErrorKind::Unsupported),
        ("501 Rejected data connection to foreign address 1.2.3.4:1286.", ErrorKind::Refused),
        ("426 Transfer aborted; 2 bytes transmitted.", ErrorKind::ConnectionLost),
        // dCache
        ("550 File not found", ErrorKind::NotFound),
        ("550 Not a directory: /pnfs/x", ErrorKind::NotADirectory),
        ("550 Not a file: /pnfs/x", ErrorKind::IsADirectory),
        ("550 \"/pnfs/x\" directory already exists", ErrorKind::AlreadyExists),
        ("451 Transient internal failure", ErrorKind::Refused),
        ("504 Unsupported checksum type:x", ErrorKind::Unsupported),
        ("501 Unrecognized option: FOO (FOO)", ErrorKind::Unsupported),
        // ARC
        ("553 Active data transfer is disabled", ErrorKind::Refused),
        ("550 Size for object not available.", ErrorKind::Refused),
        // By code alone.
        ("452 x", ErrorKind::NoSpace),
        ("450 x", ErrorKind::ServerBusy),
        ("522 x", ErrorKind::Unsupported),
        ("599 x", ErrorKind::Refused),
        // What is no refusal at all.
        ("250 No such file", ErrorKind::Protocol),
        ("150 x", ErrorKind::Protocol),
        ("633 x", ErrorKind::Protocol),
    ]);
}

/// A kind that will not change by itself is not retried because of a code that says "transient".
#[test]
fn retries_follow_the_kind_before_the_code() {
    let transient = |text: &str| Error::from_reply(reply(text), Phase::Command, "x").is_transient();
    assert!(!transient(&globus(451, "INTERNAL_ERROR", 39, "rmdir", "Directory not empty")));
    assert!(!transient("450 /none: No such file or directory"));
    assert!(!transient("430 Invalid username or password"));
    assert!(transient("451 Transient internal failure"));
    assert!(transient("450 x"));
    assert!(transient("452 x"));
    assert!(transient("426 x"));
    assert!(!transient("550 x"));
}

proptest! {
    #[test]
    fn any_reply_has_a_kind(code in 100_u16..660, lines in proptest::collection::vec(any::<Vec<u8>>(), 0..5)) {
        let reply = Reply::new(code, lines.into_iter().map(Into::into).collect());
        let kind = kind_of_reply(&reply);
        prop_assert!((400..600).contains(&code) || kind == ErrorKind::Protocol);
    }
}
