//! Listings of one folder: parsed, entry by entry, or as the server writes them.

pub(super) mod choices;
mod raw;
mod stream;

use bytes::{Bytes, BytesMut};

use super::completed;
use crate::client::{Client, Repeat};
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::protocol::command::Command;
use crate::url::IntoUrl;

use choices::Choices;
pub use raw::RawListing;
pub use stream::ListStream;
pub(super) use stream::is_dot_entry;

/// Most bytes that [`Client::list_raw`] collects.
const MAX_COLLECTED_BYTES: usize = 256 << 20;

/// The form of a listing as a server writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListFormat {
    /// NLST: names alone (RFC 959 §4.1.3).
    Names,
    /// LIST: for people, as `ls -l` writes (RFC 959 §4.1.3).
    Verbose,
    /// MLSD: facts, for programs (RFC 3659 §7).
    Machine,
    /// MLSR: facts of everything below the folder, names being paths relative to it (Globus).
    ///
    /// globus-gridftp-server loses entries in it, and marks good ones as bad: [`Client::walk`] lists folders one by one.
    Recursive,
}

impl ListFormat {
    fn verb(self) -> &'static str {
        match self {
            Self::Names => "NLST",
            Self::Verbose => "LIST",
            Self::Machine => "MLSD",
            Self::Recursive => "MLSR",
        }
    }
}

impl Client {
    /// Lists a folder, entry by entry.
    ///
    /// Sends `MLSD`, or `LIST` to servers without it, on a session of its own for the time, with a data channel in stream
    /// mode; nothing is sent before the stream is polled. However large the folder, only a window of it is held in memory:
    /// whoever is slow slows the server down. `.` and `..` are left out.
    ///
    /// A name is given as the server wrote it, whatever it is: ask [`Entry::is_safe_child`](crate::Entry::is_safe_child)
    /// before it becomes part of a path. (A file name that holds CR LF looks like two lines. FTP has no way to tell.)
    /// Servers answer for a file with one entry, the file's own. globus-gridftp-server follows links, and leaves out those
    /// that lead nowhere. What `LIST` tells is less than what `MLSD` does: its times are cut to minutes or days, and taken
    /// for UTC as the server does not tell its zone; lines are known in the forms of `ls -l` and MS-DOS. Some servers leave
    /// names that begin with a dot out of `LIST`.
    ///
    /// # Errors
    /// Come as items of the stream: see [`ListStream::next_entry`].
    ///
    /// # Cancel safety
    /// Dropping the stream ends its data connection in the background; the session is used for other operations.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// let mut entries = client.list("gsiftp://data.example.org/run");
    /// while let Some(entry) = entries.next_entry().await? {
    ///     println!("{:>12} {}", entry.size().unwrap_or(0), entry.name_lossy());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_machine_list` and `globus_ftp_client_verbose_list` (RFC 3659 §7).
    pub fn list(&self, url: impl IntoUrl) -> ListStream {
        ListStream::new(RawListing::new(Choices::new(self, url), None))
    }

    /// Lists a folder as the server writes it, collected in memory: 256 MiB at most.
    ///
    /// Sends `NLST`, `LIST`, `MLSD` or `MLSR`. The text is binary, with CR LF between lines as a rule, and not trustworthy.
    ///
    /// # Errors
    /// As [`RawListing::next_piece`]; [`Unsupported`](crate::ErrorKind::Unsupported) also for a listing that is larger
    /// ([`Client::list_raw_stream`] is for those).
    ///
    /// # Cancel safety
    /// As [`Client::list`].
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// use gridftp::ListFormat;
    ///
    /// let text = client.list_raw("ftp://ftp.example.org/pub", ListFormat::Verbose).await?;
    /// println!("{}", String::from_utf8_lossy(&text));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_list`, `_verbose_list`, `_machine_list` and `_recursive_list` (RFC 959 §4.1.3).
    pub async fn list_raw(&self, url: impl IntoUrl, format: ListFormat) -> Result<Bytes> {
        let url = url.into_url()?;
        let mut listing = self.list_raw_stream(&url, format);
        let mut whole = BytesMut::new();
        while let Some(piece) = listing.next_piece().await? {
            if whole.len() + piece.len() > MAX_COLLECTED_BYTES {
                let message = format!(
                    "the listing is larger than {} MiB; read it as a stream",
                    MAX_COLLECTED_BYTES >> 20
                );
                return Err(Error::new(ErrorKind::Unsupported, Phase::Data, message)
                    .with_side(Side::Local)
                    .with_url(&url));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// [`Client::list_raw`] piece by piece, for listings of any size.
    ///
    /// # Errors
    /// Come as items of the stream: see [`RawListing::next_piece`].
    ///
    /// # Cancel safety
    /// As [`Client::list`].
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// use gridftp::ListFormat;
    ///
    /// let mut listing = client.list_raw_stream("ftp://ftp.example.org/pub", ListFormat::Names);
    /// while let Some(piece) = listing.next_piece().await? {
    ///     println!("{} bytes", piece.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_list` and its kin with `globus_ftp_client_register_read` (RFC 959 §4.1.3).
    pub fn list_raw_stream(&self, url: impl IntoUrl, format: ListFormat) -> RawListing {
        RawListing::new(Choices::new(self, url), Some(format.verb()))
    }

    /// Asks for the status of a file or folder: what `LIST` would say, over the control channel.
    ///
    /// Sends `STAT` on a session of the pool. The reply is for people. globus-gridftp-server gives one line about the file
    /// or folder itself; others list the folder. [`Client::stat`] is the form for programs.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), [`PermissionDenied`](crate::ErrorKind::PermissionDenied),
    /// [`Unsupported`](crate::ErrorKind::Unsupported), and what can go wrong with every operation: the URL, the connection,
    /// the login, a deadline.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// let reply = client.status("gsiftp://data.example.org/run/a.root").await?;
    /// println!("{reply}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_stat` (RFC 959 §4.1.3).
    pub async fn status(&self, url: impl IntoUrl) -> Result<Reply> {
        let url = url.into_url()?;
        let command = Command::with("STAT", self.server_path(&url))?;
        let reply = self.operation(&url, Repeat::Harmless).reply(command).await?;
        completed(reply, "asking for the status").map_err(|error| error.with_url(&url))
    }
}
