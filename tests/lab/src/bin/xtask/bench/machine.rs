//! On what it was measured: processor, memory, kernel, versions of the programs. No names of hosts, no paths.

use std::fmt;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::peers;
use super::results::Stamp;
use crate::step;

/// What has to be known to read the figures.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) system: String,
    pub(crate) kernel: String,
    /// Programs and their versions.
    pub(crate) versions: Vec<(String, String)>,
}

impl Machine {
    /// The one this runs on.
    pub(crate) fn here() -> Self {
        let field = |path: &str, name: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            value.map(|value| value.trim_matches([' ', '\t', ':', '=', '"']).to_owned()).unwrap_or_default()
        };
        let memory = field("/proc/meminfo", "MemTotal");
        let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: kib / 1024,
            system: field("/etc/os-release", "PRETTY_NAME"),
            // Without what distributors and hosts of virtual machines add to it.
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .split(|c: char| !(c.is_ascii_digit() || c == '.'))
                .next()
                .unwrap_or_default()
                .to_owned(),
            versions: [
                ("globus-gridftp-server", "--version"),
                ("globus-url-copy", "-version"),
                ("rclone", "version"),
                ("gfal-stat", "--version"),
            ]
            .into_iter()
            .filter_map(|(program, flag)| Some((program.to_owned(), version(program, flag)?)))
            .collect(),
        }
    }

    /// Whether figures of both can stand beside each other. The kernel and programs may be newer.
    pub(crate) fn is_the_same_as(&self, other: &Self) -> bool {
        // A virtual machine's memory varies a little from one start to the next.
        self.processor == other.processor
            && self.cores == other.cores
            && self.memory_mib.abs_diff(other.memory_mib) < 512
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} cores, {} MiB of memory, {}, Linux {}",
            self.processor, self.cores, self.memory_mib, self.system, self.kernel
        )?;
        for (program, version) in &self.versions {
            write!(f, ", {program} {version}")?;
        }
        Ok(())
    }
}

/// The first word of what a program says about its version that is a number with a point.
fn version(program: &str, flag: &str) -> Option<String> {
    let program = gridftp_lab::packages::find_program(program)?;
    let mut command = Command::new(program);
    peers::help_gfal(&mut command);
    let output = command.arg(flag).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    number(&String::from_utf8_lossy(&said))
}

fn number(said: &str) -> Option<String> {
    let words = said.split(|c: char| c.is_whitespace() || "(),".contains(c));
    let words = words.map(|word| word.trim_start_matches('v'));
    let found = words.into_iter().find(|word| {
        word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.') && !word.contains('/')
    });
    found.map(str::to_owned)
}

impl Stamp {
    /// Today, and the state that is checked out; `+` for changes that are not committed.
    pub(crate) fn now() -> Self {
        let now = time::OffsetDateTime::now_utc();
        let git = |args: &[&str]| {
            let output = Command::new("git").args(args).current_dir(step::root()).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let mut commit = git(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_default();
        let sources =
            ["status", "--porcelain", "--untracked-files=no", "--", "src", "examples", "globus-sys"];
        if git(&sources).is_some_and(|changes| !changes.is_empty()) {
            commit.push('+');
        }
        let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
        Self { date: format!("{year}-{month:02}-{day:02}"), commit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(number("globus_url_copy: 10.12 (1663000000-0) [x]").as_deref(), Some("10.12"));
        assert_eq!(number("rclone v1.60.1-DEV\n- os/version: debian 12.0").as_deref(), Some("1.60.1-DEV"));
        assert_eq!(number("no such thing"), None);
    }

    #[test]
    fn a_newer_kernel_is_no_other_machine() {
        let one = Machine { processor: "x".into(), cores: 2, memory_mib: 4000, ..Machine::default() };
        assert!(one.is_the_same_as(&Machine { kernel: "6.9".into(), memory_mib: 4100, ..one.clone() }));
        assert!(!one.is_the_same_as(&Machine { cores: 4, ..one.clone() }));
    }
}
