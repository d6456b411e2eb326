//! A mixed load for minutes or hours: gets, puts, listings, transfers between servers, dropped at random, each compared with
//! what it must give. `cargo xtask soak` starts the servers, breaks some of them, and looks at what is left.
//!
//! It works in rounds. After each one everything is let go, and what the process holds is compared with what it held after
//! the first: memory and descriptors must not grow.
#![allow(clippy::print_stdout, reason = "this is a program for people")]

mod contents;
mod gauge;
mod site;
mod tally;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use gridftp::options::Timeouts;
use gridftp::{Client, engine_metrics};

use contents::Random;
use gauge::Held;
use site::{Place, Site};
use tally::Tally;
use work::{KINDS, Work};

/// The limit of each wait; servers are killed in the middle of things.
const PATIENCE: Duration = Duration::from_secs(15);

/// Nothing takes that long, however busy the machine.
const HUNG: Duration = Duration::from_secs(240);

/// A mixed load against GridFTP servers.
#[derive(Debug, Parser)]
struct Args {
    /// How long, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Operations under way at a time
    #[arg(long, default_value_t = 16)]
    tasks: u64,
    /// The length of a round, in seconds
    #[arg(long, default_value_t = 15)]
    round: u64,
    /// The folder that all servers see: `sources` lists what is in `source/`
    #[arg(long)]
    folder: PathBuf,
    /// Servers, as name[,troubled][,striped]=URL; the first must be calm
    #[arg(required = true)]
    places: Vec<Place>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let (site, tally) = (Arc::new(Site::open(&args.folder, args.places)?), Arc::new(Tally::default()));
    let next = Arc::new(AtomicU64::new(0));
    gridftp::init()?;
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let mut rounds: Vec<Held> = Vec::new();
    while Instant::now() < end {
        let until = end.min(Instant::now() + Duration::from_secs(args.round));
        round(&site, &tally, &next, args.tasks, until).await;
        settle(&tally).await;
        rounds.push(Held::now());
        println!("round {}: {}; {tally}", rounds.len(), rounds[rounds.len() - 1]);
    }
    site.write_manifest()?;
    // The first rounds warm up: allocators and pools take what they will need.
    let warm = rounds.len().div_ceil(5).min(rounds.len().saturating_sub(1)).max(1) - 1;
    if let (Some(before), Some(last)) = (rounds.get(warm), rounds.last()) {
        if let Some(growth) = last.grown_since(*before) {
            tally.wrong(format!("{growth} between round {} and {}", warm + 1, rounds.len()));
        }
        println!("from {before} to {last}");
    }
    let m = engine_metrics();
    println!("{tally}; parked {}, lost buffers {}, strays {}", m.parked, m.lost_buffers, m.strays);
    let (wrongs, reasons) = tally.wrongs();
    for reason in &reasons {
        println!("WRONG: {reason}");
    }
    Ok(if wrongs == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Keeps so many operations under way until the time is over, and waits for the last of them.
async fn round(site: &Arc<Site>, tally: &Arc<Tally>, next: &Arc<AtomicU64>, tasks: u64, until: Instant) {
    let limits = Timeouts::default().connect(PATIENCE).reply(PATIENCE).first_byte(PATIENCE).stall(PATIENCE);
    let client = match Client::builder().timeouts(limits).build() {
        Ok(client) => client,
        Err(error) => return tally.wrong(error.to_string()),
    };
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let (site, tally, next, client) =
            (Arc::clone(site), Arc::clone(tally), Arc::clone(next), client.clone());
        all.spawn(async move {
            while Instant::now() < until {
                let number = next.fetch_add(1, Ordering::Relaxed);
                one(&site, &tally, &client, number).await;
            }
        });
    }
    while let Some(ended) = all.join_next().await {
        if let Err(panic) = ended {
            tally.wrong(format!("a task panicked: {panic}"));
        }
    }
}

/// One operation, and perhaps its drop.
async fn one(site: &Site, tally: &Tally, client: &Client, number: u64) {
    let mut random = Random::new(number + 1);
    let place = usize::try_from(random.below(site.places.len() as u64)).unwrap_or(0);
    let kind = KINDS[usize::try_from(random.below(KINDS.len() as u64)).unwrap_or(0)];
    let work = Work { site, client, tally, place, number };
    let calm = site.places[place].calm;
    let drops = random.one_in(6);
    let limit = if drops { Duration::from_micros(random.below(60_000)) } else { HUNG };
    match tokio::time::timeout(limit, work.run(kind, random)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => judge(tally, calm, kind, &error),
        Err(_) if drops => return tally.dropped(),
        Err(_) => return tally.wrong(format!("{kind} on {} hangs", site.places[place].name)),
    }
    match tokio::time::timeout(HUNG, work.tidy()).await {
        Ok(Ok(())) => {}
        // The file may be on any of the places.
        Ok(Err(error)) => judge(tally, false, "tidy", &error),
        Err(_) => tally.wrong("fetching a file back hangs".into()),
    }
}

/// Errors belong where something is broken, and nowhere else; what is no error of the library is a wrong result.
fn judge(tally: &Tally, calm: bool, kind: &str, error: &anyhow::Error) {
    match error.downcast_ref::<gridftp::Error>() {
        Some(error) if !calm => tally.error(format!("{:?}", error.kind())),
        None if !calm && error.downcast_ref::<std::io::Error>().is_some() => tally.error("Io".into()),
        _ => tally.wrong(format!("{kind}: {error:#}")),
    }
}

/// Waits until what was dropped has been cleaned up.
async fn settle(tally: &Tally) {
    let limit = Instant::now() + PATIENCE * 2;
    loop {
        let m = engine_metrics();
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        if (m.ports, m.registered, m.buffers_out, m.credentials, m.contexts, tasks) == (0, 0, 0, 0, 0, 0) {
            return;
        }
        if Instant::now() > limit {
            return tally.wrong(format!("not at rest after {:?}: {tasks} tasks, {m:?}", PATIENCE * 2));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
