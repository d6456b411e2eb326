//! Facts of one file, over sessions that are kept: how long one takes, and what one that waits needs of memory.

use std::time::Instant;

use anyhow::{Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gridftp::{Client, Url};

/// The first one, which logs in, is not counted.
pub(crate) async fn stat(url: &str, count: usize, at_once: usize) -> Result<()> {
    let client = Client::new()?;
    let url = Url::parse(url)?;
    let size = client.stat(&url).await?.size();
    if at_once > 1 {
        // As many sessions as it takes are there before it counts.
        ask(&client, &url, size, 4 * at_once, at_once).await?;
    }
    let begun = Instant::now();
    ask(&client, &url, size, count, at_once).await?;
    println!("each_us {:.3}", begun.elapsed().as_secs_f64() * 1e6 / count as f64);
    Ok(())
}

async fn ask(client: &Client, url: &Url, size: Option<u64>, count: usize, at_once: usize) -> Result<()> {
    stream::iter((0..count).map(|_| client.stat(url)))
        .buffer_unordered(at_once)
        .map_err(anyhow::Error::from)
        .try_for_each(|entry| async move {
            if entry.size() != size {
                bail!("the size is another one");
            }
            Ok(())
        })
        .await
}

/// All are begun before the first one can end, and each must end well.
pub(crate) async fn waiting(url: &str, count: usize) -> Result<()> {
    let client = Client::new()?;
    let url = Url::parse(url)?;
    client.stat(&url).await?;
    let before = memory_kib("VmRSS:");
    let begun = Instant::now();
    let all = (0..count).map(|_| client.stat(&url)).collect::<stream::FuturesUnordered<_>>();
    let ended = all.try_fold(0_usize, |ended, _| async move { Ok(ended + 1) }).await?;
    if ended != count {
        bail!("{ended} of {count} ended");
    }
    // The most there ever was, so with what answers need on their way.
    let each = memory_kib("VmHWM:").saturating_sub(before) as f64 / count as f64;
    println!("kib_each {each:.3}");
    println!("each_us {:.3}", begun.elapsed().as_secs_f64() * 1e6 / count as f64);
    Ok(())
}

/// A figure of this process.
fn memory_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}
