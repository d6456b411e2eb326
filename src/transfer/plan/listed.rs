//! Paths that were named one by one: nothing is listed, the source is asked about each of them.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::{BATCH, QUESTIONS, batch, below};
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::transfer::job::Job;
use crate::transfer::local;
use crate::transfer::local_end::{blocking, of_local};
use crate::transfer::report::{ReportKind, SkipReason};
use crate::transfer::source::{Found, What};
use crate::transfer::{End, Facts};

/// A path, and what the source says of it.
type Answer = (Vec<u8>, Result<Option<Facts>>);

pub(super) async fn plan(job: &Arc<Job>, paths: &[Vec<u8>]) {
    let mut made = HashSet::new();
    let mut seen = HashSet::new();
    for paths in paths.chunks(BATCH) {
        if job.stopped().is_some() {
            return;
        }
        let mut found = Vec::new();
        let mut folders = Vec::new();
        for (path, facts) in facts(job, paths).await {
            // Named twice is copied once.
            if seen.insert(path.clone()) {
                sort(job, path, facts, &mut made, &mut found, &mut folders);
            }
        }
        batch(job, found).await;
        for folder in folders {
            below(job, &folder).await;
        }
    }
}

fn sort(
    job: &Job,
    path: Vec<u8>,
    facts: Result<Option<Facts>>,
    made: &mut HashSet<Vec<u8>>,
    found: &mut Vec<Result<Found, super::Unseen>>,
    folders: &mut Vec<Vec<u8>>,
) {
    let facts = match facts {
        Ok(Some(facts)) => facts,
        Ok(None) if job.choices.optional => {
            job.tally.found(None);
            return job.tally.skipped(&path, ReportKind::File, SkipReason::Missing, None);
        }
        Ok(None) => {
            job.tally.found(None);
            return job.tally.failed(&path, ReportKind::File, missing(job, &path));
        }
        Err(error) => {
            job.tally.found(None);
            return job.tally.failed(&path, ReportKind::File, error.with_side(Side::Source));
        }
    };
    let what = match facts.kind {
        ReportKind::File => What::File,
        ReportKind::Folder => What::Folder,
        ReportKind::Link => What::LeftOutLink,
        ReportKind::Special => What::Special,
    };
    if what == What::Folder {
        if !job.choices.recursive {
            job.tally.found(None);
            return job.tally.skipped(&path, ReportKind::Folder, SkipReason::Folder, None);
        }
        if !job.choices.filter.takes(&path, true) {
            job.tally.found(None);
            return job.tally.skipped(&path, ReportKind::Folder, SkipReason::Excluded, None);
        }
        folders.push(path.clone());
        made.insert(path.clone());
    }
    for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        let above = &path[..at];
        if made.insert(above.to_vec()) {
            let facts = Facts { kind: ReportKind::Folder, size: None, modified: None, mode: None };
            found.push(Ok(Found { path: above.to_vec(), what: What::Folder, facts }));
        }
    }
    found.push(Ok(Found { path, what, facts }));
}

fn missing(job: &Job, path: &[u8]) -> Error {
    let message = "there is no such file or folder";
    match &job.sources[0] {
        End::Local(local) => {
            let error = std::io::Error::from_raw_os_error(libc::ENOENT);
            Error::local("looking at", &local.path(path), error, Side::Source)
        }
        End::Remote(remote) => {
            let error = Error::new(ErrorKind::NotFound, Phase::Command, message).with_side(Side::Source);
            match remote.url(path) {
                Ok(url) => error.with_url(&url),
                Err(_) => error,
            }
        }
    }
}

/// Asks about all of them, many at a time.
async fn facts(job: &Arc<Job>, paths: &[Vec<u8>]) -> Vec<Answer> {
    if let End::Local(local) = &job.sources[0] {
        let paths: Vec<_> = paths.iter().map(|path| (path.clone(), local.path(path))).collect();
        let looking = blocking(move || {
            let look = |(path, place): (Vec<u8>, std::path::PathBuf)| {
                let facts = local::facts_of_source(&place).map(|facts| facts.map(of_local));
                (path, facts)
            };
            Ok(paths.into_iter().map(look).collect())
        });
        return looking.await.unwrap_or_default();
    }
    let mut answers: Vec<Option<Answer>> = paths.iter().map(|_| None).collect();
    let mut asking = JoinSet::new();
    for (number, path) in paths.iter().enumerate() {
        if asking.len() >= QUESTIONS
            && let Some(Ok((number, answer))) = asking.join_next().await
        {
            keep(&mut answers, number, answer);
        }
        let (job, path) = (Arc::clone(job), path.clone());
        asking.spawn(async move {
            let facts = remote_facts(&job, &path).await;
            (number, (path, facts))
        });
    }
    while let Some(answer) = asking.join_next().await {
        if let Ok((number, answer)) = answer {
            keep(&mut answers, number, answer);
        }
    }
    answers.into_iter().flatten().collect()
}

fn keep(answers: &mut [Option<Answer>], number: usize, answer: Answer) {
    if let Some(place) = answers.get_mut(number) {
        *place = Some(answer);
    }
}

async fn remote_facts(job: &Job, path: &[u8]) -> Result<Option<Facts>> {
    let End::Remote(remote) = &job.sources[0] else { return Ok(None) };
    let mut tries = 1;
    loop {
        match job.unless_ended(remote.facts(path)).await {
            Err(error) if error.is_transient() && tries < job.choices.retry.attempts => {
                tries += 1;
                job.tally.retried();
                tokio::time::sleep(job.choices.retry.pause(tries)).await;
            }
            facts => return facts,
        }
    }
}
