//! Journals that are cut, damaged, locked, and restarted.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::record::{Framed, frame, unframe};
use super::*;
use crate::types::RangeSet;

fn identity(size: u64) -> Identity {
    Identity { size: Some(size), modified_nanos: Some(-5) }
}

fn done(path: &str, size: u64) -> Record {
    Record::Done {
        path: path.into(),
        source: identity(size),
        checksum: Some("MD5:cabe45dcc9ae5b66ba86600cca6b8ba8".parse().unwrap()),
    }
}

fn part(path: &str, size: u64, ranges: &str) -> Record {
    let ranges = if ranges.is_empty() { RangeSet::new() } else { ranges.parse().unwrap() };
    Record::Part {
        path: path.into(),
        source: identity(size),
        ranges,
        manner: Manner { in_order: size == 3, by_size: size == 2 },
    }
}

fn fill(path: &Path, boot: &[u8], records: impl IntoIterator<Item = Record>, checkpoint: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (journal, _) = retry(|| Journal::open_at(path, b"this", boot));
    records.into_iter().for_each(|record| journal.append(record));
    if checkpoint {
        runtime.block_on(journal.checkpoint(|| Ok(()))).unwrap();
    }
    drop(journal);
    // The thread has written everything when the lock is free.
    for _ in 0..2000 {
        if let Ok(file) = lock(path) {
            drop(file);
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("the journal is locked for ever");
}

fn some() -> Vec<Record> {
    vec![
        done("a", 1),
        part("b", 2, "0-5,7-9"),
        part("b", 2, "0-9"),
        part("c", 3, "0-1"),
        Record::Dropped { path: b"c".to_vec() },
        part("d", 4, ""),
        done("d", 4),
        done("\n e \u{e9}", 5),
    ]
}

#[test]
fn what_was_written_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    fill(&path, b"boot", some(), false);
    let (journal, state) = Journal::open_at(&path, b"this", b"boot").unwrap();
    assert_eq!(state.counts(), (3, 1));
    assert_eq!(state.done(b"a", &identity(1)), Done::Yes);
    assert_eq!(state.done(b"a", &identity(2)), Done::Changed);
    assert_eq!(state.done(b"b", &identity(2)), Done::No);
    assert_eq!(state.done("\n e \u{e9}".as_bytes(), &identity(5)), Done::Yes);
    assert_eq!(state.part(b"b").unwrap().ranges, std::iter::once(0..9).collect::<RangeSet>());
    assert!(state.part(b"c").is_none() && state.part(b"d").is_none());
    let tag = journal.tag();
    drop(journal);
    let (journal, _) = retry(|| Journal::open_at(&path, b"this", b"boot"));
    assert_eq!(journal.tag(), tag, "temporary names stay the same");
}

#[test]
fn an_early_end_keeps_what_was_appended_and_does_not_wait_for_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (journal, _) = Journal::open_at(&path, b"this", b"boot").unwrap();
    some().into_iter().for_each(|record| journal.append(record));
    // A disk that is not through before it is told to be.
    let (go_on, told) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        let slow = journal.checkpoint(move || {
            let _ = told.recv();
            Ok(())
        });
        let mut slow = std::pin::pin!(slow);
        tokio::select! {
            biased;
            _ = &mut slow => panic!("the disk was not slow"),
            closed = journal.close_early() => closed.unwrap(),
        }
    });
    drop((go_on, journal));
    let (_, state) = retry(|| Journal::open_at(&path, b"this", b"boot"));
    assert_eq!(state.counts(), (3, 1));
}

/// The thread of a journal that was dropped just now may have it still.
fn retry<T>(mut open: impl FnMut() -> Result<T>) -> T {
    for _ in 0..2000 {
        match open() {
            Ok(opened) => return opened,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("locked for ever");
}

#[test]
fn one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let (journal, _) = Journal::open(&path, b"this").unwrap();
    let error = Journal::open(&path, b"this").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    let locked = std::process::Command::new("flock").args(["-n"]).arg(&path).arg("true").status().unwrap();
    assert!(!locked.success(), "other processes too");
    drop(journal);
    retry(|| Journal::open(&path, b"this"));
}

#[test]
fn others_files_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    fill(&path, b"boot", some(), true);
    let before = fs::read(&path).unwrap();
    let error = Journal::open_at(&path, b"other", b"boot").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("\"this\"") && error.to_string().contains("\"other\""), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    for text in ["precious text", "GridFTPj\u{9}and more"] {
        fs::write(&path, text).unwrap();
        assert_eq!(Journal::open_at(&path, b"this", b"boot").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(fs::read(&path).unwrap(), text.as_bytes());
    }
    assert!(Journal::open(dir.path(), b"this").is_err());
    assert!(Journal::open(&dir.path().join("no/j"), b"this").is_err());
}

#[test]
fn cut_at_any_byte_it_loses_its_end_only() {
    let dir = tempfile::tempdir().unwrap();
    let (path, cut) = (dir.path().join("j"), dir.path().join("cut"));
    fill(&path, b"boot", some(), false);
    let whole = fs::read(&path).unwrap();
    let mut last = (0, 0);
    for length in 0..=whole.len() {
        fs::write(&cut, &whole[..length]).unwrap();
        let (journal, state) = retry(|| Journal::open_at(&cut, b"this", b"boot"));
        assert!(state.counts().0 >= last.0, "at {length}");
        last = state.counts();
        // It can be gone on with.
        journal.append(done("later", 9));
        drop(journal);
        let (_, state) = retry(|| Journal::open_at(&cut, b"this", b"boot"));
        assert_eq!(state.done(b"later", &identity(9)), Done::Yes, "at {length}");
        assert_eq!(state.counts().0, last.0 + 1, "at {length}");
    }
    assert_eq!(last, (3, 1));
}

#[test]
fn no_flipped_byte_makes_a_file_done_that_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bad) = (dir.path().join("j"), dir.path().join("bad"));
    fill(&path, b"boot", some(), true);
    let whole = fs::read(&path).unwrap();
    let names: [&[u8]; 4] = [b"a", b"d", b"b", b"c"];
    for at in 0..whole.len() {
        for flip in [1, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            fs::write(&bad, &bytes).unwrap();
            match Journal::open_at(&bad, b"this", b"boot") {
                Ok((_, state)) => {
                    for (name, size) in names.iter().zip([1, 4, 2, 3]) {
                        let found = state.done(name, &identity(size));
                        assert!(found == Done::No || [&b"a"[..], b"d"].contains(name), "byte {at}");
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidInput, "byte {at}: {error}");
                    assert_eq!(fs::read(&bad).unwrap(), bytes, "nothing is overwritten");
                }
            }
            // The thread may have the file of before still; a new one is another.
            fs::remove_file(&bad).unwrap();
        }
    }
}

#[test]
fn after_a_restart_only_what_was_on_the_disk_counts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    fill(&path, b"one", [done("a", 1)], true);
    fill(&path, b"one", [done("b", 2), part("p", 3, "0-4")], false);
    let (_, state) = retry(|| Journal::open_at(&path, b"this", b"one"));
    assert_eq!(state.counts(), (2, 1), "the same boot: all of it");
    let (_, state) = retry(|| Journal::open_at(&path, b"this", b"two"));
    assert_eq!(state.counts(), (1, 0), "another boot: what a checkpoint covers");
    // What was lost once stays lost, whatever comes behind.
    fill(&path, b"two", [done("c", 3)], true);
    let (_, state) = retry(|| Journal::open_at(&path, b"this", b"three"));
    assert_eq!(state.counts(), (2, 0));
    assert_eq!(state.done(b"b", &identity(2)), Done::No);
}

#[test]
fn a_failure_to_write_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let (journal, _) = Journal::open(&path, b"this").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let failing = || Err(io::Error::from_raw_os_error(28));
    let error = runtime.block_on(journal.checkpoint(failing)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    let again = runtime.block_on(journal.close(|| Ok(()), true)).unwrap_err();
    Journal::open(&path, b"this").expect("whoever closes it leaves it to others at once");
    assert_eq!(again.kind(), ErrorKind::NoSpace, "and stays");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = unframe(&bytes);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let begin = [&MAGIC[..], &[VERSION], &bytes].concat();
        for contents in [&bytes, &begin] {
            fs::write(&path, contents).unwrap();
            drop(Journal::open_at(&path, b"this", b"boot"));
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn records_come_back(
        path in proptest::collection::vec(any::<u8>(), 0..50),
        size in any::<Option<u64>>(),
        modified_nanos in any::<Option<i64>>(),
        ranges in proptest::collection::vec(0_u64..1000, 0..20),
    ) {
        let source = Identity { size, modified_nanos };
        let ranges: RangeSet = ranges.chunks(2).filter_map(|pair| Some(pair[0]..*pair.get(1)?)).collect();
        for record in [
            Record::Done { path: path.clone(), source: source.clone(), checksum: None },
            Record::Part { path: path.clone(), source, ranges, manner: Manner { in_order: modified_nanos.is_some(), by_size: size.is_some() } },
            Record::Dropped { path },
        ] {
            let mut bytes = Vec::new();
            frame(&record, &mut bytes);
            let length = bytes.len();
            prop_assert_eq!(unframe(&bytes), Framed::Record(record, length));
        }
    }
}
