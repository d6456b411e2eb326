//! Looking up names: a resolver that does not answer.
//!
//! In a network of its own, where nothing but loopback is, and with a `resolv.conf` of its own, which names a port that
//! takes questions and says nothing.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use gridftp::options::Timeouts;
use gridftp::{Client, ErrorKind, ListFormat, Phase, Side, TimeoutKind};
use gridftp_lab::packages::{IP, UNSHARE};
use gridftp_lab::{Pulse, Server};

const INSIDE: &str = "GRIDFTP_TEST_MUTE_RESOLVER";

/// Runs `body` where every lookup of a name that is not in a file is a question to `resolver`, which answers nothing.
fn with_mute_resolver(test: &str, body: impl FnOnce(UdpSocket)) {
    if std::env::var_os(INSIDE).is_some() {
        let resolver = UdpSocket::bind("127.0.0.1:53").unwrap();
        resolver.set_nonblocking(true).unwrap();
        body(resolver);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (resolv, switch) = (folder.path().join("resolv.conf"), folder.path().join("nsswitch.conf"));
    std::fs::write(&resolv, "nameserver 127.0.0.1\noptions timeout:10 attempts:3\n").unwrap();
    std::fs::write(&switch, "hosts: files dns\n").unwrap();
    let mut command = Command::new(UNSHARE.program().unwrap());
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let script = "\"$0\" link set lo up && mount --bind \"$1\" /etc/resolv.conf && \
                  mount --bind \"$2\" /etc/nsswitch.conf && shift 2 && exec \"$@\"";
    command
        .args(["--net", "--mount", "--", "sh", "-c", script])
        .arg(IP.program().unwrap())
        .args([resolv, switch]);
    command.arg(std::env::current_exe().unwrap());
    let status = command
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in its own network: {status}");
}

fn client(limit: Duration) -> Client {
    Client::builder().timeouts(Timeouts::default().connect(limit)).build().unwrap()
}

/// The runtime of the test, whose threads for blocking work are few, as in a program that does not block much.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .enable_all()
        .build()
        .unwrap()
}

fn is_mute_lookup(error: &gridftp::Error) {
    assert_eq!(
        (error.kind(), error.side(), error.phase(), error.is_transient()),
        (ErrorKind::Timeout(TimeoutKind::Connect), Some(Side::Local), Phase::Resolve, true),
        "{error:?}"
    );
}

#[test]
fn a_resolver_that_does_not_answer_is_given_up_at_the_deadline() {
    with_mute_resolver("names::a_resolver_that_does_not_answer_is_given_up_at_the_deadline", |resolver| {
        let limit = Duration::from_secs(1);
        let runtime = runtime();
        runtime.block_on(async {
            let client = client(limit);
            for what in ["size", "get", "list"] {
                let begun = Pulse::start();
                let url = format!("ftp://mute-{what}.example.org/f");
                let error = match what {
                    "size" => client.size(&url).await.unwrap_err(),
                    "get" => client.get(&url).await.map(drop).unwrap_err(),
                    _ => client.list_raw(&url, ListFormat::Names).await.map(drop).unwrap_err(),
                };
                let took = begun.elapsed();
                println!("{what}: {error}, after {took:.2?}");
                is_mute_lookup(&error);
                assert!(took + begun.missed() >= limit && took < limit + Duration::from_secs(1), "{took:?}");
            }
        });
        assert!(resolver.recv(&mut [0; 512]).is_ok(), "nobody was asked: the test shows nothing");
        // The lookups are still under way, and nobody waits for them.
        let begun = Pulse::start();
        drop(runtime);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    });
}

/// A thousand lookups that nobody answers: the program's own blocking work goes on, and so does work with servers whose names
/// are known.
#[test]
fn many_dead_names_hold_nobody_else_up() {
    with_mute_resolver("names::many_dead_names_hold_nobody_else_up", |_resolver| {
        let limit = Duration::from_secs(3);
        runtime().block_on(async {
            let server = Server::anonymous().start();
            std::fs::write(server.dir().join("f"), "f").unwrap();
            let client = client(limit);
            let begun = Pulse::start();
            let dead = (0..1000).map(|n| {
                let client = client.clone();
                tokio::spawn(async move { client.size(format!("ftp://dead{n}.example.org/f")).await })
            });
            let dead: Vec<_> = dead.collect();
            tokio::task::yield_now().await;
            let others = Pulse::start();
            tokio::task::spawn_blocking(|| std::fs::read("/proc/self/stat").unwrap()).await.unwrap();
            tokio::fs::read("/proc/self/stat").await.unwrap();
            assert_eq!(client.size(server.url("f")).await.unwrap(), 1);
            let others = others.elapsed();
            for ended in join_all(dead).await {
                is_mute_lookup(&ended.unwrap().unwrap_err());
            }
            let took = begun.elapsed();
            let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
            println!("1000 dead names: ended after {took:.2?} with {threads} threads; others were served in {others:.2?}");
            assert!(took < limit + Duration::from_secs(1), "{took:?}");
            assert!(others < limit / 2, "{others:?}");
            assert!(threads < 64, "{threads}");
        });
    });
}
