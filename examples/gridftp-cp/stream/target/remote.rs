//! Destinations at a server.

use gridftp::{Client, EntryKind, Error, ErrorKind, Url};

use crate::failure::{End, Failure};
use crate::stream::Order;

/// Longest chain of folders that is made.
const MAX_FOLDERS: usize = 256;

/// A name at a server to write to.
#[derive(Debug)]
pub(crate) struct RemoteTarget {
    pub(crate) url: Url,
    pub(crate) way: Way,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Under a temporary name, and renamed.
    Rename,
    /// Into a file that stays what it is, save for the part that is copied; or a device.
    InPlace,
    /// Into a program, or through a storage module that has names of its own.
    Handed,
}

/// Finds the name and the way.
pub(crate) async fn examine(client: &Client, dest: &Url, order: &Order) -> Result<RemoteTarget, Failure> {
    if order.channels.dest.program || order.channels.dest.module.is_some() {
        return Ok(RemoteTarget { url: dest.clone(), way: Way::Handed });
    }
    let named_folder = dest.path().ends_with(b"/") || dest.file_name().is_none();
    let mut found = if named_folder { None } else { look(client, dest).await? };
    let mut url = dest.clone();
    if named_folder || matches!(found, Some(Found { kind: EntryKind::Dir, .. })) {
        let name = super::name_of(&order.source)?;
        url = dest.join(name.as_encoded_bytes()).map_err(|error| Failure::usage(error.to_string()))?;
        found = look(client, &url).await?;
    }
    let way = match found {
        None | Some(Found { kind: EntryKind::Unknown, .. }) => {
            if order.create_folders {
                make_folders(client, &url).await?;
            }
            // What may be there already is kept.
            if order.part.partial && found.is_some() { Way::InPlace } else { Way::Rename }
        }
        Some(Found { kind: EntryKind::Dir, .. }) => {
            return Err(
                Failure::in_the_way(format!("{url} is a folder, expected a file")).at(End::Destination)
            );
        }
        Some(Found { kind: EntryKind::Other(_), .. }) => Way::InPlace,
        Some(_) if !order.replace => {
            return Err(Failure::in_the_way(format!("{url} is there, and nothing is to be overwritten"))
                .at(End::Destination));
        }
        Some(found) => {
            if let Some(target) = found.target {
                url = target;
            }
            if order.part.partial { Way::InPlace } else { Way::Rename }
        }
    };
    Ok(RemoteTarget { url, way })
}

struct Found {
    kind: EntryKind,
    /// The file that a link ends at, so that not the link is replaced.
    target: Option<Url>,
}

/// What is there; none where nothing is.
async fn look(client: &Client, url: &Url) -> Result<Option<Found>, Failure> {
    match client.stat(url).await {
        Ok(entry) => {
            let kind = if entry.is_dir() { EntryKind::Dir } else { entry.kind().clone() };
            let mut target = None;
            if entry.is_symlink()
                && kind != EntryKind::Dir
                && let Some(path) = entry.link_target().filter(|path| path.starts_with(b"/"))
                && let Ok(behind) = url.with_path(path)
                // A server that shows only a part of its files may name one that is not in it.
                && client.stat(&behind).await.is_ok_and(|entry| entry.is_file())
            {
                target = Some(behind);
            }
            Ok(Some(Found { kind, target }))
        }
        Err(error) => match error.kind() {
            ErrorKind::NotFound => Ok(None),
            // It cannot tell, or says no in words that nobody knows; what it does with the file will tell.
            ErrorKind::Unsupported | ErrorKind::Refused => {
                Ok(Some(Found { kind: EntryKind::Unknown, target: None }))
            }
            _ => Err(failed(error)),
        },
    }
}

/// Makes the folders above `url` that are missing.
async fn make_folders(client: &Client, url: &Url) -> Result<(), Failure> {
    let mut missing = Vec::new();
    let mut next = url.parent();
    // Upwards until one is there or can be made …
    while let Some(folder) = next {
        if folder.file_name().is_none() || missing.len() >= MAX_FOLDERS {
            break;
        }
        match client.create_dir(&folder).await {
            Ok(()) => break,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // It may be there all the same: not every server says so in words that can be known.
            Err(error) => {
                if client.stat(&folder).await.is_ok_and(|entry| entry.is_dir()) {
                    break;
                }
                return Err(failed(error));
            }
        }
        next = folder.parent();
        missing.push(folder);
    }
    // … and down again.
    while let Some(folder) = missing.pop() {
        match client.create_dir(&folder).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

fn failed(error: Error) -> Failure {
    Failure::remote(End::Destination, error)
}
