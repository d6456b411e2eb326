//! `ls`: folders, sorted by name.

use std::collections::BTreeMap;

use gridftp::{Client, Entry, Url};

use crate::args::{self, verbs::Ls};
use crate::context::{Context, Tally, remote};
use crate::exit::Code;
use crate::failure::Failure;
use crate::show;
use crate::tree::{self, Walk};
use crate::when;

struct Row {
    name: Vec<u8>,
    path: Vec<u8>,
    url: Option<Url>,
    entry: Entry,
}

pub(crate) async fn run(context: &Context, words: &Ls) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls.urls)?;
    let mut tally = Tally::default();
    let headed = words.recursive || urls.len() > 1;
    let mut first = true;
    for url in &urls {
        let entry = match context.client.stat(url).await {
            Ok(entry) => entry,
            Err(error) => {
                tally.add(Err(remote(error)))?;
                continue;
            }
        };
        if words.directory || !entry.is_dir() {
            let name = url.file_name().unwrap_or_else(|| url.path()).to_vec();
            let row = Row { name, path: url.path().to_vec(), url: Some(url.clone()), entry };
            print(context, words, &[row], true).await?;
            tally.add(Ok(()))?;
            first = false;
            continue;
        }
        let mut found = Tally::default();
        let groups = if words.recursive {
            recursive(&context.client, url, words.all, &mut found).await?
        } else {
            let rows = folder(&context.client, url, words.all, &mut found).await?;
            rows.into_iter().map(|rows| (url.path().to_vec(), rows)).collect()
        };
        for (path, rows) in groups {
            if headed && !context.json {
                let heading =
                    url.with_path(path.clone()).map_or_else(|_| show::name(&path), |url| url.to_string());
                context.out.line(&format!("{}{heading}:", if first { "" } else { "\n" })).await?;
            }
            first = false;
            print(context, words, &rows, false).await?;
        }
        tally.add_code(found.code());
    }
    Ok(tally.code())
}

/// What is in one folder; nothing if it could not be listed.
async fn folder(
    client: &Client,
    url: &Url,
    all: bool,
    tally: &mut Tally,
) -> Result<Option<Vec<Row>>, Failure> {
    let mut listing = client.list(url);
    let mut rows = Vec::new();
    loop {
        match listing.next_entry().await {
            Ok(Some(entry)) => {
                if all || !entry.name().starts_with(b".") {
                    rows.push(row(url, entry));
                }
            }
            Ok(None) => break,
            Err(error) if listing.is_over() => {
                tally.add(Err(remote(error)))?;
                if rows.is_empty() {
                    return Ok(None);
                }
                break;
            }
            // One line that makes no sense.
            Err(error) => tally.add(Err(remote(error)))?,
        }
    }
    // What came of a folder is of use, even if the rest did not.
    tally.add(Ok(()))?;
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Some(rows))
}

fn row(folder: &Url, entry: Entry) -> Row {
    let url = entry.is_safe_child().then(|| folder.join(entry.name()).ok()).flatten();
    let path = url.as_ref().map_or_else(|| tree::child(folder, entry.name()), |url| url.path().to_vec());
    Row { name: entry.name().to_vec(), path, url, entry }
}

/// Folders with what is in them, each before those below it.
async fn recursive(
    client: &Client,
    url: &Url,
    all: bool,
    tally: &mut Tally,
) -> Result<Vec<(Vec<u8>, Vec<Row>)>, Failure> {
    // By the names on the way, so that what is in "a" comes before "a b".
    let mut groups: BTreeMap<Vec<Vec<u8>>, Vec<Row>> = BTreeMap::new();
    groups.insert(Vec::new(), Vec::new());
    let mut walk = Walk::of(client, url, None);
    while let Some(found) = walk.next(tally).await? {
        let way: Vec<Vec<u8>> = found.path().split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
        if !all && way.iter().any(|name| name.starts_with(b".")) {
            continue;
        }
        let url = found.url().clone();
        let entry = found.into_entry();
        let path = url.path().to_vec();
        if tree::is_folder(&entry) {
            groups.entry(way.clone()).or_default();
        }
        let row = Row { name: entry.name().to_vec(), path, url: Some(url), entry };
        groups.entry(way[..way.len().saturating_sub(1)].to_vec()).or_default().push(row);
    }
    tally.add(Ok(()))?;
    let path = |way: &[Vec<u8>]| match way {
        [] => url.path().to_vec(),
        way => tree::child(url, &way.join(&b'/')),
    };
    let sorted = groups.into_iter().map(|(way, mut rows)| {
        rows.sort_by(|one, other| one.name.cmp(&other.name));
        (path(&way), rows)
    });
    Ok(sorted.collect())
}

async fn print(context: &Context, words: &Ls, rows: &[Row], full: bool) -> Result<(), Failure> {
    if context.json {
        for row in rows {
            let object = show::object(&row.name, &row.path, row.url.as_ref(), &row.entry);
            context.out.json(&object.into()).await?;
        }
        return Ok(());
    }
    let name = |row: &Row| show::name(if full { &row.path } else { &row.name });
    if !words.long {
        for row in rows {
            context.out.line(&name(row)).await?;
        }
        return Ok(());
    }
    let unknown = || "?".to_owned();
    let cells: Vec<[String; 6]> = rows
        .iter()
        .map(|row| {
            let entry = &row.entry;
            let target = entry.link_target().map(|target| format!(" -> {}", show::name(&target)));
            [
                show::mode(entry),
                entry.owner().map_or_else(unknown, show::text),
                entry.group().map_or_else(unknown, show::text),
                entry.size().map_or_else(unknown, |bytes| show::size(bytes, words.human)),
                entry.modified().map_or_else(unknown, when::shown),
                name(row) + &target.unwrap_or_default(),
            ]
        })
        .collect();
    for line in show::columns(&cells, &[3]) {
        context.out.line(&line).await?;
    }
    Ok(())
}
