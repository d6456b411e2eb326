//! The choices that listings and walks have in common, and their setters. In whose name they run is a matter of the client
//! (`Client::with_credential`, `Client::with_subject`).

use std::time::Duration;

use tracing::Span;

use crate::client::{Client, SessionOptions, span};
use crate::error::Result;
use crate::options::{DataOptions, Timeouts};
use crate::session::watch::Limits;
use crate::url::{IntoUrl, Url};

/// How folders are listed.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    pub(crate) client: Client,
    pub(crate) url: Result<Url>,
    pub(crate) options: DataOptions,
    pub(crate) session: SessionOptions,
    pub(crate) timeouts: Timeouts,
    /// How long the same was waited for already, in another way: so much is taken from the limits of the transfer.
    pub(crate) spent: Duration,
}

impl Choices {
    pub(crate) fn new(client: &Client, url: impl IntoUrl) -> Self {
        Self {
            client: client.clone(),
            url: url.into_url(),
            options: DataOptions::default(),
            session: SessionOptions::default(),
            timeouts: *client.timeouts(),
            spent: Duration::ZERO,
        }
    }

    /// Refuses what cannot be, before anything is touched.
    pub(crate) fn checked(&mut self) -> Result<Url> {
        let url = self.url.clone()?;
        self.options.check().map_err(|error| error.with_url(&url))?;
        self.session.delegate = self.options.needs_delegation() && self.session.data_security.is_none();
        self.session.timeouts = Some(self.timeouts);
        Ok(url)
    }

    /// What commands and replies of the operation are shown in.
    pub(crate) fn span(&self, operation: &'static str) -> Span {
        self.url.as_ref().map_or_else(|_| Span::none(), |url| span(operation, url))
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            reply: self.timeouts.reply_limit().saturating_sub(self.spent),
            first_byte: self.timeouts.first_byte_limit().saturating_sub(self.spent),
            stall: self.timeouts.stall_limit(),
        }
    }

    /// When the whole operation must be over.
    pub(crate) fn deadline(&self) -> Option<tokio::time::Instant> {
        tokio::time::Instant::now().checked_add(self.timeouts.total_limit()?)
    }
}

/// The setters that listings and walks have. `$self.choose(…)` changes the choices.
macro_rules! listing_setters {
    () => {
        /// Who may be at the other end of data connections (DCAU, GFD.20). Default: [`DataChannelAuth::Auto`].
        pub fn dcau(self, auth: DataChannelAuth) -> Self {
            self.choose(|choices| choices.options.dcau = auth)
        }

        /// The protection of what is listed (PROT, RFC 2228). What cannot be had is an error, never clear text. Default:
        /// [`ProtectionLevel::Clear`].
        pub fn protection(self, level: ProtectionLevel) -> Self {
            self.choose(|choices| choices.options.protection = level)
        }

        /// The limits of this operation's waits. Default: the client's.
        pub fn timeouts(self, timeouts: Timeouts) -> Self {
            self.choose(|choices| choices.timeouts = timeouts)
        }
    };
}
pub(crate) use listing_setters;
