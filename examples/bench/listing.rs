//! Entries of folders and trees, with their facts, one after another: nothing is collected.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use gridftp::options::TransferMode;
use gridftp::{Client, Entry};

pub(crate) async fn list(url: &str) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let mut list = Client::new()?.list(url);
    while let Some(entry) = list.next_entry().await? {
        write(&mut out, &entry, entry.name())?;
    }
    out.flush().context("writing")
}

pub(crate) async fn walk(url: &str, stream: bool) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let mode = if stream { TransferMode::Stream } else { TransferMode::Auto };
    let mut walk = Client::new()?.walk(url).mode(mode);
    while let Some(found) = walk.next_entry().await? {
        write(&mut out, found.entry(), &found.path())?;
    }
    out.flush().context("writing")
}

fn write(out: &mut impl std::io::Write, entry: &Entry, name: &[u8]) -> Result<()> {
    let kind = if entry.is_dir() { "dir" } else { "file" };
    let line = format!("{kind} {} {}\n", entry.size().unwrap_or(0), String::from_utf8_lossy(name));
    out.write_all(line.as_bytes()).context("writing")
}
