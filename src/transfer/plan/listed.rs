//! Paths that were named one by one: nothing is listed, the source is asked about each of them.

use std::collections::HashSet;
use std::path::PathBuf;
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

/// What is known of the folders, so that each is told, made and walked once.
#[derive(Default)]
struct Folders {
    /// Folders that are told already: named ones, and those above what was named.
    told: HashSet<Vec<u8>>,
    /// Named folders that are walked: whatever lies below is found there.
    walked: HashSet<Vec<u8>>,
}

impl Folders {
    fn covers(&self, path: &[u8]) -> bool {
        !self.walked.is_empty() && above(path).any(|above| self.walked.contains(above))
    }
}

/// The folders above a path, from the top.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at])
}

pub(super) async fn plan(job: &Arc<Job>, paths: &[Vec<u8>]) {
    let mut paths = paths.to_vec();
    if job.choices.recursive {
        // A folder comes before what is named below it, which would be copied twice otherwise.
        paths.sort_unstable();
    }
    let (mut folders, mut seen) = (Folders::default(), HashSet::new());
    for paths in paths.chunks(BATCH) {
        if job.stopped().is_some() {
            return;
        }
        // Named twice is copied once.
        let mut asked = Vec::new();
        for path in paths {
            if !folders.covers(path) && seen.insert(path.clone()) {
                asked.push(path.clone());
            }
        }
        let (mut found, mut to_walk) = (Vec::new(), Vec::new());
        for (path, facts) in facts(job, &asked).await {
            if !folders.covers(&path) {
                sort(job, path, facts, &mut folders, &mut found, &mut to_walk);
            }
        }
        batch(job, found).await;
        for folder in to_walk {
            below(job, &folder).await;
        }
    }
}

fn sort(
    job: &Job,
    path: Vec<u8>,
    facts: Result<Option<Facts>>,
    folders: &mut Folders,
    found: &mut Vec<Result<Found, super::Unseen>>,
    to_walk: &mut Vec<Vec<u8>>,
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
    if what == What::Folder && !job.choices.recursive {
        job.tally.found(None);
        return job.tally.skipped(&path, ReportKind::Folder, SkipReason::Folder, None);
    }
    for above in above(&path) {
        if folders.told.insert(above.to_vec()) {
            let facts = Facts { kind: ReportKind::Folder, size: None, modified: None, mode: None };
            found.push(Ok(Found { path: above.to_vec(), what: What::Folder, facts }));
        }
    }
    if what == What::Folder {
        // A filter that leaves it out is heard in the batch.
        if job.choices.filter.takes(&path, true) {
            to_walk.push(path.clone());
            folders.walked.insert(path.clone());
        }
        folders.told.insert(path.clone());
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
        let places: Vec<_> = paths.iter().map(|path| local.path(path)).collect();
        let looking = blocking(move || {
            let look = |place: PathBuf| local::facts_of_source(&place).map(|facts| facts.map(of_local));
            Ok(places.into_iter().map(look).collect::<Vec<_>>())
        });
        return match looking.await {
            Ok(facts) => paths.iter().cloned().zip(facts).collect(),
            Err(error) => paths.iter().map(|path| (path.clone(), Err(error.clone()))).collect(),
        };
    }
    let mut answers: Vec<_> = paths.iter().map(|path| (path.clone(), Err(unanswered()))).collect();
    let mut asking = JoinSet::new();
    let mut keep = |answer| {
        if let Ok((number, facts)) = answer
            && let Some::<&mut Answer>((_, place)) = answers.get_mut::<usize>(number)
        {
            *place = facts;
        }
    };
    for (number, path) in paths.iter().enumerate() {
        if asking.len() >= QUESTIONS
            && let Some(answer) = asking.join_next().await
        {
            keep(answer);
        }
        let (job, path) = (Arc::clone(job), path.clone());
        asking.spawn(async move { (number, remote_facts(&job, &path).await) });
    }
    while let Some(answer) = asking.join_next().await {
        keep(answer);
    }
    answers
}

/// What is told of a path whose question went wrong on our side.
fn unanswered() -> Error {
    Error::new(ErrorKind::Internal, Phase::Input, "the task that asks about a path has panicked")
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
