//! `mkdir`, `rmdir`, `mv`, `ln`: what is done to names.

use std::os::unix::ffi::OsStrExt as _;

use gridftp::ErrorKind;

use crate::args::{self, verbs};
use crate::context::{Context, Tally, remote};
use crate::exit::Code;
use crate::failure::Failure;

pub(crate) async fn mkdir(context: &Context, words: &verbs::Mkdir) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls.urls)?;
    let mut tally = Tally::default();
    for url in &urls {
        let result = if words.parents {
            context.client.create_dir_all(url).await
        } else {
            context.client.create_dir(url).await
        };
        tally.add(result.map_err(remote))?;
    }
    Ok(tally.code())
}

pub(crate) async fn rmdir(context: &Context, words: &verbs::Urls) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls)?;
    let mut tally = Tally::default();
    for url in &urls {
        tally.add(context.client.remove_dir(url).await.map_err(remote))?;
    }
    Ok(tally.code())
}

pub(crate) async fn mv(context: &Context, words: &verbs::Mv) -> Result<Code, Failure> {
    let (from, mut to) = (args::url(&words.from)?, args::url(&words.to)?);
    if from.endpoint() != to.endpoint() || from.user() != to.user() {
        return Err(Failure::usage(format!(
            "{from} and {to} are at different servers or of different users; copy with gridftp-cp, then remove"
        )));
    }
    let Some(name) = from.file_name().map(<[u8]>::to_vec) else {
        return Err(Failure::usage(format!("{from} has no name that could be changed")));
    };
    match context.client.stat(&to).await {
        // A folder moved to itself stays what it is: the server says so.
        Ok(entry) if entry.is_dir() => to = to.join(name).map_err(remote)?,
        Ok(_) if to.path().ends_with(b"/") => {
            return Err(Failure::in_the_way(format!("{to} is no folder")));
        }
        Ok(_) => {}
        // It has to be there first, unless it is a folder's new name.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(remote(error)),
    }
    context.client.rename(&from, &to).await.map_err(remote)?;
    Ok(Code::Success)
}

pub(crate) async fn ln(context: &Context, words: &verbs::Ln) -> Result<Code, Failure> {
    let url = args::url(&words.url)?;
    let target = words.target.as_bytes();
    if target.windows(3).any(|three| three == b"://") {
        return Err(Failure::usage(format!(
            "the target {} is a URL, expected a path at the server",
            words.target.display()
        )));
    }
    context.client.symlink(target, &url).await.map_err(remote)?;
    Ok(Code::Success)
}
