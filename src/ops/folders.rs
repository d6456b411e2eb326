//! Making whole paths of folders.

use super::completed;
use crate::client::{Client, Repeat};
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::protocol::classify::kind_of_reply;
use crate::protocol::command::Command;
use crate::protocol::mlsx::parse_mlst;
use crate::url::{IntoUrl, Url};

const DOING: &str = "making the folder";

impl Client {
    /// Makes a folder and all folders above it that are missing. That it is there already is a success.
    ///
    /// Sends `MKD` and `MLST` together on a session of the pool; only where folders above are missing, `MKD` for each of them
    /// from the top in a second round trip, all at once. Refusals on the way, as for `/home`, do not matter if the folder is
    /// there in the end. Any number of calls, here and elsewhere, may make the same folders at the same time. On servers
    /// without `MLST`, `CWD` tells whether what is there is a folder.
    ///
    /// # Errors
    /// [`NotADirectory`](crate::ErrorKind::NotADirectory) when the name, or one above it, is that of a file;
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied); and what can go wrong with every operation, as in
    /// [`Client::create_dir`]. Folders that were made before the failure stay.
    ///
    /// # Cancel safety
    /// Not cancel safe in the strict sense: if the future is dropped, some of the folders may have been made. Calling it again
    /// does no harm.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// client.create_dir_all("gsiftp://data.example.org/run/2026/11/22").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to nothing in C: a loop of `globus_ftp_client_mkdir` (RFC 959 §4.1.3).
    pub async fn create_dir_all(&self, url: impl IntoUrl) -> Result<()> {
        let url = url.into_url()?;
        self.make_all(&url).await.map_err(|error| error.with_url(&url))
    }

    async fn make_all(&self, url: &Url) -> Result<()> {
        let mut replies = self.make_each(url, [url]).await?;
        let outcome = self.judge(url, &mut replies).await?;
        let Err(reason) = outcome else { return Ok(()) };
        let above: Vec<Url> = std::iter::successors(url.parent(), Url::parent).collect();
        if above.is_empty() || matches!(reason.kind(), ErrorKind::NotADirectory | ErrorKind::Unsupported) {
            return Err(reason);
        }
        let mut replies = self.make_each(url, above.iter().rev().chain([url])).await?;
        self.judge(url, &mut replies).await?
    }

    /// MKD for each, and MLST for the last one.
    async fn make_each<'u>(&self, url: &Url, each: impl IntoIterator<Item = &'u Url>) -> Result<Vec<Reply>> {
        let mut commands = Vec::new();
        for folder in each {
            commands.push(Command::with("MKD", self.server_path(folder))?);
        }
        commands.push(Command::with("MLST", self.server_path(url))?);
        self.operation(url, Repeat::Harmless).all_replies(commands).await
    }

    /// Whether the folder is there after all, and why not otherwise.
    ///
    /// # Errors
    /// What kept the server from being asked.
    async fn judge(&self, url: &Url, replies: &mut Vec<Reply>) -> Result<Result<()>> {
        let facts = replies.pop().ok_or_else(super::no_reply)?;
        if replies.last().is_some_and(Reply::is_completion) {
            return Ok(Ok(()));
        }
        let found = if facts.is_completion() {
            Some(parse_mlst(&facts)?)
        } else if kind_of_reply(&facts) == ErrorKind::Unsupported {
            self.folder_by_cwd(url).await?
        } else {
            None
        };
        // A link to a folder is one, for whoever follows it: servers tell what is behind it.
        match found {
            Some(entry) if entry.is_dir() => Ok(Ok(())),
            Some(entry) if entry.is_symlink() && self.folder_by_cwd(url).await?.is_some() => Ok(Ok(())),
            Some(_) => Ok(Err(in_the_way(replies.pop()))),
            // Not even MLST sees what is behind a link that leads nowhere, and yet the name is taken.
            None if replies.last().is_some_and(is_taken) => Ok(Err(in_the_way(replies.pop()))),
            None => Ok(Err(first_reason(replies))),
        }
    }
}

fn is_taken(reply: &Reply) -> bool {
    kind_of_reply(reply) == ErrorKind::AlreadyExists
}

/// The name is taken by something else.
fn in_the_way(reply: Option<Reply>) -> Error {
    let message = "making the folder: there is something else of this name";
    let error = Error::new(ErrorKind::NotADirectory, Phase::Command, message).with_side(Side::Server);
    match reply {
        Some(reply) => error.with_reply(reply),
        None => error,
    }
}

/// The refusal that the later ones follow from: the first behind the last folder that is there.
fn first_reason(replies: &mut Vec<Reply>) -> Error {
    let is_there = |reply: &Reply| reply.is_completion() || is_taken(reply);
    let begin = replies.iter().rposition(is_there).map_or(0, |last| last + 1);
    // A file above has "AlreadyExists" for an answer, and the folder in it "NotADirectory".
    let at = begin.min(replies.len().saturating_sub(1));
    match replies.drain(..).nth(at) {
        Some(reply) => completed(reply, DOING).err().unwrap_or_else(super::no_reply),
        None => super::no_reply(),
    }
}
