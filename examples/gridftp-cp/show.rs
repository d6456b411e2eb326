//! `-list`: what is in a folder, or a file, as `globus-url-copy` shows it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use futures_util::TryStreamExt as _;
use gridftp::{Client, Entry};

use crate::failure::{End, Failure};
use crate::location::Location;

/// Lists it on standard output.
pub(crate) async fn list(client: &Client, what: &OsStr) -> Result<(), Failure> {
    let location = Location::parse(what)?;
    let mut names: Vec<(Vec<u8>, bool)> = Vec::new();
    match &location {
        Location::Stdio => return Err(Failure::usage("-list - : expected the URL of a folder or file")),
        Location::Local(path) => {
            let failed =
                |error| Failure::local(format!("cannot list {}", path.display()), error).at(End::Source);
            if path.is_dir() {
                for entry in std::fs::read_dir(path).map_err(failed)? {
                    let entry = entry.map_err(failed)?;
                    names.push((entry.file_name().as_bytes().to_vec(), entry.path().is_dir()));
                }
            } else {
                std::fs::symlink_metadata(path).map_err(failed)?;
                names.push((path.file_name().unwrap_or(path.as_os_str()).as_bytes().to_vec(), false));
            }
        }
        Location::Remote(url) => {
            let failed = |error| Failure::remote(End::Source, error);
            let entries: Vec<Entry> = client.list(url).try_collect().await.map_err(failed)?;
            names.extend(entries.iter().map(|entry| (entry.name().to_vec(), entry.is_dir())));
        }
    }
    names.sort();
    let mut text = format!("{location}\n");
    for (name, is_folder) in names {
        let shown: String = String::from_utf8_lossy(&name)
            .chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
            .collect();
        let _ = writeln!(text, "    {shown}{}", if is_folder { "/" } else { "" });
    }
    crate::progress::say(false, &text);
    Ok(())
}
