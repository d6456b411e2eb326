//! A journaled transfer that is killed again and again, and goes on each time.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use gridftp::ErrorKind;
use gridftp::transfer::{Outcome, Preserve, SkipReason};
use gridftp_lab::forest::manifest;
use gridftp_lab::proxy::{Proxy, Where};
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
        let transfer = anonymous().transfer(&order[0], &order[1]).recursive(true);
        transfer.preserve(Preserve::ALL).journal(&order[2]).await.unwrap()
    });
    report.check().unwrap();
    std::process::exit(0);
}

fn start(order: &[String; 3]) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::a_transfer_that_is_killed_goes_on", "--nocapture", "--test-threads", "1"])
        .env(ORDER, order.join("\n"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A transfer to be killed, and where its ends are as folders.
struct Victim<'a> {
    from: &'a str,
    to: &'a str,
    source: &'a Path,
    copy: &'a Path,
    /// What all bytes of files go through.
    proxy: &'a Proxy,
}

impl Victim<'_> {
    /// Kills it at random instants until it has been killed so often, beginning anew whenever it was done.
    fn kill(&self, random: &mut Random, kills: u64, scratch: &Path) -> u64 {
        let (mut done, mut killed) = (0_u64, 0_u64);
        let size = bytes_of(self.source);
        while killed < kills || done == 0 {
            let journal = scratch.join(format!("journal{done}"));
            let order = [self.from.to_owned(), self.to.to_owned(), journal.display().to_string()];
            let mut process = start(&order);
            // Anything from before the first byte to the end.
            let patience = Duration::from_micros(random.below(700_000));
            let begun = std::time::Instant::now();
            let mut status = None;
            while status.is_none() && (begun.elapsed() < patience || killed >= kills) {
                std::thread::sleep(Duration::from_millis(1));
                status = process.try_wait().unwrap();
            }
            let Some(status) = status else {
                process.kill().unwrap();
                process.wait().unwrap();
                killed += 1;
                continue;
            };
            assert!(status.success(), "a run after {killed} kills failed");
            assert_eq!(manifest(self.source, true).unwrap(), manifest(self.copy, true).unwrap());
            assert!(temporaries(self.copy).is_empty(), "{:?}", temporaries(self.copy));
            done += 1;
            fs::remove_dir_all(self.copy).unwrap();
        }
        let (moved, wanted) = (through(self.proxy), size * done);
        println!(
            "{killed} kills, {done} transfers of {size} bytes ended; {moved} bytes went through where {wanted} had to, {:.1} MB more \
             for each kill",
            moved.saturating_sub(wanted) as f64 / 1e6 / killed.max(1) as f64
        );
        killed
    }
}

/// Bytes that went over data connections, those of killed transfers and of listings included.
fn through(proxy: &Proxy) -> u64 {
    let passed = proxy.passed();
    let data = passed.iter().filter(|passed| matches!(passed.connection, Where::Data(_)));
    data.map(|passed| passed.to_server + passed.to_client).sum()
}

fn bytes_of(root: &Path) -> u64 {
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
    let kills = times("GRIDFTP_TEST_KILLS", 12);
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let mut random = Random::new(times("GRIDFTP_TEST_SEED", 4711));
    let mut killed = 0;
    for up in [true, false] {
        let scratch = here.path().join(format!("scratch{up}"));
        fs::create_dir(&scratch).unwrap();
        let (local, remote) = (scratch.join("tree"), server.dir().join(format!("tree{up}")));
        let (source, copy) = if up { (&local, &remote) } else { (&remote, &local) };
        mixed(source);
        let proxy = Proxy::before(&server).start();
        let (here, there) = (local.to_str().unwrap(), proxy.url(&remote));
        let (from, to) = if up { (here, &there[..]) } else { (&there[..], here) };
        killed += Victim { from, to, source, copy, proxy: &proxy }.kill(&mut random, kills / 2, &scratch);
    }
    assert!(killed >= kills / 2 * 2);
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
    write_random(&from.join("large"), 1, 40 << 20).unwrap();
    let slowly = gridftp::transfer::RateLimit::new(20 << 20).unwrap();
    let first = transfer().rate_limit(slowly).start().unwrap();
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
