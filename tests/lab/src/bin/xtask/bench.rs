//! `cargo xtask bench`: what the rows of docs/performance.md say, measured against the peer each one names.
//!
//! Everything is measured anew: nothing here knows a figure. The rows are in `rows`, how a pair of programs is run in
//! `measure`, what is kept in `results`, and what is made of that in `render`.

mod charts;
mod draw;
mod figures;
mod free;
mod lab;
mod machine;
mod measure;
mod peers;
mod raw;
pub(crate) mod render;
mod results;
mod rows;
mod session;
mod table;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::deps;
use results::Results;
use rows::RowName;
use session::Session;

/// What to measure.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Rows of docs/performance.md, like P1 P7; all of them, if there is none
    #[arg(value_name = "ROW")]
    rows: Vec<RowName>,
    #[command(flatten)]
    how: How,
}

/// How, and what becomes of the figures.
#[derive(clap::Args, Clone)]
pub(crate) struct How {
    /// How many pairs a row takes
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Small files, one pair, programs that are not optimised: to see that everything runs, not for figures
    #[arg(long, conflicts_with_all = ["record", "json"])]
    quick: bool,
    /// Keep the figures in a file; what it has of the same rows is replaced
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the figures in docs/performance/results.json, and write docs/performance.md anew
    #[arg(long)]
    record: bool,
}

#[derive(clap::Subcommand)]
enum What {
    /// Series for the charts: files against distance, speed against loss, cost against size
    Charts {
        /// Only charts whose name contains this
        #[arg(value_name = "TEXT", default_value = "")]
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// Writes docs/performance.md and its charts out of what is recorded
    Render,
    /// Anything else, against globus-url-copy: sizes, links and flags as given
    Free(free::Args),
    /// The ends of plain TCP
    #[command(subcommand, hide = true)]
    Raw(raw::Raw),
}

/// Measures and prints the table.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(What::Raw(raw)) = &args.what {
        return raw::run(raw);
    }
    if let Some(What::Render) = &args.what {
        return render::write().map(|written| println!("Written: {}", written.join(", ")));
    }
    deps::ensure(deps::Wanted::Programs)?;
    match &args.what {
        Some(What::Free(args)) => free::run(args),
        Some(What::Charts { name, how }) => {
            let mut session = Session::new(how.pairs, how.quick);
            // One by one, as all of them take a while.
            for chart in charts::named(name) {
                let charts = chart.measure(&mut session);
                keep(how, Results { charts, ..Results::default() }, &[])?;
            }
            ended_well(&session)
        }
        _ => {
            let session = measured(&args.rows, &args.how)?;
            table::show(&session.lines, &session.not_run, !args.how.quick);
            ended_well(&session)
        }
    }
}

/// Every row once, with small files: a step of `cargo xtask test`. Tells which could not be run.
pub(crate) fn quick() -> Result<String> {
    let how = How { pairs: 1, quick: true, json: None, record: false };
    let session = measured(&[], &how)?;
    table::show(&session.lines, &session.not_run, false);
    ended_well(&session)?;
    let told = format!("{} comparisons ran", session.lines.len());
    if session.not_run.is_empty() {
        return Ok(told);
    }
    let (mut names, mut why): (Vec<_>, Vec<_>) = session.not_run.iter().cloned().unzip();
    names.dedup();
    why.sort();
    why.dedup();
    Ok(format!("{told}; not run: {} ({})", names.join(", "), why.join("; ")))
}

fn measured(rows: &[RowName], how: &How) -> Result<Session> {
    let mut session = Session::new(how.pairs, how.quick);
    // After each row, as all of them take long.
    rows::run(&mut session, rows, &|session| {
        keep(how, Results { lines: session.lines.clone(), ..Results::default() }, &session.whole())
    })?;
    Ok(session)
}

fn keep(how: &How, mut new: Results, whole: &[u8]) -> Result<()> {
    if how.json.is_none() && !how.record {
        return Ok(());
    }
    new.machine = machine::Machine::here();
    if let Some(path) = &how.json {
        let mut kept = Results::load(path)?;
        kept.merge(new.clone(), whole);
        kept.save(path)?;
    }
    if how.record {
        let path = Results::path();
        let mut kept = Results::load(&path)?;
        let dropped = kept.merge(new, whole);
        if dropped > 0 {
            println!("This is another machine: {dropped} lines and charts of the former one were dropped.");
        }
        kept.save(&path)?;
        render::write()?;
    }
    Ok(())
}

fn ended_well(session: &Session) -> Result<()> {
    if session.failed.is_empty() {
        return Ok(());
    }
    let failed: Vec<_> = session.failed.iter().map(|(what, why)| format!("{what}: {why}")).collect();
    bail!("{} failed:\n{}", failed.len(), failed.join("\n"))
}
