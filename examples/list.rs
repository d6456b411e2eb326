//! Lists a folder, or with `-r` everything below it: kind, size and name of each entry.
//!
//! ```sh
//! cargo run --example list -- [-r] gsiftp://dtn.example.org/data
//! ```
#![allow(clippy::print_stdout)]

use anyhow::Context as _;
use gridftp::{Client, Entry, EntryKind};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let url = arguments.pop().context("expected a URL")?;
    let client = Client::new()?;
    if arguments.iter().any(|argument| argument == "-r") {
        let mut walk = client.walk(&url);
        while let Some(found) = walk.next_entry().await? {
            show(found.entry(), &found.path());
        }
    } else {
        let mut list = client.list(&url);
        while let Some(entry) = list.next_entry().await? {
            show(&entry, entry.name());
        }
    }
    Ok(())
}

/// A server can write anything into a name, also what a terminal would obey.
fn show(entry: &Entry, name: &[u8]) {
    let kind = match entry.kind() {
        EntryKind::Dir => 'd',
        EntryKind::File => '-',
        EntryKind::Symlink => 'l',
        _ => '?',
    };
    let size = entry.size().map_or_else(|| "-".to_owned(), |size| size.to_string());
    println!("{kind} {size:>15} {}", name.escape_ascii());
}
