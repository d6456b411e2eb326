//! Many small files: P5 to P8, P12 and P19.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use gridftp_lab::{Tree, packages};

use super::super::figures::Goal;
use super::super::lab::{Lab, Plan, check_tree, clear, file_url};
use super::super::measure::Contest;
use super::super::session::{Entry, Session, called, size, words};
use super::large::FAR;

const HASHED: &str = "SHA-256 of every file after each run";

/// A folder of small files, and a goal.
struct Case<'a> {
    row: u8,
    what: &'a str,
    count: u64,
    bytes: u64,
    put: bool,
    goal: f64,
    peer: &'a str,
}

impl Case<'_> {
    fn measure(&self, session: &mut Session, lab: &Lab) -> Result<()> {
        let tree = lab.tree("source", self.count, self.bytes, 0)?;
        let (ours, guc) = (session.program("gridftp-cp")?, packages::URL_COPY.program()?);
        let (source, copy) = (lab.path("source"), lab.path("copy"));
        // With a slash at the end both copy what is in the folder.
        let ends = if self.put {
            [file_url(&source), lab.url("copy")]
        } else {
            [lab.url("source"), file_url(&copy)]
        };
        let ends = ends.map(|end| format!("{end}/"));
        let ends = [ends[0].as_str(), ends[1].as_str()];
        let flags = format!("-r -cd {}", self.peer);
        let entry = Entry {
            row: self.row,
            case: format!("{} x {} {}", self.count, size(self.bytes), self.what),
            program: "gridftp-cp -r",
            peer: &called(&guc, &flags),
            goal: Some(Goal::RatioAtMost(self.goal)),
            bytes: self.count * self.bytes,
            files: self.count,
            checked: HASHED,
            ..Entry::default()
        };
        let contest = Contest {
            ours: &|| lab.command(&ours, &words("-r", &ends)),
            peer: Some(&|| lab.command(&guc, &words(&flags, &ends))),
            before: &|| clear(&copy),
            after: &|_| check_tree(&tree, &copy),
            told: None,
        };
        session.measure(&entry, &contest);
        Ok(())
    }
}

fn near(session: &mut Session, case: &Case<'_>, plan: Plan<'_>) -> Result<()> {
    let lab = Lab::new(plan)?;
    case.measure(session, &lab)
}

fn far(session: &mut Session, case: &Case<'_>) -> Result<()> {
    let plan = Plan { wan: Some(FAR), ..Plan::default() };
    match session.across(&format!("P{}", case.row), plan)? {
        Some(lab) => case.measure(session, &lab),
        None => Ok(()),
    }
}

/// P5.
pub(super) fn get(session: &mut Session) -> Result<()> {
    let count = session.sized(2000, 200);
    let case = Case { row: 5, what: "get", count, bytes: 4096, put: false, goal: 0.75, peer: "-cc 4 -fast" };
    near(session, &case, Plan::default())
}

/// P6.
pub(super) fn put(session: &mut Session) -> Result<()> {
    let count = session.sized(2000, 200);
    let case =
        Case { row: 6, what: "put", count, bytes: 4096, put: true, goal: 0.80, peer: "-cc 8 -pp -fast" };
    near(session, &case, Plan::default())
}

/// P7.
pub(super) fn get_far(session: &mut Session) -> Result<()> {
    let count = session.sized(2000, 64);
    let what = "get, 50 ms";
    far(session, &Case { row: 7, what, count, bytes: 4096, put: false, goal: 0.25, peer: "-cc 32 -fast" })
}

/// P8.
pub(super) fn put_far(session: &mut Session) -> Result<()> {
    let count = session.sized(2000, 64);
    let what = "put, 50 ms";
    far(session, &Case { row: 8, what, count, bytes: 4096, put: true, goal: 0.20, peer: "-cc 32 -pp -fast" })
}

/// P19.
pub(super) fn gsi(session: &mut Session) -> Result<()> {
    let count = session.sized(400, 40);
    let case = Case { row: 19, what: "get, GSI", count, bytes: 4096, put: false, goal: 0.80, peer: "-fast" };
    near(session, &case, Plan { gsi: true, ..Plan::default() })
}

/// P12.
pub(super) fn third_party(session: &mut Session) -> Result<()> {
    let lab = Lab::new(Plan { two: true, ..Plan::default() })?;
    let (count, bytes) = (session.sized(500, 50), 10 << 10);
    let tree: Tree = lab.tree("source", count, bytes, 0)?;
    let (ours, guc) = (session.program("gridftp-cp")?, packages::URL_COPY.program()?);
    let (list, copy) = (lab.path("list"), lab.path("copy"));
    let mut text = String::new();
    for number in 0..count {
        let (from, to) = (lab.url(&format!("source/f{number}")), lab.second_url(&format!("copy/f{number}"))?);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{from} {to}");
    }
    std::fs::write(&list, text).with_context(|| format!("writing {}", list.display()))?;
    let list = list.display().to_string();
    let flags = "-pp -fast";
    let entry = Entry {
        row: 12,
        case: format!("{count} x {} from server to server", size(bytes)),
        program: "gridftp-cp -f",
        peer: &called(&guc, &format!("{flags} -f")),
        goal: Some(Goal::RatioAtMost(1.0)),
        bytes: count * bytes,
        files: count,
        checked: HASHED,
        ..Entry::default()
    };
    let contest = Contest {
        ours: &|| lab.command(&ours, &["-f", &list]),
        peer: Some(&|| lab.command(&guc, &words(flags, &["-f", &list]))),
        before: &|| {
            clear(&copy)?;
            std::fs::create_dir(&copy).with_context(|| format!("making {}", copy.display()))
        },
        after: &|_| check_tree(&tree, &copy),
        told: None,
    };
    session.measure(&entry, &contest);
    Ok(())
}
