//! What is below a folder, for verbs that go through it once.

use gridftp::{Client, Entry, Url, WalkEntry, WalkStream};

use crate::context::{self, Tally};
use crate::failure::Failure;

/// A walk whose failures are told, and counted, while it goes on.
pub(crate) struct Walk {
    stream: WalkStream,
}

impl Walk {
    pub(crate) fn of(client: &Client, url: &Url, depth: Option<usize>) -> Self {
        let stream = client.walk(url);
        Self { stream: if let Some(depth) = depth { stream.max_depth(depth) } else { stream } }
    }

    /// The next thing that was found.
    pub(crate) async fn next(&mut self, tally: &mut Tally) -> Result<Option<WalkEntry>, Failure> {
        loop {
            match self.stream.next_entry().await {
                Ok(found) => return Ok(found),
                Err(error) => tally.add(Err(context::remote(error)))?,
            }
        }
    }
}

/// Whether it is a folder to go into: links lead out of the tree.
pub(crate) fn is_folder(entry: &Entry) -> bool {
    entry.is_dir() && !entry.is_symlink()
}

/// The path of what has this name in a folder.
pub(crate) fn child(folder: &Url, name: &[u8]) -> Vec<u8> {
    let path = folder.path();
    let slash: &[u8] = if path.ends_with(b"/") { b"" } else { b"/" };
    [path, slash, name].concat()
}
