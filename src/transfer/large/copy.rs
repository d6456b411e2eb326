//! A file from one place of this machine to another one.

use std::sync::Arc;

use super::{Broken, Moved, differs};
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::transfer::End;
use crate::transfer::channels::Channels;
use crate::transfer::hash::{Along, hash_file};
use crate::transfer::job::Job;
use crate::transfer::local::{self, Attributes, Reader, Writer};
use crate::transfer::local_end::blocking;
use crate::transfer::queue::Item;
use crate::types::RangeSet;

pub(super) async fn copy(job: &Arc<Job>, item: &mut Item) -> Result<Moved, Broken> {
    let (End::Local(from), End::Local(to)) = (job.source(item), &job.to) else {
        let message = "a transfer with the wrong ends";
        return Err(Error::new(ErrorKind::Internal, Phase::Input, message).with_side(Side::Local).into());
    };
    // What is moved at the speed of memory begins anew.
    if item.half.take().is_some() {
        job.forget(item);
    }
    let path = from.path(&item.path);
    let looked_at = path.clone();
    let facts = blocking(move || local::regular_facts(&looked_at)).await?;
    (item.size, item.modified, item.mode) = (Some(facts.size), Some(facts.modified), Some(facts.mode));
    let (tag, size) = (job.tag, item.size);
    let sink =
        to.at(&item.path, move |root, path| Writer::open(root, path, tag, size, &RangeSet::new())).await?;
    let watched = job.tally.begin(&item.path, item.size);
    let work = async {
        let along = job.algorithm.as_ref().map(Along::start).transpose()?;
        let mut reader = Reader::open(path.clone(), 0..facts.size, facts.size, Channels::window(1));
        let waits = &job.tally.waits;
        while let Some(block) = waits.disk(reader.next()).await? {
            if let Some(along) = &along {
                along.take(block.offset, &block.data).await;
            }
            let count = block.data.len();
            waits.disk(sink.write_at(block.offset, block.data)).await?;
            watched.moved(count);
            job.pace(count).await;
        }
        waits.disk(sink.flush()).await?;
        let mut checksum = None;
        if let (Some(algorithm), Some(along)) = (&job.algorithm, &along) {
            let theirs = match along.finish(facts.size).await {
                Some(theirs) => theirs,
                None => {
                    let (path, algorithm) = (path.clone(), algorithm.clone());
                    blocking(move || hash_file(&path, &algorithm)).await?
                }
            };
            let ours = sink.checksum(algorithm).await?;
            if ours != theirs {
                return Err(differs("the copy differs", &theirs, &ours));
            }
            checksum = Some(ours);
        }
        let looked_at = path.clone();
        let now = blocking(move || local::regular_facts(&looked_at)).await?;
        if (now.size, now.modified) != (facts.size, facts.modified) {
            return Err(super::changed(item.size, Some(now.size)));
        }
        let attributes = Attributes::of(item, job.choices.preserve);
        let never = job.choices.overwrite == crate::transfer::Overwrite::Never;
        sink.finish(facts.size, attributes, !never, job.choices.fsync).await?;
        Ok(Moved { bytes: facts.size, checksum })
    };
    match job.unless_ended(work).await {
        Ok(moved) => Ok(moved),
        Err(error) => {
            watched.is_at(0);
            sink.discard().await;
            Err(error.into())
        }
    }
}
