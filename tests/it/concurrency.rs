//! Much at once: many operations over few sessions, several tasks, several runtimes, and sessions that die.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use gridftp::options::TransferMode;
use gridftp::{ErrorKind, TimeoutKind, engine_metrics};
use gridftp_lab::{Server, random_bytes, sha256};
use rustix::process::Signal;

use crate::support::{
    WAYS, alone, anonymous, builder, eventually, memory_kib, open_descriptors, short, signal_sessions,
};

/// Files of all sizes up to `largest`, with their hashes.
fn files(server: &Server, count: usize, largest: usize) -> Vec<(String, String)> {
    let file = |n: usize| {
        let contents = random_bytes(n as u64, n * 7919 % largest);
        std::fs::write(server.dir().join(format!("f{n}")), &contents).unwrap();
        (server.url(format!("f{n}")), sha256(&contents))
    };
    (0..count).map(file).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_gets_over_four_sessions() {
    let server = Server::anonymous().start();
    let files = files(&server, 200, 500_000);
    let client = builder().sessions_per_endpoint(4).build().unwrap();
    let gets = files.iter().enumerate().map(|(n, (url, hash))| {
        let (mode, streams) = WAYS[n % 3];
        let get = client.get(url).mode(mode).parallelism(streams);
        async move {
            let contents = get.await.unwrap().bytes().await.unwrap();
            assert_eq!(sha256(&contents), *hash, "{n}");
        }
    });
    let done = gets.collect::<FuturesUnordered<_>>().count().await;
    assert_eq!(done, 200);
    let metrics = client.metrics();
    assert!((1..=4).contains(&metrics.connects), "{metrics:?}");
    assert_eq!((metrics.operations_running, metrics.operations_waiting), (0, 0), "{metrics:?}");
    assert_eq!(metrics.logins, metrics.connects);
}

#[test]
fn ten_thousand_stats_at_once() {
    alone("concurrency::ten_thousand_stats_at_once", || async {
        let server = Server::anonymous().start();
        for n in 0..100 {
            std::fs::write(server.dir().join(format!("f{n}")), vec![0; n]).unwrap();
        }
        let client = anonymous();
        let urls: Arc<[String]> = (0..101).map(|n| server.url(format!("f{n}"))).collect();
        client.stat(&urls[0]).await.unwrap();
        let (descriptors, memory) = (open_descriptors(), memory_kib("VmRSS"));
        let begin = Instant::now();
        let mut all = tokio::task::JoinSet::new();
        for n in 0..10_000_usize {
            let (client, urls) = (client.clone(), Arc::clone(&urls));
            all.spawn(async move {
                let result = client.stat(&urls[n % 101]).await;
                match n % 101 {
                    100 => assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound),
                    size => {
                        let entry = result.unwrap();
                        assert_eq!(entry.size(), Some(size as u64));
                        assert!(entry.name().ends_with(format!("/f{size}").as_bytes()), "{entry:?}");
                    }
                }
            });
        }
        let (mut most_descriptors, mut most_sessions, mut done) = (0, 0, 0);
        while let Some(result) = all.join_next().await {
            result.unwrap();
            done += 1;
            if done % 50 == 1 {
                most_descriptors = most_descriptors.max(open_descriptors());
                most_sessions = most_sessions.max(client.metrics().sessions_open);
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        assert_eq!(done, 10_000);
        let growth = memory_kib("VmHWM") - memory;
        println!(
            "10,000 stats: {seconds:.2} s, {:.0} a second; {most_sessions} sessions; {} descriptors and {growth} KiB more",
            10_000.0 / seconds,
            most_descriptors - descriptors,
        );
        assert!(most_descriptors < descriptors + 40, "{most_descriptors}, {descriptors} before");
        assert!(most_sessions <= 4, "{most_sessions}");
        assert!(growth < 200 * 1024, "{growth} KiB");
        let metrics = client.metrics();
        assert_eq!((metrics.operations_running, metrics.operations_waiting), (0, 0), "{metrics:?}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gets_puts_and_metadata_from_many_tasks() {
    let server = Arc::new(Server::anonymous().start());
    let files = Arc::new(files(&server, 20, 400_000));
    let client = builder().sessions_per_endpoint(3).build().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..12_usize {
        let (client, files, server) = (client.clone(), Arc::clone(&files), Arc::clone(&server));
        tasks.spawn(async move {
            for n in 0..10 {
                let (mode, streams) = WAYS[(task + n) % 3];
                let (url, hash) = &files[(task * 7 + n) % files.len()];
                let own = server.url(format!("t{task}-{n}"));
                match (task + n) % 4 {
                    0 => {
                        let got = client
                            .get(url)
                            .mode(mode)
                            .parallelism(streams)
                            .await
                            .unwrap()
                            .bytes()
                            .await
                            .unwrap();
                        assert_eq!(sha256(&got), *hash);
                    }
                    1 => {
                        let contents = random_bytes((task * 100 + n) as u64, 300_000 + task);
                        let mut put = client.put(&own).mode(mode).parallelism(streams).await.unwrap();
                        put.write(Bytes::from(contents.clone())).await.unwrap();
                        put.finish().await.unwrap();
                        let back = client.get(&own).await.unwrap().bytes().await.unwrap();
                        assert_eq!(sha256(&back), sha256(&contents));
                        client.remove_file(&own).await.unwrap();
                    }
                    2 => {
                        client.create_dir(&own).await.unwrap();
                        client.rename(&own, format!("{own}b")).await.unwrap();
                        assert!(!client.exists(&own).await.unwrap());
                        client.remove_dir(format!("{own}b")).await.unwrap();
                    }
                    _ => {
                        let missing = client.get(&own).mode(mode).parallelism(streams).await.unwrap_err();
                        assert_eq!(missing.kind(), ErrorKind::NotFound);
                        assert_eq!(missing.url().unwrap().to_string(), own);
                    }
                }
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    assert_eq!(std::fs::read_dir(server.dir()).unwrap().count(), 20);
    let metrics = client.metrics();
    // Three for transfers, and three shared by commands.
    assert!(metrics.connects <= 6, "{metrics:?}");
    let engine = engine_metrics();
    assert_eq!((engine.lost_buffers, engine.strays, engine.panics), (0, 0, 0), "{engine:?}");
}

#[tokio::test]
async fn who_finds_no_free_session_waits_for_one() {
    let server = Server::anonymous().start();
    let files = files(&server, 10, 3_000_000);
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    let held = client.get(&files[9].0).await.unwrap();
    let get = async |n: usize| client.get(&files[n].0).await.unwrap().bytes().await;
    let (mut first, mut second) = (Box::pin(get(0)), Box::pin(get(1)));
    for _ in 0..10 {
        assert!(waits(first.as_mut()).await && waits(second.as_mut()).await);
        tokio::task::yield_now().await;
    }
    assert_eq!(client.metrics().operations_waiting, 2);
    // A limit counts while waiting too, and whoever gives up does not keep the place.
    let limited = short().total(Duration::from_millis(100));
    let error = client.get(&files[2].0).timeouts(limited).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Total), "{error}");
    drop(first);
    assert!(waits(second.as_mut()).await);
    drop(held);
    assert_eq!(sha256(&second.await.unwrap()), files[1].1);
    assert_eq!(client.metrics().connects, 1);
    assert_eq!(client.metrics().operations_waiting, 0);
}

/// Polls once: is the future still waiting?
async fn waits<T>(mut future: Pin<&mut impl Future<Output = T>>) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[test]
fn one_client_in_two_runtimes() {
    let server = Server::anonymous().start();
    let files = files(&server, 30, 600_000);
    let client = anonymous();
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (one, two) = (runtime(), runtime());
    let work = |part: usize| {
        let (client, files) = (client.clone(), &files);
        async move {
            for n in 0..30 {
                let (mode, streams) = WAYS[(part + n) % 3];
                let (url, hash) = &files[(part + n) % 30];
                let got =
                    client.get(url).mode(mode).parallelism(streams).await.unwrap().bytes().await.unwrap();
                assert_eq!(sha256(&got), *hash);
                assert_eq!(client.size(url).await.unwrap(), got.len() as u64);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(|| one.block_on(work(0))), scope.spawn(|| two.block_on(work(15)))];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(client.metrics().connects, 2, "each has its own");
    // When one is gone with its sessions, the other goes on.
    drop(one);
    two.block_on(work(3));
    assert_eq!(client.metrics().connects, 2, "{:?}", client.metrics());
    two.block_on(eventually("the session of the first is closed", || client.metrics().sessions_open == 1));
    // And a third one begins anew, after the second died in the middle of a transfer.
    let mut get = two.block_on(async { client.get(&files[29].0).await.unwrap() });
    drop(two);
    let three = runtime();
    three.block_on(async { while let Ok(Some(_)) = get.next_block().await {} });
    three.block_on(work(7));
}

#[tokio::test]
async fn sessions_that_the_server_closed_are_replaced() {
    let server = Server::anonymous().start();
    let files = files(&server, 3, 900_000);
    let client = anonymous();
    let (url, hash) = &files[2];
    for noticed in [true, false] {
        for (mode, streams) in WAYS {
            // Opens both kinds of sessions, and in extended block mode data connections that stay.
            let prepare = async || {
                client.size(url).await.unwrap();
                client.get(url).mode(mode).parallelism(streams).await.unwrap().bytes().await.unwrap();
                assert!(signal_sessions(&server, Signal::KILL) >= 1);
                if noticed {
                    eventually("the client notices", || client.metrics().sessions_open == 0).await;
                }
            };
            prepare().await;
            assert!(client.stat(url).await.unwrap().is_file());
            prepare().await;
            assert!(client.exists(url).await.unwrap());
            prepare().await;
            let got = client.get(url).mode(mode).parallelism(streams).await.unwrap().bytes().await.unwrap();
            assert_eq!(sha256(&got), *hash, "{noticed} {mode:?} {streams}");
            prepare().await;
            let mut many = client.get_many([url]).await.unwrap();
            let got = many.next_file().await.unwrap().unwrap().bytes().await.unwrap();
            assert_eq!(sha256(&got), *hash, "{noticed}");
            drop(many);
            prepare().await;
            let new = server.url("new");
            let mut put = client.put(&new).mode(mode).parallelism(streams).await.unwrap();
            put.write(Bytes::from_static(b"contents")).await.unwrap();
            put.finish().await.unwrap();
            assert_eq!(std::fs::read(server.dir().join("new")).unwrap(), b"contents");
            if noticed {
                // What must not be done twice is only sure to work on a session that is known to live.
                prepare().await;
                client.create_dir(server.url("d")).await.unwrap();
                prepare().await;
                client.remove_dir(server.url("d")).await.unwrap();
                prepare().await;
                client.remove_file(&new).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_is_started_again() {
    let server = Server::anonymous().start();
    let port = server.port();
    let client = anonymous();
    assert!(client.stat(server.url_root()).await.unwrap().is_dir());
    client.put(server.url("f")).await.unwrap().finish().await.unwrap();
    drop(server);
    let error = client.stat(format!("ftp://127.0.0.1:{port}/")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    let server = Server::anonymous().port(port).start();
    assert!(client.stat(server.url_root()).await.unwrap().is_dir());
    std::fs::write(server.dir().join("f"), "new").unwrap();
    assert_eq!(client.get(server.url("f")).await.unwrap().bytes().await.unwrap(), "new");
}

#[tokio::test]
async fn a_pipeline_survives_the_death_of_its_sessions() {
    let server = Server::anonymous().start();
    let mut files = files(&server, 600, 60_000);
    for n in [100, 301] {
        files[n].0 = server.url(format!("missing{n}"));
    }
    let client = anonymous();
    let mut many = client.get_many(files.iter().map(|(url, _)| url)).await.unwrap();
    let mut seen = HashMap::new();
    let mut lost = 0;
    while let Some(mut file) = many.next_file().await.unwrap() {
        let index = file.index();
        if index == 50 || index == 350 {
            assert!(signal_sessions(&server, Signal::KILL) > 0);
        }
        let result = file.bytes().await;
        assert!(seen.insert(index, ()).is_none(), "{index} came twice");
        match result {
            Ok(contents) => assert_eq!(sha256(&contents), files[index].1, "{index}"),
            Err(error) if [100, 301].contains(&index) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            }
            Err(error) => {
                // Only what was under way is told as lost, and as something to be asked for again.
                assert!(error.is_transient(), "{index}: {error}");
                assert_eq!(error.url().unwrap().to_string(), files[index].0);
                lost += 1;
            }
        }
    }
    assert_eq!(seen.len(), 600, "each file has its result");
    assert!(lost <= 2, "{lost} files were lost with 2 sessions");
}

#[tokio::test]
async fn files_of_a_pipeline_that_nobody_reads() {
    let server = Server::anonymous().start();
    let files = files(&server, 300, 200_000);
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    let mut many = client.get_many(files.iter().map(|(url, _)| url)).await.unwrap();
    let mut next = 0;
    while let Some(file) = many.next_file().await.unwrap() {
        assert_eq!(file.index(), next);
        // None of it is read: every file is thrown away unread, and the next one is still right.
        drop(file);
        next += 1;
        if next % 50 == 0
            && let Some(mut file) = many.next_file().await.unwrap()
        {
            assert_eq!(file.index(), next);
            assert_eq!(sha256(&file.bytes().await.unwrap()), files[next].1);
            next += 1;
        }
    }
    assert_eq!(next, 300);
    drop(many);
    let got = client.get(&files[7].0).mode(TransferMode::ExtendedBlock).await.unwrap().bytes().await.unwrap();
    assert_eq!(sha256(&got), files[7].1);
    assert_eq!(client.metrics().connects, 1, "{:?}", client.metrics());
}
