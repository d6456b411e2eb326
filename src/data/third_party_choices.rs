//! What can be chosen for transfers between servers.

use tokio::time::Instant;

use crate::client::{Client, Exclusive, Half, SessionOptions, check_assertion, check_subject};
use crate::error::{Error, Result, Side};
use crate::options::{DataOptions, Timeouts};
use crate::session::watch::Limits;
use crate::url::Url;

/// The choices that transfers between servers have in common.
#[derive(Debug, Clone)]
pub(super) struct PairChoices {
    pub(super) client: Client,
    pub(super) options: DataOptions,
    pub(super) source: SessionOptions,
    pub(super) destination: SessionOptions,
    pub(super) timeouts: Timeouts,
}

impl PairChoices {
    pub(super) fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            options: DataOptions::default(),
            source: SessionOptions::default(),
            destination: SessionOptions::default(),
            timeouts: *client.timeouts(),
        }
    }

    /// Refuses what cannot be, before anything is touched.
    pub(super) fn check(&mut self) -> Result<()> {
        self.options.check()?;
        for side in [&mut self.source, &mut self.destination] {
            if let Some(subject) = &side.subject {
                check_subject(subject)?;
            }
            if let Some(assertion) = &side.authz_assertion {
                check_assertion(assertion)?;
            }
            side.delegate = self.options.needs_delegation() && side.data_security.is_none();
            side.timeouts = Some(self.timeouts);
        }
        Ok(())
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            reply: self.timeouts.reply_limit(),
            first_byte: self.timeouts.first_byte_limit(),
            stall: self.timeouts.stall_limit(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.timeouts.total_limit()?)
    }

    /// A session with each of the two servers, or two with the one.
    pub(super) async fn sessions(&self, from: &Url, to: &Url) -> Result<(Exclusive, Exclusive)> {
        let pair = self.client.exclusive_pair((from, &self.source), (to, &self.destination)).await;
        pair.map_err(|(half, error)| {
            let (side, url) =
                if half == Half::First { (Side::Source, from) } else { (Side::Destination, to) };
            crate::session::third_party::of_side(side)(error).with_url(url)
        })
    }
}

/// Names the URL of the side that an error is about.
pub(super) fn named(from: &Url, to: &Url) -> impl Fn(Error) -> Error {
    move |error| {
        let url = if error.side() == Some(Side::Destination) { to } else { from };
        error.with_url(url)
    }
}

/// The setters that every builder of transfers between servers has.
macro_rules! pair_setters {
    () => {
        /// Parallel data connections between the servers, 1 to 256; more than one means extended block mode. Told to the
        /// source (`OPTS RETR Parallelism=`). Default: 1.
        pub fn parallelism(mut self, connections: u16) -> Self {
            self.choices.options.parallelism = connections;
            self
        }

        /// The size of the socket buffers in bytes at both servers (SBUF), which may ignore it. Default:
        /// [`TcpBuffer::Auto`](crate::options::TcpBuffer::Auto), left to their kernels.
        pub fn tcp_buffer(mut self, size: impl Into<crate::options::TcpBuffer>) -> Self {
            self.choices.options.tcp_buffer = size.into();
            self
        }

        /// Who the servers have to be to each other (DCAU, GFD.20). Default: [`DataChannelAuth::Auto`], which is nobody in
        /// particular unless [`protection`](Self::protection) is asked for, as with gets and puts: nothing is delegated then.
        ///
        /// [`OwnIdentity`](DataChannelAuth::OwnIdentity) delegates to both servers, and each proves to the other to be the
        /// user. Both must be `gsiftp` servers for that.
        pub fn dcau(mut self, auth: DataChannelAuth) -> Self {
            self.choices.options.dcau = auth;
            self
        }

        /// The protection of the data between the servers (PROT, RFC 2228). What cannot be had is an error, never clear
        /// text. Default: [`ProtectionLevel::Clear`].
        pub fn protection(mut self, level: ProtectionLevel) -> Self {
            self.choices.options.protection = level;
            self
        }

        /// Drivers of both servers' networks, the transport first (`SITE SETNETSTACK`), for instance `["udt"]`. Default: the
        /// servers'.
        pub fn net_stack<D: Into<String>>(mut self, drivers: impl IntoIterator<Item = D>) -> Self {
            self.choices.options.net_stack = Some(crate::options::DriverStack::new(drivers));
            self
        }

        /// The credential that both servers use on data channels (DCSC P), instead of delegated ones: for servers that know
        /// the user by different identities. Certificate, chain and *private key* go to both. Default: none.
        ///
        /// Corresponds to `globus_ftp_client_operationattr_set_data_security`.
        pub fn data_credential(mut self, credential: Credential) -> Self {
            self.choices.source.data_security = Some(credential.clone());
            self.choices.destination.data_security = Some(credential);
            self
        }

        /// Who logs in at both servers. Default: the client's credential.
        pub fn credential(self, credential: Credential) -> Self {
            self.source_credential(credential.clone()).destination_credential(credential)
        }

        /// Who logs in at the source. Default: the client's credential.
        pub fn source_credential(mut self, credential: Credential) -> Self {
            self.choices.source.credential = Some(credential);
            self
        }

        /// Who logs in at the destination. Default: the client's credential.
        pub fn destination_credential(mut self, credential: Credential) -> Self {
            self.choices.destination.credential = Some(credential);
            self
        }

        /// The distinguished name that the source must have, instead of the host's. Default: the client's choice.
        pub fn source_subject(mut self, name: impl Into<String>) -> Self {
            self.choices.source.subject = Some(name.into().into());
            self
        }

        /// The distinguished name that the destination must have, instead of the host's. Default: the client's choice.
        pub fn destination_subject(mut self, name: impl Into<String>) -> Self {
            self.choices.destination.subject = Some(name.into().into());
            self
        }

        /// What an authorization service said about the user, for the source (`SITE AUTHZ_ASSERT`). Default: the client's.
        pub fn source_authz_assertion(mut self, assertion: impl Into<String>) -> Self {
            self.choices.source.authz_assertion = Some(assertion.into().into());
            self
        }

        /// What an authorization service said about the user, for the destination. Default: the client's.
        pub fn destination_authz_assertion(mut self, assertion: impl Into<String>) -> Self {
            self.choices.destination.authz_assertion = Some(assertion.into().into());
            self
        }

        /// The limits of this operation's waits. Default: the client's.
        pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
            self.choices.timeouts = timeouts;
            self
        }
    };
}
pub(super) use pair_setters;
