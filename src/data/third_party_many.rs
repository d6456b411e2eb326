//! Many files from one server to another one.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::IntoFuture;
use std::hash::BuildHasher as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{Instrument as _, Span};

use crate::client::{Claim, Client, Exclusive};
use crate::credential::Credential;
use crate::data::choices::{Boxed, Watched};
use crate::data::third_party_choices::{PairChoices, named, pair_setters};
use crate::data::unseen::{Unseen, warn_of};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::options::{DataChannelAuth, ProtectionLevel, Timeouts, TransferMode};
use crate::protocol::time::format_time;
use crate::session::third_party_many::{Abandoned, Deleted, Item, Manner, Outcome, Pairs, delete};
use crate::session::watch::{EXPLANATION_LIMIT, may_go_on, too_long, within};
use crate::types::ChecksumAlgorithm;
use crate::url::{IntoUrl, Url};

/// Pairs of sessions that may be lost one after the other without any file in between.
const LOST_SESSIONS: usize = 3;

/// Outcomes that may wait unread before no more files are moved.
const UNREAD: usize = 64;

/// Many transfers between two servers to be started: made by [`Client::third_party_many`], started by `.await`.
#[derive(Debug, Clone)]
#[must_use = "transfers are started by `.await`"]
pub struct ThirdPartyManyBuilder {
    choices: PairChoices,
    pairs: Result<Vec<(Url, Url)>>,
    tag: Option<Arc<str>>,
    checksum: Option<ChecksumAlgorithm>,
    replace: bool,
    attributes: Vec<(Option<u32>, Option<SystemTime>)>,
}

impl ThirdPartyManyBuilder {
    pair_setters!();

    /// The checksum that both servers compute of each file (CKSM, GFD.47), behind its transfer so that it costs no round trip.
    /// A file whose checksums differ does not get its name: it is moved again, three times at most. Default: none, and sizes
    /// are compared.
    pub fn checksum(mut self, algorithm: impl Into<Option<ChecksumAlgorithm>>) -> Self {
        self.checksum = algorithm.into();
        self
    }

    /// Whether an old file is deleted (DELE) where the server refuses to rename over it, as dCache does. Without it that
    /// refusal is the pair's error, `AlreadyExists`. Default: true.
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Permission bits (SITE CHMOD) and times of the last change (MFMT, or SITE UTIME) for the files, in the order of the
    /// pairs. That one cannot be set is no failure: see [`PairOutcome::attributes`]. Default: none.
    pub fn attributes(
        mut self,
        attributes: impl IntoIterator<Item = (Option<u32>, Option<SystemTime>)>,
    ) -> Self {
        self.attributes = attributes.into_iter().collect();
        self
    }

    /// Part of the names of temporary files, for a caller who finds what a killed process has left by it.
    pub(crate) fn tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        self.tag = Some(tag.into());
        self
    }
}

impl IntoFuture for ThirdPartyManyBuilder {
    type Output = Result<ThirdPartyMany>;
    type IntoFuture = Boxed<ThirdPartyMany>;

    fn into_future(self) -> Self::IntoFuture {
        let first = self.pairs.as_ref().ok().and_then(|pairs| pairs.first());
        let watched = Watched::new(&self.choices.client, "third_party_many", first.map(|(source, _)| source));
        let span = watched.span();
        Box::pin(watched.start(ThirdPartyMany::start(self, span)))
    }
}

impl Client {
    /// Moves many files from one server to another (or within one), pair by pair of source and destination, without waiting
    /// between them and without their bytes coming here.
    ///
    /// On the wire: one PASV and one PORT, then RETR and STOR sent up to 100 files ahead over data channels in extended block
    /// mode that stay open from file to file. Nothing on them says which file is which, and a server that refuses one file of
    /// a pair would have all that follow stored under wrong names. So files are stored under temporary names in their
    /// folders (`.gridftp-…`) and renamed (RNFR, RNTO) when theirs and all transfers before were confirmed by both servers
    /// and the sizes that both tell (SIZE) are equal; after an irregularity whatever may be affected is moved again. A name
    /// holds the old file or the whole new one.
    ///
    /// # Errors
    /// `InvalidInput` for no pairs, for sources of several servers and for destinations of several. Everything else is told
    /// pair by pair, see [`ThirdPartyMany::next_outcome`].
    ///
    /// # Cancel safety
    /// Dropping the future does nothing. Dropping the [`ThirdPartyMany`] ends what is on its way, closes the sessions and
    /// deletes the temporary files in the background, which needs the runtime and the server.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> gridftp::Result<()> {
    /// let client = gridftp::Client::new()?;
    /// let pairs = (0..1000).map(|n| {
    ///     (format!("gsiftp://one.example.org/data/part{n}"), format!("gsiftp://two.example.org/data/part{n}"))
    /// });
    /// let mut many = client.third_party_many(pairs).await?;
    /// while let Some(outcome) = many.next_outcome().await {
    ///     match outcome.result {
    ///         Ok(size) => println!("{}: {size:?} bytes", outcome.destination),
    ///         Err(error) => eprintln!("{error}"), // this pair's own; the others go on
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_handleattr_set_pipeline`, which stores files under each other's names when one is
    /// refused.
    pub fn third_party_many<F: IntoUrl, T: IntoUrl>(
        &self,
        pairs: impl IntoIterator<Item = (F, T)>,
    ) -> ThirdPartyManyBuilder {
        let pairs = pairs.into_iter().map(|(from, to)| Ok((from.into_url()?, to.into_url()?))).collect();
        let mut choices = PairChoices::new(self);
        choices.options.mode = TransferMode::ExtendedBlock;
        ThirdPartyManyBuilder {
            choices,
            pairs,
            tag: None,
            checksum: None,
            replace: true,
            attributes: Vec::new(),
        }
    }
}

/// What became of one file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PairOutcome {
    /// The pair's place in the list.
    pub index: usize,
    /// Where the file comes from.
    pub source: Url,
    /// Where it goes.
    pub destination: Url,
    /// The file's size, equal on both sides, where they tell it; or why it is not there. The error's side and URL say which
    /// of the two servers it was.
    pub result: Result<Option<u64>>,
    /// Whether the file has the [attributes](ThirdPartyManyBuilder::attributes) that were asked for.
    pub attributes: Result<()>,
}

/// Many files on their way between two servers. They move whether or not anybody looks, until 64 outcomes wait.
///
/// # Cancel safety
/// Dropping it ends what is on its way, and temporary files are deleted in the background. What was reported is there; the
/// last files before that may be there as well.
pub struct ThirdPartyMany {
    outcomes: mpsc::Receiver<Outcome>,
    pairs: Arc<[(Url, Url)]>,
    told: usize,
}

impl ThirdPartyMany {
    async fn start(mut builder: ThirdPartyManyBuilder, span: Span) -> Result<Self> {
        let pairs: Arc<[(Url, Url)]> = builder.pairs?.into();
        let Some((from, to)) = pairs.first() else {
            return Err(Error::invalid("no pair of URLs was given; expected one or more"));
        };
        builder.choices.check().map_err(|error| error.with_url(from))?;
        let other = |url: &Url, first: &Url| url.endpoint() != first.endpoint() || url.user() != first.user();
        for (source, destination) in pairs.iter() {
            for (url, first) in [(source, from), (destination, to)] {
                if other(url, first) {
                    let message = format!(
                        "a pipeline is between two servers; expected {}, got {}",
                        first.endpoint(),
                        url.endpoint()
                    );
                    return Err(Error::invalid(message).with_url(url));
                }
            }
        }
        let client = &builder.choices.client;
        let path = |url: &Url| Bytes::copy_from_slice(&client.server_path(url));
        let items = pairs.iter().enumerate();
        let mut attributes = builder.attributes.into_iter();
        let item = |(index, (from, to)): (usize, &(Url, Url))| {
            let (mode, modified) = attributes.next().unwrap_or_default();
            if let Some(mode) = mode.filter(|&mode| mode > 0o7777) {
                let message = format!("the mode {mode:#o}: expected permission bits up to 0o7777");
                return Err(Error::invalid(message).with_url(to));
            }
            let modified = modified.map(format_time).transpose().map_err(|error| error.with_url(to))?;
            Ok(Item::new(index, path(from), path(to)).with_attributes(mode, modified))
        };
        let items = items.map(item).collect::<Result<_>>()?;
        let manner = Manner {
            checksum: builder.checksum,
            checksum_limit: client.timeouts().checksum_limit(),
            replace: builder.replace,
        };
        // Not a secret, only something that nobody else has.
        let random = || format!("{:016x}", RandomState::new().hash_one(std::process::id())).into();
        let tag: Arc<str> = builder.tag.unwrap_or_else(random);
        let (options, limits) = (builder.choices.options.clone(), builder.choices.limits());
        let (sender, outcomes) = mpsc::channel(UNREAD);
        let run = Run {
            work: Pairs::new(items, Arc::clone(&tag), options, limits, manner),
            choices: builder.choices,
            told: vec![false; pairs.len()],
            pairs: Arc::clone(&pairs),
            sender,
        };
        let unseen = Unseen::of_many(to, format!(".gridftp-{tag}-*"));
        let running = async move {
            run.run().await;
            unseen.seen();
        };
        tokio::spawn(running.instrument(span));
        Ok(Self { outcomes, pairs, told: 0 })
    }

    /// What became of the next file, in the order in which it is known. `None` when that of every pair was told.
    ///
    /// A pair's error is `NotFound` and other refusals, `Truncated` when sizes differ after three tries, what a login can fail
    /// with, and `ConnectionLost` or `Timeout` when sessions were lost three times without a file in between: then every pair
    /// that is left has it.
    ///
    /// # Cancel safety
    /// Cancel safe: an outcome that was not returned is returned by the next call.
    pub async fn next_outcome(&mut self) -> Option<PairOutcome> {
        std::future::poll_fn(|cx| self.poll_outcome(cx)).await
    }

    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Option<PairOutcome>> {
        self.outcomes.poll_recv(cx).map(|outcome| {
            let (index, result, attributes) = outcome?;
            self.told += 1;
            let (source, destination) = self.pairs.get(index)?.clone();
            let result = result.map_err(named(&source, &destination));
            let attributes = attributes.map_err(named(&source, &destination));
            Some(PairOutcome { index, source, destination, result, attributes })
        })
    }

    /// How many pairs have no outcome yet.
    pub fn left(&self) -> usize {
        self.pairs.len() - self.told.min(self.pairs.len())
    }
}

impl Stream for ThirdPartyMany {
    type Item = PairOutcome;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PairOutcome>> {
        self.poll_outcome(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left(), Some(self.left()))
    }
}

impl fmt::Debug for ThirdPartyMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThirdPartyMany")
            .field("pairs", &self.pairs.len())
            .field("left", &self.left())
            .finish_non_exhaustive()
    }
}

/// The task that moves the files.
struct Run {
    work: Pairs,
    choices: PairChoices,
    pairs: Arc<[(Url, Url)]>,
    /// Which pairs have their outcome.
    told: Vec<bool>,
    sender: mpsc::Sender<Outcome>,
}

/// Why a task has nothing more to do on its sessions.
enum Over {
    Done,
    /// Nobody waits for outcomes any more.
    Dropped,
    Failed(Error),
}

impl Run {
    async fn run(mut self) {
        let deadline = self.choices.deadline();
        let gone = self.sender.clone();
        let claims = tokio::select! {
            claims = within(deadline, self.claims()) => claims,
            () = gone.closed() => return,
        };
        drop(gone);
        // Until the end: what earlier transfers to these names have left is deleted before, or not at all.
        let _claims = match claims {
            Ok(claims) => claims,
            Err(error) => return self.tell_the_rest(error).await,
        };
        let mut lost = 0;
        // They outlive the work on them, which may be thrown away at any point: what it began is ended where it was begun.
        let mut sessions = None;
        loop {
            let before = self.sent();
            let over = {
                let gone = self.sender.clone();
                let work = self.one_session(&mut sessions);
                let limited = async {
                    match deadline {
                        None => work.await,
                        Some(at) => tokio::time::timeout_at(at, work)
                            .await
                            .unwrap_or_else(|_| Over::Failed(too_long())),
                    }
                };
                tokio::select! {
                    over = limited => over,
                    () = gone.closed() => Over::Dropped,
                }
            };
            match over {
                Over::Done => {
                    let forgotten = || Error::new(ErrorKind::Internal, Phase::Data, "the pair was forgotten");
                    let cleaning = self.clean_up(sessions.take());
                    let ((), ()) = tokio::join!(cleaning, self.tell_the_rest(forgotten()));
                    return;
                }
                Over::Dropped => return self.clean_up(sessions.take()).await,
                Over::Failed(error) => {
                    lost = if self.sent() == before { lost + 1 } else { 1 };
                    let again = may_go_on(&error)
                        && error.phase() != Phase::Resolve
                        && error.phase() != Phase::Connect
                        && error.phase() != Phase::Login;
                    if again && lost <= LOST_SESSIONS {
                        tracing::debug!(%error, "transfers between two servers go on with other sessions");
                        self.work.restart();
                        continue;
                    }
                    // Those who wait are told at once, and may take their time.
                    let cleaning = self.clean_up(sessions.take());
                    let ((), ()) = tokio::join!(cleaning, self.tell_the_rest(error));
                    return;
                }
            }
        }
    }

    async fn claims(&self) -> Result<Vec<Claim>> {
        let (client, limit) = (&self.choices.client, self.choices.limits().reply);
        let mut claims = Vec::with_capacity(self.pairs.len());
        for (_, to) in self.pairs.iter() {
            let path = Bytes::copy_from_slice(&client.server_path(to));
            claims.push(Claim::within(limit, to, &path).await.map_err(|error| error.with_url(to))?);
        }
        Ok(claims)
    }

    /// Outcomes so far.
    fn sent(&self) -> usize {
        self.told.iter().filter(|told| **told).count()
    }

    /// Tells an outcome; false when nobody wants to know. The outcome is not lost when this is dropped.
    async fn tell(&mut self, outcome: Outcome) -> bool {
        if let Some(told) = self.told.get_mut(outcome.0) {
            *told = true;
        }
        self.choices.client.count_end(outcome.1.is_ok());
        match self.sender.try_send(outcome) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(outcome)) => {
                let index = outcome.0;
                self.told[index] = false;
                let Ok(permit) = self.sender.reserve().await else { return false };
                self.told[index] = true;
                permit.send(outcome);
                true
            }
        }
    }

    /// Every pair has an outcome, whatever happens.
    async fn tell_the_rest(&mut self, error: Error) {
        for index in 0..self.told.len() {
            if !self.told[index]
                && !self.tell((index, Err(error.clone().with_may_have_applied()), Ok(()))).await
            {
                return;
            }
        }
    }

    /// Moves files until all is done or the sessions are. Sessions that are left behind in `sessions` have not ended what they
    /// were told.
    async fn one_session(&mut self, sessions: &mut Option<(Exclusive, Exclusive)>) -> Over {
        let pairs = Arc::clone(&self.pairs);
        let (from, to) = &pairs[0];
        let (source, destination) = match self.choices.sessions(from, to).await {
            Ok(pair) => sessions.insert(pair),
            Err(error) => return Over::Failed(error),
        };
        // If this is dropped now, nobody knows what the servers have been told.
        source.mark_broken();
        destination.mark_broken();
        loop {
            match self.work.next(source, destination).await {
                Ok(Some(outcome)) => {
                    if !self.tell(outcome).await {
                        return Over::Dropped;
                    }
                }
                Ok(None) => {
                    clean([source, destination]);
                    return Over::Done;
                }
                Err(error) => {
                    // A server that does not do what is needed is not asked again, and is well.
                    if !error.is_transient() {
                        clean([source, destination]);
                    }
                    *sessions = None;
                    return Over::Failed(error);
                }
            }
        }
    }

    /// Ends what is under way and deletes what it leaves.
    fn clean_up(&mut self, sessions: Option<(Exclusive, Exclusive)>) -> impl Future<Output = ()> + use<> {
        let (choices, to) = (self.choices.clone(), self.pairs[0].1.clone());
        clean_up(choices, to, self.work.abandon(), sessions)
    }
}

/// Ends what is under way and deletes what it leaves, or says that it may be there.
async fn clean_up(
    choices: PairChoices,
    to: Url,
    mut abandoned: Abandoned,
    sessions: Option<(Exclusive, Exclusive)>,
) {
    let mut known = false;
    if let Some((mut source, mut destination)) = sessions {
        let all: Vec<_> = abandoned.left.iter().chain(&abandoned.doubtful).cloned().collect();
        if all.is_empty() {
            return;
        }
        // The deletions must not come before the files do. Behind the replies to all that created them they do not, while a
        // server that is only hung up on goes on with what it has read for as long as it likes.
        let mut fit =
            abandoned.is_small() && timeout(EXPLANATION_LIMIT, abandoned.ends()).await.is_ok_and(|fit| fit);
        if fit {
            clean([&mut source, &mut destination]);
        }
        drop(source);
        known = timeout(EXPLANATION_LIMIT, abandoned.destination_ends()).await.is_ok();
        if known && destination.control.is_open() {
            let Deleted { missing, mut kept } = delete(&destination, &all).await;
            fit &= destination.control.is_open();
            if !fit {
                destination.mark_broken();
            }
            if destination.control.is_open() {
                kept.extend(missing.into_iter().filter(|path| abandoned.doubtful.contains(path)));
                return warn_of(&to, &kept, None);
            }
        }
    }
    let all: Vec<_> = abandoned.left.iter().chain(&abandoned.doubtful).cloned().collect();
    if all.is_empty() {
        return;
    }
    let work = async {
        match choices.client.shared(&to, &choices.destination).await {
            Ok(session) => Ok(delete(&session, &all).await),
            Err(error) => Err(error),
        }
    };
    match timeout(choices.limits().reply.saturating_add(EXPLANATION_LIMIT), work).await {
        Ok(Ok(Deleted { missing, mut kept })) => {
            kept.extend(missing.into_iter().filter(|path| !known || abandoned.doubtful.contains(path)));
            warn_of(&to, &kept, None);
        }
        Ok(Err(error)) => warn_of(&to, &all, Some(error)),
        Err(_) => warn_of(&to, &all, Some(too_long())),
    }
}

fn clean(leases: [&mut Exclusive; 2]) {
    for lease in leases {
        if lease.control.is_open() {
            lease.mark_clean();
        }
    }
}
