//! The choices that every data operation has in common, and their setters.

use std::future::Future;
use std::pin::Pin;

use tracing::{Instrument as _, Span};

use crate::client::{Client, SessionOptions, check_assertion, check_subject, span};
use crate::error::Result;
use crate::options::{DataOptions, Timeouts};
use crate::session::watch::Limits;
use crate::url::{IntoUrl, Url};

/// What the future of a builder is.
pub(super) type Boxed<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// The choices that gets and puts have in common.
#[derive(Debug, Clone)]
pub(super) struct Choices {
    pub(super) client: Client,
    pub(super) url: Result<Url>,
    pub(super) options: DataOptions,
    pub(super) session: SessionOptions,
    pub(super) timeouts: Timeouts,
}

impl Choices {
    pub(super) fn new(client: &Client, url: impl IntoUrl) -> Self {
        Self {
            client: client.clone(),
            url: url.into_url(),
            options: DataOptions::default(),
            session: SessionOptions::default(),
            timeouts: *client.timeouts(),
        }
    }

    /// Refuses what cannot be, before anything is touched.
    pub(super) fn checked(&mut self) -> Result<Url> {
        let url = self.url.clone()?;
        self.options.check().map_err(|error| error.with_url(&url))?;
        if let Some(subject) = &self.session.subject {
            check_subject(subject).map_err(|error| error.with_url(&url))?;
        }
        // A credential that is given to the server makes a delegated one needless.
        self.session.delegate = self.options.needs_delegation() && self.session.data_security.is_none();
        if let Some(assertion) = &self.session.authz_assertion {
            check_assertion(assertion).map_err(|error| error.with_url(&url))?;
        }
        self.session.timeouts = Some(self.timeouts);
        Ok(url)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            reply: self.timeouts.reply_limit(),
            first_byte: self.timeouts.first_byte_limit(),
            stall: self.timeouts.stall_limit(),
        }
    }

    /// What shows and counts the operation.
    pub(super) fn watched(&self, operation: &'static str) -> Watched {
        Watched::new(&self.client, operation, self.url.as_ref().ok())
    }

    /// When the whole operation must be over.
    pub(super) fn deadline(&self) -> Option<tokio::time::Instant> {
        tokio::time::Instant::now().checked_add(self.timeouts.total_limit()?)
    }
}

/// The start of an operation, in its span, and counted if it fails.
pub(super) struct Watched {
    client: Client,
    span: Span,
}

impl Watched {
    pub(super) fn new(client: &Client, operation: &'static str, url: Option<&Url>) -> Self {
        let span = url.map_or_else(Span::none, |url| span(operation, url));
        Self { client: client.clone(), span }
    }

    /// What everything that belongs to the operation is shown in.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(super) async fn start<T>(self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let result = work.instrument(self.span).await;
        if result.is_err() {
            self.client.count_failure();
        }
        result
    }
}

/// The setters of builders whose transfers all go over one connection in extended block mode.
macro_rules! connection_setters {
    () => {
        /// The size of the socket buffers in bytes, here and (SBUF) at the server, which may ignore it. Default:
        /// [`TcpBuffer::Auto`](crate::options::TcpBuffer::Auto), left to the kernels, which tune it better than a fixed
        /// number.
        pub fn tcp_buffer(mut self, size: impl Into<crate::options::TcpBuffer>) -> Self {
            self.choices.options.tcp_buffer = size.into();
            self
        }

        /// Who may be at the other end of data connections (DCAU, GFD.20). Default: [`DataChannelAuth::Auto`].
        pub fn dcau(mut self, auth: DataChannelAuth) -> Self {
            self.choices.options.dcau = auth;
            self
        }

        /// The protection of the data (PROT, RFC 2228). What cannot be had is an error, never clear text. Default:
        /// [`ProtectionLevel::Clear`].
        pub fn protection(mut self, level: ProtectionLevel) -> Self {
            self.choices.options.protection = level;
            self
        }

        /// Addresses of data nodes that count as the server's own where nobody proves who he is (DCAU N). Whoever can use
        /// one of them can put bytes into what is fetched. Default: none.
        pub fn data_hosts(mut self, hosts: impl IntoIterator<Item = std::net::IpAddr>) -> Self {
            self.choices.options.data_hosts = hosts.into_iter().map(|host| host.to_canonical()).collect();
            self
        }

        /// Drivers of the server's network, the transport first (`SITE SETNETSTACK`), each with its options behind a
        /// colon: `["tcp"]`. Where data channels are authenticated, `gsi` is put on top if it is not there.
        ///
        /// This client's end speaks TCP, with GSI where data channels are authenticated. A stack that needs anything else
        /// at the other end, as `udt` does, is an error of kind `Unsupported` unless the data goes between two servers; so
        /// is a driver that the server does not allow. Default: the server's.
        pub fn net_stack<D: Into<String>>(mut self, drivers: impl IntoIterator<Item = D>) -> Self {
            self.choices.options.net_stack = Some(crate::options::DriverStack::new(drivers));
            self
        }

        /// The credential that the server uses on data channels, and this client with it (DCSC P), instead of a delegated
        /// one. Default: none of its own.
        ///
        /// Opt-in for a reason: certificate, chain and *private key* go to the server over the encrypted control channel.
        /// It can then act as that credential's subject for as long as the credential is valid, as with delegation; unlike
        /// delegation it may be somebody else than who logs in. Sessions with such a credential are used for nothing else.
        ///
        /// Corresponds to `globus_ftp_client_operationattr_set_data_security`.
        pub fn data_credential(mut self, credential: Credential) -> Self {
            self.choices.session.data_security = Some(credential);
            self
        }

        /// What an authorization service said about the user, for servers that want to hear it (`SITE AUTHZ_ASSERT`, sent
        /// once per session). Text in one line, at most 15 KiB. Sessions with an assertion are used for nothing else.
        /// Default: none.
        ///
        /// Corresponds to `globus_ftp_client_operationattr_set_authz_assert`.
        pub fn authz_assertion(mut self, assertion: impl Into<String>) -> Self {
            self.choices.session.authz_assertion = Some(assertion.into().into());
            self
        }

        /// Who logs in, for this operation. Default: the client's credential.
        pub fn credential(mut self, credential: Credential) -> Self {
            self.choices.session.credential = Some(credential);
            self
        }

        /// The distinguished name that the server must have, instead of the host's. Default: the client's choice.
        pub fn subject(mut self, name: impl Into<String>) -> Self {
            self.choices.session.subject = Some(name.into().into());
            self
        }

        /// The limits of this operation's waits. Default: the client's.
        pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
            self.choices.timeouts = timeouts;
            self
        }
    };
}
pub(super) use connection_setters;

/// The setters that every data builder has.
macro_rules! common_setters {
    () => {
        /// The transmission mode (MODE, RFC 959 §4.1.2). Default: [`TransferMode::Auto`].
        pub fn mode(mut self, mode: TransferMode) -> Self {
            self.choices.options.mode = mode;
            self
        }

        /// Parallel data connections, 1 to 256; more than one means extended block mode. Default: 1.
        pub fn parallelism(mut self, connections: u16) -> Self {
            self.choices.options.parallelism = connections;
            self
        }

        /// Blocks that may be in flight, 1 to 256: how much memory a transfer may use. A get in stream mode over a channel
        /// that is not protected has none in flight, whatever is chosen: each block is read when it is asked for. Default: 8.
        pub fn window(mut self, blocks: usize) -> Self {
            self.choices.options.window_blocks = blocks;
            self
        }

        /// Whether the server may use several data nodes at once (SPAS and SPOR, GFD.20); means extended block mode.
        ///
        /// Where nobody proves who he is (DCAU N), only the server's own address and the
        /// [`data_hosts`](Self::data_hosts) are connected to and may connect: what the nodes of an `ftp` server, and for
        /// a get those of a `gsiftp` server, send from other addresses is refused. Data channel authentication makes the
        /// list needless. Default: false.
        pub fn striped(mut self, striped: bool) -> Self {
            self.choices.options.striped = striped;
            self
        }

        /// Which stripe carries which bytes (`OPTS RETR StripeLayout=`). Another one than the default means
        /// [`striped`](Self::striped). Default: [`StripeLayout::Default`](crate::options::StripeLayout::Default).
        pub fn layout(mut self, layout: crate::options::StripeLayout) -> Self {
            self.choices.options.layout = layout;
            self
        }

        crate::data::choices::connection_setters!();
    };
}
pub(super) use common_setters;

/// The setters of builders that move files' contents.
macro_rules! transfer_setters {
    () => {
        /// Drivers of the server's disk, the lowest first (`SITE SETDISKSTACK`), each with its options behind a colon. A
        /// driver that the server does not allow is an error of kind `Unsupported`. Default: the server's.
        ///
        /// With `["popen:argv=#/usr/bin/md5sum#/data/f"]` a get reads what a command at the server prints, where the server
        /// allows that (`-fs-whitelist popen,file`, and the command in `-popen-whitelist`).
        ///
        /// Corresponds to `globus_ftp_client_operationattr_set_disk_stack`.
        pub fn disk_stack<D: Into<String>>(mut self, drivers: impl IntoIterator<Item = D>) -> Self {
            self.choices.options.disk_stack = Some(crate::options::DriverStack::new(drivers));
            self
        }

        /// A storage module of the server with its arguments: `ERET name="arguments" path` and `ESTO` instead of RETR and
        /// STOR (GFD.20). Not together with a range or an offset. Default: none.
        ///
        /// Corresponds to `globus_ftp_client_operationattr_set_storage_module`.
        pub fn storage_module(mut self, name: impl Into<String>, arguments: impl Into<String>) -> Self {
            self.choices.options.storage_module =
                Some(crate::options::StorageModule { name: name.into(), arguments: arguments.into() });
            self
        }

        /// Whether a server that listens may say where only once it knows which file is meant (`OPTS PASV AllowDelayed=1`,
        /// replies 127 and 129), so that it can choose the host that has it. In extended block mode a get is not changed
        /// by this: this client listens. Default: false.
        ///
        /// Corresponds to `globus_ftp_client_operationattr_set_delayed_pasv`.
        pub fn delayed_passive(mut self, delayed: bool) -> Self {
            self.choices.options.delayed_passive = delayed;
            self
        }
    };
}
pub(super) use transfer_setters;
