//! 1,000 single faults, each at a random byte of a random connection in a random direction, during gets and puts.
//!
//! Every case is drawn from one seed: `GRIDFTP_FAULTS_SEED` sets another, and `GRIDFTP_FAULTS_CASE` runs one case alone,
//! as often as `GRIDFTP_FAULTS_TIMES` says. What a case does is settled by these; how far each side had come when it
//! happened is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gridftp::options::{Timeouts, TransferMode};
use gridftp::{Bytes, Client, ErrorKind, Result, engine_metrics};
use gridftp_lab::proxy::{Fault, Passed, Proxy, Way, What, Where};
use gridftp_lab::{Random, Server, random_bytes};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{data_connections, name};
use crate::support::{WAYS, eventually, open_descriptors};

const CASES: u64 = 1000;
const SEED: u64 = 20_260_401;

/// Cases at the same time: each needs some twenty descriptors of this process, and none above 960 is good for C.
const AT_ONCE: usize = 16;

/// Each limit of a wait on an idle machine, and that of connecting and logging in, which takes a process of the server's.
const LIMIT: Duration = Duration::from_millis(500);
const CONNECT: Duration = Duration::from_millis(1500);

/// What a case without a fault takes on an idle machine, alone.
const USUAL: Duration = Duration::from_millis(60);

/// The limits of the cases: those of an idle machine, or longer on one that is slow or has other things to do.
#[derive(Debug, Clone, Copy)]
struct Limits {
    wait: Duration,
    connect: Duration,
}

impl Limits {
    fn of(usual: Duration) -> Self {
        let slowness = usual.as_secs_f64() / USUAL.as_secs_f64();
        let times = |limit: Duration| limit.mul_f64(slowness.clamp(1.0, 4.0));
        Self { wait: times(LIMIT), connect: times(CONNECT) }
    }

    fn doubled(self) -> Self {
        Self { wait: 2 * self.wait, connect: 2 * self.connect }
    }

    /// A case may meet each of its limits once: connect, reply, first byte, stall; and it may log in once more, where it can go
    /// on over another connection. One second more is a hang.
    fn bound(&self) -> Duration {
        2 * self.connect + 3 * self.wait + Duration::from_secs(1)
    }
}

/// How often a case is tried until its fault happens.
const ATTEMPTS: u32 = 4;

/// When nobody believes any more that it ends.
const HANG: Duration = Duration::from_secs(60);

const SIZES: [usize; 3] = [3000, 300_000, 2_000_000];
const MANY: usize = 12;

/// What is done while the fault happens.
#[derive(Debug, Clone, Copy)]
struct Job {
    what: Kind,
    mode: TransferMode,
    streams: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get(usize),
    Put(usize),
    Many,
}

/// A job and what a run without a fault looks like.
struct Known {
    job: Job,
    passed: Vec<Passed>,
}

#[derive(Debug)]
struct Case {
    number: u64,
    job: Job,
    fault: Fault,
}

impl Case {
    fn draw(seed: u64, number: u64, known: &[Known]) -> Self {
        let mut random = Random::new(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let known = random.of(known);
        let on = random.of(&known.passed);
        // Data goes one way only: the other one has nothing but its beginning.
        let busier = if on.to_server > on.to_client { Way::ToServer } else { Way::ToClient };
        let other = if busier == Way::ToServer { Way::ToClient } else { Way::ToServer };
        let rarely = if matches!(on.connection, Where::Data(_)) { 8 } else { 2 };
        let way = if random.below(rarely) == 0 { other } else { busier };
        let at = random.below(on.bytes(way) + 1);
        let what = random.of(&[What::Cut, What::Truncate, What::Reset, What::Stall, What::BlackHole]).clone();
        Self { number, job: known.job, fault: Fault::new(on.connection, way, at, what) }
    }

    fn describe(&self) -> String {
        let Self { number, job, fault } = self;
        let Fault { connection, way, at, what } = fault;
        let Job { what: kind, mode, streams } = job;
        format!(
            "case {number}: {kind:?} {mode:?} p={streams}, {what:?} of {} {way:?} at {at}",
            name(*connection)
        )
    }
}

struct World {
    limits: Limits,
    server: Server,
    contents: BTreeMap<usize, Bytes>,
    many: Vec<Bytes>,
}

impl World {
    fn new() -> Self {
        let server = Server::anonymous().log_level("ERROR").start();
        let contents = SIZES.map(|size| (size, Bytes::from(random_bytes(size as u64, size))));
        for (size, contents) in &contents {
            std::fs::write(server.dir().join(format!("f{size}")), contents).unwrap();
        }
        // Nothing, little, and more than a block.
        let size = |n: usize| [0, 700, 30_000, 300_001][n % 4];
        let many: Vec<_> = (0..MANY).map(|n| Bytes::from(random_bytes(1000 + n as u64, size(n)))).collect();
        for (n, contents) in many.iter().enumerate() {
            std::fs::write(server.dir().join(format!("m{n}")), contents).unwrap();
        }
        Self { limits: Limits::of(USUAL), server, contents: contents.into(), many }
    }
}

/// What came of a case.
#[derive(Debug, Default)]
struct Outcome {
    /// Whether the fault happened.
    struck: bool,
    took: Duration,
    hung: bool,
    /// Contents that were called right and are not.
    corrupt: Option<String>,
    error: Option<gridftp::Error>,
    /// Of a put that failed: what is at the server.
    remains: Option<Remains>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Remains {
    Nothing,
    Part,
    /// As long as the whole file, and like it or not.
    Whole,
    Lookalike,
}

fn client(limits: Limits) -> Client {
    let Limits { wait, connect } = limits;
    let limits = Timeouts::default().connect(connect).reply(wait).first_byte(wait).stall(wait);
    Client::builder().timeouts(limits).build().unwrap()
}

/// Does the job; an error in the inner result is what somebody lied about.
async fn perform(
    client: &Client,
    world: &World,
    proxy: &Proxy,
    job: Job,
    path: &Path,
) -> Result<Result<(), String>> {
    let Job { what, mode, streams } = job;
    match what {
        Kind::Get(size) => {
            let get = client.get(proxy.url(format!("f{size}"))).mode(mode).parallelism(streams).await?;
            let bytes = get.bytes().await?;
            Ok(same("the file", &bytes, &world.contents[&size]))
        }
        Kind::Put(size) => {
            let contents = &world.contents[&size];
            let mut put = client.put(proxy.url(path)).mode(mode).parallelism(streams).await?;
            for start in (0..size).step_by(700_000) {
                put.write(contents.slice(start..size.min(start + 700_000))).await?;
            }
            put.finish().await?;
            let there = std::fs::read(path).map_err(|error| format!("the stored file: {error}"));
            Ok(there.and_then(|there| same("the stored file", &there, contents)))
        }
        Kind::Many => {
            let urls = (0..MANY).map(|n| proxy.url(format!("m{n}")));
            let mut many = client.get_many(urls).parallelism(streams).await?;
            let mut first = None;
            let mut seen = 0;
            while let Some(mut file) = many.next_file().await? {
                let index = file.index();
                if index != seen {
                    return Ok(Err(format!("file {index} came in the place of {seen}")));
                }
                seen += 1;
                match file.bytes().await {
                    Ok(bytes) => {
                        if let Err(wrong) = same(&format!("file {index}"), &bytes, &world.many[index]) {
                            return Ok(Err(wrong));
                        }
                    }
                    Err(error) => drop(first.get_or_insert(error)),
                }
            }
            if seen != MANY {
                return Ok(Err(format!("{} files were forgotten", MANY - seen)));
            }
            first.map_or(Ok(Ok(())), Err)
        }
    }
}

fn same(what: &str, got: &[u8], expected: &[u8]) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    let at = got.iter().zip(expected).position(|(got, expected)| got != expected);
    Err(format!(
        "{what} has {} bytes, expected {}; the first difference is at {at:?}",
        got.len(),
        expected.len()
    ))
}

async fn run(world: &World, limits: Limits, case: &Case, path: &Path) -> Outcome {
    let proxy = Proxy::before(&world.server).with(case.fault.clone()).start();
    let client = client(limits);
    let start = Instant::now();
    let result = tokio::time::timeout(HANG, perform(&client, world, &proxy, case.job, path)).await;
    let took = start.elapsed();
    let mut outcome = Outcome { took, hung: took > limits.bound(), ..Outcome::default() };
    match result {
        Err(_) => outcome.hung = true,
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(wrong))) => outcome.corrupt = Some(wrong),
        Ok(Err(error)) => outcome.error = Some(error),
    }
    if let (Kind::Put(size), Some(_)) = (case.job.what, &outcome.error) {
        outcome.remains = Some(what_remains(limits, path, &world.contents[&size]).await);
    }
    // Whatever happened: what comes next on the same client belongs to what is asked next.
    let next = Job { what: Kind::Get(SIZES[0]), mode: TransferMode::Stream, streams: 1 };
    if let Ok(Err(wrong)) = perform(&client, world, &proxy, next, path).await {
        outcome.corrupt = Some(format!("afterwards, {wrong}"));
    }
    outcome.struck = proxy.struck() > 0;
    drop((client, proxy));
    let _ = std::fs::remove_file(path);
    outcome
}

/// Runs a case; once more, with more patience, where the machine was too late for a limit before anything was broken,
/// or for the deletion after it.
async fn run_to_the_fault(world: &World, case: &Case, path: &Path) -> Outcome {
    let mut limits = world.limits;
    for _ in 0..ATTEMPTS - 1 {
        let outcome = run(world, limits, case, path).await;
        let late = outcome.error.as_ref().is_some_and(|error| matches!(error.kind(), ErrorKind::Timeout(_)));
        // A deletion has its limit, too: that of the server's last word.
        let left =
            matches!(outcome.remains, Some(Remains::Part | Remains::Lookalike)) && could_delete(&case.fault);
        let again = (late && !outcome.struck) || left;
        if !again || outcome.hung || outcome.corrupt.is_some() {
            return outcome;
        }
        limits = limits.doubled();
    }
    run(world, limits, case, path).await
}

/// What is there once the deletion of an incomplete file has had its time.
async fn what_remains(limits: Limits, path: &Path, contents: &[u8]) -> Remains {
    let limit = Instant::now() + limits.wait + Duration::from_secs(1);
    while path.exists() && Instant::now() < limit {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    match std::fs::read(path) {
        Err(_) => Remains::Nothing,
        Ok(there) if there == contents => Remains::Whole,
        Ok(there) if there.len() == contents.len() => Remains::Lookalike,
        Ok(_) => Remains::Part,
    }
}

fn jobs() -> Vec<Job> {
    let mut jobs = Vec::new();
    for (mode, streams) in WAYS {
        for size in SIZES {
            jobs.push(Job { what: Kind::Get(size), mode, streams });
            jobs.push(Job { what: Kind::Put(size), mode, streams });
        }
        if mode == TransferMode::ExtendedBlock {
            // As often as the others together.
            jobs.extend([Job { what: Kind::Many, mode, streams }; 3]);
        }
    }
    jobs
}

/// Runs every job once without a fault.
async fn rehearse(world: &World) -> Vec<Known> {
    let mut known = Vec::new();
    let path = world.server.dir().join("rehearsal");
    for job in jobs() {
        let proxy = Proxy::before(&world.server).start();
        let client = Client::builder().timeouts(crate::support::short()).build().unwrap();
        perform(&client, world, &proxy, job, &path).await.unwrap().unwrap();
        let _ = std::fs::remove_file(&path);
        let passed = proxy.passed();
        let expected =
            if matches!(job.what, Kind::Get(3000) | Kind::Put(3000)) { 1 } else { job.streams.into() };
        assert!(data_connections(&passed) >= expected, "{job:?}: {passed:?}");
        known.push(Known { job, passed });
    }
    known
}

fn number(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

async fn all(diary: PathBuf) {
    let seed = number("GRIDFTP_FAULTS_SEED").unwrap_or(SEED);
    let mut world = World::new();
    let start = Instant::now();
    let known = rehearse(&world).await;
    world.limits = Limits::of(start.elapsed() / u32::try_from(known.len()).unwrap());
    let world = Arc::new(world);
    let before = open_descriptors();
    let start = Instant::now();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let cases: Vec<u64> = match number("GRIDFTP_FAULTS_CASE") {
        Some(case) => {
            std::iter::repeat_n(case, usize::try_from(number("GRIDFTP_FAULTS_TIMES").unwrap_or(1)).unwrap())
                .collect()
        }
        None => (0..CASES).collect(),
    };
    for (run_number, number) in cases.iter().copied().enumerate() {
        let case = Case::draw(seed, number, &known);
        let (world, room, diary) =
            (Arc::clone(&world), Arc::clone(&room), diary.join(run_number.to_string()));
        let path = world.server.dir().join(format!("put{run_number}"));
        running.spawn(async move {
            let _place = room.acquire().await;
            std::fs::write(&diary, case.describe()).unwrap();
            let outcome = run_to_the_fault(&world, &case, &path).await;
            std::fs::remove_file(&diary).unwrap();
            (case, outcome)
        });
    }
    let mut outcomes = running.join_all().await;
    outcomes.sort_by_key(|(case, _)| case.number);
    let took = start.elapsed();
    report(seed, world.limits, &outcomes, took);

    eventually("ports, buffers and descriptors come back", || {
        let m = engine_metrics();
        (m.ports, m.buffers_out, m.registered) == (0, 0, 0) && open_descriptors() <= before
    })
    .await;
    let m = engine_metrics();
    println!(
        "left over: ports {}, parked handles {}, lost buffers {}, descriptors {} more",
        m.ports,
        m.parked,
        m.lost_buffers,
        open_descriptors().saturating_sub(before)
    );
    assert_eq!((m.lost_buffers, m.strays, m.panics), (0, 0, 0), "{m:?}");
    judge(seed, world.limits, &outcomes);
}

fn report(seed: u64, limits: Limits, outcomes: &[(Case, Outcome)], took: Duration) {
    let count = |test: &dyn Fn(&Case, &Outcome) -> bool| outcomes.iter().filter(|(c, o)| test(c, o)).count();
    let slowest = outcomes.iter().map(|(_, outcome)| outcome.took).max().unwrap_or_default();
    println!(
        "{} single faults (seed {seed}): {} happened; corrupt accepted {}, hangs {}, crashes 0; {} ended well, {} with an \
         error; slowest {} ms of {} ms; {:.1} s",
        outcomes.len(),
        count(&|_, o| o.struck),
        count(&|_, o| o.corrupt.is_some()),
        count(&|_, o| o.hung),
        count(&|_, o| o.error.is_none() && !o.hung && o.corrupt.is_none()),
        count(&|_, o| o.error.is_some()),
        slowest.as_millis(),
        limits.bound().as_millis(),
        took.as_secs_f64(),
    );
    let left = |what| count(&|_, o| o.remains == Some(what));
    println!(
        "{} puts failed; at the server is nothing of {}, a part of {}, all of {}, something of the right length of {}; of \
         those that could be deleted {}",
        count(&|_, o| o.remains.is_some()),
        left(Remains::Nothing),
        left(Remains::Part),
        left(Remains::Whole),
        left(Remains::Lookalike),
        count(&|c, o| could_delete(&c.fault) && matches!(o.remains, Some(Remains::Part | Remains::Lookalike))),
    );
    let mut table: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (case, outcome) in outcomes.iter().filter(|(_, o)| o.struck) {
        let on = if matches!(case.fault.connection, Where::Control(_)) { "control" } else { "data" };
        let left = outcome.remains.map(|remains| format!(", leaves {remains:?}")).unwrap_or_default();
        let end = match &outcome.error {
            None => "right".to_owned(),
            Some(error) => format!("{:?}{left}", error.kind()),
        };
        let kind = match case.job.what {
            Kind::Get(_) => "get",
            Kind::Put(_) => "put",
            Kind::Many => "get_many",
        };
        *table
            .entry((format!("{kind}, {:?} of {on} {:?}", case.fault.what, case.fault.way), end))
            .or_default() += 1;
    }
    for ((case, end), count) in table {
        println!("  {case}: {end} x {count}");
    }
}

/// Whether the control connection is as good as ever, and the server knows that the data has ended: from a server that waits
/// for data for ever there is no answer to DELE.
fn could_delete(fault: &Fault) -> bool {
    matches!(fault.connection, Where::Data(_))
        && matches!(fault.what, What::Cut | What::Truncate | What::Reset)
}

/// Everything that is wrong, at once.
fn judge(seed: u64, limits: Limits, outcomes: &[(Case, Outcome)]) {
    let mut wrong = Vec::new();
    for (case, outcome) in outcomes {
        let mut say = |what: String| wrong.push(format!("{}: {what}", case.describe()));
        if let Some(corrupt) = &outcome.corrupt {
            say(format!("accepted, but {corrupt}"));
        }
        if outcome.hung {
            say(format!("took {:?}, more than {:?}; {:?}", outcome.took, limits.bound(), outcome.error));
        }
        // A busy machine may be late for a limit; nothing else can go wrong where nothing was broken.
        if let Some(error) = &outcome.error
            && !outcome.struck
            && !matches!(error.kind(), ErrorKind::Timeout(_))
        {
            say(format!("failed without a fault: {error:?}"));
        }
        if let Some(error) = &outcome.error
            && matches!(
                error.kind(),
                ErrorKind::Internal
                    | ErrorKind::InvalidInput
                    | ErrorKind::LocalIo
                    | ErrorKind::TooManyOpenFiles
            )
        {
            say(format!("the wrong kind of error: {error:?}"));
        }
        if let Some(remains @ (Remains::Part | Remains::Lookalike)) = outcome.remains
            && could_delete(&case.fault)
        {
            say(format!(
                "leaves {remains:?}, though nothing kept it from being deleted; {:?}",
                outcome.error
            ));
        }
    }
    let happened = outcomes.iter().filter(|(_, outcome)| outcome.struck).count();
    if outcomes.len() > 500 && happened < 500 {
        wrong.push(format!("only {happened} faults happened: the machine is too busy for these limits"));
    }
    assert!(
        wrong.is_empty(),
        "seed {seed}; GRIDFTP_FAULTS_SEED and GRIDFTP_FAULTS_CASE run one again:\n{}",
        wrong.join("\n")
    );
}

/// In a process of its own, so that a crash is noticed, and told with the cases that were under way.
#[test]
fn a_thousand_random_single_faults() {
    const TEST: &str = "faults::random::a_thousand_random_single_faults";
    const DIARY: &str = "GRIDFTP_FAULTS_DIARY";
    if let Some(diary) = std::env::var_os(DIARY) {
        let diary = PathBuf::from(diary);
        std::fs::write(diary.join("ran"), "").unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(all(diary));
    }
    let diary = tempfile::tempdir().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture", "--test-threads", "1"])
        .env(DIARY, diary.path())
        .status()
        .unwrap();
    assert!(diary.path().join("ran").exists(), "{TEST} did not run: is its name right?");
    std::fs::remove_file(diary.path().join("ran")).unwrap();
    let read =
        |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(entry.unwrap().path()).unwrap();
    let under_way: Vec<_> = std::fs::read_dir(diary.path()).unwrap().map(read).collect();
    assert!(status.success(), "{TEST} ended with {status}; under way were\n{}", under_way.join("\n"));
}
