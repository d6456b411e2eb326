//! Who logs in where: the URL's user, the operation's credential, the client's.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;

use super::builder::Config;
use super::{Key, SessionOptions};
use crate::credential::Credential;
use crate::engine::{CredentialHandle, Engine, TargetName};
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::options::{SshOptions, check_ssh_user};
use crate::protocol::secret::Secret;
use crate::session::login::{Identity, Login, MAPPED};
use crate::url::{Endpoint, Scheme, Url};

/// Imported credentials that are kept; a service for many users drops and imports again beyond that.
const MAX_CREDENTIALS: usize = 256;

/// Who asks whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Who {
    pub(super) endpoint: Endpoint,
    pub(super) credential: Credential,
    /// The local user asked for after a GSI login.
    pub(super) account: Option<Arc<str>>,
    pub(super) subject: Option<Arc<str>>,
    /// The credential that the server uses on data channels.
    pub(super) data_security: Option<Credential>,
    /// How ssh is run, for `sshftp`.
    pub(super) ssh: Option<Arc<SshOptions>>,
    /// What the server is told about the user after the login.
    pub(super) assertion: Option<Secret>,
}

impl Who {
    pub(super) fn of(config: &Config, url: &Url, options: &SessionOptions) -> Result<Self> {
        let endpoint = url.endpoint().clone();
        let assertion = options.authz_assertion.clone().or_else(|| config.assertion.clone());
        if let Some(credential) = &options.data_security
            && (!credential.is_gsi() || url.scheme() != Scheme::Gsiftp)
        {
            // Its private key must not travel in clear text, and a password is nothing for a data channel.
            let message = "a credential for data channels needs a GSI credential and a gsiftp:// URL";
            return Err(Error::new(ErrorKind::Unsupported, Phase::Input, message)
                .with_side(Side::Local)
                .with_url(url));
        }
        match url.scheme() {
            Scheme::Ftp => {
                let own = options.credential.as_ref().filter(|credential| !credential.is_gsi());
                let credential = match (url.user(), url.password()) {
                    (Some(user), Some(password)) => Credential::user_password(user, password)?,
                    // A name alone is a choice among credentials, not a login without a password.
                    (Some(user), None) => named(user, own.unwrap_or(&config.plain))?,
                    (None, _) => own.unwrap_or(&config.plain).clone(),
                };
                Ok(Self {
                    endpoint,
                    credential,
                    account: None,
                    subject: None,
                    data_security: None,
                    ssh: None,
                    assertion,
                })
            }
            Scheme::Gsiftp => {
                if url.password().is_some() {
                    return Err(Error::invalid(
                        "a gsiftp URL takes no password, expected a user name at most",
                    )
                    .with_url(url));
                }
                let own = options.credential.as_ref().filter(|credential| credential.is_gsi());
                Ok(Self {
                    endpoint,
                    credential: own.unwrap_or(&config.gsi).clone(),
                    account: url.user().map(Into::into),
                    subject: options.subject.clone().or_else(|| config.subject.clone()),
                    data_security: options.data_security.clone(),
                    ssh: None,
                    assertion,
                })
            }
            Scheme::Sshftp => {
                let Some(ssh) = &config.ssh else {
                    let message = "sshftp:// runs a program, ssh, and is off; ClientBuilder::ssh allows it";
                    return Err(Error::new(ErrorKind::Unsupported, Phase::Input, message)
                        .with_side(Side::Local)
                        .with_url(url));
                };
                if url.password().is_some() {
                    let message = "an sshftp URL takes no password, expected a user name at most";
                    return Err(Error::invalid(message).with_url(url));
                }
                url.user().map(check_ssh_user).transpose().map_err(|error| error.with_url(url))?;
                Ok(Self {
                    endpoint,
                    // ssh has asked who it is; the server over there is that user's own.
                    credential: Credential::anonymous(),
                    account: url.user().map(Into::into),
                    subject: None,
                    data_security: None,
                    ssh: Some(Arc::clone(ssh)),
                    assertion,
                })
            }
        }
    }
}

/// The credential for a user whose password is not in the URL.
fn named(user: &str, credential: &Credential) -> Result<Credential> {
    match credential.login() {
        Some((name, ..)) if *name == *user => Ok(credential.clone()),
        _ if matches!(user, "anonymous" | "ftp") => Ok(Credential::anonymous()),
        // Some servers let users in without asking for a password, and the others say that they want one.
        _ => Credential::user_password(user, ""),
    }
}

/// GSI credentials that were imported, so that a thousand logins import once.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    imported: Mutex<HashMap<Credential, Imported>>,
}

#[derive(Clone)]
struct Imported {
    text: Bytes,
    /// `None` where only Globus understands the certificates.
    begins: Option<SystemTime>,
    handle: CredentialHandle,
}

/// Without the text, which holds a private key.
impl fmt::Debug for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imported")
            .field("begins", &self.begins)
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// The credential, read now and imported unless it is the same as before.
    ///
    /// # Errors
    /// `Authentication` when there is none or Globus does not take it; `CredentialExpired`.
    async fn handle(&self, credential: &Credential) -> Result<CredentialHandle> {
        Ok(self.with_text(credential).await?.1)
    }

    /// The same, with its text.
    async fn with_text(&self, credential: &Credential) -> Result<(Bytes, CredentialHandle)> {
        let pem = credential.load().await?;
        let known = self.lock().get(credential).filter(|imported| imported.text == pem).cloned();
        let imported = match known {
            Some(imported) => imported,
            None => {
                let handle = Engine::get().await?.import_credential(pem.clone()).await;
                let handle = handle.map_err(|error| not_accepted(credential, error))?;
                let new = Imported { begins: crate::credential::begins(&pem).ok(), text: pem, handle };
                let mut imported = self.lock();
                if imported.len() >= MAX_CREDENTIALS {
                    imported.clear();
                }
                imported.insert(credential.clone(), new.clone());
                new
            }
        };
        Ok((imported.text.clone(), check_lifetime(imported)?))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Credential, Imported>> {
        self.imported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything a login needs.
    pub(super) async fn login(&self, application: &str, key: &Key, sequential: bool) -> Result<Login> {
        let who = &key.who;
        let identity = match who.credential.login() {
            // The server takes whatever it is told, as long as it is told something.
            _ if who.ssh.is_some() => {
                Identity::Password { user: MAPPED.into(), password: "dummy".into(), certain: true }
            }
            Some((user, password, certain)) => Identity::Password { user, password, certain },
            None => Identity::Gsi {
                credential: self.handle(&who.credential).await?,
                target: match &who.subject {
                    Some(subject) => TargetName::Subject(subject.to_string()),
                    None => TargetName::Host(who.endpoint.host().to_owned()),
                },
                delegate: key.delegate,
                account: who.account.clone(),
            },
        };
        let data_credential = match &who.data_security {
            Some(credential) => Some(self.with_text(credential).await?),
            None => None,
        };
        Ok(Login {
            endpoint: who.endpoint.clone(),
            identity,
            data_credential,
            assertion: who.assertion.clone(),
            ssh: who.ssh.clone().map(|ssh| (ssh, who.account.clone())),
            ipv6: key.ipv6,
            data_address: key.data_address,
            connect_limit: key.connect_limit,
            reply_limit: key.reply_limit,
            client_info: format!("scheme={};{}", who.endpoint.scheme(), application).into(),
            sequential,
        })
    }
}

/// Globus cannot read it, or certificate and key do not belong together.
fn not_accepted(credential: &Credential, error: Error) -> Error {
    if error.kind() != ErrorKind::Authentication {
        return error;
    }
    let message = format!("{credential:?} holds no certificate, key and chain that Globus can use together");
    Error::new(ErrorKind::Authentication, Phase::Credential, message)
        .with_side(Side::Local)
        .with_source(error)
}

/// Servers would refuse it too, but not say why, and not before a connection was made.
fn check_lifetime(imported: Imported) -> Result<CredentialHandle> {
    let Imported { begins, handle, .. } = imported;
    let now = SystemTime::now();
    let expires = handle.expires();
    let message = match begins {
        _ if expires <= now => {
            format!("the credential of \"{}\" expired at {}", handle.subject(), utc(expires))
        }
        Some(begins) if begins > now => {
            format!("the credential of \"{}\" is not good before {}", handle.subject(), utc(begins))
        }
        _ => return Ok(handle),
    };
    Err(Error::new(ErrorKind::CredentialExpired, Phase::Credential, message).with_side(Side::Local))
}

/// A time for people: `2026-11-22 13:04:05 UTC`.
pub(crate) fn utc(time: SystemTime) -> String {
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs(),
        Err(_) => return "a time before 1970".to_owned(),
    };
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from 1 March of a year 0, so that the leap day ends a year: 400 years have 146,097 days.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::Client;

    fn who(url: &str) -> Who {
        let client = Client::builder()
            .credential(Credential::from_proxy_file("/p"))
            .credential(Credential::user_password("lab", "pw").unwrap())
            .build()
            .unwrap();
        Who::of(&client.config, &Url::parse(url).unwrap(), &SessionOptions::default()).unwrap()
    }

    #[test]
    fn the_url_decides_first() {
        assert_eq!(who("ftp://h/").credential, Credential::user_password("lab", "pw").unwrap());
        assert_eq!(who("ftp://lab@h/").credential, Credential::user_password("lab", "pw").unwrap());
        assert_eq!(who("ftp://a:b@h/").credential, Credential::user_password("a", "b").unwrap());
        assert_eq!(who("ftp://a@h/").credential, Credential::user_password("a", "").unwrap());
        assert_eq!(who("ftp://anonymous@h/").credential, Credential::anonymous());
        let gsi = who("gsiftp://operator@h/");
        assert_eq!(gsi.credential, Credential::from_proxy_file("/p"));
        assert_eq!(gsi.account.as_deref(), Some("operator"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let config = &Client::new().unwrap().config;
        let of = |url| Who::of(config, &Url::parse(url).unwrap(), &SessionOptions::default()).unwrap_err();
        assert_eq!(of("gsiftp://a:b@h/").kind(), ErrorKind::InvalidInput);
        assert_eq!(of("sshftp://h/").kind(), ErrorKind::Unsupported);
    }

    /// `Debug` of what holds a password, a key or an assertion, all of which are the same word here.
    #[tokio::test]
    async fn nothing_shows_a_secret() {
        const WORD: &str = "hunter2";
        let credential = Credential::user_password("lab", WORD).unwrap();
        let builder = Client::builder().credential(credential.clone()).authz_assertion(WORD);
        let client = builder.clone().build().unwrap();
        let url = Url::parse(&format!("ftp://lab:{WORD}@h/f")).unwrap();
        let mut options =
            SessionOptions { credential: Some(credential.clone()), ..SessionOptions::default() };
        options.authz_assertion = Some(WORD.into());
        let who = Who::of(&client.config, &url, &options).unwrap();
        let identity = Identity::Password { user: "lab".into(), password: WORD.into(), certain: false };
        let said = [
            format!("{url:?} {url} {credential:?} {builder:?} {client:?} {options:?} {who:?} {identity:?}"),
            format!("{:?}", client.get(&url).authz_assertion(WORD)),
            format!("{:?}", client.put(&url).authz_assertion(WORD)),
            format!("{:?}", client.list(&url)),
            format!("{:?}", client.walk(&url)),
            format!("{:?}", client.third_party(&url, &url)),
            format!("{:?}", Error::invalid("x").with_url(&url)),
            format!("{:?}", Url::parse(&format!("ftp://lab:{WORD}%00@h/f")).unwrap_err()),
            format!("{:?}", Url::parse(&format!("ftp://lab:{WORD}@h:0/f")).unwrap_err()),
            format!("{:?}", Credential::user_password("lab", format!("{WORD}\n")).unwrap_err()),
        ];
        for text in said {
            assert!(!text.contains(WORD), "{text}");
            assert!(!text.contains(&format!("{:?}", WORD.as_bytes())), "as numbers: {text}");
        }
    }

    #[test]
    fn times_are_shown_in_utc() {
        for (seconds, shown) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (1_795_352_645, "2026-11-22 13:04:05 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), shown);
        }
    }
}
