//! What a transfer says about what bounded it.

use std::time::Duration;

use gridftp::transfer::{Bound, Concurrency, RateLimit, Why};
use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};
use gridftp_lab::{Server, sha256_file, write_random};

use crate::support::anonymous as client;

#[tokio::test]
async fn what_is_held_back_is_told_from_what_is_slow() {
    let server = Server::anonymous().start();
    let from = server.dir().join("f");
    let hash = write_random(&from, 3, 24 << 20).unwrap();
    let here = tempfile::tempdir().unwrap();
    let to = here.path().join("f");
    // Nobody asked.
    let report = client().transfer(server.url("f"), &to).await.unwrap();
    assert!(report.explanation().is_none());

    let limit = RateLimit::new(16 << 20).unwrap();
    let limited = client().transfer(server.url("f"), &to).rate_limit(limit).explain(true);
    let report = limited.concurrency(Concurrency::Fixed(2)).await.unwrap();
    report.check().unwrap();
    let explanation = report.explanation().unwrap();
    assert_eq!(explanation.bound, Bound::RateLimit, "{explanation}");
    let evidence = &explanation.evidence;
    assert!(
        evidence.waited_for_limit > evidence.waited_for_network + evidence.waited_for_disk,
        "{explanation}"
    );
    assert_eq!((evidence.bytes, evidence.files), (24 << 20, 1));
    let chosen: Vec<_> = explanation.choices.iter().map(|choice| (choice.sessions, choice.why)).collect();
    assert_eq!(chosen, [(2, Why::Asked)]);

    // A server that sends slowly, in both directions.
    for upload in [false, true] {
        let way = if upload { Way::ToServer } else { Way::ToClient };
        let slow = Fault::new(Where::EveryData, way, 0, What::Throttle(8 << 20));
        let proxy = Proxy::before(&server).with(slow).start();
        let transfer = match upload {
            false => client().transfer(proxy.url(&from), &to),
            true => client().transfer(&to, proxy.url(server.dir().join("g"))),
        };
        let report = transfer.concurrency(Concurrency::Fixed(1)).explain(true).await.unwrap();
        report.check().unwrap();
        let explanation = report.explanation().unwrap();
        assert_eq!(explanation.bound, Bound::Server, "upload {upload}: {explanation}");
        let evidence = &explanation.evidence;
        assert!(evidence.waited_for_network > Duration::from_secs(1), "{explanation}");
        let connections = evidence.connections.as_ref().unwrap();
        assert!(connections.count >= 1 && connections.packets > 100, "{explanation}");
        assert_eq!(explanation.choices[0].why, Why::Asked, "{explanation}");
        assert!(explanation.to_string().starts_with("bounded by the server: "), "{explanation}");
    }
    assert_eq!(sha256_file(&to).unwrap(), hash);
    assert_eq!(sha256_file(&server.dir().join("g")).unwrap(), hash);
}

#[tokio::test]
async fn what_is_over_at_once_is_bounded_by_its_round_trips() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("f"), b"12345").unwrap();
    let delays = (0..80).map(|step| Fault::new(Where::Control(0), Way::ToClient, step * 20, DELAY));
    let proxy = delays.fold(Proxy::before(&server), gridftp_lab::proxy::Builder::with).start();
    let here = tempfile::tempdir().unwrap();
    let to = here.path().join("f");
    let report = client().transfer(proxy.url(server.dir().join("f")), &to).explain(true).await.unwrap();
    let explanation = report.explanation().unwrap();
    assert_eq!(explanation.bound, Bound::Latency, "{explanation}");
    assert!(explanation.evidence.round_trip >= Duration::from_millis(10), "{explanation}");
    assert_eq!(std::fs::read(&to).unwrap(), b"12345");
}

const DELAY: What = What::Delay(Duration::from_millis(15));
