//! The cases, by what they attack.

mod control;
mod extended;
mod listings;
mod login;
mod puts;
mod transfers;

use std::time::Duration;

use gridftp::options::TransferMode;
use gridftp::{ErrorKind, Phase, Side};
use gridftp_lab::hostile::{Act, Play, Step};
use gridftp_lab::random_bytes;

use super::ours::{Done, LIMIT};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Get,
    GetE(u16),
    GetStriped,
    GetTwice,
    GetProgram(&'static [&'static str]),
    GetMany,
    Crowd,
    /// In stream mode for 0, else in extended block mode over so many connections.
    Put(u16),
    PutLarge,
    PutProgram(&'static [&'static str]),
    List,
    Walk(TransferMode),
    RemoveAll,
    RemoveFile,
    Stat,
    Size,
    Modified,
    Checksum,
    /// From the hostile server to a good one.
    Third,
    /// From a good server to the hostile one.
    ThirdTo,
    /// A login with a credential.
    Gsi,
    /// A login at a real server, with words put into its mouth behind it.
    Spliced {
        words: &'static str,
        instead: bool,
    },
}

type Judge = fn(&Done) -> Result<String, String>;

/// How it has to end.
pub(super) enum Expect {
    Fails(ErrorKind, Side, Phase),
    /// In either of two phases: what the network brings first is not ours to say.
    FailsIn(ErrorKind, Side, [Phase; 2]),
    /// With the contents of the file, whatever the server did.
    Right,
    That(Judge),
}

pub(super) struct Case {
    pub(super) name: &'static str,
    /// The server, given the port of the victim.
    pub(super) play: Box<dyn Fn(u16) -> Play + Send + Sync>,
    pub(super) op: Op,
    pub(super) expect: Expect,
    /// How long it may take.
    pub(super) within: Duration,
    /// Each of our deadlines.
    pub(super) limit: Duration,
}

impl Case {
    /// A case that may take one deadline, and what a busy machine adds.
    fn new(
        name: &'static str,
        op: Op,
        expect: Expect,
        play: impl Fn() -> Play + Send + Sync + 'static,
    ) -> Self {
        Self::with_victim(name, op, expect, move |_| play())
    }

    fn with_victim(
        name: &'static str,
        op: Op,
        expect: Expect,
        play: impl Fn(u16) -> Play + Send + Sync + 'static,
    ) -> Self {
        Self { name, play: Box::new(play), op, expect, within: LIMIT + Duration::from_secs(2), limit: LIMIT }
    }

    /// One misdeed, at a server with the usual files.
    fn at(name: &'static str, op: Op, step: Step, act: Act, expect: Expect) -> Self {
        Self::new(name, op, expect, move || base().at(step, act.clone()))
    }

    /// With other deadlines than the usual ones.
    fn limited(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// It may take so much more.
    fn and(mut self, more: Duration) -> Self {
        self.within += more;
        self
    }
}

fn fails(kind: ErrorKind, phase: Phase) -> Expect {
    Expect::Fails(kind, Side::Server, phase)
}

/// The end of the data and the server's word race each other.
fn fails_late(kind: ErrorKind) -> Expect {
    Expect::FailsIn(kind, Side::Server, [Phase::Data, Phase::Completion])
}

/// Bytes of the file of most cases: more than one block of C's.
const LENGTH: usize = 700_000;

/// What the file of most cases holds.
pub(super) fn contents() -> Vec<u8> {
    random_bytes(1, LENGTH)
}

/// What the files of a pipeline hold.
pub(super) fn contents_of(index: usize) -> Vec<u8> {
    random_bytes(index as u64 + 10, 50_000 + index)
}

/// A good server with the files that are asked for.
fn base() -> Play {
    let play =
        Play::new().file("/f", contents()).folder("/in").file("/keep/treasure", "treasure").folder("/d");
    (0..6).fold(play, |play, n| play.file(&format!("/many/{n}"), contents_of(n)))
}

pub(super) fn all() -> Vec<Case> {
    [
        login::cases(),
        control::cases(),
        transfers::cases(),
        extended::cases(),
        listings::cases(),
        puts::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn good(what: &str) -> Result<String, String> {
    Ok(what.to_owned())
}

/// A judge's complaint.
fn ensure(condition: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what()) }
}
