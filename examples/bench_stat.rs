//! How fast metadata is: `bench_stat URL [COUNT]` asks for one file's facts one at a time, 64 at a time, and COUNT at once.
//!
//! Prints microseconds per operation, and the most descriptors and memory this process had in use.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use gridftp::Client;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(url) = arguments.next() else {
        eprintln!("usage: bench_stat URL [COUNT]");
        return ExitCode::from(2);
    };
    let count = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| Ok(runtime.block_on(measure(&url, count))?))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_stat: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(url: &str, count: usize) -> gridftp::Result<()> {
    let client = Client::new()?;
    let url = gridftp::Url::parse(url)?;
    client.size(&url).await?;

    for _ in 0..3 {
        let begin = Instant::now();
        for _ in 0..2000 {
            client.size(&url).await?;
        }
        report("SIZE, one at a time", begin.elapsed(), 2000);
        let begin = Instant::now();
        for _ in 0..2000 {
            client.stat(&url).await?;
        }
        report("MLST, one at a time", begin.elapsed(), 2000);
        let begin = Instant::now();
        stream::iter((0..count).map(|_| client.stat(&url)))
            .buffer_unordered(64)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        report("MLST, 64 at a time", begin.elapsed(), count);
    }

    let (before, begin) = (memory_kib("VmRSS:"), Instant::now());
    let all: Vec<_> = (0..count).map(|_| client.stat(&url)).collect();
    let mut all = stream::iter(all).buffer_unordered(count);
    let mut descriptors = 0;
    let mut done = 0;
    while let Some(entry) = all.next().await {
        entry?;
        done += 1;
        if done % 1000 == 1 {
            descriptors = descriptors.max(std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count));
        }
    }
    report(&format!("MLST, {count} at once"), begin.elapsed(), count);
    eprintln!(
        "{done} of {count} ended well; at most {descriptors} descriptors; memory {before} KiB before, at most {} KiB",
        memory_kib("VmHWM:")
    );
    Ok(())
}

fn report(what: &str, time: Duration, count: usize) {
    eprintln!("{what:<24} {:8.1} µs each", time.as_secs_f64() * 1e6 / count as f64);
}

fn memory_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}
