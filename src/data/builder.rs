//! What can be chosen for one get or put.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use crate::client::{Client, SessionOptions, check_subject};
use crate::credential::Credential;
use crate::data::{Get, Put};
use crate::error::Result;
use crate::options::{DataChannelAuth, DataOptions, ProtectionLevel, Timeouts, TransferMode};
use crate::session::watch::Limits;
use crate::types::ByteRange;
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
        self.session.delegate = self.options.needs_delegation();
        Ok(url)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            reply: self.timeouts.reply_limit(),
            first_byte: self.timeouts.first_byte_limit(),
            stall: self.timeouts.stall_limit(),
        }
    }

    /// When the whole operation must be over.
    pub(super) fn deadline(&self) -> Option<tokio::time::Instant> {
        tokio::time::Instant::now().checked_add(self.timeouts.total_limit()?)
    }
}

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

        /// The size of the socket buffers in bytes, here and (SBUF) at the server. Default: left to the kernels, which tune it
        /// better than a fixed number.
        pub fn tcp_buffer(mut self, bytes: u32) -> Self {
            self.choices.options.tcp_buffer_bytes = Some(bytes);
            self
        }

        /// Blocks that may be in flight, 1 to 256: how much memory a transfer may use. Default: 8.
        pub fn window(mut self, blocks: usize) -> Self {
            self.choices.options.window_blocks = blocks;
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
pub(super) use common_setters;

/// A get to be started: made by [`Client::get`], started by `.await`.
#[derive(Debug, Clone)]
#[must_use = "a get is started by `.await`"]
pub struct GetBuilder {
    pub(super) choices: Choices,
    pub(super) range: ByteRange,
}

impl GetBuilder {
    common_setters!();

    /// Which bytes of the file (ERET, GFD.20; or REST). What lies beyond the file's end is left out. Default: all.
    pub fn range(mut self, range: impl Into<ByteRange>) -> Self {
        self.range = range.into();
        self
    }
}

impl IntoFuture for GetBuilder {
    type Output = Result<Get>;
    type IntoFuture = Boxed<Get>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(Get::start(self))
    }
}

/// A put to be started: made by [`Client::put`], started by `.await`.
#[derive(Debug, Clone)]
#[must_use = "a put is started by `.await`"]
pub struct PutBuilder {
    pub(super) choices: Choices,
    pub(super) offset: Option<u64>,
    pub(super) check_size: bool,
}

impl PutBuilder {
    common_setters!();

    /// Writes into an existing file from this byte on (ESTO A, GFD.20), and leaves the rest of it as it is. Default: the
    /// file is replaced (STOR).
    ///
    /// [`Put::write_at`] then counts from this byte.
    pub fn offset(mut self, bytes: u64) -> Self {
        self.offset = Some(bytes);
        self
    }

    /// Whether the size that the server tells afterwards (SIZE, queued behind the transfer) is compared with what was sent.
    /// Default: true. Turn it off for what has no size, such as a device.
    pub fn check_size(mut self, check: bool) -> Self {
        self.check_size = check;
        self
    }
}

impl IntoFuture for PutBuilder {
    type Output = Result<Put>;
    type IntoFuture = Boxed<Put>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(Put::start(self))
    }
}

impl Client {
    /// Fetches a file's contents: the builder's `.await` gives a [`Get`] once the server sends it.
    ///
    /// On the wire: SIZE and PASV (or, in extended block mode, PORT) in one round trip, then RETR; only RETR where data
    /// connections are kept from an earlier file.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied` (a folder is accepted by globus-gridftp-server at first: `IsADirectory` comes with the
    /// first block then); what a login can fail with; `Timeout` of any kind; `Protocol`;
    /// `TooManyOpenFiles`; `Unsupported` for a protection or range that the server does not have.
    ///
    /// # Cancel safety
    /// Dropping the future, or the [`Get`], ends the data connection. The server keeps nothing of it.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> gridftp::Result<()> {
    /// let client = gridftp::Client::new()?;
    /// let text = client.get("ftp://ftp.example.org/pub/README").await?.bytes().await?;
    /// let header = client.get("ftp://ftp.example.org/pub/data.root").range(0..512).await?.bytes().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_get` and `globus_ftp_client_partial_get` (RFC 959 §4.1.3, GFD.20).
    pub fn get(&self, url: impl IntoUrl) -> GetBuilder {
        GetBuilder { choices: Choices::new(self, url), range: ByteRange::from(..) }
    }

    /// Stores a file: the builder's `.await` gives a [`Put`] once the server takes it.
    ///
    /// On the wire: PASV, then STOR; only STOR where data connections are kept from an earlier file.
    ///
    /// The file at the server is replaced as the data comes. To have a name hold the whole file or nothing, put to a
    /// temporary name and [`rename`](Client::rename) it.
    ///
    /// # Errors
    /// `NotFound` (no such folder), `IsADirectory`, `PermissionDenied`, `NoSpace`; what a login can fail with; `Timeout` of
    /// any kind; `Protocol`; `TooManyOpenFiles`.
    ///
    /// # Cancel safety
    /// Dropping the future, or the [`Put`], ends the data connection; the incomplete file is then deleted in the
    /// background, unless it was written with an offset.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> gridftp::Result<()> {
    /// let client = gridftp::Client::new()?;
    /// let mut put = client.put("gsiftp://se.example.org/data/hello").await?;
    /// put.write("hello".into()).await?;
    /// let summary = put.finish().await?;
    /// assert_eq!(summary.bytes, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_put` and `globus_ftp_client_partial_put` (RFC 959 §4.1.3, GFD.20).
    pub fn put(&self, url: impl IntoUrl) -> PutBuilder {
        PutBuilder { choices: Choices::new(self, url), offset: None, check_size: true }
    }
}
