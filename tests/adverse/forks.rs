//! `fork` in the host program: the child is told at once, the parent goes on, and what is exec'ed inherits nothing.

use std::time::{Duration, Instant};

use fork::{Fork, fork};
use gridftp::{Bytes, Client, ErrorKind};
use gridftp_lab::{Pki, Server, random_bytes};

use crate::support::{alone, anonymous, trusting, with_proxy};

/// Waits for a child, and tells its exit code.
fn code_of(child: i32) -> i32 {
    let child = rustix::process::Pid::from_raw(child).unwrap();
    let begun = Instant::now();
    loop {
        let found = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::NOHANG).unwrap();
        if let Some((_, status)) = found {
            return status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0));
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the child hangs");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a child finds, as an exit code: 0 where everything it asks for is refused at once, in the words for it.
fn ask_in_child(client: &Client, url: &str) -> i32 {
    // A runtime of its own: its parent's has no threads here.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return 20 };
    let refused = |result: gridftp::Result<()>, code: i32| match result {
        Err(error) if error.kind() == ErrorKind::InvalidInput && error.to_string().contains("forked") => 0,
        Err(error) => {
            eprintln!("{error:?}");
            code
        }
        Ok(()) => code,
    };
    let begun = Instant::now();
    let mut codes = vec![
        refused(gridftp::init(), 21),
        refused(runtime.block_on(client.size(url)).map(drop), 22),
        refused(runtime.block_on(async { client.get(url).await }).map(drop), 23),
        refused(runtime.block_on(async { client.put(url).await }).map(drop), 24),
    ];
    if let Ok(other) = Client::new() {
        codes.push(refused(runtime.block_on(other.size(url)).map(drop), 25));
        drop(other);
    }
    // At once, on a busy machine too; every limit of a deadline is longer.
    if begun.elapsed() > Duration::from_secs(5) {
        return 26;
    }
    codes.into_iter().find(|code| *code != 0).unwrap_or(0)
}

/// Forks in the middle of transfers. The child asks, drops what it has and exits; the parent's transfers are right.
#[test]
fn a_child_is_told_and_the_parent_goes_on() {
    alone("forks::a_child_is_told_and_the_parent_goes_on", async || {
        // A thread that is in no runtime while it forks.
        std::thread::spawn(fork_in_the_middle).join().unwrap();
        let metrics = gridftp::engine_metrics();
        assert_eq!((metrics.panics, metrics.strays, metrics.lost_buffers), (0, 0, 0), "{metrics:?}");
    });
}

fn fork_in_the_middle() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = Server::anonymous().start();
    let contents = random_bytes(5, 8_000_000);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let url = server.url("f");
    let client = anonymous();
    for round in 0..5 {
        let get = client.get(&url).parallelism(if round % 2 == 0 { 1 } else { 2 });
        let mut get = runtime.block_on(async { get.await }).unwrap();
        let first = runtime.block_on(get.next_block()).unwrap().unwrap();
        let mut put = runtime.block_on(async { client.put(server.url("new")).await }).unwrap();
        runtime.block_on(put.write(Bytes::from(contents[..4_000_000].to_vec()))).unwrap();
        match fork().unwrap() {
            Fork::Child => {
                let mut code = ask_in_child(&client, &url);
                // A transfer that the parent began.
                if let Ok(own) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    let asked = own.block_on(get.next_block());
                    if !asked.is_err_and(|error| error.to_string().contains("forked")) && code == 0 {
                        code = 27;
                    }
                }
                drop((get, put, client));
                // Nothing of the test harness may run here.
                std::process::exit(code);
            }
            Fork::Parent(child) => assert_eq!(code_of(child), 0, "round {round}"),
        }
        assert_eq!(runtime.block_on(client.size(&url)).unwrap(), 8_000_000);
        let check = |block: &gridftp::Block| {
            let at = usize::try_from(block.offset).unwrap();
            assert!(contents[at..at + block.data.len()] == block.data[..]);
            block.data.len()
        };
        let mut got = check(&first);
        while let Some(block) = runtime.block_on(get.next_block()).unwrap() {
            got += check(&block);
        }
        assert_eq!(got, contents.len());
        runtime.block_on(put.write(Bytes::from(contents[4_000_000..].to_vec()))).unwrap();
        runtime.block_on(put.finish()).unwrap();
        assert_eq!(std::fs::read(server.dir().join("new")).unwrap(), contents);
    }
}

/// The child of a program with one thread runs on in the parent's runtime, and throws it away.
#[test]
fn a_child_may_drop_what_the_parent_uses() {
    alone("forks::a_child_may_drop_what_the_parent_uses", async || {
        let server = Server::anonymous().start();
        std::fs::write(server.dir().join("f"), "f").unwrap();
        let url = server.url("f");
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let client = anonymous();
            runtime.block_on(client.size(&url)).unwrap();
            let connects = client.metrics().connects;
            for round in 0..3 {
                match fork().unwrap() {
                    Fork::Child => {
                        let told = runtime.block_on(client.size(&url)).is_err();
                        drop(client);
                        drop(runtime);
                        std::process::exit(i32::from(!told));
                    }
                    Fork::Parent(child) => assert_eq!(code_of(child), 0, "round {round}"),
                }
                assert_eq!(runtime.block_on(client.size(&url)).unwrap(), 1);
            }
            assert_eq!(client.metrics().connects, connects, "the child broke the parent's connection");
        });
        thread.join().unwrap();
    });
}

/// Programs that are started in the middle of transfers inherit no connection: neither control nor data, neither connected
/// nor accepted.
#[test]
fn programs_started_meanwhile_inherit_no_connection() {
    trusting("forks::programs_started_meanwhile_inherit_no_connection", async |pki: Pki| {
        use gridftp::options::{ProtectionLevel, TransferMode};
        let plain = Server::anonymous().start();
        let secure = Server::gsi(&pki).start();
        let contents = random_bytes(6, 20_000_000);
        let mut begun = Vec::new();
        for (server, client) in [(&plain, anonymous()), (&secure, with_proxy(&pki))] {
            std::fs::write(server.dir().join("f"), &contents).unwrap();
            for (mode, parallelism) in crate::support::WAYS {
                for level in [ProtectionLevel::Clear, ProtectionLevel::Private] {
                    if level == ProtectionLevel::Private && std::ptr::eq(server, &raw const plain) {
                        continue;
                    }
                    let get = client.get(server.url("f")).mode(mode).parallelism(parallelism);
                    let mut get = get.protection(level).await.unwrap();
                    get.next_block().await.unwrap().unwrap();
                    begun.push(get);
                }
            }
            let put = client.put(server.url("new")).mode(TransferMode::ExtendedBlock).parallelism(2);
            let mut put = put.await.unwrap();
            put.write(Bytes::from_static(b"x")).await.unwrap();
            drop(put);
        }
        let mine = sockets("/proc/self/fd");
        // What is started is `ls`, which shows what it has got.
        let output = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
        let inherited: Vec<_> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter(|l| l.contains("socket:"))
            .map(str::to_owned)
            .collect();
        println!("{} sockets here, {} in a program that was started", mine, inherited.len());
        assert!(mine >= 2 * begun.len(), "{mine}");
        assert!(inherited.is_empty(), "{inherited:?}");
    });
}

fn sockets(folder: &str) -> usize {
    let links =
        std::fs::read_dir(folder).unwrap().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}
