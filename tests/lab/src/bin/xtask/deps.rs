//! Finds what is missing, says what it is going to do, does it, and looks again.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use gridftp_lab::packages::{self, Component, Family};

use crate::step;

/// How much is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// To build and to run servers.
    Programs,
    /// Also what the tests and lints need: further servers, and of cargo nextest, rustfmt, clippy.
    Tests,
}

/// Something that is missing, and that no package of the [`packages`] table brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Rustfmt,
    Clippy,
    Nextest,
}

impl Tool {
    const ALL: [Self; 3] = [Self::Rustfmt, Self::Clippy, Self::Nextest];

    fn name(self) -> &'static str {
        match self {
            Self::Rustfmt => "rustfmt",
            Self::Clippy => "clippy",
            Self::Nextest => "cargo-nextest",
        }
    }

    fn is_present(self) -> bool {
        let subcommand = match self {
            Self::Rustfmt => "fmt",
            Self::Clippy => "clippy",
            Self::Nextest => "nextest",
        };
        let mut command = step::cargo(&[subcommand, "--version"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// The system's package, for a Rust that came from there.
    fn package(self, family: Family) -> Option<&'static str> {
        match (self, family) {
            (Self::Rustfmt, _) => Some("rustfmt"),
            (Self::Clippy, Family::Debian) => Some("rust-clippy"),
            (Self::Clippy, Family::Fedora) => Some("clippy"),
            (Self::Nextest, _) => None,
        }
    }
}

/// Makes sure that what is wanted is there. Says nothing when it is.
pub(crate) fn ensure(wanted: Wanted) -> Result<()> {
    let (components, tools) = missing(wanted);
    if components.is_empty() && tools.is_empty() {
        return Ok(());
    }
    println!("Missing: {}", names(&components, &tools));
    let commands = plan(&components, &tools)?;
    let shown: Vec<_> = commands.iter().map(|command| format!("    {}", step::show(command))).collect();
    let as_root = |command: &Command| {
        ["apt-get", "dnf", "env", "crb"].iter().any(|name| command.get_program() == *name)
    };
    if Privilege::find() == Privilege::None && commands.iter().any(as_root) {
        bail!("installing packages needs root, and there is no sudo; as root, run\n{}", shown.join("\n"));
    }
    println!("This is going to run:\n{}", shown.join("\n"));
    if components.iter().any(|c| std::ptr::eq(*c, &packages::SERVER)) {
        println!(
            "(Some systems start a newly installed GridFTP server on port 2811. The lab does not use it.)"
        );
    }
    // Slurm's own services do nothing before somebody configures them.
    if components.iter().any(|c| std::ptr::eq(*c, &packages::MUNGE)) {
        println!(
            "(Some systems start a newly installed munge. The lab does not use it, and needs no systemd.)"
        );
    }
    for mut command in commands {
        let result = step::run(command.stdin(Stdio::null()));
        // A mirror out of order need not matter: whether the packages came is what counts.
        if let Err(error) = result {
            if step::show(&command).ends_with("apt-get update") {
                eprintln!("{error:#}; going on");
            } else {
                return Err(error);
            }
        }
    }
    let (components, tools) = missing(wanted);
    if !components.is_empty() || !tools.is_empty() {
        bail!("still missing after the installation: {}", names(&components, &tools));
    }
    Ok(())
}

fn missing(wanted: Wanted) -> (Vec<&'static Component>, Vec<Tool>) {
    let is_wanted = |component: &Component| wanted == Wanted::Tests || !component.is_only_for_tests();
    let components = packages::ALL.iter().copied().filter(|c| is_wanted(c) && !c.is_present()).collect();
    let tools = match wanted {
        Wanted::Programs => Vec::new(),
        Wanted::Tests => Tool::ALL.into_iter().filter(|tool| !tool.is_present()).collect(),
    };
    (components, tools)
}

fn names(components: &[&Component], tools: &[Tool]) -> String {
    let names: Vec<_> = components.iter().map(|c| c.name).chain(tools.iter().map(|t| t.name())).collect();
    names.join(", ")
}

fn plan(components: &[&Component], tools: &[Tool]) -> Result<Vec<Command>> {
    let has_rustup = packages::find_program("rustup").is_some();
    let family = packages::family();
    let mut wanted: Vec<&str> = Vec::new();
    let mut rustup: Vec<&str> = Vec::new();
    let mut unknown: Vec<&str> = Vec::new();
    for component in components {
        match family {
            Some(family) => wanted.push(component.package(family)),
            None => unknown.push(component.name),
        }
    }
    let mut commands = Vec::new();
    for &tool in tools {
        match (tool, family.and_then(|family| tool.package(family))) {
            (Tool::Nextest, _) => {}
            _ if has_rustup => rustup.push(tool.name()),
            (_, Some(package)) => wanted.push(package),
            (_, None) => unknown.push(tool.name()),
        }
    }
    if !unknown.is_empty() {
        let advice: Vec<_> =
            components.iter().map(|c| format!("  {}: {} or {}", c.name, c.debian, c.fedora)).collect();
        bail!(
            "this is neither Debian/Ubuntu nor Fedora/RHEL; please install {} yourself. Package names there:\n{}",
            unknown.join(", "),
            advice.join("\n")
        );
    }
    wanted.dedup();
    if !wanted.is_empty() {
        let how = Privilege::find();
        match family {
            Some(Family::Fedora) => {
                // Outside Fedora proper the Globus packages are in EPEL, some of whose needs are in CRB.
                if !is_fedora_proper() {
                    commands.push(how.command(&["dnf", "install", "-y", "epel-release"]));
                    commands.push(how.command(&["crb", "enable"]));
                }
                commands.push(how.command(&[&["dnf", "install", "-y"], wanted.as_slice()].concat()));
            }
            Some(Family::Debian) | None => {
                commands.push(how.command(&["apt-get", "update"]));
                let install = [
                    "env",
                    "DEBIAN_FRONTEND=noninteractive",
                    "apt-get",
                    "-o",
                    "DPkg::Lock::Timeout=300",
                    "install",
                    "-y",
                    "--no-install-recommends",
                ];
                commands.push(how.command(&[&install, wanted.as_slice()].concat()));
            }
        }
    }
    if !rustup.is_empty() {
        let mut command = Command::new("rustup");
        command.args(["component", "add"]).args(rustup);
        commands.push(command);
    }
    if tools.contains(&Tool::Nextest) {
        commands.push(step::cargo(&["install", "--locked", "cargo-nextest"]));
    }
    Ok(commands)
}

fn is_fedora_proper() -> bool {
    std::fs::read_to_string("/etc/os-release")
        .unwrap_or_default()
        .lines()
        .any(|line| line.strip_prefix("ID=").is_some_and(|id| id.trim_matches('"') == "fedora"))
}

/// How to act as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Privilege {
    IsRoot,
    Sudo,
    None,
}

impl Privilege {
    fn find() -> Self {
        if rustix::process::geteuid().is_root() {
            Self::IsRoot
        } else if packages::find_program("sudo").is_some() {
            Self::Sudo
        } else {
            Self::None
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut words = words.iter();
        let mut command = match self {
            Self::IsRoot | Self::None => Command::new(words.next().unwrap_or(&"true")),
            Self::Sudo => Command::new("sudo"),
        };
        command.args(words);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_names_every_missing_package_once() {
        if packages::family().is_none() {
            return;
        }
        let commands = plan(&[&packages::SERVER, &packages::OPENSSL], &[Tool::Nextest]).unwrap();
        let text: Vec<_> = commands.iter().map(step::show).collect();
        let text = text.join("\n");
        assert!(text.contains("globus-gridftp-server-progs openssl"), "{text}");
        assert!(text.ends_with("cargo install --locked cargo-nextest"), "{text}");
    }

    #[test]
    fn nothing_missing_means_nothing_planned() {
        assert!(plan(&[], &[]).unwrap().is_empty());
    }
}
