//! Every transfer ends by its limits, whatever the server does; protected ones are protected in all they move.

use std::fs;
use std::future::IntoFuture as _;
use std::time::{Duration, Instant};

use gridftp::options::{ProtectionLevel, Timeouts};
use gridftp::transfer::{Preserve, Retry, Verify};
use gridftp::{Client, ErrorKind, TimeoutKind};
use gridftp_lab::Server;
use gridftp_lab::forest::manifest;
use gridftp_lab::hostile::{Act, Hostile, Play, Step};
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

/// What becomes of the upload of one large file, and how soon.
async fn upload(client: &Client, from: &std::path::Path, to: String) -> (gridftp::Error, Duration) {
    let begun = Instant::now();
    let once = Retry::default().attempts(1);
    let transfer = client.transfer(from.to_str().unwrap(), to).retry(once).into_future();
    let ended = tokio::time::timeout(Duration::from_secs(40), transfer).await.expect("an end");
    let error = ended.and_then(|report| report.check().map(drop)).unwrap_err();
    (error, begun.elapsed())
}

#[tokio::test]
async fn a_large_file_on_its_way_out_ends_by_its_limits_whatever_is_said_meanwhile() {
    let here = tempfile::tempdir().unwrap();
    let large = here.path().join("large");
    gridftp_lab::write_random(&large, 9, 64 << 20).unwrap();
    let limit = Duration::from_secs(3);
    let timeouts = Timeouts::default().reply(limit).first_byte(limit).stall(limit);
    let client = Client::builder().timeouts(timeouts).build().unwrap();

    // A server that takes nothing more, and goes on telling of what it has: every five seconds (112).
    let server = Server::anonymous().start();
    let longer = Duration::from_secs(7);
    let patient = Client::builder().timeouts(timeouts.stall(longer)).build().unwrap();
    let fault = Fault::new(Where::EveryData, Way::ToServer, 300_000, What::Stall);
    let proxy = Proxy::before(&server).with(fault).start();
    let (error, took) = upload(&patient, &large, proxy.url(server.dir().join("up"))).await;
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Stall), "{error}");
    assert!(took < 3 * longer, "{took:?}");

    // The data connections break, and nobody says why.
    let after = Step::Data { after: 1 << 20 };
    let play = || Play::new().folder("/d").at(after, Act::Reset);
    let mute = Hostile::start(play().at(Step::Final, Act::Silence));
    let (error, took) = upload(&client, &large, mute.url("/d/up")).await;
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    assert!(took < 6 * limit, "{took:?}");
    assert!(!mute.exists("/d/up"));

    // The server says why.
    let full = Hostile::start(Play::new().folder("/d").at(after, Act::reply("452 No space left")));
    let (error, took) = upload(&client, &large, full.url("/d/up")).await;
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(took < 6 * limit, "{took:?}");
    assert!(!full.exists("/d/up"));
}
