//! Runtimes that end while operations run: no hang, no panic, and what comes after works.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use gridftp::options::TransferMode;
use gridftp::{Bytes, Client, engine_metrics};
use gridftp_lab::Random;
use tokio::runtime::{Builder, Runtime};

use super::child::in_child;
use super::load::{MIX, Site};
use super::told::Told;
use crate::support::{anonymous, builder, open_descriptors};

/// A runtime may take as long as a task needs to come to its next wait.
const END_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
enum Flavor {
    CurrentThread,
    MultiThread,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Drop,
    Timeout,
    Background,
}

fn runtime(flavor: Flavor) -> Runtime {
    let mut builder = match flavor {
        Flavor::CurrentThread => Builder::new_current_thread(),
        Flavor::MultiThread => Builder::new_multi_thread(),
    };
    builder.worker_threads(2).enable_all().build().unwrap()
}

fn end(runtime: Runtime, how: End) {
    let begun = Instant::now();
    match how {
        End::Drop => drop(runtime),
        End::Timeout => runtime.shutdown_timeout(Duration::from_secs(2)),
        End::Background => runtime.shutdown_background(),
    }
    assert!(begun.elapsed() < END_LIMIT, "the end of a runtime ({how:?}) took {:?}", begun.elapsed());
}

/// Blocks until the condition holds.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < limit, "not within 20 s: {what}; {:?}", engine_metrics());
        std::thread::yield_now();
    }
}

/// A client that outlives runtimes works in the next one.
fn works(client: &Client, site: &Arc<Site>) {
    runtime(Flavor::CurrentThread).block_on(async {
        let mut random = Random::new(1);
        for kind in [super::load::Kind::GetStream, super::load::Kind::PutExtended, super::load::Kind::Facts] {
            site.work(client, kind, &mut random).await.unwrap();
        }
    });
}

#[test]
fn a_runtime_may_end_in_the_middle_of_everything() {
    in_child("cancel::runtimes::a_runtime_may_end_in_the_middle_of_everything", || {
        let told = Told::listen();
        let site = Site::anonymous();
        let client = site.client(builder());
        works(&client, &site);
        let begun = Instant::now();
        let mut ended = 0;
        let flavors = [Flavor::CurrentThread, Flavor::MultiThread];
        for flavor in flavors {
            for how in [End::Drop, End::Timeout, End::Background] {
                for round in 0..10_u64 {
                    let runtime = runtime(flavor);
                    let mut random = Random::new(round);
                    for kind in MIX.iter().map(|(kind, _)| *kind) {
                        runtime.spawn(site.work(&client, kind, &mut random));
                    }
                    runtime
                        .block_on(async { tokio::time::sleep(Duration::from_millis(round * round)).await });
                    end(runtime, how);
                    ended += 1;
                }
                works(&client, &site);
            }
        }
        println!("{ended} runtimes ended with 26 operations each, in {:.1} s", begun.elapsed().as_secs_f64());
        drop(client);
        eventually("everything of the engine comes back", || {
            let m = engine_metrics();
            (m.ports, m.registered, m.buffers_out) == (0, 0, 0)
        });
        let m = engine_metrics();
        assert_eq!((m.strays, m.panics, m.lost_buffers), (0, 0, 0), "{m:?}");
        eventually("sessions end", || site.connections() == 0);
        // Nobody is there to delete what a runtime took with it; but it is said.
        let unsaid: Vec<_> = site.leftovers().into_iter().filter(|name| !told.mentions(name)).collect();
        assert!(unsaid.is_empty(), "{unsaid:#?}\n{}", told.text());
    });
}

#[test]
fn a_client_used_from_many_runtimes_keeps_nothing_of_theirs() {
    in_child("cancel::runtimes::a_client_used_from_many_runtimes_keeps_nothing_of_theirs", || {
        let site = Site::anonymous();
        let client = site.client(builder());
        works(&client, &site);
        let before = open_descriptors();
        let url = site.first.url("big");
        for _ in 0..200 {
            runtime(Flavor::CurrentThread).block_on(client.stat(&url)).unwrap();
        }
        // Those of the last one may stay until the next one comes.
        let after = open_descriptors();
        assert!(after <= before + 10, "{before} descriptors before, {after} after 200 runtimes");
    });
}

#[test]
fn what_outlives_its_runtime_can_be_dropped_and_asked() {
    in_child("cancel::runtimes::what_outlives_its_runtime_can_be_dropped_and_asked", || {
        let told = Told::listen();
        let site = Site::anonymous();
        for flavor in [Flavor::CurrentThread, Flavor::MultiThread] {
            for asked in [false, true] {
                let client = anonymous();
                let first = runtime(flavor);
                let limits = crate::support::short().total(Duration::from_secs(60));
                let (get, total, mut put, third, mut list, mut walk, many) = first.block_on(async {
                    let mut get = client.get(site.first.url("big")).window(1).await.unwrap();
                    get.next_block().await.unwrap().unwrap();
                    let mut total =
                        client.get(site.first.url("big")).window(1).timeouts(limits).await.unwrap();
                    // Waits, so that its timers are those of this runtime.
                    total.next_block().await.unwrap().unwrap();
                    let mut put = client.put(site.first.url("own-half")).await.unwrap();
                    put.write(Bytes::from_static(b"half")).await.unwrap();
                    let mut third = client
                        .third_party(site.first.url("big"), site.second.url("own-third"))
                        .timeouts(limits)
                        .mode(TransferMode::ExtendedBlock)
                        .await
                        .unwrap();
                    let _ = third.next_marker().now_or_never();
                    let mut list = client.list(site.first.url("tree"));
                    list.next_entry().await.unwrap().unwrap();
                    let mut walk = client.walk(site.first.url("tree"));
                    walk.next_entry().await.unwrap().unwrap();
                    let urls = (0..20).map(|n| site.first.url(format!("small{n}")));
                    let mut many = client.get_many(urls).await.unwrap();
                    many.next_file().await.unwrap().unwrap().bytes().await.unwrap();
                    (get, total, put, third, list, walk, many)
                });
                end(first, End::Drop);
                if asked {
                    // Each ends, with an error or with what had come already: none hangs, none panics.
                    let second = runtime(flavor);
                    let limit = Duration::from_secs(30);
                    second.block_on(async {
                        let all = async {
                            let _ = get.bytes().await;
                            let _ = total.bytes().await;
                            let wrote = put.write(Bytes::from_static(b"more")).await;
                            assert!(wrote.is_err() || put.finish().await.is_err());
                            assert!(third.join().await.is_err());
                            while let Ok(Some(_)) = list.next_entry().await {}
                            while let Ok(Some(_)) = walk.next_entry().await {}
                            let mut many = many;
                            while let Ok(Some(mut file)) = many.next_file().await {
                                let _ = file.bytes().await;
                            }
                        };
                        tokio::time::timeout(limit, all).await.expect("all of them end");
                    });
                } else {
                    drop((get, total, put, third, list, walk, many));
                }
                works(&client, &site);
            }
        }
        for name in ["own-half", "own-third"] {
            assert!(told.mentions(name), "nobody said that {name} may be left: {}", told.text());
        }
        eventually("everything of the engine comes back", || {
            let m = engine_metrics();
            (m.ports, m.registered, m.buffers_out) == (0, 0, 0)
        });
    });
}
