//! Listings, walks and removals of what a server invents.

use super::*;
use ErrorKind::Timeout;
use gridftp::TimeoutKind;

const WAYS: [(TransferMode, bool); 2] = [(TransferMode::Stream, false), (TransferMode::ExtendedBlock, true)];
const MLSD: Step = Step::Command("MLSD");

/// A thousand listings take a thousand ports. Where 14,000 of them rest from what was before (TIME_WAIT), each takes the kernel
/// 20 ms to find.
const MANY_LISTINGS: Duration = Duration::from_secs(60);

pub(super) fn cases() -> Vec<Case> {
    let at = |name, op, step, act, expect| Case::at(name, op, step, act, expect);
    let listed = |name, op, bytes: &'static [u8], judge: Judge| {
        Case::new(name, op, Expect::That(judge), move || base().listing("/d", bytes))
    };
    let stream = Op::Walk(WAYS[0].0);
    let blocks = Op::Walk(WAYS[1].0);
    // C hands out a stream's bytes when a block is full, or at the end.
    vec![
        listed("MLSD: climbing names, listed", Op::List, CLIMBING, listed_safely),
        listed("MLSD: climbing names, walked", stream, CLIMBING, inside),
        listed("MLSD: climbing names, walked in E", blocks, CLIMBING, inside),
        listed("MLSD: climbing names, removed", Op::RemoveAll, CLIMBING, removed_inside),
        listed("MLSD: climbing files, removed", Op::RemoveAll, FILES, removed_inside),
        listed("MLSD: absolute names, walked", stream, ABSOLUTE, inside),
        listed("MLSD: absolute names, removed", Op::RemoveAll, ABSOLUTE, removed_inside),
        listed("MLSD: control bytes, listed", Op::List, CONTROL, listed_safely),
        listed("MLSD: control bytes, walked", stream, CONTROL, inside),
        listed("MLSD: control bytes, removed", Op::RemoveAll, CONTROL, removed_inside),
        listed("MLSD: not UTF-8", Op::List, b"Type=file;Size=1; caf\xe9\xff\xfe\r\n", any_listing),
        Case::new("MLSD: one name 1,000 times", stream, Expect::That(inside), || {
            base().listing("/d", b"Type=dir;Unique=1-5; same\r\n".repeat(1000))
        })
        .and(MANY_LISTINGS),
        listed(
            "MLSD: itself as a folder",
            stream,
            b"Type=dir; .\r\nType=dir; ..\r\nType=dir; \r\nType=dir;  \r\n",
            inside,
        ),
        listed("MLSD: no facts", Op::List, b"no facts at all\r\n\r\n;;;\r\n", any_listing),
        listed(
            "MLSD: LIST in its place",
            Op::List,
            b"total 5\r\n-rw-r--r-- 1 a b 5 Jan 1 00:00 x\r\n",
            any_listing,
        ),
        listed(
            "MLSD: absurd facts",
            Op::List,
            b"Type=file;Size=-1;Size=99999999999999999999;Modify=99999999999999;UNIX.mode=99; x\r\n",
            any_listing,
        ),
        listed(
            "MLSD: cut in the middle of a line",
            Op::List,
            b"Type=file;Size=1; whole\r\nType=file;Siz",
            any_listing,
        ),
        Case::new("MLSD: noise", Op::List, Expect::That(any_listing), || {
            base().listing("/d", random_bytes(3, 50_000))
        }),
        Case::new("MLSD: a line of 10 MB", Op::List, Expect::That(no_long_line), || {
            base().listing("/d", vec![b'x'; 10 << 20])
        }),
        Case::new("MLSD: lines without end", Op::List, Expect::That(many_lines), || {
            base()
                .listing("/d", b"Type=file;Size=1; x\r\n".repeat(1000))
                .at(Step::Data { after: 0 }, Act::Endless)
        })
        .and(Duration::from_secs(20)),
        Case::new("tree without end, walked", stream, Expect::That(deep), || base().endless_tree("/d"))
            .and(MANY_LISTINGS),
        Case::new("tree without end, walked in E", blocks, Expect::That(deep), || base().endless_tree("/d"))
            .and(MANY_LISTINGS),
        Case::new(
            "tree without end, removed",
            Op::RemoveAll,
            fails(Timeout(TimeoutKind::Total), Phase::Command),
            || base().endless_tree("/d"),
        )
        .and(Duration::from_secs(4)),
        at(
            "MLSD: stalls",
            Op::List,
            Step::Data { after: 0 },
            Act::Silence,
            fails(Timeout(TimeoutKind::FirstByte), Phase::Data),
        ),
        at(
            "MLSD: never confirmed",
            Op::List,
            Step::Final,
            Act::Silence,
            fails(Timeout(TimeoutKind::Stall), Phase::Completion),
        ),
        at(
            "MLSD: closed, 226 lost",
            Op::List,
            Step::Final,
            Act::Close,
            fails_late(ErrorKind::ConnectionLost),
        ),
        at(
            "MLSD: refused",
            Op::List,
            MLSD,
            Act::reply("550 No such folder"),
            fails(ErrorKind::NotFound, Phase::Command),
        ),
        at(
            "MLSD: 226 in place of 150",
            Op::List,
            MLSD,
            Act::reply("226 done"),
            fails(ErrorKind::Protocol, Phase::Command),
        ),
        at("walk: stalls in E", blocks, Step::Data { after: 0 }, Act::Silence, Expect::That(walk_failed)),
        at("walk: lost in E", blocks, Step::Data { after: 0 }, Act::ResetControl, Expect::That(walk_failed)),
        at(
            "walk: C7 in E",
            blocks,
            Step::Data { after: 0 },
            Act::Wire(gridftp_lab::hostile::blocks::header(4, 0, 0)),
            Expect::That(walk_failed),
        ),
        at(
            "MLSD: data never closed",
            Op::List,
            Step::DataEnd,
            Act::NoEnd,
            fails(Timeout(TimeoutKind::Stall), Phase::Data),
        ),
    ]
}

const CLIMBING: &[u8] = b"Type=file;Size=1; ../keep/treasure\r\nType=dir; ..\r\nType=dir; ../keep\r\nType=dir; ../../../..\r\nType=dir; a/../../keep\r\nType=file;Size=1; good\r\n";
const FILES: &[u8] = b"Type=file;Size=8; ../keep/treasure\r\nType=file;Size=8; ./../keep/treasure\r\n";
const ABSOLUTE: &[u8] = b"Type=dir; /keep\r\nType=file;Size=8; /keep/treasure\r\nType=file;Size=1; //keep/treasure\r\nType=file;Size=1; good\r\n";
const CONTROL: &[u8] = b"Type=file;Size=1; a\0b\r\nType=file;Size=1; x\rDELE /keep/treasure\r\nType=file;Size=1; \x1b[2J\x07\r\nType=dir; n\0/../../keep\r\nType=file;Size=1; good\r\n";

/// Names may be shown as they are; one that is not a plain name must not count as safe.
fn listed_safely(done: &Done) -> Result<String, String> {
    let got = done.result.as_ref().map_err(ToString::to_string)?;
    ensure(got.names.iter().any(|name| name == b"good"), || format!("{:?}", got.names))?;
    any_listing(done)
}

fn any_listing(done: &Done) -> Result<String, String> {
    kept(done)?;
    match &done.result {
        Ok(got) => good(&format!("{} names, {} errors", got.number, done.errors.len())),
        Err(error) => {
            ensure(error.kind() == ErrorKind::Protocol, || "another kind".into())?;
            good("Protocol")
        }
    }
}

/// What lies beside the folder was neither touched nor asked about.
fn kept(done: &Done) -> Result<(), String> {
    ensure(done.server.exists("/keep/treasure"), || "the treasure is gone".into())?;
    let heard = done.server.heard();
    let asked = heard.iter().find(|line| line.contains("keep") || line.contains("..") || line.contains('\0'));
    ensure(asked.is_none(), || format!("the server was sent {asked:?}"))
}

/// Every path of a walk is below the root, and all that would not be is an error.
fn inside(done: &Done) -> Result<String, String> {
    kept(done)?;
    let got = done.result.as_ref().map_err(ToString::to_string)?;
    let bad = got.names.iter().find(|path| {
        path.starts_with(b"/")
            || path.contains(&0)
            || path.split(|&byte| byte == b'/').any(|part| matches!(part, b"" | b"." | b".."))
    });
    ensure(bad.is_none(), || format!("a path that leads out: {bad:?}"))?;
    good(&format!("{} paths, {} errors", got.number, done.errors.len()))
}

fn removed_inside(done: &Done) -> Result<String, String> {
    kept(done)?;
    let what = match &done.result {
        Ok(got) => format!("{} removed, {} errors", got.number, done.errors.len()),
        Err(error) => format!("{:?}", error.kind()),
    };
    good(&what)
}

fn no_long_line(done: &Done) -> Result<String, String> {
    match &done.result {
        Ok(got) if got.number == 0 && !done.errors.is_empty() => good("an error for the line"),
        Err(error) if error.kind() == ErrorKind::Protocol => good("Protocol"),
        other => Err(format!("{other:?}").chars().take(200).collect()),
    }
}

fn many_lines(done: &Done) -> Result<String, String> {
    match &done.result {
        // The listing is a stream: a caller stops when he has enough, and memory has stayed where it was.
        Ok(got) => {
            ensure(got.number >= 1000, || "too few".into()).and_then(|()| good("a stream, cut by the caller"))
        }
        Err(error) => good(&format!("{:?}", error.kind())),
    }
}

fn deep(done: &Done) -> Result<String, String> {
    let got = done.result.as_ref().map_err(ToString::to_string)?;
    ensure(got.number > 50, || format!("only {} entries", got.number))?;
    good(&format!("{} entries, {} errors, bounded", got.number, done.errors.len()))
}

fn walk_failed(done: &Done) -> Result<String, String> {
    let kind = done.errors.first().map(gridftp::Error::kind).ok_or("no error")?;
    good(&format!("{kind:?}"))
}
