//! A GridFTP client: transfers as futures and streams on tokio, over the data channels and the security of the Globus
//! Toolkit.
//!
//! It talks to GridFTP servers with GSI credentials (`gsiftp://`) and to plain FTP servers with a password or anonymously
//! (`ftp://`): in stream and in extended block mode (GFD.20), with parallel data connections, stripes, ranges, restarts,
//! pipelines of many files, transfers from server to server, and protected data channels. What this version does not do yet
//! is said in README.md; what serves in place of each function of the C library, in [`from_c`].
//!
//! ```no_run
//! # async fn example() -> gridftp::Result<()> {
//! let client = gridftp::Client::new()?;
//! let text = client.get("ftp://ftp.example.org/pub/README").await?.bytes().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What there is
//!
//! | | |
//! |---|---|
//! | [`Client`], [`ClientBuilder`] | sessions with any number of servers, pooled; cheap to clone, for all tasks to share |
//! | [`Url`], [`Endpoint`], [`Scheme`] | where a file is, checked part by part |
//! | [`Credential`] | who the user is: a proxy, PEM text, certificate and key, a password, nobody |
//! | [`Credential::info`], [`Credential::make_proxy`], [`Credential::watch`] | what it says, a proxy of it, its renewal |
//! | [`Client::transfer`] → [`Transfer`], [`TransferReport`] | whole files and trees, either way or between servers: concurrent, verified, tried again, gone on with |
//! | [`Client::get`] → [`Get`], [`Reader`] | a file's contents: as blocks, as a byte stream in order, or all at once |
//! | [`Client::put`] → [`Put`], [`Writer`] | the way back, from [`Bytes`] or as a byte stream |
//! | [`Client::get_many`] → [`GetMany`] | many files of one server through one pipeline |
//! | [`Client::put_many`] → [`PutMany`], [`PutManySender`] | many files to one server through one pipeline |
//! | [`Client::third_party`] → [`ThirdParty`], [`Client::third_party_many`] → [`ThirdPartyMany`] | files from one server to another |
//! | [`RestartMarker`], [`RangeSet`], [`Get::abort`], [`Put::abort`] | what has come of a file, to go on from |
//! | [`Client::stat`], [`exists`](Client::exists), [`size`](Client::size), [`modified`](Client::modified), [`checksum`](Client::checksum), [`checksum_many`](Client::checksum_many), [`features`](Client::features) | facts about files and servers |
//! | [`Client::create_dir`], [`create_dir_all`](Client::create_dir_all), [`remove_dir`](Client::remove_dir), [`remove_file`](Client::remove_file), [`rename`](Client::rename), [`symlink`](Client::symlink) | names |
//! | [`Client::set_modified`], [`chmod`](Client::chmod), [`chgrp`](Client::chgrp) | times and permissions |
//! | [`Client::list`] → [`ListStream`], [`list_raw`](Client::list_raw), [`status`](Client::status) | what is in a folder, entry by entry or as the server writes it |
//! | [`Client::walk`] → [`WalkStream`], [`remove_dir_all`](Client::remove_dir_all) | whole trees |
//! | [`Client::with_credential`], [`with_subject`](Client::with_subject), [`with_timeouts`](Client::with_timeouts) | another identity or other limits for single operations |
//! | [`options`] | deadlines, transmission mode, protection, delegation |
//! | [`Error`], [`ErrorKind`], [`Reply`] | what went wrong |
//! | [`from_c`] | what serves in place of each function of the C library |
//! | [`init`], [`shutdown`], [`engine_metrics`], [`Client::metrics`] | the engine below, and figures |
//!
//! [`Client::get`], [`put`](Client::put), [`get_many`](Client::get_many) and [`put_many`](Client::put_many) return builders:
//! choose what you like, then `.await` them.
//!
//! A whole tree to a server, with checksums compared, and gone on with if it is killed:
//!
//! ```no_run
//! # async fn example() -> gridftp::Result<()> {
//! # let client = gridftp::Client::new()?;
//! let transfer = client.transfer("run7", "gsiftp://dtn.example.org/data/run7").recursive(true);
//! let report = transfer.verify(gridftp::transfer::Verify::Checksum).journal("run7.journal").await?;
//! report.check()?;
//! # Ok(())
//! # }
//! ```
//!
//! A file to disk, over four connections:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let client = gridftp::Client::new()?;
//! let get = client.get("gsiftp://dtn.example.org/data/run7.root").parallelism(4).await?;
//! let mut file = tokio::fs::File::create("run7.root").await?;
//! tokio::io::copy_buf(&mut get.into_reader(), &mut file).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A file to a server, under its name only when it is whole:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let client = gridftp::Client::new()?;
//! let mut file = tokio::fs::File::open("run7.root").await?;
//! let part = "gsiftp://dtn.example.org/data/.run7.root.part";
//! let mut writer = client.put(part).await?.into_writer();
//! tokio::io::copy(&mut file, &mut writer).await?;
//! tokio::io::AsyncWriteExt::shutdown(&mut writer).await?; // waits for the server's confirmation
//! client.rename(part, "gsiftp://dtn.example.org/data/run7.root").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Many small files, without a round trip for each:
//!
//! ```no_run
//! # async fn example() -> gridftp::Result<()> {
//! # let client = gridftp::Client::new()?;
//! let urls = (0..1000).map(|n| format!("gsiftp://dtn.example.org/data/part{n}"));
//! let mut many = client.get_many(urls).await?;
//! while let Some(mut file) = many.next_file().await? {
//!     match file.bytes().await {
//!         Ok(contents) => println!("{}: {} bytes", file.url(), contents.len()),
//!         Err(error) => eprintln!("{error}"), // this file's own; the others go on
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What can be relied on
//!
//! * **A get that ended is the whole file, or range.** Its end comes after the server confirmed the transfer, after every
//!   byte came once and none is missing in between, and after their number was compared with the size the server announced,
//!   where it did. (A range from a server without ERET is
//!   cut off when its bytes are here, without a confirmation.)
//! * **A put that finished is stored**: confirmed by the server, and its size there compared with what was sent. Contents are
//!   compared by [`Client::transfer`] with [`Verify::Checksum`](transfer::Verify::Checksum).
//! * **A transfer never has half a file under its name**, and its report has every entry of the source.
//! * **Memory is bounded**: a transfer has a [window](GetBuilder::window) of blocks in flight, and whoever is slow slows
//!   the other side down. A [`Reader`] holds at most 64 MiB of blocks that came early.
//! * **What a server says is not trusted**: replies are bounded and parsed in Rust, and escaped where they are shown. No
//!   control byte of a name, URL or password can become a second command.
//! * **Nothing is sent in clear text that was to be protected.** Protection that cannot be had is an error.
//!
//! * **Nothing that a server sends ends the process**, with one exception: on a get in extended block mode *with* data
//!   channel authentication (never the default) the C library receives, and a peer that has proven the identity which was
//!   asked for can make it abort. Everything else is received in Rust, or in stream mode, where nothing of the kind is known.
//!
//! `SECURITY.md` in the repository says what is promised against whom, and which tests hold it.
//!
//! # Errors
//!
//! An [`Error`] has a [kind](Error::kind) to branch on, the [side](Error::side) and [phase](Error::phase) it happened in,
//! the [URL](Error::url), the server's own [reply](Error::reply) where there was one, and its causes. Two judgements come
//! with it: [`Error::is_transient`] says whether trying again can help, [`Error::may_have_applied`] whether the server may
//! have done what was asked all the same. What meets a dead connection of the pool is done once more on another one, where
//! that can do no harm; nothing else is repeated.
//!
//! # Dropping futures
//!
//! Every future can be dropped at any point. No buffer is lost, nothing blocks, and replies stay with their commands.
//! What a drop leaves at the *server* stands at each function under "Cancel safety"; in short: a get leaves nothing, an
//! unfinished put is deleted in the background (unless it changes a file that was there), a transfer between servers ends,
//! a command that was sent is carried out. Where a function is not cancel
//! safe in the usual sense (data would be lost if it is called again), that is said there too.
//!
//! # Deadlines
//!
//! Everything that waits has one: 30 s to connect and log in, 60 s for a reply, for the first byte and for each pause of
//! a transfer; none for a whole operation. [`options::Timeouts`] changes them, for a client or for one transfer.
//!
//! # Runtime
//!
//! Futures must be polled in a tokio runtime with I/O and time enabled; either flavour will do. Sessions belong to the
//! runtime they were made in; a client used from two runtimes has sessions in each. All futures are `Send`.
//!
//! # The engine
//!
//! The Globus libraries run on one thread of their own, which the first transfer or GSI login starts. Starting it raises
//! the soft limit of open files to 16,384 or the hard limit (a higher one is lowered for a moment), and the libraries set
//! environment variables while they start, which can race with `getenv` in C code of other threads: a program that has such
//! threads calls [`init`] at the start of `main`.
//!
//! * Nothing else in the process may use the Globus libraries.
//! * After `fork`, a child must `exec` before it uses this crate: whatever it asks for is an error
//!   ([`ErrorKind::InvalidInput`]) at once. It must not drop the runtime either, whose sockets are the parent's too.
//! * The libraries wait with `select()`: data connections need descriptor numbers below 1024, unless the program says
//!   [`large_fd!`]. A transfer that would get others fails with [`ErrorKind::TooManyOpenFiles`]. Control connections are
//!   moved out of the way where the limits allow it.
//!
//! # Credentials and trust
//!
//! For `gsiftp` a client looks for the user's credential as [`Credential::default_search`] says, unless it is given one.
//! Files are read again for each new session. Host and service certificates are never picked up, not for root either.
//!
//! Which authorities are trusted is the Globus libraries' business: `X509_CERT_DIR`, then `~/.globus/certificates`, then
//! `/etc/grid-security/certificates`. That is one answer for the whole process. A server has to prove the host name of
//! its URL, or the [subject](ClientBuilder::subject) that was asked for.
//!
//! Nothing is delegated unless an operation needs it, and only [protected](options::ProtectionLevel) or
//! [authenticated](options::DataChannelAuth) data channels do. Without either, the control channel of a `gsiftp` session
//! is encrypted, and its data connections are neither authenticated nor encrypted (`DCAU N`).
//!
//! A server that has been given a proxy can act as the user until that is over. [`Delegation::Never`](options::Delegation)
//! forbids it: what needs it is an error then. [`Credential::make_proxy`] makes a proxy to be used instead of a long-lived
//! key, for as short as one likes, and [`Credential::watch`] sees that one was renewed.
//!
//! # Tracing
//!
//! With a `tracing` subscriber every operation is a span (level `DEBUG`) that holds its name, its URL without a password
//! and its endpoint. Each command and each reply is an event of target `gridftp::protocol` (level `DEBUG`) in the span of
//! its operation; those of a login are in none, since sessions are shared. Passwords, tokens and assertions are left out,
//! what servers say is escaped and cut. Without a subscriber this costs a few comparisons. [`Client::metrics`] gives figures.
//!
//! # Features
//!
//! None. The bindings crate `globus-sys` has one of its own, `ftp-client`, which this crate does not need.

#![deny(unsafe_code)]

#[cfg(any(test, gridftp_bench))]
#[doc(hidden)]
pub mod bench;
mod channel;
mod client;
mod credential;
mod data;
#[allow(unsafe_code, reason = "the one folder that calls C; every block says why it is sound")]
mod engine;
pub mod error;
pub mod from_c;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod hooks;
mod ops;
pub mod options;
mod protocol;
mod session;
pub mod transfer;
mod types;
mod url;

pub use bytes::Bytes;
pub use client::{
    Client, ClientBuilder, EngineMetrics, Metrics, engine_metrics, init, library_versions, shutdown,
};
pub use credential::{
    Credential, CredentialInfo, CredentialKind, CredentialWatch, PassphraseError, ProxyBuilder, ProxyForm,
};
pub use data::{
    Block, Get, GetBuilder, GetMany, GetManyBuilder, ManyFile, PairOutcome, Put, PutBuilder, PutFile,
    PutMany, PutManyBuilder, PutManyOutcome, PutManySender, PutSummary, Reader, ThirdParty,
    ThirdPartyBuilder, ThirdPartyMany, ThirdPartyManyBuilder, ThirdPartySummary, Writer,
};
pub use error::{Error, ErrorKind, Phase, Reply, Result, Side, TimeoutKind};
#[doc(inline)]
pub use globus_sys::large_fd;
pub use ops::{
    ChecksumMany, ChecksumManyBuilder, ChecksumOutcome, ListFormat, ListStream, NotEntered, NotRemoved,
    RawListing, RemoveReport, WalkEntry, WalkStream,
};
pub use transfer::{IntoLocation, Location, Progress, Transfer, TransferBuilder, TransferReport};
pub use types::{
    AlgorithmName, ByteRange, Checksum, ChecksumAlgorithm, Entry, EntryKind, FeatureSet, Marker, PerfMarker,
    RangeSet, RestartMarker,
};
pub use url::{Endpoint, IntoUrl, Scheme, Url};

/// Compiles the example in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
