//! Gets in stream mode, and from server to server.

use super::*;
use ErrorKind::{ConnectionLost, NotFound, Protocol, Refused, Timeout, Truncated};
use gridftp::TimeoutKind;

const HALF: Step = Step::Data { after: 350_000 };
const START: Step = Step::Data { after: 0 };

pub(super) fn cases() -> Vec<Case> {
    let get = |name, step, act, expect| Case::at(name, Op::Get, step, act, expect);
    let program = |name, step, act: Act, judge: Judge| {
        Case::at(name, Op::GetProgram(&[]), step, act, Expect::That(judge))
    };
    let retr = Step::Command("RETR");
    let size = Step::Command("SIZE");
    let stall = |phase| fails(Timeout(TimeoutKind::Stall), phase);
    let reply = || fails(Timeout(TimeoutKind::Reply), Phase::Command);
    let mut all = vec![
        get("RETR: refused", retr, Act::reply("550 No such file"), fails(NotFound, Phase::Command)),
        get("RETR: silence", retr, Act::Silence, reply()),
        get("RETR: reset", retr, Act::Reset, fails(ConnectionLost, Phase::Command)),
        get("RETR: 226 in place of 150", retr, Act::reply("226 done"), fails(Protocol, Phase::Command)),
        get("RETR: 226 before 150", Step::Accepted, Act::before("226 done"), fails(Protocol, Phase::Command)),
        get(
            "RETR: 350 in place of 150",
            Step::Accepted,
            Act::reply("350 and now?"),
            fails(Protocol, Phase::Command),
        ),
        get("RETR: 150 twice", Step::Accepted, Act::before("150 soon\r\n125 now"), Expect::Right),
        get("RETR: 111 in place of 150", Step::Accepted, Act::reply("111 Range Marker 0-5"), Expect::Right),
        get("RETR: half a 150", Step::Accepted, Act::Half, reply()),
        get("RETR: 150 never, data all", Step::Accepted, Act::Nothing, fails(Protocol, Phase::Command)),
        get(
            "RETR: refused, data all the same",
            Step::Accepted,
            Act::reply("550 No such file"),
            fails(NotFound, Phase::Command),
        ),
        get("data: never connected", Step::DataConnect, Act::Silence, reply()),
        get(
            "data: 425",
            Step::DataConnect,
            Act::reply("425 No connection."),
            fails(ConnectionLost, Phase::Command),
        ),
        get("data: closed at once, 226", Step::DataConnect, Act::Close, fails(Truncated, Phase::Data)),
        get("data: reset at once, 226", Step::DataConnect, Act::Reset, fails(ConnectionLost, Phase::Data)),
        get("data: no first byte", START, Act::Silence, fails(Timeout(TimeoutKind::FirstByte), Phase::Data)),
        get("data: stalls half-way", HALF, Act::Silence, stall(Phase::Data)),
        get("data: half a file, 226", HALF, Act::Close, fails(Truncated, Phase::Data)),
        get("data: reset half-way, 226", HALF, Act::Reset, fails(ConnectionLost, Phase::Data)),
        get("data: half a file, 451", HALF, Act::reply("451 disk error"), fails_late(Refused)),
        get(
            "data: half a file, then 421",
            HALF,
            Act::last_words("421 shutting down"),
            fails_late(ErrorKind::ServerBusy),
        ),
        get("data: without end", HALF, Act::Endless, fails(Truncated, Phase::Data)),
        get("data: noise between", HALF, Act::Noise, fails(Truncated, Phase::Data)),
        get("data: never closed, 226", Step::DataEnd, Act::NoEnd, stall(Phase::Data)),
        get("data: reset at the end, 226", Step::DataEnd, Act::Reset, fails(ConnectionLost, Phase::Data)),
        get("data: control closed half-way", HALF, Act::CloseControl, fails_late(ConnectionLost)),
        get("data: everything reset half-way", HALF, Act::ResetControl, fails(ConnectionLost, Phase::Data)),
        get(
            "data: replies unasked half-way",
            HALF,
            Act::before("200 one\r\n200 two"),
            Expect::That(right_or_refused),
        ),
        get(
            "data: 226 half-way",
            HALF,
            Act::before("226 Transfer complete."),
            Expect::That(right_or_refused),
        ),
        get("final: silence", Step::Final, Act::Silence, stall(Phase::Completion)),
        get("final: close", Step::Final, Act::Close, fails_late(ConnectionLost)),
        get("final: reset", Step::Final, Act::Reset, fails_late(ConnectionLost)),
        get("final: half a 226", Step::Final, Act::Half, stall(Phase::Completion)),
        get("final: 451", Step::Final, Act::reply("451 could not read it all"), fails_late(Refused)),
        get("final: 350", Step::Final, Act::reply("350 and now?"), fails_late(Protocol)),
        get("final: noise", Step::Final, Act::Noise, fails_late(Protocol)),
        get("final: a line without end", Step::Final, Act::Endless, fails_late(Protocol)),
        get(
            "final: 1xx without end",
            Step::Final,
            Act::Reply(b"112 Perf Marker\r\n".repeat(200_000)),
            Expect::That(not_success),
        ),
        get(
            "markers: K11, 111 and 112 of nothing",
            HALF,
            Act::before("111 \r\n111\r\n112 \r\n112-Perf\r\n\r\n112 End\r\n111 Range Marker x-"),
            Expect::Right,
        ),
        get(
            "markers: ten thousand",
            HALF,
            Act::Before(b"112-Perf\r\n Timestamp: 1\r\n112 End\r\n".repeat(10_000)),
            Expect::Right,
        ),
        get("SIZE lies: too low", size, Act::reply("213 5"), fails(Truncated, Phase::Data)),
        get("SIZE lies: too high", size, Act::reply("213 700001"), fails(Truncated, Phase::Data)),
        get(
            "SIZE lies: 2^63",
            size,
            Act::reply("213 9223372036854775808"),
            Expect::Fails(ErrorKind::InvalidInput, Side::Local, Phase::Input),
        ),
        get("SIZE lies: words", size, Act::reply("213 many"), Expect::Right),
        get("SIZE: silence", size, Act::Silence, reply()),
        get("SIZE: 550, and the file is sent", size, Act::reply("550 not now"), Expect::Right),
        Case::at(
            "226 twice, then another get",
            Op::GetTwice,
            Step::Final,
            Act::after("226 and again"),
            Expect::Right,
        ),
        Case::new("answers one step late", Op::GetTwice, Expect::That(not_success), move || {
            base().at(size, Act::Nothing).times(1)
        }),
        program("program: half a file, 226", HALF, Act::Close, left_nothing),
        program("program: stalls half-way", HALF, Act::Silence, left_nothing),
        program("program: reset half-way", HALF, Act::Reset, left_nothing),
        program("program: control closed half-way", HALF, Act::CloseControl, left_nothing),
        program("program: no final reply", Step::Final, Act::Silence, left_nothing),
        program("program: SIZE lies", size, Act::reply("213 5"), left_nothing),
        program("program: login refused", Step::Command("PASS"), Act::reply("530 no"), left_nothing),
        Case::at(
            "program: half a file in mode E",
            Op::GetProgram(&["-fast", "-p", "2"]),
            HALF,
            Act::End,
            Expect::That(left_nothing),
        ),
        Case::at(
            "program: the whole file",
            Op::GetProgram(&["-fast", "-p", "2"]),
            Step::Greeting,
            Act::before("120 soon"),
            Expect::Right,
        ),
    ];
    let source = |kind, phase| Expect::Fails(kind, Side::Source, phase);
    let target = |kind, phase| Expect::Fails(kind, Side::Destination, phase);
    let third =
        |name, op, step, act, expect| Case::at(name, op, step, act, expect).and(Duration::from_secs(3));
    all.extend([
        third("third party: source stalls", Op::Third, HALF, Act::Silence, Expect::That(third_is_no_success)),
        third(
            "third party: source sends half",
            Op::Third,
            HALF,
            Act::Close,
            Expect::That(third_is_no_success),
        ),
        third(
            "third party: source refuses",
            Op::Third,
            retr,
            Act::reply("550 No such file"),
            source(NotFound, Phase::Command),
        ),
        third(
            "third party: source is lost",
            Op::Third,
            HALF,
            Act::ResetControl,
            Expect::That(third_is_no_success),
        ),
        third(
            "third party: target refuses",
            Op::ThirdTo,
            Step::Command("STOR"),
            Act::reply("553 denied"),
            Expect::That(third_is_no_success),
        ),
        third(
            "third party: target keeps half",
            Op::ThirdTo,
            HALF,
            Act::Close,
            Expect::That(third_is_no_success),
        ),
        third(
            "third party: target never confirms",
            Op::ThirdTo,
            Step::Final,
            Act::Silence,
            Expect::That(third_is_no_success),
        ),
        third(
            "third party: target is full",
            Op::ThirdTo,
            HALF,
            Act::reply("552 No space left"),
            target(ErrorKind::NoSpace, Phase::Data),
        ),
    ]);
    all
}

fn not_success(done: &Done) -> Result<String, String> {
    match &done.result {
        Ok(_) => Err("success".into()),
        Err(error) => good(&format!("{:?} {:?}", error.kind(), error.phase())),
    }
}

/// The whole file is here, so both are true; a part of it would not be.
fn right_or_refused(done: &Done) -> Result<String, String> {
    match &done.result {
        Ok(got) if got.bytes == contents() => good("right bytes"),
        Ok(_) => Err("wrong bytes".into()),
        Err(error) => {
            ensure(error.kind() == Protocol, || "another kind".into()).and_then(|()| good("Protocol"))
        }
    }
}

/// The program failed with a code of its own and left nothing (which `ours` has looked at).
fn left_nothing(done: &Done) -> Result<String, String> {
    let got = done.result.as_ref().map_err(ToString::to_string)?;
    let words = String::from_utf8_lossy(&got.bytes).into_owned();
    ensure((2..=13).contains(&got.number), || format!("exit {}: {words}", got.number))?;
    ensure(!words.contains("panicked"), || words.clone())?;
    good(&format!("exit {}, nothing left", got.number))
}

fn third_is_no_success(done: &Done) -> Result<String, String> {
    let error = done.result.as_ref().err().ok_or("success")?;
    let side = error.side();
    ensure(matches!(side, Some(Side::Source | Side::Destination)), || format!("the side is {side:?}"))?;
    good(&format!("{:?} {:?} {:?}", error.kind(), error.phase(), side))
}
