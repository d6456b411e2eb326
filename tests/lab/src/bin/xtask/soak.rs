//! `cargo xtask soak`: the mixed load of examples/soak against real servers, some of which are broken meanwhile.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};
use gridftp_lab::{Pki, Server, sha256_file, write_random};
use rustix::process::{Pid, Signal, kill_process};

use crate::{deps, step};

/// How long, and what.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many minutes the load lasts
    #[arg(long, value_name = "N", default_value_t = 3.0)]
    minutes: f64,
    /// Operations under way at a time
    #[arg(long, value_name = "N", default_value_t = 16)]
    tasks: u64,
    /// The load, if it is built already; examples/soak is built optimised otherwise
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Breaks nothing
    #[arg(long)]
    calm: bool,
}

/// Sizes of the files to fetch.
const SIZES: [u64; 20] = [
    0, 1, 100, 4_096, 5_000, 65_536, 100_000, 262_143, 262_144, 262_145, 300_000, 500_000, 1_000_000,
    1_048_576, 1_500_000, 2_000_000, 3_000_001, 4_000_000, 6_000_000, 12_000_000,
];

/// The folders for what is put, one for each place; whoever is troubled stands last.
const PLACES: [&str; 5] = ["plain", "gsi", "striped", "victim", "proxied"];

/// Has glibc give large blocks back when they are freed. By default it keeps those of up to 32 MiB in arenas, eight for each
/// core: measured over three minutes the same load held 110 to 140 MiB at rest, up and down by chance, and 63.1 to 63.6 MiB
/// with this. What remains is what somebody holds, so that growth of 8 MiB is a failure.
const ALLOCATOR: &str =
    "glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=131072:glibc.malloc.trim_threshold=131072";

/// The servers, and what is done to them.
struct Lab {
    victim: Option<Server>,
    proxy: Proxy,
    // Those below outlive the proxy.
    proxied: Server,
    _calm: [Server; 3],
    pki: Pki,
    folder: tempfile::TempDir,
    seed: u64,
    kills: usize,
    restarts: usize,
}

/// Runs the load and looks at what is left.
pub(crate) fn run(args: &Args) -> Result<()> {
    deps::ensure(deps::Wanted::Programs)?;
    let program = match &args.program {
        Some(program) => program.clone(),
        None => step::build_release_example("soak")?,
    };
    let mut lab = Lab::new()?;
    let seconds = (args.minutes * 60.0).max(1.0);
    let round = (seconds / 12.0).clamp(5.0, 30.0);
    let mut command = Command::new(program);
    command.envs(lab.pki.env()).arg("--folder").arg(lab.folder.path());
    command.env("GLIBC_TUNABLES", ALLOCATOR);
    command.args(["--seconds", &format!("{seconds:.0}"), "--round", &format!("{round:.0}")]);
    command.args(["--tasks", &args.tasks.to_string()]).args(lab.places());
    let begun = Instant::now();
    let mut load = command.spawn().context("starting the load")?;
    // Longer than the slowest deadline of what is under way at the end.
    let limit = Duration::from_secs_f64(seconds) + Duration::from_secs(400);
    let status = loop {
        if let Some(status) = load.try_wait().context("waiting for the load")? {
            break status;
        }
        if begun.elapsed() > limit {
            let _ = load.kill();
            bail!("the load does not end");
        }
        if !args.calm {
            lab.trouble()?;
        }
        std::thread::sleep(Duration::from_millis(400));
    };
    let (right, wrong) = lab.look()?;
    println!(
        "{:.0} s; servers: {} sessions killed, {} restarts, {} faults of the proxy; {right} stored files have their hashes, {} do not",
        begun.elapsed().as_secs_f64(),
        lab.kills,
        lab.restarts,
        lab.proxy.struck(),
        wrong.len(),
    );
    if !wrong.is_empty() {
        bail!("not what was stored: {}", wrong.join(", "));
    }
    if !status.success() {
        bail!("the load failed ({status})");
    }
    Ok(())
}

impl Lab {
    fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("gridftp-soak-").tempdir().context("making a folder")?;
        let source = folder.path().join("source");
        for name in ["source"].into_iter().chain(PLACES) {
            std::fs::create_dir(folder.path().join(name)).context("making a folder")?;
        }
        let mut list = String::new();
        for (seed, size) in (1..).zip(SIZES) {
            let name = format!("f{seed}");
            let hash = write_random(&source.join(&name), seed, size)?;
            writeln!(list, "{hash} {size} {name}")?;
        }
        std::fs::write(folder.path().join("sources"), list).context("writing the list of files")?;
        let pki = Pki::try_new()?;
        // As in production: no line for each connection.
        let plain = || Server::anonymous().log_level("ERROR");
        let calm = [
            plain().try_start()?,
            Server::gsi(&pki).log_level("ERROR").try_start()?,
            plain().striped(2).try_start()?,
        ];
        let (victim, proxied) = (plain().try_start()?, plain().try_start()?);
        let proxy = Proxy::before(&proxied).try_start()?;
        let seed = std::time::UNIX_EPOCH.elapsed().map_or(1, |time| u64::from(time.subsec_nanos()) | 1);
        let victim = Some(victim);
        Ok(Self { victim, proxy, proxied, _calm: calm, pki, folder, seed, kills: 0, restarts: 0 })
    }

    /// What the load is told: names, marks and URLs.
    fn places(&self) -> Vec<String> {
        let victim = self.victim.as_ref().map(Server::url_root).unwrap_or_default();
        let [plain, gsi, striped] = &self._calm;
        let [a, b, c, d, e] = PLACES;
        vec![
            format!("{a}={}", plain.url_root()),
            format!("{b}={}", gsi.url_root()),
            format!("{c},striped={}", striped.url_root()),
            format!("{d},troubled={victim}"),
            format!("{e},troubled={}", self.proxy.url_root()),
        ]
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 16) % limit.max(1)
    }

    /// Breaks something.
    fn trouble(&mut self) -> Result<()> {
        match self.below(10) {
            0 => self.restart()?,
            1..4 => self.kill(),
            _ => self.fault(),
        }
        Ok(())
    }

    /// Ends the server in the middle of everything, and starts another one in its place.
    fn restart(&mut self) -> Result<()> {
        let Some(port) = self.victim.as_ref().map(Server::port) else { return Ok(()) };
        drop(self.victim.take());
        self.victim = Some(Server::anonymous().log_level("ERROR").port(port).try_start()?);
        self.restarts += 1;
        Ok(())
    }

    /// Kills the process behind one of the sessions, of the server behind the proxy or of the other one.
    fn kill(&mut self) {
        let proxied = self.below(2) == 0;
        let Some(server) = (if proxied { Some(&self.proxied) } else { self.victim.as_ref() }) else { return };
        let sessions: Vec<_> =
            server.processes().into_iter().filter(|process| *process != server.pid()).collect();
        let at = self.below(u64::try_from(sessions.len()).unwrap_or(0));
        let process = usize::try_from(at).ok().and_then(|at| sessions.get(at).copied());
        let process = process.and_then(|process| i32::try_from(process).ok()).and_then(Pid::from_raw);
        // One that has just ended by itself is as good.
        if process.is_some_and(|process| kill_process(process, Signal::KILL).is_ok()) {
            self.kills += 1;
        }
    }

    /// Something happens to one of the next connections through the proxy.
    fn fault(&mut self) {
        let ahead = usize::try_from(self.below(6)).unwrap_or(0);
        let passed = self.proxy.passed();
        let is_data = |connection: Where| matches!(connection, Where::Data(_));
        let data = self.below(4) > 0;
        let next = passed.iter().filter(|passed| is_data(passed.connection) == data).count() + ahead;
        let connection = if data { Where::Data(next) } else { Where::Control(next) };
        let way = if self.below(2) == 0 { Way::ToServer } else { Way::ToClient };
        let at = self.below(if data { 3_000_000 } else { 3_000 });
        let what = match self.below(7) {
            0 => What::Cut,
            1 => What::Truncate,
            2 => What::Reset,
            3 => What::Stall,
            4 => What::BlackHole,
            5 => What::Delay(Duration::from_secs(2)),
            _ => What::Throttle(1_000_000),
        };
        self.proxy.add(Fault::new(connection, way, at, what));
    }

    /// Compares what is stored with what was confirmed, file by file; unfinished files may lie where there was trouble only.
    fn look(&self) -> Result<(usize, Vec<String>)> {
        let folder = self.folder.path();
        let manifest =
            std::fs::read_to_string(folder.join("manifest")).context("reading what the load has stored")?;
        let (mut right, mut wrong, mut known) = (0, Vec::new(), HashSet::new());
        for (hash, name) in manifest.lines().filter_map(|line| line.split_once(' ')) {
            known.insert(name.to_owned());
            match sha256_file(&folder.join(name)) {
                Ok(found) if found == hash => right += 1,
                Ok(_) => wrong.push(format!("{name} has other contents")),
                Err(_) => wrong.push(format!("{name} is not there")),
            }
        }
        for place in PLACES {
            let left = left_in(&folder.join(place), place, &known)?;
            let temporary = left.iter().filter(|name| name.contains("/.gridftp-")).count();
            println!(
                "{} files of operations without a good end are left in {place}, {temporary} of them temporary ones",
                left.len()
            );
        }
        Ok((right, wrong))
    }
}

/// What lies there and was not confirmed.
fn left_in(folder: &Path, place: &str, known: &HashSet<String>) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let names = entries.flatten().map(|entry| format!("{place}/{}", entry.file_name().to_string_lossy()));
    Ok(names.filter(|name| !known.contains(name)).collect())
}
