//! Small files, many of them through one session without a round trip each.
//!
//! A pipeline takes files from the queue as it drains, and ends when none wait or its worker is not to go on. What it could not
//! do goes back: to be tried again, or by itself where pipelines do not work.

mod get;
mod pairs;
mod put;

use std::sync::Arc;

use tokio::sync::watch;

use super::job::Job;
use super::queue::Item;
use super::{End, Route, large};
use crate::error::{Error, ErrorKind};

/// A worker's leave to go on.
pub(super) struct Leave<'a> {
    number: usize,
    allowed: &'a watch::Receiver<usize>,
}

impl Leave<'_> {
    fn goes_on(&self, job: &Job) -> bool {
        *self.allowed.borrow() > self.number && !job.queue.is_stopped()
    }
}

/// Moves small files until none wait, or the worker is not to go on.
pub(super) async fn run(job: &Arc<Job>, number: usize, allowed: &watch::Receiver<usize>) {
    let leave = Leave { number, allowed };
    if !pipelined(job) {
        while leave.goes_on(job)
            && let Some(item) = job.queue.small()
        {
            large::alone(job, item).await;
        }
        return;
    }
    match job.route {
        Route::Download => get::run(job, &leave).await,
        Route::Upload => put::run(job, &leave).await,
        Route::Between => pairs::run(job, &leave).await,
        Route::Relay | Route::Local => {}
    }
}

/// Whether the servers take part in pipelines, and can verify what goes through them.
fn pipelined(job: &Job) -> bool {
    let takes_part = |end: &End| match end {
        End::Local(_) => true,
        End::Remote(remote) => {
            remote.pipelines() && job.algorithm.as_ref().is_none_or(|algorithm| remote.offers(algorithm))
        }
    };
    matches!(job.route, Route::Download | Route::Upload | Route::Between)
        && takes_part(&job.sources[0])
        && takes_part(&job.to)
}

/// A pipeline could not be had, or ended: its files go by themselves, or are tried again.
fn ended(job: &Job, items: impl IntoIterator<Item = Item>, error: &Error) {
    let useless = matches!(error.kind(), ErrorKind::Unsupported);
    if useless {
        for end in [&job.sources[0], &job.to] {
            if let End::Remote(remote) = end {
                remote.no_pipelines();
            }
        }
    }
    for mut item in items {
        if useless && job.stopped().is_none() {
            item.alone = true;
            job.queue.put_back(item, false);
        } else {
            job.failed(item, error.clone(), false);
        }
    }
}

/// A file failed in a pipeline.
fn failed(job: &Job, mut item: Item, error: Error) {
    // What it is about may be the pipeline; by itself it has its own session, and can be gone on with.
    item.alone = item.tries > 0 || matches!(error.kind(), ErrorKind::Unsupported);
    if item.alone && error.kind() == ErrorKind::Unsupported && job.stopped().is_none() {
        job.queue.put_back(item, false);
    } else {
        job.failed(item, error, false);
    }
}
