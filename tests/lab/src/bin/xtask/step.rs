//! Running other programs, mostly cargo, in the workspace's root.

use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// The workspace's root: where this program was built, or where cargo says it is now.
pub(crate) fn root() -> PathBuf {
    let lab = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    lab.ancestors().nth(2).map_or_else(|| lab.clone(), Path::to_owned)
}

/// This program once more. Not by its name: cargo may have built it anew meanwhile, and put another file there.
pub(crate) fn this_program() -> Command {
    Command::new("/proc/self/exe")
}

/// Where cargo builds: two above this program itself, which is in `debug`.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let me = std::env::current_exe().context("finding this program's own file")?;
    me.ancestors().nth(2).map(Path::to_owned).context("this program is not in a target folder")
}

/// Where cargo puts `target/release/…`.
pub(crate) fn release_example(name: &str) -> Result<PathBuf> {
    Ok(target_folder()?.join("release").join("examples").join(name))
}

/// The compiler's name for this kind of machine, `x86_64-unknown-linux-gnu`.
pub(crate) fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("starting rustc")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say for which machine it is")
}

/// The cargo that started this program, in the workspace's root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    // What `cargo run` told this program about itself; build scripts that look at it would run again each time.
    let ours = |name: &str| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
            .iter()
            .any(|start| name.starts_with(start))
            || ["OUT_DIR", "CARGO_PRIMARY_PACKAGE"].contains(&name)
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(ours) {
            command.env_remove(name);
        }
    }
    command
}

/// Builds an example of the root package, optimised, and returns its path.
pub(crate) fn build_release_example(name: &str) -> Result<PathBuf> {
    println!("Building {name} (release) …");
    run(&mut cargo(&["build", "--quiet", "--release", "--example", name]))?;
    release_example(name)
}

/// Runs it with this program's own input and output; an error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {}", show(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", show(command));
    }
    Ok(())
}

/// Runs nextest, shows all it says, and gives its line of summary.
pub(crate) fn run_tests(command: &mut Command) -> Result<String> {
    if std::io::stderr().is_terminal() {
        command.args(["--color", "always"]);
    }
    let shown = show(command);
    let mut child = command.stderr(Stdio::piped()).spawn().with_context(|| format!("starting {shown}"))?;
    let mut summary = String::new();
    if let Some(stderr) = child.stderr.take() {
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        // Bytes, as what a failing test printed may be anything.
        while reader.read_until(b'\n', &mut line).context("reading nextest's output")? > 0 {
            std::io::stderr().write_all(&line).context("writing to standard error")?;
            let text = String::from_utf8_lossy(&line);
            if text.contains("Summary") && text.contains("tests run:") {
                summary = text.trim().to_owned();
            }
            line.clear();
        }
    }
    let status = child.wait().with_context(|| format!("waiting for {shown}"))?;
    if !status.success() {
        bail!("{shown} failed ({status})\n{summary}");
    }
    Ok(summary)
}

/// A command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let mut words =
        vec![Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| {
        let arg = arg.to_string_lossy();
        if arg.is_empty() || arg.contains(|c: char| c.is_whitespace() || "'\"$&|;<>()*?".contains(c)) {
            format!("'{}'", arg.replace('\'', r"'\''"))
        } else {
            arg.into_owned()
        }
    }));
    words.join(" ")
}

/// `12.3 s`, `4 min 05 s`.
pub(crate) fn show_time(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 120 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

/// Megabytes (10^6) per second.
pub(crate) fn rate(bytes: u64, time: Duration) -> f64 {
    megabytes(bytes) / time.as_secs_f64().max(1e-9)
}

/// Megabytes (10^6).
pub(crate) fn megabytes(bytes: u64) -> f64 {
    // Exact up to 9 PB, and shown with one digit after the point.
    #[allow(clippy::cast_precision_loss)]
    let bytes = bytes as f64;
    bytes / 1e6
}
