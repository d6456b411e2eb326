//! Those who list folders for a walk: over one pipeline, or each on a session of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};

use super::super::listing::choices::Choices;
use super::super::listing::{ListStream, RawListing};
use crate::client::Exclusive;
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::options::{DataOptions, TransferMode};
use crate::protocol::listing::{Decoder, Form};
use crate::session::pipeline::{Item, Next, Pipeline};
use crate::session::reorder::Reorder;
use crate::session::watch::{died, may_go_on};
use crate::types::Entry;
use crate::url::Url;

/// Entries that are handed on at once, at most.
const BATCH: usize = 1024;

/// Sessions that may be lost, without a listing that ended well in between, before no new one is made.
const LOST_SESSIONS: usize = 3;

/// A folder to be listed.
pub(super) struct Job {
    pub(super) index: usize,
    pub(super) url: Url,
    /// How long it was waited for already, in another way.
    pub(super) spent: Duration,
}

/// What a lister has to say about a folder.
pub(super) enum Report {
    Entries {
        index: usize,
        entries: Vec<Result<Entry>>,
        /// The listing may still begin again.
        early: bool,
    },
    /// A listing begins again, of which something was told.
    Again(usize),
    Ended(usize, Result<()>),
    /// Pipelining is not to be had from this server. The folders that were given to it have not been listed.
    NoPipeline {
        indices: Vec<usize>,
        error: Error,
        spent: Duration,
    },
    /// What looked like a folder was asked to be removed as a file.
    Checked(usize, Checked),
}

/// What came of it.
pub(super) enum Checked {
    /// It is a folder, and may be listed.
    Folder,
    /// It was a link, and is gone.
    Unlinked,
    /// Somebody else has removed it.
    Gone,
    /// It may be a link, and stays.
    Kept(Error),
}

/// Where folders come from.
pub(super) type Jobs = Arc<Mutex<mpsc::UnboundedReceiver<Job>>>;

/// What every lister needs.
#[derive(Clone)]
pub(super) struct Lister {
    pub(super) choices: Choices,
    pub(super) jobs: Jobs,
    pub(super) reports: mpsc::Sender<Report>,
}

impl Lister {
    async fn next_job(&self) -> Option<Job> {
        self.jobs.lock().await.recv().await
    }

    async fn report(&self, report: Report) {
        // With nobody to hear it the walk is over, and this task ends with it.
        let _ = self.reports.send(report).await;
    }

    async fn entries(&self, index: usize, entries: Vec<Result<Entry>>, early: bool) {
        self.report(Report::Entries { index, entries, early }).await;
    }

    /// Lists folder after folder, each on a session of the pool.
    pub(super) async fn one_by_one(self) {
        while let Some(Job { index, url, spent }) = self.next_job().await {
            let mut tries = LOST_SESSIONS;
            let result = loop {
                match self.one(index, &url, spent).await {
                    Err((error, false)) if may_go_on(&error) && tries > 0 => {
                        tracing::debug!(%error, "a folder is listed once more");
                        tries -= 1;
                    }
                    Err((error, _)) => break Err(error),
                    Ok(()) => break Ok(()),
                }
            };
            self.report(Report::Ended(index, result)).await;
        }
    }

    /// An error comes with whether entries were reported, so that the folder cannot be listed again unnoticed.
    async fn one(&self, index: usize, url: &Url, spent: Duration) -> Result<(), (Error, bool)> {
        let mut choices = self.choices.clone();
        choices.url = Ok(url.clone());
        choices.options.mode = TransferMode::Stream;
        choices.spent = spent;
        let mut listing = ListStream::new(RawListing::new(choices, None)).dot_entries(true);
        let (mut batch, mut shown) = (Vec::new(), false);
        loop {
            let entry = tokio::select! {
                biased;
                entry = listing.next_entry() => entry,
                // What is here is not kept back until more comes.
                () = std::future::ready(()), if !batch.is_empty() => {
                    self.entries(index, std::mem::take(&mut batch), false).await;
                    shown = true;
                    continue;
                }
            };
            match entry {
                Ok(Some(entry)) => batch.push(Ok(entry)),
                Err(error) if !listing.is_over() => batch.push(Err(error)),
                end => {
                    if !batch.is_empty() {
                        self.entries(index, batch, false).await;
                        shown = true;
                    }
                    return end.map(drop).map_err(|error| (error, shown));
                }
            }
            if batch.len() >= BATCH {
                self.entries(index, std::mem::take(&mut batch), false).await;
                shown = true;
            }
        }
    }

    /// Lists folders over one pipeline.
    pub(super) async fn queued(self, url: Url, lease: Exclusive, options: DataOptions, fall_back: bool) {
        let pipeline = Pipeline::listings(options, self.choices.limits(), fall_back);
        let mut queued = Queued {
            lister: self,
            url,
            lease: Some(lease),
            pipeline,
            fall_back,
            urls: HashMap::new(),
            lost: 0,
            begun: None,
        };
        let failed = queued.run().await;
        if let Some(error) = failed {
            queued.give_up(error).await;
        }
    }
}

/// A lister with a pipeline.
struct Queued {
    lister: Lister,
    url: Url,
    lease: Option<Exclusive>,
    pipeline: Pipeline,
    /// Others can take over if the pipeline does not work from the start.
    fall_back: bool,
    /// The folders that were given to this one and are not done.
    urls: HashMap<usize, Url>,
    lost: usize,
    /// The folder whose listing was begun last.
    begun: Option<usize>,
}

/// How a listing of the pipeline ended.
enum End {
    Done(Result<()>),
    /// It is asked for again, on another session.
    Repeat(Error),
    /// The rest of it is not wanted, and may never end: only without the session one is rid of it.
    Unwanted(Error),
}

impl Queued {
    /// Until there are no more jobs; an error is what ended it before.
    async fn run(&mut self) -> Option<Error> {
        loop {
            if self.pipeline.is_over() {
                let job = self.lister.next_job().await;
                let Some(job) = job else {
                    self.finish();
                    return None;
                };
                self.take(job);
            }
            self.take_more();
            let lease = match self.session().await {
                Ok(lease) => lease,
                Err(error) => return Some(error),
            };
            // If this is dropped now, nobody knows what the server has been told.
            lease.mark_broken();
            let Some(lease) = &mut self.lease else { continue };
            let result = match self.pipeline.next_file(lease).await {
                Ok(Some(Next::File(index))) => match self.read(index).await {
                    End::Done(result) => {
                        self.end(index, result).await;
                        Ok(())
                    }
                    End::Repeat(error) => Err(error),
                    End::Unwanted(error) => {
                        self.end(index, Err(error.clone())).await;
                        self.pipeline.forget_current();
                        // Not counted: it is the listing's fault.
                        self.lose();
                        Ok(())
                    }
                },
                Ok(Some(Next::Refused(index, error))) => {
                    self.end(index, Err(error)).await;
                    Ok(())
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = result
                && let Err(error) = self.replace(error)
            {
                return Some(error);
            }
        }
    }

    fn take(&mut self, job: Job) {
        let path = Bytes::copy_from_slice(&self.lister.choices.client.server_path(&job.url));
        self.pipeline.push(Item { index: job.index, path });
        self.urls.insert(job.index, job.url);
    }

    fn take_more(&mut self) {
        let jobs = Arc::clone(&self.lister.jobs);
        if let Ok(mut jobs) = jobs.try_lock() {
            while let Ok(job) = jobs.try_recv() {
                self.take(job);
            }
        }
    }

    async fn session(&mut self) -> Result<&mut Exclusive> {
        if self.lease.is_none() {
            let choices = &self.lister.choices;
            self.lease = Some(choices.client.exclusive(&self.url, &choices.session).await?);
        }
        self.lease.as_mut().ok_or_else(|| Error::new(ErrorKind::Internal, Phase::Command, "no session"))
    }

    /// Reads one listing.
    async fn read(&mut self, index: usize) -> End {
        let (mut decoder, mut reorder) = (Decoder::new(Form::Facts), Reorder::starting_at(0));
        if self.begun.replace(index) == Some(index) {
            self.lister.report(Report::Again(index)).await;
        }
        let mut beginnings = self.pipeline.beginnings();
        loop {
            let Some(lease) = &mut self.lease else { return End::Done(Ok(())) };
            let block = self.pipeline.next_block(lease).await;
            if self.pipeline.beginnings() != beginnings && block.is_ok() {
                beginnings = self.pipeline.beginnings();
                (decoder, reorder) = (Decoder::new(Form::Facts), Reorder::starting_at(0));
                self.lister.report(Report::Again(index)).await;
            }
            match block {
                Ok(Some((offset, data))) => {
                    if let Err(error) = reorder.insert(offset, data) {
                        return End::Unwanted(error);
                    }
                    while let Some(data) = reorder.next() {
                        decoder.push(data);
                        if let Err(error) = self.decode(index, &mut decoder).await {
                            return End::Unwanted(error);
                        }
                    }
                }
                Ok(None) => {
                    decoder.finish();
                    if let Err(error) = self.decode(index, &mut decoder).await {
                        return End::Done(Err(error));
                    }
                    let whole = if reorder.is_empty() { Ok(()) } else { Err(holes(&reorder)) };
                    return End::Done(whole);
                }
                Err(error) if self.pipeline.will_repeat(index) => return End::Repeat(error),
                Err(error) => return End::Done(Err(error)),
            }
        }
    }

    async fn decode(&self, index: usize, decoder: &mut Decoder) -> Result<()> {
        let early = self.pipeline.may_begin_again();
        let mut batch = Vec::new();
        let result = loop {
            match decoder.next() {
                Ok(Some(entry)) => batch.push(entry),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
            if batch.len() >= BATCH {
                self.lister.entries(index, std::mem::take(&mut batch), early).await;
            }
        };
        if !batch.is_empty() {
            self.lister.entries(index, batch, early).await;
        }
        result
    }

    async fn end(&mut self, index: usize, result: Result<()>) {
        if result.is_ok() {
            self.lost = 0;
        }
        self.urls.remove(&index);
        self.lister.report(Report::Ended(index, result)).await;
    }

    /// Goes on with another session, if the error is the session's and that may help.
    fn replace(&mut self, error: Error) -> Result<()> {
        // A session of the pool that was dead says nothing about pipelines.
        let dead = self.lost == 0 && died(&error) && self.lease.as_ref().is_some_and(Exclusive::is_reused);
        if !self.pipeline.is_proven() && self.fall_back && !dead {
            return Err(error);
        }
        let open = self.lease.as_ref().is_some_and(|lease| lease.control.is_open());
        self.lost += 1;
        if open || self.lost > LOST_SESSIONS || !may_go_on(&error) {
            return Err(error);
        }
        tracing::debug!(%error, "a walk goes on with another session");
        self.lose();
        Ok(())
    }

    /// Closes the session; what was asked for on it is asked for again.
    fn lose(&mut self) {
        self.lease = None;
        self.pipeline.restart();
    }

    /// Everything is listed: the session goes back with its data channels.
    fn finish(&mut self) {
        if let Some(mut lease) = self.lease.take() {
            if let Some(ready) = self.pipeline.finished() {
                lease.give_back(ready);
            }
            lease.mark_clean();
        }
    }

    /// No session, or no pipeline, is to be had. No folder is forgotten.
    async fn give_up(&mut self, error: Error) {
        if let Some(lease) = &mut self.lease
            && self.pipeline.is_idle()
            && error.phase() == Phase::DataSetup
            && lease.control.is_open()
        {
            // MODE E was refused, say: nothing was asked for yet, and the session is in order.
            lease.mark_clean();
        }
        self.lease = None;
        let left: Vec<_> = self.urls.drain().collect();
        let unreached = self.pipeline.unreached();
        // A server that is silent towards a client that it reaches would be as silent in another way.
        let silent = matches!(error.kind(), ErrorKind::Timeout(_)) && unreached.is_none();
        if self.fall_back && !self.pipeline.is_proven() && !silent {
            let indices = left.into_iter().map(|(index, _)| index).collect();
            // The listener closes first: what connects late is refused.
            self.pipeline.restart();
            let spent = unreached.unwrap_or_default();
            self.lister.report(Report::NoPipeline { indices, error, spent }).await;
            return;
        }
        for (index, _) in left {
            self.lister.report(Report::Ended(index, Err(error.clone()))).await;
        }
        while let Some(job) = self.lister.next_job().await {
            self.lister.report(Report::Ended(job.index, Err(error.clone()))).await;
        }
    }
}

fn holes(reorder: &Reorder) -> Error {
    let message = format!("the server did not send the bytes from {} on, but later ones", reorder.position());
    Error::new(ErrorKind::Truncated, Phase::Data, message).with_side(Side::Server)
}
