//! What can be chosen for one get or put.

use std::any::Any;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use crate::credential::Credential;
use crate::data::choices::{Boxed, Choices, common_setters, transfer_setters};
use crate::data::{Get, Put};
use crate::error::{Error, Escaped, Result};
use crate::options::{DataChannelAuth, ProtectionLevel, Timeouts, TransferMode};
use crate::types::{ByteRange, RestartMarker};
use crate::url::IntoUrl;

/// A get to be started: made by [`Client::get`], started by `.await`.
#[derive(Debug, Clone)]
#[must_use = "a get is started by `.await`"]
pub struct GetBuilder {
    pub(super) choices: Choices,
    pub(super) range: ByteRange,
    pub(super) restart: Option<RestartMarker>,
    pub(super) algorithm: Option<String>,
}

impl GetBuilder {
    common_setters!();
    transfer_setters!();

    /// Which bytes of the file (ERET, GFD.20; or REST). What lies beyond the file's end is left out. Default: all.
    pub fn range(mut self, range: impl Into<ByteRange>) -> Self {
        self.range = range.into();
        self
    }

    /// Fetches only what this marker does not tell of (REST, RFC 3659 §5 and GFD.20), as an earlier get's
    /// [`abort`](Get::abort) or [`restart_marker`](Get::restart_marker) gave it. With a [`range`](Self::range), only what
    /// of that is missing. Default: everything.
    ///
    /// In stream mode bytes are fetched from the first missing one on; in extended block mode all that is here is left out.
    /// Either form of marker serves in either mode. A marker that tells of bytes beyond the end of the server's file is an
    /// error of kind `Truncated`: the file has changed.
    ///
    /// Corresponds to the restart marker of `globus_ftp_client_get`.
    pub fn restart(mut self, marker: RestartMarker) -> Self {
        self.restart = Some(marker);
        self
    }

    /// Fetches what an algorithm of the server makes of the file: `ERET <words> <path>` (GFD.20) instead of RETR. What
    /// comes of it may have any length, so that is not checked. Not together with a range, a storage module or text.
    /// Default: none.
    ///
    /// The words go to the server as they are: `P 100 50` (50 bytes from offset 100), `name="arguments"`.
    ///
    /// # Errors
    /// The get fails with `InvalidInput` for words that could change which path is meant.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> gridftp::Result<()> {
    /// # let client = gridftp::Client::new()?;
    /// let part = client.get("ftp://ftp.example.org/f").algorithm("P 100 50").await?.bytes().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_extended_get`.
    pub fn algorithm(mut self, words: impl Into<String>) -> Self {
        self.algorithm = Some(words.into());
        self
    }

    /// Fetches text (TYPE A, RFC 959 §3.1.1.1): lines, which end with CR LF on the wire, end with LF here. Default: false.
    ///
    /// Nothing else is changed: a CR that is not before an LF stays. Stream mode only, without ranges and restarts; the
    /// number of bytes cannot be checked, as nobody knows it before. The session goes back to TYPE I afterwards.
    ///
    /// Corresponds to `globus_ftp_client_operationattr_set_type`.
    pub fn ascii(mut self, text: bool) -> Self {
        self.choices.options.ascii = text;
        self
    }

    /// Refuses what cannot be together.
    pub(super) fn check(&self) -> Result<()> {
        let chosen = [
            ("a range", !self.range.is_all()),
            ("an algorithm", self.algorithm.is_some()),
            ("a storage module", self.choices.options.storage_module.is_some()),
            ("text", self.choices.options.ascii),
        ];
        one_of(&chosen)?;
        if self.choices.options.ascii && self.restart.is_some() {
            return Err(Error::invalid("text cannot be restarted; expected either text or a restart marker"));
        }
        self.algorithm.as_deref().map_or(Ok(()), |words| check_algorithm(words, "P", 2))
    }
}

impl IntoFuture for GetBuilder {
    type Output = Result<Get>;
    type IntoFuture = Boxed<Get>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.choices.watched("get").start(Get::start(self)))
    }
}

/// A put to be started: made by [`Client::put`], started by `.await`.
#[derive(Debug, Clone)]
#[must_use = "a put is started by `.await`"]
pub struct PutBuilder {
    pub(super) choices: Choices,
    pub(super) offset: Option<u64>,
    pub(super) append: bool,
    pub(super) restart: Option<RestartMarker>,
    pub(super) algorithm: Option<String>,
    pub(super) marker_interval: Option<Duration>,
    pub(super) check_size: bool,
    pub(super) keep_incomplete: bool,
    /// Held until it is known what became of the start.
    pub(super) guard: Option<Arc<dyn Any + Send + Sync>>,
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

    /// Writes behind what the file holds (APPE, RFC 959 §4.1.3); a file that is not there is made. Default: false.
    ///
    /// [`Put::write_at`] then counts from the old end. The size is asked for before and after (SIZE) and must have grown by
    /// what was sent. A put that is given up leaves what came: the file is never deleted.
    ///
    /// RFC 959 has this for stream mode only, and so has C; globus-gridftp-server appends in extended block mode too, so
    /// that is not refused here.
    ///
    /// Corresponds to `globus_ftp_client_operationattr_set_append`.
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// Goes on with a file of which an earlier put left this much (REST, RFC 3659 §5 and GFD.20, then STOR), as its
    /// [`abort`](Put::abort) told. Default: the file is replaced.
    ///
    /// [`Put::write`] begins with the first byte that is missing, [`Put::write_at`] counts from the beginning of the file.
    /// In stream mode everything from there on must be sent; in extended block mode it is enough to send what the marker
    /// does not tell of. [`Put::finish`] compares the size of the whole file with the end of its last byte. A restarted put
    /// that is given up leaves the file as it is: it is not deleted.
    ///
    /// A marker that tells of bytes beyond the end of the server's file is an error (`Truncated`), and so is a file that is
    /// not there: to go on would leave a hole. A marker of nothing replaces the file.
    ///
    /// Corresponds to the restart marker of `globus_ftp_client_put`.
    pub fn restart(mut self, marker: RestartMarker) -> Self {
        self.restart = Some(marker);
        self
    }

    /// Stores through an algorithm of the server: `ESTO <words> <path>` (GFD.20) instead of STOR. What it makes of the data
    /// may have any length, so that is not checked, and a put that is given up is not deleted. Default: none.
    ///
    /// The words go to the server as they are: `A 100` (from offset 100 on), `name="arguments"`.
    ///
    /// # Errors
    /// The put fails with `InvalidInput` for words that could change which path is meant.
    ///
    /// Corresponds to `globus_ftp_client_extended_put`.
    pub fn algorithm(mut self, words: impl Into<String>) -> Self {
        self.algorithm = Some(words.into());
        self
    }

    /// Stores text (TYPE A, RFC 959 §3.1.1.1): lines, which end with LF here, end with CR LF on the wire, and at the server
    /// as its system has it. Default: false.
    ///
    /// Each LF is sent as CR LF, whatever stands before it, and nothing else is changed; so the same bytes come back from a
    /// server that keeps lines with LF. Stream mode only; not with an offset or a restart. The server's file must then be
    /// as long as the text, or as the text with CR LF, else it is an error (`Truncated`). The session goes back to TYPE I
    /// afterwards.
    ///
    /// globus-gridftp-server (13.24) takes lines apart in blocks of 256 KiB, and leaves a CR in the file where a CR LF lies
    /// across the border of two. Where it says what it is (`DSI` in FEAT) lines that end there are sent with an LF alone,
    /// which it takes for the same. What cannot be saved in that way, a CR LF of the text's own at such a place or a server
    /// with another `-blocksize`, is the error above.
    ///
    /// Corresponds to `globus_ftp_client_operationattr_set_type`.
    pub fn ascii(mut self, text: bool) -> Self {
        self.choices.options.ascii = text;
        self
    }

    /// How often the server is to say what it has stored (`TREV RESTART`), in extended block mode: [`Put::restart_marker`]
    /// is as fresh as that. Rounded up to seconds, 1 to 3600. A hint, that globus-gridftp-server takes. Default: the
    /// server's, there 5 seconds.
    pub fn marker_interval(mut self, interval: Duration) -> Self {
        self.marker_interval = Some(interval);
        self
    }

    /// Holds something until it is known what became of the start of the put, also if nobody waits for that any more: from then
    /// on nothing comes to be at the server that was not there.
    pub(crate) fn holding(mut self, guard: Arc<dyn Any + Send + Sync>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// What is sent is a file: a put that can [send it by itself](Put::sends_files) takes no blocks. Extended block mode only.
    pub(crate) fn of_file(mut self) -> Self {
        self.choices.options.file = true;
        self
    }

    /// Refuses what cannot be together.
    pub(super) fn check(&self) -> Result<()> {
        let (text, module) = (self.choices.options.ascii, self.choices.options.storage_module.is_some());
        let chosen = [
            ("an offset", self.offset.is_some()),
            ("append", self.append),
            ("a restart marker", self.restart.is_some()),
            ("an algorithm", self.algorithm.is_some()),
        ];
        one_of(&chosen)?;
        // A module of the storage can go on with a file, and text can be appended.
        one_of(&[chosen[0], chosen[2], chosen[3], ("text", text)])?;
        one_of(&[chosen[0], chosen[1], chosen[3], ("a storage module", module), ("text", text && module)])?;
        if let Some(offset) = self.offset.filter(|&offset| i64::try_from(offset).is_err()) {
            return Err(Error::invalid(format!("offset {offset}: expected less than 2^63")));
        }
        if let Some(interval) = self.marker_interval.filter(|interval| !MARKER_INTERVALS.contains(interval)) {
            return Err(Error::invalid(format!("markers every {interval:?}: expected 1 s to 3600 s")));
        }
        self.algorithm.as_deref().map_or(Ok(()), |words| check_algorithm(words, "A", 1))
    }

    /// Whether the size that the server tells afterwards (SIZE, queued behind the transfer) is compared with what was sent.
    /// Default: true. Turn it off for what has no size, such as a device.
    pub fn check_size(mut self, check: bool) -> Self {
        self.check_size = check;
        self
    }

    /// Whether what has come of the file stays at the server when the put is given up, for a later one to go on from.
    /// Default: false, and a file that is all this put's is deleted.
    pub fn keep_incomplete(mut self, keep: bool) -> Self {
        self.keep_incomplete = keep;
        self
    }
}

/// Intervals of markers that can be asked for.
const MARKER_INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3600);

/// Longest words for an algorithm, in bytes.
const MAX_ALGORITHM: usize = 8192;

fn one_of(choices: &[(&str, bool)]) -> Result<()> {
    let chosen: Vec<_> = choices.iter().filter(|(_, chosen)| *chosen).map(|(name, _)| *name).collect();
    if chosen.len() < 2 {
        return Ok(());
    }
    Err(Error::invalid(format!("{} do not go together; expected one of them", chosen.join(" and "))))
}

/// Refuses words behind which the server would take something else for the path: it has no other sign of where they end.
///
/// `partial` is the letter for parts of files, which has that many numbers behind it.
fn check_algorithm(words: &str, partial: &str, numbers: usize) -> Result<()> {
    let refuse = |expected: &str| {
        let shown = Escaped(&words.as_bytes()[..words.len().min(200)]);
        Err(Error::invalid(format!("the algorithm \"{shown}\" cannot be sent: expected {expected}")))
    };
    if words.is_empty() || words.len() > MAX_ALGORITHM {
        return refuse("1 to 8192 bytes");
    }
    if words.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return refuse("no control byte");
    }
    if words.trim_matches(' ').len() != words.len() {
        return refuse("no blank at either end");
    }
    if words.contains('"') {
        let quoted = words.strip_suffix('"').and_then(|words| words.split_once("=\""));
        let good = quoted.is_some_and(|(name, arguments)| {
            !name.is_empty() && !name.contains([' ', '"']) && !arguments.contains('"')
        });
        return if good { Ok(()) } else { refuse("name=\"arguments\", with no other quotes") };
    }
    let mut parts = words.split(' ');
    if parts.next().is_some_and(|word| word.eq_ignore_ascii_case(partial)) {
        let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<_> = parts.collect();
        if parts.len() != numbers || !parts.iter().all(|word| is_number(word)) {
            return refuse("as many numbers as the letter needs, with one blank before each");
        }
    }
    Ok(())
}

impl IntoFuture for PutBuilder {
    type Output = Result<Put>;
    type IntoFuture = Boxed<Put>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.choices.watched("put").start(Put::start(self)))
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
        GetBuilder {
            choices: Choices::new(self, url),
            range: ByteRange::from(..),
            restart: None,
            algorithm: None,
        }
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
    /// background, unless something of it was there before (an offset, append, a restart) or a module of the server wrote
    /// it. [`Put::abort`] ends a put and leaves what came.
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
        PutBuilder {
            choices: Choices::new(self, url),
            offset: None,
            append: false,
            restart: None,
            algorithm: None,
            marker_interval: None,
            check_size: true,
            keep_incomplete: false,
            guard: None,
        }
    }
}
