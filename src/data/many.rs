//! Many files of one server through one pipeline.

use std::collections::VecDeque;
use std::fmt;
use std::future::IntoFuture;

use bytes::{Bytes, BytesMut};

use crate::client::{Client, Exclusive, SessionOptions};
use crate::credential::Credential;
use crate::data::Block;
use crate::data::choices::{Boxed, Choices, common_setters};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::options::{DataChannelAuth, ProtectionLevel, Timeouts, TransferMode};
use crate::session::pipeline::{Item, Next, Pipeline};
use crate::session::reorder::Reorder;
use crate::session::watch::{may_go_on, within};
use crate::url::{IntoUrl, Url};

/// Sessions that a pipeline may lose before it gives up.
const LOST_SESSIONS: usize = 3;

/// A pipeline to be started: made by [`Client::get_many`], started by `.await`.
#[derive(Debug, Clone)]
#[must_use = "a pipeline is started by `.await`"]
pub struct GetManyBuilder {
    choices: Choices,
    urls: Result<Vec<Url>>,
    check_sizes: bool,
    fall_back: bool,
}

impl GetManyBuilder {
    common_setters!();

    /// Whether each file's size (SIZE) is asked for with the file and compared with what came. Default: true.
    ///
    /// Without it, the protocol's own marks (an end-of-data count, and the reply 226) have to do.
    pub fn check_sizes(mut self, check: bool) -> Self {
        self.check_sizes = check;
        self
    }

    /// The caller has another way where the server cannot connect to this client, so that is not waited for to the last.
    pub(crate) fn fall_back(mut self, can: bool) -> Self {
        self.fall_back = can;
        self
    }
}

impl IntoFuture for GetManyBuilder {
    type Output = Result<GetMany>;
    type IntoFuture = Boxed<GetMany>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.choices.watched("get_many").start(GetMany::start(self)))
    }
}

impl Client {
    /// Fetches many files of one server over one connection, without waiting between them.
    ///
    /// On the wire: RETR commands sent up to 200 ahead over one extended-block data channel that stays open (GFD.20), so a
    /// small file costs no round trip. A file that is refused does not touch the others.
    ///
    /// # Errors
    /// `InvalidInput` when the URLs are not of one server; what a login can fail with. Each file has its own result.
    ///
    /// # Cancel safety
    /// Dropping the future, or the [`GetMany`], ends the data connection, and the session if files are on their way.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> gridftp::Result<()> {
    /// let client = gridftp::Client::new()?;
    /// let urls = (0..1000).map(|n| format!("ftp://ftp.example.org/pub/part{n}"));
    /// let mut many = client.get_many(urls).await?;
    /// while let Some(mut file) = many.next_file().await? {
    ///     match file.bytes().await {
    ///         Ok(contents) => println!("{}: {} bytes", file.url(), contents.len()),
    ///         Err(error) => eprintln!("{error}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_handleattr_set_pipeline`, which works for third-party transfers only.
    pub fn get_many<U: IntoUrl>(&self, urls: impl IntoIterator<Item = U>) -> GetManyBuilder {
        let urls: Result<Vec<Url>> = urls.into_iter().map(IntoUrl::into_url).collect();
        let first = match &urls {
            Ok(urls) => {
                urls.first().cloned().ok_or_else(|| Error::invalid("no URL was given; expected one or more"))
            }
            Err(error) => Err(error.clone()),
        };
        let mut choices = Choices::new(self, "ftp://localhost/");
        choices.url = first;
        choices.options.mode = TransferMode::ExtendedBlock;
        GetManyBuilder { choices, urls, check_sizes: true, fall_back: false }
    }
}

/// A pipeline of gets: the files come in the order of their URLs.
///
/// # Cancel safety
/// Dropping it with files on their way ends the data connection and the session: hundreds of answers may be under way.
/// After the last file the session is used for other operations.
pub struct GetMany {
    client: Client,
    session: SessionOptions,
    /// One of them, for what they have in common.
    server: Url,
    urls: Urls,
    pipeline: Pipeline,
    lease: Option<Exclusive>,
    lost: usize,
    deadline: Option<tokio::time::Instant>,
    /// It ended because the server does not reach this client.
    unreached: bool,
}

/// The URLs of files that have not had their turn. A pipeline that is fed may see millions.
struct Urls {
    /// The number of the first one in the list.
    first: usize,
    list: VecDeque<Url>,
}

impl Urls {
    /// The number that the next one gets.
    fn next(&self) -> usize {
        self.first + self.list.len()
    }

    /// Files come in the order of their numbers.
    fn forget_before(&mut self, index: usize) {
        while self.first < index && self.list.pop_front().is_some() {
            self.first += 1;
        }
    }

    fn get<'a>(&'a self, index: usize, server: &'a Url) -> &'a Url {
        index.checked_sub(self.first).and_then(|at| self.list.get(at)).unwrap_or(server)
    }
}

impl GetMany {
    async fn start(mut builder: GetManyBuilder) -> Result<Self> {
        let url = builder.choices.checked()?;
        let urls = builder.urls?;
        let endpoint = url.endpoint();
        if let Some(other) =
            urls.iter().find(|other| other.endpoint() != endpoint || other.user() != url.user())
        {
            let message =
                format!("a pipeline is of one server; expected {endpoint}, got {}", other.endpoint());
            return Err(Error::invalid(message).with_url(other));
        }
        let choices = builder.choices;
        if choices.options.mode == TransferMode::Stream {
            return Err(Error::invalid("a pipeline needs extended block mode; stream mode was asked for")
                .with_url(&url));
        }
        let items = urls
            .iter()
            .enumerate()
            .map(|(index, url)| Item {
                index,
                path: Bytes::copy_from_slice(&choices.client.server_path(url)),
            })
            .collect();
        let limits = choices.limits();
        let mut pipeline = Pipeline::new(items, choices.options.clone(), limits, builder.check_sizes);
        pipeline.fall_back(builder.fall_back);
        let deadline = choices.deadline();
        let mut many = Self {
            client: choices.client.clone(),
            session: choices.session.clone(),
            server: url.clone(),
            urls: Urls { first: 0, list: urls.into() },
            pipeline,
            lease: None,
            lost: 0,
            deadline,
            unreached: false,
        };
        within(deadline, many.lease()).await.map_err(|error| error.with_url(&url))?;
        Ok(many)
    }

    /// Asks for one more file, behind those that were asked for already. Its number is how many those were.
    ///
    /// May be called at any time, also after [`next_file`](Self::next_file) had no more.
    ///
    /// # Errors
    /// `InvalidInput` for a URL of another server or user.
    pub fn push(&mut self, url: impl IntoUrl) -> Result<()> {
        let url = url.into_url()?;
        let first = &self.server;
        if url.endpoint() != first.endpoint() || url.user() != first.user() {
            let message =
                format!("a pipeline is of one server; expected {}, got {}", first.endpoint(), url.endpoint());
            return Err(Error::invalid(message).with_url(&url));
        }
        let path = Bytes::copy_from_slice(&self.client.server_path(&url));
        self.pipeline.push(Item { index: self.urls.next(), path });
        self.urls.list.push_back(url);
        Ok(())
    }

    /// Whether it ended because the server does not connect to this client.
    pub(crate) fn unreached(&self) -> bool {
        self.unreached
    }

    async fn lease(&mut self) -> Result<&mut Exclusive> {
        if self.lease.is_none() {
            let lease = self.client.exclusive(&self.server, &self.session).await?;
            self.lease = Some(lease);
        }
        self.lease.as_mut().ok_or_else(|| Error::new(ErrorKind::Internal, Phase::Command, "no session"))
    }

    /// The next file, in the order of the URLs. What was not read of the one before is thrown away. `None` after the last.
    ///
    /// # Errors
    /// Of the session, after it could not be replaced. A file's own failure comes from reading that file.
    ///
    /// # Cancel safety
    /// Not cancel safe: drop the `GetMany` then.
    pub async fn next_file(&mut self) -> Result<Option<ManyFile<'_>>> {
        let deadline = self.deadline;
        let next = within(deadline, self.advance()).await?;
        Ok(next.map(|(index, refused)| ManyFile { many: self, index, refused }))
    }

    async fn advance(&mut self) -> Result<Option<(usize, Option<Error>)>> {
        loop {
            self.lease().await?;
            let Some(lease) = &mut self.lease else { return Ok(None) };
            // If this is dropped now, nobody knows what the server has been told.
            lease.mark_broken();
            match self.pipeline.next_file(lease).await {
                Ok(Some(Next::File(index))) => {
                    self.urls.forget_before(index);
                    return Ok(Some((index, None)));
                }
                Ok(Some(Next::Refused(index, error))) => {
                    lease.control.counters().transfers_failed.one_more();
                    self.urls.forget_before(index);
                    let error = error.with_url(self.urls.get(index, &self.server));
                    return Ok(Some((index, Some(error))));
                }
                Ok(None) => {
                    self.lost = 0;
                    if let Some(mut lease) = self.lease.take() {
                        if let Some(ready) = self.pipeline.finished() {
                            lease.give_back(ready);
                        }
                        lease.mark_clean();
                    }
                    return Ok(None);
                }
                Err(error) => self.replace_session(error)?,
            }
        }
    }

    /// Goes on with what is left on another session, if the one at hand broke.
    fn replace_session(&mut self, error: Error) -> Result<()> {
        let open = self.lease.take().is_some_and(|lease| lease.control.is_open());
        self.unreached = open && self.pipeline.is_out_of_reach_so_far();
        self.lost += 1;
        if open || self.lost > LOST_SESSIONS || !may_go_on(&error) {
            return Err(error.with_url(&self.server));
        }
        tracing::debug!(%error, "a pipeline goes on with another session");
        self.pipeline.restart();
        Ok(())
    }

    async fn next_block(&mut self) -> Result<Option<Block>> {
        let deadline = self.deadline;
        let Some(lease) = &mut self.lease else { return Ok(None) };
        let block = within(deadline, self.pipeline.next_block(lease)).await;
        let counters = lease.control.counters();
        match &block {
            Ok(Some((_, data))) => counters.received(data.len()),
            Ok(None) => counters.transfers_done.one_more(),
            Err(_) => counters.transfers_failed.one_more(),
        }
        Ok(block?.map(|(offset, data)| Block { offset, data }))
    }
}

impl Drop for GetMany {
    fn drop(&mut self) {
        // With nothing on its way the session is in order; otherwise hundreds of files might have to be refused first.
        if let Some(lease) = &mut self.lease
            && self.pipeline.is_over()
        {
            lease.mark_clean();
        }
    }
}

impl fmt::Debug for GetMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetMany").field("files", &self.urls.next()).finish_non_exhaustive()
    }
}

/// One file of a pipeline.
#[derive(Debug)]
pub struct ManyFile<'a> {
    many: &'a mut GetMany,
    index: usize,
    refused: Option<Error>,
}

impl ManyFile<'_> {
    /// The file's place in the list of URLs.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The file's URL.
    pub fn url(&self) -> &Url {
        self.many.urls.get(self.index, &self.many.server)
    }

    /// The next block, in the order of arrival. `None` once the whole file has arrived and was confirmed.
    ///
    /// # Errors
    /// The file's own: `NotFound` and other refusals, `Truncated`, `ConnectionLost`, `Timeout`.
    ///
    /// # Cancel safety
    /// Not cancel safe: drop the [`GetMany`] then.
    pub async fn next_block(&mut self) -> Result<Option<Block>> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        if self.many.pipeline.current() != Some(self.index) {
            return Ok(None);
        }
        let result = self.many.next_block().await;
        result.map_err(|error| {
            let error = error.with_url(self.many.urls.get(self.index, &self.many.server));
            self.refused = Some(error.clone());
            error
        })
    }

    /// Collects the file in memory.
    ///
    /// # Errors
    /// As [`ManyFile::next_block`].
    ///
    /// # Cancel safety
    /// As [`ManyFile::next_block`].
    pub async fn bytes(&mut self) -> Result<Bytes> {
        let mut reorder = Reorder::starting_at(0).with_window(self.many.pipeline.window_blocks());
        let mut only = Bytes::new();
        let mut whole = BytesMut::new();
        loop {
            self.many.pipeline.hold_from(reorder.horizon());
            let Some(block) = self.next_block().await? else { break };
            reorder.insert(block.offset, block.data).map_err(|error| error.with_url(self.url()))?;
            while let Some(data) = reorder.next() {
                if only.is_empty() && whole.is_empty() {
                    only = data;
                    continue;
                }
                if whole.is_empty() {
                    whole.extend_from_slice(&std::mem::take(&mut only));
                }
                whole.extend_from_slice(&data);
            }
        }
        if !reorder.is_empty() {
            let message =
                format!("the server did not send the bytes from {} on, but later ones", reorder.position());
            return Err(Error::new(ErrorKind::Truncated, Phase::Data, message).with_url(self.url()));
        }
        Ok(if whole.is_empty() { only } else { whole.freeze() })
    }
}
