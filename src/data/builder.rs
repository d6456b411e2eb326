//! What can be chosen for one get or put.

use std::future::IntoFuture;

use crate::client::Client;
use crate::credential::Credential;
use crate::data::choices::{Boxed, Choices, common_setters, transfer_setters};
use crate::data::{Get, Put};
use crate::error::Result;
use crate::options::{DataChannelAuth, ProtectionLevel, Timeouts, TransferMode};
use crate::types::ByteRange;
use crate::url::IntoUrl;

/// A get to be started: made by [`Client::get`], started by `.await`.
#[derive(Debug, Clone)]
#[must_use = "a get is started by `.await`"]
pub struct GetBuilder {
    pub(super) choices: Choices,
    pub(super) range: ByteRange,
}

impl GetBuilder {
    common_setters!();
    transfer_setters!();

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
    transfer_setters!();

    /// The size that the file is going to have, in bytes: the server is asked to make room for it (ALLO), which it need not
    /// do. A [partitioned](crate::options::StripeLayout::Partitioned) put is divided by it. Default: not said.
    ///
    /// Corresponds to `globus_ftp_client_operationattr_set_allocate`.
    pub fn allocate(mut self, bytes: u64) -> Self {
        self.choices.options.allocate = Some(bytes);
        self
    }

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
