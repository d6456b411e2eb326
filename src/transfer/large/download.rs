//! A file from a server to a file here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::crew::Crew;
use super::{Broken, Moved, Shared, changed, differs, in_order, is_about_channels, spoils};
use crate::data::{Block, Get, Taken};
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::options::TransferMode;
use crate::transfer::End;
use crate::transfer::hash::Along;
use crate::transfer::job::Job;
use crate::transfer::journal::Manner;
use crate::transfer::local::{Attributes, Lent, Pipes, Writer};
use crate::transfer::pieces::{Piece, Pieces};
use crate::transfer::progress::Watched;
use crate::transfer::queue::{Half, Item};
use crate::transfer::remote::Remote;
use crate::types::{Checksum, RangeSet, RestartMarker};
use crate::url::Url;

/// How long the first file over several connections may take to begin, before it is had as a stream.
const REACH: Duration = Duration::from_secs(5);

/// How often it is remembered what is there.
const REMEMBER: Duration = Duration::from_millis(100);

/// A file under way.
#[derive(Debug)]
struct Download {
    job: Arc<Job>,
    source: usize,
    url: Url,
    size: Option<u64>,
    crew: Crew,
    /// Connections that each piece comes over, in extended block mode if there are more than one.
    streams: u16,
    sink: Writer,
    watched: Watched,
    along: Option<Along>,
    /// Bytes that this attempt brought.
    moved: AtomicU64,
}

pub(super) async fn download(job: &Arc<Job>, item: &mut Item) -> Result<Moved, Broken> {
    let (End::Remote(from), End::Local(to)) = (job.source(item), &job.to) else {
        return Err(wrong_ends().into());
    };
    let url = from.url(&item.path)?;
    let half = item.half.take().filter(|half| half.size == item.size && half.modified == item.modified);
    let there = half.map(|half| half.ranges).unwrap_or_default();
    let (tag, size) = (job.tag, item.size);
    let kept = there.clone();
    let sink = to.at(&item.path, move |root, path| Writer::open(root, path, tag, size, &kept)).await?;
    // What of it is really there.
    let there = sink.written();
    // What cannot be read back is hashed on its way, for which its bytes have to come in order.
    if job.algorithm.is_some() && !in_order(job) {
        sink.must_read_back()?;
    }
    let any_order = sink.takes_any_order() && (job.algorithm.is_none() || sink.reads_back());
    let divisible = in_order(job) && from.is_gridftp() && any_order;
    // Whoever hashes along needs the bytes in order; far away it pays more to read them back.
    let streams = match divisible && from.pipelines() && from.reaches() != Some(false) {
        true => job.channels.streams(from.round_trip, item.size, job.single),
        false => 1,
    };
    let watched = job.tally.begin(&item.path, item.size);
    watched.is_at(there.total_bytes());
    let along = match (&job.algorithm, there.is_empty() && in_order(job) && streams == 1) {
        (Some(algorithm), true) => Some(Along::start(algorithm)?),
        _ => None,
    };
    let file = Arc::new(Download {
        job: Arc::clone(job),
        source: item.source,
        url,
        size: item.size,
        crew: Crew::new(Pieces::new(item.size, &there, divisible)),
        streams,
        sink,
        watched,
        along,
        moved: AtomicU64::new(0),
    });
    let shared: Arc<dyn Shared> = Arc::<Download>::clone(&file);
    if divisible {
        job.queue.share(Arc::clone(&shared));
    }
    let theirs = theirs(job, from, item.source, &file.url);
    let moved = {
        let remember = async {
            let mut last = there.total_bytes();
            loop {
                tokio::time::sleep(REMEMBER).await;
                let written = file.sink.written();
                if written.total_bytes() != last {
                    last = written.total_bytes();
                    job.remember(item, &written, Manner::default());
                }
            }
        };
        let work = async {
            file.crew.work(|piece| file.piece(piece)).await?;
            job.tally.waits.disk(file.sink.flush()).await?;
            file.check(from, item).await
        };
        tokio::select! {
            moved = job.unless_ended(work) => moved,
            () = remember => Ok(()),
        }
    };
    job.queue.withdraw(&shared);
    drop(shared);
    file.crew.dismiss().await;
    let moved = match moved {
        Ok(()) => file.finish(job, item, theirs).await,
        Err(error) => {
            if let Some(theirs) = theirs {
                theirs.abort();
            }
            Err(error)
        }
    };
    match moved {
        Ok(moved) => Ok(moved),
        Err(error) => {
            let new_bytes = file.moved.load(Ordering::Relaxed) > 0;
            // What a pipe or device was given cannot be taken back, and must not come twice.
            let error =
                if new_bytes && !file.sink.takes_any_order() { error.with_transient(false) } else { error };
            let broken = Broken { new_bytes: new_bytes && !spoils(&error), error };
            file.give_up(job, item, &broken.error).await;
            Err(broken)
        }
    }
}

/// The source's checksum, which its server computes while the data is on its way.
fn theirs(job: &Arc<Job>, from: &Remote, source: usize, url: &Url) -> Option<JoinHandle<Result<Checksum>>> {
    let algorithm = job.algorithm.clone()?;
    if !from.offers(&algorithm) {
        return None;
    }
    let (job, url) = (Arc::clone(job), url.clone());
    Some(tokio::spawn(async move {
        let End::Remote(from) = &job.sources[source] else { return Err(wrong_ends()) };
        job.unless_ended(from.checksum(&url, &algorithm)).await
    }))
}

fn wrong_ends() -> Error {
    Error::new(ErrorKind::Internal, Phase::Input, "a transfer with the wrong ends").with_side(Side::Local)
}

impl Download {
    fn remote(&self) -> Result<&Remote> {
        match &self.job.sources[self.source] {
            End::Remote(from) => Ok(from),
            End::Local(_) => Err(wrong_ends()),
        }
    }

    async fn piece(&self, piece: Piece) -> Result<()> {
        let id = piece.id;
        let result = self.fetch(piece).await;
        if result.is_err() {
            // The server may not like so many connections.
            self.job.streams.store(0, Ordering::Relaxed);
        }
        self.crew.pieces.finish(id, result.is_ok());
        result
    }

    async fn fetch(&self, piece: Piece) -> Result<()> {
        let id = piece.id;
        let Opened { mut get, first, ordered } = self.job.tally.waits.network(self.open(&piece)).await?;
        let range = piece.range;
        if let (Some(told), Some(size)) = (get.size(), self.size)
            && told != size
        {
            return Err(changed(self.size, Some(told)));
        }
        let mut first = first.map(|block| (block.offset, Arrived::Block(block.data)));
        let pipes = Pipes::new();
        // Bytes that nobody here has to look at go from the socket to the file inside the kernel.
        let pipes = (get.can_splice() && self.along.is_none()).then_some(&pipes);
        loop {
            let next = match first.take() {
                None if ordered => self.next(&mut get, pipes).await?,
                None => tokio::select! {
                    biased;
                    () = self.crew.pieces.taken_away(id) => return Ok(()),
                    next = self.next(&mut get, pipes) => next?,
                },
                first => first,
            };
            let Some((offset, arrived)) = next else { break };
            let held = arrived.len();
            let length = u64::try_from(held).unwrap_or(u64::MAX);
            let own = match self.size {
                Some(_) => self.crew.pieces.arrived(id, offset, length),
                None => length,
            };
            let shortened = self.size.is_some() && self.crew.pieces.end(id) < range.end;
            if own < length && !shortened {
                return Err(too_much(range.end));
            }
            let count = usize::try_from(own).unwrap_or(usize::MAX).min(held);
            match arrived {
                Arrived::Block(data) => {
                    let data = data.slice(..count);
                    if let Some(along) = &self.along {
                        along.take(offset, &data).await;
                    }
                    self.job.tally.waits.disk(self.sink.write_at(offset, data)).await?;
                }
                Arrived::Piped(pipe, held) => self.sink.empty_at(offset, pipe, count, held)?,
            }
            self.moved.fetch_add(own, Ordering::Relaxed);
            self.watched.moved(count);
            self.job.pace(count).await;
            if shortened && self.crew.pieces.left(id) == 0 {
                // The rest is somebody else's.
                return Ok(());
            }
        }
        if self.size.is_some() && self.crew.pieces.left(id) > 0 {
            let message =
                format!("{} bytes of the part up to {} did not come", self.crew.pieces.left(id), range.end);
            return Err(Error::new(ErrorKind::Truncated, Phase::Data, message).with_side(Side::Source));
        }
        Ok(())
    }

    /// Asks for a piece: over several connections where that was decided, and works.
    async fn open(&self, piece: &Piece) -> Result<Opened> {
        let (from, channels) = (self.remote()?, &self.job.channels);
        let Piece { range, there, .. } = piece;
        let whole = range.start == 0 && self.size.is_none_or(|size| size == range.end);
        let asked = || {
            let get = channels.get(from.client.get(&self.url));
            if whole { get } else { get.range(range.clone()) }
        };
        let blocks = || {
            let get = asked().mode(TransferMode::ExtendedBlock);
            if there.is_empty() { get } else { get.restart(RestartMarker::Extended(there.clone())) }
        };
        if self.streams > 1 && from.reaches() != Some(false) {
            let streams = self.streams.max(self.job.streams.load(Ordering::Relaxed));
            let get = blocks().parallelism(streams);
            if from.reaches() == Some(true) {
                return Ok(Opened { get: get.await?, first: None, ordered: false });
            }
            let first = async {
                let mut get = get.await?;
                let first = get.next_block().await?;
                Ok(Opened { get, first, ordered: false })
            };
            // The server connects, and a wall may swallow that without a word.
            match tokio::time::timeout(REACH, first).await {
                Ok(Ok(opened)) => {
                    from.found_to_reach(true);
                    return Ok(opened);
                }
                Ok(Err(error)) if !is_about_channels(&error) => return Err(error),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a file cannot be had over several connections");
                    from.found_to_reach(false);
                }
                Err(_) => from.found_to_reach(false),
            }
        }
        let mode = if self.streams > 1 { TransferMode::Stream } else { channels.mode };
        let get = asked().mode(mode).parallelism(channels.connections()).await?;
        Ok(Opened { get, first: None, ordered: in_order(&self.job) })
    }

    /// What comes next, in a pipe where that can be.
    async fn next(&self, get: &mut Get, pipes: Option<&Arc<Pipes>>) -> Result<Option<(u64, Arrived)>> {
        let waits = &self.job.tally.waits;
        let pipe = match pipes {
            Some(pipes) => waits.disk(pipes.take()).await,
            None => None,
        };
        let Some(pipe) = pipe else {
            let block = waits.network(get.next_block()).await?;
            return Ok(block.map(|block| (block.offset, Arrived::Block(block.data))));
        };
        let piece = waits.network(get.next_piece(pipe.entrance(), pipe.bytes())).await?;
        Ok(piece.map(|(offset, piece)| match piece {
            Taken::Block(data) => (offset, Arrived::Block(data)),
            Taken::Piped(count) => (offset, Arrived::Piped(pipe, count)),
        }))
    }

    /// Whether the source is what it was.
    async fn check(&self, from: &Remote, item: &Item) -> Result<()> {
        if item.modified.is_none() || item.size.is_none_or(|size| size <= crate::transfer::job::SMALL) {
            return Ok(());
        }
        match from.facts(&item.path).await? {
            Some(facts) if facts.size == item.size && facts.modified == item.modified => Ok(()),
            Some(facts) => Err(changed(item.size, facts.size)),
            None => Err(changed(item.size, None)),
        }
    }

    /// Compares, and gives the file its name.
    async fn finish(
        &self,
        job: &Arc<Job>,
        item: &Item,
        theirs: Option<JoinHandle<Result<Checksum>>>,
    ) -> Result<Moved> {
        let written = self.sink.written();
        let size = self.size.unwrap_or_else(|| written.contiguous_from(0));
        if !written.complement(size).is_empty() {
            let message = format!("{} of {size} bytes came", written.total_bytes());
            return Err(Error::new(ErrorKind::Truncated, Phase::Verify, message).with_side(Side::Source));
        }
        let mut checksum = None;
        if let Some(algorithm) = &job.algorithm {
            let ours = match &self.along {
                Some(along) => along.finish(size).await,
                None => None,
            };
            let ours = match ours {
                Some(ours) => ours,
                None => self.sink.checksum(algorithm).await?,
            };
            let theirs = match theirs {
                Some(theirs) => theirs.await.unwrap_or_else(|_| Err(wrong_ends()))?,
                None => job.unless_ended(self.remote()?.checksum(&self.url, algorithm)).await?,
            };
            if ours != theirs {
                return Err(differs("the copy differs", &theirs, &ours).with_url(&self.url));
            }
            checksum = Some(ours);
        }
        let attributes = Attributes::of(item, job.choices.preserve);
        let never = job.choices.overwrite == crate::transfer::Overwrite::Never;
        self.sink.finish(size, attributes, !never, job.choices.fsync).await?;
        Ok(Moved { bytes: size, checksum })
    }

    /// Keeps what is there for the next attempt, or removes it.
    async fn give_up(&self, job: &Job, item: &mut Item, error: &Error) {
        let ended = job.stopped().is_some();
        let again = error.is_transient() && !ended || job.keeps_halves();
        if again && !spoils(error) {
            let ranges: RangeSet = self.sink.keep().await;
            if !ranges.is_empty() {
                job.remember(item, &ranges, Manner::default());
                item.half = Some(Half {
                    size: item.size,
                    modified: item.modified,
                    ranges,
                    manner: Manner::default(),
                });
            } else {
                // Nothing to go on from, and nobody would know of it.
                self.sink.discard().await;
            }
            return;
        }
        self.watched.is_at(0);
        self.sink.discard().await;
        job.forget(item);
        if error.kind() == ErrorKind::Truncated
            && let Ok(from) = self.remote()
            && let Ok(Some(facts)) = from.facts(&item.path).await
        {
            // What it is by now is what the next attempt copies.
            (item.size, item.modified) = (facts.size, facts.modified);
        }
    }
}

/// A piece that the server is sending.
struct Opened {
    get: Get,
    /// A block that was waited for.
    first: Option<Block>,
    /// Its bytes come one after the other.
    ordered: bool,
}

/// Bytes of the file on their way to the disk.
enum Arrived {
    Block(Bytes),
    Piped(Lent, usize),
}

impl Arrived {
    fn len(&self) -> usize {
        match self {
            Self::Block(data) => data.len(),
            Self::Piped(_, count) => *count,
        }
    }
}

fn too_much(end: u64) -> Error {
    let message = format!("the server sent more than the bytes up to {end}");
    Error::new(ErrorKind::Truncated, Phase::Data, message).with_side(Side::Source)
}

impl Shared for Download {
    fn has_room(&self) -> bool {
        self.crew.has_room()
    }

    fn hand_over(&self) {
        if self.streams > 1 {
            self.crew.pieces.hand_over();
        }
    }

    fn help(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            self.crew.help(&self.job, || std::future::ready(()), |piece| self.piece(piece)).await;
        })
    }
}
