//! What `cargo xtask bench` measures of the library itself, beside other programs: one subcommand, one thing done, and lines of
//! a name and a number on standard output.
//!
//! ```text
//! bench gets URL_BASE COUNT            fetches URL_BASE/f0, URL_BASE/f1, … through one pipeline and throws them away
//! bench puts FOLDER URL_BASE COUNT     stores FOLDER/f0, … through one pipeline
//! bench third-party LIST               lines of FROM TO, as globus-url-copy's -f takes them, from server to server
//! bench list URL                       each entry of a folder, with kind, size and name
//! bench walk URL [stream]              each entry of a tree
//! bench stat URL COUNT AT_ONCE         the facts of one file, again and again over kept sessions
//! bench waiting URL COUNT              COUNT operations of one Client, all under way at the same time
//! ```
#![allow(clippy::print_stdout, reason = "this is a program for another one")]

mod listing;
mod many;
mod metadata;

use std::process::ExitCode;

use anyhow::{Context as _, Result};

const USAGE: &str = "usage: bench gets|puts|third-party|list|walk|stat|waiting …, see its source";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether there is such a subcommand.
async fn run(words: &[&str]) -> Result<bool> {
    match *words {
        ["gets", base, count] => many::gets(base, number(count)?).await?,
        ["puts", folder, base, count] => {
            many::puts(folder.to_owned(), base.to_owned(), number(count)?).await?;
        }
        ["third-party", list] => many::third_party(list).await?,
        ["list", url] => listing::list(url).await?,
        ["walk", url] => listing::walk(url, false).await?,
        ["walk", url, "stream"] => listing::walk(url, true).await?,
        ["stat", url, count, at_once] => metadata::stat(url, number(count)?, number(at_once)?).await?,
        ["waiting", url, count] => metadata::waiting(url, number(count)?).await?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn number(word: &str) -> Result<usize> {
    word.parse().with_context(|| format!("\"{word}\" is no number"))
}
