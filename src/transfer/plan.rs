//! What becomes of each entry: folders are made, files are sent for, skipped, or left for later.
//!
//! Entries come in batches, as many as were found meanwhile. Of a batch the folders are made first, all together; then the
//! destination is asked about its files where that matters. So a slow server costs a round trip a batch, not one an entry.

mod listed;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;

use super::choices::{Compare, Overwrite};
use super::job::{Folder, Job, SMALL, identity};
use super::journal::Done;
use super::queue::Item;
use super::report::{ReportKind, SkipReason};
use super::source::{Finds, Found, Unseen, What};
use super::start::Root0;
use super::{End, Facts, Location};
use crate::error::{Error, ErrorKind, Result, Side};

/// Entries of a batch.
const BATCH: usize = 512;

/// Questions to the destination at the same time.
const QUESTIONS: usize = 128;

/// Plans everything.
pub(super) async fn plan(job: Arc<Job>, root: Root0) {
    match root {
        Root0::File(facts) => {
            let found = Found { path: Vec::new(), what: What::File, facts };
            batch(&job, vec![Ok(found)]).await;
        }
        Root0::Folder(facts) => {
            let found = Found { path: Vec::new(), what: What::Folder, facts };
            remember_folder(&job, &found);
            below(&job, b"").await;
        }
        Root0::Listed(paths) => listed::plan(&job, &paths).await,
        Root0::Matches(found) => {
            let folders: Vec<_> = found
                .iter()
                .filter(|found| found.what == What::Folder)
                .map(|found| found.path.clone())
                .collect();
            if job.choices.recursive {
                batch(&job, found.into_iter().map(Ok).collect()).await;
                for folder in folders {
                    if job.choices.filter.takes(&folder, true) {
                        below(&job, &folder).await;
                    }
                }
            } else {
                let (left_out, taken): (Vec<_>, Vec<_>) =
                    found.into_iter().partition(|found| found.what == What::Folder);
                for found in left_out {
                    job.tally.found(None);
                    job.tally.skipped(&found.path, ReportKind::Folder, SkipReason::Folder, None);
                }
                batch(&job, taken.into_iter().map(Ok).collect()).await;
            }
        }
    }
    job.tally.planned.store(true, Ordering::Relaxed);
    job.queue.planned();
}

async fn below(job: &Arc<Job>, folder: &[u8]) {
    let mut finds = match Finds::below(&job.sources[0], folder, job.choices.links) {
        Ok(finds) => finds,
        Err(error) => return unseen(job, Unseen { path: folder.to_vec(), error }),
    };
    loop {
        let first = tokio::select! {
            biased;
            _ = job.ended() => return,
            first = finds.next() => first,
        };
        let Some(first) = first else { return };
        let mut found = vec![first];
        while found.len() < BATCH
            && let Some(next) = finds.now()
        {
            found.push(next);
        }
        batch(job, found).await;
        if job.queue.is_stopped() {
            return;
        }
    }
}

fn unseen(job: &Job, unseen: Unseen) {
    job.incomplete.store(true, Ordering::Relaxed);
    job.tally.found(None);
    job.tally.failed(&unseen.path, ReportKind::Folder, unseen.error.with_side(Side::Source));
}

/// An entry with what decides about it.
struct Asked {
    item: Item,
    /// What the destination has under its name.
    there: Option<Facts>,
    /// The journal says that it was copied.
    done: bool,
}

async fn batch(job: &Arc<Job>, found: Vec<Result<Found, Unseen>>) {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for found in found {
        match found {
            Ok(found) => sort(job, found, &mut folders, &mut files),
            Err(not_seen) => unseen(job, not_seen),
        }
    }
    make_folders(job, folders).await;
    let asks = job.choices.overwrite != Overwrite::Always || job.choices.dry_run;
    let mut to_ask = Vec::new();
    for item in files {
        let before = {
            let before = job.before.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            before.done(&item.path, &identity(&item))
        };
        let done = before == Done::Yes;
        if asks || done {
            to_ask.push((item, done));
        } else {
            send(job, item).await;
        }
    }
    if !to_ask.is_empty() {
        ask(job, to_ask).await;
    }
}

/// Takes out what needs no work, and counts all of it.
fn sort(job: &Job, found: Found, folders: &mut Vec<Found>, files: &mut Vec<Item>) {
    let Found { path, what, facts } = found;
    let size = facts.size;
    let kind = facts.kind;
    job.tally.found((what == What::File).then_some(size));
    let is_dir = matches!(what, What::Folder | What::Loop);
    let own_name;
    let told_by = if path.is_empty() && what == What::File {
        own_name = name_of_root(job);
        &own_name
    } else {
        &path
    };
    if !told_by.is_empty() && !job.choices.filter.takes(told_by, is_dir) {
        return job.tally.skipped(&path, kind, SkipReason::Excluded, size);
    }
    if matches!(what, What::File | What::Link(_))
        && job.choices.shard.is_some_and(|shard| !shard.has(told_by))
    {
        return job.tally.skipped(&path, kind, SkipReason::OtherShard, size);
    }
    match what {
        What::File => {
            let mut item = Item {
                path,
                size,
                modified: facts.modified,
                mode: facts.mode,
                tries: 0,
                first_failure: None,
                half: None,
                alone: false,
                source: 0,
                order: 0,
            };
            item.half = job.half_of(&item);
            files.push(item);
        }
        What::Folder => folders.push(Found { path, what, facts }),
        What::Link(target) => job.deferred().links.push((path, target)),
        What::LeftOutLink => job.tally.skipped(&path, ReportKind::Link, SkipReason::Link, None),
        What::Loop => job.tally.skipped(&path, ReportKind::Folder, SkipReason::Loop, None),
        What::Special => job.tally.skipped(&path, ReportKind::Special, SkipReason::Special, None),
    }
}

/// A file that is copied by itself has no path below the root: its name tells, to filters and shares.
fn name_of_root(job: &Job) -> Vec<u8> {
    let name = match &job.sources[0] {
        End::Local(local) => Location::Local(local.root.clone()).file_name().map(<[u8]>::to_vec),
        End::Remote(remote) => remote.root.file_name().map(<[u8]>::to_vec),
    };
    name.unwrap_or_default()
}

fn remember_folder(job: &Job, found: &Found) {
    let preserve = job.choices.preserve;
    if preserve.mode || preserve.modified {
        job.deferred().folders.push(Folder {
            path: found.path.clone(),
            mode: found.facts.mode.filter(|_| preserve.mode),
            modified: found.facts.modified.filter(|_| preserve.modified),
        });
    }
}

/// Makes folders, those above first: all of one depth at the same time.
async fn make_folders(job: &Arc<Job>, folders: Vec<Found>) {
    if job.choices.dry_run {
        for found in folders {
            job.tally.copied(&found.path, ReportKind::Folder, 0);
        }
        return;
    }
    if let End::Local(_) = &job.to {
        let Ok(results) = make_local(job, &folders).await else { return };
        for (found, result) in folders.iter().zip(results) {
            made(job, found, result);
        }
        return;
    }
    let mut by_depth: std::collections::BTreeMap<usize, Vec<Found>> = std::collections::BTreeMap::new();
    for found in folders {
        let depth = found.path.iter().filter(|byte| **byte == b'/').count();
        by_depth.entry(depth).or_default().push(found);
    }
    for (_, folders) in by_depth {
        let mut making = JoinSet::new();
        for found in folders {
            if making.len() >= QUESTIONS
                && let Some(Ok((found, result))) = making.join_next().await
            {
                made(job, &found, result);
            }
            let job = Arc::clone(job);
            making.spawn(async move {
                let result = match &job.to {
                    End::Remote(remote) => make_remote(&job, remote, &found.path).await,
                    End::Local(_) => Ok(()),
                };
                (found, result)
            });
        }
        while let Some(made_one) = making.join_next().await {
            if let Ok((found, result)) = made_one {
                made(job, &found, result);
            }
        }
    }
}

/// Makes a folder, again if that fails for a moment.
async fn make_remote(job: &Job, remote: &super::remote::Remote, path: &[u8]) -> Result<()> {
    let mut tries = 1;
    loop {
        match job.unless_ended(remote.make_folder(path)).await {
            Err(error) if error.is_transient() && tries < job.choices.retry.attempts => {
                tries += 1;
                job.tally.retried();
                tokio::time::sleep(job.choices.retry.pause(tries)).await;
            }
            result => return result.map_err(|error| error.with_side(Side::Destination)),
        }
    }
}

async fn make_local(job: &Arc<Job>, folders: &[Found]) -> Result<Vec<Result<()>>> {
    let End::Local(end) = &job.to else { return Ok(Vec::new()) };
    let paths: Vec<_> = folders.iter().map(|found| found.path.clone()).collect();
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    end.at(b"", move |root, _| Ok(paths.iter().map(|path| root.make_dir(path)).collect())).await
}

fn made(job: &Job, found: &Found, result: Result<()>) {
    match result {
        Ok(()) => {
            remember_folder(job, found);
            job.tally.copied(&found.path, ReportKind::Folder, 0);
        }
        Err(error) => job.tally.failed(&found.path, ReportKind::Folder, error),
    }
}

/// Asks what the destination has, and decides.
async fn ask(job: &Arc<Job>, items: Vec<(Item, bool)>) {
    let mut asking = JoinSet::new();
    for (item, done) in items {
        if asking.len() >= QUESTIONS
            && let Some(Ok(asked)) = asking.join_next().await
        {
            decide(job, asked).await;
        }
        let job = Arc::clone(job);
        asking.spawn(async move {
            let there = match &job.to {
                End::Local(end) => end.facts(&item.path).await,
                End::Remote(remote) => remote.facts(&item.path).await,
            };
            (item, done, there)
        });
    }
    while let Some(asked) = asking.join_next().await {
        if let Ok(asked) = asked {
            decide(job, asked).await;
        }
    }
}

async fn decide(job: &Arc<Job>, (item, done, there): (Item, bool, Result<Option<Facts>>)) {
    let there = match there {
        Ok(there) => there,
        // In a dry run the folder may not be there either.
        Err(error) if matches!(error.kind(), ErrorKind::NotADirectory) && job.choices.dry_run => None,
        Err(error) => {
            job.tally.failed(&item.path, ReportKind::File, error.with_side(Side::Destination));
            return;
        }
    };
    let asked = Asked { item, there, done };
    match verdict(job, &asked).await {
        Ok(Some(reason)) => job.tally.skipped(&asked.item.path, ReportKind::File, reason, asked.item.size),
        Ok(None) => send(job, asked.item).await,
        Err(error) => job.tally.failed(&asked.item.path, ReportKind::File, error),
    }
}

/// Why a file is left alone, if it is.
async fn verdict(job: &Arc<Job>, asked: &Asked) -> Result<Option<SkipReason>> {
    let Asked { item, there, done } = asked;
    let Some(there) = there else { return Ok(None) };
    let same_size = there.kind == ReportKind::File && (item.size.is_none() || there.size == item.size);
    if *done && same_size {
        return Ok(Some(SkipReason::DoneBefore));
    }
    match job.choices.overwrite {
        Overwrite::Always => Ok(None),
        Overwrite::Never => Ok(Some(SkipReason::Exists)),
        Overwrite::IfDifferent(_) if !same_size => Ok(None),
        Overwrite::IfDifferent(Compare::Size) => Ok(Some(SkipReason::Same)),
        Overwrite::IfDifferent(Compare::SizeOrOlder) => {
            let older = match (item.modified, there.modified) {
                // Servers cut off fractions, so a second less is no difference.
                (Some(source), Some(copy)) => copy + Duration::from_secs(1) <= source,
                _ => false,
            };
            Ok((!older).then_some(SkipReason::Same))
        }
        Overwrite::IfDifferent(Compare::Checksum) => {
            let same = super::resume::same_contents(job, item).await?;
            Ok(same.then_some(SkipReason::Same))
        }
    }
}

/// Has a file moved; waits for room in the queue.
async fn send(job: &Arc<Job>, item: Item) {
    if job.choices.dry_run {
        let bytes = item.size.unwrap_or(0);
        return job.tally.copied(&item.path, ReportKind::File, bytes);
    }
    let device = matches!(&job.to, End::Remote(to) if to.is_device(&item.path));
    let small = item.size.is_some_and(|size| size <= SMALL) && item.half.is_none() && !device;
    tokio::select! {
        biased;
        stop = job.ended() => {
            let error: Error = Job::ended_early(stop);
            if error.kind() == ErrorKind::Aborted {
                job.tally.skipped(&item.path, ReportKind::File, SkipReason::Aborted, item.size);
            } else {
                job.tally.failed(&item.path, ReportKind::File, error);
            }
        }
        () = job.queue.room() => job.queue.push(item, small),
    }
}
