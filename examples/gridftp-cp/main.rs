//! `gridftp-cp` copies one file between GridFTP servers, FTP servers, local files, standard input and standard output.
//!
//! It is built on the public API of `gridftp` alone, and takes the options of `globus-url-copy` that it has with their
//! meaning. Run it with `--help` for all of them.
//!
//! How it is made: `args` turns words into [`Settings`](args::Settings); `copy` pumps blocks from a `source` to a `sink`;
//! `target` finds out, before anything is moved, where the copy goes and how; a sink writes under a temporary name and
//! renames it when everything has been checked. Whatever fails is a [`Failure`](failure::Failure), told in one line, and an
//! exit code out of `exit`.
#![forbid(unsafe_code)]

mod args;
mod copy;
#[path = "../common/exit.rs"]
mod exit;
#[path = "../common/failure.rs"]
mod failure;
mod location;
mod names;
mod progress;
#[path = "../common/signals.rs"]
mod signals;
mod sink;
#[path = "../common/size.rs"]
mod size;
mod source;
mod target;
mod tuning;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use args::{Request, Settings};
use failure::Failure;

// Whoever starts this program may hand it a thousand open files. What glibc's check protects, an `fd_set` of ordinary size,
// is used by nothing in here.
gridftp::large_fd!();

fn main() -> ExitCode {
    let result = match args::request(std::env::args_os()) {
        Ok(Request::Show(text)) => {
            // Nobody has to read it to the end.
            let _ = std::io::stdout().write_all(text.as_bytes());
            return exit::Code::Success.into();
        }
        Ok(Request::Copy(settings)) => run(&Arc::new(*settings)),
        Err(failure) => Err(failure),
    };
    let Err(failure) = result else { return exit::Code::Success.into() };
    if let Some(line) = failure.line() {
        let _ = writeln!(std::io::stderr(), "gridftp-cp: {line}");
    }
    failure.code().into()
}

/// How long the engine may take to end. It takes a millisecond.
const ENGINE_END: Duration = Duration::from_secs(1);

/// Copies on one thread: the engine, and the reading and writing of local files, have threads of their own.
fn run(settings: &Arc<Settings>) -> Result<(), Failure> {
    if settings.trace {
        trace();
    }
    if settings.is_remote() {
        // Now, while there is no other thread: the C libraries set environment variables, which threads must not read then.
        gridftp::init().map_err(|error| Failure::remote(None, error))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::local("cannot start", error))?;
    let result = runtime.block_on(copy::run(settings));
    // The C libraries below clean up when the process exits, which must not happen under a thread that uses them.
    runtime.block_on(gridftp::shutdown(ENGINE_END));
    // A thread may be held up by a file system that does not answer; it has nothing to say any more.
    runtime.shutdown_background();
    result
}

/// Shows what is said on control channels. Passwords and tokens are no part of it.
fn trace() {
    let filter = tracing_subscriber::EnvFilter::new("gridftp=debug,gridftp::session::control=trace");
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_level(false)
        .without_time()
        .init();
}
