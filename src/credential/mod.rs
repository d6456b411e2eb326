//! Who the user is: GSI credentials, passwords, nobody in particular.
//!
//! A [`Credential`] says where an identity comes from; nothing is read before it is needed, and files are read again for
//! each new session, so that a proxy that was renewed meanwhile is used. Here live the rules of the search and of what is
//! acceptable in a file (`files`, `pem`); what a certificate says (`certificate`, `info`, and names as Globus writes them in
//! `name`); making proxies (`proxy`, with private keys in `secret`); and watching a file for its renewal (`watch`).
//! Certificates are read and signed by OpenSSL, through its safe interface; the little of DER that this leaves out is in
//! `der`.
//!
//! Never here: whether a certificate can be trusted (Globus judges that, in the engine's handshakes), and host or service
//! certificates. Those are never picked up by themselves, not for root either: they say what a machine is, not who a user
//! is.

mod certificate;
mod der;
mod files;
mod info;
mod name;
mod pem;
mod proxy;
mod secret;
mod watch;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::protocol::command::is_control;
use crate::protocol::secret::Secret;

pub use info::{CredentialInfo, CredentialKind, ProxyForm};
use pem::Locked;
pub use proxy::ProxyBuilder;
pub use secret::PassphraseError;
pub use watch::CredentialWatch;

/// Longest user name, password or address, in bytes.
const MAX_TEXT: usize = 1024;

/// The password of an anonymous login when none is given: no address of anybody.
const ANONYMOUS: &str = "anonymous@";

/// Where an identity comes from. Cheap to clone; `Debug` shows no secret.
///
/// GSI credentials serve `gsiftp` URLs, passwords and anonymous logins serve `ftp` URLs; a client can be given one of each.
///
/// # Examples
/// ```
/// use gridftp::Credential;
///
/// let proxy = Credential::from_proxy_file("/tmp/x509up_u1000");
/// let someone = Credential::user_password("lab", "secret")?;
/// assert_eq!(format!("{someone:?}"), r#"Credential(user "lab" with a password)"#);
/// # Ok::<(), gridftp::Error>(())
/// ```
#[derive(Clone)]
pub struct Credential {
    inner: Arc<Inner>,
}

struct Inner {
    source: Source,
    /// How many renewals a watch has seen.
    renewals: AtomicU64,
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        self.inner.source == other.inner.source
    }
}

impl Eq for Credential {}

impl Hash for Credential {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.source.hash(state);
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Source {
    Search,
    ProxyFile(PathBuf),
    Pem(Bytes),
    CertAndKey(PathBuf, PathBuf),
    Password(Arc<str>, Secret),
    Anonymous(Arc<str>),
}

impl Credential {
    /// Looks for the user's own credential when it is needed.
    ///
    /// In this order: the file named by `X509_USER_PROXY`; `/tmp/x509up_u` and the user's number; the files named by
    /// `X509_USER_CERT` and `X509_USER_KEY`; `usercert.pem` and `userkey.pem` in `~/.globus`. A file that is named and
    /// not there is an error, never a reason to go on. Host and service certificates are not looked at, for root neither.
    ///
    /// This is what a client uses for `gsiftp` when it is given nothing else. Corresponds to
    /// `GSS_C_NO_CREDENTIAL` in `globus_ftp_client_operationattr_set_authorization`, without its host certificates.
    pub fn default_search() -> Self {
        Self::of(Source::Search)
    }

    /// A file with a certificate, its private key and its chain: a proxy as `grid-proxy-init` or `voms-proxy-init` make it.
    ///
    /// The file must be the user's own and closed to everybody else (mode 0600 or 0400), or it is refused when it is read.
    pub fn from_proxy_file(path: impl AsRef<Path>) -> Self {
        Self::of(Source::ProxyFile(path.as_ref().to_owned()))
    }

    /// The text of such a file, from memory.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when it holds no certificate, no private key, an encrypted key, or
    /// more than 1 MiB.
    pub fn from_pem(pem: impl Into<Bytes>) -> Result<Self> {
        let pem = pem.into();
        pem::check(&pem, Locked::Refused)
            .map_err(|problem| Error::invalid(format!("the PEM text {problem}")))?;
        Ok(Self::of(Source::Pem(pem)))
    }

    /// A certificate (with its chain, if it needs one) and its private key in two files.
    ///
    /// The key must be the user's own, closed to everybody else, and not encrypted: for one that is,
    /// [make a proxy](Credential::make_proxy).
    pub fn from_cert_and_key(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        Self::of(Source::CertAndKey(certificate.as_ref().to_owned(), key.as_ref().to_owned()))
    }

    /// A user name and a password, for `ftp` URLs. Both cross the network in clear text.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for an empty user name, control bytes, or more than 1,024 bytes; the
    /// password is never shown.
    pub fn user_password(user: impl AsRef<str>, password: impl AsRef<str>) -> Result<Self> {
        let (user, password) = (user.as_ref(), password.as_ref());
        if user.is_empty() {
            return Err(Error::invalid("the user name is empty, expected a name"));
        }
        check_text("user name", user)?;
        check_text("password", password)?;
        Ok(Self::of(Source::Password(user.into(), password.into())))
    }

    /// The user `anonymous`, for `ftp` URLs: what a client uses for them when it is given nothing else.
    pub fn anonymous() -> Self {
        Self::of(Source::Anonymous(ANONYMOUS.into()))
    }

    /// The user `anonymous`, leaving an e-mail address where servers ask for one (RFC 1635 §4).
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for control bytes or more than 1,024 bytes.
    pub fn anonymous_as(email: impl AsRef<str>) -> Result<Self> {
        check_text("e-mail address", email.as_ref())?;
        Ok(Self::of(Source::Anonymous(email.as_ref().into())))
    }

    fn of(source: Source) -> Self {
        Self { inner: Arc::new(Inner { source, renewals: AtomicU64::new(0) }) }
    }

    /// Whether it is for GSI.
    pub(crate) fn is_gsi(&self) -> bool {
        !matches!(self.inner.source, Source::Password(..) | Source::Anonymous(_))
    }

    /// User name, password, and whether any password would do.
    pub(crate) fn login(&self) -> Option<(Arc<str>, Secret, bool)> {
        match &self.inner.source {
            Source::Password(user, password) => Some((Arc::clone(user), password.clone(), false)),
            Source::Anonymous(email) => Some(("anonymous".into(), Secret::from(&**email), true)),
            _ => None,
        }
    }

    /// How many renewals a watch has seen so far: sessions of an earlier count serve no new operation.
    pub(crate) fn renewals(&self) -> u64 {
        self.inner.renewals.load(Ordering::Acquire)
    }

    fn renewed(&self) {
        self.inner.renewals.fetch_add(1, Ordering::AcqRel);
    }

    /// The PEM text of a GSI credential, read anew.
    ///
    /// # Errors
    /// `Authentication` when there is none or it is not acceptable, naming the file and what is wrong with it.
    pub(crate) async fn load(&self) -> Result<Bytes> {
        self.read(Locked::Refused).await
    }

    /// [`Credential::load`] for those who have the pass phrase, or need no private key.
    async fn load_locked(&self) -> Result<Bytes> {
        self.read(Locked::Accepted).await
    }

    async fn read(&self, locked: Locked) -> Result<Bytes> {
        if let Source::Pem(pem) = &self.inner.source {
            return Ok(pem.clone());
        }
        let credential = self.clone();
        let reading = tokio::task::spawn_blocking(move || match &credential.inner.source {
            Source::Search => files::search(&files::Places::of_this_process(), locked),
            Source::ProxyFile(path) => files::read_proxy(path, locked),
            Source::CertAndKey(certificate, key) => files::read_pair(certificate, key, locked),
            Source::Pem(pem) => Ok(pem.clone()),
            Source::Password(..) | Source::Anonymous(_) => {
                Err(files::unusable("a password is no GSI credential"))
            }
        });
        match reading.await {
            Ok(result) => result,
            // The runtime is going away.
            Err(_) => Err(files::unusable("reading the credential was interrupted")),
        }
    }
}

/// When the time of a credential begins, from its PEM text.
///
/// # Errors
/// `Authentication` when it cannot be read.
pub(crate) fn begins(pem: &[u8]) -> Result<SystemTime> {
    certificate::describe(pem).map(|info| info.not_before())
}

impl Default for Credential {
    fn default() -> Self {
        Self::default_search()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(")?;
        match &self.inner.source {
            Source::Search => f.write_str("default search"),
            Source::ProxyFile(path) => write!(f, "proxy file {path:?}"),
            Source::Pem(pem) => write!(f, "{} bytes of PEM text", pem.len()),
            Source::CertAndKey(certificate, key) => write!(f, "certificate {certificate:?} with key {key:?}"),
            Source::Password(user, _) => write!(f, "user {user:?} with a password"),
            Source::Anonymous(_) => f.write_str("anonymous"),
        }?;
        f.write_str(")")
    }
}

fn check_text(what: &str, text: &str) -> Result<()> {
    if let Some(byte) = text.bytes().find(|&byte| is_control(byte)) {
        return Err(Error::invalid(format!("the {what} holds the control byte 0x{byte:02x}, expected none")));
    }
    if text.len() > MAX_TEXT {
        return Err(Error::invalid(format!(
            "the {what} has {} bytes, expected at most {MAX_TEXT}",
            text.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
