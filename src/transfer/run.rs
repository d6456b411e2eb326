//! One transfer from its start to its report.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::builder::{Login, TransferBuilder};
use super::channels::Channels;
use super::choices::Choices;
use super::explain;
use super::finish;
use super::job::{Job, Stop};
use super::location::Location;
use super::plan;
use super::progress::Tally;
use super::report::{ReportKind, SkipReason, TransferReport};
use super::start::{Root0, Started, start};
use super::workers;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Escaped, Result};

/// How often what was done is made durable, where there is a journal.
const CHECKPOINT: Duration = Duration::from_secs(15);

/// How long what is half there is removed, at the end of a transfer that was stopped; a mute server would take a time limit
/// for each file.
const CLEARING: Duration = Duration::from_secs(10);

/// What was asked for, checked.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) client: Client,
    /// One or more.
    pub(super) from: Vec<Location>,
    pub(super) to: Location,
    pub(super) choices: Choices,
    pub(super) channels: Channels,
    pub(super) source: Login,
    pub(super) destination: Login,
    time_limit: Option<Duration>,
}

/// Refuses what cannot be.
pub(super) fn check(builder: TransferBuilder) -> Result<Order> {
    let TransferBuilder { client, from, to, choices, channels, source, destination, time_limit } = builder;
    let (from, to) = (from?, to?);
    choices.check()?;
    let between = matches!((&from[..], &to), ([Location::Remote(_), ..], Location::Remote(_)))
        && !choices.through_client;
    channels.check(between)?;
    if between && choices.rate_limit.is_some() {
        return Err(Error::invalid(
            "a limit for data that does not come here cannot be held; expected through_client(true)",
        ));
    }
    for login in [&source, &destination] {
        login.client(&client)?;
    }
    Ok(Order { client, from, to, choices, channels, source, destination, time_limit })
}

pub(super) async fn run(
    order: Order,
    tally: Arc<Tally>,
    ended: watch::Receiver<bool>,
) -> Result<TransferReport> {
    let stop = stop(ended, order.time_limit);
    let mut stop = std::pin::pin!(stop);
    let started = tokio::select! {
        biased;
        stop = &mut stop => return match stop {
            Stop::Aborted => Ok(tally.take_report(true)),
            limit @ Stop::TimeLimit(_) => Err(Job::ended_early(limit)),
        },
        started = start(order, Arc::clone(&tally)) => started?,
    };
    let (job, root) = match started {
        Started::Missing => {
            tally.found(None);
            tally.skipped(b"", ReportKind::File, SkipReason::Missing, None);
            return Ok(tally.take_report(false));
        }
        Started::Job(job, root) => (job, root),
    };
    let is_file = matches!(root, Root0::File(_));
    let mut whole = std::pin::pin!(async {
        let whole = whole(Arc::clone(&job), root);
        if !job.choices.explain {
            return (whole.await, None);
        }
        let (result, found) = explain::watch(&job, &tally, whole).await;
        (result, Some(Box::new(found)))
    });
    let (result, explanation) = tokio::select! {
        biased;
        stop = &mut stop => {
            job.stop.send_replace(Some(stop));
            job.queue.stop();
            whole.await
        }
        result = &mut whole => result,
    };
    result?;
    let mut report = tally.take_report(job.stopped() == Some(Stop::Aborted));
    report.explanation = explanation;
    // Whoever copies one file is told by an error that it is not there.
    if is_file && let Some(error) = report.errors().first() {
        return Err(error.clone());
    }
    Ok(report)
}

/// Ready when the transfer is to end before its end.
async fn stop(mut ended: watch::Receiver<bool>, limit: Option<Duration>) -> Stop {
    let at = limit.and_then(|limit| Some((limit, Instant::now().checked_add(limit)?)));
    let over = async {
        match at {
            Some((limit, at)) => {
                tokio::time::sleep_until(at).await;
                limit
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // An error is that nobody holds the transfer any more.
        _ = ended.wait_for(|ended| *ended) => Stop::Aborted,
        limit = over => Stop::TimeLimit(limit),
    }
}

async fn whole(job: Arc<Job>, root: Root0) -> Result<()> {
    let planner = tokio::spawn(plan::plan(Arc::clone(&job), root));
    let moved = tokio::select! {
        moved = workers::run(&job) => moved,
        () = checkpoints(&job) => Ok(()),
    };
    // When the queue is over the plan is; when it was stopped the plan ends at its next batch.
    if moved.is_err() {
        planner.abort();
        return moved;
    }
    if planner.await.is_err_and(|error| error.is_panic()) {
        let message = "the task that plans a transfer has panicked";
        return Err(Error::new(ErrorKind::Internal, crate::error::Phase::Input, message));
    }
    if let Some(stop) = job.stopped() {
        let until = Instant::now() + CLEARING;
        for mut item in job.queue.drain() {
            // One after the other: only what was begun and waits for another try has a half file.
            let cleared = tokio::time::timeout_at(until, super::large::discard_half(&job, &mut item)).await;
            if cleared.is_err() {
                tracing::warn!(path = %Escaped(&item.path), "there was no time to remove what came of a file");
            }
            left_over(&job, &item.path, item.size, stop);
        }
    }
    job.tally.finishing.store(true, Ordering::Relaxed);
    finish::finish(&job).await;
    if let Some(journal) = &job.journal {
        match job.stopped() {
            None => journal.close(finish::sync_of(&job), job.tally.failures() == 0).await?,
            Some(_) => journal.close_early().await?,
        }
    }
    Ok(())
}

/// Has what was done on the disk now and then, so that a power cut costs little.
async fn checkpoints(job: &Job) {
    loop {
        tokio::time::sleep(CHECKPOINT).await;
        if let Some(journal) = &job.journal
            && journal.checkpoint(finish::sync_of(job)).await.is_err()
        {
            // It is told at the end.
            return std::future::pending().await;
        }
    }
}

/// A file whose turn never came.
pub(super) fn left_over(job: &Job, path: &[u8], size: Option<u64>, stop: Stop) {
    match stop {
        Stop::Aborted => job.tally.skipped(path, ReportKind::File, SkipReason::Aborted, size),
        limit @ Stop::TimeLimit(_) => job.tally.failed(path, ReportKind::File, Job::ended_early(limit)),
    }
}
