//! `gridftp-fs` does to files at GridFTP and FTP servers what `ls`, `rm`, `find` and their like do to those on a disk, and
//! finds out why a server cannot be used (`doctor`).
//!
//! It is built on the public API of `gridftp` alone. Run it with `--help` for all verbs.
//!
//! How it is made: `args` turns words into [`Words`](args::Words); each verb has a function that takes a
//! [`Context`](context::Context), tells failures of single URLs as they come and gives the exit code for all of them, out of
//! `exit`; what it cannot go on after is a [`Failure`](failure::Failure). `show` decides how things from servers are shown.
#![forbid(unsafe_code)]

mod args;
mod attributes;
mod cat;
mod context;
mod cred;
mod doctor;
mod du;
#[path = "../common/exit.rs"]
mod exit;
#[allow(dead_code, reason = "gridftp-cp has two ends, this program has one")]
#[path = "../common/failure.rs"]
mod failure;
mod find;
#[path = "../common/generate.rs"]
mod generate;
#[allow(dead_code, reason = "file names of copies are of no use here")]
#[path = "../gridftp-cp/location.rs"]
mod location;
mod ls;
mod mode;
mod names;
mod put;
mod rm;
mod server;
mod show;
#[path = "../common/signals.rs"]
mod signals;
#[path = "../common/size.rs"]
mod size;
mod size_test;
mod stat;
mod sum;
#[path = "../gridftp-cp/stream/names.rs"]
mod temporary;
mod tree;
mod when;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use args::verbs::Verb;
use args::{Request, Words};
use context::Context;
use exit::Code;
use failure::Failure;
use gridftp::Credential;
use signals::Signals;

// Whoever starts this program may hand it a thousand open files. What glibc's check protects, an `fd_set` of ordinary size,
// is used by nothing in here.
gridftp::large_fd!();

fn main() -> ExitCode {
    let result = match args::request(std::env::args_os()) {
        Ok(Request::Show(text)) => {
            // Nobody has to read it to the end.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Ok(Code::Success)
        }
        Ok(Request::Do(words)) => run(*words),
        Err(failure) => Err(failure),
    };
    match result {
        Ok(code) => code.into(),
        Err(failure) => {
            context::complain(&failure);
            failure.code().into()
        }
    }
}

/// How long the engine may take to end. It takes a millisecond.
const ENGINE_END: Duration = Duration::from_millis(500);
/// How long a reader may take for the last of the output of a program that was asked to stop.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Works on one thread: the engine, and the reading and writing of local files, have threads of their own.
fn run(words: Words) -> Result<Code, Failure> {
    if words.common.dbg {
        trace();
    }
    if !matches!(words.verb, Verb::Cred) {
        // Now, while there is no other thread: the C libraries set environment variables, which threads must not read then.
        gridftp::init().map_err(context::remote)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::local("cannot start", error))?;
    let result = runtime.block_on(work(words));
    // The C libraries below clean up when the process exits, which must not happen under a thread that uses them.
    runtime.block_on(gridftp::shutdown(ENGINE_END));
    // A thread may be held up by a file system that does not answer, or by a pipe nobody reads from.
    runtime.shutdown_background();
    result
}

async fn work(words: Words) -> Result<Code, Failure> {
    let signals = Signals::install().map_err(|error| Failure::local("cannot listen to signals", error))?;
    let Words { common, verb } = words;
    let credential =
        common.cred.as_ref().map_or_else(Credential::default_search, Credential::from_proxy_file);
    let context = Context::new(&common, credential)?;
    let result = signals
        .until(async {
            let code = act(&context, &common, verb).await?;
            context.out.flush().await?;
            Ok(code)
        })
        .await;
    let left = context.clean_up(&signals).await;
    match &result {
        Ok(_) => left.iter().for_each(|note| context.note(note)),
        Err(_) => {
            // What was found before the failure is of use.
            let _ = tokio::time::timeout(LAST_WORDS, context.out.flush()).await;
        }
    }
    result.map_err(|failure| left.into_iter().fold(failure, Failure::note))
}

async fn act(context: &Context, common: &args::Common, verb: Verb) -> Result<Code, Failure> {
    match verb {
        Verb::Ls(words) => ls::run(context, &words).await,
        Verb::Stat(words) => stat::run(context, &words).await,
        Verb::Cat(words) => cat::run(context, &words).await,
        Verb::Put(words) => put::run(context, &words).await,
        Verb::Mkdir(words) => names::mkdir(context, &words).await,
        Verb::Rm(words) => rm::run(context, &words).await,
        Verb::Rmdir(words) => names::rmdir(context, &words).await,
        Verb::Mv(words) => names::mv(context, &words).await,
        Verb::Chmod(words) => attributes::chmod(context, &words).await,
        Verb::Chgrp(words) => attributes::chgrp(context, &words).await,
        Verb::Ln(words) => names::ln(context, &words).await,
        Verb::Touch(words) => attributes::touch(context, &words).await,
        Verb::Du(words) => du::run(context, &words).await,
        Verb::Find(words) => find::run(context, &words).await,
        Verb::Sum(words) => sum::run(context, &words).await,
        Verb::Features(words) => server::features(context, &words).await,
        Verb::Df(words) => server::df(context, &words).await,
        Verb::Cred => cred::run(context, common).await,
        Verb::Doctor(words) => doctor::run(context, common, &words).await,
    }
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
