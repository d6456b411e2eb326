//! Both ends are looked at, and what must be there is made.

use std::path::{Path, PathBuf};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU16, AtomicU64},
};

use tokio::sync::watch;

use super::channels::Channels;
use super::choices::{Links, Verify};
use super::filter::{is_pattern, matcher};
use super::hash::Hasher;
use super::job::{Deferred, Job};
use super::journal::{Journal, State};
use super::local::{self, Root};
use super::local_end::{LocalEnd, blocking, of_local};
use super::location::Location;
use super::progress::Tally;
use super::queue::Queue;
use super::remote::Remote;
use super::report::ReportKind;
use super::run::Order;
use super::source::Found;
use super::workers;
use super::{End, Facts, Route};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::types::ChecksumAlgorithm;

/// What the plan begins with.
#[derive(Debug)]
pub(super) enum Root0 {
    /// One file.
    File(Facts),
    /// A folder, whose contents are copied.
    Folder(Facts),
    /// What a pattern matched, to be copied into a folder.
    Matches(Vec<Found>),
    /// A folder of which these paths are copied.
    Listed(Arc<[Vec<u8>]>),
}

/// The source is not there, and need not be.
#[derive(Debug)]
pub(super) enum Started {
    Missing,
    Job(Arc<Job>, Root0),
}

pub(super) async fn start(order: Order, tally: Arc<Tally>) -> Result<Started> {
    let Order { client, mut from, to, choices, channels, source, destination, .. } = order;
    let source_client = source.client(&client)?;
    let destination_client = destination.client(&client)?;
    let mut pattern = None;
    if choices.glob
        && let Some(name) = from[0].file_name().filter(|name| is_pattern(name)).map(<[u8]>::to_vec)
    {
        let text = String::from_utf8(name.clone())
            .map_err(|_| Error::invalid("a pattern that is not UTF-8; expected one like *.root"))?;
        pattern = Some((matcher(&text)?, name.starts_with(b".")));
        for from in &mut from {
            *from = folder_of(from)?;
        }
    }
    let retry = choices.retry;
    let ahead = workers::ahead(&source_client, &to, &choices, &channels);
    let begun = tokio::time::Instant::now();
    let mut tries = 1;
    let (mut sources, first, last_error) = loop {
        let found = open_all(&from, &source_client, &channels, ahead).await;
        let again = found.1.is_none() && found.2.as_ref().is_some_and(Error::is_transient);
        let in_time = retry.within.is_none_or(|limit| begun.elapsed() < limit);
        if !again || tries >= retry.attempts || !in_time {
            break found;
        }
        tries += 1;
        tally.retried();
        tokio::time::sleep(retry.pause(tries)).await;
    };
    let Some(facts) = first else {
        let error = last_error.unwrap_or_else(|| Error::invalid("no source was given; expected one or more"));
        if choices.optional && error.kind() == ErrorKind::NotFound {
            return Ok(Started::Missing);
        }
        return Err(error);
    };
    let root = match (pattern, facts.kind) {
        (None, ReportKind::Folder) if choices.paths.is_some() => {
            Root0::Listed(choices.paths.clone().unwrap_or_default())
        }
        (None, _) if choices.paths.is_some() => return Err(no_folder(&sources[0])),
        (Some((pattern, hidden)), _) => {
            Root0::Matches(matches(&sources[0], &pattern, hidden, choices.links).await?)
        }
        (None, ReportKind::Folder) if choices.recursive => Root0::Folder(facts),
        (None, ReportKind::Folder) => return Err(is_a_folder(&sources[0])),
        (None, _) => Root0::File(facts),
    };
    if choices.optional && matches!(&root, Root0::Matches(found) if found.is_empty()) {
        return Ok(Started::Missing);
    }
    if let Root0::Matches(found) = &root
        && found.is_empty()
    {
        let message = "nothing there matches the pattern";
        return Err(Error::new(ErrorKind::NotFound, Phase::Command, message).with_side(Side::Source));
    }
    let is_file = matches!(root, Root0::File(_));
    let to = if is_file && to.names_a_folder() {
        let name = match &sources[0] {
            End::Local(local) => Location::Local(local.root.clone()).file_name().map(<[u8]>::to_vec),
            End::Remote(remote) => Location::Remote(remote.root.clone()).file_name().map(<[u8]>::to_vec),
        };
        to.below(&name.ok_or_else(|| {
            Error::invalid("the source has no name to be copied under; expected one for the destination")
        })?)?
    } else {
        to
    };
    check_apart(&sources, &to, is_file)?;
    let described = describe(&sources, &to, &choices);
    // Before the destination is touched: a journal that is in use, or another one's, ends it here.
    let (journal, before) = match (&choices.journal, choices.dry_run) {
        (Some(path), false) => {
            let path = path.clone();
            let (journal, state) = blocking(move || Journal::open(&path, described.as_bytes())).await?;
            (Some(journal), state)
        }
        _ => (None, State::default()),
    };
    let mut tries = 1;
    let opened = loop {
        match destination_end(to.clone(), is_file, &choices, &channels, &destination_client).await {
            Err(error) if error.is_transient() && tries < retry.attempts => {
                tries += 1;
                tally.retried();
                tokio::time::sleep(retry.pause(tries)).await;
            }
            opened => break opened,
        }
    };
    let opened = opened.and_then(|to| Ok((algorithm(&choices.verify, &sources[0], &to)?, to)));
    let (algorithm, to) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            if let Some(journal) = journal {
                // What it says of earlier runs holds still.
                let _ = journal.close(|| Ok(()), false).await;
            }
            return Err(error.with_side(Side::Destination));
        }
    };
    let route = match (&sources[0], &to) {
        (End::Local(_), End::Local(_)) => Route::Local,
        (End::Local(_), End::Remote(_)) => Route::Upload,
        (End::Remote(_), End::Local(_)) => Route::Download,
        (End::Remote(_), End::Remote(_)) if choices.through_client => Route::Relay,
        (End::Remote(_), End::Remote(_)) => Route::Between,
    };
    // Another place of another kind would be another route.
    let local = matches!(sources[0], End::Local(_));
    sources.retain(|end| matches!(end, End::Local(_)) == local);
    let tag = journal.as_ref().map_or_else(|| fastrand::u64(..), Journal::tag);
    let job = Job {
        route,
        single: is_file,
        client,
        logins: (source, destination),
        sources,
        to,
        choices,
        channels,
        tally,
        queue: Arc::new(Queue::new()),
        journal,
        before: Mutex::new(before),
        tag,
        algorithm,
        deferred: Mutex::new(Deferred::default()),
        incomplete: AtomicBool::new(false),
        busy: AtomicU64::new(0),
        narrow: AtomicBool::new(false),
        streams: AtomicU16::new(0),
        stop: watch::Sender::new(None),
        memory: Job::memory(),
    };
    if workers::places(&job) == 0 {
        if let Some(journal) = &job.journal {
            let _ = journal.close(|| Ok(()), false).await;
        }
        return Err(Error::invalid(
            "this transfer needs more sessions at a time; expected sessions_per_endpoint of 3 or more on the client",
        ));
    }
    Ok(Started::Job(Arc::new(job), root))
}

/// The places that have what is to be copied: the first one that does is planned by, and comes first.
async fn open_all(
    from: &[Location],
    client: &Client,
    channels: &Channels,
    ahead: usize,
) -> (Vec<End>, Option<Facts>, Option<Error>) {
    let mut sources = Vec::new();
    let mut first = None;
    let mut last_error: Option<Error> = None;
    let mut note = |error: Error| {
        let error = error.with_side(Side::Source);
        // Of several reasons the one that may pass counts.
        if last_error.as_ref().is_none_or(|last| !last.is_transient() && error.is_transient()) {
            last_error = Some(error);
        }
    };
    for location in from {
        let ahead = if first.is_none() { ahead } else { 0 };
        match open(location.clone(), client, channels, ahead).await {
            Ok((end, Some(facts))) if first.is_none() => {
                first = Some(facts);
                sources.insert(0, end);
            }
            Ok((end, Some(_))) => sources.push(end),
            Ok((end, None)) => {
                let message = "there is no such file or folder";
                note(match &end {
                    End::Remote(remote) => {
                        Error::new(ErrorKind::NotFound, Phase::Command, message).with_url(&remote.root)
                    }
                    End::Local(local) => error_at(message, &local.root),
                });
            }
            Err(error) => note(error),
        }
    }
    (sources, first, last_error)
}

/// The folder that a pattern is looked for in.
fn folder_of(location: &Location) -> Result<Location> {
    match location {
        Location::Local(path) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            Ok(Location::Local(folder.unwrap_or_else(|| Path::new(".")).to_owned()))
        }
        Location::Remote(url) => url
            .parent()
            .map(Location::Remote)
            .ok_or_else(|| Error::invalid("a pattern has no folder to be looked for in").with_url(url)),
    }
}

fn error_at(message: &'static str, path: &Path) -> Error {
    use std::os::unix::ffi::OsStrExt as _;
    let shown = crate::error::Escaped(path.as_os_str().as_bytes()).to_string();
    Error::new(ErrorKind::NotFound, Phase::LocalFile, format!("{shown}: {message}")).with_side(Side::Source)
}

/// A source, and what it is. Links are followed here, whatever the policy: the root is what was asked for.
async fn open(
    location: Location,
    client: &Client,
    channels: &Channels,
    ahead: usize,
) -> Result<(End, Option<Facts>)> {
    match location {
        Location::Local(path) => {
            let looked_at = path.clone();
            let facts = blocking(move || local::facts_of_source(&looked_at)).await?;
            Ok((End::Local(LocalEnd::source(path)), facts.map(of_local)))
        }
        Location::Remote(url) => {
            let (remote, facts) = Remote::of(client.clone(), url, channels, ahead).await?;
            Ok((End::Remote(remote), facts?))
        }
    }
}

async fn matches(
    source: &End,
    pattern: &globset::GlobMatcher,
    hidden: bool,
    links: Links,
) -> Result<Vec<Found>> {
    match source {
        End::Remote(remote) => remote.matching(pattern, hidden, links).await,
        End::Local(end) => {
            use std::os::unix::ffi::OsStrExt as _;
            let (root, pattern) = (end.root.clone(), pattern.clone());
            blocking(move || {
                let mut found = Vec::new();
                for entry in local::Scan::one_level(root, links) {
                    let entry = match entry {
                        Ok(entry) => entry,
                        Err((_, error)) => return Err(error),
                    };
                    let shown = hidden || !entry.path.starts_with(b".");
                    if shown && pattern.is_match(std::ffi::OsStr::from_bytes(&entry.path)) {
                        found.push(super::source::of_scan(entry, b""));
                    }
                }
                Ok(found)
            })
            .await
        }
    }
}

fn no_folder(end: &End) -> Error {
    let message = "the source is no folder; expected the one that the paths lie below";
    let error = Error::new(ErrorKind::NotADirectory, Phase::Input, message).with_side(Side::Source);
    match end {
        End::Remote(remote) => error.with_url(&remote.root),
        End::Local(_) => error,
    }
}

fn is_a_folder(end: &End) -> Error {
    let message = "the source is a folder; expected a file, or recursive(true)";
    let error = Error::new(ErrorKind::IsADirectory, Phase::Input, message).with_side(Side::Source);
    match end {
        End::Remote(remote) => error.with_url(&remote.root),
        End::Local(_) => error,
    }
}

/// Source and destination must be two, and neither in the other: a folder that is copied into itself has no end.
fn check_apart(sources: &[End], to: &Location, is_file: bool) -> Result<()> {
    for source in sources {
        let (same, inside) = match (source, to) {
            (End::Remote(remote), Location::Remote(url)) => {
                let one = remote.root.endpoint() == url.endpoint();
                let (from, to) = (trimmed(remote.root.path()), trimmed(url.path()));
                (one && from == to, one && to.strip_prefix(from).is_some_and(|rest| rest.starts_with(b"/")))
            }
            (End::Local(local), Location::Local(path)) => {
                let (from, to) = (canonical(&local.root), canonical(path));
                (from == to, to.starts_with(&from))
            }
            _ => (false, false),
        };
        if same {
            return Err(Error::invalid(format!(
                "{to} is source and destination; expected two different places"
            )));
        }
        if inside && !is_file {
            return Err(Error::invalid(format!(
                "the destination {to} is inside of the folder that is copied; expected a place outside"
            )));
        }
    }
    Ok(())
}

fn trimmed(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
    &path[..end]
}

/// The path without links, as far as it exists.
fn canonical(path: &Path) -> PathBuf {
    let mut rest = PathBuf::new();
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut at = whole.as_path();
    loop {
        if let Ok(found) = at.canonicalize() {
            return if rest.as_os_str().is_empty() { found } else { found.join(rest) };
        }
        let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else { return whole };
        rest = if rest.as_os_str().is_empty() { name.into() } else { Path::new(name).join(rest) };
        at = parent;
    }
}

/// What a journal is of.
fn describe(sources: &[End], to: &Location, choices: &super::choices::Choices) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let shown = |location: &Location| match location {
        Location::Local(path) => {
            let whole = canonical(path);
            crate::error::Escaped(whole.as_os_str().as_bytes()).to_string()
        }
        Location::Remote(url) => url.to_string(),
    };
    let from: Vec<_> = sources
        .iter()
        .map(|end| match end {
            End::Local(local) => shown(&Location::Local(local.root.clone())),
            End::Remote(remote) => shown(&Location::Remote(remote.root.clone())),
        })
        .collect();
    format!("from {}\nto {}\n{}", from.first().map_or("", |from| from), shown(to), choices.describe())
}

/// Has the destination's folder there, and looks for what stands in the way.
async fn destination_end(
    to: Location,
    is_file: bool,
    choices: &super::choices::Choices,
    channels: &Channels,
    client: &Client,
) -> Result<End> {
    match to {
        Location::Local(path) => {
            let (create, dry) = (choices.create_parents, choices.dry_run);
            blocking(move || {
                if is_file {
                    let (folder, name) = Root::of_file(&path, create && !dry)?;
                    Ok(End::Local(LocalEnd::file(path, folder, name)))
                } else {
                    let root = Root::of_folder(&path, create, dry)?;
                    Ok(End::Local(LocalEnd::folder(path, root)))
                }
            })
            .await
        }
        Location::Remote(url) => {
            let (remote, facts) = Remote::of(client.clone(), url, channels, 0).await?;
            let facts = match facts {
                // A server that would rather not say: it will when files are stored.
                Err(error) if matches!(error.kind(), ErrorKind::Refused | ErrorKind::Unsupported) => None,
                facts => facts?,
            };
            if choices.dry_run {
                return Ok(End::Remote(remote));
            }
            if is_file {
                if facts.is_some_and(|facts| facts.kind == ReportKind::Folder) {
                    let message =
                        "the destination is a folder; expected the name of a file, or a slash at the end";
                    return Err(
                        Error::new(ErrorKind::IsADirectory, Phase::Input, message).with_url(&remote.root)
                    );
                }
                if choices.create_parents
                    && let Some(parent) = remote.root.parent()
                {
                    make_all(&remote, &parent).await?;
                }
            } else if facts.is_some_and(|facts| facts.kind == ReportKind::Folder) {
                // It is there.
            } else if choices.create_parents {
                let root = remote.root.clone();
                make_all(&remote, &root).await?;
            } else {
                remote.make_folder(b"").await?;
            }
            Ok(End::Remote(remote))
        }
    }
}

/// Makes a folder and those above it, unless it is there: in most cases it is, which takes one question.
async fn make_all(remote: &Remote, folder: &crate::url::Url) -> Result<()> {
    match remote.client.stat(folder).await {
        Ok(entry) if entry.is_dir() => Ok(()),
        Ok(_) => {
            let message = "a folder is needed where there is a file";
            Err(Error::new(ErrorKind::NotADirectory, Phase::Command, message).with_url(folder))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => remote.client.create_dir_all(folder).await,
        // A server that cannot say: it will when files are stored.
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        Err(error) => Err(error),
    }
}

/// What checksums are computed by: what all servers have, else what is computed here from what they give back.
fn algorithm(verify: &Verify, from: &End, to: &End) -> Result<Option<ChecksumAlgorithm>> {
    let by = match verify {
        Verify::Size => return Ok(None),
        Verify::ChecksumBy(algorithm) => algorithm.clone(),
        Verify::Checksum => {
            use ChecksumAlgorithm as A;
            let all = [A::Sha256, A::Sha1, A::Md5, A::Sha512, A::Crc32, A::Adler32];
            let has = |end: &End, algorithm: &A| match end {
                End::Local(_) => true,
                End::Remote(remote) => remote.offers(algorithm),
            };
            let both = all.iter().find(|algorithm| has(from, algorithm) && has(to, algorithm));
            let one = || all.iter().find(|algorithm| has(from, algorithm) || has(to, algorithm));
            both.or_else(one).cloned().unwrap_or(A::Sha256)
        }
    };
    Hasher::new(&by)?;
    Ok(Some(by))
}
