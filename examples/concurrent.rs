//! Fetches any number of files at once over a few sessions, and goes on when some of them fail.
//!
//! `cargo run --example concurrent -- [-n SESSIONS] ftp://ftp.example.org/pub/a ftp://ftp.example.org/pub/b …`

use anyhow::{Result, anyhow, bail};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use gridftp::{Client, ErrorKind};

// Thousands of sessions at once: data connections may have descriptors of 1024 and more. Read its documentation first.
gridftp::large_fd!();

#[tokio::main]
async fn main() -> Result<()> {
    let mut urls: Vec<String> = std::env::args().skip(1).collect();
    let mut sessions = 4;
    if urls.first().is_some_and(|word| word == "-n") {
        let number = urls.drain(..2.min(urls.len())).nth(1);
        sessions = number.ok_or_else(|| anyhow!("-n needs a number of sessions"))?.parse()?;
    }
    let client = Client::builder().sessions_per_endpoint(sessions).build()?;

    // All are started at once. The client decides how many connections live; the others wait their turn.
    let mut fetches: FuturesUnordered<_> = urls
        .into_iter()
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
