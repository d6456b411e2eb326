//! The choices that every data operation has in common, and their setters.

use std::future::Future;
use std::pin::Pin;

use crate::client::{Client, SessionOptions, check_subject};
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
        self.session.delegate = self.options.needs_delegation();
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
