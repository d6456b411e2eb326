//! What takes part, what is deleted, what is only said.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gridftp::ErrorKind;
use gridftp::transfer::{Compare, Filter, Links, Outcome, Overwrite, SkipReason, Stage};
use gridftp_lab::Server;
use gridftp_lab::forest::manifest;

use crate::support::anonymous;

fn plant(root: &Path, files: &[&str]) {
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
}

fn names(root: &Path) -> BTreeSet<String> {
    manifest(root, false).unwrap().into_keys().map(|path| String::from_utf8(path).unwrap()).collect()
}

#[tokio::test]
async fn a_filter_is_heard_for_a_single_file_too() {
    let client = anonymous();
    let server = Server::anonymous().start();
    plant(&server.dir(), &["a.tmp"]);
    let here = tempfile::tempdir().unwrap();
    let filter = Filter::new().exclude("*.tmp").unwrap();
    let report = client.transfer(server.url("a.tmp"), here.path().join("b")).filter(filter).await.unwrap();
    assert!(matches!(report.entries().next().unwrap().outcome, Outcome::Skipped(SkipReason::Excluded)));
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn filters_globs_and_what_they_leave_out() {
    let client = anonymous();
    let server = Server::anonymous().start();
    plant(&server.dir().join("tree"), &["a.root", "b.tmp", "sub/c.root", "sub/d.log", "skip/e.root"]);
    let here = tempfile::tempdir().unwrap();
    let to = here.path().join("all");
    let filter = Filter::new().exclude("*.tmp").unwrap().exclude("/skip").unwrap();
    let report = client.transfer(server.url("tree"), &to).recursive(true).filter(filter).await.unwrap();
    report.check().unwrap();
    assert_eq!(names(&to), ["a.root", "sub", "sub/c.root", "sub/d.log"].map(String::from).into());
    let left_out: BTreeSet<_> = report
        .entries()
        .filter(|entry| matches!(entry.outcome, Outcome::Skipped(SkipReason::Excluded)))
        .map(|entry| String::from_utf8(entry.path).unwrap())
        .collect();
    assert_eq!(left_out, ["b.tmp", "skip", "skip/e.root"].map(String::from).into());
    for from in [server.url("tree/*.root"), server.dir().join("tree/*.root").to_str().unwrap().to_owned()] {
        // A pattern has to be asked for: it may be a name.
        let to = here.path().join("glob");
        assert!(client.transfer(from.replace("%2A", "*"), &to).await.is_err());
        let report = client.transfer(from.replace("%2A", "*"), &to).glob(true).await.unwrap();
        report.check().unwrap();
        assert_eq!(names(&to), ["a.root"].map(String::from).into());
        fs::remove_dir_all(&to).unwrap();
    }
    let pattern = server.url("tree/s*").replace("%2A", "*");
    let report = client.transfer(&pattern, &to).glob(true).await.unwrap();
    assert_eq!((report.counts().skipped, report.counts().files), (2, 0), "folders need recursive(true)");
    let to = here.path().join("folders");
    let report = client.transfer(&pattern, &to).glob(true).recursive(true).await.unwrap();
    report.check().unwrap();
    assert_eq!(
        names(&to),
        ["skip", "skip/e.root", "sub", "sub/c.root", "sub/d.log"].map(String::from).into()
    );
    let none =
        client.transfer(server.url("tree/*.no").replace("%2A", "*"), &to).glob(true).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_linked_folder_never_makes_its_target_vanish() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    for root in [server.dir().join("tree"), here.path().join("tree")] {
        plant(&root, &["real/f", "other/g"]);
        std::os::unix::fs::symlink("real", root.join("alias")).unwrap();
        std::os::unix::fs::symlink("..", root.join("real/up")).unwrap();
    }
    let (up, down) = (here.path().join("tree"), here.path().join("down"));
    for (from, to, made) in [
        (up.to_str().unwrap().to_owned(), server.url("up"), server.dir().join("up")),
        (server.url("tree"), down.to_str().unwrap().to_owned(), down.clone()),
    ] {
        let report = client.transfer(&from, &to).recursive(true).await.unwrap();
        report.check().unwrap();
        for file in ["real/f", "alias/f", "other/g"] {
            assert_eq!(fs::read_to_string(made.join(file)).unwrap(), file.replace("alias", "real"), "{from}");
        }
        let loops =
            report.entries().filter(|entry| matches!(entry.outcome, Outcome::Skipped(SkipReason::Loop)));
        assert!(loops.count() >= 1, "{from}: {report:?}");
    }
    // As links they lead to the same places of the copy.
    let to = here.path().join("links");
    client
        .transfer(server.url("tree"), &to)
        .recursive(true)
        .links(Links::Copy)
        .await
        .unwrap()
        .check()
        .unwrap();
    assert_eq!(to.join("alias").canonicalize().unwrap(), to.join("real").canonicalize().unwrap());
    assert_eq!(to.join("real/up").canonicalize().unwrap(), to.canonicalize().unwrap());
}

#[tokio::test]
async fn extras_are_deleted_only_when_asked_and_nothing_is_unsure() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let from = here.path().join("from");
    plant(&from, &["a", "sub/b"]);
    let there = server.dir().join("to");
    plant(&there, &["a", "extra", "old/x", "old/deep/y", "keep.me", "sub/z"]);
    let transfer = || {
        let filter = Filter::new().exclude("keep.me").unwrap();
        client.transfer(&from, server.url("to")).recursive(true).filter(filter).delete_extras(true)
    };
    let everything = names(&there);
    let report = transfer().dry_run(true).await.unwrap();
    assert_eq!((names(&there), report.counts().deleted), (everything, 6), "{report:?}");
    client.transfer(&from, server.url("to")).recursive(true).await.unwrap().check().unwrap();
    assert!(there.join("extra").exists(), "not without being asked");
    let report = transfer().await.unwrap();
    report.check().unwrap();
    assert_eq!(names(&there), ["a", "keep.me", "sub", "sub/b"].map(String::from).into());
    assert_eq!(report.counts().deleted, 6);
    // The way back, and what is not sure.
    plant(&there, &["c"]);
    let back = || client.transfer(server.url("to"), &from).recursive(true).delete_extras(true);
    plant(&from, &["only here"]);
    back().await.unwrap().check().unwrap();
    assert_eq!(names(&from), names(&there));
    plant(&from, &["only here"]);
    std::os::unix::fs::symlink("nowhere", from.join("dangling")).unwrap();
    let report = client.transfer(&from, server.url("to")).recursive(true).delete_extras(true).await.unwrap();
    assert!(!report.is_complete(), "a link that leads nowhere is told");
    assert_eq!(report.counts().deleted, 0, "and nothing is deleted then");
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_says_what_would_be() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let from = here.path().join("from");
    plant(&from, &["a", "sub/b", "sub/deep/c"]);
    for to in [server.url("no/such/folder"), here.path().join("none/at/all").to_str().unwrap().to_owned()] {
        let report = client.transfer(&from, &to).recursive(true).dry_run(true).await.unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!((report.counts().files, report.counts().folders), (3, 2), "{report:?}");
    }
    assert!(names(&server.dir()).is_empty() && !here.path().join("none").exists());
    plant(&server.dir().join("to"), &["a"]);
    let report = client
        .transfer(&from, server.url("to"))
        .recursive(true)
        .overwrite(Overwrite::IfDifferent(Compare::Size))
        .dry_run(true)
        .await
        .unwrap();
    assert_eq!((report.counts().files, report.counts().skipped), (2, 1), "{report:?}");
}

#[tokio::test]
async fn progress_adds_up_and_ends() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let from = here.path().join("from");
    let files: Vec<String> = (0..300).map(|n| format!("d{}/f{n}", n % 7)).collect();
    plant(&from, &files.iter().map(String::as_str).collect::<Vec<_>>());
    let transfer = client.transfer(&from, server.url("to")).recursive(true).start().unwrap();
    let progress = transfer.progress();
    let report = transfer.join().await.unwrap();
    report.check().unwrap();
    let last = progress.borrow().clone();
    let bytes: u64 = files.iter().map(|name| name.len() as u64).sum();
    assert_eq!((last.stage, last.is_planned), (Stage::Over, true));
    assert_eq!(
        (last.files_found, last.files_done, last.bytes_found, last.bytes_done),
        (300, 300, bytes, bytes),
        "{last:?}"
    );
    assert_eq!((report.counts().files, report.counts().bytes, report.counts().folders), (300, bytes, 7));
    assert_eq!(last.found, report.counts().planned());
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_touched() {
    let client = anonymous();
    for transfer in [
        client.transfer("", "/tmp/x"),
        client.transfer("s3://bucket/x", "/tmp/x"),
        client.transfer("/tmp/x", "ftp://h/%0d%0aDELE"),
        client.transfer("/tmp/x", "ftp://h/x").concurrency(0),
        client.transfer("/tmp/x", "ftp://h/x").parallelism(0),
        client.transfer("/tmp/x", "ftp://h/x").delete_extras(true),
        client.transfer("/tmp/x", "ftp://h/x").destination_subject(""),
    ] {
        let error = transfer.start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    let here = tempfile::tempdir().unwrap();
    plant(&here.path().join("a"), &["f"]);
    let inside =
        client.transfer(here.path().join("a"), here.path().join("a/b")).recursive(true).await.unwrap_err();
    assert!(inside.to_string().contains("inside"), "{inside}");
    assert_eq!(names(here.path()), ["a", "a/f"].map(String::from).into());
}
