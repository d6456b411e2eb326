//! The core path, small and whole: put, get, lists, walks, transfers between servers, drops and failures, in clear text and
//! over GSI. Each scene plays in a process of its own, against servers that its parent runs.
//!
//! It is what the sanitizers run (`cargo xtask sanitize`): AddressSanitizer and LeakSanitizer in all of this binary, valgrind
//! in the processes of the scenes alone, where `GRIDFTP_TEST_WRAPPER` says what goes in front of their command lines.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::future_not_send, missing_docs)]

use std::ffi::OsString;
use std::future::IntoFuture as _;
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use gridftp::options::{DataChannelAuth, ProtectionLevel, Timeouts, TransferMode};
use gridftp::{Client, ClientBuilder, Credential, ErrorKind, engine_metrics};
use gridftp_lab::{Pki, RefusedPort, Server, random_bytes, sha256};

const WAYS: [(TransferMode, u16); 3] =
    [(TransferMode::Stream, 1), (TransferMode::ExtendedBlock, 1), (TransferMode::ExtendedBlock, 4)];

/// Set in the process of a scene: the URLs of the servers' folders.
const SERVERS: &str = "GRIDFTP_TEST_SERVERS";
/// A program and its arguments, with blanks between, that runs the processes of the scenes.
const WRAPPER: &str = "GRIDFTP_TEST_WRAPPER";

/// Size of the one file that is not small: several blocks of data, and a part of one.
const BIG: usize = 1_300_001;

/// What a scene needs around it.
struct Stage {
    servers: Vec<Server>,
    environment: Vec<(&'static str, OsString)>,
    /// Its files are gone when it is.
    _pki: Option<Pki>,
}

impl Stage {
    /// Two servers without passwords.
    fn anonymous() -> Self {
        let servers = vec![Server::anonymous().start(), Server::anonymous().start()];
        Self { servers, environment: Vec::new(), _pki: None }.furnished()
    }

    /// Two servers with certificates, and a proxy to log in with.
    fn gsi() -> Self {
        let pki = Pki::new();
        let servers = vec![Server::gsi(&pki).start(), Server::gsi(&pki).start()];
        let environment = pki.env().into_iter().map(|(name, value)| (name, value.into())).collect();
        Self { servers, environment, _pki: Some(pki) }.furnished()
    }

    /// The first server gets a file and a tree of small ones.
    fn furnished(self) -> Self {
        let folder = self.servers[0].dir();
        std::fs::write(folder.join("big"), random_bytes(7, BIG)).unwrap();
        for n in 0..20 {
            let folder = folder.join(format!("tree/{}", n % 3));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("small{n}")), random_bytes(n, 5000)).unwrap();
        }
        self
    }
}

/// Plays `scene` in a process of its own, with the URLs of the servers' folders.
fn play<F: Future<Output = ()>>(
    test: &str,
    stage: impl FnOnce() -> Stage,
    scene: impl FnOnce(Client, Vec<String>) -> F,
) {
    if let Ok(urls) = std::env::var(SERVERS) {
        let urls = urls.split(' ').map(str::to_owned).collect();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            scene(client().build().unwrap(), urls).await;
            at_rest().await;
        });
        return;
    }
    let stage = stage();
    let urls: Vec<_> =
        stage.servers.iter().map(|server| server.url("").trim_end_matches('/').to_owned()).collect();
    let wrapper = std::env::var(WRAPPER).unwrap_or_default();
    let program = OsString::from(std::env::current_exe().unwrap());
    let mut words = wrapper.split_whitespace().map(OsString::from).chain([program]);
    let output = Command::new(words.next().unwrap())
        .args(words)
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(SERVERS, urls.join(" "))
        .envs(stage.environment.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}: {}\n{said}\n{complained}", output.status);
    assert!(said.contains("1 passed"), "{test} did not run: is its name right?\n{said}\n{complained}");
    println!("{said}{complained}");
}

/// Limits that make a hang a failure, however slow the instrument is.
fn client() -> ClientBuilder {
    let limit = Duration::from_secs(60);
    Client::builder().timeouts(Timeouts::default().connect(limit).reply(limit).first_byte(limit).stall(limit))
}

/// Waits until the engine has nothing of ours any more, and looks at its counts.
async fn at_rest() {
    let limit = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let m = engine_metrics();
        if m.ports == 0 && m.buffers_out == 0 && m.registered == 0 {
            assert_eq!((m.strays, m.panics, m.lost_buffers), (0, 0, 0), "{m:?}");
            return;
        }
        assert!(tokio::time::Instant::now() < limit, "not at rest: {m:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A file there and back, in every mode, whole and in part.
async fn there_and_back(client: &Client, at: &str, auth: &DataChannelAuth, level: ProtectionLevel) {
    let contents = random_bytes(3, BIG);
    for (mode, streams) in WAYS {
        let url = format!("{at}/file-{streams}");
        let put = client.put(&url).mode(mode).parallelism(streams).protection(level).dcau(auth.clone());
        let mut put = put.await.unwrap();
        for piece in contents.chunks(300_000) {
            put.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        assert_eq!(put.finish().await.unwrap().bytes, BIG as u64);
        let get = client.get(&url).mode(mode).parallelism(streams).protection(level).dcau(auth.clone());
        assert_eq!(sha256(&get.await.unwrap().bytes().await.unwrap()), sha256(&contents), "{mode:?}");
        let part = client.get(&url).mode(mode).range(1000..5000).protection(level).dcau(auth.clone());
        assert_eq!(part.await.unwrap().bytes().await.unwrap(), contents[1000..5000], "{mode:?}");
    }
}

/// What is asked and changed without moving a file's contents.
async fn names(client: &Client, at: &str) {
    assert_eq!(client.stat(format!("{at}/big")).await.unwrap().size(), Some(BIG as u64));
    assert!(!client.exists(format!("{at}/none")).await.unwrap());
    client.create_dir(format!("{at}/new")).await.unwrap();
    let mut put = client.put(format!("{at}/new/a")).await.unwrap();
    put.write(Bytes::from_static(b"hello")).await.unwrap();
    put.finish().await.unwrap();
    client.rename(format!("{at}/new/a"), format!("{at}/new/b")).await.unwrap();
    let mut list = client.list(format!("{at}/new"));
    assert_eq!(list.next_entry().await.unwrap().unwrap().name(), b"b");
    assert!(list.next_entry().await.unwrap().is_none());
    assert!(client.remove_dir_all(format!("{at}/new")).await.unwrap().is_complete());
    let mut walk = client.walk(format!("{at}/tree"));
    let mut seen = 0;
    while walk.next_entry().await.unwrap().is_some() {
        seen += 1;
    }
    assert_eq!(seen, 23);
}

/// Many small files, one of which is missing.
async fn many(client: &Client, at: &str) {
    let urls = (0..21).map(|n| format!("{at}/tree/{}/small{n}", n % 3));
    let mut many = client.get_many(urls).await.unwrap();
    let (mut whole, mut missing) = (0, 0);
    while let Some(mut file) = many.next_file().await.unwrap() {
        let n = file.index();
        match file.bytes().await {
            Ok(bytes) => {
                assert_eq!(bytes, random_bytes(n as u64, 5000), "{n}");
                whole += 1;
            }
            Err(error) => {
                assert_eq!((error.kind(), n), (ErrorKind::NotFound, 20), "{error}");
                missing += 1;
            }
        }
    }
    assert_eq!((whole, missing), (20, 1));
}

/// From one server to the other, one file and several.
async fn between(client: &Client, from: &str, to: &str) {
    let transfer = client.third_party(format!("{from}/big"), format!("{to}/copy")).await.unwrap();
    assert_eq!(transfer.join().await.unwrap().size, Some(BIG as u64));
    let pairs = (0..6).map(|n| (format!("{from}/tree/{}/small{n}", n % 3), format!("{to}/s{n}")));
    let mut many = client.third_party_many(pairs).await.unwrap();
    while let Some(outcome) = many.next_outcome().await {
        assert_eq!(outcome.result.unwrap(), Some(5000));
    }
}

/// Operations dropped after every number of polls up to a few, and with data on the way.
async fn drops(client: &Client, at: &str) {
    for (mode, streams) in WAYS {
        for polls in 0..6 {
            let get = async { drop(client.get(format!("{at}/big")).mode(mode).parallelism(streams).await) };
            polled(polls, get).await;
            let put = client.put(format!("{at}/dropped")).mode(mode).parallelism(streams);
            polled(polls, async { drop(put.into_future().await) }).await;
        }
        let mut get = client.get(format!("{at}/big")).mode(mode).parallelism(streams).await.unwrap();
        get.next_block().await.unwrap().unwrap();
        drop(get);
        let mut put = client.put(format!("{at}/dropped")).mode(mode).parallelism(streams).await.unwrap();
        put.write(Bytes::from(vec![7; 400_000])).await.unwrap();
        drop(put);
    }
    let back = client.get(format!("{at}/big")).await.unwrap().bytes().await.unwrap();
    assert_eq!(sha256(&back), sha256(&random_bytes(7, BIG)));
}

/// Polls a future so many times, and drops it.
async fn polled(times: usize, future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    for _ in 0..times {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn plain() {
    play("plain", Stage::anonymous, |client, at| async move {
        there_and_back(&client, &at[0], &DataChannelAuth::Auto, ProtectionLevel::Clear).await;
        names(&client, &at[0]).await;
        many(&client, &at[0]).await;
        between(&client, &at[0], &at[1]).await;
    });
}

#[test]
fn gsi() {
    play("gsi", Stage::gsi, |client, at| async move {
        there_and_back(&client, &at[0], &DataChannelAuth::Auto, ProtectionLevel::Clear).await;
        names(&client, &at[0]).await;
        many(&client, &at[0]).await;
        between(&client, &at[0], &at[1]).await;
    });
}

#[test]
fn protected() {
    play("protected", Stage::gsi, |client, at| async move {
        there_and_back(&client, &at[0], &DataChannelAuth::OwnIdentity, ProtectionLevel::Private).await;
    });
}

#[test]
fn dropped() {
    play("dropped", Stage::anonymous, |client, at| async move { drops(&client, &at[0]).await });
}

#[test]
fn dropped_over_gsi() {
    play("dropped_over_gsi", Stage::gsi, |client, at| async move { drops(&client, &at[0]).await });
}

#[test]
fn what_fails() {
    play("what_fails", Stage::gsi, |client, at| async move {
        let missing = client.get(format!("{}/none", at[0])).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
        let refused = RefusedPort::new();
        let nobody = client.stat(format!("gsiftp://127.0.0.1:{}/f", refused.port())).await.unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::Connect, "{nobody}");
        // A credential that is none, and a password where a certificate is asked for.
        let none = self::client().credential(Credential::from_proxy_file("no-such-file")).build().unwrap();
        let error = none.stat(format!("{}/big", at[0])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        let subject = client.get(format!("{}/big", at[0])).subject("/O=Lab/CN=nobody").await.unwrap_err();
        assert_eq!(subject.kind(), ErrorKind::Authentication, "{subject}");
    });
}
