//! A file from here to a server.

use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::crew::Crew;
use super::{Broken, Moved, Shared, differs, is_about_channels, spoils};
use crate::data::{Put, PutBuilder};
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::options::TransferMode;
use crate::transfer::End;
use crate::transfer::channels::Channels;
use crate::transfer::hash::{Along, hash_file};
use crate::transfer::job::{Job, identity};
use crate::transfer::journal::{Identity, Manner};
use crate::transfer::local::{self, Reader};
use crate::transfer::local_end::blocking;
use crate::transfer::pieces::{Piece, Pieces};
use crate::transfer::progress::Watched;
use crate::transfer::queue::{Half, Item};
use crate::transfer::remote::{CLEAN_UP, Remote};
use crate::types::{ChecksumAlgorithm, RangeSet, RestartMarker};
use crate::url::Url;

/// How often the server is asked to say what it has stored.
pub(super) const MARKERS: Duration = Duration::from_secs(1);

/// What a server writes at the same time of one file, at most: globus-gridftp-server has ten blocks of 256 KiB on their way.
pub(super) const IN_FLIGHT: u64 = 8 << 20;

/// A file under way.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) job: Arc<Job>,
    /// For the journal.
    item: (Vec<u8>, Identity),
    pub(super) path: PathBuf,
    temporary: Url,
    pub(super) size: u64,
    /// Connections that it goes over.
    streams: AtomicU16,
    pub(super) crew: Crew,
    /// What the server has said to have stored.
    stored: Mutex<RangeSet>,
    pub(super) watched: Watched,
    pub(super) along: Option<Along>,
    pub(super) moved: AtomicU64,
    /// The file is there at the server, so that others may write into it.
    begun: watch::Sender<bool>,
    /// Puts whose start is under way, and those of which nobody here heard what became of it: there may be a file.
    asking: Arc<watch::Sender<usize>>,
    unheard: AtomicUsize,
    /// One sender writes it from its beginning on, so far.
    manner: Mutex<Manner>,
    /// What there was of it is known by its size alone: the whole is compared by checksum.
    by_size: bool,
}

pub(super) async fn upload(job: &Arc<Job>, item: &mut Item) -> Result<Moved, Broken> {
    let (End::Local(from), End::Remote(to)) = (job.source(item), &job.to) else {
        return Err(wrong_ends().into());
    };
    let path = from.path(&item.path);
    let temporary = to.temporary(&item.path, job.tag)?;
    // What it is now, not when it was planned.
    let looked_at = path.clone();
    let facts = blocking(move || local::regular_facts(&looked_at)).await?;
    let half = item
        .half
        .take()
        .filter(|half| half.size == Some(facts.size) && half.modified == Some(facts.modified));
    (item.size, item.modified, item.mode) = (Some(facts.size), Some(facts.modified), Some(facts.mode));
    // Far away, over connections that share the losses; which bytes are there is known by the server's markers alone then.
    let streams = match to.is_gridftp() && to.features.esto() && !job.narrow.load(Ordering::Relaxed) {
        true => job.channels.streams_to(to.round_trip, facts.size, job.single),
        false => 1,
    };
    let one_sender = job.channels.connections() == 1 && streams == 1 && !job.channels.by_itself();
    let sum = job.algorithm.clone().or_else(|| to.any_algorithm());
    let (there, in_order, by_size) = match half {
        Some(half) => {
            let in_order = half.manner.in_order && sum.is_some() && one_sender;
            let looking = still_there(to, &temporary, half.ranges.clone(), in_order, facts.size);
            let there = job.unless_ended(looking).await?;
            let more = there.total_bytes() > half.ranges.total_bytes();
            let by_size = !there.is_empty() && (more || half.manner.by_size);
            (there, half.manner.in_order && one_sender, by_size)
        }
        // Several connections bring blocks in any order.
        None => (RangeSet::new(), one_sender, false),
    };
    let gridftp = to.is_gridftp();
    let divisible = gridftp && to.features.esto() && one_sender;
    let watched = job.tally.begin(&item.path, item.size);
    watched.is_at(there.total_bytes());
    let before = there.total_bytes();
    let along = match &job.algorithm {
        Some(algorithm) if there.is_empty() => Some(Along::start(algorithm)?),
        _ => None,
    };
    let file = Arc::new(Upload {
        job: Arc::clone(job),
        item: (item.path.clone(), identity(item)),
        path,
        temporary,
        size: facts.size,
        streams: AtomicU16::new(streams.max(job.channels.connections())),
        crew: Crew::new(Pieces::new(item.size, &there, divisible)),
        stored: Mutex::new(there),
        watched,
        along,
        moved: AtomicU64::new(0),
        begun: watch::Sender::new(false),
        asking: Arc::default(),
        unheard: AtomicUsize::new(0),
        manner: Mutex::new(Manner { in_order, by_size }),
        by_size,
    });
    let shared: Arc<dyn Shared> = Arc::<Upload>::clone(&file);
    if divisible {
        job.queue.share(Arc::clone(&shared));
    }
    // From here on something may be at the server.
    file.remember();
    let moved = {
        let remember = async {
            loop {
                tokio::time::sleep(MARKERS).await;
                file.remember();
            }
        };
        tokio::select! {
            moved = job.unless_ended(file.crew.work(|piece| file.piece(piece))) => moved,
            () = remember => Ok(()),
        }
    };
    job.queue.withdraw(&shared);
    drop(shared);
    file.crew.dismiss().await;
    file.nothing_is_asked().await;
    let moved = match moved {
        Ok(()) => job.unless_ended(file.finish(job, item, to)).await,
        Err(error) => Err(error),
    };
    match moved {
        Ok(moved) => Ok(moved),
        Err(error) => {
            // What was sent and is not known to be stored does not count: it might be sent for ever.
            let new_bytes = file.stored().total_bytes() > before;
            let broken = Broken { new_bytes: new_bytes && !spoils(&error), error };
            file.give_up(job, item, to, &broken.error).await;
            Err(broken)
        }
    }
}

/// Writes into a device as it stands: under no other name, nothing is deleted, and it has no size.
pub(super) async fn into_device(job: &Arc<Job>, item: &mut Item) -> Result<Moved, Broken> {
    let (End::Local(from), End::Remote(to)) = (job.source(item), &job.to) else {
        return Err(wrong_ends().into());
    };
    let (path, url) = (from.path(&item.path), to.url(&item.path)?);
    let looked_at = path.clone();
    let facts = blocking(move || local::regular_facts(&looked_at)).await?;
    let watched = job.tally.begin(&item.path, Some(facts.size));
    let channels = &job.channels;
    let work = async {
        let put = channels.put(to.client.put(&url).keep_incomplete(true).check_size(false));
        let mut put = put.mode(channels.mode).parallelism(channels.connections()).await?;
        let mut reader =
            Reader::open(path, 0..facts.size, facts.size, Channels::window(channels.connections()));
        while let Some(block) = reader.next().await? {
            let count = block.data.len();
            put.write_at(block.offset, block.data).await?;
            watched.moved(count);
            job.pace(count).await;
        }
        put.finish().await
    };
    let summary = job.unless_ended(work).await.map_err(|error| {
        watched.is_at(0);
        Broken::from(error)
    })?;
    Ok(Moved { bytes: summary.bytes, checksum: None })
}

/// What of a half file is there still.
///
/// A file that one sender has written in order is there up to its size, but for what the server may have been writing at the
/// same time; whoever goes by that compares the whole file by checksum.
async fn still_there(
    to: &Remote,
    temporary: &Url,
    mut ranges: RangeSet,
    in_order: bool,
    size: u64,
) -> Result<RangeSet> {
    let there = match to.client.size(temporary).await {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(RangeSet::new()),
        // A server that cannot say so: it is sent again.
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Refused) => {
            return Ok(RangeSet::new());
        }
        Err(error) => return Err(error),
    };
    if !to.is_gridftp() {
        // Nothing tells of stored bytes but the size: such a file was written from its beginning on.
        return Ok(std::iter::once(0..there.min(size).saturating_sub(IN_FLIGHT)).collect());
    }
    if in_order {
        ranges.insert(0..there.min(size).saturating_sub(IN_FLIGHT));
    }
    // A server may have lost what it had not written to disk.
    Ok(ranges
        .iter()
        .map(|range| range.start..range.end.min(there))
        .filter(|range| range.start < range.end)
        .collect())
}

fn wrong_ends() -> Error {
    Error::new(ErrorKind::Internal, Phase::Input, "a transfer with the wrong ends").with_side(Side::Local)
}

impl Upload {
    fn remote(&self) -> Result<&Remote> {
        match &self.job.to {
            End::Remote(to) => Ok(to),
            End::Local(_) => Err(wrong_ends()),
        }
    }

    fn stored(&self) -> RangeSet {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers what there is. What is remembered last is what was known last.
    fn remember(&self) {
        let manner = self.manner.lock().unwrap_or_else(PoisonError::into_inner);
        self.job.remember_as(&self.item, &self.stored(), *manner);
    }

    /// From here on the file's size says nothing about what is before: that is remembered before it comes to be so.
    async fn is_shared(&self) {
        {
            let mut manner = self.manner.lock().unwrap_or_else(PoisonError::into_inner);
            if !manner.in_order {
                return;
            }
            manner.in_order = false;
            self.job.remember_as(&self.item, &self.stored(), *manner);
        }
        if let Some(journal) = &self.job.journal {
            journal.written().await;
        }
    }

    fn add_stored(&self, ranges: impl IntoIterator<Item = Range<u64>>) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).extend(ranges);
    }

    async fn piece(self: &Arc<Self>, piece: Piece) -> Result<()> {
        let (id, start) = (piece.id, piece.range.start);
        let mut sent = self.store(&piece).await;
        if let Err(error) = &sent
            && self.is_wide()
            && self.stored().is_empty()
            && (is_about_channels(error) || error.kind() == ErrorKind::TooManyOpenFiles)
        {
            // The server, something on the way, or this process may not have room for so many.
            tracing::debug!(%error, "a file did not go over several connections: one is tried");
            self.streams.store(self.job.channels.connections(), Ordering::Relaxed);
            self.crew.pieces.rewind(id, start);
            self.watched.is_at(0);
            sent = self.store(&piece).await;
            if sent.is_ok() {
                self.job.narrow.store(true, Ordering::Relaxed);
            }
        }
        match sent {
            Ok(end) => {
                self.add_stored(std::iter::once(start..end));
                self.crew.pieces.finish(id, true);
                Ok(())
            }
            Err(error) => {
                // What was sent is not what was stored.
                let sure = self.stored().contiguous_from(start);
                self.crew.pieces.rewind(id, sure);
                self.crew.pieces.finish(id, false);
                Err(error)
            }
        }
    }

    /// Sends a piece; tells where it ended.
    async fn store(self: &Arc<Self>, piece: &Piece) -> Result<u64> {
        // What is sent was moved in order, so that nothing of it is there.
        let Piece { id, range, .. } = piece;
        let to = self.remote()?;
        let fresh = !*self.begun.borrow() && self.stored().is_empty();
        // Where the put counts from.
        let base = if !fresh && to.is_gridftp() && to.features.esto() { range.start } else { 0 };
        let waits = &self.job.tally.waits;
        self.unheard.fetch_add(1, Ordering::Relaxed);
        let asking = Arc::new(Asking::new(&self.asking));
        let put = waits.network(self.ask(to, fresh, range.start).holding(asking).into_future()).await;
        if !put.as_ref().is_err_and(Error::may_have_applied) {
            self.unheard.fetch_sub(1, Ordering::Relaxed);
        }
        let mut put = put?;
        if !self.begun.send_replace(true) {
            self.job.queue.look_again();
        }
        let sent = match put.sends_files() {
            true => self.pour(&mut put, *id, range, base).await,
            false => self.send(&mut put, *id, range, base).await,
        };
        match sent {
            Ok(end) => waits.network(put.finish()).await.map(|_| end),
            Err(error) => {
                self.hear(&mut put, range);
                Err(error)
            }
        }
    }

    /// Waits until it is known what became of everything that was begun at the server, and given up since. A name that is
    /// removed or given away before would come again.
    async fn nothing_is_asked(&self) {
        let mut asking = self.asking.subscribe();
        // What takes longer than that is left, as the file itself would be.
        let _ = tokio::time::timeout(CLEAN_UP, asking.wait_for(|asking| *asking == 0)).await;
    }

    /// More connections than were asked for.
    fn is_wide(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > self.job.channels.connections()
    }

    /// A put of what is missing from there on.
    fn ask(&self, to: &Remote, fresh: bool, start: u64) -> PutBuilder {
        let channels = &self.job.channels;
        let streams = self.streams.load(Ordering::Relaxed);
        let put = to.client.put(&self.temporary).keep_incomplete(true).check_size(false);
        let mut builder = channels.put(put).parallelism(streams).window(Channels::window(streams));
        if to.is_gridftp() && channels.mode != TransferMode::Stream {
            builder = builder.mode(TransferMode::ExtendedBlock).marker_interval(MARKERS);
            if !self.passes_through() {
                builder = builder.of_file();
            }
        }
        if fresh {
            if self.job.choices.allocate {
                builder = builder.allocate(self.size);
            }
        } else if to.is_gridftp() && to.features.esto() {
            builder = builder.offset(start);
        } else if start > 0 {
            builder = builder.restart(RestartMarker::Stream { offset: start });
        }
        builder
    }

    async fn send(&self, put: &mut Put, id: usize, range: &Range<u64>, base: u64) -> Result<u64> {
        let window = Channels::window(self.streams.load(Ordering::Relaxed));
        let mut reader = Reader::open(self.path.clone(), range.clone(), self.size, window);
        let mut heard = Instant::now();
        let mut end = range.start;
        let waits = &self.job.tally.waits;
        while let Some(block) = waits.disk(reader.next()).await? {
            let length = u64::try_from(block.data.len()).unwrap_or(u64::MAX);
            let own = self.crew.pieces.advance(id, length);
            let data = block.data.slice(..usize::try_from(own).unwrap_or(usize::MAX).min(block.data.len()));
            if let Some(along) = &self.along {
                along.take(block.offset, &data).await;
            }
            let count = data.len();
            if count > 0 {
                waits.network(put.write_at(block.offset - base, data)).await?;
            }
            end = block.offset + own;
            self.moved.fetch_add(own, Ordering::Relaxed);
            self.watched.moved(count);
            self.job.pace(count).await;
            if heard.elapsed() >= MARKERS {
                heard = Instant::now();
                self.hear(put, range);
            }
            if self.crew.pieces.left(id) == 0 {
                // The rest, if there is one, is somebody else's.
                return Ok(end);
            }
        }
        if self.crew.pieces.left(id) > 0 {
            return Err(super::changed(Some(self.size), Some(end)));
        }
        Ok(end)
    }

    /// Takes in what the server has told of what it stored.
    pub(super) fn hear(&self, put: &mut Put, range: &Range<u64>) {
        let RestartMarker::Extended(ranges) = put.restart_marker() else { return };
        // An end that is not this piece's is somebody else's to tell.
        let own = ranges.iter().map(|told| told.start.max(range.start)..told.end.min(range.end));
        self.add_stored(own.filter(|told| told.start < told.end));
    }

    /// Compares, and gives the file its name.
    async fn finish(&self, job: &Arc<Job>, item: &Item, to: &Remote) -> Result<Moved> {
        if to.features.size() {
            let size = to.client.size(&self.temporary).await?;
            if size != self.size {
                let message = format!("{} bytes were sent, and the server's file has {size}", self.size);
                return Err(Error::new(ErrorKind::Truncated, Phase::Verify, message)
                    .with_side(Side::Destination)
                    .with_url(&self.temporary));
            }
        }
        let mut checksum = None;
        // A server that cannot compute any gives the file back, to be computed here.
        let any = || to.any_algorithm().unwrap_or(ChecksumAlgorithm::Sha256);
        let doubtful = self.by_size.then(any);
        if let Some(algorithm) = job.algorithm.as_ref().or(doubtful.as_ref()) {
            let theirs = to.checksum(&self.temporary, algorithm);
            let ours = async {
                let along = match &self.along {
                    Some(along) => along.finish(self.size).await,
                    None => None,
                };
                match along {
                    Some(ours) => Ok(ours),
                    None => {
                        let (path, algorithm) = (self.path.clone(), algorithm.clone());
                        blocking(move || hash_file(&path, &algorithm)).await
                    }
                }
            };
            let (theirs, ours) = tokio::try_join!(theirs, ours)?;
            if ours != theirs {
                return Err(differs("the copy differs", &ours, &theirs).with_url(&self.temporary));
            }
            checksum = Some(ours);
        }
        // Read for as long as the copy took: is it still what it was?
        let looked_at = self.path.clone();
        let facts = blocking(move || local::regular_facts(&looked_at)).await?;
        if (Some(facts.size), Some(facts.modified)) != (item.size, item.modified) {
            return Err(super::changed(item.size, Some(facts.size)));
        }
        to.set_attributes(&self.temporary, item, job.choices.preserve).await;
        to.name(&self.temporary, &item.path, job.choices.overwrite).await?;
        Ok(Moved { bytes: self.size, checksum })
    }

    fn may_be_there(&self) -> bool {
        *self.begun.borrow() || self.unheard.load(Ordering::Relaxed) > 0
    }

    async fn give_up(&self, job: &Job, item: &mut Item, to: &Remote, error: &Error) {
        let ended = job.stopped().is_some();
        let again = error.is_transient() && !ended || job.keeps_halves();
        if again && !spoils(error) {
            let ranges = self.stored();
            // A plain server tells by the size of the file, when it is asked.
            let manner = *self.manner.lock().unwrap_or_else(PoisonError::into_inner);
            if !ranges.is_empty() || manner.in_order && *self.begun.borrow() {
                self.remember();
                self.watched.is_at(ranges.total_bytes());
                item.half = Some(Half { size: item.size, modified: item.modified, ranges, manner });
            } else if self.may_be_there() {
                // Nothing to go on from, and nobody would know of it.
                self.watched.is_at(0);
                to.remove_temporary(&self.temporary).await;
            }
            return;
        }
        self.watched.is_at(0);
        if self.may_be_there() || !self.stored().is_empty() {
            to.remove_temporary(&self.temporary).await;
        }
        job.forget(item);
    }
}

/// A put that is being begun, until that is over.
#[derive(Debug)]
struct Asking(Arc<watch::Sender<usize>>);

impl Asking {
    fn new(asking: &Arc<watch::Sender<usize>>) -> Self {
        asking.send_modify(|asking| *asking += 1);
        Self(Arc::clone(asking))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.send_modify(|asking| *asking -= 1);
    }
}

impl Shared for Upload {
    fn has_room(&self) -> bool {
        *self.begun.borrow() && self.crew.has_room()
    }

    fn help(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let file = &self;
            self.crew.help(&self.job, || self.is_shared(), |piece| file.piece(piece)).await;
        })
    }
}
