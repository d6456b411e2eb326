//! Every transfer ends by its limits, whatever the server does; protected ones are protected in all they move.

use std::fs;
use std::future::IntoFuture as _;
use std::time::{Duration, Instant};

use gridftp::Client;
use gridftp::options::{ProtectionLevel, Timeouts};
use gridftp::transfer::{Preserve, Retry, Verify};
use gridftp_lab::Server;
use gridftp_lab::forest::manifest;
use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};

use crate::support::{anonymous, trusting, with_proxy};
use crate::temporaries;

fn plant(root: &std::path::Path) {
    fs::create_dir_all(root.join("sub")).unwrap();
    for n in 0..30 {
        fs::write(root.join("sub").join(format!("f{n}")), vec![b'x'; 3000 + n]).unwrap();
    }
    gridftp_lab::write_random(&root.join("large"), 1, 5 << 20).unwrap();
}

/// One transfer with a server that falls silent; tells how long it took, and whether it noticed.
async fn silent(
    server: &Server,
    here: &std::path::Path,
    way: &str,
    number: usize,
    (at, place): (u64, Where),
) -> (Duration, bool) {
    let limit = Duration::from_millis(400);
    let timeouts =
        Timeouts::default().connect(limit).reply(limit).first_byte(limit).stall(limit).checksum(limit);
    let direction = if place == Where::EveryData && way != "down" { Way::ToServer } else { Way::ToClient };
    let proxy = Proxy::before(server).with(Fault::new(place, direction, at, What::BlackHole)).start();
    let copy = format!("{way}{number}");
    let (from, to) = match way {
        "up" => (here.join("tree").display().to_string(), proxy.url(server.dir().join(&copy))),
        "down" => (proxy.url(server.dir().join("tree")), here.join(&copy).display().to_string()),
        _ => (server.url("tree"), proxy.url(server.dir().join(&copy))),
    };
    let client = Client::builder().timeouts(timeouts).build().unwrap();
    let transfer = client.transfer(&from, &to).recursive(true).retry(Retry::never()).concurrency(2);
    let begun = Instant::now();
    let ended =
        tokio::time::timeout(Duration::from_secs(30), transfer.verify(Verify::Checksum).into_future()).await;
    let result = ended.unwrap_or_else(|_| panic!("{way} with silence at {at} of {place:?} hangs"));
    let took = begun.elapsed();
    // Whatever is said to be there is there.
    let root = if way == "down" { here.join(&copy) } else { server.dir().join(&copy) };
    match result {
        Ok(report) if report.is_complete() => {
            assert_eq!(manifest(&root, true).unwrap().len(), 32, "{way} {at} {place:?}");
            (took, false)
        }
        Ok(report) => {
            assert!(
                report.errors().iter().all(|error| error.is_transient() || error.url().is_some()),
                "{report:?}"
            );
            (took, true)
        }
        Err(error) => {
            assert!(error.is_transient(), "{way} {at} {place:?}: {error}");
            (took, true)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_at_any_point_is_given_up() {
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    plant(&server.dir().join("tree"));
    plant(&here.path().join("tree"));
    let (mut noticed, mut slowest) = (0, Duration::ZERO);
    // Bytes of the control channel behind which nothing more comes: in the greeting, the login, among the answers of pipelines.
    let points = (0..12).map(|n: u64| (n * n * 31, Where::EveryControl));
    let data = [0, 5_000, 70_000].map(|at| (at, Where::EveryData));
    for (number, point) in points.chain(data).enumerate() {
        let one = |way| silent(&server, here.path(), way, number, point);
        let (up, down, between) = tokio::join!(one("up"), one("down"), one("between"));
        for (took, silence) in [up, down, between] {
            slowest = slowest.max(took);
            noticed += u64::from(silence);
        }
    }
    println!("{noticed} silent transfers ended, the slowest after {} ms", slowest.as_millis());
    assert!(noticed > 25, "{noticed}");
}

#[test]
fn private_trees_go_both_ways_and_between() {
    trusting("endings::private_trees_go_both_ways_and_between", |pki| async move {
        let (one, two) = (Server::gsi(&pki).start(), Server::gsi(&pki).start());
        let client = with_proxy(&pki);
        let here = tempfile::tempdir().unwrap();
        plant(&here.path().join("tree"));
        // Under GSI names may have any bytes.
        fs::write(here.path().join("tree/gr\u{f6}\u{df}e \u{65e5}"), "wide").unwrap();
        let copies = [
            (here.path().join("tree").display().to_string(), one.url("up")),
            (one.url("up"), two.url("between")),
            (two.url("between"), here.path().join("down").display().to_string()),
        ];
        for (from, to) in copies {
            let transfer = client.transfer(&from, &to).recursive(true).preserve(Preserve::ALL);
            let report =
                transfer.protection(ProtectionLevel::Private).verify(Verify::Checksum).await.unwrap();
            report.check().unwrap_or_else(|error| panic!("{from} {to}: {error}"));
        }
        let sent = manifest(&here.path().join("tree"), true).unwrap();
        assert_eq!(sent, manifest(&here.path().join("down"), true).unwrap());
        assert_eq!(sent, manifest(&two.dir().join("between"), true).unwrap());
        assert!(temporaries(&two.dir()).is_empty() && temporaries(&one.dir()).is_empty());
    });
}

#[tokio::test]
async fn a_server_that_never_overwrites_is_helped() {
    use crate::strict::Strict;
    let here = tempfile::tempdir().unwrap();
    for size in [1000, 3 << 20] {
        let old = [("/f".to_owned(), b"old".to_vec())].into();
        let strict = Strict::start(old).await;
        gridftp_lab::write_random(&here.path().join("f"), 1, size).unwrap();
        let report = anonymous().transfer(here.path().join("f"), strict.url("f")).await.unwrap();
        report.check().unwrap();
        let files = strict.state.lock().unwrap().files.clone();
        assert_eq!(files.len(), 1, "{:?}", files.keys());
        assert_eq!(files["/f"], fs::read(here.path().join("f")).unwrap());
    }
}
