//! The last steps: a data connection, a file, and with `--write` one of its own.

use std::time::Instant;

use bytes::Bytes;
use gridftp::{Entry, Error, ErrorKind, Url};

use super::advice;
use super::report::Outcome;
use crate::context::{Context, remote};
use crate::exit::Code;
use crate::failure::Failure;
use crate::show;
use crate::temporary;

/// Bytes that are read of a file.
const FIRST: u64 = 64 << 10;

/// Entries of a folder that are counted; to know that they come is enough.
const ENTRIES: usize = 10_000;

const CONTENTS: &[u8] = b"gridftp-fs doctor was here\n";

/// What the URL is, and the folder that it is, or is in.
pub(super) struct Place {
    folder: Url,
    found: Result<Entry, Error>,
}

pub(super) async fn look(context: &Context, url: &Url) -> Place {
    let found = context.client.stat(url).await;
    let is_folder = match &found {
        Ok(entry) => entry.is_dir(),
        Err(_) => url.path().ends_with(b"/"),
    };
    let folder = if is_folder { None } else { url.parent() };
    Place { folder: folder.unwrap_or_else(|| url.clone()), found }
}

fn failed(error: Error) -> Outcome {
    let kind = error.kind();
    let outcome = Outcome::failed(&remote(error));
    match advice::data(kind) {
        Some(advice) => outcome.advise(advice),
        None => outcome,
    }
}

/// A folder's listing, over a data connection to the server.
pub(super) async fn list(context: &Context, place: &Place) -> Outcome {
    let mut listing = context.client.list(&place.folder);
    let (mut count, mut bad) = (0, 0);
    while count < ENTRIES {
        match listing.next_entry().await {
            Ok(Some(_)) => count += 1,
            Ok(None) => break,
            Err(error) if listing.is_over() => {
                let no_data = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied);
                return if no_data {
                    Outcome::warned(format!("could not be tried: {error}"))
                        .advise("give the URL of a folder that you may list")
                } else {
                    failed(error)
                };
            }
            Err(_) => bad += 1,
        }
    }
    let more = if count == ENTRIES { "at least " } else { "" };
    let text = format!("{more}{count} entries in {}", place.folder);
    if bad == 0 {
        Outcome::good(text)
    } else {
        Outcome::warned(text).advise(&format!("{bad} lines of the listing make no sense"))
    }
}

/// What the URL is; of a file, its first bytes.
pub(super) async fn read(context: &Context, url: &Url, place: &Place) -> Outcome {
    let entry = match &place.found {
        Ok(entry) => entry,
        Err(error) => {
            let outcome = Outcome::failed(&remote(error.clone()));
            return match error.kind() {
                ErrorKind::NotFound => outcome.advise("the server works; there is nothing of that name"),
                ErrorKind::PermissionDenied => {
                    outcome.advise("the server works; it does not let the account you are mapped to see this")
                }
                _ => outcome,
            };
        }
    };
    let size = entry.size();
    let what = match size {
        Some(bytes) if entry.is_file() => format!("a file of {bytes} bytes"),
        _ => format!("a {}", if entry.is_dir() { "folder".to_owned() } else { show::kind(entry) }),
    };
    if !entry.is_file() || size == Some(0) {
        return Outcome::good(what);
    }
    let begun = Instant::now();
    let end = size.unwrap_or(FIRST).min(FIRST);
    let reading = async { context.client.get(url).range(..end).await?.bytes().await };
    match reading.await {
        Ok(bytes) => {
            let seconds = begun.elapsed().as_secs_f64().max(1e-6);
            let kilobytes = f64::from(u32::try_from(bytes.len()).unwrap_or(u32::MAX)) / 1000.0;
            Outcome::good(format!("{what}, first {} bytes at {:.0} kB/s", bytes.len(), kilobytes / seconds))
        }
        Err(error) => failed(error),
    }
}

/// Stores, reads and removes a file that is not there yet.
pub(super) async fn write(context: &Context, place: &Place) -> Outcome {
    let url = match place.folder.join(temporary::temporary(b"gridftp-fs-doctor")) {
        Ok(url) => url,
        Err(error) => return failed(error),
    };
    context.unfinished(&url);
    let storing = async {
        let mut put = context.client.put(&url).await?;
        put.write(Bytes::from_static(CONTENTS)).await?;
        put.finish().await
    };
    if let Err(error) = storing.await {
        let outcome = match error.kind() {
            ErrorKind::PermissionDenied => {
                failed(error).advise("the account you are mapped to may not write into this folder")
            }
            ErrorKind::NoSpace => failed(error).advise("the file system, or your quota, is full"),
            _ => failed(error),
        };
        return outcome;
    }
    let reading = async { context.client.get(&url).await?.bytes().await };
    let read = reading.await;
    if let Err(error) = context.client.remove_file(&url).await {
        return failed(error).advise("the file could be stored and not removed: the folder may forbid it");
    }
    context.finished(&url);
    match read {
        Ok(bytes) if bytes == CONTENTS => Outcome::good("a small file was stored, read and removed"),
        Ok(_) => Outcome::failed(&Failure::told(Code::Integrity, "what was read is not what was stored")),
        Err(error) => failed(error),
    }
}
