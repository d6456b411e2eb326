//! What can be chosen for a transfer, and its start.

use std::future::IntoFuture;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use super::Compare;
use super::channels::Channels;
use super::choices::{Choices, Concurrency, Links, Overwrite, Preserve, Retry, Verify};
use super::filter::Filter;
use super::handle::Transfer;
use super::location::{IntoLocation, Location};
use super::rate::RateLimit;
use super::report::TransferReport;
use super::shard::Shard;
use crate::client::Client;
use crate::credential::Credential;
use crate::error::Result;
use crate::options::{DataChannelAuth, ProtectionLevel, StripeLayout, TcpBuffer, TransferMode};

/// Who logs in at one end.
#[derive(Debug, Clone, Default)]
pub(super) struct Login {
    pub(super) credential: Option<Credential>,
    pub(super) subject: Option<String>,
    pub(super) assertion: Option<Assertion>,
}

/// What an authorization service said. It is shown to nobody.
#[derive(Clone)]
pub(super) struct Assertion(pub(super) String);

impl std::fmt::Debug for Assertion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Assertion(…)")
    }
}

impl Login {
    pub(super) fn client(&self, client: &Client) -> Result<Client> {
        let client = match &self.credential {
            Some(credential) => client.with_credential(credential.clone()),
            None => client.clone(),
        };
        let client = match &self.assertion {
            Some(assertion) => client.with_authz_assertion(&assertion.0)?,
            None => client,
        };
        self.subject.as_ref().map_or_else(|| Ok(client.clone()), |subject| client.with_subject(subject))
    }
}

/// A transfer to be started: made by [`Client::transfer`], run by `.await` or [`start`](Self::start).
#[derive(Debug, Clone)]
#[must_use = "a transfer is run by `.await` or `start`"]
pub struct TransferBuilder {
    pub(super) client: Client,
    pub(super) from: Result<Vec<Location>>,
    pub(super) to: Result<Location>,
    pub(super) choices: Choices,
    pub(super) channels: Channels,
    pub(super) source: Login,
    pub(super) destination: Login,
    pub(super) time_limit: Option<Duration>,
}

impl Client {
    /// Copies a file or a whole tree, between this machine and a server in either direction, between two servers, or between
    /// two places here.
    ///
    /// `from` and `to` are [locations](Location): URLs, `file:///…`, or paths. A file is copied to the name that `to` is, or
    /// into the folder that it is if it ends with a slash. Of a folder ([`recursive`](TransferBuilder::recursive)) the
    /// contents are copied: `to` becomes what `from` is.
    ///
    /// * **A name holds the whole file or what it held before.** Files are written beside their names (`.gridftp-…`), and
    ///   renamed when the server has confirmed them, their size is right, and their checksum too where that
    ///   [was asked for](TransferBuilder::verify). What differs is moved again, then an error, and is deleted.
    /// * **Everything is accounted for**: the [report](TransferReport) has each entry of the source, copied, skipped or failed
    ///   with why. One failure does not end the others.
    /// * **What may pass is tried again**, with pauses that grow and from where it broke off; what would only fail again fails at
    ///   once. See [`retry`](TransferBuilder::retry).
    /// * **It goes on where it was ended**, with a [journal](TransferBuilder::journal): after a kill, a crash, a power cut.
    /// * **It finds its own speed**: small files go through pipelines without a round trip each, large ones by several
    ///   sessions at once when that is faster, and folders are listed while files move already. Memory is bounded, whatever the
    ///   size of the tree: some 20 bytes an entry for the report.
    ///
    /// Between two servers the data does not come here, unless [asked to](TransferBuilder::through_client).
    ///
    /// # Errors
    /// Of the transfer as a whole: `InvalidInput` for locations and choices that cannot be, before anything is touched;
    /// `NotFound` and what else says that the source is not to be had; `IsADirectory` for a folder without `recursive`; what a
    /// login can fail with. A transfer of one file fails with the error of that file. Of a tree (or several files) each entry
    /// has its own outcome in the report: ask [`TransferReport::is_complete`], or turn failures into an error by
    /// [`TransferReport::check`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the transfer as [`Transfer::abort`] does, in the background. Temporary files are deleted, or
    /// kept to go on with where there is a journal.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> gridftp::Result<()> {
    /// let client = gridftp::Client::new()?;
    /// client.transfer("gsiftp://dtn.example.org/data/run7.root", "run7.root").await?.check()?;
    ///
    /// let report = client
    ///     .transfer("run7", "gsiftp://se.example.org/data/run7")
    ///     .recursive(true)
    ///     .verify(gridftp::transfer::Verify::Checksum)
    ///     .journal("run7.journal")
    ///     .await?;
    /// println!("{report}");
    /// report.check()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_gass_copy_register_url_to_url`, and to what `globus-url-copy` makes of it.
    pub fn transfer(&self, from: impl IntoLocation, to: impl IntoLocation) -> TransferBuilder {
        TransferBuilder {
            client: self.clone(),
            from: from.into_location().map(|from| vec![from]),
            to: to.into_location(),
            choices: Choices::default(),
            channels: Channels::default(),
            source: Login::default(),
            destination: Login::default(),
            time_limit: None,
        }
    }
}

impl TransferBuilder {
    /// Another place with the same files: what cannot be had from the first is tried from the next, file by file. Default:
    /// none.
    ///
    /// The first place that has the file, or folder, is the one that is planned by.
    pub fn or_from(mut self, from: impl IntoLocation) -> Self {
        match (&mut self.from, from.into_location()) {
            (Ok(all), Ok(from)) => all.push(from),
            (all @ Ok(_), Err(error)) => *all = Err(error),
            (Err(_), _) => {}
        }
        self
    }

    /// Whether a folder is copied, with everything below it. Default: false, and a folder is an error of kind `IsADirectory`.
    pub fn recursive(mut self, recursive: bool) -> Self {
        self.choices.recursive = recursive;
        self
    }

    /// Whether the last part of the source's path is a pattern, as shells have them (`*.root`, `part[0-9]?`). What matches is
    /// copied into the folder `to`; names with a leading dot only where the pattern has one. Default: false, and every
    /// character is one of the name.
    pub fn glob(mut self, glob: bool) -> Self {
        self.choices.glob = glob;
        self
    }

    /// Only these, of what lies below the source: paths of bytes, with `/` between names. The folder `to` gets them under the
    /// same paths; folders above them are made. Of a folder that is named, everything below it is copied if the transfer is
    /// [`recursive`](Self::recursive). What is not there has failed with `NotFound`, or is skipped where
    /// [`optional`](Self::optional). Default: everything.
    ///
    /// The source need not be listed for that: its facts are asked for path by path, many at a time. Instead of a
    /// [`glob`](Self::glob).
    pub fn paths<P: Into<Vec<u8>>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.choices.paths = Some(paths.into_iter().map(Into::into).collect::<Vec<_>>().into());
        self
    }

    /// Only one share of the files, for one of several processes that divide a tree among them. Folders are made by all of
    /// them; files and links of the others are reported as [skipped](super::SkipReason::OtherShard). Not together with
    /// [`delete_extras`](Self::delete_extras). Default: all.
    pub fn shard(mut self, shard: Shard) -> Self {
        self.choices.shard = Some(shard);
        self
    }

    /// Bytes a second that may be moved, shared with every transfer that has a clone of the same limit. Not for data that goes
    /// from server to server without coming here. Default: no limit.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.choices.rate_limit = Some(limit);
        self
    }

    /// How many sessions with a server work at the same time. Default: [`Concurrency::Auto`].
    pub fn concurrency(mut self, sessions: impl Into<Concurrency>) -> Self {
        self.choices.concurrency = sessions.into();
        self
    }

    /// What a copy must have in common with its source before it gets its name. Default: [`Verify::Size`].
    pub fn verify(mut self, verify: Verify) -> Self {
        self.choices.verify = verify;
        self
    }

    /// What becomes of files that are there already. Default: [`Overwrite::Always`].
    pub fn overwrite(mut self, overwrite: Overwrite) -> Self {
        self.choices.overwrite = overwrite;
        self
    }

    /// Copies only what differs: [`overwrite`](Self::overwrite) with [`Overwrite::IfDifferent`].
    pub fn sync(self, compare: Compare) -> Self {
        self.overwrite(Overwrite::IfDifferent(compare))
    }

    /// Whether what the source does not have is deleted at the destination, at the end. Default: false.
    ///
    /// What a filter excludes stays. Nothing is deleted where part of the source could not be looked at, or something failed.
    pub fn delete_extras(mut self, delete: bool) -> Self {
        self.choices.delete_extras = delete;
        self
    }

    /// Which entries take part. Default: all.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.choices.filter = filter;
        self
    }

    /// What becomes of symbolic links. Default: [`Links::Follow`].
    pub fn links(mut self, links: Links) -> Self {
        self.choices.links = links;
        self
    }

    /// Which attributes are kept. What a server does not set is logged, and no failure of the copy. Default: none.
    pub fn preserve(mut self, preserve: Preserve) -> Self {
        self.choices.preserve = preserve;
        self
    }

    /// What is tried again, how often and when. Default: see [`Retry`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.choices.retry = retry;
        self
    }

    /// A file of this machine in which the transfer remembers what it has done. When it exists already, the same transfer
    /// goes on: what was copied and is there is not copied again, files that were half there are completed. Default: none.
    ///
    /// It may be killed at any instant. One process at a time can use a journal; a second one gets an error
    /// (`AlreadyExists`). A journal of another transfer is refused (`InvalidInput`). It is not deleted at the end.
    pub fn journal(mut self, path: impl Into<PathBuf>) -> Self {
        self.choices.journal = Some(path.into());
        self
    }

    /// Whether nothing is changed: the report says what would be. Default: false.
    pub fn dry_run(mut self, dry: bool) -> Self {
        self.choices.dry_run = dry;
        self
    }

    /// Whether it is found out what bounded the transfer: [`TransferReport::explanation`](super::TransferReport::explanation). The
    /// process's connections to the servers and its threads are looked at twice a second. Default: false.
    pub fn explain(mut self, explain: bool) -> Self {
        self.choices.explain = explain;
        self
    }

    /// Whether data between two servers comes through this client, for servers that do not reach each other. Default: false.
    pub fn through_client(mut self, through: bool) -> Self {
        self.choices.through_client = through;
        self
    }

    /// Whether folders above the destination are made. Default: true.
    pub fn create_parents(mut self, create: bool) -> Self {
        self.choices.create_parents = create;
        self
    }

    /// Whether it is no error that the source is not there (and nothing but that: `NotFound`). The report has it as
    /// [`Missing`](super::SkipReason::Missing). Default: false.
    pub fn optional(mut self, optional: bool) -> Self {
        self.choices.optional = optional;
        self
    }

    /// Whether local files are on the disk, not only with the system, before they get their names (`fsync`). Default: false.
    pub fn fsync(mut self, fsync: bool) -> Self {
        self.choices.fsync = fsync;
        self
    }

    /// Whether servers are told how large a file is before it comes (ALLO). Default: true.
    pub fn allocate(mut self, allocate: bool) -> Self {
        self.choices.allocate = allocate;
        self
    }

    /// How long all of it may take. What is not done then has failed with `Timeout(Total)`. Default: without limit.
    pub fn time_limit(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.time_limit = limit.into();
        self
    }

    /// The transmission mode for large files. Default: [`TransferMode::Auto`].
    pub fn mode(mut self, mode: TransferMode) -> Self {
        self.channels.mode = mode;
        self
    }

    /// Parallel data connections for each large file and session, 1 to 256.
    ///
    /// Default: `None`, as many as are of use. That is one, but for gets without protection from a GridFTP server that is far
    /// away (4 ms and more) and can connect to this client: a file of 8 MiB or more comes over up to 16 connections then, and over
    /// 96 as soon as those get slow, as they do where packets are lost.
    pub fn parallelism(mut self, connections: impl Into<Option<u16>>) -> Self {
        self.channels.parallelism = connections.into();
        self
    }

    /// The protection of the data (PROT, RFC 2228). What cannot be had is an error, never clear text. Default:
    /// [`ProtectionLevel::Clear`].
    pub fn protection(mut self, level: ProtectionLevel) -> Self {
        self.channels.protection = level;
        self
    }

    /// Who may be at the other end of data connections (DCAU, GFD.20). Default: [`DataChannelAuth::Auto`].
    pub fn dcau(mut self, auth: DataChannelAuth) -> Self {
        self.channels.dcau = auth;
        self
    }

    /// The size of the socket buffers in bytes. Default: [`TcpBuffer::Auto`], left to the kernels.
    pub fn tcp_buffer(mut self, size: impl Into<TcpBuffer>) -> Self {
        self.channels.tcp_buffer = size.into();
        self
    }

    /// Whether servers may use several data nodes at once, as [`GetBuilder::striped`](crate::GetBuilder::striped). Files go
    /// one by one then, each in one piece; so they do with every choice from here to
    /// [`data_credential`](Self::data_credential). Default: false.
    pub fn striped(mut self, striped: bool) -> Self {
        self.channels.striped = striped;
        self
    }

    /// Which stripe carries which bytes, as [`GetBuilder::layout`](crate::GetBuilder::layout). Default:
    /// [`StripeLayout::Default`].
    pub fn layout(mut self, layout: StripeLayout) -> Self {
        self.channels.layout = layout;
        self
    }

    /// Drivers of the servers' network, the transport first, as [`GetBuilder::net_stack`](crate::GetBuilder::net_stack).
    /// Default: the servers'.
    pub fn net_stack<D: Into<String>>(mut self, drivers: impl IntoIterator<Item = D>) -> Self {
        self.channels.net_stack = Some(drivers.into_iter().map(Into::into).collect());
        self
    }

    /// Drivers of the source's disk, the lowest first, as [`GetBuilder::disk_stack`](crate::GetBuilder::disk_stack). Not
    /// between servers that send to each other. Default: the server's.
    pub fn source_disk_stack<D: Into<String>>(mut self, drivers: impl IntoIterator<Item = D>) -> Self {
        self.channels.source_disk_stack = Some(drivers.into_iter().map(Into::into).collect());
        self
    }

    /// Drivers of the destination's disk, the lowest first. Not between servers that send to each other. Default: the
    /// server's.
    pub fn destination_disk_stack<D: Into<String>>(mut self, drivers: impl IntoIterator<Item = D>) -> Self {
        self.channels.destination_disk_stack = Some(drivers.into_iter().map(Into::into).collect());
        self
    }

    /// Whether a server may say only when it knows the file where it listens, as
    /// [`GetBuilder::delayed_passive`](crate::GetBuilder::delayed_passive). Default: false.
    pub fn delayed_passive(mut self, delayed: bool) -> Self {
        self.channels.delayed_passive = delayed;
        self
    }

    /// The credential that servers use on data channels (DCSC P), *private key* included, as
    /// [`GetBuilder::data_credential`](crate::GetBuilder::data_credential). Default: none of its own.
    pub fn data_credential(mut self, credential: Credential) -> Self {
        self.channels.data_credential = Some(credential);
        self
    }

    /// Who logs in at the source. Default: the client's credential.
    pub fn source_credential(mut self, credential: Credential) -> Self {
        self.source.credential = Some(credential);
        self
    }

    /// Who logs in at the destination. Default: the client's credential.
    pub fn destination_credential(mut self, credential: Credential) -> Self {
        self.destination.credential = Some(credential);
        self
    }

    /// The distinguished name that the source's server must have. Default: the client's choice.
    pub fn source_subject(mut self, name: impl Into<String>) -> Self {
        self.source.subject = Some(name.into());
        self
    }

    /// The distinguished name that the destination's server must have. Default: the client's choice.
    pub fn destination_subject(mut self, name: impl Into<String>) -> Self {
        self.destination.subject = Some(name.into());
        self
    }

    /// What an authorization service said about the user, for the source (`SITE AUTHZ_ASSERT`). Default: the client's.
    pub fn source_authz_assertion(mut self, assertion: impl Into<String>) -> Self {
        self.source.assertion = Some(Assertion(assertion.into()));
        self
    }

    /// What an authorization service said about the user, for the destination. Default: the client's.
    pub fn destination_authz_assertion(mut self, assertion: impl Into<String>) -> Self {
        self.destination.assertion = Some(Assertion(assertion.into()));
        self
    }

    /// Starts it, to be watched and perhaps ended.
    ///
    /// # Errors
    /// `InvalidInput` for what cannot be, and outside of a tokio runtime; nothing was touched then.
    pub fn start(self) -> Result<Transfer> {
        Transfer::start(self)
    }
}

impl IntoFuture for TransferBuilder {
    type Output = Result<TransferReport>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<TransferReport>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.start()?.join().await })
    }
}
