//! Many files to one server through one pipeline: every file has its own outcome, and its own contents.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use gridftp::{Checksum, ChecksumAlgorithm, ErrorKind, PutFile, PutMany, PutManyOutcome};
use gridftp_lab::hostile::{Act, Hostile, Play, Step};
use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};
use gridftp_lab::{Server, random_bytes, sha256, sha256_file};
use rustix::process::Signal;

use crate::strict::Strict;
use crate::support::{anonymous, builder, eventually, short, signal_sessions, trusting, with_proxy};

/// Every outcome, each file once.
async fn all(mut many: PutMany) -> BTreeMap<u64, PutManyOutcome> {
    let mut outcomes = BTreeMap::new();
    while let Some(outcome) = many.next_outcome().await {
        assert!(outcomes.insert(outcome.index, outcome).is_none());
    }
    outcomes
}

/// Sends files in the background, in their order, and collects every outcome.
async fn send_all(many: PutMany, files: Vec<PutFile>) -> BTreeMap<u64, PutManyOutcome> {
    let (sender, count) = (many.sender(), files.len());
    let sending = tokio::spawn(async move {
        for (index, file) in (0..).zip(files) {
            sender.send(index, file).await.unwrap();
        }
    });
    let outcomes = all(many).await;
    sending.await.unwrap();
    assert_eq!(outcomes.len(), count);
    outcomes
}

/// Sizes that begin and end within blocks, empty files among them, up to 300 KB.
fn size(n: u64) -> u64 {
    if n.is_multiple_of(17) { 0 } else { n.wrapping_mul(2_654_435_761) % 300_000 }
}

fn contents(n: u64) -> Vec<u8> {
    random_bytes(n, usize::try_from(size(n)).unwrap())
}

/// A hundred thousand bytes that tell which file they are.
fn same_bytes(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(12_500)
}

fn file(url: impl AsRef<str>, contents: impl Into<gridftp::Bytes>) -> PutFile {
    PutFile::new(url.as_ref().parse().unwrap(), contents)
}

/// Names below a folder that this crate made and nobody asked for.
fn temporaries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(".gridftp")).collect()
}

fn holds(path: &Path, n: u64) {
    assert_eq!(sha256_file(path).unwrap(), sha256(&contents(n)), "{}", path.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_files_of_which_ten_are_refused() {
    const COUNT: u64 = 1010;
    let server = Server::anonymous().start();
    // At the edges, alone, next to each other.
    let refused = [0, 1, 100, 101, 102, 400, 650, 651, 900, 1009];
    for n in (0..COUNT).step_by(20) {
        std::fs::write(server.dir().join(format!("f{n}")), "old").unwrap();
    }
    let name = |n: u64| if refused.contains(&n) { format!("no-folder/f{n}") } else { format!("f{n}") };
    let files = (0..COUNT).map(|n| file(server.url(name(n)), contents(n))).collect();
    let client = anonymous();
    let many = client.put_many(server.url_root()).await.unwrap();
    let outcomes = send_all(many, files).await;
    for (n, outcome) in outcomes {
        assert_eq!(outcome.url.to_string(), server.url(name(n)));
        if refused.contains(&n) {
            let error = outcome.result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{n}: {error}");
            assert_eq!(error.url(), Some(&outcome.url));
        } else {
            assert_eq!(outcome.result.unwrap().bytes, size(n), "{n}");
            outcome.attributes.unwrap();
            holds(&server.dir().join(format!("f{n}")), n);
        }
    }
    assert_eq!(temporaries(&server.dir()), Vec::<PathBuf>::new());
    // One session did it all, and is good for more.
    assert_eq!(client.metrics().logins, 1, "{:?}", client.metrics());
    client.get(server.url("f5")).await.unwrap().bytes().await.unwrap();
    assert_eq!(client.metrics().logins, 1, "{:?}", client.metrics());
}

#[tokio::test]
async fn permissions_and_times() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    let mode = |n: u64| 0o400 + u32::try_from(n).unwrap();
    let files = (0..50)
        .map(|n| {
            let file = file(server.url(format!("f{n}")), contents(n)).modified(time);
            file.mode(mode(n))
        })
        .collect();
    let many = client.put_many(server.url_root()).await.unwrap();
    for (n, outcome) in send_all(many, files).await {
        outcome.result.unwrap();
        outcome.attributes.unwrap();
        let path = server.dir().join(format!("f{n}"));
        let told = path.metadata().unwrap();
        assert_eq!(told.permissions().mode() & 0o7777, mode(n));
        assert_eq!(told.mtime(), 1_234_567_890);
        holds(&path, n);
    }
    // What cannot be set is told, and is no failure of the copy.
    let many = client.put_many(server.url_root()).await.unwrap();
    let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_secs(86_400);
    let files = vec![file(server.url("early"), contents(1)).modified(before_1970)];
    let outcome = send_all(many, files).await.remove(&0).unwrap();
    outcome.result.unwrap();
    let error = outcome.attributes.unwrap_err();
    assert_eq!(error.url(), Some(&outcome.url), "{error}");
    holds(&server.dir().join("early"), 1);
}

fn md5(data: &[u8]) -> Checksum {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), data).unwrap();
    let output = Command::new("md5sum").arg(file.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    Checksum::from_hex(ChecksumAlgorithm::Md5, text.split_whitespace().next().unwrap()).unwrap()
}

#[tokio::test]
async fn checksums_are_compared_before_a_file_has_its_name() {
    let server = Server::anonymous().start();
    let client = anonymous();
    std::fs::write(server.dir().join("f21"), "old").unwrap();
    let files = (0..60)
        .map(|n| {
            // Two are told wrong: the contents of the first, and nothing's of the second, which is there already.
            let sum = if n == 20 || n == 21 { md5(b"something else") } else { md5(&contents(n)) };
            file(server.url(format!("f{n}")), contents(n)).checksum(sum)
        })
        .collect();
    let many = client.put_many(server.url_root()).checksum(ChecksumAlgorithm::Md5).await.unwrap();
    for (n, outcome) in send_all(many, files).await {
        let path = server.dir().join(format!("f{n}"));
        if n == 20 || n == 21 {
            let error = outcome.result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ChecksumMismatch, "{error}");
        } else {
            outcome.result.unwrap();
            holds(&path, n);
        }
    }
    assert!(!server.dir().join("f20").exists());
    assert_eq!(std::fs::read(server.dir().join("f21")).unwrap(), b"old");
    assert_eq!(temporaries(&server.dir()), Vec::<PathBuf>::new());

    let unknown: ChecksumAlgorithm = "SHA3-256".parse().unwrap();
    let error = client.put_many(server.url_root()).checksum(unknown).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let many = client.put_many(server.url_root()).checksum(ChecksumAlgorithm::Sha1).await.unwrap();
    let other = file(server.url("x"), "x").checksum(md5(b"x"));
    let error = many.sender().send(0, other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[tokio::test]
async fn many_that_are_dropped_leave_no_temporary_files() {
    for wanted in [0, 1, 40] {
        let server = Server::anonymous().start();
        let client = anonymous();
        let mut many = client.put_many(server.url_root()).await.unwrap();
        let sender = many.sender();
        let url = server.url("f");
        let sending = tokio::spawn(async move {
            for n in 0..2000 {
                sender.send(n, file(format!("{url}{n}"), same_bytes(n))).await?;
            }
            gridftp::Result::<()>::Ok(())
        });
        let folder = server.dir();
        for _ in 0..wanted {
            many.next_outcome().await.unwrap().result.unwrap();
        }
        eventually("files are on their way", || !temporaries(&folder).is_empty()).await;
        drop(many);
        let error = sending.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        eventually("nothing is left", || temporaries(&folder).is_empty()).await;
        // Nothing comes later either, and what has its name is whole.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(temporaries(&folder), Vec::<PathBuf>::new());
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let n: u64 = path.file_name().unwrap().to_str().unwrap()[1..].parse().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), same_bytes(n), "{}", path.display());
        }
    }
}

async fn arrive(many: PutMany, server: &Server, url: impl Fn(String) -> String, count: u64) {
    let files = (0..count).map(|n| file(url(format!("f{n}")), contents(n))).collect();
    for (n, outcome) in send_all(many, files).await {
        assert_eq!(outcome.result.unwrap().bytes, size(n));
        holds(&server.dir().join(format!("f{n}")), n);
    }
    eventually("nothing is left", || temporaries(&server.dir()).is_empty()).await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_replaced() {
    for (connection, way, at) in [
        (Where::Control(0), Way::ToClient, 2_000),
        (Where::Control(0), Way::ToClient, 30_000),
        (Where::Control(0), Way::ToServer, 9_000),
        (Where::Data(0), Way::ToServer, 0),
        (Where::Data(0), Way::ToServer, 1_234_567),
        (Where::Data(0), Way::ToServer, 20_000_000),
    ] {
        for what in [What::Reset, What::Cut] {
            let server = Server::anonymous().start();
            let proxy = Proxy::before(&server).with(Fault::new(connection, way, at, what)).start();
            let client = anonymous();
            let many = client.put_many(proxy.url_root()).await.unwrap();
            arrive(many, &server, |name| proxy.url(name), 300).await;
            assert_eq!(proxy.struck(), 1);
            let logins = if matches!(connection, Where::Data(_)) { 1 } else { 2 };
            assert_eq!(client.metrics().logins, logins, "{connection:?} {way:?} {at}");
        }
    }
}

/// Pseudo-random numbers below a bound.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[tokio::test]
async fn whatever_breaks_no_name_holds_what_is_not_its_own() {
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let server = Server::anonymous().start();
        let mut proxy = Proxy::before(&server);
        for _ in 0..=dice.below(3) {
            let which = usize::try_from(dice.below(3)).unwrap();
            let (connection, way, most) = match dice.below(4) {
                0 => (Where::Control(which), Way::ToClient, 40_000),
                1 => (Where::Control(which), Way::ToServer, 10_000),
                _ => (Where::Data(which), Way::ToServer, 600_000),
            };
            let what =
                [What::Cut, What::Reset, What::Truncate][usize::try_from(dice.below(3)).unwrap()].clone();
            // An end that the client is not told of would be waited for on the control channel, up to the limit.
            let what = if matches!(connection, Where::Control(_)) { What::Reset } else { what };
            proxy = proxy.with(Fault::new(connection, way, dice.below(most), what));
        }
        let proxy = proxy.start();
        let client = anonymous();
        let refused: Vec<u64> = (0..dice.below(4)).map(|_| dice.below(120)).collect();
        let name = |n: u64| if refused.contains(&n) { format!("none/f{n}") } else { format!("f{n}") };
        // All of one length: sizes tell nothing.
        let own = |n: u64| random_bytes(n, 8000);
        let files = (0..120).map(|n| file(proxy.url(name(n)), own(n))).collect();
        let many = match client.put_many(proxy.url_root()).await {
            Ok(many) => many,
            // The login or PASV was struck.
            Err(error) => {
                assert!(error.is_transient(), "{seed}: {error}");
                continue;
            }
        };
        for (n, outcome) in send_all(many, files).await {
            let there = std::fs::read(server.dir().join(format!("f{n}"))).ok();
            match outcome.result {
                Ok(summary) => {
                    assert_eq!(summary.bytes, 8000);
                    assert_eq!(there.map(|there| sha256(&there)), Some(sha256(&own(n))), "{seed}: {n}");
                }
                Err(error) => {
                    assert!(refused.contains(&n) || error.is_transient(), "{seed}: {error}");
                    assert!(there.is_none_or(|there| there == own(n)), "{seed}: {n}");
                }
            }
        }
        eventually("nothing is left", || temporaries(&server.dir()).is_empty()).await;
    }
}

#[tokio::test]
async fn sessions_that_are_killed_are_replaced() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let mut many = client.put_many(server.url_root()).await.unwrap();
    let sender = many.sender();
    let urls: Vec<_> = (0..500).map(|n| server.url(format!("f{n}"))).collect();
    let sending = tokio::spawn(async move {
        for (n, url) in (0..).zip(urls) {
            sender.send(n, file(url, contents(n))).await.unwrap();
        }
        // Idle from here on, with a sender that lives.
        sender
    });
    let mut seen = 0;
    while seen < 500 {
        let outcome = many.next_outcome().await.unwrap();
        outcome.result.unwrap();
        seen += 1;
        if seen == 100 || seen == 500 {
            assert!(signal_sessions(&server, Signal::KILL) > 0);
        }
    }
    let sender = sending.await.unwrap();
    for n in 0..500 {
        holds(&server.dir().join(format!("f{n}")), n);
    }
    // A session that died while nobody needed it.
    sender.send(500, file(server.url("f500"), contents(500))).await.unwrap();
    many.next_outcome().await.unwrap().result.unwrap();
    holds(&server.dir().join("f500"), 500);
    // And one that was given back meanwhile.
    tokio::time::sleep(Duration::from_millis(5500)).await;
    sender.send(501, file(server.url("f501"), contents(501))).await.unwrap();
    many.next_outcome().await.unwrap().result.unwrap();
    holds(&server.dir().join("f501"), 501);
    assert!(client.metrics().logins <= 3, "{:?}", client.metrics());
    many.finish_input();
    assert!(many.next_outcome().await.is_none());
    let error = sender.send(502, file(server.url("f502"), "")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    eventually("nothing is left", || temporaries(&server.dir()).is_empty()).await;
}

#[tokio::test]
async fn servers_that_are_gone_are_told_for_every_file() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let many = client.put_many(server.url_root()).await.unwrap();
    let sender = many.sender();
    let url = server.url("f");
    drop(server);
    let sending = tokio::spawn(async move {
        for n in 0..1000 {
            sender.send(n, file(format!("{url}{n}"), vec![1; 1000])).await?;
        }
        gridftp::Result::<()>::Ok(())
    });
    let outcomes = all(many).await;
    for outcome in outcomes.values() {
        let error = outcome.result.as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    }
    assert!(!outcomes.is_empty());
    assert_eq!(sending.await.unwrap().unwrap_err().kind(), ErrorKind::Connect);
}

#[tokio::test]
async fn old_files_are_deleted_where_the_server_does_not_rename_over_them() {
    for replace in [true, false] {
        let old: Vec<u64> = vec![3, 10, 11, 399];
        let server = Strict::start(old.iter().map(|n| (format!("/f{n}"), b"old".to_vec())).collect()).await;
        let client = anonymous();
        let many = client.put_many(server.url("")).replace(replace).await.unwrap();
        let files = (0..400).map(|n| file(server.url(&format!("f{n}")), contents(n))).collect();
        let outcomes = send_all(many, files).await;
        let state = server.state.lock().unwrap();
        for (n, outcome) in outcomes {
            let stored = &state.files[&format!("/f{n}")];
            if old.contains(&n) && !replace {
                assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::AlreadyExists);
                assert_eq!(stored, b"old");
            } else {
                outcome.result.unwrap();
                assert_eq!(sha256(stored), sha256(&contents(n)), "{n}");
            }
        }
        assert_eq!(state.files.len(), 400, "{:?}", state.files.keys());
        assert_eq!(state.heard.iter().any(|line| line == "DELE /f3"), replace);
    }
}

#[tokio::test]
async fn refusals_of_every_kind_touch_one_file() {
    for (step, path, skip) in [
        // Behind the acceptance, with all data taken or none of it.
        (Step::Final, None, 5),
        (Step::Accepted, None, 5),
        // Of the size, and of the last step.
        (Step::Command("SIZE"), None, 5),
        (Step::Command("RNTO"), Some("/f5"), 0),
    ] {
        let rule = Play::new().folder("/").at(step, Act::reply("552 No space left on device"));
        let rule = match path {
            Some(path) => rule.on(path),
            None => rule,
        };
        let rule = rule.skip(skip).times(1);
        let server = Hostile::start(rule);
        let client = anonymous();
        let many = client.put_many(server.url("/")).await.unwrap();
        let files = (0..60).map(|n| file(server.url(&format!("/f{n}")), contents(n))).collect();
        for (n, outcome) in send_all(many, files).await {
            if n == 5 && !matches!(step, Step::Command("SIZE")) {
                let error = outcome.result.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NoSpace, "{step:?}: {error}");
                // Where RNTO is refused, this server has done it all the same.
                assert_eq!(server.exists("/f5"), path.is_some());
            } else {
                outcome.result.unwrap();
                let stored = server.stored(&format!("/f{n}")).unwrap();
                assert_eq!(sha256(&stored), sha256(&contents(n)), "{step:?} {n}");
            }
        }
        let left: Vec<_> = server.names("/").into_iter().filter(|name| name.contains(".gridftp")).collect();
        assert!(left.is_empty(), "{step:?}: {left:?}");
    }
}

#[tokio::test]
async fn a_server_that_reads_one_command_at_a_time() {
    let server = Hostile::start(Play::new().drops_queued_commands().greeting("an FTP server"));
    let limit = Duration::from_secs(20);
    let client = builder().timeouts(short().connect(limit)).build().unwrap();
    let many = client.put_many(server.url("/")).await.unwrap();
    let files = (0..20).map(|n| file(server.url(&format!("/f{n}")), contents(n))).collect();
    for (n, outcome) in send_all(many, files).await {
        outcome.result.unwrap();
        assert_eq!(server.stored(&format!("/f{n}")).unwrap(), contents(n), "{n}");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    for step in [Step::Command("STOR"), Step::Final, Step::Command("RNTO"), Step::DataConnect] {
        let server = Hostile::start(Play::new().at(step, Act::Silence).skip(3));
        let limit = Duration::from_millis(700);
        let client = builder().timeouts(short().reply(limit).stall(limit)).build().unwrap();
        let many = client.put_many(server.url("/")).await.unwrap();
        let files = (0..20).map(|n| file(server.url(&format!("/f{n}")), vec![3; 2000])).collect();
        let outcomes = tokio::time::timeout(Duration::from_secs(15), send_all(many, files)).await.unwrap();
        if step == Step::DataConnect {
            continue;
        }
        let timed_out = |outcome: &PutManyOutcome| {
            outcome.result.as_ref().is_err_and(|error| matches!(error.kind(), ErrorKind::Timeout(_)))
        };
        assert!(outcomes.values().any(timed_out), "{step:?}: {outcomes:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_sent() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let many = client.put_many(server.url_root()).await.unwrap();
    let sender = many.sender();
    let other = Server::anonymous().start();
    for bad in [
        file(other.url("f"), "x"),
        file(server.url("f"), "x").mode(0o10000),
        file(format!("{}/dev/null", server.url_root()), "x"),
    ] {
        let url = bad.url.clone();
        let error = sender.send(0, bad).await.unwrap_err();
        assert_eq!((error.kind(), error.url()), (ErrorKind::InvalidInput, Some(&url)), "{error}");
    }
    drop(sender);
    // A name that this server cannot be told, and a folder's, take no other file with them.
    std::fs::create_dir(server.dir().join("folder")).unwrap();
    let many = client.put_many(server.url_root()).await.unwrap();
    let names = ["a", "größe", "b", "folder", "c"];
    let files = names.iter().map(|name| file(server.url(name), name.to_string())).collect();
    for (n, outcome) in send_all(many, files).await {
        let name = names[usize::try_from(n).unwrap()];
        match name {
            "größe" => assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Unsupported),
            "folder" => assert!(outcome.result.is_err()),
            _ => {
                outcome.result.unwrap();
                assert_eq!(std::fs::read(server.dir().join(name)).unwrap(), name.as_bytes());
            }
        }
    }
    assert_eq!(temporaries(&server.dir()), Vec::<PathBuf>::new());
    assert_eq!(std::fs::read_dir(server.dir()).unwrap().count(), 4);
}

#[tokio::test]
async fn a_large_file_among_small_ones() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let large = random_bytes(7, 150 << 20);
    let expected = sha256(&large);
    let mut files: Vec<_> = (0..10).map(|n| file(server.url(format!("f{n}")), contents(n))).collect();
    files.insert(5, file(server.url("large"), large));
    let many = client.put_many(server.url_root()).await.unwrap();
    for outcome in send_all(many, files).await.into_values() {
        outcome.result.unwrap();
    }
    assert_eq!(sha256_file(&server.dir().join("large")).unwrap(), expected);
    (0..10).for_each(|n| holds(&server.dir().join(format!("f{n}")), n));
}

#[tokio::test]
async fn a_plain_server_is_told_at_once() {
    let server = gridftp_lab::PlainServer::anonymous().start();
    let error = anonymous().put_many(server.url("f")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[test]
fn many_authenticated_and_private() {
    trusting("put_many::many_authenticated_and_private", |pki| async move {
        let server = Server::gsi(&pki).start();
        let client = with_proxy(&pki);
        let many = client
            .put_many(server.url_root())
            .dcau(gridftp::options::DataChannelAuth::OwnIdentity)
            .protection(gridftp::options::ProtectionLevel::Private)
            .await
            .unwrap();
        arrive(many, &server, |name| server.url(name), 100).await;
    });
}
