//! From words to what is meant: [`Words`] is the command line, [`url`] and its like check what clap leaves open.

pub(crate) mod verbs;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, ValueEnum as _};
use gridftp::Url;

use crate::exit;
use crate::failure::Failure;
use crate::generate;
use crate::location::Location;
use crate::when;
use verbs::Verb;

const ABOUT: &str = "\
Files at GridFTP and FTP servers as on a disk: lists, reads, writes, removes, looks for them,
and finds out why a server cannot be used.";

const NOTES: &str = "\
URLs are ftp:// or gsiftp:// ones, with %XX for what a URL cannot hold. With several, a
failure is told and the next one goes on. Names are shown with control characters escaped; --json
gives one object per line (one in all for doctor). `gridftp-fs VERB --help` has examples.
";

#[derive(Debug, Parser)]
#[command(name = "gridftp-fs", version, about = ABOUT, after_help = NOTES, max_term_width = 100)]
pub(crate) struct Words {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What every verb takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "For all verbs")]
pub(crate) struct Common {
    /// The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) cred: Option<PathBuf>,
    /// The distinguished name that a gsiftp server must have, instead of its host's
    #[arg(long, value_name = "DN", global = true)]
    pub(crate) subject: Option<String>,
    /// Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]
    #[arg(long, value_name = "DURATION", value_parser = when::duration, global = true)]
    pub(crate) timeout: Option<Duration>,
    /// Show what is said on control channels, on standard error
    #[arg(long, global = true)]
    pub(crate) dbg: bool,
    /// Nothing on standard error but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// For programs: one JSON object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Request {
    /// Print this: help, or the version.
    Show(String),
    Do(Box<Words>),
}

/// What the command line asks for.
pub(crate) fn request(words: impl Iterator<Item = OsString>) -> Result<Request, Failure> {
    let words: Vec<OsString> = words.collect();
    // For `cargo xtask docs`.
    if let [_, option, what] = words.as_slice()
        && option == "--generate"
    {
        return made(&what.to_string_lossy());
    }
    match Words::try_parse_from(words) {
        Ok(words) => Ok(Request::Do(Box::new(words))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp => Ok(Request::Show(format!("{error}{}", codes()))),
            ErrorKind::DisplayVersion => Ok(Request::Show(error.to_string())),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Err(Failure::usage("nothing to do, expected a verb such as ls (see --help)"))
            }
            _ => Err(Failure::usage(shortened(&error.to_string()))),
        },
    }
}

/// A manual page, or completions for a shell.
fn made(what: &str) -> Result<Request, Failure> {
    let what = generate::What::from_str(what, false)
        .map_err(|_| Failure::usage(format!("\"{what}\" cannot be made, expected man, bash, zsh or fish")))?;
    let mut behind = ".SH EXIT STATUS\n".to_owned();
    for (_, number, meaning) in exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(behind, ".TP\n{number}\n{}", generate::roff(meaning));
    }
    let text = generate::generate(what, &mut Words::command(), &behind);
    let text = text.map_err(|error| Failure::local("cannot make the text", error))?;
    Ok(Request::Show(String::from_utf8_lossy(&text).into_owned()))
}

/// What clap says, without its heading and its advice, in one line.
fn shortened(text: &str) -> String {
    let body = text.split("\n\nUsage:").next().unwrap_or(text);
    let words: Vec<&str> = body.trim_start_matches("error: ").split_whitespace().collect();
    let body = words.join(" ");
    let body = body.split(" For more information").next().unwrap_or(&body);
    format!("{body} (see --help)")
}

fn codes() -> String {
    let mut text = "\nExit codes:\n".to_owned();
    for (_, number, meaning) in exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {number:>3}  {meaning}");
    }
    text
}

/// A URL of a server.
pub(crate) fn url(word: &OsStr) -> Result<Url, Failure> {
    match Location::parse(word)? {
        Location::Remote(url) => Ok(url),
        _ => Err(Failure::usage(format!(
            "{} is no URL of a server, expected one as in gsiftp://host/path",
            word.display()
        ))),
    }
}

/// All of them, or what is wrong with the first that is none: nothing is done then.
pub(crate) fn urls(words: &[OsString]) -> Result<Vec<Url>, Failure> {
    words.iter().map(|word| url(word)).collect()
}
