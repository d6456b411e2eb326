//! `gridftp-cp` copies files and trees between GridFTP servers, FTP servers, this machine, and standard streams.
//!
//! It is built on the public API of `gridftp` alone, and takes the command line of `globus-url-copy`. Run it with `--help` for
//! all options.
//!
//! How it is made: `args` turns words into [`Settings`](args::Settings), `tasks` makes a list of copies of them, and `run` has
//! them done: whole files and trees by transfers of the library, what can only be streamed by `stream`. `progress` shows how
//! far they are, `outcome` what came of them, `events` both as JSON. Whatever fails is a [`Failure`](failure::Failure) with
//! an exit code out of `exit`.
#![forbid(unsafe_code)]

mod aliases;
mod args;
mod dump;
#[path = "../common/duration.rs"]
mod duration;
mod events;
#[path = "../common/exit.rs"]
mod exit;
#[path = "../common/failure.rs"]
mod failure;
#[path = "../common/generate.rs"]
mod generate;
mod list;
mod location;
#[path = "../common/look.rs"]
mod look;
mod outcome;
mod progress;
mod run;
mod shard;
mod show;
#[path = "../common/signals.rs"]
mod signals;
#[path = "../common/size.rs"]
mod size;
mod stream;
mod tasks;
mod warnings;
mod work;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use args::{Request, Settings};
use exit::Code;
use failure::Failure;

// Whoever starts this program may hand it a thousand open files. What glibc's check protects, an `fd_set` of ordinary size,
// is used by nothing in here.
gridftp::large_fd!();

/// How long the engine may take to end. It takes a millisecond.
const ENGINE_END: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let result = match args::request(std::env::args_os()) {
        Ok((Request::Show(text), _)) => {
            // Nobody has to read it to the end.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Ok(Code::Success)
        }
        Ok((Request::Copy(settings), warnings)) => run(&Arc::new(*settings), &warnings),
        Err(failure) => Err(failure),
    };
    match result {
        Ok(code) => code.into(),
        Err(failure) => {
            if let Some(line) = failure.line() {
                let _ = writeln!(std::io::stderr(), "gridftp-cp: {line}");
            }
            failure.code().into()
        }
    }
}

fn run(settings: &Arc<Settings>, notes: &[String]) -> Result<Code, Failure> {
    let tasks = tasks::of(settings)?;
    warnings::install(settings, notes);
    if work::is_remote(settings, &tasks) {
        // Now, while there is no other thread: the C libraries set environment variables, which threads must not read then.
        gridftp::init().map_err(|error| Failure::remote(None, error))?;
    }
    // One file is moved by one task, and by the threads of the engine and of local files; many files keep more busy.
    let single = matches!(tasks.list.as_slice(), [task] if task.kind == tasks::Kind::One);
    let mut builder = if single {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder.enable_all().build().map_err(|error| Failure::local("cannot start", error))?;
    let result = runtime.block_on(work::work(settings, tasks));
    // The C libraries below clean up when the process exits, which must not happen under a thread that uses them.
    runtime.block_on(gridftp::shutdown(ENGINE_END));
    // A thread may be held up by a file system that does not answer; it has nothing to say any more.
    runtime.shutdown_background();
    result
}
