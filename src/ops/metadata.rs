//! Facts about files and servers.

use std::time::SystemTime;

use super::completed;
use crate::client::{Client, Repeat};
use crate::error::{ErrorKind, Reply, Result};
use crate::protocol::command::Command;
use crate::protocol::mlsx::parse_mlst;
use crate::protocol::value::{modified_reply, size_reply};
use crate::session::Session;
use crate::types::{Entry, FeatureSet};
use crate::url::{IntoUrl, Url};

impl Client {
    /// Tells what a server knows about one file or folder: kind, size, time of last change, permissions and more.
    ///
    /// Sends `MLST` on a session of the pool. Any number of calls may run at once: their commands are sent ahead of the
    /// replies on few sessions.
    ///
    /// Of servers without `MLST` it asks `SIZE`, `MDTM` and `CWD`, and `STAT` where these are not enough, on a session of its
    /// own. The entry then holds what they told and nothing else: the kind, the size of a file, the time.
    /// [`EntryKind::Unknown`](crate::EntryKind::Unknown) is what can be neither entered nor told apart from a folder that
    /// is closed.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), [`PermissionDenied`](crate::ErrorKind::PermissionDenied);
    /// [`Refused`](crate::ErrorKind::Refused) from servers without `MLST` that do not say why they know nothing;
    /// [`Protocol`](crate::ErrorKind::Protocol) for a reply that makes no sense; and what can go wrong with every
    /// operation: the URL, the connection, the login, a deadline.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed, and the session goes on serving others.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// let entry = client.stat("gsiftp://data.example.org/run/a.root").await?;
    /// println!("{:?} bytes", entry.size());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_mlst` (RFC 3659 §7).
    pub async fn stat(&self, url: impl IntoUrl) -> Result<Entry> {
        let url = url.into_url()?;
        match self.facts(&url).await? {
            Some(reply) => parse_mlst(&reply).map_err(|error| error.with_url(&url)),
            None => self.stat_by_probing(&url).await,
        }
    }

    /// Tells whether there is a file or folder of this name.
    ///
    /// Sends `MLST` on a session of the pool, one round trip; servers without it are asked as in [`Client::stat`]. `false` only when the server says that there is none: every other failure is
    /// an error, so that nothing is taken for missing that just could not be asked for.
    ///
    /// # Errors
    /// As [`Client::stat`], without `NotFound`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// if !client.exists("ftp://data.example.org/run").await? {
    ///     client.create_dir("ftp://data.example.org/run").await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_exists`, which sends up to four commands and takes failures for "no" (RFC 3659 §7).
    pub async fn exists(&self, url: impl IntoUrl) -> Result<bool> {
        let url = url.into_url()?;
        let found = match self.facts(&url).await {
            Ok(None) => self.stat_by_probing(&url).await.map(drop),
            other => other.map(drop),
        };
        match found {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Tells a file's size in bytes.
    ///
    /// Sends `SIZE` on a session of the pool, in binary type: the number of bytes a transfer moves. Some servers answer for
    /// folders too, with a number that means little.
    ///
    /// # Errors
    /// As [`Client::stat`]; [`Protocol`](crate::ErrorKind::Protocol) also for a number that is negative or over
    /// 2^63 - 1.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// let bytes = client.size("ftp://data.example.org/run/a.root").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_size` (RFC 3659 §4).
    pub async fn size(&self, url: impl IntoUrl) -> Result<u64> {
        let url = url.into_url()?;
        let reply = self.ask(&url, "SIZE", "asking for the size").await?;
        size_reply(&reply).map_err(|error| error.with_url(&url))
    }

    /// Tells when a file was last changed.
    ///
    /// Sends `MDTM` on a session of the pool. Servers tell whole seconds, in UTC, as a rule.
    ///
    /// # Errors
    /// As [`Client::stat`]; [`Protocol`](crate::ErrorKind::Protocol) also for something that is no time.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// let age = client.modified("ftp://data.example.org/run/a.root").await?.elapsed();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_modification_time` (RFC 3659 §3).
    pub async fn modified(&self, url: impl IntoUrl) -> Result<SystemTime> {
        let url = url.into_url()?;
        let reply = self.ask(&url, "MDTM", "asking for the time of the last change").await?;
        modified_reply(&reply).map_err(|error| error.with_url(&url))
    }

    /// Tells which extensions a server offers to this user.
    ///
    /// Sends nothing when a session is in the pool: `FEAT` is part of every login.
    ///
    /// # Errors
    /// What can go wrong with every operation: the URL, the connection, the login, a deadline.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// let features = client.features("gsiftp://data.example.org").await?;
    /// println!("checksums: {:?}", features.checksums().collect::<Vec<_>>());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_feat` (RFC 2389 §3).
    pub async fn features(&self, url: impl IntoUrl) -> Result<FeatureSet> {
        let url = url.into_url()?;
        let operation = self.operation(&url, Repeat::Harmless);
        let known = |session: &Session| std::future::ready(Ok(FeatureSet::clone(&session.features)));
        operation.on_session("features", known).await
    }

    /// The reply to `MLST`; nothing from a server that does not know the command.
    pub(super) async fn facts(&self, url: &Url) -> Result<Option<Reply>> {
        let command = Command::with("MLST", self.server_path(url))?;
        let reply = self
            .operation(url, Repeat::Harmless)
            .on_session("MLST", |session| {
                // A server that lists features and not this one need not be asked.
                let known = session.features.is_empty() || session.features.mlst();
                let pending = known.then(|| session.control.send(command.clone()).withdraw_on_drop());
                async move {
                    match pending {
                        Some(mut pending) => pending.last().await.map(Some),
                        None => Ok(None),
                    }
                }
            })
            .await?;
        let Some(reply) = reply else { return Ok(None) };
        match completed(reply, "asking for the facts") {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
            result => result.map(Some).map_err(|error| error.with_url(url)),
        }
    }

    /// Sends one command about the URL's path, which changes nothing, and gives back a reply that is positive.
    async fn ask(&self, url: &Url, verb: &'static str, doing: &'static str) -> Result<Reply> {
        let command = Command::with(verb, self.server_path(url))?;
        let reply = self.operation(url, Repeat::Harmless).reply(command).await?;
        completed(reply, doing).map_err(|error| error.with_url(url))
    }
}
