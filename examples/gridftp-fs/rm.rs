//! `rm`: files, links, and with `-r` whole trees.

use gridftp::{ErrorKind, Url};

use crate::args::{self, verbs::Rm};
use crate::context::{Context, Tally, complain, remote};
use crate::exit::Code;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, words: &Rm) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls.urls)?;
    if let Some(root) = urls.iter().find(|url| is_root(url)) {
        // Nothing is removed then: whoever says this does not mean the rest either.
        return Err(Failure::usage(format!("{root} is the root folder, which is not removed")));
    }
    let mut tally = Tally::default();
    for url in &urls {
        match one(context, words, url).await {
            Ok(code) => tally.add_code(code),
            Err(failure) if words.force && failure.code() == Code::NotFound => tally.add_code(Code::Success),
            Err(failure) => tally.add(Err(failure))?,
        }
    }
    Ok(tally.code())
}

/// `/`, in whatever way it is written.
fn is_root(url: &Url) -> bool {
    let mut depth = 0_usize;
    for name in url.path().split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    depth == 0
}

async fn one(context: &Context, words: &Rm, url: &Url) -> Result<Code, Failure> {
    if !words.recursive {
        return match context.client.remove_file(url).await {
            Ok(()) => Ok(Code::Success),
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                Err(remote(error).note("-r removes folders with what is in them"))
            }
            Err(error) => Err(remote(error)),
        };
    }
    let report = match context.client.remove_dir_all(url).await {
        Ok(report) => report,
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return context.client.remove_file(url).await.map(|()| Code::Success).map_err(remote);
        }
        Err(error) => return Err(remote(error)),
    };
    if report.is_complete() {
        return Ok(Code::Success);
    }
    let mut first = None;
    for left in report.not_removed() {
        let failure = remote(left.error().clone());
        let code = failure.code();
        first.get_or_insert(code);
        complain(&failure);
    }
    let named = u64::try_from(report.not_removed().len()).unwrap_or(u64::MAX);
    if report.failures() > named {
        context.note(&format!("and {} more could not be removed", report.failures() - named));
    }
    let some = report.removed_files() + report.removed_dirs() > 0;
    Ok(if some { Code::Partial } else { first.unwrap_or(Code::Other) })
}
