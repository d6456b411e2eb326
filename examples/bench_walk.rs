//! How long it takes to list a folder, or to walk a tree, and how much memory that needs.
//!
//! `bench_walk list URL` and `bench_walk walk URL [stream]` print the entries found, seconds, and the most memory the
//! process had, in MiB.

use std::time::Instant;

use gridftp::options::TransferMode;
use gridftp::{Client, Result};

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let client = Client::new()?;
    let begin = Instant::now();
    let mut count = 0_u64;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list", url] => {
            let mut list = client.list(url);
            while list.next_entry().await?.is_some() {
                count += 1;
            }
        }
        ["walk", url, ref rest @ ..] => {
            let mode = if rest == ["stream"] { TransferMode::Stream } else { TransferMode::Auto };
            let mut walk = client.walk(url).mode(mode);
            while walk.next_entry().await?.is_some() {
                count += 1;
            }
        }
        _ => {
            eprintln!("usage: bench_walk list URL | bench_walk walk URL [stream]");
            std::process::exit(2);
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("{count} entries, {seconds:.3} s, {:.1} MiB at most", peak_mib());
    Ok(())
}

/// `VmHWM` of this process.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0) / 1024.0
}
