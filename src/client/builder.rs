//! What can be chosen for a client.

use std::sync::Arc;
use std::time::Duration;

use super::Client;
use crate::credential::Credential;
use crate::error::{Error, Escaped, Result};
use crate::options::{self, Delegation, SshOptions, Timeouts};
use crate::protocol::command::is_control;
use crate::protocol::secret::Secret;

/// Sessions for transfers to one endpoint, at most. More than a few never pay: see [`ClientBuilder::sessions_per_endpoint`].
const SESSIONS: usize = 8;
const MAX_SESSIONS: usize = 256;

const IDLE: Duration = Duration::from_secs(30);

/// Longest name or version of an application, in bytes.
const MAX_NAME: usize = 100;

/// Longest assertion, in bytes: with its command it must be one line of a control connection.
const MAX_ASSERTION: usize = 15 * 1024;

/// The choices of a client, checked.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) gsi: Credential,
    pub(super) plain: Credential,
    pub(super) subject: Option<Arc<str>>,
    pub(super) timeouts: Timeouts,
    pub(super) sessions: usize,
    pub(super) idle: Duration,
    pub(super) delegation: Delegation,
    pub(super) rfc1738_paths: bool,
    /// `None`: `sshftp` is off.
    pub(super) ssh: Option<Arc<SshOptions>>,
    /// What follows the scheme in `SITE CLIENTINFO`.
    pub(super) application: Arc<str>,
    /// Whether servers are reached over IPv6.
    pub(super) ipv6: bool,
    /// What servers are told to connect to, instead of the address that they are spoken to from.
    pub(super) data_address: Option<std::net::IpAddr>,
    pub(super) assertion: Option<Secret>,
}

/// Makes a [`Client`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use gridftp::{Client, Credential};
/// use gridftp::options::{Delegation, Timeouts};
///
/// let client = Client::builder()
///     .credential(Credential::from_proxy_file("/tmp/x509up_u1000"))
///     .credential(Credential::anonymous_as("someone@example.org")?)
///     .delegation(Delegation::Never)
///     .timeouts(Timeouts::default().connect(Duration::from_secs(10)))
///     .build()?;
/// # Ok::<(), gridftp::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientBuilder {
    config: Config,
    subject: Option<String>,
    application: (String, String),
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            config: Config {
                gsi: Credential::default_search(),
                plain: Credential::anonymous(),
                subject: None,
                timeouts: Timeouts::default(),
                sessions: SESSIONS,
                idle: IDLE,
                delegation: Delegation::default(),
                rfc1738_paths: false,
                ssh: None,
                application: "".into(),
                ipv6: true,
                data_address: None,
                assertion: None,
            },
            subject: None,
            application: (env!("CARGO_PKG_NAME").to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        }
    }
}

impl ClientBuilder {
    /// Who the user is. A GSI credential serves `gsiftp` URLs, a password or an anonymous one `ftp` URLs; one of each can
    /// be given. A user name and password in a URL come before this. Default: [`Credential::default_search`] and
    /// [`Credential::anonymous`].
    pub fn credential(mut self, credential: Credential) -> Self {
        if credential.is_gsi() {
            self.config.gsi = credential;
        } else {
            self.config.plain = credential;
        }
        self
    }

    /// How long each kind of waiting may last.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.config.timeouts = timeouts;
        self
    }

    /// How many sessions may be used for transfers with one endpoint at once, 1 to 256. Default: 8.
    ///
    /// What is asked for beyond that waits its turn, in order. Commands without data, as [`Client::stat`], are sent ahead
    /// of their replies on up to four sessions more (not more than this number), so that any number of them needs few
    /// connections. Few sessions with many commands on each are faster than many sessions.
    pub fn sessions_per_endpoint(mut self, sessions: usize) -> Self {
        self.config.sessions = sessions;
        self
    }

    /// How long a session is kept for the next operation. Default: 30 seconds.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.config.idle = limit;
        self
    }

    /// The distinguished name every `gsiftp` server has to prove, as `/O=Grid/CN=host/data.example.org`, instead of the host
    /// name of the URL. Default: the host name.
    ///
    /// Corresponds to the subject of `globus_ftp_client_operationattr_set_authorization`.
    pub fn subject(mut self, name: impl Into<String>) -> Self {
        self.subject = Some(name.into());
        self
    }

    /// Whether servers may be given a proxy of the user. Default: [`Delegation::WhenNeeded`].
    pub fn delegation(mut self, delegation: Delegation) -> Self {
        self.config.delegation = delegation;
        self
    }

    /// The application's name and version, which `GridFTP` servers are told at login (`SITE CLIENTINFO`) and write to their
    /// logs. Default: those of this crate.
    ///
    /// Corresponds to `globus_ftp_client_handleattr_set_clientinfo`.
    pub fn application(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.application = (name.into(), version.into());
        self
    }

    /// Allows `sshftp://` URLs, and says how ssh is run for them. Default: they are refused, because they start a program.
    ///
    /// The control channel goes through ssh, which also says who the user is; no credential of this crate is used. Data
    /// connections are made directly, to and from the first address of the URL's host, and are neither authenticated nor
    /// encrypted: protection that is asked for is refused. Host names have to be known to the resolver as well as to ssh,
    /// so aliases from ssh's configuration do not serve, and stand for one machine.
    ///
    /// Corresponds to the `sshftp` scheme of C and its script `gridftp-ssh`.
    pub fn ssh(mut self, options: SshOptions) -> Self {
        self.config.ssh = Some(Arc::new(options));
        self
    }

    /// Whether paths of URLs are relative to the folder of the login, as RFC 1738 §3.2.2 has it. Default: no, `/data/x` is
    /// absolute and `/~/x` below the home folder.
    ///
    /// With it `ftp://host/data/x` is `data/x` in the folder that the login begins in, and an absolute path is written with
    /// a second slash, as it is or encoded: `ftp://host//data/x`, `ftp://host/%2Fdata/x`. `/~/x` means the same either way.
    ///
    /// Corresponds to `globus_ftp_client_handleattr_set_rfc1738_url` (RFC 1738 §3.2.2).
    pub fn rfc1738_paths(mut self, relative: bool) -> Self {
        self.config.rfc1738_paths = relative;
        self
    }

    /// Whether servers may be reached over IPv6. Default: true; the addresses of a host take turns (RFC 8305), and data
    /// channels use the family of the control connection. With false, only IPv4 is used.
    ///
    /// Corresponds to `globus_ftp_client_operationattr_set_allow_ipv6`, whose default is false.
    pub fn allow_ipv6(mut self, allow: bool) -> Self {
        self.config.ipv6 = allow;
        self
    }

    /// The address that servers are told to connect to (PORT, EPRT, SPOR) where this client listens, for a machine behind a
    /// gateway that hands connections on. Default: the address that the server is spoken to from.
    ///
    /// Corresponds to the environment variable `GLOBUS_FTP_CLIENT_DATA_IP` of the C library.
    pub fn data_address(mut self, address: impl Into<Option<std::net::IpAddr>>) -> Self {
        self.config.data_address = address.into();
        self
    }

    /// What an authorization service said about the user, for servers that want to hear it (`SITE AUTHZ_ASSERT`, sent
    /// once per session). Text in one line, at most 15 KiB. Default: none.
    ///
    /// Corresponds to `globus_ftp_client_operationattr_set_authz_assert`.
    pub fn authz_assertion(mut self, assertion: impl Into<String>) -> Self {
        self.config.assertion = Some(assertion.into().into());
        self
    }

    /// Checks the choices and makes the client. Nothing is read, looked up or connected to.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a number of sessions outside 1 to 256, a subject that is no
    /// distinguished name, a name or version of an application with quotes, semicolons, control bytes or more than 100
    /// bytes.
    pub fn build(self) -> Result<Client> {
        let mut config = self.config;
        if !(1..=MAX_SESSIONS).contains(&config.sessions) {
            return Err(Error::invalid(format!(
                "{} sessions per endpoint, expected 1 to {MAX_SESSIONS}",
                config.sessions
            )));
        }
        config.subject = self.subject.as_deref().map(check_subject).transpose()?;
        let (name, version) = &self.application;
        check_name("name", name)?;
        check_name("version", version)?;
        config.assertion.as_ref().map_or(Ok(()), check_assertion)?;
        config.application = format!("appname=\"{name}\";appver=\"{version}\";").into();
        if let Some(ssh) = &config.ssh {
            ssh.check()?;
        }
        Ok(Client::from_config(config))
    }
}

/// A distinguished name as Globus writes it.
pub(crate) fn check_subject(subject: &str) -> Result<Arc<str>> {
    options::check_subject(subject)?;
    Ok(subject.into())
}

/// One line of text; never shown, as it may be worth something to a thief.
pub(crate) fn check_assertion(assertion: &Secret) -> Result<()> {
    let assertion = assertion.bytes();
    if assertion.is_empty()
        || assertion.len() > MAX_ASSERTION
        || assertion.iter().any(|&byte| is_control(byte))
    {
        return Err(Error::invalid(format!(
            "an assertion of {} bytes cannot be sent, expected 1 to {MAX_ASSERTION} without control bytes",
            assertion.len()
        )));
    }
    Ok(())
}

fn check_name(what: &str, text: &str) -> Result<()> {
    let bad = text.bytes().any(|byte| is_control(byte) || matches!(byte, b'"' | b';'));
    if bad || text.is_empty() || text.len() > MAX_NAME {
        return Err(Error::invalid(format!(
            "the application's {what} \"{}\" cannot be sent, expected 1 to {MAX_NAME} bytes without quotes, semicolons and \
             control bytes",
            Escaped(&text.as_bytes()[..text.len().min(200)])
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn bad_choices_are_named() {
        let refused = |builder: ClientBuilder, part: &str| {
            let error = builder.build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(part), "{error}");
        };
        refused(Client::builder().sessions_per_endpoint(0), "0 sessions");
        refused(Client::builder().sessions_per_endpoint(257), "1 to 256");
        refused(Client::builder().subject("CN=x"), "CN=x");
        refused(Client::builder().subject("/CN=x\r\nDELE"), "\\r\\nDELE");
        refused(Client::builder().application("a\";evil=\"", "1"), "name");
        refused(Client::builder().application("a", ""), "version");
    }

    #[test]
    fn each_kind_of_credential_has_its_place() {
        let client = Client::builder()
            .credential(Credential::from_proxy_file("/p"))
            .credential(Credential::user_password("u", "hunter2").unwrap())
            .application("copy", "2.0")
            .build()
            .unwrap();
        let config = &client.config;
        assert_eq!(config.gsi, Credential::from_proxy_file("/p"));
        assert_eq!(config.plain, Credential::user_password("u", "hunter2").unwrap());
        assert_eq!(&*config.application, "appname=\"copy\";appver=\"2.0\";");
        assert!(!format!("{client:?}").contains("hunter2"));
    }
}
