//! `cargo xtask docs`: manual pages and completions of the programs, out of the programs themselves, and docs/performance.md, out of
//! what is recorded.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{bench, step};

const PROGRAMS: [&str; 2] = ["gridftp-cp", "gridftp-fs"];

/// What is made of each program, and where it goes below `docs`.
const MADE: [(&str, &str, &str); 4] = [
    ("man", "man", "{}.1"),
    ("bash", "completions", "{}.bash"),
    ("zsh", "completions", "_{}"),
    ("fish", "completions", "{}.fish"),
];

/// Only looks, or writes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail if a file is not what it should be
    #[arg(long)]
    check: bool,
}

/// Only looks: a step of `cargo xtask test`.
pub(crate) fn check() -> Result<String> {
    run(&Args { check: true }).map(|()| String::new())
}

/// Makes all of them.
pub(crate) fn run(args: &Args) -> Result<()> {
    step::run(&mut step::cargo(&["build", "--quiet", "--example", PROGRAMS[0], "--example", PROGRAMS[1]]))?;
    let examples = step::target_folder()?.join("debug").join("examples");
    let mut stale = Vec::new();
    for program in PROGRAMS {
        for (what, folder, name) in MADE {
            let output = Command::new(examples.join(program))
                .args(["--generate", what])
                .output()
                .with_context(|| format!("starting {program}"))?;
            if !output.status.success() {
                bail!("{program} --generate {what} failed ({})", output.status);
            }
            let path = Path::new("docs").join(folder).join(name.replace("{}", program));
            let whole = step::root().join(&path);
            if std::fs::read(&whole).is_ok_and(|found| found == output.stdout) {
                continue;
            }
            stale.push(path);
            if !args.check {
                write(&whole, &output.stdout)?;
            }
        }
    }
    for (path, text) in bench::render::files()? {
        let whole = step::root().join(&path);
        if std::fs::read(&whole).is_ok_and(|found| found == text.as_bytes()) {
            continue;
        }
        stale.push(path);
        if !args.check {
            write(&whole, text.as_bytes())?;
        }
    }
    let names: Vec<_> = stale.iter().map(|path| path.display().to_string()).collect();
    match (names.is_empty(), args.check) {
        (true, _) => {
            println!("Manual pages, completions and docs/performance.md are as what they are made of.");
        }
        (false, false) => println!("Written: {}", names.join(", ")),
        (false, true) => {
            bail!("not as what they are made of: {}; `cargo xtask docs` writes them", names.join(", "))
        }
    }
    Ok(())
}

fn write(path: &PathBuf, contents: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    std::fs::write(path, contents).with_context(|| format!("writing {}", path.display()))
}
