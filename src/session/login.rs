//! From an address to a session, in as few round trips as the server allows.
//!
//! After the greeting everything that does not depend on an answer is queued at once: an anonymous login is one round
//! trip. A server that does not read commands ahead is noticed by its silence, and asked again one command at a time.

mod handshake;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use handshake::Handshake;

use crate::engine::{CredentialHandle, Engine, TargetName};
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side, TimeoutKind};
use crate::options::SshOptions;
use crate::protocol::command::Command;
use crate::protocol::features::parse_features;
use crate::protocol::secret::Secret;
use crate::session::base64;
use crate::session::channel::Channels;
use crate::session::connect::{connect, resolve};
use crate::session::control::{Control, PendingReply};
use crate::session::counters::Counters;
use crate::session::ssh;
use crate::types::FeatureSet;
use crate::url::Endpoint;

/// The user name that asks a GSI server to map the certificate's subject to a local user.
pub(crate) const MAPPED: &str = ":globus-mapping:";

/// The protection buffer asked for; globus-gridftp-server takes this much.
const PROTECTION_BUFFER: &str = "1048576";

/// How long a server may be silent behind its answer to PASS before it counts as one that drops queued commands.
const SILENCE: Duration = Duration::from_secs(5);

/// The reply to FEAT (RFC 2389 §3), and to nothing else that is sent with it.
const FEATURES: u16 = 211;

/// Everything that is needed to log in somewhere.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) endpoint: Endpoint,
    pub(crate) identity: Identity,
    /// What the server uses on data channels, instead of a delegated credential: its text, and ours of the same.
    pub(crate) data_credential: Option<(Bytes, CredentialHandle)>,
    /// What an authorization service said, for the server to hear.
    pub(crate) assertion: Option<Secret>,
    /// How the server is reached by ssh, and as whom; `None` for a connection of our own.
    pub(crate) ssh: Option<(Arc<SshOptions>, Option<Arc<str>>)>,
    /// Whether IPv6 addresses of the host are tried.
    pub(crate) ipv6: bool,
    /// The address that the server is told to connect to, where this machine is behind a gateway.
    pub(crate) data_address: Option<std::net::IpAddr>,
    /// The limit for looking up, connecting and logging in, together.
    pub(crate) connect_limit: Duration,
    pub(crate) reply_limit: Duration,
    /// The value of `SITE CLIENTINFO`.
    pub(crate) client_info: Arc<str>,
    /// The server is known not to read commands ahead.
    pub(crate) sequential: bool,
}

/// Without the text of a credential, which holds a private key.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("endpoint", &self.endpoint)
            .field("identity", &self.identity)
            .field("data_credential", &self.data_credential.as_ref().map(|(_, handle)| handle))
            .field("assertion", &self.assertion)
            .finish_non_exhaustive()
    }
}

/// Who logs in.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// A user name and what goes with it. `certain` when any password will do, as for `anonymous`: it is sent ahead.
    Password { user: Arc<str>, password: Secret, certain: bool },
    /// A GSI credential.
    Gsi {
        credential: CredentialHandle,
        target: TargetName,
        delegate: bool,
        /// The local user that is asked for; `None` leaves it to the server.
        account: Option<Arc<str>>,
    },
}

/// A control connection that is logged in, with TYPE I set.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) control: Control,
    pub(crate) features: Arc<FeatureSet>,
    pub(crate) security: Option<SessionSecurity>,
    /// The server does not read commands ahead (the window is 1 then).
    pub(crate) sequential: bool,
    /// The data channels, and what the server was told about them.
    pub(crate) channels: Channels,
}

/// What a GSI login established.
#[derive(Debug)]
pub(crate) struct SessionSecurity {
    pub(crate) credential: CredentialHandle,
    /// The server holds a proxy of ours, so that it can authenticate data channels.
    pub(crate) delegated: bool,
    /// What both ends show on data channels, where the server was given one for that.
    pub(crate) data_credential: Option<CredentialHandle>,
    /// `DCAU N` was accepted; without it the server authenticates data channels (its default is `A`).
    pub(crate) dcau_off: bool,
    /// Which renewal of the credential it was, as the pool counts them.
    pub(crate) renewal: u64,
}

impl Session {
    /// The server's address.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.control.peer()
    }

    /// Our address as the server sees it.
    pub(crate) fn local(&self) -> SocketAddr {
        self.control.local()
    }
}

impl Login {
    /// Looks up, connects and logs in until `deadline`, which is what [`Login::connect_limit`] leaves.
    ///
    /// # Errors
    /// `Resolve`, `Connect`, `Timeout(Connect)`; `Authentication` when the server refuses the password or does not prove
    /// to be who it should be; `Authorization` when it knows the subject and has no account for it; `ServerBusy`;
    /// `ConnectionLost`; `Protocol`.
    pub(crate) async fn open(&self, counters: &Arc<Counters>, deadline: Instant) -> Result<Session> {
        let mut phase = Phase::Resolve;
        let opened = timeout_at(deadline, self.open_within(&mut phase, counters)).await;
        match opened {
            // A reply's limit that is over no sooner than this one is not what was waited for.
            Ok(Err(error))
                if error.kind() == ErrorKind::Timeout(TimeoutKind::Reply) && Instant::now() >= deadline =>
            {
                Err(self.too_long(phase))
            }
            Ok(result) => result,
            Err(_) => Err(self.too_long(phase)),
        }
    }

    fn too_long(&self, phase: Phase) -> Error {
        let doing = match phase {
            Phase::Resolve => "looking up the host",
            Phase::Connect => "connecting",
            _ => "logging in",
        };
        let message =
            format!("{doing} took longer than {:?}, the limit for {}", self.connect_limit, self.endpoint);
        // Who resolves names is this machine's affair, as it is where a name has no address.
        let side = if phase == Phase::Resolve { Side::Local } else { Side::Server };
        Error::new(ErrorKind::Timeout(TimeoutKind::Connect), phase, message).with_side(side)
    }

    async fn open_within(&self, phase: &mut Phase, counters: &Arc<Counters>) -> Result<Session> {
        let mut addresses = resolve(self.endpoint.host(), self.endpoint.port()).await?;
        if !self.ipv6 {
            addresses.retain(SocketAddr::is_ipv4);
        }
        if addresses.is_empty() {
            let message = format!("{} has IPv6 addresses only, which are not allowed here", self.endpoint);
            return Err(Error::new(ErrorKind::Resolve, Phase::Resolve, message).with_side(Side::Local));
        }
        let mut sequential = self.sequential;
        loop {
            *phase = Phase::Connect;
            // The first token is computed while the connection is made.
            let (control, greeting, handshake) = if let Some((options, user)) = &self.ssh {
                let host = self.endpoint.host();
                let connection = ssh::connect(options, host, user.as_deref(), &addresses).await?;
                let (control, greeting) =
                    Control::start_over(connection, self.reply_limit, Arc::clone(counters));
                (control, greeting, None)
            } else {
                let (stream, handshake) =
                    tokio::try_join!(connect(self.endpoint.host(), &addresses), self.begin_handshake())?;
                let (control, greeting) = Control::start(stream, self.reply_limit, Arc::clone(counters))?;
                (control, greeting, handshake)
            };
            counters.connects.one_more();
            *phase = Phase::Login;
            let attempt = Attempt { login: self, control, sequential };
            match attempt.run(greeting, handshake).await {
                Ok(session) => {
                    // Whoever waits would ask for another session at once, and so on for ever with a server that breaks
                    // each one behind its last reply.
                    if let Some(reason) = session.control.why_closed() {
                        return Err(self.in_login(reason));
                    }
                    counters.logins.one_more();
                    return Ok(session);
                }
                Err(Failed::DoesNotQueue) if !sequential => {
                    tracing::debug!(endpoint = %self.endpoint, "the server drops commands sent ahead: one at a time");
                    sequential = true;
                }
                Err(Failed::DoesNotQueue) => {
                    return Err(self.violation("the server stopped answering in the middle of the login"));
                }
                Err(Failed::With(error)) => return Err(self.in_login(error)),
            }
        }
    }

    async fn begin_handshake(&self) -> Result<Option<Handshake>> {
        let Identity::Gsi { credential, target, delegate, .. } = &self.identity else {
            return Ok(None);
        };
        let mut context = Engine::get().await?.gss_context(credential, target.clone(), *delegate).await?;
        let step = context.step(Bytes::new()).await?;
        Ok(Some(Handshake { context, token: step.token }))
    }

    /// Says where a failure happened. Nothing of the user's operation was sent, so nothing of it can have been done.
    fn in_login(&self, error: Error) -> Error {
        if error.phase() == Phase::Login || error.phase() == Phase::Credential {
            return error;
        }
        if let Some(reply) = error.reply() {
            // 421: the connection knows only that it ends.
            let doing = format!("login to {}: the server leaves", self.endpoint);
            return Error::from_reply(reply.clone(), Phase::Login, doing).with_kind(error.kind());
        }
        let message = format!("the login to {} failed: {error}", self.endpoint);
        let wrapped = Error::new(error.kind(), Phase::Login, message).with_transient(error.is_transient());
        let wrapped = match error.side() {
            Some(side) => wrapped.with_side(side),
            None => wrapped,
        };
        // What the message says already is not repeated as a cause; what lies deeper is.
        if std::error::Error::source(&error).is_some() { wrapped.with_source(error) } else { wrapped }
    }

    fn violation(&self, what: &str) -> Error {
        Error::new(ErrorKind::Protocol, Phase::Login, format!("login to {}: {what}", self.endpoint))
            .with_side(Side::Server)
    }

    fn refused(&self, reply: Reply, kind: ErrorKind, what: &str) -> Error {
        let error = Error::from_reply(reply, Phase::Login, format!("login to {}: {what}", self.endpoint));
        // A server that is busy, or minds the lifetime of a certificate, says so in the same place.
        match error.kind() {
            ErrorKind::ServerBusy | ErrorKind::CredentialExpired => error,
            _ => error.with_kind(kind),
        }
    }
}

enum Failed {
    With(Error),
    /// Silence where queued commands should have been answered.
    DoesNotQueue,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::With(error)
    }
}

/// One try on one connection.
struct Attempt<'a> {
    login: &'a Login,
    control: Control,
    sequential: bool,
}

/// The replies to the commands behind PASS.
struct Tail {
    feat: PendingReply,
    binary: PendingReply,
    buffer: Option<PendingReply>,
    dcau: Option<PendingReply>,
    dcsc: Option<PendingReply>,
    assertion: Option<PendingReply>,
    /// Only kept so that it is sent; servers that do not know it say so, and nothing follows from it.
    client_info: Option<PendingReply>,
}

impl Attempt<'_> {
    async fn run(&self, mut greeting: PendingReply, handshake: Option<Handshake>) -> Result<Session, Failed> {
        if self.sequential {
            self.control.set_window(1);
        }
        let told = self.greeted(&mut greeting).await?;
        match (&self.login.identity, handshake) {
            (Identity::Password { user, password, certain }, _) => {
                self.with_password(user, password, *certain, &told).await
            }
            (Identity::Gsi { credential, delegate, account, .. }, Some(handshake)) => {
                self.authenticate(handshake).await?;
                let account = account.as_deref().unwrap_or(MAPPED);
                let tail = self.map_account(account, !*delegate, &told).await?;
                self.finish(tail, Some((credential.clone(), *delegate))).await
            }
            (Identity::Gsi { .. }, None) => {
                Err(Error::new(ErrorKind::Internal, Phase::Login, "a GSI login without a handshake").into())
            }
        }
    }

    /// USER and PASS, the password only after the server asked for it, unless any will do.
    async fn with_password(
        &self,
        user: &str,
        password: &Secret,
        certain: bool,
        greeting: &Reply,
    ) -> Result<Session, Failed> {
        let user = Command::with("USER", user.as_bytes())?;
        let password = Command::with("PASS", password)?;
        let (mut replies, mut tail) = if certain && !self.sequential {
            let (replies, tail) = self.queue(Vec::from([user, password.clone()]), greeting, false)?;
            (replies, Some(tail))
        } else {
            (Vec::from([self.control.send(user)]), None)
        };
        let reply = replies[0].last().await?;
        let entered = match reply.code() / 100 {
            2 => true,
            3 => false,
            _ => {
                return Err(self
                    .login
                    .refused(reply, ErrorKind::Authentication, "the user was refused")
                    .into());
            }
        };
        if !entered {
            if replies.len() == 1 && self.sequential {
                replies.push(self.control.send(password));
            } else if replies.len() == 1 {
                let (asked, behind) = self.queue(Vec::from([password]), greeting, false)?;
                replies.extend(asked);
                tail = Some(behind);
            }
            // Sent ahead of the answer to USER, it may have been dropped like everything behind it.
            let reply = if certain && !self.sequential {
                replies[1].within(self.silence());
                self.answer(&mut replies[1]).await?
            } else {
                replies[1].last().await?
            };
            // pyftpdlib thinks about a wrong password for seconds, and answers FEAT meanwhile.
            if reply.code() == FEATURES && !self.sequential {
                return Err(Failed::DoesNotQueue);
            }
            self.check_password(reply)?;
        }
        let tail = match tail {
            Some(tail) => tail,
            None => self.queue(Vec::new(), greeting, false)?.1,
        };
        self.finish(tail, None).await
    }

    /// The login behind a GSI handshake: the server maps the subject to an account.
    async fn map_account(&self, account: &str, dcau_off: bool, greeting: &Reply) -> Result<Tail, Failed> {
        let user = Command::with("USER", account)?;
        let password = Command::with("PASS", "dummy")?;
        let (mut replies, tail) = if self.sequential {
            (self.control.send_all(Vec::from([user, password])), None)
        } else {
            let (replies, tail) = self.queue(Vec::from([user, password]), greeting, dcau_off)?;
            (replies, Some(tail))
        };
        let reply = replies[0].last().await?;
        if reply.code() >= 400 {
            return Err(self.no_account(reply).into());
        }
        let entered = reply.is_completion();
        let reply = replies[1].last().await?;
        if !entered && !reply.is_completion() {
            return Err(self.no_account(reply).into());
        }
        match tail {
            Some(tail) => Ok(tail),
            None => Ok(self.queue(Vec::new(), greeting, dcau_off)?.1),
        }
    }

    /// Waits for the greeting; gives back its text.
    async fn greeted(&self, greeting: &mut PendingReply) -> Result<Reply> {
        let reply = greeting.last().await?;
        if reply.code() == 220 {
            return Ok(reply);
        }
        Err(if self.login.ssh.is_some() && reply.code() == 500 {
            // The words of the script that looks for a server over there.
            self.login.refused(reply, ErrorKind::Unsupported, "there is no server for sshftp")
        } else if reply.code() / 100 >= 4 {
            self.login.refused(reply, ErrorKind::ServerBusy, "the server does not accept sessions")
        } else {
            self.login.violation(&format!("expected the greeting 220, the server sent {reply}"))
        })
    }

    /// Queues `head` and everything that can follow without its answers, all in one write.
    fn queue(
        &self,
        mut head: Vec<Command>,
        greeting: &Reply,
        dcau_off: bool,
    ) -> Result<(Vec<PendingReply>, Tail)> {
        let first = head.len();
        let secure = matches!(self.login.identity, Identity::Gsi { .. });
        head.push(Command::new("FEAT"));
        head.push(Command::with("TYPE", "I")?);
        if secure {
            head.push(Command::with("PBSZ", PROTECTION_BUFFER)?);
            if dcau_off {
                head.push(Command::with("DCAU", "N")?);
            }
            if let Some((pem, _)) = &self.login.data_credential {
                // Secret by its verb; and the control channel is encrypted here.
                let mut argument = b"P ".to_vec();
                base64::encode(pem, &mut argument);
                head.push(Command::with("DCSC", argument)?);
            }
        }
        if let Some(assertion) = &self.login.assertion {
            let words = Secret::new([b"AUTHZ_ASSERT ", assertion.bytes()].concat());
            head.push(Command::with("SITE", &words)?.secret());
        }
        // Plain FTP servers may count unknown commands as attacks, so only GridFTP servers are told.
        let says =
            |name: &[u8]| greeting.lines().any(|line| line.windows(name.len()).any(|word| word == name));
        let gridftp = secure || says(b"GridFTP");
        if !secure && says(b"GridFTP Server") && (says(b"Grid Community Toolkit") || says(b"Globus Toolkit"))
        {
            self.control.speak_ascii_only();
        }
        if gridftp {
            head.push(Command::with("SITE", format!("CLIENTINFO {}", self.login.client_info))?);
        }
        let mut all = self.control.send_all(head);
        let client_info = if gridftp { all.pop() } else { None };
        let assertion = if self.login.assertion.is_some() { all.pop() } else { None };
        let dcsc = if secure && self.login.data_credential.is_some() { all.pop() } else { None };
        let dcau = if secure && dcau_off { all.pop() } else { None };
        let buffer = if secure { all.pop() } else { None };
        let mut tail = all.drain(first..);
        let (Some(feat), Some(binary)) = (tail.next(), tail.next()) else {
            return Err(Error::new(ErrorKind::Internal, Phase::Login, "not one reply for each command"));
        };
        drop(tail);
        Ok((all, Tail { feat, binary, buffer, dcau, dcsc, assertion, client_info }))
    }

    fn check_password(&self, reply: Reply) -> Result<()> {
        match reply.code() / 100 {
            2 => Ok(()),
            3 => Err(self.login.refused(
                reply,
                ErrorKind::Authentication,
                "the server asks for an account (ACCT) as well",
            )),
            _ => Err(self.login.refused(reply, ErrorKind::Authentication, "user and password were refused")),
        }
    }

    fn no_account(&self, reply: Reply) -> Error {
        let subject = match &self.login.identity {
            Identity::Gsi { credential, .. } => credential.subject().to_owned(),
            Identity::Password { user, .. } => user.to_string(),
        };
        let what = format!("the server has no account for \"{subject}\"");
        self.login.refused(reply, ErrorKind::Authorization, &what)
    }

    /// Reads the answers to what was queued behind PASS.
    async fn finish(
        &self,
        mut tail: Tail,
        security: Option<(CredentialHandle, bool)>,
    ) -> Result<Session, Failed> {
        if !self.sequential {
            tail.feat.within(self.silence());
            tail.binary.within(self.silence());
        }
        let feat = self.answer(&mut tail.feat).await?;
        let binary = self.answer(&mut tail.binary).await?;
        if !binary.is_completion() {
            // A server that puts off its answer to a wrong password (pyftpdlib) says here that nobody is logged in.
            let (kind, what) = if binary.code() == 530 {
                (ErrorKind::Authentication, "user and password were refused")
            } else {
                (ErrorKind::Unsupported, "the server refused TYPE I")
            };
            return Err(self.login.refused(binary, kind, what).into());
        }
        let features = if feat.code() == FEATURES { parse_features(&feat)? } else { FeatureSet::default() };
        // A smaller buffer than asked for is no failure here: who protects data reads the agreed size again.
        if let Some(buffer) = &mut tail.buffer {
            self.answer(buffer).await?;
        }
        let mut dcau_off = false;
        if let Some(dcau) = &mut tail.dcau {
            dcau_off = self.answer(dcau).await?.is_completion();
        }
        // What was asked for and is not to be had is an error: the user would act in another role than he thinks.
        if let Some(dcsc) = &mut tail.dcsc {
            let reply = self.answer(dcsc).await?;
            if !reply.is_completion() {
                let what = "the server takes no credential for data channels (DCSC)";
                return Err(self.login.refused(reply, ErrorKind::Unsupported, what).into());
            }
        }
        if let Some(assertion) = &mut tail.assertion {
            let reply = self.answer(assertion).await?;
            if !reply.is_completion() {
                let what = "the server does not take the authorization assertion";
                return Err(self.login.refused(reply, ErrorKind::Unsupported, what).into());
            }
        }
        drop(tail.client_info);
        let data_credential = self.login.data_credential.as_ref().map(|(_, handle)| handle.clone());
        let security = security.map(|(credential, delegated)| SessionSecurity {
            credential,
            delegated,
            data_credential,
            dcau_off,
            renewal: 0,
        });
        Ok(Session {
            control: self.control.clone(),
            features: Arc::new(features),
            security,
            sequential: self.sequential,
            channels: Channels::advertising(self.login.data_address),
        })
    }

    fn silence(&self) -> Duration {
        SILENCE.min(self.login.reply_limit)
    }

    /// A reply to what was sent ahead; silence there means that the server has dropped the command.
    async fn answer(&self, pending: &mut PendingReply) -> Result<Reply, Failed> {
        match pending.last().await {
            Err(error)
                if !self.sequential && matches!(error.kind(), ErrorKind::Timeout(TimeoutKind::Reply)) =>
            {
                Err(Failed::DoesNotQueue)
            }
            other => Ok(other?),
        }
    }
}
