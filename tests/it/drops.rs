//! Futures that are dropped at any point, or forgotten: every buffer, handle and descriptor comes back.

use std::time::Duration;

use bytes::Bytes;
use gridftp::options::TransferMode;
use std::future::IntoFuture;

use gridftp::{Client, engine_metrics};
use gridftp_lab::{Random, Server, random_bytes, sha256};

use crate::support::{alone, anonymous, eventually, open_descriptors};

async fn one(client: &Client, server: &Server, random: &mut Random) {
    let mode = if random.below(2) == 0 { TransferMode::Stream } else { TransferMode::ExtendedBlock };
    match random.below(4) {
        0 => {
            let mut get = client.get(server.url("big")).mode(mode).await.unwrap();
            while get.next_block().await.unwrap().is_some() {}
        }
        1 => {
            let mut put = client.put(server.url(format!("put{}", random.below(8)))).mode(mode).await.unwrap();
            for _ in 0..16 {
                put.write(Bytes::from(vec![7; 500_000])).await.unwrap();
            }
            put.finish().await.unwrap();
        }
        2 => drop(client.stat(server.url("big")).await.unwrap()),
        _ => {
            let mut many = client.get_many((0..20).map(|n| server.url(format!("small{n}")))).await.unwrap();
            while let Some(mut file) = many.next_file().await.unwrap() {
                file.bytes().await.unwrap();
            }
        }
    }
}

/// In a process of its own: the engine and its counts are shared by all tests of a process.
#[test]
fn a_thousand_random_drops_lose_nothing() {
    alone("drops::a_thousand_random_drops_lose_nothing", || async {
        let server = Server::anonymous().start();
        let contents = random_bytes(1, 8_000_000);
        std::fs::write(server.dir().join("big"), &contents).unwrap();
        for n in 0..20 {
            std::fs::write(server.dir().join(format!("small{n}")), random_bytes(n, 5000)).unwrap();
        }
        let client = anonymous();
        // What the first operations open for good (the engine's pipe, for one) is not a leak.
        client.get(server.url("big")).await.unwrap().bytes().await.unwrap();
        let before = open_descriptors();
        let mut random = Random::new(42);
        let mut dropped = 0;
        let mut ended = 0;
        // A quick machine ends many of them before their time: it gets more to do.
        while dropped < 600 {
            let limit = Duration::from_micros(random.below(12_000));
            match tokio::time::timeout(limit, one(&client, &server, &mut random)).await {
                Ok(()) => ended += 1,
                Err(_) => dropped += 1,
            }
            assert!(ended < 20_000, "only {dropped} were dropped in the middle, {ended} were not");
        }
        eventually("ports and buffers come back", || {
            let m = engine_metrics();
            m.buffers_out == 0 && m.registered == 0 && m.lost_buffers == 0
        })
        .await;
        let m = engine_metrics();
        assert_eq!((m.strays, m.panics, m.lost_buffers), (0, 0, 0), "{m:?}");
        // The client still works, and what it gets is right.
        let back = client.get(server.url("big")).await.unwrap().bytes().await.unwrap();
        assert_eq!(sha256(&back), sha256(&contents));
        drop(client);
        eventually("descriptors come back", || open_descriptors() <= before).await;
        eventually("ports come back", || engine_metrics().ports == 0).await;
        println!("{dropped} dropped, {ended} not; {:?}", engine_metrics());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_get_harms_nobody() {
    let server = Server::anonymous().start();
    let contents = random_bytes(1, 8_000_000);
    std::fs::write(server.dir().join("big"), &contents).unwrap();
    let client = anonymous();
    for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
        let mut get = client.get(server.url("big")).mode(mode).await.unwrap();
        get.next_block().await.unwrap().unwrap();
        // Safe code may do this: the engine goes on owning what C may touch.
        #[allow(clippy::disallowed_methods, clippy::mem_forget)]
        std::mem::forget(get);
        let mut pending = Box::pin(client.put(server.url("half")).mode(mode).into_future());
        let waker = std::task::Waker::noop();
        let _ = Future::poll(pending.as_mut(), &mut std::task::Context::from_waker(waker));
        #[allow(clippy::disallowed_methods, clippy::mem_forget)]
        std::mem::forget(pending);
    }
    for _ in 0..20 {
        let back = client.get(server.url("big")).await.unwrap().bytes().await.unwrap();
        assert_eq!(sha256(&back), sha256(&contents));
    }
    assert_eq!(engine_metrics().strays, 0);
}
