//! Files that go from server to server.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use gridftp::options::{DataChannelAuth, Delegation, ProtectionLevel, Timeouts, TransferMode};
use gridftp::{Client, Credential, Error, ErrorKind, Marker, RestartMarker, Side, TimeoutKind};
use gridftp_lab::{Pki, PlainServer, Server, random_bytes, sha256, sha256_file};
use rustix::process::Signal;

use crate::fake::Fake;
use crate::support::{
    WAYS, anonymous, builder, eventually, signal_sessions, trusting, with_proxy, write_pages,
};

const LARGE: u64 = 200 << 20;

fn same(one: &Path, other: &Path) {
    assert_eq!(
        sha256_file(one).unwrap(),
        sha256_file(other).unwrap(),
        "{} and {}",
        one.display(),
        other.display()
    );
}

/// Moves files of several sizes, every way a file can go.
async fn every_way(
    client: &Client,
    from: &Server,
    to: &Server,
    auth: &DataChannelAuth,
    level: ProtectionLevel,
) {
    for size in [0_usize, 1, 262_145, 3_000_000] {
        let source = from.dir().join(format!("source-{size}"));
        std::fs::write(&source, random_bytes(size as u64, size)).unwrap();
        for (mode, streams) in WAYS {
            let destination = to.dir().join(format!("to-{size}-{mode:?}-{streams}-{level:?}"));
            let transfer = client
                .third_party(from.url(&source), to.url(&destination))
                .mode(mode)
                .parallelism(streams)
                .dcau(auth.clone())
                .protection(level)
                .await
                .unwrap();
            assert_eq!(transfer.size(), Some(size as u64));
            let summary = transfer.join().await.unwrap();
            assert_eq!(summary.size, Some(size as u64), "{mode:?} {streams}");
            if mode == TransferMode::ExtendedBlock && size > 0 {
                assert_eq!(summary.received, Some(size as u64), "{mode:?} {streams}");
            }
            same(&source, &destination);
        }
    }
}

#[tokio::test]
async fn third_party() {
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    let client = anonymous();
    every_way(&client, &one, &two, &DataChannelAuth::Auto, ProtectionLevel::Clear).await;
    // All of it one after the other, over one session with each.
    assert_eq!(client.metrics().logins, 2, "{:?}", client.metrics());
    assert_eq!(client.metrics().sessions_open, 2);
}

#[tokio::test]
async fn third_party_within_one_server() {
    let server = Server::anonymous().start();
    let client = builder().sessions_per_endpoint(2).build().unwrap();
    every_way(&client, &server, &server, &DataChannelAuth::Auto, ProtectionLevel::Clear).await;

    // Ten that need two of two sessions each do not wait for one another for ever.
    let source = server.dir().join("source-3000000");
    let transfers = (0..10).map(|n| {
        let (client, from, to) =
            (client.clone(), server.url(&source), server.dir().join(format!("copy-{n}")));
        let to_url = server.url(&to);
        tokio::spawn(async move {
            client.third_party(from, to_url).await.unwrap().join().await.unwrap();
            to
        })
    });
    for transfer in transfers.collect::<Vec<_>>() {
        same(&source, &transfer.await.unwrap());
    }
    let alone = builder().sessions_per_endpoint(1).build().unwrap();
    let error = alone.third_party(server.url(&source), server.url("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[tokio::test]
async fn transfers_in_both_directions_do_not_wait_for_one_another() {
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    std::fs::write(one.dir().join("f"), random_bytes(1, 100_000)).unwrap();
    std::fs::write(two.dir().join("f"), random_bytes(2, 100_000)).unwrap();
    let client = builder().sessions_per_endpoint(2).build().unwrap();
    let transfers = (0..24).map(|n| {
        let (from, to) = if n % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let transfer = client.third_party(from.url("f"), to.url(format!("g{n}")));
        tokio::spawn(async move { transfer.await.unwrap().join().await.unwrap() })
    });
    for transfer in transfers.collect::<Vec<_>>() {
        assert_eq!(transfer.await.unwrap().size, Some(100_000));
    }
    same(&one.dir().join("f"), &two.dir().join("g0"));
    same(&two.dir().join("f"), &one.dir().join("g23"));
}

#[test]
fn third_party_authenticated_and_private() {
    trusting("third_party::third_party_authenticated_and_private", |pki| async move {
        let (one, two) = (Server::gsi(&pki).start(), Server::gsi(&pki).start());
        let client = with_proxy(&pki);
        let auth = DataChannelAuth::OwnIdentity;
        for level in [ProtectionLevel::Clear, ProtectionLevel::Private] {
            every_way(&client, &one, &two, &auth, level).await;
        }
        // Only one side can prove anything: refused, not done in clear text.
        let open = Server::anonymous().start();
        let refused = client
            .third_party(one.url("source-1"), open.url("x"))
            .protection(ProtectionLevel::Private)
            .await
            .unwrap_err();
        assert_eq!(
            (refused.kind(), refused.side()),
            (ErrorKind::Unsupported, Some(Side::Destination)),
            "{refused}"
        );
        assert!(!open.dir().join("x").exists());
    });
}

#[test]
fn third_party_without_delegation() {
    trusting("third_party::third_party_without_delegation", |pki| async move {
        let (one, two) = (Server::gsi(&pki).start(), Server::gsi(&pki).start());
        let client = builder()
            .credential(Credential::from_proxy_file(pki.proxy()))
            .delegation(Delegation::Never)
            .build()
            .unwrap();
        every_way(&client, &one, &two, &DataChannelAuth::Auto, ProtectionLevel::Clear).await;
        // One side in clear text, the other one over GSI.
        let open = Server::anonymous().start();
        every_way(&client, &one, &open, &DataChannelAuth::Auto, ProtectionLevel::Clear).await;
        every_way(&client, &open, &two, &DataChannelAuth::None, ProtectionLevel::Clear).await;
        let refused = client
            .third_party(one.url("source-1"), two.url("x"))
            .dcau(DataChannelAuth::OwnIdentity)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    });
}

#[test]
fn credential_per_side() {
    trusting("third_party::credential_per_side", |pki: Pki| async move {
        let (one, two) = (Server::gsi(&pki).start(), Server::gsi(&pki).start());
        std::fs::write(one.dir().join("f"), random_bytes(1, 5000)).unwrap();
        let proxy = || Credential::from_proxy_file(pki.proxy());
        // The client itself has nothing to log in with.
        let client = anonymous();
        let transfer = || client.third_party(one.url("f"), two.url("a")).source_credential(proxy());
        let error = transfer().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        assert_eq!(error.url().unwrap().to_string(), two.url("a"));
        let both = || transfer().destination_credential(proxy());
        let error = both().destination_subject("/O=Lab/CN=nobody").await.unwrap_err();
        assert_eq!(
            (error.kind(), error.side()),
            (ErrorKind::Authentication, Some(Side::Destination)),
            "{error}"
        );
        let error = both().source_subject("/O=Lab/CN=nobody").await.unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::Authentication, Some(Side::Source)), "{error}");
        both().await.unwrap().join().await.unwrap();
        same(&one.dir().join("f"), &two.dir().join("a"));
    });
}

async fn fails(client: &Client, from: String, to: String) -> Error {
    match client.third_party(from, to).await {
        Ok(transfer) => transfer.join().await.unwrap_err(),
        Err(error) => error,
    }
}

#[tokio::test]
async fn the_side_that_failed_is_named() {
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    std::fs::write(one.dir().join("f"), "new").unwrap();
    std::fs::write(two.dir().join("old"), "old").unwrap();
    std::fs::create_dir(one.dir().join("folder")).unwrap();
    let client = anonymous();

    let error = fails(&client, one.url("missing"), two.url("old")).await;
    assert_eq!((error.kind(), error.side()), (ErrorKind::NotFound, Some(Side::Source)), "{error}");
    assert_eq!(error.url().unwrap().to_string(), one.url("missing"));
    assert!(error.reply().is_some());
    // What was there was not touched for a source that is not there.
    assert_eq!(std::fs::read(two.dir().join("old")).unwrap(), b"old");

    let error = fails(&client, one.url("f"), two.url("no-folder/f")).await;
    assert_eq!((error.kind(), error.side()), (ErrorKind::NotFound, Some(Side::Destination)), "{error}");
    assert_eq!(error.url().unwrap().to_string(), two.url("no-folder/f"));
    assert!(error.reply().unwrap().to_string().contains("No such file"), "{error}");

    let error = fails(&client, one.url("folder"), two.url("x")).await;
    assert_eq!((error.kind(), error.side()), (ErrorKind::IsADirectory, Some(Side::Source)), "{error}");
    eventually("what is incomplete is deleted", || !two.dir().join("x").exists()).await;

    let error = fails(&client, one.url("f"), two.url("")).await;
    assert_eq!(error.side(), Some(Side::Destination), "{error}");

    // The sessions that are left, or new ones, do the next.
    client.third_party(one.url("f"), two.url("g")).await.unwrap().join().await.unwrap();
    assert_eq!(std::fs::read(two.dir().join("g")).unwrap(), b"new");
}

/// A transfer under way, and far from its end: the source's processes are stopped.
async fn under_way(client: &Client, one: &Server, two: &Server, mode: TransferMode) -> gridftp::ThirdParty {
    if !one.dir().join("large").exists() {
        write_pages(&one.dir().join("large"), LARGE);
    }
    let transfer = client.third_party(one.url("large"), two.url("to")).mode(mode).await.unwrap();
    let size = || two.dir().join("to").metadata().map_or(0, |metadata| metadata.len());
    eventually("bytes arrive", || size() > 0).await;
    assert!(signal_sessions(one, Signal::STOP) > 0);
    assert!(size() < LARGE, "the file was faster than the signal");
    transfer
}

#[tokio::test]
async fn a_destination_that_dies_in_the_middle() {
    for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
        let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
        let client = anonymous();
        let transfer = under_way(&client, &one, &two, mode).await;
        signal_sessions(&two, Signal::KILL);
        signal_sessions(&one, Signal::CONT);
        let error = transfer.join().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.side()),
            (ErrorKind::ConnectionLost, Some(Side::Destination)),
            "{error}"
        );
        assert!(error.is_transient() && error.may_have_applied());
        eventually("what is incomplete is deleted", || !two.dir().join("to").exists()).await;
        client.third_party(one.url("large"), two.url("to")).mode(mode).await.unwrap().join().await.unwrap();
        same(&one.dir().join("large"), &two.dir().join("to"));
    }
}

#[tokio::test]
async fn a_source_that_dies_in_the_middle() {
    for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
        let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
        let client = anonymous();
        let transfer = under_way(&client, &one, &two, mode).await;
        signal_sessions(&one, Signal::KILL);
        let error = transfer.join().await.unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::ConnectionLost, Some(Side::Source)), "{error}");
        eventually("what is incomplete is deleted", || !two.dir().join("to").exists()).await;
    }
}

#[tokio::test]
async fn a_transfer_that_is_dropped_leaves_nothing() {
    for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
        let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
        let client = anonymous();
        drop(under_way(&client, &one, &two, mode).await);
        signal_sessions(&one, Signal::CONT);
        eventually("what is incomplete is deleted", || !two.dir().join("to").exists()).await;
    }
}

#[tokio::test]
async fn a_stalled_source_is_noticed() {
    for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
        let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
        let limit = Duration::from_secs(2);
        let client =
            Client::builder().timeouts(Timeouts::default().first_byte(limit).stall(limit)).build().unwrap();
        let transfer = under_way(&client, &one, &two, mode).await;
        let error =
            tokio::time::timeout(Duration::from_secs(20), transfer.join()).await.unwrap().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Timeout(TimeoutKind::Stall | TimeoutKind::FirstByte)),
            "{error}"
        );
        assert!(error.side().is_some() && error.is_transient());
        signal_sessions(&one, Signal::CONT);
    }
}

#[tokio::test]
async fn a_slow_stream_without_markers_is_not_taken_for_a_stalled_one() {
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    let limit = Duration::from_secs(2);
    let client =
        Client::builder().timeouts(Timeouts::default().first_byte(limit).stall(limit)).build().unwrap();
    let transfer = under_way(&client, &one, &two, TransferMode::Stream).await;
    let join = tokio::spawn(transfer.join());
    // For more than twice the limit it moves a little now and then, and the control channels are silent.
    let size = || two.dir().join("to").metadata().map_or(0, |metadata| metadata.len());
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < 3 * limit {
        let before = size();
        if before > LARGE / 2 {
            // A machine this fast shows nothing more by going on.
            break;
        }
        signal_sessions(&one, Signal::CONT);
        eventually("it moves", || size() != before).await;
        signal_sessions(&one, Signal::STOP);
        let pause = tokio::time::Instant::now();
        eventually("half a second has passed", || pause.elapsed() > Duration::from_millis(500)).await;
    }
    signal_sessions(&one, Signal::CONT);
    assert_eq!(join.await.unwrap().unwrap().size, Some(LARGE));
    same(&one.dir().join("large"), &two.dir().join("to"));
}

#[tokio::test]
async fn a_mute_destination_is_noticed() {
    let one = Server::anonymous().start();
    std::fs::write(one.dir().join("f"), random_bytes(1, 5000)).unwrap();
    let mute = Fake::start("220 here\r\n", |line| line.starts_with("STOR").then(String::new)).await;
    let limit = Duration::from_secs(1);
    let client =
        Client::builder().timeouts(Timeouts::default().first_byte(limit).stall(limit)).build().unwrap();
    let transfer = client.third_party(one.url("f"), mute.url("f")).await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(15), transfer.join()).await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout(_)), "{error}");
    assert_eq!(error.side(), Some(Side::Destination), "{error}");
    assert!(mute.heard().iter().any(|line| line.starts_with("SIZE")), "it was looked at: {:?}", mute.heard());
}

#[tokio::test]
async fn partial_third_party() {
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    let contents = random_bytes(7, 3_000_000);
    let old = random_bytes(8, 2_000_000);
    std::fs::write(one.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let to = two.dir().join("part");
        std::fs::write(&to, &old).unwrap();
        let transfer = client
            .third_party(one.url("f"), two.url("part"))
            .mode(mode)
            .parallelism(streams)
            .range(1000..501_000)
            .await
            .unwrap();
        transfer.join().await.unwrap();
        let mut expected = old.clone();
        expected[1000..501_000].copy_from_slice(&contents[1000..501_000]);
        assert_eq!(sha256(&std::fs::read(&to).unwrap()), sha256(&expected), "{mode:?} {streams}");

        // To the end, and beyond it.
        for end in [3_000_000_u64, 4_000_000] {
            std::fs::write(&to, &old).unwrap();
            let transfer = client.third_party(one.url("f"), two.url("part")).mode(mode).parallelism(streams);
            transfer.range(1_500_000..end).await.unwrap().join().await.unwrap();
            let expected = [&old[..1_500_000], &contents[1_500_000..]].concat();
            assert_eq!(sha256(&std::fs::read(&to).unwrap()), sha256(&expected), "{mode:?} {streams} {end}");
        }
    }
    let both = client.third_party(one.url("f"), two.url("part")).range(1..2).resume(true).await.unwrap_err();
    assert_eq!(both.kind(), ErrorKind::InvalidInput, "{both}");
}

#[tokio::test]
async fn striped_third_party() {
    // Which of the destination's nodes gets what is the source's choice, and not looked at.
    let (one, two) = (Server::anonymous().striped(2).start(), Server::anonymous().striped(2).start());
    let size = 20_000_000;
    std::fs::write(one.dir().join("f"), random_bytes(3, size)).unwrap();
    let client = anonymous();
    for streams in [1, 4] {
        let to = format!("g{streams}");
        let transfer = client.third_party(one.url("f"), two.url(&to)).striped(true).parallelism(streams);
        assert_eq!(transfer.await.unwrap().join().await.unwrap().size, Some(size as u64));
        same(&one.dir().join("f"), &two.dir().join(&to));
    }
}

#[tokio::test]
async fn extended_third_party() {
    let answer = |line: &str| match line.split(' ').next()? {
        "PORT" => Some("200 there\r\n".to_owned()),
        "ERET" | "ESTO" => Some("150 it goes\r\n226 it went\r\n".to_owned()),
        _ => None,
    };
    let (one, two) = (Fake::start("220 here\r\n", answer).await, Fake::start("220 here\r\n", answer).await);
    let client = anonymous();
    let transfer = || client.third_party(one.url("f"), two.url("g"));
    let both = transfer().source_module("cut", "from=1 to=2").destination_module("unpack", "");
    both.await.unwrap().join().await.unwrap();
    assert_eq!(one.heard().last().unwrap(), "ERET cut=\"from=1 to=2\" /f");
    assert_eq!(two.heard().last().unwrap(), "ESTO unpack=\"\" /g");
    for (name, arguments) in [("", ""), ("a b", ""), ("cut", "\"; x"), ("cut", "a\r\nDELE f")] {
        let error = transfer().source_module(name, arguments).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let error = transfer().destination_module(name, arguments).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    let error = transfer().source_module("cut", "").range(1..2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[tokio::test]
async fn resume_third_party() {
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    let contents = random_bytes(7, 3_000_000);
    std::fs::write(one.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        // The first part is not the source's: what was there before has to be kept.
        let old = random_bytes(9, 1_234_567);
        std::fs::write(two.dir().join("f"), &old).unwrap();
        let transfer = || client.third_party(one.url("f"), two.url("f")).mode(mode).parallelism(streams);
        transfer().resume(true).await.unwrap().join().await.unwrap();
        let expected = [&old[..], &contents[old.len()..]].concat();
        assert_eq!(
            sha256(&std::fs::read(two.dir().join("f")).unwrap()),
            sha256(&expected),
            "{mode:?} {streams}"
        );
        // All of it is there.
        transfer().resume(true).await.unwrap().join().await.unwrap();
        assert_eq!(sha256(&std::fs::read(two.dir().join("f")).unwrap()), sha256(&expected));
        // Nothing is there.
        std::fs::remove_file(two.dir().join("f")).unwrap();
        transfer().resume(true).await.unwrap().join().await.unwrap();
        same(&one.dir().join("f"), &two.dir().join("f"));

        // Ranges, of which some are missing in between.
        let mut holes = contents.clone();
        holes[500_000..600_000].fill(0);
        holes.truncate(2_000_000);
        std::fs::write(two.dir().join("f"), &holes).unwrap();
        let marker: RestartMarker = "0-500000,600000-2000000".parse().unwrap();
        transfer().restart(marker).await.unwrap().join().await.unwrap();
        same(&one.dir().join("f"), &two.dir().join("f"));
    }
    std::fs::write(two.dir().join("f"), random_bytes(9, 3_000_001)).unwrap();
    let error = client.third_party(one.url("f"), two.url("f")).resume(true).await.unwrap_err();
    assert_eq!((error.kind(), error.side()), (ErrorKind::AlreadyExists, Some(Side::Destination)), "{error}");
}

#[tokio::test]
async fn a_transfer_that_was_aborted_is_continued() {
    for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
        let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
        let client = anonymous();
        let mut transfer = under_way(&client, &one, &two, mode).await;
        if mode == TransferMode::ExtendedBlock {
            // Every five seconds the destination tells what it has.
            while let Some(marker) = transfer.next_marker().await {
                if matches!(&marker, Marker::Range(ranges) if !ranges.is_empty()) {
                    break;
                }
            }
            assert!(transfer.received() > 0);
        }
        signal_sessions(&one, Signal::CONT);
        let marker = transfer.abort().await.unwrap();
        let there = two.dir().join("to").metadata().unwrap().len();
        assert!(!marker.is_empty() && marker.total_bytes() <= there, "{marker} of {there}");
        // What the marker names is not moved again: the change stays.
        let marker: RestartMarker = marker.to_string().parse().unwrap();
        let file = std::fs::File::options().write(true).open(two.dir().join("to")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"changed!", 0).unwrap();
        let rest = client.third_party(one.url("large"), two.url("to")).mode(mode).restart(marker);
        rest.await.unwrap().join().await.unwrap();
        let mut start = [0; 8];
        std::os::unix::fs::FileExt::read_exact_at(
            &std::fs::File::open(two.dir().join("to")).unwrap(),
            &mut start,
            0,
        )
        .unwrap();
        assert_eq!(&start, b"changed!");
        let mut first = [0; 8];
        std::os::unix::fs::FileExt::read_exact_at(
            &std::fs::File::open(one.dir().join("large")).unwrap(),
            &mut first,
            0,
        )
        .unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &first, 0).unwrap();
        same(&one.dir().join("large"), &two.dir().join("to"));
    }
}

#[tokio::test]
async fn progress() {
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    let client = anonymous();
    let mut transfer = under_way(&client, &one, &two, TransferMode::ExtendedBlock).await;
    let (mut performance, mut ranges) = (Vec::new(), gridftp::RangeSet::new());
    let mut markers = transfer.markers();
    let mut stopped = true;
    while let Some(marker) = markers.next().await {
        match marker {
            Marker::Performance(marker) => {
                assert_eq!((marker.stripe, marker.stripes), (0, 1));
                assert!(marker.time.is_some());
                performance.push(marker.bytes);
            }
            Marker::Range(told) => ranges.extend(told.iter()),
            _ => {}
        }
        if stopped && !ranges.is_empty() {
            signal_sessions(&one, Signal::CONT);
            stopped = false;
        }
    }
    drop(markers);
    assert!(performance.len() >= 3 && performance.is_sorted(), "{performance:?}");
    assert_eq!(performance.last(), Some(&LARGE));
    assert_eq!(ranges.to_string(), format!("0-{LARGE}"));
    assert_eq!(transfer.join().await.unwrap().received, Some(LARGE));
}

/// What a marker says is at the destination has to be there: a hole of zeros would have the right size, too.
#[tokio::test]
async fn a_restart_needs_what_the_marker_says() {
    let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
    let contents = random_bytes(3, 2_000_000);
    std::fs::write(one.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let transfer = || {
            let marker: RestartMarker =
                if mode == TransferMode::Stream { "1000000" } else { "0-1000000" }.parse().unwrap();
            client.third_party(one.url("f"), two.url("f")).mode(mode).parallelism(streams).restart(marker)
        };
        let error = transfer().await.unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::NotFound, Some(Side::Destination)), "{error}");
        assert!(!two.dir().join("f").exists());
        std::fs::write(two.dir().join("f"), &contents[..999_999]).unwrap();
        let error = transfer().await.unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::Truncated, Some(Side::Destination)), "{error}");
        assert_eq!(std::fs::read(two.dir().join("f")).unwrap(), &contents[..999_999]);
        std::fs::write(two.dir().join("f"), &contents[..1_000_000]).unwrap();
        transfer().await.unwrap().join().await.unwrap();
        same(&one.dir().join("f"), &two.dir().join("f"));
        std::fs::remove_file(two.dir().join("f")).unwrap();
    }
}

/// A destination that does not take the file keeps what it had under the name.
#[tokio::test]
async fn a_refused_file_leaves_the_old_one() {
    let one = Server::anonymous().start();
    let two = PlainServer::anonymous().without(&["STOR"]).start();
    std::fs::write(one.dir().join("f"), "new").unwrap();
    std::fs::write(two.dir().join("f"), "old").unwrap();
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    match client.third_party(one.url("f"), two.url("f")).await {
        Ok(transfer) => drop(transfer.join().await.unwrap_err()),
        Err(error) => assert_eq!(error.side(), Some(Side::Destination), "{error}"),
    }
    // Whatever is done in the background has the one session there may be, so this comes after it.
    assert_eq!(client.get(two.url("f")).await.unwrap().bytes().await.unwrap(), "old");
    assert_eq!(std::fs::read(two.dir().join("f")).unwrap(), b"old");
    let error = client.third_party(one.url("f"), one.url("f")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(std::fs::read(one.dir().join("f")).unwrap(), b"new");
}
