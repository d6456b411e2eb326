//! A file from server to server, without its bytes coming here.

use std::sync::Arc;

use super::{Broken, Moved, differs, spoils};
use crate::data::ThirdPartyBuilder;
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::options::TransferMode;
use crate::transfer::End;
use crate::transfer::job::Job;
use crate::transfer::journal::Manner;
use crate::transfer::progress::Watched;
use crate::transfer::queue::{Half, Item};
use crate::transfer::remote::Remote;
use crate::types::{RangeSet, RestartMarker};
use crate::url::Url;

pub(super) async fn between(job: &Arc<Job>, item: &mut Item) -> Result<Moved, Broken> {
    let (End::Remote(from), End::Remote(to)) = (job.source(item), &job.to) else {
        let message = "a transfer with the wrong ends";
        return Err(Error::new(ErrorKind::Internal, Phase::Input, message).with_side(Side::Local).into());
    };
    let url = from.url(&item.path)?;
    let temporary = to.temporary(&item.path, job.tag)?;
    let there = item.half.take().map(|half| half.ranges).unwrap_or_default();
    let watched = job.tally.begin(&item.path, item.size);
    watched.is_at(there.total_bytes());
    job.remember(item, &there, Manner::default());
    let mut stored = there.clone();
    let moved = job
        .unless_ended(async {
            move_file(job, from, &url, &temporary, &watched, &mut stored).await?;
            finish(job, item, from, to, &url, &temporary).await
        })
        .await;
    let error = match moved {
        Ok(moved) => return Ok(moved),
        Err(error) => error,
    };
    let new_bytes = stored.total_bytes() > there.total_bytes() && !spoils(&error);
    let again = error.is_transient() && job.stopped().is_none() || job.keeps_halves();
    if again && !spoils(&error) {
        job.remember(item, &stored, Manner::default());
        watched.is_at(stored.total_bytes());
        item.half = Some(Half {
            size: item.size,
            modified: item.modified,
            ranges: stored,
            manner: Manner::default(),
        });
    } else {
        watched.is_at(0);
        to.remove_temporary(&temporary).await;
        job.forget(item);
    }
    Err(Broken { error, new_bytes })
}

fn builder(job: &Job, from: &Remote, url: &Url, temporary: &Url) -> ThirdPartyBuilder {
    let channels = &job.channels;
    let extended = match &job.to {
        End::Remote(to) => to.is_gridftp() && from.is_gridftp() && channels.mode != TransferMode::Stream,
        End::Local(_) => false,
    };
    let mut builder = channels
        .pair(job.client.third_party(url, temporary))
        // Markers come in extended block mode only, and without them a slow transfer looks like a dead one.
        .mode(if extended { TransferMode::ExtendedBlock } else { channels.mode });
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
    builder
}

async fn move_file(
    job: &Arc<Job>,
    from: &Remote,
    url: &Url,
    temporary: &Url,
    watched: &Watched,
    stored: &mut RangeSet,
) -> Result<()> {
    let mut builder = builder(job, from, url, temporary);
    if !stored.is_empty() {
        builder = builder.restart(RestartMarker::Extended(stored.clone()));
    }
    let before = stored.total_bytes();
    let mut transfer = match builder.await {
        // What was there is not there any more.
        Err(error)
            if !stored.is_empty() && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Truncated) =>
        {
            *stored = RangeSet::new();
            return Err(error.with_transient(true));
        }
        transfer => transfer?,
    };
    // What moves is told by markers, seconds later.
    job.tally.waits.moved();
    while job.tally.waits.network(transfer.next_marker()).await.is_some() {
        let received = transfer.received();
        watched.has_moved(before + received);
    }
    match transfer.failure() {
        None => transfer.join().await.map(drop),
        Some(error) => {
            // What has come stays, to go on from.
            if let Ok(marker) = transfer.abort().await {
                stored.extend(marker.ranges().iter());
            }
            Err(error)
        }
    }
}

async fn finish(
    job: &Arc<Job>,
    item: &Item,
    from: &Remote,
    to: &Remote,
    url: &Url,
    temporary: &Url,
) -> Result<Moved> {
    let facts = from.facts(&item.path).await?;
    let now = facts.as_ref().and_then(|facts| facts.size);
    let same = facts.as_ref().is_some_and(|facts| facts.size == item.size && facts.modified == item.modified);
    if !same {
        return Err(super::changed(item.size, now));
    }
    let size = match to.features.size() {
        true => Some(to.client.size(temporary).await?),
        false => None,
    };
    if let (Some(size), Some(wanted)) = (size, item.size)
        && size != wanted
    {
        let message = format!("the source's file has {wanted} bytes, and {size} were stored");
        return Err(Error::new(ErrorKind::Truncated, Phase::Verify, message).with_side(Side::Destination));
    }
    let mut checksum = None;
    if let Some(algorithm) = &job.algorithm {
        let (theirs, ours) =
            tokio::try_join!(from.checksum(url, algorithm), to.checksum(temporary, algorithm))?;
        if theirs != ours {
            return Err(differs("the copy differs", &theirs, &ours).with_url(temporary));
        }
        checksum = Some(ours);
    }
    to.set_attributes(temporary, item, job.choices.preserve).await;
    to.name(temporary, &item.path, job.choices.overwrite).await?;
    Ok(Moved { bytes: size.or(item.size).unwrap_or(0), checksum })
}
