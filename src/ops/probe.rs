//! What is under a name, asked of servers without `MLST`; and where a folder really is.

use std::time::SystemTime;

use super::completed;
use crate::client::{Client, Exclusive};
use crate::error::{Error, ErrorKind, Phase, Reply, Result};
use crate::protocol::classify::kind_of_reply;
use crate::protocol::command::Command;
use crate::protocol::value::{folder_reply, modified_reply, size_reply};
use crate::types::{Entry, EntryKind};
use crate::url::{IntoUrl, Url};

impl Client {
    /// Finds out the absolute path of a folder, and that it is one.
    ///
    /// Sends `PWD`, `CWD` and `PWD` on a session of its own, and `CWD` back to where the session was. So a home folder
    /// (`/~/`), a path relative to the login ([`ClientBuilder::rfc1738_paths`](crate::ClientBuilder::rfc1738_paths)) and, on
    /// servers that resolve them, `..` and symbolic links become plain paths. globus-gridftp-server resolves homes, but
    /// neither links nor `.`.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), [`NotADirectory`](crate::ErrorKind::NotADirectory),
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied), [`Protocol`](crate::ErrorKind::Protocol) for an answer
    /// that is no path; and what can go wrong with every operation: the URL, the connection, the login, a deadline.
    ///
    /// # Cancel safety
    /// Cancel safe. The session is closed.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// let home = client.canonical_dir("gsiftp://data.example.org/~/").await?;
    /// println!("{home}"); // gsiftp://data.example.org/home/ada
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_cwd`, which gives the server's answer to `CWD` as text (RFC 959 §4.1.1).
    pub async fn canonical_dir(&self, url: impl IntoUrl) -> Result<Url> {
        let url = url.into_url()?;
        self.limited("canonical_dir", &url, async {
            let probe = self.probe(&url, Vec::new()).await?;
            let there = completed(probe.entered, "looking for the folder")
                .and_then(|_| folder_reply(&completed(probe.there, "asking for the folder's path")?))?;
            self.url_of_path(&url, &there)
        })
        .await
    }

    /// The folder's entry if `CWD` can enter it, nothing if not.
    ///
    /// # Errors
    /// What kept the server from being asked.
    pub(super) async fn folder_by_cwd(&self, url: &Url) -> Result<Option<Entry>> {
        self.limited("probe", url, async {
            let probe = self.probe(url, Vec::new()).await?;
            let entry = || Entry::new(self.server_path(url).into_owned(), EntryKind::Dir);
            Ok(probe.entered.is_completion().then(entry))
        })
        .await
    }

    /// What a server without `MLST` tells by `CWD`, `SIZE`, `MDTM` and `STAT`: kind, and size and time where it knows them.
    ///
    /// # Errors
    /// `NotFound` only in the server's own words; what the server said where it says nothing that helps.
    pub(super) async fn stat_by_probing(&self, url: &Url) -> Result<Entry> {
        let path = self.server_path(url);
        let questions = vec![Command::with("SIZE", &path)?, Command::with("MDTM", &path)?];
        self.limited("probe", url, async {
            let probe = self.probe(url, questions).await?;
            let mut asked = probe.asked.iter();
            // Some servers give folders a number for a size; it is left out, as it says nothing.
            let size = asked.next().and_then(|reply| size_reply(reply).ok());
            let modified = asked.next().and_then(|reply| modified_reply(reply).ok());
            if probe.entered.is_completion() {
                return Ok(entry(&path, EntryKind::Dir, None, modified));
            }
            // What has a size or a time and cannot be entered is a file, or a folder that is closed to this user.
            let is_closed = kind_of_reply(&probe.entered) == ErrorKind::PermissionDenied;
            let kind = if is_closed { EntryKind::Unknown } else { EntryKind::File };
            if size.is_some() || modified.is_some() {
                return Ok(entry(&path, kind, size, modified));
            }
            let status = probe.lease.control.command(Command::with("STAT", &path)?).await?;
            let (no_folder, no_status) = (kind_of_reply(&probe.entered), kind_of_reply(&status));
            if matches!(status.code(), 211..=213) && status.lines().len() > 2 {
                // The lines between the first and the last are about the file.
                return Ok(entry(&path, kind, None, None));
            }
            if no_folder == ErrorKind::NotADirectory {
                return Ok(entry(&path, EntryKind::Unknown, None, None));
            }
            let says_more = !matches!(no_status, ErrorKind::Unsupported | ErrorKind::Protocol);
            let reply = if says_more && no_folder != ErrorKind::NotFound { status } else { probe.entered };
            Err(Error::from_reply(reply, Phase::Command, "asking for the facts"))
        })
        .await
    }

    /// Asks `questions`, then tries to enter the path as a folder, and goes back.
    async fn probe(&self, url: &Url, questions: Vec<Command>) -> Result<Probe> {
        let count = questions.len();
        let mut commands = questions;
        commands.push(Command::new("PWD"));
        commands.push(Command::with("CWD", self.server_path(url))?);
        commands.push(Command::new("PWD"));
        let (mut lease, mut replies) = self.exchange(url, &commands, None).await?;
        let mut tail = replies.split_off(count.min(replies.len())).into_iter();
        let (Some(before), Some(entered), Some(there)) = (tail.next(), tail.next(), tail.next()) else {
            return Err(super::no_reply());
        };
        if entered.is_completion() {
            // Until the session is back where it was, relative paths mean something else on it.
            lease.mark_broken();
            if let Ok(path) = folder_reply(&before)
                && lease.control.command(Command::with("CWD", path)?).await?.is_completion()
            {
                lease.mark_clean();
            }
        }
        Ok(Probe { asked: replies, entered, there, lease })
    }
}

/// What came of [`Client::probe`].
struct Probe {
    asked: Vec<Reply>,
    /// The answer to CWD.
    entered: Reply,
    /// The answer to PWD behind it.
    there: Reply,
    lease: Exclusive,
}

fn entry(path: &[u8], kind: EntryKind, size: Option<u64>, modified: Option<SystemTime>) -> Entry {
    let mut entry = Entry::new(path, kind);
    (entry.size, entry.modified) = (size, modified);
    entry
}
