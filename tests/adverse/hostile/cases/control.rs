//! Commands without data, and the addresses of data.

use super::*;
use ErrorKind::{Connect, ConnectionLost, Protocol, Timeout};
use gridftp::TimeoutKind;

pub(super) fn cases() -> Vec<Case> {
    let at = Case::at;
    let pasv = Step::Command("PASV");
    let six = |name, act: Act, expect| {
        Case::new(name, Op::Get, expect, move || base().ipv6().at(Step::Command("EPSV"), act.clone()))
    };
    let reply = || fails(Timeout(TimeoutKind::Reply), Phase::Command);
    vec![
        at("PASV: silence", Op::Get, pasv, Act::Silence, reply()),
        at("PASV: close", Op::Get, pasv, Act::Close, fails(ConnectionLost, Phase::Command)),
        at("PASV: half a reply", Op::Get, pasv, Act::Half, reply()),
        at("PASV: noise", Op::Get, pasv, Act::Noise, fails(Protocol, Phase::Command)),
        at(
            "PASV: no numbers",
            Op::Get,
            pasv,
            Act::reply("227 Entering Passive Mode"),
            fails(Protocol, Phase::DataSetup),
        ),
        at(
            "PASV: numbers beyond 255",
            Op::Get,
            pasv,
            Act::reply("227 (999,0,0,1,700,1)"),
            fails(Protocol, Phase::DataSetup),
        ),
        at(
            "PASV: port 0",
            Op::Get,
            pasv,
            Act::reply("227 (127,0,0,1,0,0)"),
            fails(Protocol, Phase::DataSetup),
        ),
        at(
            "PASV: a million numbers",
            Op::Get,
            pasv,
            Act::Reply(numbers()),
            fails(Protocol, Phase::DataSetup),
        ),
        at(
            "PASV: K5, two lines of 229",
            Op::Get,
            pasv,
            Act::reply("229-Entering\r\n %n%n%s|||bad\r\n229 End"),
            fails(Protocol, Phase::DataSetup),
        ),
        at("PASV: 1xx before it", Op::Get, pasv, Act::before("150 ahead of time"), Expect::Right),
        at(
            "PASV: 421",
            Op::Get,
            pasv,
            Act::last_words("421 time is over"),
            fails(ErrorKind::ServerBusy, Phase::Command),
        ),
        Case::with_victim("PASV: bounce to somebody else", Op::Get, Expect::That(spared), move |port| {
            base().at(pasv, Act::reply(named(port)))
        }),
        Case::with_victim("PASV: bounce on a put", Op::Put(0), Expect::That(spared), move |port| {
            base().at(pasv, Act::reply(named(port)))
        }),
        Case::with_victim("PASV: bounce between servers", Op::ThirdTo, Expect::That(not_ours), move |port| {
            base().at(pasv, Act::reply(named(port)))
        }),
        Case::with_victim(
            "SPAS: bounce to somebody else",
            Op::GetStriped,
            Expect::That(spared),
            move |port| {
                let numbers = named(port).replace("227 (", "").replace(')', "");
                base().at(Step::Command("SPAS"), Act::reply(format!("229-Entering\r\n {numbers}\r\n229 End")))
            },
        ),
        at(
            "SPAS: lines without end",
            Op::GetStriped,
            Step::Command("SPAS"),
            Act::EndlessLines,
            fails(Protocol, Phase::Command),
        ),
        at(
            "PORT: refused",
            Op::GetE(1),
            Step::Command("PORT"),
            Act::reply("500 Illegal PORT command."),
            fails(ErrorKind::Refused, Phase::DataSetup),
        ),
        at("PORT: silence", Op::GetE(1), Step::Command("PORT"), Act::Silence, reply()),
        six("EPSV: port 0", Act::reply("229 ok (|||0|)"), fails(Protocol, Phase::DataSetup)),
        six("EPSV: port 99999", Act::reply("229 ok (|||99999|)"), fails(Protocol, Phase::DataSetup)),
        six("EPSV: another host", Act::reply("229 ok (|2|::9|1|)"), fails(Connect, Phase::Data)),
        six("EPSV: nothing in brackets", Act::reply("229 ok ()"), fails(Protocol, Phase::DataSetup)),
        at(
            "MDTM: K11, no digit",
            Op::Modified,
            Step::Command("MDTM"),
            Act::reply("213 "),
            fails(Protocol, Phase::Command),
        ),
        at(
            "MDTM: K11, letters",
            Op::Modified,
            Step::Command("MDTM"),
            Act::reply("213 yesterday"),
            fails(Protocol, Phase::Command),
        ),
        at(
            "MDTM: month 13",
            Op::Modified,
            Step::Command("MDTM"),
            Act::reply("213 20261301000000"),
            fails(Protocol, Phase::Command),
        ),
        at(
            "CKSM: K4, 100 kB of digits",
            Op::Checksum,
            Step::Command("CKSM"),
            Act::Reply(long_sum()),
            fails(Protocol, Phase::Command),
        ),
        at(
            "CKSM: too short",
            Op::Checksum,
            Step::Command("CKSM"),
            Act::reply("213 abc"),
            fails(Protocol, Phase::Command),
        ),
        at(
            "CKSM: none",
            Op::Checksum,
            Step::Command("CKSM"),
            Act::reply("213 "),
            fails(Protocol, Phase::Command),
        ),
        at("CKSM: silence", Op::Checksum, Step::Command("CKSM"), Act::Silence, reply()),
        at(
            "SIZE: words",
            Op::Size,
            Step::Command("SIZE"),
            Act::reply("213 many"),
            fails(Protocol, Phase::Command),
        ),
        at(
            "SIZE: below nothing",
            Op::Size,
            Step::Command("SIZE"),
            Act::reply("213 -1"),
            fails(Protocol, Phase::Command),
        ),
        at(
            "SIZE: beyond 2^64",
            Op::Size,
            Step::Command("SIZE"),
            Act::reply("213 99999999999999999999999"),
            fails(Protocol, Phase::Command),
        ),
        at(
            "SIZE: 226",
            Op::Size,
            Step::Command("SIZE"),
            Act::reply("226 done"),
            fails(Protocol, Phase::Command),
        ),
        at(
            "DELE: 331",
            Op::RemoveFile,
            Step::Command("DELE"),
            Act::reply("331 password?"),
            fails(Protocol, Phase::Command),
        ),
        at(
            "DELE: lost after it",
            Op::RemoveFile,
            Step::Command("DELE"),
            Act::Close,
            Expect::That(perhaps_done),
        ),
        at(
            "MLST: no facts",
            Op::Stat,
            Step::Command("MLST"),
            Act::reply("250-x\r\n nothing\r\n250 End"),
            fails(Protocol, Phase::Command),
        ),
        at(
            "MLST: one line",
            Op::Stat,
            Step::Command("MLST"),
            Act::reply("250 nothing to say"),
            fails(Protocol, Phase::Command),
        ),
        at(
            "MLST: an absurd size",
            Op::Stat,
            Step::Command("MLST"),
            Act::reply("250-x\r\n Type=file;Size=-99999999999999999999; /f\r\n250 End"),
            Expect::That(no_size),
        ),
        at(
            "MLST: NUL and escapes",
            Op::Stat,
            Step::Command("MLST"),
            Act::reply("250-x\r\n Type=file;Size=1;Modify=\0\x1b[2J; /f\r\n250 End"),
            Expect::That(harmless),
        ),
        at("MLST: noise", Op::Stat, Step::Command("MLST"), Act::Noise, fails(Protocol, Phase::Command)),
        at(
            "MLST: two replies",
            Op::Stat,
            Step::Command("MLST"),
            Act::after("250 and once more"),
            Expect::That(answered),
        ),
        at(
            "MLST: lines without end",
            Op::Stat,
            Step::Command("MLST"),
            Act::EndlessLines,
            fails(Protocol, Phase::Command),
        ),
        at(
            "MLST: K12, a line without end",
            Op::Stat,
            Step::Command("MLST"),
            Act::Endless,
            fails(Protocol, Phase::Command),
        ),
        at("MLST: reset", Op::Stat, Step::Command("MLST"), Act::Reset, fails(ConnectionLost, Phase::Command)),
        at(
            "MLST: byte by byte",
            Op::Stat,
            Step::Command("MLST"),
            Act::Drip(Duration::from_millis(100)),
            reply(),
        ),
    ]
}

fn numbers() -> Vec<u8> {
    format!("227 ({})\r\n", "1,".repeat(30_000)).into_bytes()
}

fn long_sum() -> Vec<u8> {
    format!("213 {}\r\n", "a".repeat(60_000)).into_bytes()
}

/// A PASV reply that names the victim.
fn named(port: u16) -> String {
    format!("227 Entering Passive Mode (127,0,0,9,{},{})", port >> 8, port & 255)
}

/// Nobody connected to the victim, and nobody says that it went well.
fn spared(done: &Done) -> Result<String, String> {
    ensure(done.victim.accept().is_err(), || "somebody connected to the victim".into())?;
    match &done.result {
        Err(error) if matches!(error.kind(), Connect | ErrorKind::Refused | Protocol) => {
            good(&format!("victim spared, {:?} {:?}", error.kind(), error.phase()))
        }
        other => Err(format!("ended with {other:?}").chars().take(200).collect()),
    }
}

/// The source connects where the destination says: what the two of them do is theirs, but nobody calls it a success, and this
/// client connects to nobody.
fn not_ours(done: &Done) -> Result<String, String> {
    let error = done.result.as_ref().err().ok_or("success")?;
    ensure(error.side() == Some(Side::Destination), || "another side".into())?;
    good(&format!("{:?} {:?}", error.kind(), error.phase()))
}

fn perhaps_done(done: &Done) -> Result<String, String> {
    let error = done.result.as_ref().err().ok_or("succeeded")?;
    ensure(error.kind() == ConnectionLost, || "another kind".into())?;
    ensure(error.may_have_applied(), || "it may have been done, and is not said so".into())?;
    good("ConnectionLost, may have been done")
}

fn no_size(done: &Done) -> Result<String, String> {
    match &done.result {
        Ok(got) if got.number == u64::MAX => good("no size"),
        Err(error) if error.kind() == Protocol => good("Protocol"),
        _ => Err("a size was believed".into()),
    }
}

fn harmless(done: &Done) -> Result<String, String> {
    match &done.result {
        Ok(got) => ensure(got.number == 1, || "another size".into()).and_then(|()| good("facts left out")),
        Err(error) => {
            let shown = format!("{error} {error:?}");
            ensure(!shown.contains(['\0', '\x1b']), || "control bytes are shown".into())?;
            ensure(error.kind() == Protocol, || "another kind".into())?;
            good("Protocol, escaped")
        }
    }
}

/// The first of two replies answers; the second ends the connection before it is used again.
fn answered(done: &Done) -> Result<String, String> {
    match &done.result {
        Ok(got) => ensure(got.number == LENGTH as u64, || "another size".into())
            .and_then(|()| good("the first counts")),
        Err(error) => {
            ensure(error.kind() == Protocol, || "another kind".into()).and_then(|()| good("Protocol"))
        }
    }
}
