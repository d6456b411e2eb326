//! A file from server to server through this client.

use std::sync::Arc;

use super::upload::IN_FLIGHT;
use super::{Broken, Moved, differs, spoils};
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::transfer::End;
use crate::transfer::hash::Along;
use crate::transfer::job::Job;
use crate::transfer::journal::Manner;
use crate::transfer::progress::Watched;
use crate::transfer::queue::{Half, Item};
use crate::transfer::remote::Remote;
use crate::types::RestartMarker;
use crate::url::Url;

/// One stream writes it from its beginning on.
const MANNER: Manner = Manner { in_order: true, by_size: true };

pub(super) async fn relay(job: &Arc<Job>, item: &mut Item) -> Result<Moved, Broken> {
    let (End::Remote(from), End::Remote(to)) = (job.source(item), &job.to) else {
        let message = "a transfer with the wrong ends";
        return Err(Error::new(ErrorKind::Internal, Phase::Input, message).with_side(Side::Local).into());
    };
    let url = from.url(&item.path)?;
    let temporary = to.temporary(&item.path, job.tag)?;
    let watched = job.tally.begin(&item.path, item.size);
    let begun = item.half.take().is_some();
    job.remember(item, &crate::types::RangeSet::new(), MANNER);
    let mut start = 0;
    let moved = job
        .unless_ended(async {
            if begun && to.any_algorithm().is_some() {
                start = there(to, &temporary, item.size).await?;
                watched.is_at(start);
            }
            pump(job, item, from, to, &url, &temporary, &watched, start).await
        })
        .await;
    let error = match moved {
        Ok(moved) => return Ok(moved),
        Err(error) => error,
    };
    let again = error.is_transient() && job.stopped().is_none() || job.keeps_halves();
    let new_bytes = watched.bytes() > start && !spoils(&error);
    if again && !spoils(&error) {
        // How much of it is there is asked when it is gone on with.
        item.half = Some(Half {
            size: item.size,
            modified: item.modified,
            ranges: crate::types::RangeSet::new(),
            manner: MANNER,
        });
    } else {
        watched.is_at(0);
        to.remove_temporary(&temporary).await;
        job.forget(item);
    }
    Err(Broken { error, new_bytes })
}

/// How much of the half file is there: it was written from its beginning on.
async fn there(to: &Remote, temporary: &Url, size: Option<u64>) -> Result<u64> {
    match to.client.size(temporary).await {
        // Its end may have been on its way to the disk.
        Ok(there) => Ok(size.map_or(0, |size| there.min(size).saturating_sub(IN_FLIGHT))),
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported | ErrorKind::Refused) =>
        {
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

#[expect(clippy::too_many_arguments, reason = "both ends, and what is between them")]
async fn pump(
    job: &Arc<Job>,
    item: &Item,
    from: &Remote,
    to: &Remote,
    url: &Url,
    temporary: &Url,
    watched: &Watched,
    start: u64,
) -> Result<Moved> {
    let channels = &job.channels;
    let mut get = channels.get(from.client.get(url));
    let mut put = channels.put(to.client.put(temporary).keep_incomplete(true));
    if start > 0 {
        get = get.range(start..);
        put = put.restart(RestartMarker::Stream { offset: start });
    }
    let get = get.await.map_err(|error| error.with_side(Side::Source))?;
    if let (Some(told), Some(size)) = (get.size(), item.size)
        && told != size
    {
        return Err(super::changed(item.size, Some(told)));
    }
    let mut put = put.await.map_err(|error| error.with_side(Side::Destination))?;
    let along = match &job.algorithm {
        Some(algorithm) if start == 0 => Some(Along::start(algorithm)?),
        _ => None,
    };
    let mut at = start;
    let mut reader = get.into_reader();
    let waits = &job.tally.waits;
    while let Some(data) =
        waits.network(reader.next_chunk()).await.map_err(|error| error.with_side(Side::Source))?
    {
        let count = data.len();
        if let Some(along) = &along {
            along.take(at, &data).await;
        }
        waits.network(put.write(data)).await.map_err(|error| error.with_side(Side::Destination))?;
        at += u64::try_from(count).unwrap_or(u64::MAX);
        watched.moved(count);
        job.pace(count).await;
    }
    waits.network(put.finish()).await.map_err(|error| error.with_side(Side::Destination))?;
    if item.size.is_some_and(|size| size != at) {
        let message = format!("{} bytes were expected, and {at} came", item.size.unwrap_or(0));
        return Err(Error::new(ErrorKind::Truncated, Phase::Verify, message).with_side(Side::Source));
    }
    let mut checksum = None;
    // What was gone on with is known by its size alone: the whole of it is compared.
    let doubtful = if start > 0 { to.any_algorithm() } else { None };
    if let Some(algorithm) = job.algorithm.as_ref().or(doubtful.as_ref()) {
        // What came here is not what the source has: its own word counts, and the destination's.
        let theirs = from.checksum(url, algorithm);
        let copy = to.checksum(temporary, algorithm);
        let (theirs, copy) = tokio::try_join!(theirs, copy)?;
        if let Some(along) = &along
            && let Some(ours) = along.finish(at).await
            && ours != theirs
        {
            return Err(differs("what came differs", &theirs, &ours).with_url(url));
        }
        if theirs != copy {
            return Err(differs("the copy differs", &theirs, &copy).with_url(temporary));
        }
        checksum = Some(copy);
    }
    to.set_attributes(temporary, item, job.choices.preserve).await;
    to.name(temporary, &item.path, job.choices.overwrite).await?;
    Ok(Moved { bytes: at, checksum })
}
