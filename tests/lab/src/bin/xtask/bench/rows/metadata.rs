//! Facts of one file: P13, P16 and P18.

use std::process::Command;

use anyhow::{Context as _, Result};
use gridftp_lab::packages;

use super::super::figures::Goal;
use super::super::lab::{Lab, Plan};
use super::super::measure::Contest;
use super::super::peers;
use super::super::session::{Entry, Session};
use super::large::FAR;

const IN_C: &str = "globus_ftp_client in C, one at a time";

fn with_a_file(plan: Plan<'_>) -> Result<Lab> {
    let lab = Lab::new(plan)?;
    put_a_file(&lab)?;
    Ok(lab)
}

fn put_a_file(lab: &Lab) -> Result<()> {
    std::fs::write(lab.path("file"), "x").context("writing a file")
}

/// P13.
pub(super) fn stat(session: &mut Session) -> Result<()> {
    let lab = with_a_file(Plan::default())?;
    let (ours, peer) = (session.program("bench")?, peers::stat_in_c()?);
    let url = lab.url("file");
    let (few, many) = (session.sized(5000, 200).to_string(), session.sized(20_000, 400).to_string());
    for (case, count, at_once, goal) in
        [("one at a time", &few, "1", 1.3), ("64 at a time", &many, "64", 0.40)]
    {
        let entry = Entry {
            row: 13,
            case: format!("stat (MLST), {case}"),
            program: "examples/bench stat",
            peer: IN_C,
            unit: "µs each",
            goal: Some(Goal::RatioAtMost(goal)),
            checked: "the size in each of our answers, and that each of theirs ends well",
            ..Entry::default()
        };
        let contest = Contest {
            ours: &|| lab.command(&ours, &["stat", &url, count, at_once]),
            peer: Some(&|| lab.command(&peer, &[&url, &few])),
            before: &|| Ok(()),
            after: &|_| Ok(()),
            told: Some("each_us"),
        };
        session.measure(&entry, &contest);
    }
    Ok(())
}

/// P16. Nobody else can be asked: the C library aborts the process.
pub(super) fn waiting(session: &mut Session) -> Result<()> {
    let lab = with_a_file(Plan::default())?;
    let ours = session.program("bench")?;
    let (url, count) = (lab.url("file"), session.sized(10_000, 1000).to_string());
    let entry = Entry {
        row: 16,
        case: format!("{count} operations of one Client under way, memory of each"),
        program: "examples/bench waiting",
        unit: "KiB each",
        goal: Some(Goal::FigureAtMost(4.0)),
        checked: "each one ends well",
        ..Entry::default()
    };
    let contest = Contest {
        ours: &|| lab.command(&ours, &["waiting", &url, &count]),
        peer: None,
        before: &|| Ok(()),
        after: &|_| Ok(()),
        told: Some("kib_each"),
    };
    session.measure(&entry, &contest);
    Ok(())
}

/// P18.
pub(super) fn cold(session: &mut Session) -> Result<()> {
    let plan = Plan { wan: Some(FAR), ..Plan::default() };
    let Some(lab) = session.across("P18", plan)? else { return Ok(()) };
    put_a_file(&lab)?;
    let ours = session.program("gridftp-fs")?;
    let in_c = peers::stat_in_c()?;
    let url = lab.url("file");
    one(session, "ftp, 50 ms", 0.70, &|| lab.command(&ours, &["stat", &url]), IN_C, &|| {
        lab.command(&in_c, &[&url, "1"])
    });
    drop(lab);

    let lab = with_a_file(Plan { gsi: true, ..plan })?;
    let url = lab.url("file");
    let our_command = || lab.command(&ours, &["stat", &url]);
    one(session, "gsiftp, 50 ms", 0.30, &our_command, IN_C, &|| lab.command(&in_c, &[&url, "1"]));
    match peers::find(&packages::GFAL_STAT) {
        Ok(gfal) => {
            one(session, "gsiftp, 50 ms", 0.30, &our_command, "gfal-stat", &|| {
                let mut command = lab.command(&gfal, &[&url]);
                peers::help_gfal(&mut command);
                command
            });
        }
        Err(why) => session.leave_out("P18 gsiftp / gfal-stat", &why),
    }
    Ok(())
}

fn one(
    session: &mut Session,
    case: &str,
    goal: f64,
    ours: &dyn Fn() -> Command,
    peer_name: &str,
    peer: &dyn Fn() -> Command,
) {
    let entry = Entry {
        row: 18,
        case: format!("stat from nothing, {case}"),
        program: "gridftp-fs stat",
        peer: peer_name,
        goal: Some(Goal::RatioAtMost(goal)),
        checked: "the exit code of each run",
        ..Entry::default()
    };
    let contest = Contest { ours, peer: Some(peer), before: &|| Ok(()), after: &|_| Ok(()), told: None };
    session.measure(&entry, &contest);
}
