//! `chmod`, `chgrp`, `touch`.

use std::time::SystemTime;

use gridftp::{Entry, ErrorKind, Url};

use crate::args::{self, verbs};
use crate::context::{Context, Tally, remote};
use crate::exit::Code;
use crate::failure::Failure;
use crate::mode::Change;
use crate::tree::{self, Walk};

pub(crate) async fn chmod(context: &Context, words: &verbs::Chmod) -> Result<Code, Failure> {
    let change: Change = words.mode.parse().map_err(Failure::usage)?;
    let change = What::Mode(change);
    every(context, &words.urls, words.recursive, &change).await
}

pub(crate) async fn chgrp(context: &Context, words: &verbs::Chgrp) -> Result<Code, Failure> {
    let change = What::Group(words.group.clone());
    every(context, &words.urls, words.recursive, &change).await
}

enum What {
    Mode(Change),
    Group(String),
}

async fn every(context: &Context, words: &verbs::Urls, deep: bool, what: &What) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls)?;
    let mut tally = Tally::default();
    for url in &urls {
        let needs_entry = deep || matches!(what, What::Mode(change) if change.needs_mode());
        let entry = if needs_entry {
            match context.client.stat(url).await {
                Ok(entry) => Some(entry),
                Err(error) => {
                    tally.add(Err(remote(error)))?;
                    continue;
                }
            }
        } else {
            None
        };
        let is_folder = entry.as_ref().is_some_and(tree::is_folder);
        // One that the change closes comes last: what is in it could not be reached any more. One that it opens comes first.
        if deep && is_folder {
            let opened = opens(entry.as_ref(), what);
            let mut found = Tally::default();
            if opened {
                tally.add(change(context, url, entry.as_ref(), what).await)?;
            }
            for (url, entry) in &below(context, url, &mut found).await? {
                tally.add(change(context, url, Some(entry), what).await)?;
            }
            if !opened {
                tally.add(change(context, url, entry.as_ref(), what).await)?;
            }
            if found.code() != Code::Success {
                tally.add_code(found.code());
            }
        } else {
            tally.add(change(context, url, entry.as_ref(), what).await)?;
        }
    }
    Ok(tally.code())
}

/// Whether the folder's owner can list and enter it afterwards.
fn opens(entry: Option<&Entry>, what: &What) -> bool {
    match what {
        What::Mode(change) => {
            change.apply(entry.and_then(Entry::unix_mode), true).is_some_and(|mode| mode & 0o500 == 0o500)
        }
        What::Group(_) => true,
    }
}

/// Everything below a folder but links, what is deeper first: a folder may be closed only when all in it is done.
async fn below(context: &Context, url: &Url, tally: &mut Tally) -> Result<Vec<(Url, Entry)>, Failure> {
    let mut found = Vec::new();
    let mut walk = Walk::of(&context.client, url, None);
    while let Some(next) = walk.next(tally).await? {
        if !next.entry().is_symlink() {
            found.push((next.depth(), next.url().clone(), next.into_entry()));
        }
    }
    found.sort_by_key(|(depth, ..)| std::cmp::Reverse(*depth));
    Ok(found.into_iter().map(|(_, url, entry)| (url, entry)).collect())
}

async fn change(context: &Context, url: &Url, entry: Option<&Entry>, what: &What) -> Result<(), Failure> {
    let client = &context.client;
    match what {
        What::Group(group) => client.chgrp(url, group).await.map_err(remote),
        What::Mode(change) => {
            let now = entry.and_then(Entry::unix_mode);
            let Some(mode) = change.apply(now, entry.is_some_and(Entry::is_dir)) else {
                let message = format!(
                    "{url}: the server does not tell the permissions, so they cannot be changed; give octal digits"
                );
                return Err(Failure::told(Code::Server, message));
            };
            if change.needs_mode() && now == Some(mode) {
                return Ok(());
            }
            client.chmod(url, mode).await.map_err(remote)
        }
    }
}

pub(crate) async fn touch(context: &Context, words: &verbs::Touch) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls.urls)?;
    let mut tally = Tally::default();
    for url in &urls {
        tally.add(touched(context, url, words.date, words.no_create).await)?;
    }
    Ok(tally.code())
}

async fn touched(
    context: &Context,
    url: &Url,
    date: Option<SystemTime>,
    no_create: bool,
) -> Result<(), Failure> {
    let client = &context.client;
    if !client.exists(url).await.map_err(remote)? {
        if no_create {
            return Ok(());
        }
        // Appends nothing: a file that was made meanwhile keeps what is in it.
        let put = client.put(url).append(true).await.map_err(remote)?;
        put.finish().await.map_err(remote)?;
        if date.is_none() {
            return Ok(());
        }
    }
    let time = date.unwrap_or_else(SystemTime::now);
    match client.set_modified(url, time).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            Err(remote(error).note("the server cannot set times"))
        }
        other => other.map_err(remote),
    }
}
