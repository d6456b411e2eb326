//! What the C library does by callbacks, timers and error objects: futures, limits and kinds of errors.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use futures_util::StreamExt as _;
use gridftp::options::Timeouts;
use gridftp::{Client, Error, ErrorKind, Phase, Side, TimeoutKind};
use gridftp_lab::{RefusedPort, Server, random_bytes, sha256};

use crate::fake::{Data, Fake};
use crate::support::{anonymous, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn model_futures_and_streams() {
    let server = Server::anonymous().start();
    let contents = random_bytes(11, 2_000_000);
    fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    let url = server.url("f");

    // Many at once within one task, and some on other threads: no callback, no lock, nothing registered.
    let sizes = futures_util::future::join_all((0..500).map(|_| client.size(&url))).await;
    assert!(sizes.into_iter().all(|size| size.unwrap() == 2_000_000));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (client, url) = (client.clone(), url.clone());
            tokio::spawn(async move { sha256(&client.get(url).await.unwrap().bytes().await.unwrap()) })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), sha256(&contents));
    }
    // Data is a stream.
    let mut whole = vec![0; contents.len()];
    let mut blocks = client.get(&url).parallelism(3).await.unwrap();
    while let Some(block) = blocks.next().await {
        let block = block.unwrap();
        let at = usize::try_from(block.offset).unwrap();
        whole[at..at + block.data.len()].copy_from_slice(&block.data);
    }
    assert_eq!(sha256(&whole), sha256(&contents));
    // What nobody waits for any more is over, and the client as good as before.
    tokio::select! {
        biased;
        () = std::future::ready(()) => {}
        _ = client.get(&url) => unreachable!("the other branch was ready"),
    }
    drop(client.get(&url).await.unwrap());
    assert_eq!(client.size(&url).await.unwrap(), 2_000_000);
    eventually("nothing runs any more", || client.metrics().operations_running == 0).await;
}

#[track_caller]
fn passed(result: Result<impl std::fmt::Debug, Error>, kind: TimeoutKind) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(kind), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeouts() {
    let short = Duration::from_millis(200);
    let long = Duration::from_secs(60);
    let all = Timeouts::default().connect(long).reply(long).first_byte(long).stall(long);
    let with = |timeouts: Timeouts| Client::builder().timeouts(timeouts).build().unwrap();

    // Nobody greets.
    let silent = Fake::start("", |_| None).await;
    passed(with(all.connect(short)).size(silent.url("f")).await, TimeoutKind::Connect);
    // One command is not answered, whichever operation it belongs to.
    let mute = Fake::start("220 ready\r\n", |line| {
        ["SIZE", "MLST", "MKD", "RNFR", "PASV"].iter().any(|verb| line.starts_with(verb)).then(String::new)
    })
    .await;
    let client = with(all.reply(short));
    passed(client.size(mute.url("f")).await, TimeoutKind::Reply);
    passed(client.stat(mute.url("f")).await, TimeoutKind::Reply);
    passed(client.create_dir(mute.url("d")).await, TimeoutKind::Reply);
    passed(client.rename(mute.url("a"), mute.url("b")).await, TimeoutKind::Reply);
    passed(client.get(mute.url("f")).await, TimeoutKind::Reply);
    passed(client.put(mute.url("f")).await, TimeoutKind::Reply);
    // Data that does not come, and data that does not go on.
    let nothing = Fake::with_data("220 ready\r\n", |_| None, Data { bytes: b"", ends: false }).await;
    let get = with(all.first_byte(short)).get(nothing.url("f")).await.unwrap();
    passed(get.bytes().await, TimeoutKind::FirstByte);
    let get = with(all).get(nothing.url("f")).timeouts(all.first_byte(short)).await.unwrap();
    passed(get.bytes().await, TimeoutKind::FirstByte);
    // All of an operation, however it goes.
    let total = with(all.total(short));
    passed(total.size(mute.url("f")).await, TimeoutKind::Total);
    passed(total.get(mute.url("f")).await, TimeoutKind::Total);
    passed(with(all).with_timeouts(all.total(short)).size(silent.url("f")).await, TimeoutKind::Total);
}

#[tokio::test]
async fn shape_of_errors() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("f"), "hello").unwrap();
    fs::create_dir_all(server.dir().join("full/of")).unwrap();
    let client = anonymous();
    let missing = server.url("no-such-file");

    // What a program branches on, where and at whom it happened, the server's own words, and what was asked for.
    let error = client.size(&missing).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.side(), error.phase()),
        (ErrorKind::NotFound, Some(Side::Server), Phase::Command)
    );
    let reply = error.reply().unwrap();
    assert!((500..600).contains(&reply.code()), "{reply}");
    assert!(reply.lines().any(|line| line.windows(12).any(|words| words == b"No such file")), "{reply}");
    assert_eq!(error.url().unwrap().to_string(), missing);
    assert!(!error.is_transient() && !error.may_have_applied());
    assert!(
        error.to_string().contains("no-such-file") && error.to_string().contains(&reply.code().to_string())
    );

    let mut kinds = HashMap::new();
    let mut note = |name, error: Error| kinds.insert(name, error.kind());
    note("folder not empty", client.remove_dir(server.url("full")).await.unwrap_err());
    note("folder taken", client.create_dir(server.url("full")).await.unwrap_err());
    note("get of nothing", client.get(&missing).await.unwrap_err());
    note("no such folder", client.put(server.url("none/f")).await.unwrap_err());
    note("no url", client.size("gopher://h/").await.unwrap_err());
    assert_eq!(
        kinds,
        HashMap::from([
            ("folder not empty", ErrorKind::NotEmpty),
            ("folder taken", ErrorKind::AlreadyExists),
            ("get of nothing", ErrorKind::NotFound),
            ("no such folder", ErrorKind::NotFound),
            ("no url", ErrorKind::InvalidInput),
        ])
    );

    // The causes below are kept, down to the system's own.
    let port = RefusedPort::new();
    let refused = client.size(format!("ftp://127.0.0.1:{}/f", port.port())).await.unwrap_err();
    assert_eq!((refused.kind(), refused.phase()), (ErrorKind::Connect, Phase::Connect), "{refused}");
    assert!(refused.is_transient());
    let mut cause: &dyn std::error::Error = &refused;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let io = cause.downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(io.kind(), std::io::ErrorKind::ConnectionRefused);
}
