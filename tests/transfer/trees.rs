//! Random trees, in every direction: what is not the same at the end is in the report.

use std::collections::BTreeMap;
use std::path::Path;

use gridftp::transfer::{Links, Outcome, Preserve, ReportEntry, Verify};
use gridftp::{Client, TransferReport};
use gridftp_lab::Server;
use gridftp_lab::forest::{Manifest, Seen, Species, grow, manifest};

use crate::support::anonymous;
use crate::{temporaries, times};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Up,
    Down,
    Between,
    Here,
}

/// Everything that is different has to be told; what is told has to be so.
fn judge(seed: u64, way: Way, links: Links, from: &Path, to: &Path, report: &TransferReport) {
    let expected = manifest(from, links == Links::Follow).unwrap();
    let found = manifest(to, false).unwrap();
    // A folder that could not be listed is told of twice: it was made, and what is in it is not known.
    let mut told: BTreeMap<Vec<u8>, Vec<ReportEntry>> = BTreeMap::new();
    report.entries().for_each(|entry| told.entry(entry.path.clone()).or_default().push(entry));
    let failed =
        |path: &[u8]| told.get(path).is_some_and(|told| told.iter().any(|entry| entry.outcome.is_failure()));
    let copied = |entry: &ReportEntry| matches!(entry.outcome, Outcome::Copied { .. });
    let context = || format!("seed {seed}, {way:?}, {links:?}: {report}");
    assert!(temporaries(to).is_empty(), "{}: {:?}", context(), temporaries(to));
    let from_server = matches!(way, Way::Down | Way::Between);
    let broken_listing = from_server && expected.keys().any(|path| path.contains(&b'\n'));
    for (path, wanted) in &expected {
        let shown = String::from_utf8_lossy(path);
        let there = found.get(path);
        let entry = told.get(path);
        let excused =
            entry.is_some_and(|told| told.iter().any(|entry| !copied(entry))) || above(path).any(failed);
        // globus-gridftp-server does not list links that lead nowhere.
        let unlisted = from_server && matches!(wanted, Seen::Link(_));
        if excused || unlisted || (broken_listing && path.contains(&b'\n')) {
            continue;
        }
        assert!(
            entry.is_some_and(|told| told.len() == 1 && told.iter().all(copied)),
            "{}: {shown} is not in the report",
            context()
        );
        match (wanted, there) {
            (Seen::Link(target), Some(Seen::Link(made))) => {
                let leads = |root: &Path, target: &Path| {
                    let link = root.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path));
                    let whole = link.parent().unwrap().join(target).canonicalize().ok()?;
                    Some(whole.strip_prefix(root.canonicalize().ok()?).ok()?.to_owned())
                };
                assert_eq!(leads(from, target), leads(to, made), "{}: {shown}", context());
            }
            (wanted, there) => assert_eq!(Some(wanted), there, "{}: {shown}", context()),
        }
    }
    for path in found.keys() {
        assert!(
            expected.contains_key(path),
            "{}: {} came from nowhere",
            context(),
            String::from_utf8_lossy(path)
        );
    }
    if broken_listing {
        assert!(!report.is_complete(), "{}", context());
        return;
    }
    // Counts add up to what is there.
    let unseen = |path: &[u8]| above(path).any(failed);
    let listed = |manifest: &Manifest| {
        let listed = manifest
            .iter()
            .filter(|(path, seen)| !(unseen(path) || from_server && matches!(seen, Seen::Link(_))));
        listed.count() as u64
    };
    let planned = report.counts().planned();
    let twice = told.values().map(|told| told.len() as u64 - 1).sum::<u64>();
    let least = if links == Links::Copy && from_server { 0 } else { listed(&expected) };
    assert!(
        planned >= least && planned <= expected.len() as u64 + twice,
        "{}: {planned} of {}",
        context(),
        expected.len()
    );
    assert_eq!(report.entries().count() as u64, planned + report.counts().deleted, "{}", context());
}

fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..path.len()).filter(|&at| path[at] == b'/').map(|at| &path[..at]).chain([&b""[..]])
}

async fn one(client: &Client, servers: &[Server; 2], scratch: &Path, seed: u64) {
    let way = [Way::Up, Way::Down, Way::Between, Way::Here][usize::try_from(seed % 4).unwrap()];
    let links = [Links::Follow, Links::Copy, Links::Skip][usize::try_from(seed / 4 % 3).unwrap()];
    let verify = if (seed / 12).is_multiple_of(3) { Verify::Checksum } else { Verify::Size };
    let source_here = matches!(way, Way::Up | Way::Here);
    let species = Species {
        wide: true,
        lines: seed.is_multiple_of(5),
        links: true,
        pipes: true,
        entries: 60,
        bytes: 60_000,
    };
    let name = format!("tree{seed}");
    let from = if source_here { scratch.join(format!("{name}.from")) } else { servers[0].dir().join(&name) };
    let to = match way {
        Way::Up => servers[0].dir().join(format!("{name}.to")),
        Way::Between => servers[1].dir().join(format!("{name}.to")),
        Way::Down | Way::Here => scratch.join(format!("{name}.to")),
    };
    grow(&from, seed, species).unwrap();
    let from_text = if source_here { from.to_str().unwrap().to_owned() } else { servers[0].url(&name) };
    let to_text = match way {
        Way::Up => servers[0].url(format!("{name}.to")),
        Way::Between => servers[1].url(format!("{name}.to")),
        Way::Down | Way::Here => to.to_str().unwrap().to_owned(),
    };
    let report = client
        .transfer(&from_text, &to_text)
        .recursive(true)
        .links(links)
        .preserve(Preserve::ALL)
        .verify(verify)
        .await
        .unwrap_or_else(|error| panic!("seed {seed}, {way:?}: {error}"));
    judge(seed, way, links, &from, &to, &report);
    // Once more: what is the same is left alone.
    std::fs::remove_dir_all(&from).unwrap();
    std::fs::remove_dir_all(&to).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_trees_arrive_or_are_told_of() {
    let trees = times("GRIDFTP_TEST_TREES", 18);
    let client = anonymous();
    let servers = [Server::anonymous().start(), Server::anonymous().start()];
    let scratch = tempfile::tempdir().unwrap();
    let first = times("GRIDFTP_TEST_SEED", 0);
    for seed in first..first + trees {
        one(&client, &servers, scratch.path(), seed).await;
    }
    println!("{trees} trees");
}
