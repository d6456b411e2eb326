//! A server that falls silent, at every step of every operation: each wait ends by its deadline.
//!
//! Which steps an operation has is not written down here: it runs once against a server that behaves, and every command that
//! was heard is a step, besides those that a connection and a transfer have by themselves. Then it runs once for each step
//! with a server that is mute from there on.

mod operations;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use gridftp::options::Timeouts;
use gridftp::{Client, Error, ErrorKind, Phase, Side, TimeoutKind};
use gridftp_lab::hostile::{Act, Hostile, Play, Step};
use gridftp_lab::{Pki, random_bytes};
use rustix::net::{AddressFamily, SocketType};

use crate::support::trusting;
use operations::{OPERATIONS, Operation, Place, Servers};

const CONNECT: Duration = Duration::from_millis(1400);
const REPLY: Duration = Duration::from_millis(600);
const FIRST_BYTE: Duration = Duration::from_millis(800);
const STALL: Duration = Duration::from_millis(1000);
const TOTAL: Duration = Duration::from_millis(700);
const LONG: Duration = Duration::from_secs(40);

/// What a wait may take beyond its limit.
const GRACE: Duration = Duration::from_secs(1);

/// Beyond this it counts as a hang.
const HANG: Duration = Duration::from_secs(15);

/// Operations at a time: most of them only wait.
const AT_A_TIME: usize = 40;

/// Some blocks of 256 KiB.
const FILE: usize = 1_500_000;

/// Which limits are short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limits {
    /// Each kind of wait has its own.
    Each,
    /// That for connecting and logging in.
    Connect,
    /// That for the whole operation.
    Total,
}

impl Limits {
    fn timeouts(self) -> Timeouts {
        let long = Timeouts::default().connect(LONG).reply(LONG).first_byte(LONG).stall(LONG).checksum(LONG);
        match self {
            Self::Each => {
                long.connect(CONNECT).reply(REPLY).first_byte(FIRST_BYTE).stall(STALL).checksum(REPLY)
            }
            Self::Connect => long.connect(CONNECT),
            Self::Total => long.total(TOTAL),
        }
    }
}

fn limit_of(kind: TimeoutKind, phase: Phase) -> Duration {
    match kind {
        TimeoutKind::Connect => CONNECT,
        // One that does not queue is tried again, one command after the other, under the limit for connecting.
        TimeoutKind::Reply if phase == Phase::Login => CONNECT,
        TimeoutKind::Reply => REPLY,
        TimeoutKind::FirstByte => FIRST_BYTE,
        TimeoutKind::Stall => STALL,
        _ => TOTAL,
    }
}

fn play(operation: &Operation, mute_at: Option<Step>) -> Play {
    let play = Play::new();
    // What was added first is looked at first.
    let play = if let Some(step) = mute_at { play.at(step, Act::Silence) } else { play };
    play.at(Step::Command("SITE"), Act::reply("350 And to where?"))
        // This program's announcement, and SITE SYMLINKFROM; other verbs are none of the two.
        .times(if operation.name == "symlink" { 2 } else { 0 })
        .at(Step::Command("SITE"), Act::reply("250 Done."))
        .at(Step::Command("MFMT"), Act::reply("213 Modify=20010909014640; /small"))
        .folder("/d")
        .file("/d/e/f", "f")
        .file("/d/g", "g")
        .file("/f", contents())
        .file("/small", vec![8; 1000])
        .folder("/empty")
}

/// The same for all servers: making it takes longer than all the rest.
fn contents() -> Vec<u8> {
    static CONTENTS: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENTS.get_or_init(|| random_bytes(7, FILE)).clone()
}

/// What may be said of a server that is mute at a step: kinds with their phases.
fn expected(step: Step, limits: Limits, login: bool, two: bool) -> Vec<(TimeoutKind, &'static [Phase])> {
    use TimeoutKind::{Connect, FirstByte, Reply, Stall, Total};
    const COMMAND: &[Phase] = &[Phase::Command, Phase::DataSetup];
    const ANY: &[Phase] =
        &[Phase::Connect, Phase::Login, Phase::Command, Phase::DataSetup, Phase::Data, Phase::Completion];
    let transfer = !matches!(step, Step::Command(verb) if verb != "RETR" && verb != "STOR");
    match (limits, step) {
        (Limits::Total, _) => vec![(Total, ANY)],
        (Limits::Connect, _) => vec![(Connect, &[Phase::Login])],
        (Limits::Each, Step::Greeting) => vec![(Reply, &[Phase::Login])],
        (Limits::Each, Step::Command(_)) if login => {
            vec![(Reply, &[Phase::Login]), (Connect, &[Phase::Login]), (Reply, COMMAND)]
        }
        // Between two servers nobody can tell which of them waits for the other: it goes by the data.
        (Limits::Each, Step::Command(_)) if !transfer || !two => vec![(Reply, COMMAND)],
        (Limits::Each, _) if two => {
            let moving: &[Phase] = &[Phase::Data, Phase::Completion];
            vec![(FirstByte, moving), (Stall, moving), (Reply, COMMAND)]
        }
        (Limits::Each, Step::Command(_) | Step::Accepted | Step::DataConnect) => vec![(Reply, COMMAND)],
        (Limits::Each, Step::Data { .. } | Step::DataEnd) => {
            vec![(FirstByte, &[Phase::Data]), (Stall, &[Phase::Data, Phase::Completion])]
        }
        (Limits::Each, Step::Final) => {
            vec![(Stall, &[Phase::Data, Phase::Completion]), (FirstByte, &[Phase::Data])]
        }
    }
}

/// One operation, one step, one side, one set of limits.
#[derive(Debug, Clone, Copy)]
struct Case {
    operation: &'static Operation,
    step: Step,
    place: Place,
    limits: Limits,
    login: bool,
}

struct Ended {
    name: String,
    overrun: Duration,
    wrong: Option<String>,
}

const LOGIN: [&str; 4] = ["USER", "PASS", "FEAT", "TYPE"];

/// The steps of an operation on one of its servers.
async fn steps_of(operation: &'static Operation) -> Vec<(Step, Place, bool)> {
    let servers = Servers::start(play(operation, None), play(operation, None));
    let client = Client::builder().timeouts(Timeouts::default().connect(LONG)).build().unwrap();
    let done = tokio::time::timeout(LONG, (operation.run)(client, &servers)).await;
    done.unwrap_or_else(|_| panic!("{}: hangs with a good server", operation.name))
        .unwrap_or_else(|error| println!("BAD {}: {error:?}", operation.name));
    let mut steps = Vec::new();
    for place in operation.places() {
        let heard = servers.at(*place).heard();
        let verbs: BTreeSet<String> =
            heard.iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
        steps.push((Step::Greeting, *place, true));
        for verb in verbs {
            // The reply to QUIT and to the announcement of this program are waited for by nobody.
            if verb != "QUIT" {
                let login = LOGIN.contains(&verb.as_str()) || verb == "SITE";
                steps.push((Step::Command(operations::for_ever(&verb)), *place, login));
            }
        }
        if operation.moves_data {
            for step in [
                Step::DataConnect,
                Step::Accepted,
                Step::Data { after: 0 },
                Step::Data { after: operation.middle },
                Step::DataEnd,
                Step::Final,
            ] {
                steps.push((step, *place, false));
            }
        }
    }
    steps
}

async fn run(case: Case) -> Ended {
    let name = format!(
        "{} mute at {:?}{} ({:?})",
        case.operation.name,
        case.step,
        if case.place == Place::Second { " of the destination" } else { "" },
        case.limits
    );
    let mute = |place| play(case.operation, (place == case.place).then_some(case.step));
    let servers = Servers::start(mute(Place::First), mute(Place::Second));
    let client = Client::builder().timeouts(case.limits.timeouts()).build().unwrap();
    let begun = Instant::now();
    let ended = tokio::time::timeout(HANG, (case.operation.run)(client, &servers)).await;
    let took = begun.elapsed();
    drop(tokio::task::spawn_blocking(move || drop(servers)));
    let (overrun, wrong) = match ended {
        Err(_) => (HANG, Some(format!("hangs for {HANG:?}"))),
        // What the server did not answer was not waited for by anybody.
        Ok(Ok(())) if case.is_unheard() => (Duration::ZERO, None),
        Ok(Ok(())) => (Duration::ZERO, Some("succeeds".to_owned())),
        Ok(Err(error)) => judge(case, &error, took),
    };
    Ended { name, overrun, wrong }
}

impl Case {
    /// Steps whose answer changes nothing for the operation.
    fn is_unheard(self) -> bool {
        self.operation.unheard.contains(&match self.step {
            Step::Command(verb) => verb,
            _ => "",
        })
    }

    fn sides(self) -> &'static [Side] {
        match (self.operation.places().len(), self.place) {
            (1, _) => &[Side::Server],
            // The whole is nobody's alone, and whether data moves depends on both.
            _ if self.limits == Limits::Total || !matches!(self.step, Step::Greeting | Step::Command(_)) => {
                &[Side::Server, Side::Source, Side::Destination]
            }
            _ if matches!(self.step, Step::Command("RETR" | "STOR")) => &[Side::Source, Side::Destination],
            (_, Place::First) => &[Side::Source],
            (_, Place::Second) => &[Side::Destination],
        }
    }
}

fn judge(case: Case, error: &Error, took: Duration) -> (Duration, Option<String>) {
    let ErrorKind::Timeout(kind) = error.kind() else {
        return (Duration::ZERO, Some(format!("is no timeout, after {took:?}: {error:?}")));
    };
    let overrun = took.saturating_sub(limit_of(kind, error.phase()));
    let fits = expected(case.step, case.limits, case.login, case.operation.places().len() > 1)
        .into_iter()
        .any(|(expected, phases)| expected == kind && phases.contains(&error.phase()));
    let side = error.side().is_some_and(|side| case.sides().contains(&side));
    let wrong = if !fits {
        Some(format!("is not what was expected: {error:?}"))
    } else if !side {
        Some(format!("is of the wrong side: {error:?}"))
    } else if overrun > GRACE {
        Some(format!("took {took:?}: {error:?}"))
    } else if !error.is_transient() {
        Some(format!("is not transient: {error:?}"))
    } else {
        None
    };
    (overrun, wrong)
}

#[track_caller]
fn report(what: &str, mut ended: Vec<Ended>, begun: Instant) {
    ended.sort_by_key(|ended| std::cmp::Reverse(ended.overrun));
    let wrong: Vec<_> =
        ended.iter().filter_map(|ended| Some(format!("{}: {}", ended.name, ended.wrong.as_ref()?))).collect();
    println!(
        "{what}: {} combinations mute, {} wrong, the slowest overrun {} ms ({}), {:.1} s",
        ended.len(),
        wrong.len(),
        ended.first().map_or(0, |ended| ended.overrun.as_millis()),
        ended.first().map_or("", |ended| &ended.name),
        begun.elapsed().as_secs_f64(),
    );
    assert!(wrong.is_empty(), "{} wrong:\n{}\n", wrong.len(), wrong.join("\n"));
}

/// Every operation, every step, every kind of limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_ends_at_every_step_where_a_server_can_fall_silent() {
    let begun = Instant::now();
    let only = std::env::var("GRIDFTP_TEST_ONLY").unwrap_or_default();
    let chosen: Vec<_> = OPERATIONS.iter().filter(|operation| operation.name.contains(&only)).collect();
    let cases: Vec<Vec<Case>> = stream::iter(&chosen)
        .map(|&operation| async move {
            let mut cases = Vec::new();
            for (step, place, login) in steps_of(operation).await {
                for limits in [Limits::Each, Limits::Connect, Limits::Total] {
                    let of_login = step == Step::Greeting
                        || matches!(step, Step::Command(verb) if LOGIN.contains(&verb));
                    // TYPE is said again behind the login by some; only there it shows under this limit.
                    if limits != Limits::Connect || of_login {
                        cases.push(Case { operation, step, place, limits, login });
                    }
                }
            }
            cases
        })
        .buffer_unordered(8)
        .collect()
        .await;
    let cases = cases.into_iter().flatten();
    let runs = cases.map(|case| async move { (case, run(case).await) });
    let (good, bad): (Vec<_>, Vec<_>) = stream::iter(runs)
        .buffer_unordered(AT_A_TIME)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .partition(|(_, ended)| ended.wrong.is_none());
    let mut ended: Vec<_> = good.into_iter().map(|(_, ended)| ended).collect();
    // Forty at a time on a machine that is busy otherwise come late by its fault; what is wrong is so alone as well.
    for (case, spoilt) in bad {
        println!("once more, alone: {}: {}", spoilt.name, spoilt.wrong.unwrap_or_default());
        ended.push(run(case).await);
    }
    report(&format!("{} operations x steps", chosen.len()), ended, begun);
}

/// A walk goes on in stream mode where the server does not connect; the limits hold for both ways together, and slow is not
/// mute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_waits_for_one_limit_in_two_ways() {
    for (step, act, times, sessions) in [
        // The server cannot connect, and goes on with nothing else.
        (Step::DataConnect, Act::Silence, 1, Some(2)),
        (Step::DataConnect, Act::Silence, u32::MAX, None),
        // It does not connect for longer than is waited where there is another way.
        (Step::DataConnect, Act::Delay(REPLY / 2), 1, Some(2)),
        // It has connected, and takes its time.
        (Step::Accepted, Act::Delay(REPLY / 2), 1, Some(1)),
        (Step::Data { after: 0 }, Act::Delay(FIRST_BYTE / 2), 1, Some(1)),
    ] {
        // What was added first is looked at first.
        let misdeed = Play::new().at(step, act.clone()).times(times);
        let server = Hostile::start(misdeed.file("/d/e/f", "f").file("/d/g", "g"));
        let client = Client::builder().timeouts(Limits::Each.timeouts()).build().unwrap();
        let begun = Instant::now();
        let mut walk = client.walk(server.url("/d/"));
        let mut found = Vec::new();
        let ended = loop {
            match walk.next_entry().await {
                Ok(Some(entry)) => found.push(String::from_utf8(entry.path()).unwrap()),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let took = begun.elapsed();
        found.sort();
        match (ended, sessions) {
            (Ok(()), Some(sessions)) => {
                assert_eq!(found, ["e", "e/f", "g"], "{step:?} {act:?}");
                assert_eq!(server.times_heard("USER"), sessions, "{step:?} {act:?}");
                assert!(took < FIRST_BYTE + GRACE, "{step:?} {act:?}: {took:?}");
            }
            (Err(error), None) => {
                assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Reply), "{error}");
                // All in all once: the second way had what was left.
                assert!(took >= REPLY && took < REPLY + GRACE, "{took:?}");
                assert!(!error.to_string().contains(&format!("within {REPLY:?}")), "{error}");
                assert_eq!(server.times_heard("USER"), 2);
            }
            (ended, _) => panic!("{step:?} {act:?}: {ended:?} {found:?}"),
        }
    }
}

/// A port whose SYNs are swallowed: its queue of one is full, and nobody takes from it.
fn deaf() -> (SocketAddr, Vec<OwnedFd>) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &any).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = SocketAddr::try_from(rustix::net::getsockname(&listener).unwrap()).unwrap();
    let mut held = vec![listener];
    for _ in 0..4 {
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            rustix::net::SocketFlags::NONBLOCK,
            None,
        );
        held.push(socket.unwrap());
        // In progress, for ever.
        let _ = rustix::net::connect(held.last().unwrap(), &address);
    }
    (address, held)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_swallows_connections_is_given_up_by_every_operation() {
    let begun = Instant::now();
    let (address, _held) = deaf();
    let servers = Arc::new(Servers::nowhere(&format!("ftp://{address}")));
    let runs = OPERATIONS.iter().flat_map(|operation| {
        [Limits::Each, Limits::Total].map(|limits| {
            let servers = Arc::clone(&servers);
            async move {
                let name = format!("{} at a deaf host ({limits:?})", operation.name);
                let client = Client::builder().timeouts(limits.timeouts()).build().unwrap();
                let begun = Instant::now();
                let ended = tokio::time::timeout(HANG, (operation.run)(client, &servers)).await;
                let took = begun.elapsed();
                let Ok(Err(error)) = ended else {
                    let wrong = Some(format!("hangs or succeeds: {ended:?}"));
                    return Ended { name, overrun: HANG, wrong };
                };
                let limit = if limits == Limits::Total { TOTAL } else { CONNECT };
                let kind = if limits == Limits::Total { TimeoutKind::Total } else { TimeoutKind::Connect };
                let overrun = took.saturating_sub(limit);
                let right = error.kind() == ErrorKind::Timeout(kind)
                    && (limits == Limits::Total || error.phase() == Phase::Connect)
                    && error.side().is_some_and(|side| side != Side::Local)
                    && overrun < GRACE;
                Ended { name, overrun, wrong: (!right).then(|| format!("after {took:?}: {error:?}")) }
            }
        })
    });
    let ended = stream::iter(runs).buffer_unordered(AT_A_TIME).collect().await;
    report("SYN swallowed", ended, begun);
}

/// A GSI login that stops: at AUTH, at the first token, and in the middle of a reply.
#[test]
fn a_gsi_login_ends_where_a_server_falls_silent() {
    trusting("deadlines::a_gsi_login_ends_where_a_server_falls_silent", async |pki: Pki| {
        let begun = Instant::now();
        let go_on =
            || Play::new().at(Step::Command("AUTH"), Act::reply("334 Using authentication type GSSAPI"));
        let plays = [
            ("the greeting", Play::new().at(Step::Greeting, Act::Silence)),
            ("AUTH", Play::new().at(Step::Command("AUTH"), Act::Silence)),
            ("half a reply to AUTH", Play::new().at(Step::Command("AUTH"), Act::Half)),
            ("ADAT", go_on().at(Step::Command("ADAT"), Act::Silence)),
            ("half a reply to ADAT", go_on().at(Step::Command("ADAT"), Act::Half)),
        ];
        // The first use of the library takes its time.
        gridftp::init().unwrap();
        let mut ended = Vec::new();
        for (what, play) in plays {
            for limits in [Limits::Each, Limits::Connect, Limits::Total] {
                let server = Hostile::start(play.clone());
                let client = Client::builder()
                    .credential(gridftp::Credential::from_proxy_file(pki.proxy()))
                    .timeouts(limits.timeouts())
                    .build()
                    .unwrap();
                let begun = Instant::now();
                let error = tokio::time::timeout(HANG, client.size(server.gsi_url("/f"))).await;
                let took = begun.elapsed();
                let name = format!("a GSI login mute at {what} ({limits:?})");
                let Ok(Err(error)) = error else {
                    ended.push(Ended { name, overrun: HANG, wrong: Some("hangs or succeeds".to_owned()) });
                    continue;
                };
                let (kind, limit) = match limits {
                    Limits::Each => (TimeoutKind::Reply, REPLY),
                    Limits::Connect => (TimeoutKind::Connect, CONNECT),
                    Limits::Total => (TimeoutKind::Total, TOTAL),
                };
                let overrun = took.saturating_sub(limit);
                let right = error.kind() == ErrorKind::Timeout(kind)
                    && (limits == Limits::Total || error.phase() == Phase::Login)
                    && error.side() == Some(Side::Server)
                    && overrun < GRACE;
                ended.push(Ended {
                    name,
                    overrun,
                    wrong: (!right).then(|| format!("after {took:?}: {error:?}")),
                });
            }
        }
        report("GSI logins", ended, begun);
    });
}
