//! Many files from server to server: every pair has its own outcome, and its own contents.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gridftp::options::{DataChannelAuth, ProtectionLevel};
use gridftp::{Client, ErrorKind, PairOutcome, Side, ThirdPartyMany};
use gridftp_lab::{Server, random_bytes, sha256, sha256_file};
use rustix::process::Signal;

use crate::support::{anonymous, builder, eventually, signal_sessions, trusting, with_proxy, write_pages};

/// Every outcome, each pair once.
async fn all(mut many: ThirdPartyMany) -> BTreeMap<usize, PairOutcome> {
    let mut outcomes = BTreeMap::new();
    let pairs = many.left();
    while let Some(outcome) = many.next_outcome().await {
        assert!(outcomes.insert(outcome.index, outcome).is_none());
    }
    assert_eq!((outcomes.len(), many.left()), (pairs, 0));
    outcomes
}

/// Sizes that begin and end within blocks, empty files among them.
fn size(n: usize) -> usize {
    match n % 50 {
        7 => 0,
        13 => 300_000,
        29 => 1_500_000,
        other => 10_000 + other,
    }
}

fn write_sources(folder: &Path, count: usize) {
    for n in 0..count {
        std::fs::write(folder.join(format!("f{n}")), random_bytes(n as u64, size(n))).unwrap();
    }
}

fn same(one: &Path, other: &Path) {
    assert_eq!(
        sha256_file(one).unwrap(),
        sha256_file(other).unwrap(),
        "{} and {}",
        one.display(),
        other.display()
    );
}

/// Names below a folder that this crate made and nobody asked for.
fn temporaries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(".gridftp")).collect()
}

#[tokio::test]
async fn multi_file_pipelining() {
    const COUNT: usize = 500;
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    write_sources(&one.dir(), COUNT);
    // Ten sources and ten destinations are refused, at the edges, alone and next to each other.
    let missing = [0, 100, 101, 250, 499];
    let folders = [1, 60, 61, 300, 498];
    let nowhere = [2, 62, 200, 301, 400];
    let taken = [3, 110, 201, 202, 497];
    for n in missing.iter().chain(&folders) {
        std::fs::remove_file(one.dir().join(format!("f{n}"))).unwrap();
        std::fs::write(two.dir().join(format!("g{n}")), format!("old {n}")).unwrap();
    }
    for n in folders {
        std::fs::create_dir(one.dir().join(format!("f{n}"))).unwrap();
    }
    for n in taken {
        std::fs::create_dir_all(two.dir().join(format!("g{n}/full"))).unwrap();
    }
    // Some are replaced.
    for n in (0..COUNT).step_by(20).filter(|n| !missing.contains(n) && !folders.contains(n)) {
        if !nowhere.contains(&n) {
            std::fs::write(two.dir().join(format!("g{n}")), "old").unwrap();
        }
    }
    let to = |n: usize| if nowhere.contains(&n) { format!("no-folder/g{n}") } else { format!("g{n}") };
    let pairs = (0..COUNT).map(|n| (one.url(format!("f{n}")), two.url(to(n))));
    let client = anonymous();
    let outcomes = all(client.third_party_many(pairs).await.unwrap()).await;

    for (n, outcome) in &outcomes {
        let n = *n;
        assert_eq!(outcome.source.to_string(), one.url(format!("f{n}")));
        assert_eq!(outcome.destination.to_string(), two.url(to(n)));
        let refused = |kind: ErrorKind, side: Side| {
            let error = outcome.result.as_ref().unwrap_err();
            assert_eq!((error.kind(), error.side()), (kind, Some(side)), "{n}: {error}");
            let url = if side == Side::Source { &outcome.source } else { &outcome.destination };
            assert_eq!(error.url(), Some(url));
        };
        if missing.contains(&n) {
            refused(ErrorKind::NotFound, Side::Source);
        } else if folders.contains(&n) {
            refused(ErrorKind::IsADirectory, Side::Source);
        } else if nowhere.contains(&n) {
            refused(ErrorKind::NotFound, Side::Destination);
        } else if taken.contains(&n) {
            assert_eq!(outcome.result.as_ref().unwrap_err().side(), Some(Side::Destination), "{n}");
            assert!(two.dir().join(format!("g{n}/full")).exists());
        } else {
            assert_eq!(outcome.result.as_ref().unwrap(), &Some(size(n) as u64), "{n}");
            same(&one.dir().join(format!("f{n}")), &two.dir().join(format!("g{n}")));
        }
        if missing.contains(&n) || folders.contains(&n) {
            assert_eq!(std::fs::read_to_string(two.dir().join(format!("g{n}"))).unwrap(), format!("old {n}"));
        }
    }
    assert_eq!(temporaries(&two.dir()), Vec::<PathBuf>::new());
    // One session with each server did it all, and is good for more.
    assert_eq!(client.metrics().logins, 2, "{:?}", client.metrics());
    client.third_party(one.url("f5"), two.url("again")).await.unwrap().join().await.unwrap();
    assert_eq!(client.metrics().logins, 2);
    same(&one.dir().join("f5"), &two.dir().join("again"));
}

#[tokio::test]
async fn many_within_one_server_and_over_parallel_channels() {
    let server = Server::anonymous().start();
    write_sources(&server.dir(), 150);
    let client = builder().sessions_per_endpoint(2).build().unwrap();
    for streams in [1, 4] {
        let pairs = (0..150).map(|n| (server.url(format!("f{n}")), server.url(format!("g{n}-{streams}"))));
        let many = client.third_party_many(pairs).parallelism(streams).await.unwrap();
        for (n, outcome) in all(many).await {
            assert_eq!(outcome.result.unwrap(), Some(size(n) as u64));
            same(&server.dir().join(format!("f{n}")), &server.dir().join(format!("g{n}-{streams}")));
        }
    }
    assert_eq!(temporaries(&server.dir()), Vec::<PathBuf>::new());
}

#[test]
fn many_authenticated_and_private() {
    trusting("third_party_many::many_authenticated_and_private", |pki| async move {
        let (one, two) = (Server::gsi(&pki).start(), Server::gsi(&pki).start());
        write_sources(&one.dir(), 60);
        std::fs::remove_file(one.dir().join("f30")).unwrap();
        let client = with_proxy(&pki);
        let pairs = (0..60).map(|n| {
            let to = if n == 40 { "no-folder/g".to_owned() } else { format!("g{n}") };
            (one.url(format!("f{n}")), two.url(to))
        });
        let many = client
            .third_party_many(pairs)
            .dcau(DataChannelAuth::OwnIdentity)
            .protection(ProtectionLevel::Private)
            .await
            .unwrap();
        for (n, outcome) in all(many).await {
            if n == 30 || n == 40 {
                assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::NotFound);
            } else {
                outcome.result.unwrap();
                same(&one.dir().join(format!("f{n}")), &two.dir().join(format!("g{n}")));
            }
        }
    });
}

#[tokio::test]
async fn what_was_not_done_is_asked_for_on_other_sessions() {
    for side in [Side::Source, Side::Destination] {
        let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
        write_sources(&one.dir(), 300);
        let client = anonymous();
        let pairs: Vec<_> = (0..300).map(|n| (one.url(format!("f{n}")), two.url(format!("g{n}")))).collect();
        let mut many = client.third_party_many(pairs).await.unwrap();
        let first = many.next_outcome().await.unwrap();
        assert_eq!(first.index, 0);
        assert!(signal_sessions(if side == Side::Source { &one } else { &two }, Signal::KILL) > 0);
        let mut seen = vec![0];
        while let Some(outcome) = many.next_outcome().await {
            assert_eq!(outcome.result.unwrap(), Some(size(outcome.index) as u64));
            seen.push(outcome.index);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..300).collect::<Vec<_>>());
        for n in 0..300 {
            same(&one.dir().join(format!("f{n}")), &two.dir().join(format!("g{n}")));
        }
        assert_eq!(client.metrics().logins, 4, "{:?}", client.metrics());
        eventually("nothing is left", || temporaries(&two.dir()).is_empty()).await;
    }
}

#[tokio::test]
async fn servers_that_are_gone_are_told_for_every_pair() {
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    write_sources(&one.dir(), 120);
    let pairs: Vec<_> = (0..120).map(|n| (one.url(format!("f{n}")), two.url(format!("g{n}")))).collect();
    let client = anonymous();
    drop(two);
    let outcomes = all(client.third_party_many(pairs).await.unwrap()).await;
    for (n, outcome) in outcomes {
        let error = outcome.result.unwrap_err();
        assert_eq!(
            (error.kind(), error.side()),
            (ErrorKind::Connect, Some(Side::Destination)),
            "{n}: {error}"
        );
    }
}

#[tokio::test]
async fn many_that_are_dropped_leave_no_temporary_files() {
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    write_pages(&one.dir().join("large"), 100 << 20);
    let client = anonymous();
    let pairs: Vec<_> = (0..5).map(|n| (one.url("large"), two.url(format!("g{n}")))).collect();
    let many = client.third_party_many(pairs).await.unwrap();
    let folder = two.dir();
    let begun = || temporaries(&folder).iter().any(|path| path.metadata().is_ok_and(|data| data.len() > 0));
    eventually("a file is on its way", begun).await;
    drop(many);
    eventually("nothing is left", || temporaries(&folder).is_empty()).await;
    // What has its name is whole.
    for entry in std::fs::read_dir(&folder).unwrap() {
        same(&one.dir().join("large"), &entry.unwrap().path());
    }
    eventually("the sessions are closed", || client.metrics().sessions_open <= 1).await;
}

#[tokio::test]
async fn pairs_that_cannot_be() {
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    std::fs::write(one.dir().join("f"), "contents").unwrap();
    let client: Client = anonymous();
    let none: [(String, String); 0] = [];
    let error = client.third_party_many(none).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    for pairs in [
        [(one.url("f"), two.url("g")), (two.url("f"), two.url("h"))],
        [(one.url("f"), two.url("g")), (one.url("f"), one.url("h"))],
    ] {
        let error = client.third_party_many(pairs).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("two servers"), "{error}");
    }
    // A name that this server cannot be told takes no other pair with it.
    let pairs = [
        (one.url("f"), two.url("a")),
        (one.url("f"), two.url("größe")),
        (one.url("größe"), two.url("b")),
        (one.url("f"), two.url("c")),
    ];
    let outcomes = all(client.third_party_many(pairs).await.unwrap()).await;
    assert_eq!(outcomes[&0].result.as_ref().unwrap(), &Some(8));
    assert_eq!(outcomes[&3].result.as_ref().unwrap(), &Some(8));
    for (n, side) in [(1, Side::Destination), (2, Side::Source)] {
        let error = outcomes[&n].result.as_ref().unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::Unsupported, Some(side)), "{error}");
    }
    assert_eq!(sha256(&std::fs::read(two.dir().join("c")).unwrap()), sha256(b"contents"));
    assert_eq!(temporaries(&two.dir()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn every_pair_is_verified_and_has_its_attributes() {
    const COUNT: usize = 300;
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    write_sources(&one.dir(), COUNT);
    let client = anonymous();
    let pairs = (0..COUNT).map(|n| (one.url(format!("f{n}")), two.url(format!("g{n}"))));
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890);
    let many = client
        .third_party_many(pairs)
        .checksum(gridftp::ChecksumAlgorithm::Md5)
        .attributes((0..COUNT).map(|n| (Some(0o600 + u32::try_from(n % 8).unwrap()), Some(time))));
    for (n, outcome) in all(many.await.unwrap()).await {
        assert_eq!(outcome.result.unwrap(), Some(size(n) as u64));
        outcome.attributes.unwrap();
        same(&one.dir().join(format!("f{n}")), &two.dir().join(format!("g{n}")));
        let made = std::fs::metadata(two.dir().join(format!("g{n}"))).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&made.permissions()) & 0o7777;
        assert_eq!((mode, made.modified().unwrap()), (0o600 + u32::try_from(n % 8).unwrap(), time), "{n}");
    }
    assert!(one.log().is_empty() || temporaries(&two.dir()).is_empty());
    // What the servers cannot compute is told for every pair, and nothing is stored.
    let unknown = "WHIRLPOOL".parse::<gridftp::ChecksumAlgorithm>().unwrap();
    let pairs = (0..5).map(|n| (one.url(format!("f{n}")), two.url(format!("h{n}"))));
    for (n, outcome) in all(client.third_party_many(pairs).checksum(unknown).await.unwrap()).await {
        assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(!two.dir().join(format!("h{n}")).exists());
    }
    assert!(temporaries(&two.dir()).is_empty());
}

#[tokio::test]
async fn a_bit_that_is_flipped_between_the_servers_is_noticed() {
    use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    write_sources(&one.dir(), 60);
    for round in 0..6_u64 {
        let at = 60_000 + 90_000 * round;
        let proxy =
            Proxy::before(&two).with(Fault::new(Where::Data(0), Way::ToServer, at, What::Flip)).start();
        let target = |n| two.dir().join(format!("r{round}-{n}"));
        let pairs = (0..60).map(|n| (one.url(format!("f{n}")), proxy.url(target(n))));
        let many =
            anonymous().third_party_many(pairs).checksum(gridftp::ChecksumAlgorithm::Sha1).await.unwrap();
        for (n, outcome) in all(many).await {
            outcome.result.unwrap();
            same(&one.dir().join(format!("f{n}")), &target(n));
        }
        assert_eq!(proxy.struck(), 1);
    }
    assert!(temporaries(&two.dir()).is_empty());
}

#[tokio::test]
async fn a_server_that_never_renames_over_a_file_is_helped_if_that_is_wanted() {
    use crate::strict::Strict;
    let one = Server::anonymous().start();
    write_sources(&one.dir(), 6);
    for replace in [true, false] {
        let old = (0..3).map(|n| (format!("/g{n}"), b"old".to_vec())).collect();
        let two = Strict::start(old).await;
        let pairs = (0..6).map(|n| (one.url(format!("f{n}")), two.url(&format!("g{n}"))));
        let outcomes = all(anonymous().third_party_many(pairs).replace(replace).await.unwrap()).await;
        for (n, outcome) in outcomes {
            let stored = two.state.lock().unwrap().files.get(&format!("/g{n}")).cloned().unwrap();
            if replace || n >= 3 {
                outcome.result.unwrap();
                assert_eq!(stored, std::fs::read(one.dir().join(format!("f{n}"))).unwrap());
            } else {
                assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::AlreadyExists);
                assert_eq!(stored, b"old");
            }
        }
        let state = Arc::clone(&two.state);
        eventually("no temporary is left", || {
            !state.lock().unwrap().files.keys().any(|name| name.contains(".gridftp"))
        })
        .await;
    }
}
