//! `cargo xtask bench`: wall time against globus-url-copy, in pairs.
//!
//! Figures of one machine wander from minute to minute, so the two programs run in turn, A B A B, and what counts is
//! the median of the pairwise ratios. Files are in `/dev/shm`, to measure the programs and not the disk. Memory is read
//! in a run of its own, which is not timed.

mod measure;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use gridftp_lab::wan::{Conditions, End, Make, Wan};
use gridftp_lab::{Pki, Server, Tree, packages, percent_encode, sha256_file, write_random};

use crate::{deps, step};
use measure::Contest;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// How many pairs a row takes
    #[arg(long, value_name = "N", default_value_t = 7, global = true, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Under GSI instead of anonymous
    #[arg(long, global = true)]
    gsi: bool,
    /// Over a link instead of loopback, like "rtt=50ms rate=1gbit loss=0.1%"; needs root
    #[arg(long, global = true, value_name = "WORDS", conflicts_with = "gsi")]
    wan: Option<String>,
    /// The size of the large file
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..))]
    mib: u64,
    /// Only rows whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    row: String,
    /// A further argument of gridftp-cp, for instance `--ours=-p --ours=4`
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    ours: Vec<String>,
}

#[derive(clap::Subcommand)]
enum What {
    /// One large file: get to /dev/null, get to a file, put (this is the default)
    Large,
    /// A tree of many small files, copied both ways by examples/transfer.rs with its defaults, against globus-url-copy with
    /// the flags that suit it best
    Tree {
        /// How many files
        #[arg(long, value_name = "N", default_value_t = 2000)]
        count: usize,
        /// Of how many bytes each
        #[arg(long, value_name = "BYTES", default_value_t = 4096)]
        bytes: u64,
    },
    /// 2,000 files of 4 KiB, fetched by examples/bench_small.rs as `bench_small URL_BASE COUNT`; files f0, f1, …
    Small {
        /// How many files
        #[arg(long, value_name = "N", default_value_t = 2000)]
        count: usize,
        /// Of how many bytes each
        #[arg(long, value_name = "BYTES", default_value_t = 4096)]
        bytes: u64,
    },
}

/// Measures and prints the table.
pub(crate) fn run(args: &Args) -> Result<()> {
    deps::ensure(deps::Wanted::Programs)?;
    let lab = Lab::new(args)?;
    match args.what {
        None | Some(What::Large) => large(args, &lab),
        Some(What::Small { count, bytes }) => small(args, &lab, count, bytes),
        Some(What::Tree { count, bytes }) => tree(args, &lab, count, bytes),
    }
}

/// A server, a client's environment and a folder in memory.
struct Lab {
    // Dropped first, as it may still write to the folder.
    server: Server,
    link: Option<Link>,
    pki: Option<Pki>,
    shm: tempfile::TempDir,
    peer: PathBuf,
}

impl Lab {
    fn new(args: &Args) -> Result<Self> {
        let peer = packages::URL_COPY.program()?;
        let shm = tempfile::Builder::new()
            .prefix("gridftp-bench-")
            .tempdir_in("/dev/shm")
            .context("making a folder in /dev/shm, where the files are to be")?;
        let pki = if args.gsi { Some(Pki::try_new()?) } else { None };
        let link = args.wan.as_deref().map(Link::up).transpose()?;
        let builder = pki.as_ref().map_or_else(Server::anonymous, Server::gsi);
        let builder = match &link {
            Some(Link(wan)) => builder.across(wan),
            None => builder,
        };
        // As in production: no line for each connection.
        let server = builder.log_level("ERROR").try_start()?;
        Ok(Self { server, link, pki, shm, peer })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.shm.path().join(name)
    }

    fn url(&self, name: &str) -> String {
        self.server.url(self.path(name))
    }

    fn command(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = match &self.link {
            Some(Link(wan)) => wan.command(End::A, program),
            None => Command::new(program),
        };
        command.args(args);
        if let Some(pki) = &self.pki {
            command.envs(pki.env());
        }
        command
    }

    fn require_space(&self, bytes: u64) -> Result<()> {
        let stat = rustix::fs::statvfs(self.shm.path()).context("asking how much room /dev/shm has")?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < bytes {
            bail!(
                "/dev/shm has {:.0} MB free and {:.0} MB are needed; give a smaller --mib",
                step::megabytes(free),
                step::megabytes(bytes)
            );
        }
        Ok(())
    }
}

/// A link that is taken down at the end.
struct Link(Wan);

impl Link {
    fn up(words: &str) -> Result<Self> {
        let conditions = Conditions::default().changed(words).map_err(anyhow::Error::msg)?;
        let wan = Wan::named("bench")?;
        wan.up(&conditions, &Make::default(), &mut crate::wan::router()?)?;
        println!("Over a link: {conditions}");
        Ok(Self(wan))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Err(error) = self.0.down() {
            eprintln!("the link cannot be taken down: {error}");
        }
    }
}

fn large(args: &Args, lab: &Lab) -> Result<()> {
    let ours = step::build_release_example("gridftp-cp")?;
    let bytes = args.mib << 20;
    // The source, and what one side leaves while the other's is being removed.
    lab.require_space(bytes.saturating_mul(2).saturating_add(64 << 20))?;
    println!("Making a file of {} MiB …", args.mib);
    let hash = write_random(&lab.path("source"), 1, bytes)?;
    let (from_url, from, copy) = (lab.url("source"), lab.path("source"), lab.path("copy"));
    let (from, to) = (from.display().to_string(), copy.display().to_string());
    let (from_file, to_file, to_url) = (file_url(&from), file_url(&to), lab.url("copy"));

    let peers: [(&str, &[&str]); 2] = [("guc", &[]), ("guc -fast -p 4", &["-fast", "-p", "4"])];
    // Name; what ours is given; what the peer is given; whether a copy appears that can be checked.
    let cases: [(&str, [&str; 2], [&str; 2], bool); 3] = [
        ("get to /dev/null", [&from_url, "/dev/null"], [&from_url, "file:///dev/null"], false),
        ("get to a file", [&from_url, &to], [&from_url, &to_file], true),
        ("put", [&from, &to_url], [&from_file, &to_url], true),
    ];
    let mut results = Vec::new();
    for (name, our_ends, peer_ends, leaves_copy) in cases {
        for (peer_name, peer_flags) in peers {
            let row = format!("{name} / {peer_name}");
            if !row.contains(&args.row) {
                continue;
            }
            let our_flags: Vec<&str> = args.ours.iter().map(String::as_str).collect();
            let contest = Contest {
                ours: &|| lab.command(&ours, &[our_flags.as_slice(), &our_ends].concat()),
                peer: &|| lab.command(&lab.peer, &[peer_flags, &peer_ends].concat()),
                before: &|| measure::remove(&copy),
                after: &|| match sha256_file(&copy) {
                    Ok(found) if found == hash => Ok(()),
                    Ok(_) => bail!("the copy differs from its original"),
                    Err(_) if !leaves_copy => Ok(()),
                    Err(error) => Err(error.into()),
                },
            };
            println!("{row} …");
            results.push((row, contest.run(args.pairs)?));
        }
    }
    table::show(&results, table::Unit::Megabytes(bytes), args.pairs);
    Ok(())
}

fn small(args: &Args, lab: &Lab, count: usize, bytes: u64) -> Result<()> {
    let ours = step::build_release_example("bench_small")?;
    let source = lab.path("source");
    std::fs::create_dir(&source).with_context(|| format!("making {}", source.display()))?;
    for number in 0..count {
        let seed = u64::try_from(number).unwrap_or(0);
        write_random(&source.join(format!("f{number}")), seed, bytes)?;
    }
    let copy = lab.path("copy");
    let (base, number) = (lab.url("source"), count.to_string());
    let (base_folder, to_file) = (format!("{base}/"), format!("{}/", file_url(&copy.display().to_string())));
    let contest = Contest {
        ours: &|| lab.command(&ours, &[&base, &number]),
        peer: &|| lab.command(&lab.peer, &["-r", "-cd", "-cc", "4", "-fast", &base_folder, &to_file]),
        before: &|| measure::remove(&copy),
        // Ours keeps nothing; the peer must have fetched them all.
        after: &|| {
            let found = std::fs::read_dir(&copy).map(Iterator::count);
            if found.is_ok_and(|found| found != count) {
                bail!("globus-url-copy did not fetch {count} files");
            }
            Ok(())
        },
    };
    let row = format!("get {count} x {bytes} bytes / guc -r -cc 4 -fast");
    println!("{row} …");
    let result = contest.run(args.pairs)?;
    table::show(&[(row, result)], table::Unit::Files(count), args.pairs);
    Ok(())
}

/// Files in folders of 1,000, down and up.
fn tree(args: &Args, lab: &Lab, count: usize, bytes: u64) -> Result<()> {
    let ours = step::build_release_example("transfer")?;
    let files = (0..count).map(|number| (format!("d{}/f{number}", number / 1000), bytes));
    println!("Making {count} files of {bytes} bytes …");
    let tree = Tree::create(lab.path("source"), 1, files)?;
    let (from, to) = (lab.path("source").display().to_string(), lab.path("copy").display().to_string());
    let (from_url, to_url) = (lab.url("source"), lab.url("copy"));
    let folder = |url: &str| format!("{url}/");
    let peer_flags: [&[&str]; 2] =
        [&["-r", "-cd", "-cc", "4", "-fast"], &["-r", "-cd", "-cc", "8", "-pp", "-fast"]];
    let cases = [
        ("get", [&from_url, &to], [folder(&from_url), folder(&file_url(&to))], peer_flags[0]),
        ("put", [&from, &to_url], [folder(&file_url(&from)), folder(&to_url)], peer_flags[1]),
    ];
    let mut results = Vec::new();
    for (name, our_ends, peer_ends, flags) in cases {
        let row = format!("{name} {count} x {bytes} bytes / guc {}", flags.join(" "));
        if !row.contains(&args.row) {
            continue;
        }
        let our_flags: Vec<&str> = args.ours.iter().map(String::as_str).collect();
        let contest = Contest {
            ours: &|| {
                lab.command(&ours, &[&[our_ends[0].as_str(), our_ends[1].as_str()], &our_flags[..]].concat())
            },
            peer: &|| {
                lab.command(&lab.peer, &[flags, &[peer_ends[0].as_str(), peer_ends[1].as_str()]].concat())
            },
            before: &|| measure::remove(&lab.path("copy")),
            after: &|| {
                let differences = tree.differences(&lab.path("copy"));
                if let Some(first) = differences.first() {
                    bail!("{} files differ: {first}", differences.len());
                }
                Ok(())
            },
        };
        println!("{row} …");
        results.push((row, contest.run(args.pairs)?));
    }
    table::show(&results, table::Unit::Files(count), args.pairs);
    Ok(())
}

fn file_url(path: &str) -> String {
    format!("file://{}", percent_encode(path))
}
