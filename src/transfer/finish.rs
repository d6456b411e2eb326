//! What comes last: links, what the source does not have, times of folders.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::End;
use super::choices::Links;
use super::job::{Folder, Job};
use super::local_end::LocalEnd;
use super::remote::Remote;
use super::report::{ReportKind, SkipReason};
use super::source::{Finds, What};
use crate::error::{Error, ErrorKind, Phase, Result, Side};

pub(super) async fn finish(job: &Arc<Job>) {
    links(job).await;
    if job.choices.delete_extras {
        delete_extras(job).await;
    }
    clean(job).await;
    folders(job).await;
}

/// Removes what earlier runs of the transfer, which were killed, have left under temporary names. Where something failed, half
/// files are kept to go on with.
async fn clean(job: &Arc<Job>) {
    let continued = job.before.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_continued();
    if !continued || job.choices.dry_run || job.stopped().is_some() || job.tally.failures() > 0 {
        return;
    }
    let ours = format!(".gridftp-{:016x}-", job.tag);
    if job.is_single() {
        // Beside it: its half file has one name, and is gone when it is whole.
        return;
    }
    let Ok(mut finds) = Finds::below(&job.to, b"", Links::Copy) else { return };
    while let Some(found) = finds.next().await {
        let Ok(found) = found else { continue };
        let name = found.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if found.what != What::File || !name.starts_with(ours.as_bytes()) {
            continue;
        }
        if let Err(error) = job.unless_ended(remove(job, &found.path, false)).await {
            tracing::warn!(path = %crate::error::Escaped(&found.path), %error, "what an earlier run left is there still");
        }
    }
}

/// Has everything that was written on the disk, as far as it is written here.
pub(super) fn sync_of(job: &Job) -> impl FnOnce() -> io::Result<()> + Send + 'static {
    let root = match &job.to {
        End::Local(end) => end.target(b"").ok().map(|(root, _)| root),
        End::Remote(_) => None,
    };
    move || root.map_or(Ok(()), |root| root.sync())
}

async fn links(job: &Arc<Job>) {
    let links = std::mem::take(&mut job.deferred().links);
    for (path, target) in links {
        if job.stopped().is_some() {
            job.tally.skipped(&path, ReportKind::Link, SkipReason::Aborted, None);
            continue;
        }
        if job.choices.dry_run {
            job.tally.copied(&path, ReportKind::Link, 0);
            continue;
        }
        match job.unless_ended(link(job, &path, &target)).await {
            Ok(()) => job.tally.copied(&path, ReportKind::Link, 0),
            Err(error) => job.tally.failed(&path, ReportKind::Link, error),
        }
    }
}

/// Makes a link that leads to the same place of the copy, if it leads to something in the tree.
async fn link(job: &Job, path: &[u8], target: &[u8]) -> Result<()> {
    let inside = inside(job, path, target);
    match &job.to {
        End::Local(end) => {
            let written = inside.map_or_else(|| target.to_vec(), |inside| relative(path, &inside));
            end.at(path, move |root, path| root.make_link(&written, path)).await
        }
        End::Remote(remote) => {
            // Servers take a relative target from the folder of the login, so it is told whole.
            let whole = match inside {
                Some(inside) => remote.client.server_path(&remote.url(&inside)?).into_owned(),
                None if target.starts_with(b"/") => target.to_vec(),
                None => {
                    let folder = parent(path);
                    let whole = resolved(&super::source::joined(folder, target));
                    let above = || {
                        let message =
                            "a link that leads out of the tree by a relative path cannot be made at a server";
                        Error::new(ErrorKind::Unsupported, Phase::Command, message)
                            .with_side(Side::Destination)
                    };
                    remote.client.server_path(&remote.url(&whole.ok_or_else(above)?)?).into_owned()
                }
            };
            let url = remote.url(path)?;
            match remote.client.symlink(&whole, &url).await {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    remote.client.remove_file(&url).await?;
                    remote.client.symlink(&whole, &url).await
                }
                result => result,
            }
        }
    }
}

/// The path below the root that a link leads to, if it stays in the tree.
fn inside(job: &Job, path: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    if !target.starts_with(b"/") {
        return resolved(&super::source::joined(parent(path), target));
    }
    let root = match &job.sources[0] {
        End::Local(LocalEnd { root, .. }) => {
            use std::os::unix::ffi::OsStrExt as _;
            root.canonicalize().ok()?.as_os_str().as_bytes().to_vec()
        }
        End::Remote(Remote { root, client, .. }) => client.server_path(root).into_owned(),
    };
    let root = root.strip_suffix(b"/").unwrap_or(&root);
    let below = target.strip_prefix(root)?;
    if below.is_empty() { Some(Vec::new()) } else { resolved(below.strip_prefix(b"/")?) }
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(b"", |at| &path[..at])
}

/// A path without `.` and `..`; none if it leads out.
fn resolved(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join(&b'/'))
}

/// The way from a link to what it leads to, both below one root.
fn relative(link: &[u8], target: &[u8]) -> Vec<u8> {
    let names = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let (from, to) = (names(parent(link)), names(target));
    let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let mut way = vec![b"..".to_vec(); from.len() - shared];
    way.extend_from_slice(&to[shared..]);
    if way.is_empty() { b".".to_vec() } else { way.join(&b'/') }
}

/// Deletes what the source does not have. Only where all of it is known, and everything went well: what was not seen is not
/// known to be too much.
async fn delete_extras(job: &Arc<Job>) {
    let unsure =
        job.incomplete.load(Ordering::Relaxed) || job.tally.failures() > 0 || job.stopped().is_some();
    if unsure {
        tracing::warn!("nothing is deleted at the destination, as not all of the source was copied");
        return;
    }
    let Ok(mut finds) = Finds::below(&job.to, b"", Links::Copy) else { return };
    // Folders are removed behind what is in them.
    let mut folders: BTreeMap<std::cmp::Reverse<usize>, Vec<Vec<u8>>> = BTreeMap::new();
    while let Some(found) = finds.next().await {
        if job.stopped().is_some() {
            return;
        }
        let found = match found {
            Ok(found) => found,
            Err(unseen) => {
                job.tally.failed(&unseen.path, ReportKind::Folder, unseen.error.with_side(Side::Destination));
                continue;
            }
        };
        let is_folder = found.what == What::Folder;
        if !job.choices.filter.takes(&found.path, is_folder) {
            continue;
        }
        let has = match job.unless_ended(source_has(job, &found.path)).await {
            Ok(has) => has,
            Err(error) => {
                job.tally.failed(&found.path, found.facts.kind, error.with_side(Side::Source));
                continue;
            }
        };
        if has {
            continue;
        }
        if is_folder {
            let depth = found.path.iter().filter(|byte| **byte == b'/').count();
            folders.entry(std::cmp::Reverse(depth)).or_default().push(found.path);
        } else {
            delete(job, &found.path, found.facts.kind, false).await;
        }
    }
    for path in folders.into_values().flatten() {
        delete(job, &path, ReportKind::Folder, true).await;
    }
}

async fn source_has(job: &Job, path: &[u8]) -> Result<bool> {
    match &job.sources[0] {
        End::Remote(remote) => Ok(remote.facts(path).await?.is_some()),
        End::Local(end) => {
            let path = end.path(path);
            super::local_end::blocking(move || super::local::is_there(&path)).await
        }
    }
}

async fn delete(job: &Job, path: &[u8], kind: ReportKind, folder: bool) {
    if job.choices.dry_run {
        return job.tally.deleted(path, kind);
    }
    match job.unless_ended(remove(job, path, folder)).await {
        Ok(()) => job.tally.deleted(path, kind),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // Something in it is excluded, and stays.
        Err(error) if folder && error.kind() == ErrorKind::NotEmpty => {}
        Err(error) => job.tally.failed(path, kind, error.with_side(Side::Destination)),
    }
}

async fn remove(job: &Job, path: &[u8], folder: bool) -> Result<()> {
    match &job.to {
        End::Local(end) => {
            let remove = move |root: &super::local::Root, path: &[u8]| {
                if folder { root.remove_dir(path) } else { root.remove_file(path) }
            };
            end.at(path, remove).await
        }
        End::Remote(remote) => {
            let url = remote.url(path)?;
            if folder { remote.client.remove_dir(&url).await } else { remote.client.remove_file(&url).await }
        }
    }
}

/// Sets modes and times of folders, the deepest first: whatever is written into one changes its time.
async fn folders(job: &Arc<Job>) {
    let mut folders = std::mem::take(&mut job.deferred().folders);
    if job.choices.dry_run || job.stopped().is_some() {
        return;
    }
    folders.sort_by_key(|folder| std::cmp::Reverse(folder.path.iter().filter(|byte| **byte == b'/').count()));
    let mut folders = folders.into_iter();
    match &job.to {
        End::Local(end) => {
            let folders: Vec<_> = folders.collect();
            let set = move |root: &super::local::Root, _: &[u8]| {
                for Folder { path, mode, modified } in folders {
                    if let Err(error) = root.set_attributes(&path, mode, modified) {
                        tracing::warn!(path = %crate::error::Escaped(&path), %error, "attributes of a folder were not kept");
                    }
                }
                Ok(())
            };
            if let Err(error) = end.at(b"", set).await {
                tracing::warn!(%error, "attributes of folders were not kept");
            }
        }
        End::Remote(_) => {
            // Those of one depth may go in any order; so few that memory does not matter.
            let mut setting = tokio::task::JoinSet::new();
            loop {
                let next = folders.next();
                let full = setting.len() >= 64;
                if (full || next.is_none()) && setting.join_next().await.is_none() && next.is_none() {
                    return;
                }
                if let Some(folder) = next {
                    let job = Arc::clone(job);
                    setting.spawn(async move {
                        let End::Remote(remote) = &job.to else { return };
                        let Ok(url) = remote.url(&folder.path) else { return };
                        remote.attributes(&url, folder.mode, folder.modified).await;
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_between_links_and_targets() {
        for (link, target, way) in [
            ("a/b/l", "a/c", "../c"),
            ("l", "a/c", "a/c"),
            ("a/l", "a/c", "c"),
            ("a/l", "", ".."),
            ("l", "", "."),
            ("a/b/l", "x/y", "../../x/y"),
        ] {
            assert_eq!(relative(link.as_bytes(), target.as_bytes()), way.as_bytes(), "{link} {target}");
        }
        for (path, found) in [
            ("a/../b", Some("b")),
            ("./a//b/.", Some("a/b")),
            ("../a", None),
            ("a/../../b", None),
            ("", Some("")),
        ] {
            assert_eq!(resolved(path.as_bytes()), found.map(|path| path.as_bytes().to_vec()), "{path}");
        }
    }
}
