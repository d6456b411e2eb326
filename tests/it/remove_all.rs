//! Removing whole folders.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use gridftp::ErrorKind;
use gridftp::options::TransferMode;
use gridftp_lab::{PlainServer, Server};

use crate::ftpd::{Answer, Ftpd};
use crate::support::{anonymous, builder};

/// 30 folders in a tree, with 5 files each; outside of it something that must stay.
fn tree(root: &Path) {
    std::fs::create_dir_all(root.join("outside")).unwrap();
    std::fs::write(root.join("outside/precious"), "gold").unwrap();
    for n in 0..30 {
        let folder = root.join(format!("tree/a{}/b{}/c {n}", n % 3, n % 5));
        std::fs::create_dir_all(&folder).unwrap();
        for file in 0..5 {
            std::fs::write(folder.join(format!("file {file}")), "x").unwrap();
        }
    }
    symlink("../../outside", root.join("tree/a0/link-out")).unwrap();
    symlink("../../outside/precious", root.join("tree/a1/file-link")).unwrap();
    symlink("..", root.join("tree/a2/up")).unwrap();
}

fn survived(root: &Path) {
    assert_eq!(std::fs::read(root.join("outside/precious")).unwrap(), b"gold");
}

/// Row "mkdir -p, rm -r".
#[tokio::test]
async fn rm_r() {
    let server = Server::anonymous().start();
    let root = server.dir();
    tree(&root);
    // Links that lead nowhere are not in listings.
    symlink("nowhere", root.join("tree/a1/dangling")).unwrap();
    symlink("/nowhere at all", root.join("tree/dangling too")).unwrap();
    let client = anonymous();
    let report = client.remove_dir_all(server.url("tree")).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.removed_files(), report.removed_dirs()), (150 + 3 + 2, 1 + 3 + 15 + 30));
    assert!(!root.join("tree").exists());
    survived(&root);
    // A second time there is nothing.
    let error = client.remove_dir_all(server.url("tree")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(client.metrics().sessions_open <= 8, "{:?}", client.metrics());
}

#[tokio::test]
async fn links_that_a_server_shows_as_folders_are_not_entered() {
    // pyftpdlib shows with MLSD what is behind a link, and nothing of the link.
    for server in [PlainServer::anonymous(), PlainServer::anonymous().without(&["MLST", "MLSD"])] {
        let server = server.start();
        let root = server.dir();
        tree(&root);
        let client = anonymous();
        let report = client.remove_dir_all(server.url("tree")).await.unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!((report.removed_files(), report.removed_dirs()), (150 + 3, 1 + 3 + 15 + 30));
        assert!(!root.join("tree").exists());
        survived(&root);
        let error = client.remove_dir_all(server.url("tree")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}

#[tokio::test]
async fn a_root_that_is_a_link_or_a_file() {
    let server = Server::anonymous().start();
    let root = server.dir();
    tree(&root);
    let client = anonymous();
    for name in ["tree/a0/link-out/", "tree/a2/up"] {
        let report = client.remove_dir_all(server.url(name)).await.unwrap();
        assert_eq!((report.removed_files(), report.removed_dirs()), (1, 0));
        assert!(root.join(name.trim_end_matches('/')).symlink_metadata().is_err());
    }
    survived(&root);
    let error = client.remove_dir_all(server.url("outside/precious")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotADirectory, "{error}");
    survived(&root);
    // With MLST this server tells what is behind a link, and nothing of the link.
    for old in [PlainServer::anonymous().without(&["MLST", "MLSD"]), PlainServer::anonymous()] {
        let old = old.start();
        tree(&old.dir());
        let error = client.remove_dir_all(old.url("outside/precious")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory, "{error}");
        let report = client.remove_dir_all(old.url("tree/a0/link-out")).await.unwrap();
        assert_eq!((report.removed_files(), report.removed_dirs()), (1, 0));
        assert!(old.dir().join("tree/a0/link-out").symlink_metadata().is_err());
        survived(&old.dir());
    }
}

#[tokio::test]
async fn what_must_not_be_removed_is_refused() {
    let server = Ftpd::start(&[], |_| Answer::Usual).await;
    let client = anonymous();
    for path in ["", "/", "//", "~", "~/", "~user", "a/..", "a/../b", ".", "a/./b"] {
        let error = client.remove_dir_all(server.url(path)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path}: {error}");
    }
    assert!(server.heard().is_empty(), "{:?}", server.heard());
}

#[tokio::test]
async fn what_cannot_be_removed_is_told_and_the_rest_goes() {
    let server =
        Server::anonymous().args(["-anonymous-user", "nobody", "-anonymous-group", "nogroup"]).start();
    let root = server.dir();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    tree(&root);
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        mode(&folder, 0o777);
        folders.extend(
            std::fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap())
                .filter(|entry| entry.file_type().unwrap().is_dir())
                .map(|entry| entry.path()),
        );
    }
    mode(root.parent().unwrap(), 0o755);
    // Neither its files nor it can go: nothing in it may be changed.
    let fixed = root.join("tree/a0/b0/c 0");
    mode(&fixed, 0o555);
    let client = anonymous();
    let report = client.remove_dir_all(server.url("tree")).await.unwrap();
    assert_eq!((report.failures(), report.not_removed().len()), (5, 5), "{report:?}");
    for left in report.not_removed() {
        assert_eq!(left.error().kind(), ErrorKind::PermissionDenied, "{left}");
        assert!(left.url().to_string().starts_with(&server.url("tree/a0/b0/c 0/file")), "{left}");
    }
    // What is above it stays, and nothing else.
    assert_eq!((report.removed_files(), report.removed_dirs()), (148, 49 - 4));
    assert_eq!(std::fs::read_dir(root.join("tree")).unwrap().count(), 1);
    survived(&root);
    mode(&fixed, 0o777);
    let report = client.remove_dir_all(server.url("tree")).await.unwrap();
    assert!(report.is_complete() && report.removed_files() == 5 && report.removed_dirs() == 4, "{report:?}");
    assert!(!root.join("tree").exists());
}

#[tokio::test]
async fn a_link_that_must_not_be_removed_is_not_entered() {
    // A folder as the listing has it, forged by a line end in the name of a file; MLST knows better.
    let server = Ftpd::start(&["MLST Type*;UNIX.slink*;"], |line| match line {
        "MLST /x" => Answer::Reply("250-facts\r\n Type=dir; /x\r\n250 end".into()),
        "MLST /x/link" => Answer::Reply("250-facts\r\n Type=dir;UNIX.slink=/home; /x/link\r\n250 end".into()),
        "MLSD /x" => Answer::Data(b"Type=dir; link\r\nType=dir; ..\r\nType=file; a/b\r\n".to_vec()),
        "DELE /x" => Answer::Reply("550 /x: Is a directory".into()),
        "DELE /x/link" => Answer::Reply("550 Permission denied".into()),
        _ => Answer::Usual,
    })
    .await;
    let report = anonymous().remove_dir_all(server.url("x")).await.unwrap();
    assert_eq!(report.failures(), 2, "{report:?}");
    let heard = server.heard();
    let changes: Vec<_> = heard
        .iter()
        .filter(|line| ["DELE", "RMD", "MLSD"].iter().any(|verb| line.starts_with(verb)))
        .collect();
    assert_eq!(changes, ["DELE /x", "MLSD /x", "DELE /x/link"]);
}

#[tokio::test]
async fn what_somebody_else_removes_meanwhile_is_as_good_as_removed() {
    let server = Ftpd::start(&["MLST Type*;"], |line| match line {
        "MLST /x" => Answer::Reply("250-facts\r\n Type=dir; /x\r\n250 end".into()),
        "MLSD /x" => Answer::Data(b"Type=dir; d\r\nType=dir; e\r\nType=file; f\r\n".to_vec()),
        "DELE /x" | "DELE /x/d" => Answer::Reply("550 it Is a directory".into()),
        "DELE /x/e" | "DELE /x/f" | "MLSD /x/d" | "RMD /x/d" | "RMD /x/e" => {
            Answer::Reply("550 No such file or directory".into())
        }
        "RMD /x" => Answer::Reply("250 gone".into()),
        _ => Answer::Usual,
    })
    .await;
    let report = anonymous().remove_dir_all(server.url("x")).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.removed_files(), report.removed_dirs()), (0, 1));
}

#[tokio::test]
async fn two_at_once() {
    let server = Server::anonymous().start();
    tree(&server.dir());
    let (one, two) = (anonymous(), anonymous());
    let url = server.url("tree");
    let (one, two) = tokio::join!(one.remove_dir_all(&url), two.remove_dir_all(&url));
    // Either may come too late for anything.
    for result in [one, two] {
        match result {
            Ok(report) => assert!(report.is_complete(), "{report:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
        }
    }
    assert!(!server.dir().join("tree").exists());
    survived(&server.dir());
}

#[tokio::test]
async fn one_session_is_enough() {
    let server = Server::anonymous().start();
    tree(&server.dir());
    symlink("nowhere", server.dir().join("tree/a1/dangling")).unwrap();
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
        let mut walk = client.walk(server.url("tree")).mode(mode);
        let mut count = 0;
        while walk.next_entry().await.unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 150 + 3 + 48);
    }
    let report = client.remove_dir_all(server.url("tree")).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert!(!server.dir().join("tree").exists());
    survived(&server.dir());
}

/// A chain of folders deeper than is removed: what is below the limit stays, and says why.
#[tokio::test]
async fn very_deep_folders_stay_and_are_told() {
    let server = Server::anonymous().start();
    let top = server.dir().join("deep");
    std::fs::create_dir_all(top.join(["d"; 1030].join("/"))).unwrap();
    let report = anonymous().remove_dir_all(server.url("deep")).await.unwrap();
    assert_eq!((report.failures(), report.removed_dirs(), report.is_complete()), (1, 0, false));
    let left = &report.not_removed()[0];
    assert_eq!(left.error().kind(), ErrorKind::Unsupported, "{left}");
    assert!(left.to_string().contains("1024 levels"), "{left}");
    assert!(top.join(["d"; 1030].join("/")).is_dir());
}
