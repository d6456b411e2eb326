//! Transfers that are given up, and what a whole one is: contents to and from memory and streams.

use std::time::Duration;

use bytes::Bytes;
use gridftp::options::TransferMode;
use gridftp::{ErrorKind, RestartMarker, TimeoutKind};
use gridftp_lab::{PlainServer, Server, random_bytes, sha256};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fake::{Data, Fake};
use crate::support::{WAYS, anonymous, builder, eventually, short, signal_sessions};

const SIZE: usize = 3_000_017;

#[tokio::test]
async fn get_to_memory() {
    let server = Server::anonymous().start();
    let contents = random_bytes(1, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let get = client.get(server.url("f")).mode(mode).parallelism(streams).await.unwrap();
        let got = get.bytes().await.unwrap();
        assert_eq!(sha256(&got), sha256(&contents), "{mode:?} {streams}");
    }
}

#[tokio::test]
async fn get_to_stream() {
    let server = Server::anonymous().start();
    let contents = random_bytes(2, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let get = client.get(server.url("f")).mode(mode).parallelism(streams).await.unwrap();
        let mut got = Vec::new();
        get.into_reader().read_to_end(&mut got).await.unwrap();
        assert_eq!(sha256(&got), sha256(&contents), "{mode:?} {streams}");
    }
}

#[tokio::test]
async fn put_from_memory() {
    let server = Server::anonymous().start();
    let contents = random_bytes(3, SIZE);
    let client = anonymous();
    for (mode, streams) in WAYS {
        let path = server.dir().join(format!("{mode:?}-{streams}"));
        let mut put = client.put(server.url(&path)).mode(mode).parallelism(streams).await.unwrap();
        put.write(Bytes::from(contents.clone())).await.unwrap();
        assert_eq!(put.finish().await.unwrap().bytes, SIZE as u64);
        assert_eq!(sha256(&std::fs::read(&path).unwrap()), sha256(&contents), "{mode:?} {streams}");
    }
}

/// Nobody says before how long it is going to be: neither to the server nor here.
#[tokio::test]
async fn put_from_stream_of_unknown_length() {
    let server = Server::anonymous().start();
    let client = anonymous();
    for (mode, streams) in WAYS {
        for size in [0, 1, SIZE] {
            let contents = random_bytes(4, size);
            let path = server.dir().join(format!("{mode:?}-{streams}-{size}"));
            let put = client.put(server.url(&path)).mode(mode).parallelism(streams).await.unwrap();
            let (mut near, mut far) = tokio::io::duplex(10_000);
            let mut writer = put.into_writer();
            let feed = async {
                for piece in contents.chunks(7_001) {
                    near.write_all(piece).await.unwrap();
                }
                drop(near);
            };
            let (copied, ()) = tokio::join!(tokio::io::copy(&mut far, &mut writer), feed);
            assert_eq!(copied.unwrap(), size as u64);
            writer.shutdown().await.unwrap();
            assert_eq!(writer.summary().unwrap().bytes, size as u64);
            assert_eq!(sha256(&std::fs::read(&path).unwrap()), sha256(&contents), "{mode:?} {streams}");
        }
    }
}

#[tokio::test]
async fn cancel_of_a_get_leaves_the_session_in_order() {
    let server = Server::anonymous().start();
    let contents = random_bytes(5, 20_000_000);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        for blocks in [0, 1, 7, usize::MAX] {
            let mut get = client.get(server.url("f")).mode(mode).parallelism(streams).await.unwrap();
            let mut bytes = 0;
            for _ in 0..blocks {
                let Some(block) = get.next_block().await.unwrap() else { break };
                bytes += block.data.len();
            }
            assert_eq!(get.restart_marker().total_bytes(), bytes as u64);
            let marker = get.abort().await.unwrap();
            assert_eq!(marker.total_bytes(), bytes as u64, "{mode:?} {streams} {blocks}");
            assert_eq!(matches!(marker, RestartMarker::Stream { .. }), mode == TransferMode::Stream);
        }
        let got = client.get(server.url("f")).mode(mode).await.unwrap().bytes().await.unwrap();
        assert_eq!(sha256(&got), sha256(&contents));
    }
    assert_eq!(client.metrics().logins, 1);
}

#[tokio::test]
async fn cancel_of_a_put_leaves_what_came() {
    let server = Server::anonymous().start();
    let contents = random_bytes(6, 5_000_000);
    let client = anonymous();
    for (mode, streams) in WAYS {
        for bytes in [0, 1, 5_000_000] {
            let path = server.dir().join(format!("{mode:?}-{streams}-{bytes}"));
            let mut put = client.put(server.url(&path)).mode(mode).parallelism(streams).await.unwrap();
            put.write(Bytes::copy_from_slice(&contents[..bytes])).await.unwrap();
            let marker = put.abort().await.unwrap();
            let left = std::fs::read(&path).unwrap();
            let there = usize::try_from(marker.contiguous()).unwrap();
            assert!(left.len() <= bytes);
            assert!(left[..there] == contents[..there], "{marker} is not there");
            if mode == TransferMode::Stream {
                assert_eq!(there, left.len(), "a stream is there as far as the file goes");
            }
        }
    }
    assert_eq!(client.metrics().logins, 1, "the session went on");
    // And a drop deletes, as ever.
    let mut put = client.put(server.url("dropped")).await.unwrap();
    put.write(Bytes::copy_from_slice(&contents[..100])).await.unwrap();
    drop(put);
    let path = server.dir().join("dropped");
    eventually("the incomplete file is deleted", || !path.exists()).await;
}

#[tokio::test]
async fn an_abort_of_a_put_whose_session_died_says_so() {
    let server = Server::anonymous().start();
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for (mode, streams) in WAYS {
        let path = server.dir().join(format!("{mode:?}-{streams}"));
        let mut put = client.put(server.url(&path)).mode(mode).parallelism(streams).await.unwrap();
        put.write(Bytes::from(vec![1; 1000])).await.unwrap();
        eventually("the file is there", || path.exists()).await;
        signal_sessions(&server, Signal::KILL);
        let error = loop {
            if let Err(error) = put.write(Bytes::from(vec![1; 1_000_000])).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
        // Nobody is there any more to say how far it came.
        let error = put.abort().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn an_abort_of_a_silent_server_has_its_limit() {
    let data = Data { bytes: b"12345", ends: false };
    let server = Fake::with_data("220 here\r\n", |_| None, data).await;
    let limits = short().reply(Duration::from_millis(300)).stall(Duration::from_millis(300));
    let client = builder().timeouts(limits).build().unwrap();
    let get = client.get(server.url("f")).await.unwrap();
    // The marker is known here, so a server that says nothing more does no harm.
    let marker = tokio::time::timeout(Duration::from_secs(10), get.abort()).await.unwrap().unwrap();
    assert_eq!(marker, RestartMarker::Stream { offset: 0 });
    // The session is not used again.
    let connections = server.connections();
    let mut get = client.get(server.url("f")).await.unwrap();
    assert_eq!(server.connections(), connections + 1);
    assert_eq!(get.next_block().await.unwrap().unwrap().data, "12345");
    let error = get.next_block().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Stall), "{error}");
    assert_eq!(get.abort().await.unwrap(), RestartMarker::Stream { offset: 5 });
}

#[tokio::test]
async fn markers_of_a_part_are_places_in_the_file() {
    let server = Server::anonymous().start();
    let contents = random_bytes(7, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let part = || client.get(server.url("f")).mode(mode).parallelism(streams).range(1_000_000..2_500_000);
        let mut get = part().await.unwrap();
        let mut file = vec![0; SIZE];
        let mut keep = |block: gridftp::Block| {
            let at = usize::try_from(block.offset).unwrap();
            file[at..at + block.data.len()].copy_from_slice(&block.data);
        };
        keep(get.next_block().await.unwrap().unwrap());
        keep(get.next_block().await.unwrap().unwrap());
        let marker = get.abort().await.unwrap();
        let ranges = marker.ranges();
        assert!(ranges.iter().all(|range| range.start >= 1_000_000 && range.end <= 2_500_000), "{marker}");
        let mut get = part().restart(marker).await.unwrap();
        let mut bytes = ranges.total_bytes();
        while let Some(block) = get.next_block().await.unwrap() {
            bytes += block.data.len() as u64;
            keep(block);
        }
        assert_eq!(bytes, 1_500_000);
        assert_eq!(sha256(&file[1_000_000..2_500_000]), sha256(&contents[1_000_000..2_500_000]));
    }
}

/// pyftpdlib reads commands while data still goes out, and forgets the transfer over the next PASV.
#[tokio::test]
async fn cancel_on_a_plain_server_keeps_replies_and_commands_together() {
    let server = PlainServer::anonymous().start();
    let contents = random_bytes(8, 2_000_000);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for round in 0..60_u64 {
        match round % 4 {
            // Cut off here, as the server has no other way to send a part.
            0 => {
                let part = client.get(server.url("f")).range(..10).await.unwrap().bytes().await.unwrap();
                assert_eq!(part, contents[..10]);
            }
            1 => drop(client.get(server.url("f")).await.unwrap()),
            2 => {
                let mut get = client.get(server.url("f")).await.unwrap();
                get.next_block().await.unwrap().unwrap();
                let marker = get.abort().await.unwrap();
                let there = usize::try_from(marker.contiguous()).unwrap();
                let rest = client.get(server.url("f")).restart(marker).await.unwrap().bytes().await.unwrap();
                assert_eq!(sha256(&rest), sha256(&contents[there..]));
            }
            _ => {
                let mut put = client.put(server.url("g")).await.unwrap();
                put.write(Bytes::copy_from_slice(&contents[..1_500_000])).await.unwrap();
                let marker = put.abort().await.unwrap();
                let there = usize::try_from(marker.contiguous()).unwrap();
                let mut put = client.put(server.url("g")).restart(marker).await.unwrap();
                put.write(Bytes::copy_from_slice(&contents[there..])).await.unwrap();
                put.finish().await.unwrap();
                assert_eq!(sha256(&std::fs::read(server.dir().join("g")).unwrap()), sha256(&contents));
            }
        }
        let whole = client.get(server.url("f")).await.unwrap().bytes().await.unwrap();
        assert_eq!(sha256(&whole), sha256(&contents), "round {round}");
    }
}
