//! Making, removing and renaming files and folders.

use std::time::Duration;

use bytes::Bytes;

use super::completed;
use crate::client::{Claim, Client, Repeat};
use crate::error::{Error, Phase, Result};
use crate::protocol::command::Command;
use crate::url::{IntoUrl, Url};

impl Client {
    /// Makes a folder; its parent must exist.
    ///
    /// Sends `MKD` on a session of the pool.
    ///
    /// # Errors
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) when the name is taken, by a folder too;
    /// [`NotFound`](crate::ErrorKind::NotFound) when the parent is missing;
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied); and what can go wrong with every operation: the URL, the
    /// connection, the login, a deadline. After a broken connection
    /// [`Error::may_have_applied`](crate::Error::may_have_applied) says whether the folder may have been made.
    ///
    /// # Cancel safety
    /// Not cancel safe in the strict sense: if the future is dropped after the command was sent, the folder is made.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// client.create_dir("gsiftp://data.example.org/run/2026").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_mkdir` (RFC 959 §4.1.3).
    pub async fn create_dir(&self, url: impl IntoUrl) -> Result<()> {
        self.change(&url.into_url()?, "MKD", "making the folder").await
    }

    /// Removes an empty folder.
    ///
    /// Sends `RMD` on a session of the pool.
    ///
    /// # Errors
    /// [`NotEmpty`](crate::ErrorKind::NotEmpty), [`NotFound`](crate::ErrorKind::NotFound),
    /// [`NotADirectory`](crate::ErrorKind::NotADirectory), [`PermissionDenied`](crate::ErrorKind::PermissionDenied); and
    /// what can go wrong with every operation, as in [`Client::create_dir`].
    ///
    /// # Cancel safety
    /// Not cancel safe in the strict sense: if the future is dropped after the command was sent, the folder is removed.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// client.remove_dir("gsiftp://data.example.org/run/2026").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_rmdir` (RFC 959 §4.1.3).
    pub async fn remove_dir(&self, url: impl IntoUrl) -> Result<()> {
        self.change(&url.into_url()?, "RMD", "removing the folder").await
    }

    /// Removes a file, or a symbolic link.
    ///
    /// Sends `DELE` on a session of the pool.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), [`IsADirectory`](crate::ErrorKind::IsADirectory),
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied); and what can go wrong with every operation, as in
    /// [`Client::create_dir`].
    ///
    /// # Cancel safety
    /// Not cancel safe in the strict sense: if the future is dropped after the command was sent, the file is removed.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// client.remove_file("gsiftp://data.example.org/run/old.root").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_delete` (RFC 959 §4.1.3).
    pub async fn remove_file(&self, url: impl IntoUrl) -> Result<()> {
        self.change(&url.into_url()?, "DELE", "removing the file").await
    }

    /// Renames a file or folder on one server.
    ///
    /// Sends `RNFR` and `RNTO` together on a session of the pool, so that it takes one round trip and nothing comes between
    /// them. What happens to a file that has the new name is the server's decision: those on POSIX file systems replace it.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the two URLs are of different servers or users;
    /// [`NotFound`](crate::ErrorKind::NotFound), [`AlreadyExists`](crate::ErrorKind::AlreadyExists),
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied), and what can go wrong with every operation, as in
    /// [`Client::create_dir`]. The URL in the error is `from`.
    ///
    /// # Cancel safety
    /// Not cancel safe in the strict sense: if the future is dropped after the commands were queued, the rename is done.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// client.rename("ftp://data.example.org/run/.part.root", "ftp://data.example.org/run/a.root").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_move` (RFC 959 §4.1.3).
    pub async fn rename(&self, from: impl IntoUrl, to: impl IntoUrl) -> Result<()> {
        let (from, to) = (from.into_url()?, to.into_url()?);
        if from.endpoint() != to.endpoint() || from.user() != to.user() || from.password() != to.password() {
            let message =
                format!("a rename to {to} is not possible, expected the same server and user on both sides");
            return Err(Error::invalid(message).with_url(&from));
        }
        let first = Command::with("RNFR", self.server_path(&from))?;
        let second = Command::with("RNTO", self.server_path(&to))?;
        // What a transfer to the new name has left is deleted before, or not at all.
        let path = Bytes::copy_from_slice(&self.server_path(&to));
        let limits = self.timeouts();
        let limit = limits.total_limit().into_iter().fold(limits.reply_limit(), Duration::min);
        let claim = Claim::within(limit, &to, &path).await.map_err(|error| error.with_url(&to))?;
        let (found, renamed) = self.operation(&from, Repeat::Never).replies(first, second).await?;
        // Refused already: the answer to RNTO is only about the order of commands.
        let result = if found.is_intermediate() {
            drop(claim);
            completed(renamed, "renaming to the new name").map(drop)
        } else {
            claim.stored_nothing();
            Err(Error::from_reply(found, Phase::Command, "renaming"))
        };
        result.map_err(|error| error.with_url(&from))
    }

    async fn change(&self, url: &Url, verb: &'static str, doing: &'static str) -> Result<()> {
        let command = Command::with(verb, self.server_path(url))?;
        let reply = self.operation(url, Repeat::Never).reply(command).await?;
        completed(reply, doing).map(drop).map_err(|error| error.with_url(url))
    }
}
