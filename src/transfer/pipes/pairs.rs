//! Small files from server to server.

use std::sync::Arc;

use super::{Leave, ended, failed};
use crate::error::{Error, ErrorKind, Phase};
use crate::transfer::job::Job;
use crate::transfer::queue::Item;
use crate::transfer::{End, Overwrite};

/// Files that are handed over together.
const TOGETHER: usize = 500;

pub(super) async fn run(job: &Arc<Job>, leave: &Leave<'_>) {
    let (End::Remote(from), End::Remote(to)) = (&job.sources[0], &job.to) else { return };
    let preserve = job.choices.preserve;
    let (mut items, mut pairs, mut attributes) = (Vec::new(), Vec::new(), Vec::new());
    while items.len() < TOGETHER
        && leave.goes_on(job)
        && let Some(item) = job.queue.small()
    {
        match from.url(&item.path).and_then(|url| Ok((url, to.url(&item.path)?))) {
            Ok((from, to)) => {
                pairs.push((from, to));
                let modified = item.modified.filter(|_| preserve.modified);
                attributes.push((item.mode.filter(|_| preserve.mode), modified));
                items.push(Some(item));
            }
            Err(error) => failed(job, item, error),
        }
    }
    if items.is_empty() {
        return;
    }
    let channels = &job.channels;
    let mut builder = job
        .client
        .third_party_many(pairs)
        .checksum(job.algorithm.clone())
        .replace(job.choices.overwrite != Overwrite::Never)
        .attributes(attributes)
        .tag(job.run_tag())
        .protection(channels.protection)
        .dcau(channels.dcau.clone())
        .tcp_buffer(channels.tcp_buffer);
    let (source, destination) = &job.logins;
    if let Some(credential) = &source.credential {
        builder = builder.source_credential(credential.clone());
    }
    if let Some(credential) = &destination.credential {
        builder = builder.destination_credential(credential.clone());
    }
    if let Some(subject) = &source.subject {
        builder = builder.source_subject(subject.clone());
    }
    if let Some(subject) = &destination.subject {
        builder = builder.destination_subject(subject.clone());
    }
    if let Some(assertion) = &source.assertion {
        builder = builder.source_authz_assertion(&assertion.0);
    }
    if let Some(assertion) = &destination.assertion {
        builder = builder.destination_authz_assertion(&assertion.0);
    }
    let mut many = match job.unless_ended(builder.into_future()).await {
        Ok(many) => many,
        Err(error) => return ended(job, items.into_iter().flatten(), &error),
    };
    while let Ok(Some(outcome)) = job.unless_ended(async { Ok(many.next_outcome().await) }).await {
        let Some(item) = items.get_mut(outcome.index).and_then(Option::take) else { continue };
        match outcome.result {
            Ok(size) => {
                let bytes = size.or(item.size).unwrap_or(0);
                job.tally.moved(usize::try_from(bytes).unwrap_or(usize::MAX));
                if let Err(error) = outcome.attributes {
                    tracing::warn!(url = %outcome.destination, %error, "attributes were not kept");
                }
                // The servers have compared their checksums; the value stays with them.
                job.copied(&item, bytes, None);
            }
            Err(error) => failed(job, item, error),
        }
    }
    let left: Vec<Item> = items.into_iter().flatten().collect();
    if !left.is_empty() {
        let forgotten = || {
            Error::new(ErrorKind::Internal, Phase::Data, "a pair of a pipeline was forgotten")
                .with_transient(true)
        };
        let error = job.stopped().map_or_else(forgotten, Job::ended_early);
        ended(job, left, &error);
    }
}
