//! Processes that run out of descriptors, and processes with thousands of connections.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gridftp::options::TransferMode;
use gridftp::{Bytes, Client, ErrorKind, Phase, Side};
use gridftp_lab::{Pki, Server, random_bytes};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use crate::support::{alone, anonymous, builder, eventually, open_descriptors, trusting, with_proxy};

fn set_limit(files: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum }).unwrap();
}

/// Takes so many descriptors, or all that there are.
fn hold(most: usize) -> Vec<OwnedFd> {
    let first = rustix::io::dup(std::io::stdin()).unwrap();
    let mut held = vec![first];
    while held.len() < most
        && let Ok(next) = rustix::io::dup(&held[0])
    {
        held.push(next);
    }
    held
}

fn too_many<T: std::fmt::Debug>(result: gridftp::Result<T>, phase: Phase) {
    let error = result.unwrap_err();
    assert_eq!(
        (error.kind(), error.side(), error.phase()),
        (ErrorKind::TooManyOpenFiles, Some(Side::Local), phase),
        "{error:?}"
    );
    assert!(error.is_transient(), "{error:?}");
}

/// K1: with all numbers below 1024 taken, commands go on and data channels are refused, before and after the engine's start.
#[test]
fn data_channels_are_refused_where_only_numbers_above_1023_are_left() {
    alone("descriptors::data_channels_are_refused_where_only_numbers_above_1023_are_left", async || {
        let server = Server::anonymous().start();
        let contents = random_bytes(1, 300_000);
        std::fs::write(server.dir().join("f"), &contents).unwrap();
        let client = anonymous();
        let url = server.url("f");
        set_limit(4096);
        let held = hold(1100);
        too_many(gridftp::init(), Phase::DataSetup);
        assert_eq!(client.size(&url).await.unwrap(), 300_000);
        for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
            too_many(client.get(&url).mode(mode).await.map(drop), Phase::DataSetup);
            too_many(client.put(server.url("new")).mode(mode).await.map(drop), Phase::DataSetup);
        }
        drop(held);
        gridftp::init().unwrap();
        assert_eq!(client.get(&url).await.unwrap().bytes().await.unwrap(), contents);
        let held = hold(1100);
        for (mode, parallelism) in crate::support::WAYS {
            // What is refused to Globus may be given to others: receivers of ours do not use select().
            let got = client.get(&url).mode(mode).parallelism(parallelism).await.unwrap();
            assert!(got.bytes().await.unwrap() == contents);
            too_many(client.put(server.url("new")).mode(mode).await.map(drop), Phase::DataSetup);
        }
        assert_eq!(client.size(&url).await.unwrap(), 300_000);
        drop(held);
        for (mode, parallelism) in crate::support::WAYS {
            let get = client.get(&url).mode(mode).parallelism(parallelism).await.unwrap();
            assert_eq!(get.bytes().await.unwrap(), contents);
        }
        assert_eq!(gridftp::engine_metrics().panics, 0);
    });
}

/// Not one descriptor is left, at each place that needs one.
#[test]
fn each_place_that_needs_a_descriptor_says_so() {
    trusting("descriptors::each_place_that_needs_a_descriptor_says_so", async |pki: Pki| {
        let plain = Server::anonymous().start();
        let secure = Server::gsi(&pki).start();
        // The hard limit as well: the engine raises the other one.
        setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum: Some(256) }).unwrap();
        std::fs::write(plain.dir().join("f"), "f").unwrap();
        // One session: where a transfer's has not been given back yet, the next would need another connection.
        let client = builder().sessions_per_endpoint(1).build().unwrap();
        let url = plain.url("f");
        let by_name = url.replace("127.0.0.1", "localhost");

        let held = hold(usize::MAX);
        too_many(gridftp::init(), Phase::DataSetup);
        too_many(client.size(&url).await, Phase::Connect);
        too_many(client.size(&by_name).await, Phase::Resolve);
        too_many(with_proxy(&pki).size(secure.url("f")).await.map(drop), Phase::Credential);
        drop(held);

        // With the session and the engine there, data connections need more. A server that was told already, and waits for them in
        // vain, is left: so each has a session that was there before.
        assert_eq!(client.size(&url).await.unwrap(), 1);
        gridftp::init().unwrap();
        for (mode, parallelism) in crate::support::WAYS {
            for put in [false, true] {
                assert_eq!(client.size(&url).await.unwrap(), 1);
                let held = hold(usize::MAX);
                assert_eq!(client.size(&url).await.unwrap(), 1);
                if put {
                    let put = client.put(plain.url("new")).mode(mode).parallelism(parallelism);
                    too_many(put.await.map(drop), Phase::DataSetup);
                } else {
                    let get = client.get(&url).mode(mode).parallelism(parallelism);
                    too_many(get.await.map(drop), Phase::DataSetup);
                }
                drop(held);
            }
        }

        // A credential that is in memory already: the handshake reads certificates, and needs a descriptor for each.
        let pem = std::fs::read(pki.proxy()).unwrap();
        let proxy = gridftp::Credential::from_pem(pem).unwrap();
        let client_in_memory = builder().credential(proxy).build().unwrap();
        let mut held = hold(usize::MAX);
        held.truncate(held.len() - 2);
        let error = client_in_memory.exists(secure.url("f")).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.side()),
            (ErrorKind::TooManyOpenFiles, Some(Side::Local)),
            "{error:?}"
        );
        drop(held);
        assert!(!client_in_memory.exists(secure.url("f")).await.unwrap());
        assert_eq!(client.get(&url).await.unwrap().bytes().await.unwrap(), "f");
        assert_eq!(gridftp::engine_metrics().panics, 0);
    });
}

/// A small limit and a crowd: each transfer is right or refused, and when the crowd is gone all is as before.
#[test]
fn a_crowd_under_a_small_limit_is_served_or_refused() {
    alone("descriptors::a_crowd_under_a_small_limit_is_served_or_refused", async || {
        let server = Server::anonymous().start();
        let contents = random_bytes(2, 600_000);
        std::fs::write(server.dir().join("f"), &contents).unwrap();
        gridftp::init().unwrap();
        let client = builder().sessions_per_endpoint(30).build().unwrap();
        client.size(server.url("f")).await.unwrap();
        set_limit(open_descriptors() as u64 + 24);
        let mut refused = 0;
        for round in 0..3 {
            let all = (0..60).map(|n| {
                let (client, url, to) = (&client, server.url("f"), server.url(format!("new{n}")));
                let contents = &contents;
                async move {
                    if n % 3 == 2 {
                        let mut put = client.put(to).parallelism(if n % 2 == 0 { 1 } else { 2 }).await?;
                        put.write(Bytes::copy_from_slice(contents)).await?;
                        put.finish().await?;
                    } else {
                        let get = client.get(url).parallelism(if n % 2 == 0 { 1 } else { 3 }).await?;
                        assert_eq!(get.bytes().await?, contents);
                    }
                    gridftp::Result::Ok(())
                }
            });
            for result in join_all(all).await {
                if let Err::<(), gridftp::Error>(error) = result {
                    refused += 1;
                    assert_eq!(error.kind(), ErrorKind::TooManyOpenFiles, "round {round}: {error:?}");
                }
            }
        }
        println!("a crowd of 180 under a small limit: {refused} refused, the others right");
        assert!(refused > 0, "the limit was not small enough to be met");
        assert_eq!(client.get(server.url("f")).await.unwrap().bytes().await.unwrap(), contents);
        drop(client);
        eventually("ports are free", || gridftp::engine_metrics().ports == 0).await;
    });
}

/// A server that costs little: every session is a task, and all data connections go to one listener, where they are held until
/// so many are there.
struct Light {
    port: u16,
    sessions: Arc<AtomicUsize>,
    data: Arc<AtomicUsize>,
    /// Closed while data connections are to be held.
    gate: Arc<Semaphore>,
}

const ENDPOINTS: usize = 10;
const LIGHT_FILE: usize = 300_000;

impl Light {
    async fn start() -> Self {
        let (control, data) = (listener(), listener());
        let port = data.local_addr().unwrap().port();
        let light = Self {
            port: control.local_addr().unwrap().port(),
            sessions: Arc::default(),
            data: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        };
        let sessions = Arc::clone(&light.sessions);
        let passed = Arc::new(Semaphore::new(0));
        let pass = Arc::clone(&passed);
        tokio::spawn(async move {
            while let Ok((stream, _)) = control.accept().await {
                let (sessions, pass) = (Arc::clone(&sessions), Arc::clone(&pass));
                tokio::spawn(async move {
                    sessions.fetch_add(1, Ordering::SeqCst);
                    // Who leaves in the middle is none of this test's cases.
                    let _ = converse(stream, port, &pass).await;
                    sessions.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        let (there, gate) = (Arc::clone(&light.data), Arc::clone(&light.gate));
        let file = Arc::new(random_bytes(3, LIGHT_FILE));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = data.accept().await {
                let (there, gate, file, passed) =
                    (Arc::clone(&there), Arc::clone(&gate), Arc::clone(&file), Arc::clone(&passed));
                tokio::spawn(async move {
                    there.fetch_add(1, Ordering::SeqCst);
                    let _open = gate.acquire().await.unwrap();
                    let _ = stream.write_all(&file).await;
                    drop(stream);
                    there.fetch_sub(1, Ordering::SeqCst);
                    // Some to spare: those who were refused may take one with them.
                    passed.add_permits(2);
                });
            }
        });
        light
    }

    fn url(&self, name: usize) -> String {
        // Several addresses of the one server: a client has at most 256 sessions with each.
        format!("ftp://127.0.0.{}:{}/f{name}", 1 + name % ENDPOINTS, self.port)
    }
}

/// Room for all of them: what a full queue drops looks connected to the client, which is not the first to speak.
fn listener() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
    socket.listen(4096).unwrap()
}

async fn converse(stream: TcpStream, port: u16, passed: &Semaphore) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 light\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let reply = match line.split([' ', '\r']).next().unwrap_or_default() {
            "USER" => "331 go on\r\n".to_owned(),
            "PASS" => "230 in\r\n".to_owned(),
            "PASV" => format!("227 here (127,0,0,1,{},{})\r\n", port / 256, port % 256),
            "SIZE" => format!("213 {LIGHT_FILE}\r\n"),
            "RETR" => {
                stream.get_mut().write_all(b"150 it comes\r\n").await?;
                // Who goes away in the middle takes nothing with it.
                tokio::select! {
                    passed = passed.acquire() => passed.unwrap().forget(),
                    _ = stream.fill_buf() => continue,
                }
                "226 done\r\n".to_owned()
            }
            "TYPE" | "MODE" => "200 yes\r\n".to_owned(),
            "QUIT" => return stream.get_mut().write_all(b"221 bye\r\n").await,
            _ => "500 what?\r\n".to_owned(),
        };
        stream.get_mut().write_all(reply.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

fn example(name: &str) -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let path = me.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is not there: run `cargo build --examples` first", path.display());
    path
}

fn raise_limit() {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(1 << 20);
    assert!(limit >= 4096, "this test needs 4096 descriptors, the hard limit is {limit}");
    set_limit(limit.min(16 * 1024));
}

const PAIRS: usize = 1500;

/// One process of the example `concurrent` has 1,500 sessions and 1,500 data connections open at the same time.
#[test]
fn a_shipped_program_has_3000_live_connections() {
    alone("descriptors::a_shipped_program_has_3000_live_connections", async || {
        raise_limit();
        let light = Light::start().await;
        let begun = Instant::now();
        let mut child = tokio::process::Command::new(example("concurrent"));
        child.arg("-n").arg((PAIRS / ENDPOINTS).to_string()).args((0..PAIRS).map(|n| light.url(n)));
        let mut child = child.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let files = format!("/proc/{}/fd", child.id().unwrap());
        let (sessions, data) = (Arc::clone(&light.sessions), Arc::clone(&light.data));
        let all = async {
            while sessions.load(Ordering::SeqCst) < PAIRS || data.load(Ordering::SeqCst) < PAIRS {
                assert!(child.try_wait().unwrap().is_none(), "the program ended before all were there");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let there = tokio::time::timeout(Duration::from_secs(100), all).await;
        let (sessions, data) = (light.sessions.load(Ordering::SeqCst), light.data.load(Ordering::SeqCst));
        let open = std::fs::read_dir(&files).map_or(0, Iterator::count);
        let highest = std::fs::read_dir(files)
            .into_iter()
            .flatten()
            .filter_map(|f| f.ok()?.file_name().to_str()?.parse().ok());
        let highest: u32 = highest.max().unwrap_or(0);
        println!(
            "one process: {sessions} sessions and {data} data connections live, {open} descriptors, the highest {highest}, \
             after {:.1} s",
            begun.elapsed().as_secs_f64()
        );
        light.gate.add_permits(PAIRS);
        let output =
            tokio::time::timeout(Duration::from_secs(100), child.wait_with_output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            there.is_ok() && output.status.success(),
            "{}: {}",
            output.status,
            &said[..said.len().min(2000)]
        );
        let right = said.lines().filter(|line| line.ends_with(&format!(": {LIGHT_FILE} bytes"))).count();
        assert_eq!(right, PAIRS);
        assert!(open >= 2 * PAIRS, "{open}");
        println!("all {right} files are right after {:.1} s", begun.elapsed().as_secs_f64());
    });
}

/// The same load where glibc's check is in force, as it is in this program. Puts are refused then (above); gets go on.
#[test]
fn gets_need_no_low_descriptors() {
    alone("descriptors::gets_need_no_low_descriptors", async || {
        raise_limit();
        let light = Light::start().await;
        // Descriptors that stay, so that what is left below 1024 is soon used up.
        let held = hold(300);
        let client = Client::builder().sessions_per_endpoint(30).build().unwrap();
        let refused = AtomicUsize::new(0);
        let all = (0..300).map(|n| {
            let (client, url, refused) = (&client, light.url(n), &refused);
            async move {
                let end = async { client.get(&url).await?.bytes().await }.await;
                match end {
                    Ok(bytes) => assert_eq!(bytes.len(), LIGHT_FILE),
                    Err(error) => {
                        refused.fetch_add(1, Ordering::SeqCst);
                        too_many(Err::<(), _>(error), Phase::DataSetup);
                    }
                }
            }
        });
        let open = async {
            while refused.load(Ordering::SeqCst) + light.data.load(Ordering::SeqCst) < 300 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            light.gate.add_permits(300);
        };
        tokio::join!(join_all(all), open);
        let refused = refused.into_inner();
        // With glibc's check in force: the connections of gets never meet select().
        assert_eq!(refused, 0);
        drop(held);
    });
}

/// The shipped program works however many files it is handed.
#[test]
fn the_program_copies_when_a_thousand_files_are_open() {
    alone("descriptors::the_program_copies_when_a_thousand_files_are_open", async || {
        raise_limit();
        let server = Server::anonymous().start();
        let contents = random_bytes(4, 3_000_000);
        std::fs::write(server.dir().join("f"), &contents).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // Made without close-on-exec, so that the child has them too.
        let held = hold(1200);
        for options in [vec![], vec!["-fast"], vec!["-p", "4"]] {
            let to = folder.path().join("f");
            let _ = std::fs::remove_file(&to);
            for (from, to) in [
                (server.url("f"), format!("file://{}", to.display())),
                (format!("file://{}", to.display()), server.url("back")),
            ] {
                let output =
                    Command::new(example("gridftp-cp")).args(&options).arg(from).arg(to).output().unwrap();
                assert!(output.status.success(), "{options:?}: {output:?}");
            }
            assert_eq!(std::fs::read(&to).unwrap(), contents);
            assert_eq!(std::fs::read(server.dir().join("back")).unwrap(), contents);
        }
        assert!(held.len() == 1200);
    });
}
