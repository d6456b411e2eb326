//! The end of the engine while operations run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gridftp::{ErrorKind, engine_metrics};
use gridftp_lab::Random;

use super::load::{MIX, Site};
use crate::support::{alone, builder, eventually, open_descriptors, trusting};

const LIMIT: Duration = Duration::from_secs(15);

/// Everything under way ends, whichever way; what needs the engine is an error from then on, and the rest goes on.
async fn everything_ends(site: Arc<Site>, before_anything: usize) {
    let client = site.client(builder());
    gridftp::init().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    let mut random = Random::new(3);
    let ended = Arc::new(AtomicBool::new(false));
    for _ in 0..8 {
        for kind in MIX.iter().map(|(kind, _)| *kind) {
            let (site, client, ended) = (Arc::clone(&site), client.clone(), Arc::clone(&ended));
            let mut random = Random::new(random.next());
            // Again and again: a quick machine is through with all of them once before anybody has looked.
            tasks.spawn(async move {
                loop {
                    let result = site.work(&client, kind, &mut random).await;
                    if ended.load(Ordering::Acquire) || result.is_err() {
                        return result;
                    }
                }
            });
        }
    }
    eventually("data moves, or a login is in the middle of its handshake", || {
        let m = engine_metrics();
        m.registered > 0 && m.bytes_written > 100_000 || m.contexts > 3
    })
    .await;
    ended.store(true, Ordering::Release);
    let begun = Instant::now();
    assert!(gridftp::shutdown(LIMIT).await, "something was still open after {LIMIT:?}");
    let engine = begun.elapsed();
    // Once more does no harm.
    assert!(gridftp::shutdown(LIMIT).await);
    let all = async {
        let (mut well, mut failed) = (0, 0);
        while let Some(ended) = tasks.join_next().await {
            if ended.unwrap().is_ok() { well += 1 } else { failed += 1 }
        }
        (well, failed)
    };
    let (well, failed) =
        tokio::time::timeout(Duration::from_secs(30), all).await.expect("all operations end");
    println!("the engine ended within {engine:?}; {well} operations ended well, {failed} with an error");
    let m = engine_metrics();
    assert_eq!(
        (m.ports, m.registered, m.buffers_out, m.strays, m.panics, m.contexts),
        (0, 0, 0, 0, 0, 0),
        "{m:?}"
    );
    let error = client.put(site.first.url("own-late")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    drop(client);
    eventually("sessions end", || site.connections() == 0).await;
    // The engine's pipes stay: C may still look at them.
    eventually("descriptors come back", || open_descriptors() <= before_anything + 8).await;
}

#[test]
fn a_shutdown_ends_what_is_under_way() {
    alone("cancel::shutdown::a_shutdown_ends_what_is_under_way", || async {
        let site = Site::anonymous();
        let before = open_descriptors();
        everything_ends(Arc::clone(&site), before).await;
        // Metadata on ftp:// needs no engine.
        let client = site.client(builder());
        client.stat(site.first.url("big")).await.unwrap();
    });
}

#[test]
fn a_shutdown_ends_gsi_logins_under_way() {
    trusting("cancel::shutdown::a_shutdown_ends_gsi_logins_under_way", |pki| async move {
        let site = Site::gsi(&pki);
        let before = open_descriptors();
        everything_ends(Arc::clone(&site), before).await;
        let error = site.client(builder()).stat(site.first.url("big")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    });
}
