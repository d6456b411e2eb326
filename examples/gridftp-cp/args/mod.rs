//! From words to settings, in two stages: `options` is what was typed, [`Settings`] is what is meant, checked as a whole.

pub(crate) mod help;
pub(crate) mod options;
mod settings;
pub(crate) mod table;
pub(crate) mod values;
pub(crate) mod words;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};
use gridftp::transfer::Filter;

use crate::failure::Failure;
use options::Words;

pub(crate) use settings::{Input, Login, Settings};

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Request {
    /// Print this: help, or the version.
    Show(String),
    Copy(Box<Settings>),
}

/// What the command line asks for, and what is to be said about it before that is done.
pub(crate) fn request(words: impl Iterator<Item = OsString>) -> Result<(Request, Vec<String>), Failure> {
    let command = Words::command();
    let own = |name: &str| command.get_arguments().any(|argument| argument.get_long() == Some(name));
    let words::Normalized { words, warnings } = words::normalized(words, own).map_err(Failure::usage)?;
    let matches = match command.clone().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => {
            return match error.kind() {
                ErrorKind::DisplayHelp => {
                    let text = format!("{error}{}", help::codes());
                    Ok((Request::Show(text), warnings))
                }
                ErrorKind::DisplayVersion => {
                    Ok((Request::Show(format!("{}\n", error.to_string().trim_end())), warnings))
                }
                _ => Err(Failure::usage(shortened(&error.to_string()))),
            };
        }
    };
    let words =
        Words::from_arg_matches(&matches).map_err(|error| Failure::usage(shortened(&error.to_string())))?;
    if words.old.versions {
        return Ok((Request::Show(versions()), warnings));
    }
    if let Some(what) = words.old.generate {
        let text = crate::generate::generate(what, &mut command.clone(), &help::manual());
        let text = text.map_err(|error| Failure::local("cannot make the text", error))?;
        return Ok((Request::Show(String::from_utf8_lossy(&text).into_owned()), warnings));
    }
    let filter = filter(&words, &matches)?;
    let settings = settings::of(words, filter)?;
    Ok((Request::Copy(Box::new(settings)), warnings))
}

/// Includes and excludes in the order in which they were typed.
fn filter(words: &Words, matches: &clap::ArgMatches) -> Result<Filter, Failure> {
    let mut rules: Vec<(usize, bool, &String)> = Vec::new();
    for (name, include, patterns) in [("include", true, &words.include), ("exclude", false, &words.exclude)] {
        let places = matches.indices_of(name).into_iter().flatten();
        rules.extend(places.zip(patterns).map(|(place, pattern)| (place, include, pattern)));
    }
    rules.sort_by_key(|(place, ..)| *place);
    let mut filter = Filter::new();
    for (_, include, pattern) in rules {
        let made = if include { filter.include(pattern) } else { filter.exclude(pattern) };
        filter = made.map_err(|error| Failure::usage(error.to_string()))?;
    }
    Ok(filter)
}

/// What clap says, without its heading and its advice, in one line.
fn shortened(text: &str) -> String {
    let body = text.split("\n\nUsage:").next().unwrap_or(text);
    let words: Vec<&str> = body.trim_start_matches("error: ").split_whitespace().collect();
    let body = words.join(" ");
    let body = body.split(" For more information").next().unwrap_or(&body);
    format!("{body} (see --help)")
}

fn versions() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("gridftp-cp {version}\ngridftp {version}\n");
    for (name, found) in gridftp::library_versions() {
        text.push_str(&format!("{name} {found}\n"));
    }
    text
}
