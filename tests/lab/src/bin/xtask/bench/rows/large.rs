//! One large file: P1 to P4, P9, P17 and P20.

use std::path::{Path, PathBuf};

use anyhow::Result;
use gridftp_lab::packages;

use super::super::figures::{Goal, Spread};
use super::super::lab::{Lab, Original, Plan, check_tree, clear, file_url};
use super::super::measure::Contest;
use super::super::raw::Sender;
use super::super::session::{Entry, Session, called, size, words};

/// The link of the rows that have one.
pub(crate) const FAR: &str = "rtt=50ms rate=1gbit";
const LOSSY: &str = "rtt=50ms rate=1gbit loss=0.1%";

const HASHED: &str = "SHA-256 of the copy after each run";
const NULL: &str = "not at all: the data goes to /dev/null";

/// Where a copy goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Fetched, and thrown away.
    Null,
    /// Fetched into a file.
    Get,
    /// Stored at the server.
    Put,
}

/// A program and its flags.
struct Copier<'a> {
    program: &'a Path,
    flags: &'a str,
}

/// One file from here to there, by ours and by another program.
struct Copy<'a> {
    row: u8,
    case: String,
    way: Way,
    goal: Option<Goal>,
    ours: Copier<'a>,
    peer: Copier<'a>,
    /// Instead of the peer's name.
    peer_name: Option<&'a str>,
}

impl Copy<'_> {
    fn measure(self, session: &mut Session, lab: &Lab, original: &Original) {
        let (source, copy) = (lab.path("source"), lab.path("copy"));
        let ends = match self.way {
            Way::Null => [lab.url("source"), "file:///dev/null".to_owned()],
            Way::Get => [lab.url("source"), file_url(&copy)],
            Way::Put => [file_url(&source), lab.url("copy")],
        };
        let ends = [ends[0].as_str(), ends[1].as_str()];
        let command = |side: &Copier<'_>| lab.command(side.program, &words(side.flags, &ends));
        let peer = self.peer_name.map_or_else(|| called(self.peer.program, self.peer.flags), str::to_owned);
        let entry = Entry {
            row: self.row,
            case: self.case.clone(),
            program: &called(self.ours.program, self.ours.flags),
            peer: &peer,
            goal: self.goal,
            bytes: original.bytes,
            checked: if self.way == Way::Null { NULL } else { HASHED },
            ..Entry::default()
        };
        let contest = Contest {
            ours: &|| command(&self.ours),
            peer: Some(&|| command(&self.peer)),
            before: &|| clear(&copy),
            after: &|_| if self.way == Way::Null { Ok(()) } else { original.check(&copy) },
            told: None,
        };
        session.measure(&entry, &contest);
    }
}

/// A server with a large file, and the programs.
struct Stage {
    lab: Lab,
    original: Original,
    ours: PathBuf,
    guc: PathBuf,
}

impl Stage {
    fn new(session: &mut Session, plan: Plan<'_>, bytes: u64) -> Result<Self> {
        let lab = Lab::new(plan)?;
        Self::at(session, lab, bytes)
    }

    fn at(session: &mut Session, lab: Lab, bytes: u64) -> Result<Self> {
        let original = lab.file("source", bytes)?;
        Ok(Self { lab, original, ours: session.program("gridftp-cp")?, guc: packages::URL_COPY.program()? })
    }

    fn run(&self, session: &mut Session, row: u8, what: &str, way: Way, goal: f64, flags: [&str; 2]) {
        let copy = Copy {
            row,
            case: format!("{} {what}", size(self.original.bytes)),
            way,
            goal: Some(Goal::RatioAtMost(goal)),
            ours: Copier { program: &self.ours, flags: flags[0] },
            peer: Copier { program: &self.guc, flags: flags[1] },
            peer_name: None,
        };
        copy.measure(session, &self.lab, &self.original);
    }
}

fn full(session: &Session) -> u64 {
    session.sized(2 << 30, 16 << 20)
}

/// P1.
pub(super) fn to_null(session: &mut Session) -> Result<()> {
    let bytes = full(session);
    let stage = Stage::new(session, Plan::default(), bytes)?;
    stage.run(session, 1, "get to /dev/null", Way::Null, 0.85, ["", "-fast -p 8"]);
    // One connection and one process of the server, as in plain TCP.
    let sender = Sender::start(&stage.lab.path("source"))?;
    let (from, flags) = (stage.lab.url("source"), "--concurrency 1");
    let entry = Entry {
        row: 1,
        case: format!("{} get to /dev/null, one session", size(bytes)),
        program: &called(&stage.ours, flags),
        peer: "TCP alone, sendfile to recv",
        goal: Some(Goal::RatioAtMost(1.08)),
        bytes,
        checked: NULL,
        ..Entry::default()
    };
    let contest = Contest {
        ours: &|| stage.lab.command(&stage.ours, &words(flags, &[&from, "/dev/null"])),
        peer: Some(&|| sender.receiver(bytes)),
        before: &|| Ok(()),
        after: &|_| Ok(()),
        told: None,
    };
    session.measure(&entry, &contest);
    Ok(())
}

/// P2.
pub(super) fn to_file(session: &mut Session) -> Result<()> {
    let stage = Stage::new(session, Plan::default(), full(session))?;
    for flags in ["", "-fast -p 4"] {
        stage.run(session, 2, "get to a file", Way::Get, 0.75, ["", flags]);
    }
    Ok(())
}

/// P3.
pub(super) fn put(session: &mut Session) -> Result<()> {
    let stage = Stage::new(session, Plan::default(), full(session))?;
    for flags in ["", "-bs 262144"] {
        stage.run(session, 3, "put", Way::Put, 0.90, ["", flags]);
    }
    Ok(())
}

/// P4.
pub(super) fn private(session: &mut Session) -> Result<()> {
    let stage = Stage::new(session, Plan { gsi: true, ..Plan::default() }, full(session))?;
    stage.run(session, 4, "get to a file, encrypted", Way::Get, 0.65, ["--dcpriv", "-fast -dcpriv"]);
    Ok(())
}

/// P9.
pub(super) fn far(session: &mut Session) -> Result<()> {
    let Some(lab) = session.across("P9", Plan { wan: Some(FAR), ..Plan::default() })? else { return Ok(()) };
    let stage = Stage::at(session, lab, session.sized(512 << 20, 8 << 20))?;
    for flags in ["", "-fast -p 32"] {
        stage.run(session, 9, "get, 50 ms, no loss", Way::Get, 0.98, ["", flags]);
    }
    stage.lab.set_link(LOSSY)?;
    stage.run(session, 9, "get, 50 ms, 0.1 % lost", Way::Get, 1.0, ["", "-fast -p 64"]);
    // One stream with loss is so slow that a smaller file has to do, for both.
    let small = session.sized(64 << 20, 2 << 20);
    let Stage { lab, .. } = stage;
    clear(&lab.path("source"))?;
    let stage = Stage::at(session, lab, small)?;
    stage.run(session, 9, "get, 50 ms, 0.1 % lost", Way::Get, 0.05, ["", ""]);
    Ok(())
}

/// P20.
pub(super) fn striped(session: &mut Session) -> Result<()> {
    let stage = Stage::new(session, Plan { nodes: 2, ..Plan::default() }, full(session))?;
    stage.run(session, 20, "get to a file, 2 data nodes", Way::Get, 1.0, ["", "-fast -stripe"]);
    // For comparison: asked for, instead of found.
    let what = "get to a file, 2 data nodes, ours with --stripe";
    stage.run(session, 20, what, Way::Get, 1.0, ["--stripe", "-fast -stripe"]);
    Ok(())
}

/// P17: ours against ours.
pub(super) fn verified(session: &mut Session) -> Result<()> {
    let stage = Stage::new(session, Plan::default(), full(session))?;
    let case = format!("{} get to a file, verified", size(stage.original.bytes));
    let copy = Copy {
        row: 17,
        case: case.clone(),
        way: Way::Get,
        goal: None,
        ours: Copier { program: &stage.ours, flags: "--verify checksum" },
        peer: Copier { program: &stage.ours, flags: "" },
        peer_name: Some("the same, not verified"),
    };
    copy.measure(session, &stage.lab, &stage.original);
    processor_alone(session, &case);

    // With many files the server computes while others move.
    let Stage { lab, ours, .. } = stage;
    clear(&lab.path("source"))?;
    let (count, each) = (session.sized(64, 8), session.sized(32 << 20, 1 << 20));
    let tree = lab.tree("tree", count, each, 0)?;
    let (from, copy) = (format!("{}/", lab.url("tree")), lab.path("copy"));
    let to = format!("{}/", file_url(&copy));
    let case = format!("{count} x {} get, verified", size(each));
    let entry = Entry {
        row: 17,
        case: case.clone(),
        program: "gridftp-cp -r --verify checksum",
        peer: "the same, not verified",
        bytes: count * each,
        checked: HASHED,
        ..Entry::default()
    };
    let contest = Contest {
        ours: &|| lab.command(&ours, &["-r", "--verify", "checksum", &from, &to]),
        peer: Some(&|| lab.command(&ours, &["-r", &from, &to])),
        before: &|| clear(&copy),
        after: &|_| check_tree(&tree, &copy),
        told: None,
    };
    session.measure(&entry, &contest);
    processor_alone(session, &case);
    Ok(())
}

/// What is promised is about this side: the server's own work costs time where nothing else is left to be done meanwhile.
fn processor_alone(session: &mut Session, case: &str) {
    let Some(line) = session.lines.iter().rev().find(|line| line.row == 17 && line.case == case) else {
        return;
    };
    let mut line = line.clone();
    line.case = format!("{case}: processor time of the client");
    line.unit = "CPU s".to_owned();
    line.goal = Some(Goal::RatioAtMost(1.05));
    line.ratio = line.cpu_ratio;
    (line.bytes, line.files) = (0, 0);
    line.ours.figure = line.ours.cpu_seconds.and_then(|seconds| Spread::of([seconds]));
    if let Some(theirs) = &mut line.theirs {
        theirs.figure = theirs.cpu_seconds.and_then(|seconds| Spread::of([seconds]));
    }
    session.lines.push(line);
}
