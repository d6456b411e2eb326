//! Times, permissions and groups of files, and symbolic links.

use std::time::SystemTime;

use super::completed;
use crate::client::{Client, Repeat};
use crate::error::{Error, ErrorKind, Escaped, Phase, Reply, Result};
use crate::protocol::classify::kind_of_reply;
use crate::protocol::command::{Command, is_control};
use crate::protocol::time::format_time;
use crate::url::{IntoUrl, Url};

/// Longest name of a group, in bytes.
const MAX_GROUP: usize = 256;

impl Client {
    /// Sets when a file was last changed.
    ///
    /// Sends `MFMT` on a session of the pool, or `SITE UTIME` where the server does not list `MFMT` among its features. Both
    /// carry whole seconds in UTC; fractions are cut off.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a year outside 1601 to 9999;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) from servers that know neither command;
    /// [`Refused`](crate::ErrorKind::Refused) from globus-gridftp-server for times before 1970;
    /// [`NotFound`](crate::ErrorKind::NotFound), [`PermissionDenied`](crate::ErrorKind::PermissionDenied); and what can go
    /// wrong with every operation, as in [`Client::create_dir`].
    ///
    /// # Cancel safety
    /// Not cancel safe in the strict sense: if the future is dropped after the command was sent, the time is set. Setting it
    /// again does no harm.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// let local = std::fs::metadata("a.root").and_then(|file| file.modified()).unwrap();
    /// client.set_modified("gsiftp://data.example.org/run/a.root", local).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_utime` (draft-somers-ftp-mfxx).
    pub async fn set_modified(&self, url: impl IntoUrl, time: SystemTime) -> Result<()> {
        let url = url.into_url()?;
        let time = format_time(time).map_err(|error| error.with_url(&url))?;
        let argument = [time.as_bytes(), b" ", &self.server_path(&url)].concat();
        let by_feature = Command::with("MFMT", &argument)?;
        let by_site = Command::with("SITE UTIME", &argument)?;
        let operation = self.operation(&url, Repeat::Harmless);
        let reply = operation
            .on_session("set_modified", |session| {
                let command = if session.features.mfmt() { &by_feature } else { &by_site };
                let mut pending = session.control.send(command.clone()).withdraw_on_drop();
                async move { pending.last().await }
            })
            .await?;
        completed(reply, "setting the time").map(drop).map_err(|error| error.with_url(&url))
    }

    /// Sets the Unix permission bits of a file or folder.
    ///
    /// Sends `SITE CHMOD` with four octal digits on a session of the pool.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a mode above `0o7777`;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) from servers without the command;
    /// [`NotFound`](crate::ErrorKind::NotFound), [`PermissionDenied`](crate::ErrorKind::PermissionDenied); and what can go
    /// wrong with every operation, as in [`Client::create_dir`].
    ///
    /// # Cancel safety
    /// Not cancel safe in the strict sense: if the future is dropped after the command was sent, the bits are set. Setting
    /// them again does no harm.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// client.chmod("gsiftp://data.example.org/run/a.root", 0o640).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_chmod`.
    pub async fn chmod(&self, url: impl IntoUrl, mode: u32) -> Result<()> {
        let url = url.into_url()?;
        if mode > 0o7777 {
            let message = format!("the mode {mode:#o}: expected permission bits up to 0o7777");
            return Err(Error::invalid(message).with_url(&url));
        }
        self.set(&url, "SITE CHMOD", &format!("{mode:04o}"), "setting the permissions").await
    }

    /// Gives a file or folder to another group, by name or number.
    ///
    /// Sends `SITE CHGRP` on a session of the pool. For a group that it does not know globus-gridftp-server reports the
    /// same error as for one that the user is not in: "Operation not permitted".
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a group with a blank or control byte, which the command cannot
    /// carry, and for an empty one; [`Unsupported`](crate::ErrorKind::Unsupported) from servers without the command;
    /// [`NotFound`](crate::ErrorKind::NotFound), [`PermissionDenied`](crate::ErrorKind::PermissionDenied); and what can go
    /// wrong with every operation, as in [`Client::create_dir`].
    ///
    /// # Cancel safety
    /// Not cancel safe in the strict sense: if the future is dropped after the command was sent, the group is set. Setting it
    /// again does no harm.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// client.chgrp("gsiftp://data.example.org/run", "atlas").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_chgrp`.
    pub async fn chgrp(&self, url: impl IntoUrl, group: impl AsRef<str>) -> Result<()> {
        let (url, group) = (url.into_url()?, group.as_ref());
        let bad = group.bytes().any(|byte| byte == b' ' || is_control(byte));
        if bad || group.is_empty() || group.len() > MAX_GROUP {
            return Err(Error::invalid(format!(
                "the group \"{}\": expected a name or number of 1 to {MAX_GROUP} bytes without blanks and control bytes",
                Escaped(&group.as_bytes()[..group.len().min(100)])
            ))
            .with_url(&url));
        }
        self.set(&url, "SITE CHGRP", group, "setting the group").await
    }

    async fn set(&self, url: &Url, verb: &'static str, value: &str, doing: &'static str) -> Result<()> {
        let argument = [value.as_bytes(), b" ", &self.server_path(url)].concat();
        let command = Command::with(verb, argument)?;
        let reply = self.operation(url, Repeat::Harmless).reply(command).await?;
        completed(reply, doing).map(drop).map_err(|error| error.with_url(url))
    }

    /// Makes a symbolic link at `link` that leads to the path `target` on the same server.
    ///
    /// Sends `SITE SYMLINKFROM` and `SITE SYMLINKTO` together on a session of the pool, which is what globus-gridftp-server
    /// understands, and `SITE SYMLINK` with both paths to servers that do not know these. The stock server demands that the
    /// target exists, and makes a relative one absolute, seen from the folder of the login.
    ///
    /// # Errors
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) when the name of the link is taken;
    /// [`NotFound`](crate::ErrorKind::NotFound) when the target or the folder of the link is missing;
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied); [`Unsupported`](crate::ErrorKind::Unsupported) from servers
    /// without links, and from those with `SITE SYMLINK` alone when a path holds a blank, which that command cannot carry;
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a target that is empty or holds a control byte; and what can go
    /// wrong with every operation, as in [`Client::create_dir`]. The URL in the error is that of the link.
    ///
    /// # Cancel safety
    /// Not cancel safe in the strict sense: if the future is dropped after the commands were queued, the link is made.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// client.symlink("/data/run/2026", "gsiftp://data.example.org/data/latest").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_symlink`, which knows `SITE SYMLINK` only.
    pub async fn symlink(&self, target: impl AsRef<[u8]>, link: impl IntoUrl) -> Result<()> {
        let (target, url) = (target.as_ref(), link.into_url()?);
        if target.is_empty() {
            return Err(Error::invalid("the target of a link is empty, expected a path").with_url(&url));
        }
        let link = self.server_path(&url);
        let first = Command::with("SITE SYMLINKFROM", target).map_err(|error| error.with_url(&url))?;
        let second = Command::with("SITE SYMLINKTO", &link)?;
        let (found, made) = self.operation(&url, Repeat::Never).replies(first, second).await?;
        let reply: Result<Reply> = if found.is_intermediate() {
            completed(made, "making the link")
        } else {
            let error = Error::from_reply(found.clone(), Phase::Command, "making a link to the target");
            if kind_of_reply(&found) != ErrorKind::Unsupported {
                Err(error)
            } else if target.contains(&b' ') || link.contains(&b' ') {
                // Where the one path ends and the other begins could not be told.
                Err(error)
            } else {
                let both = Command::with("SITE SYMLINK", [target, b" ", &link].concat())?;
                let reply = self.operation(&url, Repeat::Never).reply(both).await?;
                completed(reply, "making the link")
            }
        };
        reply.map(drop).map_err(|error| error.with_url(&url))
    }
}
