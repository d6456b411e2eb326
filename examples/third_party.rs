//! Moves a file from one server to another. Its bytes do not come here; how many have moved does.
//!
//! ```sh
//! cargo run --example third_party -- gsiftp://one.example.org/data/run7.root gsiftp://two.example.org/data/run7.root
//! ```
#![allow(clippy::print_stdout)]

use anyhow::Context as _;
use gridftp::Client;
use gridftp::options::TransferMode;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (from, to) =
        (arguments.next().context("expected two URLs")?, arguments.next().context("expected two URLs")?);
    let client = Client::new()?;
    // In extended block mode the destination tells every few seconds what it has.
    let mut transfer = client.third_party(from, to).mode(TransferMode::ExtendedBlock).await?;
    while transfer.next_marker().await.is_some() {
        println!("{} of {:?} bytes", transfer.received(), transfer.size());
    }
    let summary = transfer.join().await?;
    println!("{:?} bytes at the destination", summary.size);
    Ok(())
}
