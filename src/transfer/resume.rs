//! Comparing what is there with what it should be.

use std::sync::Arc;

use super::End;
use super::hash::hash_file;
use super::job::Job;
use super::local_end::blocking;
use super::queue::Item;
use crate::error::Result;
use crate::types::{Checksum, ChecksumAlgorithm};

/// Whether the destination's file has the same contents as the source's.
pub(super) async fn same_contents(job: &Arc<Job>, item: &Item) -> Result<bool> {
    let algorithm = job.algorithm.clone().unwrap_or_else(|| common(job));
    let (theirs, ours) = tokio::try_join!(
        checksum(job.source(item), &item.path, &algorithm),
        checksum(&job.to, &item.path, &algorithm)
    )?;
    Ok(theirs == ours)
}

/// What the servers that take part can compute.
fn common(job: &Job) -> ChecksumAlgorithm {
    use ChecksumAlgorithm as A;
    let has = |end: &End, algorithm: &A| match end {
        End::Local(_) => true,
        End::Remote(remote) => remote.offers(algorithm),
    };
    let both = [A::Sha256, A::Sha1, A::Md5, A::Sha512, A::Adler32]
        .into_iter()
        .find(|algorithm| has(&job.sources[0], algorithm) && has(&job.to, algorithm));
    both.unwrap_or(A::Sha256)
}

async fn checksum(end: &End, path: &[u8], algorithm: &ChecksumAlgorithm) -> Result<Checksum> {
    match end {
        End::Remote(remote) => remote.checksum(&remote.url(path)?, algorithm).await,
        End::Local(local) => {
            let algorithm = algorithm.clone();
            // As a destination it may be below a folder that is written to, or be a single file.
            let path = match local.target(path) {
                Ok((root, path)) => return blocking(move || root.checksum(&path, &algorithm)).await,
                Err(_) => local.path(path),
            };
            blocking(move || hash_file(&path, &algorithm)).await
        }
    }
}
