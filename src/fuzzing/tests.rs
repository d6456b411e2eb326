//! The same checks in every run of the tests: with the kept corpus, and with bytes at random.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{TARGETS, check, shown};

fn fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder)
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz("corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn the_kept_corpus_passes() {
    for (target, _) in TARGETS {
        let files = corpus(target);
        assert!(files.len() >= 5, "{target}: {} seeds", files.len());
        for (path, data) in files {
            let result = std::panic::catch_unwind(|| check(target, &data));
            assert!(result.is_ok(), "{} breaks a promise", path.display());
        }
    }
}

#[test]
fn every_check_has_its_target_and_every_target_its_check() {
    let checks: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for folder in ["fuzz_targets", "corpus"] {
        let found: BTreeSet<String> = fs::read_dir(fuzz(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(found, checks, "{folder}");
    }
    for name in &checks {
        let target = fs::read_to_string(fuzz("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(target.contains(&format!("check(\"{name}\", data)")), "{target}");
        let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not built");
    }
}

#[test]
#[should_panic(expected = "shown as it came")]
fn what_a_terminal_acts_on_is_found() {
    shown("a\u{1b}[2J", 100);
}

#[test]
#[should_panic(expected = "at most 3 expected")]
fn what_is_too_long_is_found() {
    shown("abcd", 3);
}

/// A seed of the target with some bytes replaced, some cut out, and some doubled.
fn changed(target: usize) -> impl Strategy<Value = Vec<u8>> {
    let seeds: Vec<Vec<u8>> = corpus(TARGETS[target].0).into_iter().map(|(_, data)| data).collect();
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..12);
    (prop::sample::select(seeds), changes).prop_map(|(mut data, changes)| {
        for (at, byte, what) in changes {
            if data.is_empty() {
                data.push(byte);
                continue;
            }
            let at = at.index(data.len());
            match what {
                0 => data[at] = byte,
                1 => drop(data.remove(at)),
                2 => data.insert(at, byte),
                _ => data.extend_from_within(at..),
            }
            data.truncate(4096);
        }
        data
    })
}

proptest! {
    #[test]
    fn no_bytes_break_a_promise(target in 0..TARGETS.len(), data: Vec<u8>) {
        check(TARGETS[target].0, &data);
    }

    #[test]
    fn nothing_like_what_servers_say_breaks_one((target, data) in (0..TARGETS.len()).prop_flat_map(|target| (Just(target), changed(target)))) {
        check(TARGETS[target].0, &data);
    }
}
