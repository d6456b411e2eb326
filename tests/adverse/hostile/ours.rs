//! Our half of a case: the operation, and the judgement of how it ended.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use gridftp::options::{Timeouts, TransferMode};
use gridftp::{ChecksumAlgorithm, Client, Credential, Error};
use gridftp_lab::hostile::{Hostile, Play, Splice};
use gridftp_lab::sha256;

use super::cases::{Case, Expect, Op};
use super::table::Outcome;
use crate::support::memory_kib;

/// Each limit of ours; a case may take its limit, and what a busy machine adds.
pub(super) const LIMIT: Duration = Duration::from_secs(2);

/// More than any case should need of memory: blocks of one window, the server's own copies, and the programs.
const MEMORY_KIB: usize = 220 * 1024;

/// What an operation came to.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) result: Result<Got, Error>,
    /// Errors that came beside a result: of a walk, a removal, a pipeline.
    pub(super) errors: Vec<Error>,
    pub(super) server: Hostile,
    /// Somebody at another address, whom a server may name.
    pub(super) victim: TcpListener,
}

#[derive(Debug, Default)]
pub(super) struct Got {
    pub(super) bytes: Vec<u8>,
    pub(super) names: Vec<Vec<u8>>,
    pub(super) number: u64,
}

impl Got {
    fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), ..Self::default() }
    }
}

/// A listener at an address that is not the server's.
pub(super) fn victim() -> TcpListener {
    let victim = TcpListener::bind("127.0.0.9:0").unwrap();
    victim.set_nonblocking(true).unwrap();
    victim
}

fn timeouts(limit: Duration) -> Timeouts {
    Timeouts::default().connect(limit).reply(limit).first_byte(limit).stall(limit).checksum(limit)
}

pub(super) fn run(case: &Case) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (outcome, seconds) = runtime.block_on(async {
        let victim = victim();
        let server = Hostile::start((case.play)(victim.local_addr().unwrap().port()));
        let other = Hostile::start(other_play());
        let mut errors = Vec::new();
        let start = Instant::now();
        let result = operate(case, &server, &other, &mut errors).await;
        let elapsed = start.elapsed();
        drop(other);
        let done = Done { result, errors, server, victim };
        let judged = judge(case, &done).and_then(|what| {
            if elapsed > case.within {
                return Err(format!("took {elapsed:?}, more than {:?}: {what}", case.within));
            }
            let peak = memory_kib("VmHWM");
            if peak > MEMORY_KIB {
                return Err(format!("needed {} MiB: {what}", peak / 1024));
            }
            Ok(what)
        });
        (Outcome::of(start, judged), elapsed.as_secs_f64())
    });
    Outcome { seconds, ..outcome }
}

fn other_play() -> Play {
    Play::new().folder("/in")
}

fn judge(case: &Case, done: &Done) -> Result<String, String> {
    let shown = match &done.result {
        Ok(_) => "succeeded".to_owned(),
        Err(error) => format!("{:?} {:?} {:?}: {error}", error.kind(), error.side(), error.phase()),
    };
    match (&case.expect, &done.result) {
        (Expect::Fails(kind, side, phase), Err(error)) => {
            if (error.kind(), error.side(), error.phase()) == (*kind, Some(*side), *phase) {
                Ok(format!("{kind:?} {phase:?}"))
            } else {
                Err(format!("expected {kind:?} {side:?} {phase:?}, got {shown}"))
            }
        }
        (Expect::FailsIn(kind, side, phases), Err(error)) => {
            let fits = phases.contains(&error.phase());
            if fits && (error.kind(), error.side()) == (*kind, Some(*side)) {
                Ok(format!("{kind:?} {:?}", error.phase()))
            } else {
                Err(format!("expected {kind:?} {side:?} {phases:?}, got {shown}"))
            }
        }
        (Expect::Fails(kind, ..) | Expect::FailsIn(kind, ..), Ok(_)) => {
            Err(format!("succeeded, expected {kind:?}"))
        }
        (Expect::Right, Ok(got)) => {
            if sha256(&got.bytes) == sha256(&super::cases::contents()) {
                Ok("right bytes".into())
            } else {
                Err(format!("wrong bytes, {} of them", got.bytes.len()))
            }
        }
        (Expect::Right, Err(_)) => Err(shown),
        (Expect::That(judge), _) => judge(done).map_err(|error| format!("{error}; {shown}")),
    }
}

fn program() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let path = me.parent().and_then(|deps| deps.parent()).unwrap().join("examples/gridftp-cp");
    assert!(path.exists(), "cargo build --example gridftp-cp comes first");
    path
}

async fn operate(
    case: &Case,
    server: &Hostile,
    other: &Hostile,
    errors: &mut Vec<Error>,
) -> Result<Got, Error> {
    let (op, timeouts) = (case.op, timeouts(case.limit));
    let builder = Client::builder().timeouts(timeouts);
    let client = match op {
        Op::Gsi | Op::Spliced { .. } => builder.credential(Credential::default_search()).build().unwrap(),
        _ => builder.build().unwrap(),
    };
    let url = server.url("/f");
    match op {
        Op::Get => Ok(Got::bytes(client.get(&url).await?.bytes().await?)),
        Op::GetE(streams) => {
            let get = client.get(&url).mode(TransferMode::ExtendedBlock).parallelism(streams).await?;
            Ok(Got::bytes(get.bytes().await?))
        }
        Op::GetStriped => {
            let get = client.get(&url).mode(TransferMode::ExtendedBlock).striped(true).await?;
            Ok(Got::bytes(get.bytes().await?))
        }
        // What is wrong with a session after the first must not touch the second.
        Op::GetTwice => {
            client.get(&url).await?.bytes().await?;
            Ok(Got::bytes(client.get(&url).await?.bytes().await?))
        }
        Op::Crowd => {
            let gets = (0..8).map(|_| async { client.get(&url).await?.bytes().await });
            let mut last = Bytes::new();
            for got in futures_util::future::join_all(gets).await {
                last = got?;
            }
            Ok(Got::bytes(last))
        }
        Op::GetProgram(options) => tokio::task::block_in_place(|| get_by_program(options, &url)),
        Op::PutProgram(options) => tokio::task::block_in_place(|| put_by_program(options, server)),
        Op::GetMany => {
            let urls = (0..6).map(|n| server.url(&format!("/many/{n}")));
            let mut many = client.get_many(urls).await?;
            let mut got = Got::default();
            while let Some(mut file) = many.next_file().await? {
                let expected = super::cases::contents_of(file.index());
                match file.bytes().await {
                    Ok(bytes) if bytes == expected => got.number += 1,
                    Ok(bytes) => got.bytes.extend_from_slice(&bytes),
                    Err(error) => errors.push(error),
                }
            }
            Ok(got)
        }
        Op::Put(streams) => {
            let put = client.put(server.url("/in/new"));
            let put = match streams {
                0 => put,
                streams => put.mode(TransferMode::ExtendedBlock).parallelism(streams),
            };
            let mut put = put.await?;
            let contents = Bytes::from(super::cases::contents());
            for at in (0..contents.len()).step_by(65_536) {
                put.write(contents.slice(at..contents.len().min(at + 65_536))).await?;
            }
            put.finish().await?;
            Ok(Got::bytes(server.stored("/in/new").unwrap_or_default()))
        }
        // More than the kernel takes by itself, for servers that stop reading.
        Op::PutLarge => {
            let mut put = client.put(server.url("/in/new")).await?;
            for _ in 0..200 {
                put.write(Bytes::from(vec![0; 1 << 18])).await?;
            }
            put.finish().await.map(|_| Got::default())
        }
        Op::List => {
            let mut list = client.list(server.url("/d"));
            let mut got = Got::default();
            while let Some(entry) = list.next().await {
                match entry {
                    Ok(entry) if got.number < 100_000 => {
                        got.number += 1;
                        if got.names.len() < 100 {
                            got.names.push(entry.name().to_vec());
                        }
                    }
                    Ok(_) => break,
                    Err(error) if list.is_over() => return Err(error),
                    Err(error) => errors.push(error),
                }
            }
            Ok(got)
        }
        Op::Walk(mode) => {
            let mut walk = client.walk(server.url("/d")).mode(mode);
            let mut got = Got::default();
            while let Some(item) = walk.next().await {
                match item {
                    Ok(entry) => {
                        got.number += 1;
                        if got.names.len() < 100 {
                            got.names.push(entry.path());
                        }
                        if got.number == 3_000 {
                            break;
                        }
                    }
                    Err(error) => errors.push(error),
                }
            }
            Ok(got)
        }
        Op::RemoveAll => {
            let timeouts = timeouts.total(Duration::from_secs(4));
            let report = client.with_timeouts(timeouts).remove_dir_all(server.url("/d")).await?;
            errors.extend(report.not_removed().iter().map(|it| it.error().clone()));
            Ok(Got { number: report.removed_files(), ..Got::default() })
        }
        Op::Stat => {
            let entry = client.stat(&url).await?;
            Ok(Got {
                number: entry.size().unwrap_or(u64::MAX),
                names: vec![entry.name().to_vec()],
                ..Got::default()
            })
        }
        Op::Size => Ok(Got { number: client.size(&url).await?, ..Got::default() }),
        Op::Modified => client.modified(&url).await.map(|_| Got::default()),
        Op::Checksum => {
            let sum = client.checksum(&url, ChecksumAlgorithm::Md5, ..).await?;
            Ok(Got::bytes(sum.to_hex()))
        }
        Op::RemoveFile => client.remove_file(&url).await.map(|()| Got::default()),
        Op::Third | Op::ThirdTo => {
            let (from, to) = if op == Op::Third {
                (url, other.url("/in/new"))
            } else {
                (other.url("/in/f"), server.url("/in/new"))
            };
            if op == Op::ThirdTo {
                let mut put = client.put(other.url("/in/f")).await?;
                put.write(super::cases::contents().into()).await?;
                put.finish().await?;
            }
            client.third_party(from, to).await?.join().await?;
            let stored = if op == Op::Third { other.stored("/in/new") } else { server.stored("/in/new") };
            Ok(Got::bytes(stored.unwrap_or_default()))
        }
        Op::Gsi => client.stat(server.gsi_url("/f")).await.map(|_| Got::default()),
        Op::Spliced { words, instead } => {
            let (port, path) = super::table::real_server();
            let splice = Splice::before(port, words, instead);
            let url = format!("gsiftp://localhost:{}{path}", splice.port());
            client.stat(&url).await.map(|_| Got::default())
        }
    }
}

/// Gets by the program, to a name in an empty folder; the name must not be there if it fails, nor anything else.
fn get_by_program(options: &[&str], url: &str) -> Result<Got, Error> {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("got");
    let output = Command::new(program())
        .args(["-q", "-st", "2", "--retries", "1", "--retry-delay", "20ms"])
        .args(options)
        .arg(url)
        .arg(&name)
        .output()
        .unwrap();
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let code = output.status.code();
    if output.status.success() {
        return Ok(Got::bytes(std::fs::read(&name).unwrap()));
    }
    assert!(left.is_empty(), "{left:?} is left behind");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Got {
        number: u64::from(code.unwrap_or(255).unsigned_abs()),
        bytes: words.into_bytes(),
        ..Got::default()
    })
}

/// Puts by the program; what is under the final name afterwards is for the case to judge.
fn put_by_program(options: &[&str], server: &Hostile) -> Result<Got, Error> {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("own");
    std::fs::write(&name, super::cases::contents()).unwrap();
    let output = Command::new(program())
        .args(["-q", "-st", "2", "--retries", "1", "--retry-delay", "20ms"])
        .args(options)
        .arg(&name)
        .arg(server.url("/in/new"))
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(Got::bytes(server.stored("/in/new").unwrap_or_default()));
    }
    let code = output.status.code().unwrap_or(255).unsigned_abs();
    Ok(Got { number: u64::from(code), bytes: output.stderr, ..Got::default() })
}
