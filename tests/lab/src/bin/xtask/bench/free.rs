//! `cargo xtask bench free`: whatever one wants to know, with sizes, links and flags as given. Nothing is kept.

use anyhow::Result;
use gridftp_lab::packages;

use super::lab::{Lab, Plan, check_tree, clear, file_url};
use super::measure::Contest;
use super::session::{Entry, Session, called, size, words};
use super::table;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
    /// How many pairs a row takes
    #[arg(long, value_name = "N", default_value_t = 7, global = true, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Under GSI instead of anonymous
    #[arg(long, global = true)]
    gsi: bool,
    /// Over a link instead of loopback, like "rtt=50ms rate=1gbit loss=0.1%"; needs root
    #[arg(long, global = true, value_name = "WORDS")]
    wan: Option<String>,
    /// Only comparisons whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "", global = true)]
    only: String,
    /// A further argument of gridftp-cp, for instance `--ours=-p --ours=4`
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, global = true)]
    ours: Vec<String>,
    /// Flags of globus-url-copy, instead of those that suit it best
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true, global = true)]
    theirs: Option<String>,
}

#[derive(clap::Subcommand)]
enum What {
    /// One large file: get to /dev/null, get to a file, put
    Large {
        /// Its size
        #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..))]
        mib: u64,
    },
    /// A tree of many small files, both ways, in folders of a thousand
    Tree {
        /// How many files
        #[arg(long, value_name = "N", default_value_t = 2000)]
        count: u64,
        /// Of how many bytes each
        #[arg(long, value_name = "BYTES", default_value_t = 4096)]
        bytes: u64,
    },
    /// Files of one folder, fetched by examples/bench through one pipeline and thrown away
    Small {
        /// How many files
        #[arg(long, value_name = "N", default_value_t = 2000)]
        count: u64,
        /// Of how many bytes each
        #[arg(long, value_name = "BYTES", default_value_t = 4096)]
        bytes: u64,
    },
}

/// Measures and prints the table.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut session = Session::new(args.pairs, false);
    let lab = Lab::new(Plan { gsi: args.gsi, wan: args.wan.as_deref(), ..Plan::default() })?;
    match args.what {
        What::Large { mib } => large(args, &lab, &mut session, mib << 20)?,
        What::Tree { count, bytes } => tree(args, &lab, &mut session, count, bytes)?,
        What::Small { count, bytes } => small(args, &lab, &mut session, count, bytes)?,
    }
    table::show(&session.lines, &session.not_run, true);
    super::ended_well(&session)
}

/// One comparison: what it is called, flags of the peer, the ends, and how the copy is looked at.
struct Case<'a> {
    name: String,
    bytes: u64,
    files: u64,
    program: &'a str,
    ours: Vec<String>,
    theirs: (&'a str, Vec<String>),
    check: &'a dyn Fn(bool) -> Result<()>,
}

fn compare(args: &Args, lab: &Lab, session: &mut Session, case: &Case<'_>) -> Result<()> {
    let guc = packages::URL_COPY.program()?;
    let flags = args.theirs.as_deref().unwrap_or(case.theirs.0);
    let peer = called(&guc, flags);
    if !format!("{} / {peer}", case.name).contains(&args.only) {
        return Ok(());
    }
    let ours = session.program(case.program)?;
    let entry = Entry {
        case: case.name.clone(),
        program: case.program,
        peer: &peer,
        bytes: case.bytes,
        files: case.files,
        ..Entry::default()
    };
    let further: &[String] = if case.program == "gridftp-cp" { &args.ours } else { &[] };
    let contest = Contest {
        ours: &|| lab.command(&ours, &[further, &case.ours].concat()),
        peer: Some(&|| lab.command(&guc, &[words(flags, &[]), case.theirs.1.clone()].concat())),
        before: &|| clear(&lab.path("copy")),
        after: &|ended| (case.check)(ended.ours),
        told: None,
    };
    session.measure(&entry, &contest);
    Ok(())
}

fn large(args: &Args, lab: &Lab, session: &mut Session, bytes: u64) -> Result<()> {
    println!("Making a file of {} …", size(bytes));
    let original = lab.file("source", bytes)?;
    let copy = lab.path("copy");
    let (from_url, to_url) = (lab.url("source"), lab.url("copy"));
    let (from, to) = (file_url(&lab.path("source")), file_url(&copy));
    for (name, ends) in [
        ("get to /dev/null", [from_url.as_str(), "file:///dev/null"]),
        ("get to a file", [&from_url, &to]),
        ("put", [&from, &to_url]),
    ] {
        // Flags that are given take the place of these, once.
        let flags: &[&str] = if args.theirs.is_some() { &[""] } else { &["", "-fast -p 4"] };
        for flags in flags {
            let ends: Vec<String> = ends.iter().map(|end| (*end).to_owned()).collect();
            let case = Case {
                name: name.to_owned(),
                bytes,
                files: 0,
                program: "gridftp-cp",
                ours: ends.clone(),
                theirs: (flags, ends),
                check: &|_| if name == "get to /dev/null" { Ok(()) } else { original.check(&copy) },
            };
            compare(args, lab, session, &case)?;
        }
    }
    Ok(())
}

fn tree(args: &Args, lab: &Lab, session: &mut Session, count: u64, bytes: u64) -> Result<()> {
    println!("Making {count} files of {bytes} bytes …");
    let tree = lab.tree("source", count, bytes, 1000)?;
    let copy = lab.path("copy");
    let folder = |end: String| format!("{end}/");
    let get = [folder(lab.url("source")), folder(file_url(&copy))];
    let put = [folder(file_url(&lab.path("source"))), folder(lab.url("copy"))];
    for (name, ends, flags) in [("get", get, "-r -cd -cc 4 -fast"), ("put", put, "-r -cd -cc 8 -pp -fast")] {
        let case = Case {
            name: format!("{name} {count} x {bytes} bytes"),
            bytes: count * bytes,
            files: count,
            program: "gridftp-cp",
            ours: words("-r", &[&ends[0], &ends[1]]),
            theirs: (flags, ends.to_vec()),
            check: &|_| check_tree(&tree, &copy),
        };
        compare(args, lab, session, &case)?;
    }
    Ok(())
}

fn small(args: &Args, lab: &Lab, session: &mut Session, count: u64, bytes: u64) -> Result<()> {
    let tree = lab.tree("source", count, bytes, 0)?;
    let (url, copy) = (lab.url("source"), lab.path("copy"));
    let case = Case {
        name: format!("get {count} x {bytes} bytes"),
        bytes: count * bytes,
        files: count,
        program: "bench",
        ours: words("gets", &[&url, &count.to_string()]),
        theirs: ("-r -cd -cc 4 -fast", vec![format!("{url}/"), format!("{}/", file_url(&copy))]),
        // Ours keeps nothing; the peer must have fetched them all.
        check: &|ours| if ours { Ok(()) } else { check_tree(&tree, &copy) },
    };
    compare(args, lab, session, &case)
}
