//! Puts that a server takes badly.

use super::*;
use ErrorKind::{ConnectionLost, NoSpace, PermissionDenied, Protocol, Timeout};
use gridftp::TimeoutKind;

const HALF: Step = Step::Data { after: 350_000 };

pub(super) fn cases() -> Vec<Case> {
    let put = |name, step, act, expect| Case::at(name, Op::Put(0), step, act, expect);
    let blocks =
        |name, step, act, expect| Case::at(name, Op::Put(2), step, act, expect).and(Duration::from_secs(2));
    let stor = Step::Command("STOR");
    let reply = || fails(Timeout(TimeoutKind::Reply), Phase::Command);
    let large = |name, step, act, expect| Case::at(name, Op::PutLarge, step, act, expect);
    let program =
        |name, step, act| Case::at(name, Op::PutProgram(&[]), step, act, Expect::That(nothing_stored));
    vec![
        put(
            "STOR: denied",
            stor,
            Act::reply("553 Permission denied."),
            fails(PermissionDenied, Phase::Command),
        ),
        put("STOR: silence", stor, Act::Silence, reply()),
        put("STOR: 226 in place of 150", stor, Act::reply("226 done"), fails(Protocol, Phase::Command)),
        put("STOR: 226 before 150", Step::Accepted, Act::before("226 done"), fails(Protocol, Phase::Command)),
        put(
            "STOR: denied when data comes",
            Step::Data { after: 1 },
            Act::reply("553 Permission denied."),
            Expect::That(not_stored),
        ),
        put(
            "STOR: denied after all data",
            Step::Final,
            Act::reply("552 Quota exceeded."),
            fails_late(NoSpace),
        ),
        put("STOR: half is kept, 226", HALF, Act::Close, Expect::That(not_stored)),
        put("STOR: reset half-way, 226", HALF, Act::Reset, Expect::That(not_stored)),
        put(
            "STOR: a byte is left out, 226",
            Step::Data { after: LENGTH as u64 - 1 },
            Act::End,
            Expect::That(not_stored),
        ),
        put("STOR: lost half-way", HALF, Act::ResetControl, Expect::That(not_stored)),
        put("STOR: control closed half-way", HALF, Act::CloseControl, Expect::That(not_stored)),
        put(
            "STOR: no final reply",
            Step::Final,
            Act::Silence,
            fails(Timeout(TimeoutKind::Stall), Phase::Completion),
        ),
        put("STOR: closed in place of 226", Step::Final, Act::Close, fails_late(ConnectionLost)),
        put("STOR: 350 in place of 226", Step::Final, Act::reply("350 and now?"), fails_late(Protocol)),
        put(
            "STOR: SIZE lies afterwards",
            Step::Command("SIZE"),
            Act::reply("213 5"),
            Expect::That(not_stored),
        ),
        put("STOR: data never connected", Step::DataConnect, Act::Silence, reply()),
        put(
            "STOR: markers of nothing",
            HALF,
            Act::before("111 \r\n111 Range Marker 5-1,x\r\n112 "),
            Expect::Right,
        ),
        large("STOR: stops reading", HALF, Act::Silence, fails(Timeout(TimeoutKind::Stall), Phase::Data)),
        large(
            "STOR: full disk half-way",
            HALF,
            Act::reply("452 No space left on device"),
            fails_late(NoSpace),
        ),
        blocks(
            "STOR in E: denied",
            stor,
            Act::reply("553 Permission denied."),
            fails(PermissionDenied, Phase::Command),
        ),
        blocks("STOR in E: half is kept, 226", HALF, Act::Close, Expect::That(not_stored)),
        blocks("STOR in E: reset half-way, 226", HALF, Act::Reset, Expect::That(not_stored)),
        blocks(
            "STOR in E: no final reply",
            Step::Final,
            Act::Silence,
            fails(Timeout(TimeoutKind::Stall), Phase::Completion),
        ),
        blocks(
            "STOR in E: 111 of nothing",
            HALF,
            Act::before("111 Range Marker 0-99999999999999999999\r\n111 Range Marker -"),
            Expect::Right,
        ),
        program("program puts: half is kept, 226", HALF, Act::Close),
        program("program puts: lost half-way", HALF, Act::ResetControl),
        program("program puts: denied", stor, Act::reply("553 Permission denied.")),
        program("program puts: no final reply", Step::Final, Act::Silence),
    ]
}

/// It is an error that says where, whatever is there.
fn not_stored(done: &Done) -> Result<String, String> {
    let error = done.result.as_ref().err().ok_or("success")?;
    ensure(error.side() == Some(Side::Server), || "another side".into())?;
    let phase = error.phase();
    ensure(matches!(phase, Phase::Data | Phase::Completion | Phase::Verify), || {
        format!("the phase is {phase:?}")
    })?;
    good(&format!("{:?} {phase:?}", error.kind()))
}

/// The program failed, and there is nothing under the final name.
fn nothing_stored(done: &Done) -> Result<String, String> {
    let got = done.result.as_ref().map_err(ToString::to_string)?;
    let words = String::from_utf8_lossy(&got.bytes).into_owned();
    ensure((2..=13).contains(&got.number), || format!("exit {}: {words}", got.number))?;
    ensure(done.server.stored("/in/new").is_none(), || "something is under the name".into())?;
    good(&format!("exit {}, nothing under the name", got.number))
}
