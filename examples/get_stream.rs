//! Reads a file from a server as a stream, line by line, without storing it anywhere.
//!
//! `cargo run --example get_stream -- ftp://ftp.example.org/pub/README` counts the lines of a text file and shows the
//! longest one's length; the file may be larger than memory.

use anyhow::{Context as _, Result};
use gridftp::Client;
use tokio::io::AsyncBufReadExt as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let url = std::env::args().nth(1).context("usage: get_stream URL")?;
    let client = Client::new()?;

    // The server has accepted when this returns; data comes as it is read, and no faster.
    let get = client.get(&url).await?;
    if let Some(bytes) = get.size() {
        eprintln!("{url} has {bytes} bytes");
    }

    let mut reader = get.into_reader();
    let (mut lines, mut longest) = (0_u64, 0);
    let mut line = Vec::new();
    // The end is reported only when the server has confirmed it and the size was right: a broken transfer is an error here.
    while reader.read_until(b'\n', &mut line).await? > 0 {
        lines += 1;
        longest = longest.max(line.trim_ascii_end().len());
        line.clear();
    }
    eprintln!("{lines} lines, the longest of {longest} bytes");
    Ok(())
}
