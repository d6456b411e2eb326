//! What breaks is tried again, what is wrong is not accepted, and nothing is left behind.

use std::fs;
use std::time::Duration;

use gridftp::transfer::{Outcome, Retry, SkipReason, Verify};
use gridftp::{Client, ErrorKind};
use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};
use gridftp_lab::{Random, Server, sha256_file, write_random};

use crate::support::anonymous;
use crate::{temporaries, times};

fn quick() -> Retry {
    Retry::default().delay(Duration::from_millis(10), Duration::from_millis(100))
}

#[tokio::test]
async fn a_permanent_error_fails_at_once_and_a_passing_one_does_not() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let begun = std::time::Instant::now();
    let error = client.transfer(server.url("missing"), here.path().join("f")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // Each data connection but the third one breaks after a megabyte and more.
    let file = here.path().join("big");
    let hash = write_random(&file, 3, 20 << 20).unwrap();
    for to_server in [true, false] {
        let mut builder = Proxy::before(&server);
        for connection in 0..4 {
            let way = if to_server { Way::ToServer } else { Way::ToClient };
            let at = (1 + connection) << 20;
            builder = builder.with(Fault::new(
                Where::Data(usize::try_from(connection).unwrap()),
                way,
                at,
                What::Reset,
            ));
        }
        let proxy = builder.start();
        let (from, to, copy) = if to_server {
            (file.to_str().unwrap().to_owned(), proxy.url(server.dir().join("up")), server.dir().join("up"))
        } else {
            (
                proxy.url(server.dir().join("up")),
                here.path().join("down").to_str().unwrap().to_owned(),
                here.path().join("down"),
            )
        };
        // One connection at a time, however late the server answers: they are counted.
        let transfer = client.transfer(&from, &to).concurrency(1).parallelism(1);
        let report = transfer.retry(quick()).await.unwrap();
        report.check().unwrap();
        assert_eq!(sha256_file(&copy).unwrap(), hash);
        assert!(report.retries() >= 3, "to the server: {to_server}; {report:?}");
        assert!(report.bytes_moved() < 45 << 20, "what was there is not moved again: {report:?}");
    }
    assert!(temporaries(here.path()).is_empty() && temporaries(&server.dir()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_is_never_accepted() {
    let flips = times("GRIDFTP_TEST_FLIPS", 8);
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let mut random = Random::new(99);
    let (mut struck, mut retried) = (0, 0);
    for round in 0..flips {
        let up = round % 2 == 0;
        // In every other pair of rounds a tree of small files, else one large file.
        let tree = round / 2 % 2 == 0;
        let name = format!("r{round}");
        let from = if up { here.path().join(&name) } else { server.dir().join(&name) };
        let mut hashes = Vec::new();
        if tree {
            fs::create_dir(&from).unwrap();
            for file in 0..40 {
                let size = 10_000 + random.below(50_000);
                hashes.push((
                    format!("f{file}"),
                    write_random(&from.join(format!("f{file}")), random.next(), size).unwrap(),
                ));
            }
        } else {
            hashes.push((String::new(), write_random(&from, random.next(), 3 << 20).unwrap()));
        }
        let way = if up { Way::ToServer } else { Way::ToClient };
        // Behind the first headers, within the data.
        let at = 20_000 + random.below(400_000);
        // The first connection of a tree from a server is that of its listings, and may be used for files as well.
        let builder = Proxy::before(&server).with(Fault::new(Where::Data(0), way, at, What::Flip));
        let proxy = builder.with(Fault::new(Where::Data(1), way, at, What::Flip)).start();
        let copy = if up {
            server.dir().join(format!("{name}.copy"))
        } else {
            here.path().join(format!("{name}.copy"))
        };
        let (from_text, to_text) = if up {
            (from.to_str().unwrap().to_owned(), proxy.url(&copy))
        } else {
            (proxy.url(&from), copy.to_str().unwrap().to_owned())
        };
        let report = client
            .transfer(&from_text, &to_text)
            .recursive(tree)
            .concurrency(1)
            .verify(Verify::Checksum)
            .retry(quick())
            .await
            .unwrap();
        report.check().unwrap();
        for (file, hash) in &hashes {
            let path = if tree { copy.join(file) } else { copy.clone() };
            assert_eq!(&sha256_file(&path).unwrap(), hash, "round {round}: accepted {file}");
        }
        struck += u64::from(proxy.struck() > 0);
        retried += report.retries();
    }
    println!("{flips} rounds, {struck} flipped, {retried} retries, 0 accepted");
    assert_eq!(struck, flips, "every round had its flip");
    assert!(temporaries(here.path()).is_empty() && temporaries(&server.dir()).is_empty());
}

#[tokio::test]
async fn a_mismatch_that_stays_is_an_error_and_the_bad_copy_is_gone() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("f");
    write_random(&file, 1, 2 << 20).unwrap();
    let mut builder = Proxy::before(&server);
    // A connection may be kept from one attempt to the next.
    for (connection, attempt) in
        (0..8).flat_map(|connection| (0..4).map(move |attempt| (connection, attempt)))
    {
        let at = 70_000 + attempt * (2 << 20);
        builder = builder.with(Fault::new(Where::Data(connection), Way::ToServer, at, What::Flip));
    }
    let proxy = builder.start();
    fs::write(server.dir().join("old"), "old").unwrap();
    let error = client
        .transfer(&file, proxy.url(server.dir().join("old")))
        .verify(Verify::Checksum)
        .retry(quick().attempts(3))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChecksumMismatch, "{error}");
    assert_eq!(fs::read(server.dir().join("old")).unwrap(), b"old", "what was there is there");
    assert!(temporaries(&server.dir()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_transfers_leave_no_half_files() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let from = here.path().join("from");
    fs::create_dir(&from).unwrap();
    write_random(&from.join("big"), 1, 800 << 20).unwrap();
    for n in 0..500 {
        fs::write(from.join(format!("s{n}")), vec![b'x'; 3000]).unwrap();
    }
    for how in ["abort", "drop", "limit"] {
        let to = server.dir().join(how);
        let mut builder = client.transfer(&from, server.url(how)).recursive(true);
        if how == "limit" {
            builder = builder.time_limit(Duration::from_millis(150));
        }
        let transfer = builder.start().unwrap();
        let mut progress = transfer.progress();
        progress
            .wait_for(|now| now.bytes_done > 0 || now.stage == gridftp::transfer::Stage::Over)
            .await
            .unwrap();
        match how {
            "abort" => {
                let report = transfer.abort().await.unwrap();
                assert!(report.is_aborted() || report.is_complete());
                let skipped = report
                    .entries()
                    .filter(|entry| matches!(entry.outcome, Outcome::Skipped(SkipReason::Aborted)));
                assert!(report.is_complete() || skipped.count() > 0, "{report:?}");
                assert_eq!(report.check().is_err(), report.is_aborted());
            }
            "limit" => {
                let report = transfer.join().await.unwrap();
                let late = report.entries().filter(|entry| matches!(&entry.outcome, Outcome::Failed(error) if matches!(error.kind(), ErrorKind::Timeout(_))));
                assert!(late.count() > 0, "{report:?}");
            }
            _ => drop(transfer),
        }
        crate::support::eventually("no half files", || !to.exists() || temporaries(&to).is_empty()).await;
    }
}

#[tokio::test]
async fn another_place_serves_what_the_first_does_not_have() {
    let client: Client = anonymous();
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    let here = tempfile::tempdir().unwrap();
    fs::write(two.dir().join("f"), "from two").unwrap();
    let report = client.transfer(one.url("f"), here.path().join("f")).or_from(two.url("f")).await.unwrap();
    report.check().unwrap();
    assert_eq!(fs::read(here.path().join("f")).unwrap(), b"from two");
    // File by file: one place lets a file be listed, and not be read.
    for (server, text) in [(&one, "one"), (&two, "two")] {
        fs::create_dir(server.dir().join("tree")).unwrap();
        fs::write(server.dir().join("tree/a"), text).unwrap();
    }
    fs::write(one.dir().join("tree/b"), "one").unwrap();
    let dead = gridftp_lab::RefusedPort::new();
    let report = client
        .transfer(format!("ftp://127.0.0.1:{}/tree", dead.port()), here.path().join("tree"))
        .or_from(one.url("tree"))
        .recursive(true)
        .await
        .unwrap();
    report.check().unwrap();
    assert_eq!(fs::read(here.path().join("tree/b")).unwrap(), b"one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_session_that_somebody_holds_who_waits() {
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let tree = server.dir().join("tree");
    for n in 0..6000 {
        let folder = tree.join(format!("d{}", n / 1000));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("f{n}")), format!("{n}")).unwrap();
    }
    let with = |sessions| crate::support::builder().sessions_per_endpoint(sessions).build().unwrap();
    for (sessions, verify, good) in [
        (1, Verify::Size, false),
        (2, Verify::Size, true),
        (2, Verify::Checksum, false),
        (3, Verify::Checksum, true),
        (8, Verify::Checksum, true),
    ] {
        let to = here.path().join(format!("{sessions}{verify:?}"));
        let transfer = with(sessions).transfer(server.url("tree"), &to).recursive(true).concurrency(8);
        let result = transfer.verify(verify).await;
        assert_eq!(result.is_ok(), good, "{sessions}: {result:?}");
        if let Ok(report) = result {
            report.check().unwrap();
            assert_eq!(report.counts().files, 6000);
            assert_eq!(fs::read(to.join("d5/f5999")).unwrap(), b"5999");
        }
    }
    let one =
        with(1).transfer(server.url("tree/d0/f7"), here.path().join("f")).verify(Verify::Checksum).await;
    one.unwrap().check().unwrap();
    assert_eq!(fs::read(here.path().join("f")).unwrap(), b"7");
    // Within one server.
    assert!(with(2).transfer(server.url("tree"), server.url("copy")).recursive(true).await.is_err());
    with(3).transfer(server.url("tree"), server.url("copy")).recursive(true).await.unwrap().check().unwrap();
    assert_eq!(fs::read(server.dir().join("copy/d5/f5999")).unwrap(), b"5999");
}
