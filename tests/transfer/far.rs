//! Large files from servers that are far away: over several connections where they can be had, over many where those get slow.

use std::path::Path;
use std::time::{Duration, Instant};

use gridftp::Client;
use gridftp::transfer::{Concurrency, Why};
use gridftp_lab::proxy::{Builder, Fault, Proxy, Way, What, Where};
use gridftp_lab::{Server, sha256_file, write_random};

/// A server whose answers take a while: those to the login, and to the first question.
fn far(server: &Server) -> Builder {
    let delays = (0..60).map(|step| Fault::new(Where::Control(0), Way::ToClient, 200 + step * 30, DELAY));
    delays.fold(Proxy::before(server), Builder::with)
}

const DELAY: What = What::Delay(Duration::from_millis(15));

fn data_connections(proxy: &Proxy) -> usize {
    proxy.passed().iter().filter(|passed| matches!(passed.connection, Where::Data(_))).count()
}

fn client(address: &str) -> Client {
    let address = address.parse::<std::net::IpAddr>().unwrap();
    Client::builder().data_address(address).build().unwrap()
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_large_file_comes_over_several_connections_where_they_can_be_had() {
    let server = Server::anonymous().start();
    let from = server.dir().join("f");
    let hash = write_random(&from, 5, 40 << 20).unwrap();
    let here = tempfile::tempdir().unwrap();
    // A gateway that hands nothing on: nobody listens there.
    for (address, several) in [("127.0.0.1", true), ("127.0.0.2", false)] {
        let proxy = far(&server).start();
        let to = here.path().join(address);
        let report = client(address).transfer(proxy.url(&from), &to).await.unwrap();
        report.check().unwrap();
        assert_eq!(sha256_file(&to).unwrap(), hash);
        assert_eq!((report.retries(), report.bytes_moved()), (0, 40 << 20), "{address}: {report:?}");
        let connections = data_connections(&proxy);
        assert_eq!(connections >= 4, several, "{address}: {connections} data connections");
    }
    // Near by, and where a number was chosen, that is left alone.
    for (proxy, chosen, most) in [
        (Proxy::before(&server).start(), None, 2),
        (far(&server).start(), Some(1), 2),
        (far(&server).start(), Some(3), 3),
    ] {
        let to = here.path().join(format!("{most}{chosen:?}"));
        client("127.0.0.1")
            .transfer(proxy.url(&from), &to)
            .parallelism(chosen)
            .await
            .unwrap()
            .check()
            .unwrap();
        assert_eq!(sha256_file(&to).unwrap(), hash);
        let connections = data_connections(&proxy);
        assert!(connections <= most, "{chosen:?}: {connections} data connections");
    }
    assert_eq!(entries(here.path()), 5);
}

#[tokio::test]
async fn connections_that_get_slow_are_not_waited_for() {
    let server = Server::anonymous().start();
    let from = server.dir().join("f");
    let hash = write_random(&from, 6, 160 << 20).unwrap();
    // Each brings two megabytes, and next to nothing from then on: the first few would take ten minutes.
    let slow = Fault::new(Where::EveryData, Way::ToClient, 2 << 20, What::Throttle(64 << 10));
    let proxy = far(&server).with(slow).start();
    let here = tempfile::tempdir().unwrap();
    let to = here.path().join("f");
    let begun = Instant::now();
    let report = client("127.0.0.1").transfer(proxy.url(&from), &to).explain(true).await.unwrap();
    report.check().unwrap();
    assert_eq!(sha256_file(&to).unwrap(), hash);
    assert_eq!(entries(here.path()), 1);
    let explanation = report.explanation().unwrap();
    let slowed = explanation.choices.iter().find(|choice| choice.why == Why::Slowed);
    assert!(slowed.is_some_and(|choice| choice.streams > 50), "{explanation}");
    assert!(begun.elapsed() < Duration::from_secs(100), "{:?}", begun.elapsed());
    let connections = data_connections(&proxy);
    assert!(connections > 50, "{connections} data connections");
}

#[tokio::test]
async fn a_large_file_goes_over_several_connections_where_they_are_taken() {
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let from = here.path().join("f");
    let hash = write_random(&from, 7, 40 << 20).unwrap();
    let folder = server.dir().join("to");
    std::fs::create_dir(&folder).unwrap();
    // One of many is cut: what is on the way may not like so many, and one has to do, in the same attempt.
    let cut = Fault::new(Where::Data(5), Way::ToServer, 1 << 20, What::Reset);
    for (name, proxy, chosen, connections, retries) in [
        ("wide", far(&server).start(), None, 8..=48, 0),
        ("cut", far(&server).with(cut).start(), None, 8..=50, 0),
        ("chosen", far(&server).start(), Some(3), 3..=3, 0),
        ("near", Proxy::before(&server).start(), None, 1..=4, 0),
    ] {
        let to = folder.join(name);
        let client = client("127.0.0.1");
        let report = client.transfer(&from, proxy.url(&to)).parallelism(chosen).await.unwrap();
        report.check().unwrap();
        assert_eq!(sha256_file(&to).unwrap(), hash, "{name}");
        assert_eq!(report.retries(), retries, "{name}");
        let found = data_connections(&proxy);
        assert!(connections.contains(&found), "{name}: {found} data connections");
        // What was begun over many was sent once more.
        let sent: u64 = proxy.passed().iter().map(|passed| passed.to_server).sum();
        assert_eq!(sent > 41 << 20, name == "cut", "{name}: {sent} bytes");
    }
    assert_eq!(entries(&folder), 4);
}

/// Where a tree is far away more sessions log in, and no more than are asked for.
#[tokio::test]
async fn sessions_for_a_tree_log_in_while_it_is_looked_at() {
    let server = Server::anonymous().start();
    let from = server.dir().join("tree");
    std::fs::create_dir(&from).unwrap();
    for n in 0..300_u64 {
        write_random(&from.join(format!("f{n}")), n, 3000).unwrap();
    }
    let here = tempfile::tempdir().unwrap();
    // The walk's session, and four for files; near by two, and as many as were asked for. A session that is free again in time
    // serves twice.
    let near = Proxy::before(&server).start();
    let proxies =
        [(far(&server).start(), None, 4..=5), (far(&server).start(), Some(2), 2..=3), (near, None, 1..=3)];
    for (case, (proxy, chosen, logins)) in proxies.into_iter().enumerate() {
        let client = client("127.0.0.1");
        let to = here.path().join(case.to_string());
        let mut transfer = client.transfer(proxy.url(&from), &to).recursive(true);
        if let Some(sessions) = chosen {
            transfer = transfer.concurrency(Concurrency::Fixed(sessions));
        }
        transfer.await.unwrap().check().unwrap();
        assert_eq!(entries(&to), 300);
        for n in 0..300 {
            let name = format!("f{n}");
            assert_eq!(std::fs::read(to.join(&name)).unwrap(), std::fs::read(from.join(&name)).unwrap());
        }
        assert!(logins.contains(&client.metrics().logins), "case {case}: {:?}", client.metrics());
    }
}
