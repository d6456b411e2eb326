//! Fetches any number of files at once over a few sessions, and goes on when some of them fail.
//!
//! `cargo run --example concurrent -- ftp://ftp.example.org/pub/a ftp://ftp.example.org/pub/b …`

use anyhow::{Result, bail};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use gridftp::{Client, ErrorKind};

#[tokio::main]
async fn main() -> Result<()> {
    let client = Client::builder().sessions_per_endpoint(4).build()?;

    // All are started at once. The client decides how many connections live; the others wait their turn.
    let mut fetches: FuturesUnordered<_> = std::env::args()
        .skip(1)
        .map(|url| {
            let client = client.clone();
            async move {
                let result = async { client.get(&url).await?.bytes().await }.await;
                (url, result)
            }
        })
        .collect();

    let mut failed = 0;
    while let Some((url, result)) = fetches.next().await {
        match result {
            Ok(contents) => eprintln!("{url}: {} bytes", contents.len()),
            Err(error) => {
                failed += 1;
                let advice = match error.kind() {
                    ErrorKind::NotFound => "there is no such file",
                    _ if error.is_transient() => "try again later",
                    _ => "trying again will not help",
                };
                eprintln!("{error} ({advice})");
            }
        }
    }
    let metrics = client.metrics();
    eprintln!("{} connections were made for all of them", metrics.connects);
    if failed > 0 {
        bail!("{failed} files could not be fetched");
    }
    Ok(())
}
