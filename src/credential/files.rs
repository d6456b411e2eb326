//! The files a credential can be in: where they are looked for, and which of them are refused.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::pem::{self, Locked};
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::protocol::secret::Secret;

/// What the search depends on.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    pub(super) proxy: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) home: Option<PathBuf>,
    pub(super) default_proxy: PathBuf,
}

impl Places {
    /// The environment and the user's number.
    pub(super) fn of_this_process() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            proxy: path("X509_USER_PROXY"),
            certificate: path("X509_USER_CERT"),
            key: path("X509_USER_KEY"),
            home: path("HOME"),
            default_proxy: PathBuf::from(format!("/tmp/x509up_u{}", rustix::process::getuid().as_raw())),
        }
    }
}

/// The user's credential, from the first place where one should be.
pub(super) fn search(places: &Places, locked: Locked) -> Result<Bytes> {
    if let Some(proxy) = &places.proxy {
        return read_proxy(proxy, locked).map_err(|error| hinted(&error, "X509_USER_PROXY names it"));
    }
    if exists(&places.default_proxy) {
        return read_proxy(&places.default_proxy, locked);
    }
    match (&places.certificate, &places.key) {
        (Some(certificate), Some(key)) => return read_pair(certificate, key, locked),
        (Some(_), None) => {
            return Err(unusable("X509_USER_CERT is set and X509_USER_KEY is not, expected both or none"));
        }
        (None, Some(_)) => {
            return Err(unusable("X509_USER_KEY is set and X509_USER_CERT is not, expected both or none"));
        }
        (None, None) => {}
    }
    let globus = places.home.as_ref().map(|home| home.join(".globus"));
    if let Some(globus) = &globus {
        let (certificate, key) = (globus.join("usercert.pem"), globus.join("userkey.pem"));
        if exists(&certificate) && exists(&key) {
            return read_pair(&certificate, &key, locked);
        }
    }
    let home =
        globus.map_or_else(String::new, |globus| format!(", no usercert.pem and userkey.pem in {globus:?}"));
    Err(unusable(format!(
        "no credential found: X509_USER_PROXY, X509_USER_CERT and X509_USER_KEY are not set, there is no {:?}{home}; \
         grid-proxy-init makes one",
        places.default_proxy
    )))
}

/// A proxy: certificate, key and chain in one file.
pub(super) fn read_proxy(path: &Path, locked: Locked) -> Result<Bytes> {
    let text = read(path, true)?;
    pem::check(text.bytes(), locked)
        .map_err(|problem| unusable(format!("the credential file {path:?} {problem}")))?;
    Ok(Bytes::from_owner(text))
}

/// Certificate and key in two files.
pub(super) fn read_pair(certificate: &Path, key: &Path, locked: Locked) -> Result<Bytes> {
    let certificates = read(certificate, false)?;
    let private = read(key, true)?;
    pem::check_key(private.bytes(), locked)
        .map_err(|problem| unusable(format!("the key file {key:?} {problem}")))?;
    let text = Secret::new([certificates.bytes(), b"\n", private.bytes()].concat());
    pem::check(text.bytes(), locked)
        .map_err(|problem| unusable(format!("the certificate file {certificate:?} {problem}")))?;
    Ok(Bytes::from_owner(text))
}

fn exists(path: &Path) -> bool {
    // A file that cannot be looked at is one that is there: reading it tells what is wrong.
    !matches!(path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Reads a bounded regular file. Everything is asked of the open file, so nobody can swap it in between.
fn read(path: &Path, secret: bool) -> Result<Secret> {
    let failed = |source: io::Error| {
        let error = unusable(format!("cannot read the credential file {path:?}: {source}"));
        let full = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
        // The file may be all right.
        let error = match source.raw_os_error() {
            Some(code) if full.iter().any(|errno| errno.raw_os_error() == code) => {
                error.with_kind(ErrorKind::TooManyOpenFiles)
            }
            _ => error,
        };
        error.with_source(source)
    };
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file: File = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(unusable(format!("the credential file {path:?} is no regular file")));
    }
    if secret {
        check_owner(path, metadata.uid(), metadata.mode())?;
    }
    let limit = u64::try_from(pem::MAX).unwrap_or(u64::MAX);
    // With room for all of it, so that it does not move and leave a part of a key behind.
    let room = usize::try_from(metadata.len().min(limit)).unwrap_or(0) + 64;
    let mut text = Vec::with_capacity(room);
    let read = file.take(limit + 1).read_to_end(&mut text);
    let text = Secret::new(text);
    read.map_err(failed)?;
    if text.bytes().len() > pem::MAX {
        return Err(unusable(format!("the credential file {path:?} has more than {} bytes", pem::MAX)));
    }
    Ok(text)
}

/// A private key must be the user's own and closed to everybody else, as Globus has it; there is no way around.
fn check_owner(path: &Path, owner: u32, mode: u32) -> Result<()> {
    let user = rustix::process::getuid().as_raw();
    if owner != user {
        return Err(unusable(format!(
            "the credential file {path:?} belongs to user {owner}, expected user {user}"
        )));
    }
    if mode & 0o077 != 0 {
        return Err(unusable(format!(
            "the credential file {path:?} has mode {:04o}, so others can get at the private key; expected 0600 (chmod 600)",
            mode & 0o7777
        )));
    }
    Ok(())
}

pub(super) fn unusable(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Authentication, Phase::Credential, message).with_side(Side::Local)
}

fn hinted(error: &Error, hint: &str) -> Error {
    unusable(format!("{error} ({hint})")).with_kind(error.kind()).with_source(error.clone())
}
