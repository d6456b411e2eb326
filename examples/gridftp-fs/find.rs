//! `find`: URLs of what matches.

use std::time::SystemTime;

use globset::GlobMatcher;
use gridftp::{Entry, Url};

use crate::args::{self, verbs::Find};
use crate::context::{Context, Tally, remote};
use crate::exit::Code;
use crate::failure::Failure;
use crate::show;
use crate::size_test::SizeTest;
use crate::tree::Walk;

struct Tests {
    name: Option<GlobMatcher>,
    kind: Option<&'static str>,
    size: Option<SizeTest>,
    newer: Option<SystemTime>,
    older: Option<SystemTime>,
}

impl Tests {
    fn new(words: &Find) -> Result<Self, Failure> {
        let now = SystemTime::now();
        let name = words.name.as_deref().map(|glob| {
            let built =
                globset::GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build();
            built
                .map(|glob| glob.compile_matcher())
                .map_err(|error| Failure::usage(format!("the pattern {glob}: {}", error.kind())))
        });
        Ok(Self {
            name: name.transpose()?,
            kind: words.kind.as_deref().map(|letter| match letter {
                "f" => "file",
                "d" => "dir",
                _ => "link",
            }),
            size: words.size,
            newer: words.newer.map(|moment| moment.time(now)),
            older: words.older.map(|moment| moment.time(now)),
        })
    }

    /// What the server does not tell matches nothing.
    fn match_all(&self, name: &[u8], entry: &Entry) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        let name_fits =
            self.name.as_ref().is_none_or(|glob| glob.is_match(std::ffi::OsStr::from_bytes(name)));
        name_fits
            && self.kind.is_none_or(|kind| show::kind(entry) == kind)
            && self.size.is_none_or(|test| {
                // A folder's own size is not that of what is in it.
                !entry.is_dir() && entry.size().is_some_and(|size| test.matches(size))
            })
            && self.newer.is_none_or(|limit| entry.modified().is_some_and(|time| time > limit))
            && self.older.is_none_or(|limit| entry.modified().is_some_and(|time| time < limit))
    }
}

pub(crate) async fn run(context: &Context, words: &Find) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls.urls)?;
    let tests = Tests::new(words)?;
    let mut tally = Tally::default();
    for url in &urls {
        let root = match context.client.stat(url).await {
            Ok(entry) => entry,
            Err(error) => {
                tally.add(Err(remote(error)))?;
                continue;
            }
        };
        tally.add(Ok(()))?;
        let name = url.file_name().unwrap_or(b"/");
        if tests.match_all(name, &root) {
            print(context, words, name, url, &root).await?;
        }
        if !root.is_dir() || words.max_depth == Some(0) {
            continue;
        }
        let mut walk = Walk::of(&context.client, url, words.max_depth);
        while let Some(found) = walk.next(&mut tally).await? {
            if tests.match_all(found.entry().name(), found.entry()) {
                print(context, words, found.entry().name(), found.url(), found.entry()).await?;
            }
        }
    }
    Ok(tally.code())
}

async fn print(
    context: &Context,
    words: &Find,
    name: &[u8],
    url: &Url,
    entry: &Entry,
) -> Result<(), Failure> {
    if context.json {
        return context.out.json(&show::object(name, url.path(), Some(url), entry).into()).await;
    }
    // As URLs, which hold nothing that plays with a terminal, and can be given to this program again.
    context.out.ended(url.to_string().as_bytes(), if words.null { 0 } else { b'\n' }).await
}
