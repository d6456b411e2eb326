//! A journaled transfer that is killed again and again, and goes on each time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gridftp::ErrorKind;
use gridftp::transfer::{Outcome, Preserve, SkipReason};
use gridftp_lab::forest::manifest;
use gridftp_lab::{Random, Server, write_random};

use crate::support::anonymous;
use crate::{temporaries, times};

const ORDER: &str = "GRIDFTP_TEST_ORDER";

/// What the child is to do: from, to, journal.
fn child() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let order: Vec<_> = order.split('\n').map(ToOwned::to_owned).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let client = anonymous();
        client
            .transfer(&order[0], &order[1])
            .recursive(true)
            .preserve(Preserve::ALL)
            .journal(&order[2])
            .await
            .unwrap()
    });
    report.check().unwrap();
    fs::write(&order[3], report.bytes_moved().to_string()).unwrap();
    std::process::exit(0);
}

fn start(order: &[String; 4]) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::a_transfer_that_is_killed_goes_on", "--nocapture", "--test-threads", "1"])
        .env(ORDER, order.join("\n"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills a transfer at random instants until it has been killed so often, beginning anew when it was done.
fn kill(
    random: &mut Random,
    kills: u64,
    from: &str,
    to: &str,
    paths: (&Path, &Path),
    scratch: &Path,
) -> (u64, u64) {
    let mut journal_number = 0;
    let (mut done, mut killed, mut sent, mut expected) = (0_u64, 0_u64, 0_u64, 0_u64);
    let size: u64 = gridftp_lab_bytes(paths.0);
    while killed < kills || done == 0 {
        let journal = scratch.join(format!("journal{journal_number}"));
        let finished = scratch.join("finished");
        let order =
            [from.to_owned(), to.to_owned(), journal.display().to_string(), finished.display().to_string()];
        let _ = fs::remove_file(&finished);
        let mut process = start(&order);
        // Anything from before the first byte to the end.
        let patience = Duration::from_micros(random.below(700_000));
        let begun = std::time::Instant::now();
        let mut status = None;
        while begun.elapsed() < patience || killed >= kills {
            status = process.try_wait().unwrap();
            if status.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        match status {
            None => {
                process.kill().unwrap();
                process.wait().unwrap();
                killed += 1;
            }
            Some(status) => {
                assert!(status.success(), "a run after {killed} kills failed");
                sent += fs::read_to_string(&finished).unwrap().parse::<u64>().unwrap();
                assert_eq!(manifest(paths.0, true).unwrap(), manifest(paths.1, true).unwrap());
                assert!(temporaries(paths.1).is_empty(), "{:?}", temporaries(paths.1));
                done += 1;
                expected += size;
                fs::remove_dir_all(paths.1).unwrap();
                journal_number += 1;
            }
        }
    }
    println!(
        "{killed} kills, {done} transfers ended, {size} bytes each; the last runs moved {sent} of {expected}"
    );
    (killed, done)
}

fn gridftp_lab_bytes(root: &Path) -> u64 {
    let mut bytes = 0;
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let facts = entry.metadata().unwrap();
            if facts.is_dir() { folders.push(entry.path()) } else { bytes += facts.len() }
        }
    }
    bytes
}

/// Small files, some that take a while, one that takes long; empty ones and odd names among them.
fn mixed(root: &Path) {
    fs::create_dir_all(root.join("deep/er")).unwrap();
    for n in 0..400 {
        let folder = ["", "deep", "deep/er"][n % 3];
        let size = if n % 10 == 0 { 0 } else { 500 + 37 * u64::try_from(n).unwrap() };
        write_random(&root.join(folder).join(format!("s {n}")), u64::try_from(n).unwrap(), size).unwrap();
    }
    for n in 0..6 {
        write_random(&root.join(format!("middle{n}")), 1000 + n, 4 << 20).unwrap();
    }
    write_random(&root.join("deep/large"), 2000, 90 << 20).unwrap();
}

#[test]
fn a_transfer_that_is_killed_goes_on() {
    child();
    let kills = times("GRIDFTP_TEST_KILLS", 24);
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let (local, remote) = (here.path().join("local"), server.dir().join("remote"));
    mixed(&local);
    mixed(&remote);
    let mut random = Random::new(times("GRIDFTP_TEST_SEED", 4711));
    let (up, down): (PathBuf, PathBuf) = (server.dir().join("up"), here.path().join("down"));
    let one =
        kill(&mut random, kills / 2, local.to_str().unwrap(), &server.url("up"), (&local, &up), here.path());
    let scratch = here.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    let other = kill(
        &mut random,
        kills / 2,
        &server.url("remote"),
        down.to_str().unwrap(),
        (&remote, &down),
        &scratch,
    );
    assert!(one.0 + other.0 >= kills / 2 * 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_journal_remembers_and_refuses() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let from = here.path().join("from");
    fs::create_dir(&from).unwrap();
    for n in 0..50 {
        fs::write(from.join(format!("f{n}")), format!("{n}")).unwrap();
    }
    let journal = here.path().join("journal");
    let transfer = || client.transfer(&from, server.url("to")).recursive(true).journal(&journal);
    let report = transfer().await.unwrap();
    report.check().unwrap();
    assert_eq!(report.counts().files, 50);
    // Done files are not touched again, changed and missing ones are copied.
    fs::remove_file(server.dir().join("to/f1")).unwrap();
    fs::write(from.join("f2"), "changed").unwrap();
    fs::write(server.dir().join("to/f3"), "3 and more").unwrap();
    let report = transfer().await.unwrap();
    report.check().unwrap();
    let before = |entry: &gridftp::transfer::ReportEntry| {
        matches!(entry.outcome, Outcome::Skipped(SkipReason::DoneBefore))
    };
    assert_eq!((report.entries().filter(before).count(), report.counts().files), (47, 3), "{report:?}");
    assert_eq!(fs::read(server.dir().join("to/f2")).unwrap(), b"changed");
    assert_eq!(fs::read(server.dir().join("to/f3")).unwrap(), b"3");
    // Two at once: the second is refused.
    write_random(&from.join("large"), 1, 300 << 20).unwrap();
    let first = transfer().start().unwrap();
    let mut progress = first.progress();
    progress.wait_for(|now| now.found > 0).await.unwrap();
    let second = transfer().await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AlreadyExists, "{second}");
    first.join().await.unwrap().check().unwrap();
    // Another transfer's journal, and what is none, are left as they are.
    let kept = fs::read(&journal).unwrap();
    let other =
        client.transfer(&from, server.url("elsewhere")).recursive(true).journal(&journal).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::InvalidInput, "{other}");
    assert_eq!(fs::read(&journal).unwrap(), kept);
    fs::write(here.path().join("text"), "precious").unwrap();
    let none = client
        .transfer(&from, server.url("to"))
        .recursive(true)
        .journal(here.path().join("text"))
        .await
        .unwrap_err();
    assert_eq!(none.kind(), ErrorKind::InvalidInput, "{none}");
    assert_eq!(fs::read(here.path().join("text")).unwrap(), b"precious");
}
