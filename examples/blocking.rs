//! A program that is not async: a runtime of its own, and a function that waits.
//!
//! `cargo run --example blocking -- gsiftp://dtn.example.org/data/run7 run7`

use std::future::IntoFuture as _;

use gridftp::{Client, TransferReport};

/// A client with the runtime that drives it. Many threads can use one at the same time.
struct Blocking {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Blocking {
    fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        Ok(Self { runtime, client: Client::new()? })
    }

    fn transfer(&self, from: &str, to: &str) -> gridftp::Result<TransferReport> {
        self.runtime.block_on(self.client.transfer(from, to).recursive(true).into_future())
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = &arguments[..] else { anyhow::bail!("expected: FROM TO") };
    let blocking = Blocking::new()?;
    let report = blocking.transfer(from, to)?;
    anyhow::ensure!(report.is_complete(), "{report}: {:?}", report.errors());
    eprintln!("{report}");
    Ok(())
}
