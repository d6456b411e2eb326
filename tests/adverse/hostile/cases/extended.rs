//! Lies in extended block mode, for single files and in pipelines.

use super::*;
use ErrorKind::{ConnectionLost, Protocol, Timeout, Truncated};
use gridftp::TimeoutKind;
use gridftp_lab::hostile::blocks::{CLOSE, EOD, EOF, block, eod, eof, header};

const START: Step = Step::Data { after: 0 };
const HALF: Step = Step::Data { after: 350_000 };

pub(super) fn cases() -> Vec<Case> {
    // Everything that is sent instead of the file, on one connection.
    let wire = |name, bytes: Vec<Vec<u8>>, expect| {
        Case::at(name, Op::GetE(1), START, Act::Wire(bytes.concat()), expect)
    };
    let wires =
        |name, bytes: Vec<Vec<u8>>, expect| Case::at(name, Op::GetE(1), START, Act::Wires(bytes), expect);
    let at = |name, step, act, expect| Case::at(name, Op::GetE(1), step, act, expect);
    let stall = || fails(Timeout(TimeoutKind::Stall), Phase::Data);
    let first = || fails(Timeout(TimeoutKind::FirstByte), Phase::Data);
    let protocol = || fails(Protocol, Phase::Data);
    let whole = contents();
    let half = &whole[..350_000];
    let two = || vec![block(0, &whole[..350_000]), block(350_000, &whole[350_000..])];
    let mut all = vec![
        wire("E: C7, CLOSE without EOD at once", vec![header(CLOSE, 0, 0)], protocol()),
        wire("E: CLOSE without EOD later", vec![block(0, half), header(CLOSE, 0, 0)], protocol()),
        wires("E: C8, EOF while a block is on its way", vec![eof(1), block(0, half)], Expect::That(refused)),
        wire("E: an offset below nothing", vec![block(u64::MAX - 4999, half), eof(1)], protocol()),
        wire("E: an offset of 2^63-1", vec![block((1 << 63) - 1, half), eof(1)], protocol()),
        wire("E: an offset far beyond SIZE", vec![block(1 << 40, half), eof(1)], Expect::That(refused)),
        wire("E: a count below nothing", vec![header(0, u64::MAX - 4, 0)], protocol()),
        wire("E: a count of 2^62", vec![header(0, 1 << 62, 0), half.to_vec()], Expect::That(refused)),
        wire("E: a block twice", [two(), vec![block(0, half), eof(1)]].concat(), Expect::That(refused)),
        wire("E: a block in place of another", vec![block(0, half), block(0, half), eof(1)], protocol()),
        wire(
            "E: overlapping blocks",
            vec![block(0, &whole[..400_000]), block(350_000, &whole[350_000..]), eof(1)],
            protocol(),
        ),
        wire(
            "E: a hole in the file",
            vec![block(0, half), block(400_000, &whole[400_000..]), eof(1)],
            Expect::That(refused),
        ),
        wire("E: half a file, EOF, 226", vec![block(0, half), eof(1)], fails(Truncated, Phase::Data)),
        wire("E: EOF count 0", [two(), vec![eof(0)]].concat(), Expect::That(refused)),
        wire("E: EOF count 2 on one connection", [two(), vec![eof(2)]].concat(), stall()),
        wire("E: EOF count 2^63", [two(), vec![eof(1 << 63)]].concat(), Expect::That(refused)),
        wire("E: EOD without EOF", [two(), vec![eod()]].concat(), stall()),
        wire("E: EOF without EOD", [two(), vec![header(EOF, 0, 1)]].concat(), stall()),
        wires(
            "E: more EODs than told",
            vec![[two(), vec![eof(1)]].concat().concat(), eod()],
            Expect::That(right_or_refused),
        ),
        wires(
            "E: two EOF counts",
            vec![[two(), vec![eof(2)]].concat().concat(), header(EOF | EOD, 0, 3)],
            Expect::That(refused),
        ),
        wire(
            "E: EOD twice on one connection",
            vec![two()[0].clone(), header(EOF | EOD, 0, 2), two()[1].clone(), eod()],
            Expect::That(refused),
        ),
        wire("E: half a header", vec![header(0, 1000, 0)[..8].to_vec()], first()),
        wire("E: a header, no data", vec![header(0, 1000, 0)], first()),
        wire("E: noise", vec![random_bytes(9, 65_536)], Expect::That(refused)),
        wire("E: unknown descriptor bits", vec![header(0x83, 0, 0), block(0, half)], Expect::That(refused)),
        wire(
            "E: empty blocks, many",
            vec![header(0, 0, 0).repeat(100_000), two().concat(), eof(1)],
            Expect::That(right_or_refused),
        ),
        wire("E: blocks of one byte, everywhere", vec![scattered(), eof(1)], Expect::That(refused)),
        at("E: closed without an end", HALF, Act::Close, Expect::That(refused)),
        at("E: reset half-way", HALF, Act::Reset, Expect::That(refused)),
        at("E: stalls half-way", HALF, Act::Silence, stall()),
        at("E: no first byte", START, Act::Silence, first()),
        at(
            "E: never connects",
            Step::DataConnect,
            Act::Silence,
            fails(Timeout(TimeoutKind::Reply), Phase::Command),
        ),
        at("E: connects and closes, 226", Step::DataConnect, Act::Close, Expect::That(refused)),
        at("E: without end", HALF, Act::Endless, Expect::That(refused)),
        at("E: no end, 226", Step::DataEnd, Act::NoEnd, stall()),
        at("E: 451 half-way", HALF, Act::reply("451 disk error"), fails(ErrorKind::Refused, Phase::Data)),
        at(
            "E: 226 in place of 150",
            Step::Command("RETR"),
            Act::reply("226 done"),
            fails(Protocol, Phase::Command),
        ),
        at(
            "E: final silence",
            Step::Final,
            Act::Silence,
            fails(Timeout(TimeoutKind::Stall), Phase::Completion),
        ),
        at("E: control closed half-way", HALF, Act::CloseControl, fails(ConnectionLost, Phase::Data)),
        at("E: SIZE lies", Step::Command("SIZE"), Act::reply("213 5"), Expect::That(refused)),
        Case::at("E: four connections, one stalls", Op::GetE(4), HALF, Act::Wire(Vec::new()), stall()),
        Case::at(
            "E: four connections, all well",
            Op::GetE(4),
            Step::Accepted,
            Act::before("125 soon"),
            Expect::Right,
        ),
        // Without a size that the server told nothing but the blocks says what is missing.
        unsized_(
            "E: a hole, no SIZE",
            vec![block(0, half), block(400_000, &whole[400_000..]), eof(1)],
            Expect::That(refused),
        ),
        unsized_("E: a block twice, no SIZE", [two(), vec![block(0, half), eof(1)]].concat(), protocol()),
        unsized_("E: all well, no SIZE", [two(), vec![eof(1)]].concat(), Expect::Right),
    ];
    let many = |name, step, act: Act, judge: Judge| {
        Case::new(name, Op::GetMany, Expect::That(judge), move || base().at(step, act.clone()).on("/many/2"))
            .and(Duration::from_secs(6))
    };
    let second = contents_of(2);
    let retr = Step::Command("RETR");
    all.extend([
        many("pipeline: one refused", retr, Act::reply("550 No such file"), five_of_six),
        many("pipeline: C7 in the third file", START, Act::Wire(header(CLOSE, 0, 0)), others_right),
        many(
            "pipeline: half of the third, 226",
            START,
            Act::Wire([block(0, &second[..20_000]), eof(1)].concat()),
            others_right,
        ),
        many(
            "pipeline: too much of the third",
            START,
            Act::Wire([block(0, &second), block(50_000, b"more"), eof(1)].concat()),
            others_right,
        ),
        many(
            "pipeline: the third overlaps",
            START,
            Act::Wire([block(0, &second[..30_000]), block(10_000, &second[10_000..40_000]), eof(1)].concat()),
            others_right,
        ),
        many(
            "pipeline: an offset below nothing",
            START,
            Act::Wire([block(u64::MAX - 99, &second), eof(1)].concat()),
            others_right,
        ),
        many("pipeline: EOF count 0", START, Act::Wire([block(0, &second), eof(0)].concat()), others_right),
        many("pipeline: 451 behind the third", Step::Final, Act::reply("451 disk error"), others_right),
        many(
            "pipeline: 451 in the third",
            Step::Data { after: 20_000 },
            Act::reply("451 disk error"),
            others_right,
        ),
        many("pipeline: SIZE of the third lies", Step::Command("SIZE"), Act::reply("213 5"), others_right),
        many("pipeline: stalls in the third", START, Act::Silence, none_wrong),
        many("pipeline: reset in the third", START, Act::Reset, others_right),
        many("pipeline: lost in the third", Step::Accepted, Act::Reset, none_wrong),
        many("pipeline: 226 before 150", Step::Accepted, Act::reply("226 done"), none_wrong),
        many("pipeline: a reply too many", retr, Act::before("200 who asked?"), none_wrong),
        many("pipeline: 421 in the third", Step::Final, Act::last_words("421 bye"), none_wrong),
        many(
            "pipeline: two files in one",
            START,
            Act::Insert([block(0, &second), eof(1)].concat()),
            none_wrong,
        ),
    ]);
    all
}

fn unsized_(name: &'static str, bytes: Vec<Vec<u8>>, expect: Expect) -> Case {
    let bytes = bytes.concat();
    Case::new(name, Op::GetE(1), expect, move || {
        base().without(&["SIZE"]).at(START, Act::Wire(bytes.clone()))
    })
}

/// One byte at every second place: more stretches than anybody should remember.
fn scattered() -> Vec<u8> {
    (0..100_000).rev().flat_map(|at| block(at * 2, b"x")).collect()
}

/// An error of the server's, in the data or what follows from it.
fn refused(done: &Done) -> Result<String, String> {
    let error = done.result.as_ref().err().ok_or("success")?;
    let (kind, side, phase) = (error.kind(), error.side(), error.phase());
    let known = matches!(
        kind,
        Protocol | Truncated | ConnectionLost | Timeout(TimeoutKind::Stall | TimeoutKind::FirstByte)
    );
    ensure(known && side == Some(Side::Server), || "another kind or side".into())?;
    ensure(matches!(phase, Phase::Data | Phase::Completion), || "another phase".into())?;
    good(&format!("{kind:?} {phase:?}"))
}

fn right_or_refused(done: &Done) -> Result<String, String> {
    match &done.result {
        Ok(got) => {
            ensure(got.bytes == contents(), || "wrong bytes".into()).and_then(|()| good("right bytes"))
        }
        Err(_) => refused(done),
    }
}

/// No file is wrong; how many came is told.
fn none_wrong(done: &Done) -> Result<String, String> {
    match &done.result {
        Ok(got) => {
            ensure(got.bytes.is_empty(), || "a wrong file was taken for a right one".into())?;
            let kinds: Vec<_> = done.errors.iter().map(gridftp::Error::kind).collect();
            ensure(got.number + kinds.len() as u64 == 6, || format!("{} right, {kinds:?}", got.number))?;
            good(&format!("{} right, {kinds:?}", got.number))
        }
        Err(error) => good(&format!("{:?} {:?}", error.kind(), error.phase())),
    }
}

/// The third file fails, or is asked for again; all others are right.
fn others_right(done: &Done) -> Result<String, String> {
    let got = done.result.as_ref().map_err(ToString::to_string)?;
    ensure(got.number >= 5, || format!("only {} right: {:?}", got.number, done.errors))?;
    none_wrong(done)
}

fn five_of_six(done: &Done) -> Result<String, String> {
    let missing = done.errors.iter().all(|error| error.kind() == ErrorKind::NotFound);
    ensure(missing && done.errors.len() == 1, || format!("{:?}", done.errors))?;
    others_right(done)
}
