//! Local files: what survives, what is left, and what is refused.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use super::*;
use crate::transfer::choices::Links;
use crate::types::RangeSet;

fn scan(root: &Path, links: Links) -> Vec<(String, String)> {
    let mut found: Vec<_> = Scan::new(root.to_owned(), links)
        .map(|found| match found {
            Ok(found) => (String::from_utf8_lossy(&found.path).into_owned(), format!("{:?}", found.kind)),
            Err((path, error)) => {
                (String::from_utf8_lossy(&path).into_owned(), format!("{:?}", error.kind()))
            }
        })
        .collect();
    found.sort();
    found
}

#[test]
fn links_are_followed_copied_or_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir(root.join("real")).unwrap();
    fs::write(root.join("real/f"), "xyz").unwrap();
    symlink("real", root.join("alias")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("..", root.join("real/up")).unwrap();
    let expected = |found: &[(&str, &str)]| -> Vec<(String, String)> {
        found.iter().map(|(path, kind)| ((*path).to_owned(), (*kind).to_owned())).collect()
    };
    assert_eq!(
        scan(root, Links::Follow),
        expected(&[
            ("alias", "Dir"),
            ("alias/f", "File { size: 3 }"),
            ("alias/up", "Loop"),
            ("dangling", "NotFound"),
            ("real", "Dir"),
            ("real/f", "File { size: 3 }"),
            ("real/up", "Loop"),
        ])
    );
    let copied = scan(root, Links::Copy);
    assert!(
        copied.iter().any(|(path, kind)| path == "real/up" && kind == "Link { target: Some([46, 46]) }"),
        "{copied:?}"
    );
    assert_eq!(copied.len(), 5);
    assert_eq!(scan(root, Links::Skip).iter().filter(|(_, kind)| kind == "Link { target: None }").count(), 3);
    // A root that is a link is what it leads to.
    assert_eq!(scan(&root.join("alias"), Links::Skip).len(), 2);
}

#[test]
fn names_of_any_bytes_survive() {
    let dir = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"\xff\n%41 ");
    fs::write(dir.path().join(name), "x").unwrap();
    let found: Vec<_> = Scan::new(dir.path().to_owned(), Links::Follow).map(Result::unwrap).collect();
    assert_eq!(found[0].path, name.as_bytes());
    let root = Root::of_folder(&dir.path().join("to"), true, false).unwrap();
    write_small(&root, name.as_bytes(), 1, b"y", Attributes::default(), true, true).unwrap();
    assert_eq!(fs::read(dir.path().join("to").join(name)).unwrap(), b"y");
    for bad in [&b""[..], b"..", b"a/../b", b"a//b", b"/a", b"a\0b", b"."] {
        let error = write_small(&root, bad, 1, b"y", Attributes::default(), true, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}");
    }
}

#[test]
fn nothing_is_written_outside_of_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
    fs::create_dir_all(&inside).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir(inside.join("real")).unwrap();
    symlink("../out", inside.join("leads out")).unwrap();
    symlink("real", inside.join("leads in")).unwrap();
    fs::write(outside.join("f"), "precious").unwrap();
    symlink("../out/f", inside.join("f")).unwrap();
    let root = Root::of_folder(&inside, false, false).unwrap();
    let error = write_small(&root, b"leads out/f", 1, b"x", Attributes::default(), true, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("leads out of the folder"), "{error}");
    assert!(root.make_dir(b"leads out/d").is_err());
    write_small(&root, b"leads in/g", 1, b"x", Attributes::default(), true, false).unwrap();
    assert_eq!(fs::read(inside.join("real/g")).unwrap(), b"x");
    // A link of the final name is replaced, and what it leads to stays.
    write_small(&root, b"f", 1, b"new", Attributes::default(), true, false).unwrap();
    assert_eq!(fs::read(outside.join("f")).unwrap(), b"precious");
    assert_eq!(fs::read(inside.join("f")).unwrap(), b"new");
}

#[test]
fn small_files_are_whole_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::of_folder(dir.path(), false, false).unwrap();
    let attributes =
        Attributes { mode: Some(0o640), modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(5)) };
    write_small(&root, b"f", 1, b"one", attributes, true, false).unwrap();
    let facts = root.facts(b"f").unwrap().unwrap();
    assert_eq!((facts.mode, facts.size), (0o640, 3));
    assert_eq!(facts.modified, SystemTime::UNIX_EPOCH + Duration::from_secs(5));
    // One that is replaced keeps its permissions.
    write_small(&root, b"f", 1, b"two!", Attributes::default(), true, false).unwrap();
    assert_eq!(root.facts(b"f").unwrap().unwrap().mode, 0o640);
    let taken = write_small(&root, b"f", 1, b"x", Attributes::default(), false, false).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    fs::create_dir(dir.path().join("d")).unwrap();
    let folder = write_small(&root, b"d", 1, b"x", Attributes::default(), true, false).unwrap_err();
    assert_eq!(folder.kind(), ErrorKind::IsADirectory, "{folder}");
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"two!");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary is left");
    assert!(root.facts(b"no").unwrap().is_none() && root.facts(b"no/such").unwrap().is_none());
}

#[tokio::test]
async fn half_files_are_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::of_folder(dir.path(), false, false).unwrap();
    let contents: Vec<u8> = (0..200_u8).collect();
    let writer = Writer::open(&root, b"f", 7, Some(200), &RangeSet::new()).unwrap();
    writer.write_at(100, contents[100..150].to_vec().into()).await.unwrap();
    writer.write_at(0, contents[..50].to_vec().into()).await.unwrap();
    let kept = writer.keep().await;
    assert_eq!(kept.to_string(), "0-50,100-150");
    drop(writer);
    assert!(!dir.path().join("f").exists());
    // Only as much as is really there.
    let wished: RangeSet = [0..50, 100..190].into_iter().collect();
    let writer = Writer::open(&root, b"f", 7, Some(200), &wished).unwrap();
    assert_eq!(writer.written().to_string(), "0-50,100-150");
    writer.write_at(50, contents[50..100].to_vec().into()).await.unwrap();
    let short = writer.finish(200, Attributes::default(), true, false).await.unwrap_err();
    assert_eq!(short.kind(), ErrorKind::Truncated);
    writer.write_at(150, contents[150..].to_vec().into()).await.unwrap();
    writer.flush().await.unwrap();
    let sum = writer.checksum(&crate::types::ChecksumAlgorithm::Md5).await.unwrap();
    writer.finish(200, Attributes::default(), true, true).await.unwrap();
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), contents);
    assert_eq!(root.checksum(b"f", &crate::types::ChecksumAlgorithm::Md5).unwrap(), sum);
    let writer = Writer::open(&root, b"g", 7, None, &RangeSet::new()).unwrap();
    writer.write_at(0, contents.into()).await.unwrap();
    writer.discard().await;
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn files_are_read_ahead_and_changes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let contents: Vec<u8> = (0..5_000_000_u32).flat_map(|n| u8::try_from(n % 251)).collect();
    fs::write(&path, &contents).unwrap();
    let size = u64::try_from(contents.len()).unwrap();
    let mut reader = Reader::open(path.clone(), 1_000_000..4_000_000, size, 8);
    let mut found = 0;
    while let Some(block) = reader.next().await.unwrap() {
        let at = usize::try_from(block.offset).unwrap();
        assert_eq!(block.data, contents[at..at + block.data.len()]);
        found += block.data.len();
    }
    assert_eq!(found, 3_000_000);
    let mut reader = Reader::open(path.clone(), 0..size + 5, size + 5, 8);
    let error = loop {
        match reader.next().await {
            Ok(block) => assert!(block.is_some(), "the end came too early"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
    assert_eq!(read_small(&path).unwrap().0, contents);
    assert_eq!(read_small(dir.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(read_small(&dir.path().join("no")).unwrap_err().kind(), ErrorKind::NotFound);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(regular_facts(&path).unwrap().mode, 0o600);
}

#[test]
fn temporary_names() {
    let name = temporary_name(b"run 7.root", 5);
    assert_eq!(name, temporary_name(b"run 7.root", 5));
    assert!(name.starts_with(b".gridftp-") && name.is_ascii());
    assert_ne!(name, temporary_name(b"run7.root", 5), "what is left out makes a difference");
    assert_ne!(name, temporary_name(b"run 7.root", 6));
    assert!(temporary_name(&[b'x'; 255], 1).len() <= 200);
}
