//! Checksums that a server computes.

use std::time::Duration;

use super::completed;
use crate::client::Client;
use crate::error::Result;
use crate::protocol::command::Command;
use crate::protocol::value::checksum_reply;
use crate::types::{ByteRange, Checksum, ChecksumAlgorithm};
use crate::url::IntoUrl;

/// Seconds between the markers that a server is asked for while it reads.
const MARKERS: u64 = 5;

impl Client {
    /// Has the server compute the checksum of a file, or of a part of it.
    ///
    /// Sends `OPTS CKSM Markers=…` and `CKSM` on a session of its own, because a server reads the whole file before it
    /// answers, and does nothing else on that session meanwhile. Which algorithms there are is told by
    /// [`FeatureSet::checksums`](crate::FeatureSet::checksums); globus-gridftp-server has MD5, ADLER32, SHA1, SHA256 and
    /// SHA512. Of a range that reaches beyond the end of the file, it computes the part that is there.
    ///
    /// The wait is limited by [`Timeouts::checksum`](crate::options::Timeouts::checksum): 6 hours of silence by default.
    /// globus-gridftp-server sends a marker every few seconds while it reads, so its silence means that it does not.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when the server has no checksums, or not this one;
    /// [`NotFound`](crate::ErrorKind::NotFound), [`IsADirectory`](crate::ErrorKind::IsADirectory),
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied); [`InvalidInput`](crate::ErrorKind::InvalidInput) for a
    /// range that ends before it begins; [`Protocol`](crate::ErrorKind::Protocol) for an answer that is no value of the
    /// algorithm; and what can go wrong with every operation: the URL, the connection, the login, a deadline.
    ///
    /// # Cancel safety
    /// Cancel safe. The session is closed; the server may go on reading for a while.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// use gridftp::ChecksumAlgorithm;
    ///
    /// let url = "gsiftp://data.example.org/run/a.root";
    /// let whole = client.checksum(url, ChecksumAlgorithm::Adler32, ..).await?;
    /// let first_megabyte = client.checksum(url, ChecksumAlgorithm::Sha256, ..1_000_000).await?;
    /// println!("{whole} {}", first_megabyte.to_hex());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_cksm` (GFD.47 §4).
    pub async fn checksum(
        &self,
        url: impl IntoUrl,
        algorithm: ChecksumAlgorithm,
        range: impl Into<ByteRange>,
    ) -> Result<Checksum> {
        let url = url.into_url()?;
        let range = range.into().check().map_err(|error| error.with_url(&url))?;
        let length = range.length().map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
        let mut argument = format!("{algorithm} {} {length} ", range.offset()).into_bytes();
        argument.extend_from_slice(&self.server_path(&url));
        let commands = [
            // A server that knows no such option refuses it, and that is all.
            Command::with("OPTS", format!("CKSM Markers={};", MARKERS.min(self.marker_limit())))?,
            Command::with("CKSM", argument)?,
        ];
        let patience: Duration = self.timeouts().checksum_limit();
        self.limited("checksum", &url, async {
            let (lease, mut replies) = self.exchange(&url, &commands, Some(patience)).await?;
            drop(lease);
            let reply = replies.pop().map(|reply| completed(reply, "computing the checksum"));
            checksum_reply(&reply.unwrap_or_else(|| Err(super::no_reply()))?, &algorithm)
        })
        .await
    }

    /// Markers have to come more often than a short limit for silence passes.
    fn marker_limit(&self) -> u64 {
        (self.timeouts().checksum_limit().as_secs() / 2).max(1)
    }
}
