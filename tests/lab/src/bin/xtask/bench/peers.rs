//! The programs that are measured beside ours: those of others, found or named with how to have them, and small ones in C that
//! do one thing with the C library as well as it can.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use gridftp_lab::packages::{self, Component};

use crate::step;

/// The program, or why it is not here and how it comes here.
pub(crate) fn find(component: &'static Component) -> Result<PathBuf, String> {
    packages::find_program(component.name).filter(|program| starts(program)).ok_or_else(|| {
        format!(
            "{} is not installed or does not start: `apt-get install {}` (Debian, Ubuntu) or `dnf install {}` (Fedora)",
            component.name, component.debian, component.fedora
        )
    })
}

/// gfal's programs look for Python in the wrong order: the first one there is need not be the one with their modules.
pub(crate) fn help_gfal(command: &mut Command) {
    let python = Path::new("/usr/bin/python3");
    if python.exists() {
        command.env("GFAL_PYTHONBIN", python);
    }
}

/// A script whose interpreter is not there is found, and does not start.
fn starts(program: &Path) -> bool {
    let mut command = Command::new(program);
    help_gfal(&mut command);
    let output = command.arg("--help").output();
    output.is_ok_and(|output| !matches!(output.status.code(), Some(126 | 127) | None))
}

/// `peers/stat.c`, compiled.
pub(crate) fn stat_in_c() -> Result<PathBuf> {
    let folder = step::target_folder()?.join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let (source, program) = (folder.join("stat.c"), folder.join("stat-in-c"));
    std::fs::write(&source, include_str!("peers/stat.c"))
        .with_context(|| format!("writing {}", source.display()))?;
    let output = Command::new(packages::PKG_CONFIG.program()?)
        .args(["--cflags", "--libs", packages::FTP_CLIENT.name, "globus-common"])
        .output()
        .context("starting pkg-config")?;
    if !output.status.success() {
        bail!("{} is not installed: {}", packages::FTP_CLIENT.name, packages::FTP_CLIENT.how_to_install());
    }
    let flags = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut compiler = Command::new(packages::CC.program()?);
    compiler.args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(&source);
    step::run(compiler.args(flags.split_whitespace()))?;
    Ok(program)
}
