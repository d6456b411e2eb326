//! Processes that end while operations run: at once, and as they were told to.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Mutex;
use std::time::Duration;

use gridftp::options::TransferMode;
use gridftp::{Bytes, Client};
use gridftp_lab::{Server, random_bytes};
use rustix::process::{Pid, Signal};
use tokio::runtime::{Builder, Runtime};

use super::child::{NOW, end_of, told};
use crate::support::builder;

/// The engine may be in the middle of a step; a process that hangs would be noticed after much more than this.
const LIMIT: Duration = Duration::from_secs(4);

/// What is in here is never dropped.
static KEPT: Mutex<Option<(Runtime, Client)>> = Mutex::new(None);

/// Operations of every kind, over and over, from many tasks, until the process ends.
fn busy(runtime: &Runtime, client: &Client, base: &str) {
    for task in 0..12_u64 {
        let (client, base) = (client.clone(), base.to_owned());
        runtime.spawn(async move {
            for round in 0.. {
                let mode = if round % 2 == 0 { TransferMode::Stream } else { TransferMode::ExtendedBlock };
                let big = format!("{base}/big");
                let to = format!("{base}/put-{task}-{round}");
                match task % 6 {
                    0 | 1 => drop(client.get(big).mode(mode).await.unwrap().bytes().await),
                    2 => {
                        let mut put = client.put(to).mode(mode).await.unwrap();
                        put.write(Bytes::from(vec![7; 3_000_000])).await.unwrap();
                        put.finish().await.unwrap();
                    }
                    3 => drop(client.stat(big).await.unwrap()),
                    4 => while client.list(&base).next_entry().await.unwrap().is_none() {},
                    _ => drop(client.third_party(big, to).mode(mode).await.unwrap().join().await),
                }
            }
        });
    }
}

fn runtime(current_thread: bool) -> Runtime {
    let mut builder =
        if current_thread { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// The child's part: is busy, says so, and ends.
fn child(step: &str, base: &str) {
    let (how, moment) = step.rsplit_once(' ').unwrap();
    let moment = Duration::from_millis(moment.parse().unwrap());
    let runtime = runtime(how.contains("current"));
    let client = builder().build().unwrap();
    busy(&runtime, &client, base);
    let wait = async move {
        tokio::time::sleep(moment).await;
        println!("{NOW}");
    };
    match how.split('/').next().unwrap() {
        "exit" => {
            runtime.block_on(wait);
            std::process::exit(7);
        }
        "exit in a task" => {
            runtime.block_on(async move {
                tokio::spawn(async move {
                    wait.await;
                    std::process::exit(7);
                })
                .await
                .unwrap();
            });
        }
        "exit in a thread" => {
            runtime.block_on(async move {
                let _ = tokio::task::spawn_blocking(move || {
                    std::thread::sleep(moment);
                    println!("{NOW}");
                    std::process::exit(7);
                })
                .await;
            });
        }
        "return" => {
            runtime.block_on(wait);
            *KEPT.lock().unwrap() = Some((runtime, client));
        }
        "return and drop" => {
            runtime.block_on(wait);
            drop((runtime, client));
        }
        "panic" => runtime.block_on(async {
            wait.await;
            panic!("as the test asks for");
        }),
        "panic in a task" => runtime.block_on(async {
            let ended = tokio::spawn(async move {
                wait.await;
                panic!("as the test asks for");
            });
            assert!(ended.await.unwrap_err().is_panic());
            // The program may go on after that, and here it does.
            client.stat(format!("{base}/big")).await.unwrap();
            *KEPT.lock().unwrap() = None;
        }),
        "shutdown" => runtime.block_on(async {
            wait.await;
            // Given up in the middle: the engine is still at it when the process ends.
            let _ = tokio::time::timeout(Duration::from_micros(300), gridftp::shutdown(LIMIT)).await;
            std::process::exit(7);
        }),
        "signal" => runtime.block_on(async {
            wait.await;
            std::future::pending::<()>().await;
        }),
        other => panic!("no such step: {other}"),
    }
}

#[test]
fn a_process_ends_at_once_and_with_its_own_code() {
    const TEST: &str = "cancel::exits::a_process_ends_at_once_and_with_its_own_code";
    if let Some((step, urls)) = told() {
        return child(&step, &urls[0]);
    }
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("big"), random_bytes(1, 8_000_000)).unwrap();
    let urls = [server.url("")];
    let urls = [urls[0].trim_end_matches('/').to_owned()];
    let (mut count, mut slowest) = (0, Duration::ZERO);
    let ways = [
        ("exit", Some(7)),
        ("exit in a task", Some(7)),
        ("exit in a thread", Some(7)),
        ("return", Some(0)),
        ("return and drop", Some(0)),
        // What the test harness makes of a panic of its test.
        ("panic", Some(101)),
        ("panic in a task", Some(0)),
        ("shutdown", Some(7)),
        ("signal", None),
    ];
    for (how, code) in ways {
        for flavor in ["current", "multi"] {
            for moment in [0, 7, 45, 160] {
                let step = format!("{how}/{flavor} {moment}");
                let ended = end_of(TEST, &step, &urls, |pid| {
                    if code.is_none() {
                        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                        rustix::process::kill_process(pid, Signal::TERM).unwrap();
                    }
                });
                match code {
                    Some(code) => assert_eq!(ended.status.code(), Some(code), "{step}: {ended:?}"),
                    None => assert_eq!(ended.status.signal(), Some(15), "{step}: {ended:?}"),
                }
                assert!(ended.took < LIMIT, "{step}: {ended:?}");
                slowest = slowest.max(ended.took);
                count += 1;
            }
        }
    }
    println!(
        "{count} processes ended in the middle of their work, each with its own code; the slowest took {slowest:?}"
    );
}
