//! Copies a file or tree and shows how far it is: `transfer FROM TO [--sessions N] [--checksums] [--journal FILE]`.
//!
//! `cargo run --release --example transfer -- run7 gsiftp://se.example.org/data/run7 --checksums --journal run7.journal`

use anyhow::Context as _;
use gridftp::Client;
use gridftp::transfer::{Stage, Verify};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: transfer FROM TO [--sessions N] [--checksums] [--journal FILE]";
    let (from, to) = arguments.next().zip(arguments.next()).context(usage)?;
    let mut transfer = Client::new()?.transfer(from, to).recursive(true);
    while let Some(argument) = arguments.next() {
        transfer = match argument.as_str() {
            "--sessions" => transfer.concurrency(arguments.next().context(usage)?.parse::<u16>()?),
            "--checksums" => transfer.verify(Verify::Checksum),
            "--journal" => transfer.journal(arguments.next().context(usage)?),
            _ => anyhow::bail!(usage),
        };
    }
    let transfer = transfer.start()?;
    let mut progress = transfer.progress();
    let shown = tokio::spawn(async move {
        let mut next = std::time::Duration::from_secs(2);
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            if now.elapsed >= next && now.stage != Stage::Over {
                next += std::time::Duration::from_secs(2);
                eprintln!(
                    "{} of {} files, {} MB, {:.1} MB/s, {:.0} files/s, {} sessions, {} left",
                    now.files_done,
                    now.files_found,
                    now.bytes_done >> 20,
                    now.bytes_per_second / 1e6,
                    now.files_per_second,
                    now.sessions,
                    now.eta.map_or_else(|| "some time".to_owned(), |eta| format!("{} s", eta.as_secs())),
                );
            }
        }
    });
    let report = transfer.join().await?;
    shown.await?;
    for entry in report.entries().filter(|entry| entry.outcome.is_failure()) {
        eprintln!("{entry}");
    }
    eprintln!("{report} in {:.2} s", report.elapsed().as_secs_f64());
    anyhow::ensure!(report.is_complete(), "not everything was copied");
    Ok(())
}
