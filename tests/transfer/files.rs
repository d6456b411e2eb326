//! Single files, of every size, in every direction.

use std::fs;

use gridftp::transfer::{Overwrite, SkipReason, Verify};
use gridftp::{ErrorKind, Location};
use gridftp_lab::{Server, sha256, sha256_file, write_random};

use crate::support::anonymous;
use crate::temporaries;

const SIZES: [u64; 6] = [0, 1, 100_000, (1 << 20) + 1, 5_000_001, 200 << 20];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_all_sizes_go_in_all_directions() {
    let client = anonymous();
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    let here = tempfile::tempdir().unwrap();
    for (number, size) in SIZES.into_iter().enumerate() {
        let seed = u64::try_from(number).unwrap();
        let name = format!("f{number}");
        let source = here.path().join(&name);
        let hash = write_random(&source, seed, size).unwrap();
        let verify = if number % 2 == 0 { Verify::Checksum } else { Verify::Size };
        let copies = [
            (source.to_str().unwrap().to_owned(), one.url(&name), one.dir().join(&name)),
            (one.url(&name), two.url(&name), two.dir().join(&name)),
            (two.url(&name), here.path().join("back").to_str().unwrap().to_owned(), here.path().join("back")),
            (
                here.path().join("back").to_str().unwrap().to_owned(),
                here.path().join("again").to_str().unwrap().to_owned(),
                here.path().join("again"),
            ),
        ];
        for (from, to, file) in copies {
            let report = client
                .transfer(&from, &to)
                .verify(verify.clone())
                .await
                .unwrap_or_else(|error| panic!("{from} {to}: {error}"));
            report.check().unwrap();
            assert_eq!((report.counts().files, report.counts().bytes), (1, size), "{from} {to}");
            assert_eq!(sha256_file(&file).unwrap(), hash, "{from} {to}");
        }
        // Through this client, into a folder.
        fs::create_dir_all(two.dir().join("in")).unwrap();
        let report = client
            .transfer(one.url(&name), two.url("in/"))
            .through_client(true)
            .verify(verify)
            .await
            .unwrap();
        report.check().unwrap();
        assert_eq!(sha256_file(&two.dir().join("in").join(&name)).unwrap(), hash);
    }
    for folder in [one.dir(), two.dir(), here.path().to_owned()] {
        assert!(temporaries(&folder).is_empty(), "{:?}", temporaries(&folder));
    }
}

#[tokio::test]
async fn one_file_that_fails_is_an_error() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("f");
    fs::write(&file, "x").unwrap();
    fs::create_dir(server.dir().join("folder")).unwrap();
    let (local, missing) = (file.to_str().unwrap(), here.path().join("no/such"));
    for (from, to, kind) in [
        (server.url("no"), local.to_owned(), ErrorKind::NotFound),
        (missing.to_str().unwrap().to_owned(), server.url("x"), ErrorKind::NotFound),
        (server.url("folder"), local.to_owned(), ErrorKind::IsADirectory),
        (local.to_owned(), server.url("folder"), ErrorKind::IsADirectory),
        (local.to_owned(), here.path().to_str().unwrap().to_owned(), ErrorKind::IsADirectory),
        (local.to_owned(), local.to_owned(), ErrorKind::InvalidInput),
        (server.url("a"), server.url("a"), ErrorKind::NotFound),
        (local.to_owned(), server.url("f/below"), ErrorKind::NotADirectory),
    ] {
        fs::write(server.dir().join("f"), "y").unwrap();
        let error = client.transfer(&from, &to).await.expect_err(&format!("{from} {to}"));
        assert_eq!(error.kind(), kind, "{from} {to}: {error}");
        assert_eq!(fs::read(&file).unwrap(), b"x");
    }
    let same = client.transfer(server.url("f"), server.url("f")).await.unwrap_err();
    assert_eq!(same.kind(), ErrorKind::InvalidInput, "{same}");
    let report = client.transfer(server.url("no"), local).optional(true).await.unwrap();
    assert_eq!(report.counts().skipped, 1);
    assert!(
        report
            .entries()
            .all(|entry| matches!(entry.outcome, gridftp::transfer::Outcome::Skipped(SkipReason::Missing)))
    );
}

#[tokio::test]
async fn devices_are_written_to_as_they_stand() {
    use std::os::unix::fs::FileTypeExt as _;
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    // A node of our own where one can be made: a mistake would cost the machine its own.
    let node = here.path().join("null");
    let made =
        std::process::Command::new("mknod").arg(&node).args(["c", "1", "3"]).status().unwrap().success();
    let node = if made { node.to_str().unwrap() } else { "/dev/null" };
    let is_device = |path: &str| fs::symlink_metadata(path).unwrap().file_type().is_char_device();
    let device = || is_device("/dev/null") && is_device(node);
    for size in [10, 3 << 20] {
        write_random(&server.dir().join("f"), 1, size).unwrap();
        write_random(&here.path().join("f"), 1, size).unwrap();
        let url = server.url("/dev/null");
        for (from, to) in [
            (server.url("f"), node),
            (here.path().join("f").to_str().unwrap().to_owned(), node),
            (here.path().join("f").to_str().unwrap().to_owned(), url.as_str()),
        ] {
            let report =
                client.transfer(&from, to).await.unwrap_or_else(|error| panic!("{from} {to}: {error}"));
            report.check().unwrap();
            assert_eq!(report.counts().bytes, size, "{from} {to}");
            assert!(device(), "{from} {to}");
        }
        let between = client.transfer(server.url("f"), &url).await.unwrap_err();
        assert_eq!(between.kind(), ErrorKind::Unsupported, "{between}");
        assert!(device());
    }
}

#[tokio::test]
async fn existing_files_are_replaced_kept_or_compared() {
    use gridftp::transfer::Compare;
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("f");
    let (there, url) = (server.dir().join("f"), server.url("f"));
    fs::write(&file, "new!").unwrap();
    for (old, overwrite, expected) in [
        (Some("old"), Overwrite::Always, "new!"),
        (Some("old"), Overwrite::Never, "old"),
        (None, Overwrite::Never, "new!"),
        (Some("old"), Overwrite::IfDifferent(Compare::Size), "new!"),
        (Some("old!"), Overwrite::IfDifferent(Compare::Size), "old!"),
        (Some("old!"), Overwrite::IfDifferent(Compare::SizeOrOlder), "old!"),
        (Some("old!"), Overwrite::IfDifferent(Compare::Checksum), "new!"),
    ] {
        for (from, to, target, source) in [
            (Location::from(file.clone()), url.parse::<Location>().unwrap(), &there, &file),
            (url.parse().unwrap(), Location::from(file.clone()), &file, &there),
        ] {
            fs::write(source, "new!").unwrap();
            match old {
                Some(old) => fs::write(target, old).unwrap(),
                None => drop(fs::remove_file(target)),
            }
            let report = client.transfer(&from, &to).overwrite(overwrite).await.unwrap();
            let context = format!("{from} {old:?} {overwrite:?}: {report:?}");
            assert!(report.is_complete(), "{context}");
            assert_eq!(fs::read_to_string(target).unwrap(), expected, "{context}");
            assert_eq!(report.counts().files + report.counts().skipped, 1, "{context}");
        }
    }
    // An older copy is replaced though its size is the same.
    fs::write(&there, "old!").unwrap();
    fs::File::options().write(true).open(&there).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    fs::write(&file, "new!").unwrap();
    let report = client.transfer(&file, &url).sync(Compare::SizeOrOlder).await.unwrap();
    assert_eq!(report.counts().files, 1);
    assert_eq!(fs::read_to_string(&there).unwrap(), "new!");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_moved_by_several_sessions_and_is_right() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let (file, back) = (here.path().join("f"), here.path().join("back"));
    let hash = write_random(&file, 7, 600 << 20).unwrap();
    for sessions in [1, 4] {
        client.transfer(&file, server.url("f")).concurrency(sessions).await.unwrap().check().unwrap();
        assert_eq!(sha256_file(&server.dir().join("f")).unwrap(), hash, "{sessions}");
        client
            .transfer(server.url("f"), &back)
            .concurrency(sessions)
            .verify(Verify::Checksum)
            .await
            .unwrap()
            .check()
            .unwrap();
        assert_eq!(sha256_file(&back).unwrap(), hash, "{sessions}");
        fs::remove_file(server.dir().join("f")).unwrap();
    }
    assert!(temporaries(here.path()).is_empty());
    assert_eq!(sha256(&fs::read(&file).unwrap()), hash);
}
