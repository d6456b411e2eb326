//! Restart markers: transfers that were cut off go on, and what comes of it is the file.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use gridftp::options::{DataChannelAuth, ProtectionLevel, TransferMode};
use gridftp::{Client, ErrorKind, GetBuilder, Phase, PutBuilder, RangeSet, RestartMarker, Side};
use gridftp_lab::{Random, Server, random_bytes, sha256};
use tokio::io::AsyncReadExt as _;

use crate::support::{WAYS, anonymous, builder, eventually, trusting, with_proxy};

/// Not a multiple of any block size.
const SIZE: usize = 20_000_003;

/// How often one file is cut off.
const ABORTS: usize = 20;

fn below(random: &mut Random, limit: usize) -> usize {
    place(random.below(limit.max(1) as u64))
}

fn place(at: u64) -> usize {
    usize::try_from(at).unwrap()
}

/// Fetches a file in pieces, each get cut off somewhere; returns what was put together, and how many gets it took.
async fn get_in_pieces(start: impl Fn() -> GetBuilder, size: usize, seed: u64) -> (Vec<u8>, usize) {
    let mut random = Random::new(seed);
    let mut file = vec![0; size];
    let mut marker: Option<RestartMarker> = None;
    let mut bytes = 0;
    for round in 1.. {
        let get = start();
        let get = if let Some(marker) = marker.take() { get.restart(marker) } else { get };
        let mut get = get.await.unwrap();
        // What is left for this round and those to come, in blocks of 256 KiB.
        let blocks = (size - bytes).div_ceil(256 * 1024);
        let stop = if round > ABORTS {
            usize::MAX
        } else {
            below(&mut random, 2 * blocks / (ABORTS + 1 - round).max(1))
        };
        let mut taken = 0;
        let over = loop {
            if taken == stop {
                break false;
            }
            let Some(block) = get.next_block().await.unwrap() else { break true };
            file[place(block.offset)..place(block.offset) + block.data.len()].copy_from_slice(&block.data);
            bytes += block.data.len();
            taken += 1;
        };
        if over {
            assert_eq!(get.restart_marker().total_bytes(), size as u64);
            assert_eq!(bytes, size, "each byte came once");
            return (file, round);
        }
        // Through its text, as somebody who keeps it in a file has it.
        let told = get.abort().await.unwrap();
        assert_eq!(told.total_bytes(), bytes as u64, "{told}");
        marker = Some(told.to_string().parse().unwrap());
    }
    unreachable!()
}

async fn restarted_gets(client: &Client, server: &Server, auth: DataChannelAuth) {
    let contents = random_bytes(1, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    for (n, (mode, streams)) in WAYS.into_iter().enumerate() {
        let start = || client.get(server.url("f")).mode(mode).parallelism(streams).dcau(auth.clone());
        let (file, rounds) = get_in_pieces(start, SIZE, n as u64 + 7).await;
        assert_eq!(sha256(&file), sha256(&contents), "{mode:?} {streams}");
        assert!(rounds > 5, "cut off {} times only", rounds - 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resume_a_get_by_restart_markers() {
    let server = Server::anonymous().start();
    let client = anonymous();
    restarted_gets(&client, &server, DataChannelAuth::Auto).await;
    assert_eq!(client.metrics().logins, 1, "an aborted get leaves its session in order");
}

#[test]
fn resume_a_get_over_gsi() {
    trusting("restart::resume_a_get_over_gsi", |pki| async move {
        let server = Server::gsi(&pki).start();
        restarted_gets(&with_proxy(&pki), &server, DataChannelAuth::Auto).await;
        restarted_gets(&with_proxy(&pki), &server, DataChannelAuth::OwnIdentity).await;
    });
}

/// Stores a file in pieces, each put cut off somewhere; returns how many puts it took.
///
/// In extended block mode the server tells once a second what it has; some puts wait for that and some do not.
async fn put_in_pieces(start: impl Fn() -> PutBuilder, contents: &Bytes, path: &Path, seed: u64) -> usize {
    let mut random = Random::new(seed);
    let mut marker: Option<RestartMarker> = None;
    let step = 2 * contents.len() / ABORTS;
    for round in 1.. {
        let put = start().marker_interval(Duration::from_secs(1));
        let put = if let Some(marker) = &marker { put.restart(marker.clone()) } else { put };
        let mut put = put.await.unwrap();
        let before = put.restart_marker();
        let missing = before.ranges().complement(contents.len() as u64);
        let mut room = if round > ABORTS { usize::MAX } else { below(&mut random, step) };
        'sending: for range in missing.iter() {
            let (mut at, end) = (place(range.start), place(range.end));
            // A stream sends all that follows the first gap.
            while at < end {
                if room == 0 {
                    break 'sending;
                }
                let length = (end - at).min(300_001).min(room);
                put.write_at(at as u64, contents.slice(at..at + length)).await.unwrap();
                at += length;
                room -= length;
            }
        }
        if round > ABORTS {
            put.finish().await.unwrap();
            return round;
        }
        let stream = matches!(before, RestartMarker::Stream { .. });
        if !stream && round % 4 != 0 && put.sent() > 0 {
            let heard = std::cell::RefCell::new(&mut put);
            eventually("the server tells what it has", || heard.borrow_mut().restart_marker() != before)
                .await;
        }
        let told = put.abort().await.unwrap();
        let left = std::fs::read(path).unwrap();
        for range in told.ranges().iter() {
            let (start, end) = (place(range.start), place(range.end));
            assert!(left.len() >= end && left[start..end] == contents[start..end], "{told} is not there");
        }
        assert!(told.total_bytes() >= before.total_bytes(), "{before} became {told}");
        marker = Some(told.to_string().parse().unwrap());
    }
    unreachable!()
}

async fn restarted_puts(
    client: &Client,
    server: &Server,
    auth: DataChannelAuth,
    level: ProtectionLevel,
    ways: &[(TransferMode, u16)],
) {
    let contents = Bytes::from(random_bytes(2, SIZE));
    let each = ways.iter().enumerate().map(|(n, &(mode, streams))| {
        let (contents, auth) = (contents.clone(), auth.clone());
        async move {
            let path = server.dir().join(format!("f-{mode:?}-{streams}"));
            let start = || {
                let put = client.put(server.url(&path)).mode(mode).parallelism(streams);
                put.dcau(auth.clone()).protection(level)
            };
            let rounds = put_in_pieces(start, &contents, &path, n as u64 + 11).await;
            assert_eq!(rounds, ABORTS + 1);
            assert_eq!(sha256(&std::fs::read(&path).unwrap()), sha256(&contents), "{mode:?} {streams}");
        }
    });
    futures_util::future::join_all(each).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resume_a_put_by_restart_markers() {
    let server = Server::anonymous().start();
    let client = anonymous();
    restarted_puts(&client, &server, DataChannelAuth::Auto, ProtectionLevel::Clear, &WAYS).await;
    assert!(client.metrics().logins <= 3, "an aborted put leaves its session in order");
}

#[test]
fn resume_a_put_over_gsi() {
    trusting("restart::resume_a_put_over_gsi", |pki| async move {
        let server = Server::gsi(&pki).start();
        let client = with_proxy(&pki);
        restarted_puts(&client, &server, DataChannelAuth::Auto, ProtectionLevel::Clear, &WAYS).await;
        let ways = [WAYS[2]];
        restarted_puts(&client, &server, DataChannelAuth::OwnIdentity, ProtectionLevel::Private, &ways).await;
    });
}

fn blocks(text: &str) -> RestartMarker {
    RestartMarker::Extended(text.parse::<RangeSet>().unwrap())
}

#[tokio::test]
async fn only_what_is_missing_is_sent() {
    let server = Server::anonymous().start();
    let contents = random_bytes(3, 1_000_000);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    let marker = blocks("0-100,300000-600001,999999-1000000");
    for streams in [1, 4] {
        let get = || client.get(server.url("f")).mode(TransferMode::ExtendedBlock).parallelism(streams);
        let mut places = BTreeSet::new();
        let mut part = get().restart(marker.clone()).await.unwrap();
        while let Some(block) = part.next_block().await.unwrap() {
            places.extend((block.offset..).take(block.data.len()));
            assert!(block.data == contents[place(block.offset)..][..block.data.len()]);
        }
        let expected: BTreeSet<u64> = (100..300_000).chain(600_001..999_999).collect();
        assert!(places == expected, "{} bytes came, expected {}", places.len(), expected.len());
        // As a stream of bytes: what is missing, in order.
        let mut reader = get().restart(marker.clone()).await.unwrap().into_reader();
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.unwrap();
        let missing = [&contents[100..300_000], &contents[600_001..999_999]].concat();
        assert_eq!(sha256(&got), sha256(&missing));
        // What is missing of a part.
        let part = get().range(250_000..700_000).restart(marker.clone()).await.unwrap();
        let missing = [&contents[250_000..300_000], &contents[600_001..700_000]].concat();
        assert_eq!(sha256(&part.bytes().await.unwrap()), sha256(&missing));
    }
    // A stream goes on from the first gap.
    let stream =
        |marker: RestartMarker| client.get(server.url("f")).mode(TransferMode::Stream).restart(marker);
    let got = stream(marker.clone()).await.unwrap().bytes().await.unwrap();
    assert_eq!(sha256(&got), sha256(&contents[100..]));
    let got = stream(marker).range(300_000..600_101).await.unwrap().bytes().await.unwrap();
    assert_eq!(sha256(&got), sha256(&contents[600_001..600_101]));
    // A stream's marker serves blocks as well.
    let marker = RestartMarker::Stream { offset: 999_000 };
    let get = client.get(server.url("f")).parallelism(2).restart(marker);
    assert_eq!(get.await.unwrap().bytes().await.unwrap(), contents[999_000..]);
}

#[tokio::test]
async fn a_marker_of_all_fetches_nothing() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("f"), random_bytes(4, 1000)).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        for marker in [RestartMarker::Stream { offset: 1000 }, blocks("0-1000")] {
            let get = client.get(server.url("f")).mode(mode).parallelism(streams).restart(marker.clone());
            let mut get = get.await.unwrap();
            assert_eq!(get.next_block().await.unwrap(), None, "{mode:?} {streams} {marker}");
            assert_eq!(get.restart_marker().total_bytes(), 1000);
            let get = client.get(server.url("missing")).mode(mode).restart(marker);
            assert_eq!(get.await.unwrap_err().kind(), ErrorKind::NotFound);
        }
    }
}

#[tokio::test]
async fn markers_that_do_not_belong_to_the_file() {
    let server = Server::anonymous().start();
    let before = random_bytes(5, 1000);
    let path = server.dir().join("f");
    std::fs::write(&path, &before).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        for marker in [RestartMarker::Stream { offset: 1001 }, blocks("0-1001")] {
            let get = client.get(server.url("f")).mode(mode).parallelism(streams).restart(marker.clone());
            let error = get.await.unwrap_err();
            assert_eq!((error.kind(), error.side()), (ErrorKind::Truncated, Some(Side::Server)), "{error}");
            assert!(!error.is_transient() && error.to_string().contains("up to 1001"), "{error}");
            let put = client.put(server.url("f")).mode(mode).parallelism(streams).restart(marker.clone());
            let error = put.await.unwrap_err();
            assert_eq!((error.kind(), error.phase()), (ErrorKind::Truncated, Phase::Command), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), before, "nothing was touched");
            // Going on with what is not there would make a file of zeros.
            let put = client.put(server.url("gone")).mode(mode).parallelism(streams).restart(marker);
            assert_eq!(put.await.unwrap_err().kind(), ErrorKind::NotFound);
            assert!(!server.dir().join("gone").exists());
        }
    }
    assert_eq!(client.metrics().logins, 1);
}

#[tokio::test]
async fn a_marker_of_nothing_starts_anew() {
    let server = Server::anonymous().start();
    let path = server.dir().join("f");
    let new = random_bytes(6, 500);
    let client = anonymous();
    for (mode, streams) in WAYS {
        for marker in [RestartMarker::Stream { offset: 0 }, RangeSet::new().into(), blocks("0-0")] {
            std::fs::write(&path, random_bytes(7, 1000)).unwrap();
            let put = client.put(server.url("f")).mode(mode).parallelism(streams).restart(marker.clone());
            let mut put = put.await.unwrap();
            put.write(Bytes::from(new.clone())).await.unwrap();
            put.finish().await.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), new, "{mode:?} {streams} {marker}");
            let get = client.get(server.url("f")).mode(mode).parallelism(streams).restart(marker);
            assert_eq!(get.await.unwrap().bytes().await.unwrap(), new);
        }
    }
}

#[tokio::test]
async fn a_restarted_put_of_another_size_than_the_file_is_an_error() {
    let server = Server::anonymous().start();
    let path = server.dir().join("f");
    let client = anonymous();
    for (mode, streams) in WAYS {
        // The old file was longer than the new one is going to be.
        std::fs::write(&path, random_bytes(8, 5000)).unwrap();
        let put = client.put(server.url("f")).mode(mode).parallelism(streams);
        let mut put = put.restart(RestartMarker::Stream { offset: 1000 }).await.unwrap();
        put.write(Bytes::from(vec![1; 500])).await.unwrap();
        let error = put.finish().await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Truncated, Phase::Verify), "{error}");
        assert!(path.exists(), "it is not deleted");
    }
}

#[tokio::test]
async fn a_dropped_restart_deletes_nothing() {
    let server = Server::anonymous().start();
    let before = random_bytes(9, 700_000);
    let path = server.dir().join("f");
    std::fs::write(&path, &before).unwrap();
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for (mode, streams) in WAYS {
        let put = client.put(server.url("f")).mode(mode).parallelism(streams);
        let mut put = put.restart(RestartMarker::Stream { offset: 700_000 }).await.unwrap();
        put.write(Bytes::from(vec![1; 3_000_000])).await.unwrap();
        drop(put);
        let left = client.get(server.url("f")).range(..700_000).await.unwrap().bytes().await.unwrap();
        assert_eq!(sha256(&left), sha256(&before));
        std::fs::write(&path, &before).unwrap();
    }
}

#[tokio::test]
async fn a_list_of_ranges_too_long_for_one_line_is_cut() {
    let server = Server::anonymous().start();
    let contents = random_bytes(10, 400_000);
    let path = server.dir().join("f");
    std::fs::write(&path, &contents).unwrap();
    let client = anonymous();
    // Two thousand stretches of 100 bytes: more than one REST holds, and few enough for the server's own lines.
    let ranges: RangeSet = (0..2_000_u64).map(|n| n * 200..n * 200 + 100).collect();
    let marker = RestartMarker::from(ranges.clone());
    let get = client.get(server.url("f")).mode(TransferMode::ExtendedBlock).restart(marker.clone());
    let mut file = vec![0; contents.len()];
    for range in ranges.iter() {
        let (start, end) = (place(range.start), place(range.end));
        file[start..end].copy_from_slice(&contents[start..end]);
    }
    let mut get = get.await.unwrap();
    while let Some(block) = get.next_block().await.unwrap() {
        file[place(block.offset)..][..block.data.len()].copy_from_slice(&block.data);
    }
    assert_eq!(sha256(&file), sha256(&contents));
    let put = client.put(server.url("f")).mode(TransferMode::ExtendedBlock).restart(marker);
    let mut put = put.await.unwrap();
    for range in ranges.complement(400_000).iter() {
        put.write_at(range.start, Bytes::from(vec![7; 100])).await.unwrap();
    }
    put.finish().await.unwrap();
    let mut expected = contents;
    for range in ranges.complement(400_000).iter() {
        expected[place(range.start)..place(range.end)].fill(7);
    }
    assert_eq!(sha256(&std::fs::read(&path).unwrap()), sha256(&expected));
}
