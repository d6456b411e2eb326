use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Clock};

use crate::client::{Client, SessionOptions};
use crate::options::Timeouts;
use crate::session::testing::{Peer, Server, ordinary_answer, until};
use crate::{ErrorKind, TimeoutKind, Url};

fn url(server: &Server, path: &str) -> Url {
    Url::parse(&server.url(path)).unwrap()
}

fn none() -> SessionOptions {
    SessionOptions::default()
}

/// Runs everything at once and gives back the results.
async fn all<T: Send + 'static>(
    work: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = work.map(tokio::spawn).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_questions_need_few_sessions() {
    let server = Server::start(Peer::behave).await;
    let client = Client::new().unwrap();
    let questions = (0..10_000_u64).map(|n| {
        let (client, url) = (client.clone(), server.url(&format!("/f/{n}")));
        async move { (n, client.size(url).await) }
    });
    for (n, size) in all(questions).await {
        assert_eq!(size.unwrap(), n);
    }
    assert!(server.connections() <= 4, "{} connections", server.connections());
    let metrics = client.metrics();
    assert_eq!((metrics.operations_running, metrics.operations_waiting), (0, 0));
    assert_eq!(metrics.logins, metrics.connects);
}

#[tokio::test]
async fn exclusive_sessions_are_limited_and_used_again() {
    let server = Server::start(Peer::behave).await;
    let client = Client::builder().sessions_per_endpoint(3).build().unwrap();
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (now, most) = (std::sync::Arc::new(now), std::sync::Arc::new(most));
    let work = (0..200).map(|_| {
        let (client, url) = (client.clone(), url(&server, "/f/7"));
        let (now, most) = (now.clone(), most.clone());
        async move {
            let session = client.exclusive(&url, &none()).await.unwrap();
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let reply =
                session.control.command(crate::protocol::command::Command::new("NOOP")).await.unwrap();
            assert_eq!(reply.code(), 200);
            now.fetch_sub(1, Ordering::SeqCst);
        }
    });
    all(work).await;
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert!(server.connections() <= 3, "{} connections", server.connections());
}

#[tokio::test]
async fn those_who_wait_are_served_in_order() {
    let server = Server::start(Peer::behave).await;
    let client = Client::builder().sessions_per_endpoint(1).build().unwrap();
    let url = url(&server, "/");
    let held = client.exclusive(&url, &none()).await.unwrap();
    let (order, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let waiting = client.clone();
    for n in 0..50_u64 {
        let (client, url, order) = (client.clone(), url.clone(), order.clone());
        tokio::spawn(async move {
            let _session = client.exclusive(&url, &none()).await.unwrap();
            order.send(n).unwrap();
        });
        until("it waits", || waiting.metrics().operations_waiting == n + 1).await;
    }
    drop((held, order));
    let mut got = Vec::new();
    while let Some(n) = seen.recv().await {
        got.push(n);
    }
    assert_eq!(got, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_broken_session_is_not_given_to_anybody() {
    let server = Server::start(Peer::behave).await;
    let client = Client::new().unwrap();
    let url = url(&server, "/");
    let mut session = client.exclusive(&url, &none()).await.unwrap();
    session.mark_broken();
    drop(session);
    let session = client.exclusive(&url, &none()).await.unwrap();
    assert!(!session.is_reused());
    drop(session);
    let mut session = client.exclusive(&url, &none()).await.unwrap();
    assert!(session.is_reused());
    assert_eq!(server.connections(), 2);
    session.mark_broken();
    session.mark_clean();
    drop(session);
    client.size(server.url("/f/3")).await.unwrap();
    assert_eq!(server.connections(), 2, "an idle session serves questions too");
}

#[tokio::test]
async fn questions_and_transfers_take_turns_on_one_session() {
    let server = Server::start(Peer::behave).await;
    let client = Client::new().unwrap();
    for n in 0..20_u64 {
        assert_eq!(client.size(server.url(&format!("/f/{n}"))).await.unwrap(), n);
        drop(client.exclusive(&url(&server, "/"), &none()).await.unwrap());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_failed_login_is_the_answer_for_all_who_wait() {
    let server = Server::start(|mut peer: Peer| async move {
        peer.say("220 ready\r\n").await;
        while peer.line().await.is_some() {
            peer.say("530 Login incorrect.\r\n").await;
        }
    })
    .await;
    let client = Client::new().unwrap();
    let questions = (0..2000).map(|_| {
        let (client, url) = (client.clone(), server.url("/f/1"));
        async move { client.size(url).await }
    });
    for result in all(questions).await {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Authentication);
    }
    assert!(server.connections() <= 8, "{} logins were tried", server.connections());
    let transfers = (0..2000).map(|_| {
        let (client, url) = (client.clone(), url(&server, "/f/1"));
        async move { client.exclusive(&url, &none()).await.map(drop) }
    });
    for result in all(transfers).await {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Authentication);
    }
    assert!(server.connections() <= 40, "{} logins were tried", server.connections());
}

#[tokio::test]
async fn a_server_that_takes_two_sessions_serves_everybody_with_two() {
    let server = Server::start(|mut peer: Peer| async move {
        if peer.number < 2 {
            peer.behave().await;
        } else {
            peer.say("421 Too many connections.\r\n").await;
        }
    })
    .await;
    let client = Client::new().unwrap();
    let work = (0..100).map(|_| {
        let (client, url) = (client.clone(), url(&server, "/"));
        async move {
            let session = client.exclusive(&url, &none()).await?;
            session.control.command(crate::protocol::command::Command::new("NOOP")).await
        }
    });
    for result in all(work).await {
        assert_eq!(result.unwrap().code(), 200);
    }
}

#[tokio::test]
async fn idle_sessions_are_closed_with_a_farewell() {
    let (lines, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut peer: Peer| {
        let lines = lines.clone();
        async move {
            peer.say("220 ready\r\n").await;
            while let Some(line) = peer.line().await {
                peer.say(ordinary_answer(&line)).await;
                lines.send(line).unwrap();
            }
        }
    })
    .await;
    let client = Client::builder().idle_timeout(Duration::from_millis(100)).build().unwrap();
    for _ in 0..2 {
        client.size(server.url("/f/1")).await.unwrap();
        drop(client.exclusive(&url(&server, "/"), &none()).await.unwrap());
        while seen.recv().await.unwrap() != "QUIT" {}
        until("it is closed", || client.metrics().sessions_open == 0).await;
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn the_last_client_takes_its_sessions_along() {
    let server = Server::start(Peer::behave).await;
    let client = Client::new().unwrap();
    let lease = client.exclusive(&url(&server, "/"), &none()).await.unwrap();
    client.size(server.url("/f/1")).await.unwrap();
    let counters = client.inner.common.counters.clone();
    assert_eq!(counters.open.get(), 2);
    drop(client);
    until("the idle one is closed", || counters.open.get() == 1).await;
    assert!(lease.control.is_open());
    drop(lease);
    until("the other one is closed", || counters.open.get() == 0).await;
}

#[tokio::test]
async fn a_question_on_a_session_that_died_is_asked_again() {
    // Every session answers one question and dies of the second.
    let server = Server::start(|mut peer: Peer| async move {
        peer.say("220 ready\r\n").await;
        let mut questions = 0;
        while let Some(line) = peer.line().await {
            questions += usize::from(line.starts_with("SIZE") || line.starts_with("MKD"));
            if questions > 1 {
                return;
            }
            peer.say(ordinary_answer(&line)).await;
        }
    })
    .await;
    let client = Client::new().unwrap();
    for n in 0..10_u64 {
        assert_eq!(client.size(server.url(&format!("/f/{n}"))).await.unwrap(), n);
    }
    assert_eq!(server.connections(), 10);
    // What changes something is not done twice.
    let error = client.create_dir(server.url("/d")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    assert!(error.may_have_applied());
    assert!(error.url().unwrap().to_string().ends_with("/d"));
}

#[tokio::test]
async fn a_session_the_server_closed_is_not_used() {
    let server = Server::start(|mut peer: Peer| async move {
        peer.say("220 ready\r\n").await;
        while let Some(line) = peer.line().await {
            peer.say(ordinary_answer(&line)).await;
            if line.starts_with("SIZE") {
                peer.say("421 Idle timeout, closing\r\n").await;
                return;
            }
        }
    })
    .await;
    let client = Client::new().unwrap();
    client.size(server.url("/f/1")).await.unwrap();
    until("the end is seen", || client.metrics().sessions_open == 0).await;
    client.create_dir(server.url("/d")).await.unwrap();
    drop(client.exclusive(&url(&server, "/"), &none()).await.unwrap());
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn waiting_ends_with_the_limit_for_operations() {
    let server = Server::start(|mut peer: Peer| async move {
        peer.until_closed().await;
    })
    .await;
    let timeouts = Timeouts::default().total(Duration::from_millis(100));
    let client = Client::builder().timeouts(timeouts).build().unwrap();
    let begun = Clock::now();
    let error = client.create_dir(server.url("/d")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Total));
    assert!(!error.may_have_applied(), "nothing was sent");
    assert!(begun.elapsed() < Duration::from_secs(10));

    let server = Server::start(|mut peer: Peer| async move {
        peer.say("220 ready\r\n").await;
        while let Some(line) = peer.line().await {
            if !line.starts_with("MKD") {
                peer.say(ordinary_answer(&line)).await;
            }
        }
    })
    .await;
    let error = client.create_dir(server.url("/d")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Total));
    assert!(error.may_have_applied(), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_give_up_take_nothing_with_them() {
    let server = Server::start(Peer::behave).await;
    let client = Client::builder().sessions_per_endpoint(2).build().unwrap();
    for round in 0..300_u64 {
        let limit = Duration::from_micros(round * 20 % 3000);
        let work = (0..20_u64).map(|n| {
            let (client, url) = (client.clone(), url(&server, &format!("/f/{n}")));
            tokio::time::timeout(limit, async move {
                if n % 2 == 0 {
                    client.size(&url).await.map(drop).unwrap();
                } else {
                    drop(client.exclusive(&url, &none()).await.unwrap());
                }
            })
        });
        all(work).await;
    }
    assert_eq!(client.size(server.url("/f/5")).await.unwrap(), 5);
    drop(client.exclusive(&url(&server, "/"), &none()).await.unwrap());
    let metrics = client.metrics();
    assert_eq!((metrics.operations_running, metrics.operations_waiting), (0, 0));
    assert!(server.connections() <= 4, "{} connections", server.connections());
}

#[test]
fn each_runtime_has_its_own_sessions() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let servers = runtime();
    let server = servers.block_on(Server::start(Peer::behave));
    let client = Client::new().unwrap();
    for _ in 0..3 {
        let runtime = runtime();
        for n in 0..3 {
            assert_eq!(runtime.block_on(client.size(server.url(&format!("/f/{n}")))).unwrap(), n);
        }
        // Also with somebody in the middle of something.
        runtime.spawn({
            let (client, url) = (client.clone(), url(&server, "/f/1"));
            async move {
                let _lease = client.exclusive(&url, &none()).await.unwrap();
                std::future::pending::<()>().await;
            }
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
    }
    let last = runtime();
    assert_eq!(last.block_on(client.size(server.url("/f/8"))).unwrap(), 8);
    drop(last);
    // Without a runtime there is an error, not a panic.
    let outside = std::pin::pin!(client.size(server.url("/f/8")));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match outside.poll(&mut context) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn users_do_not_share_sessions() {
    let (users, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut peer: Peer| {
        let users = users.clone();
        async move {
            peer.say("220 ready\r\n").await;
            while let Some(line) = peer.line().await {
                peer.say(ordinary_answer(&line)).await;
                if let Some(user) = line.strip_prefix("USER ") {
                    users.send(user.to_owned()).unwrap();
                }
            }
        }
    })
    .await;
    let client = Client::new().unwrap();
    for user in ["", "a:x@", "b:x@", "a:y@", "a:x@"] {
        client.size(format!("ftp://{user}{}/f/1", server.address)).await.unwrap();
    }
    let mut names = Vec::new();
    while let Ok(name) = seen.try_recv() {
        names.push(name);
    }
    assert_eq!(names, ["anonymous", "a", "b", "a"]);
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), 3);
}

#[tokio::test]
async fn unused_pools_are_forgotten() {
    let server = Server::start(Peer::behave).await;
    let client = Client::builder().idle_timeout(Duration::ZERO).build().unwrap();
    for n in 0..300 {
        client.size(format!("ftp://user{n}:x@{}/f/1", server.address)).await.unwrap();
        until("it is closed", || client.metrics().sessions_open == 0).await;
    }
    let pools = client.inner.pools.lock().unwrap().by_key.len();
    assert!(pools <= 65, "{pools} pools");
}

#[tokio::test]
async fn a_rename_is_two_commands_in_one_breath() {
    let (bursts, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut peer: Peer| {
        let bursts = bursts.clone();
        async move {
            peer.say("220 ready\r\n").await;
            loop {
                let burst = peer.burst().await;
                if burst.is_empty() {
                    return;
                }
                for line in burst.lines() {
                    peer.say(ordinary_answer(line)).await;
                }
                bursts.send(burst).unwrap();
            }
        }
    })
    .await;
    let client = Client::new().unwrap();
    client.rename(server.url("/a"), server.url("/b")).await.unwrap();
    seen.recv().await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "RNFR /a\r\nRNTO /b\r\n");
    let error = client.rename(server.url("/a"), "ftp://elsewhere/b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("elsewhere"), "{error}");
}

#[test]
fn operations_can_be_moved_between_threads() {
    fn check<T: Send>(_: &T) {}
    fn shared<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    let client = Client::new().unwrap();
    shared(&client);
    let url = "ftp://localhost/";
    check(&client.stat(url));
    check(&client.exists(url));
    check(&client.size(url));
    check(&client.modified(url));
    check(&client.features(url));
    check(&client.create_dir(url));
    check(&client.remove_dir(url));
    check(&client.remove_file(url));
    check(&client.rename(url, url));
    assert!(size_of_val(&client.stat(url)) <= 2048, "{}", size_of_val(&client.stat(url)));
}
