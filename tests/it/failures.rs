//! What goes wrong between here and a server: nobody there, nobody let in, nobody answering.

use std::time::Duration;

use bytes::Bytes;
use gridftp::options::TransferMode;
use gridftp::{Client, Credential, Error, ErrorKind, Get, Phase, Side, TimeoutKind};
use gridftp_lab::{RefusedPort, Server, random_bytes, sha256};
use rustix::process::Signal;

use crate::fake::{Data, Fake};
use crate::support::{
    anonymous, builder, eventually, short, signal_all, signal_sessions, trusting, with_proxy,
};

/// The same failure from an operation of every sort.
async fn every_way(client: &Client, url: &str, check: impl Fn(Error)) {
    check(client.stat(url).await.unwrap_err());
    check(client.exists(url).await.unwrap_err());
    check(client.create_dir(url).await.unwrap_err());
    check(client.rename(url, format!("{url}2")).await.unwrap_err());
    check(client.features(url).await.unwrap_err());
    check(client.get(url).await.unwrap_err());
    check(client.get(url).parallelism(4).await.unwrap_err());
    check(client.put(url).await.unwrap_err());
    check(client.get_many([url]).await.unwrap_err());
}

#[tokio::test]
async fn a_port_that_refuses() {
    let port = RefusedPort::new();
    let url = format!("ftp://127.0.0.1:{}/f", port.port());
    let client = anonymous();
    every_way(&client, &url, |error| {
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Phase::Connect), "{error}");
        assert_eq!(error.side(), Some(Side::Server));
        assert_eq!(error.url().unwrap().to_string(), url);
        assert!(error.is_transient() && !error.may_have_applied());
        assert!(error.reply().is_none());
        assert!(error.to_string().contains("refused"), "{error}");
    })
    .await;
    assert_eq!(client.metrics().sessions_open, 0);
}

#[tokio::test]
async fn a_host_that_nobody_knows() {
    let client = anonymous();
    let url = "ftp://no-such-host.invalid/f";
    every_way(&client, url, |error| {
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Resolve, Phase::Resolve), "{error}");
        assert_eq!(error.side(), Some(Side::Local));
        assert_eq!(error.url().unwrap().to_string(), url);
        assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
        // Without a resolver at hand the name may be known another time; with one, it never is.
        assert_eq!(error.is_transient(), error.to_string().to_lowercase().contains("temporary"), "{error}");
        assert!(!error.may_have_applied());
    })
    .await;
}

#[tokio::test]
async fn users_and_passwords() {
    let server = Server::with_password("lab").start();
    std::fs::write(server.dir().join("f"), "for lab only").unwrap();
    let path = server.dir().join("f").display().to_string();
    let bare = format!("ftp://127.0.0.1:{}{path}", server.port());
    let right = [
        (anonymous(), server.url("f")),
        (with_password("lab", server.password()), bare.clone()),
        (with_password("lab", server.password()), bare.replace("ftp://", "ftp://lab@")),
        // What the URL says counts.
        (with_password("lab", "wrong"), server.url("f")),
    ];
    for (client, url) in right {
        assert_eq!(client.get(&url).await.unwrap().bytes().await.unwrap(), "for lab only");
    }
    let wrong = [
        (anonymous(), bare.clone()),
        (with_password("lab", "wrong"), bare.clone()),
        (with_password("nobody", server.password()), bare.clone()),
        (anonymous(), server.url("f").replace(server.password(), "wr%40ng")),
        (anonymous(), server.url("f").replace("lab", "somebody")),
    ];
    for (client, url) in wrong {
        every_way(&client, &url, |error| {
            assert_eq!((error.kind(), error.phase()), (ErrorKind::Authentication, Phase::Login), "{error}");
            assert_eq!(error.side(), Some(Side::Server));
            assert!(!error.is_transient() && !error.may_have_applied());
            assert_eq!(error.reply().unwrap().code(), 530, "{error}");
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shown.contains(server.password()), "{shown}");
                assert!(!shown.contains("wr%40ng") && !shown.contains("wr@ng"), "{shown}");
            }
        })
        .await;
        assert_eq!(client.metrics().logins, 0);
        eventually("refused sessions are closed", || client.metrics().sessions_open == 0).await;
    }
}

fn with_password(name: &str, password: &str) -> Client {
    builder().credential(Credential::user_password(name, password).unwrap()).build().unwrap()
}

#[test]
fn users_whom_a_grid_server_does_not_know() {
    trusting("failures::users_whom_a_grid_server_does_not_know", |pki| async move {
        let server = Server::gsi(&pki).start();
        std::fs::write(pki.gridmap(), "\"/O=Lab/CN=somebody else\" root\n").unwrap();
        let client = with_proxy(&pki);
        every_way(&client, &server.url("f"), |error| {
            assert_eq!((error.kind(), error.phase()), (ErrorKind::Authorization, Phase::Login), "{error}");
            assert_eq!(error.side(), Some(Side::Server));
            assert!(!error.is_transient());
            assert!(error.to_string().contains(pki.user_subject()), "{error}");
        })
        .await;

        // Neither side falls back to what the other one wants.
        let plain = format!("ftp://localhost:{}/f", server.port());
        let error = client.stat(&plain).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Authentication, Phase::Login), "{error}");
        let open = Server::anonymous().start();
        let secured = format!("gsiftp://localhost:{}/f", open.port());
        let error = client.stat(&secured).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Unsupported, Phase::Login), "{error}");
        assert!(!error.is_transient());
    });
}

#[tokio::test]
async fn a_server_that_has_no_time() {
    let busy = Fake::start("421 Too many users, come back later\r\n", |_| None).await;
    let client = anonymous();
    every_way(&client, &busy.url("f"), |error| {
        assert_eq!((error.kind(), error.phase()), (ErrorKind::ServerBusy, Phase::Login), "{error}");
        assert_eq!(error.side(), Some(Side::Server));
        assert!(error.is_transient() && !error.may_have_applied());
        assert_eq!(error.reply().unwrap().code(), 421);
        assert!(error.to_string().contains("come back later"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_real_server_with_all_connections_taken() {
    let server = Server::anonymous().args(["-connections-max", "1"]).start();
    let first = anonymous();
    first.features(server.url_root()).await.unwrap();
    let error = anonymous().features(server.url_root()).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::ServerBusy, Phase::Login), "{error}");
    assert!(error.is_transient());
    // Who is in is not disturbed, and a client that has one connection does with it.
    std::fs::write(server.dir().join("f"), "x").unwrap();
    assert_eq!(first.size(server.url("f")).await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_no_server_of_this_kind() {
    for (greeting, kind) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", ErrorKind::Protocol),
        ("SSH-2.0-OpenSSH_9.6\r\n", ErrorKind::Protocol),
        ("999 what\r\n", ErrorKind::Protocol),
        ("220", ErrorKind::ConnectionLost),
        ("\r\n", ErrorKind::Protocol),
    ] {
        let fake = Fake::start(greeting, |_| None).await;
        let error = anonymous().stat(fake.url("f")).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (kind, Phase::Login), "{greeting:?}: {error}");
        assert_eq!(error.side(), Some(Side::Server), "{error}");
        assert_eq!(error.is_transient(), kind == ErrorKind::ConnectionLost, "{error}");
    }
}

#[tokio::test]
async fn a_server_that_keeps_silent_from_the_beginning() {
    let fake = Fake::start("", |_| None).await;
    let client = Client::builder().timeouts(short().connect(Duration::from_millis(200))).build().unwrap();
    every_way(&client, &fake.url("f"), |error| {
        assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Connect), "{error}");
        assert_eq!(error.phase(), Phase::Login);
        assert!(error.is_transient() && !error.may_have_applied());
    })
    .await;
}

#[tokio::test]
async fn a_reply_that_does_not_come() {
    let server = Server::anonymous().start();
    let client = Client::builder().timeouts(short().reply(Duration::from_millis(300))).build().unwrap();
    client.features(server.url_root()).await.unwrap();
    assert_eq!(signal_sessions(&server, Signal::STOP), 1);
    let error = client.stat(server.url("f")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::Timeout(TimeoutKind::Reply), Phase::Command),
        "{error}"
    );
    assert_eq!(error.side(), Some(Side::Server));
    assert!(error.is_transient());

    client.features(server.url_root()).await.unwrap();
    signal_sessions(&server, Signal::STOP);
    let error = client.create_dir(server.url("d")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Reply), "{error}");
    // It was sent, and nobody said what became of it.
    assert!(error.may_have_applied());
}

#[tokio::test]
async fn a_whole_operation_that_takes_too_long() {
    let server = Server::anonymous().start();
    let total = short().total(Duration::from_millis(300));
    let client = Client::builder().timeouts(total).build().unwrap();
    client.features(server.url_root()).await.unwrap();
    assert!(signal_all(&server, Signal::STOP) > 1);
    let url = server.url("f");
    for error in [
        client.stat(&url).await.unwrap_err(),
        client.create_dir(&url).await.unwrap_err(),
        client.get(&url).timeouts(total).await.unwrap_err(),
        client.put(&url).timeouts(total).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Total), "{error}");
        assert_eq!(error.url().unwrap().to_string(), url);
        assert!(error.is_transient());
    }
    // And in the middle of the data, where each step for itself is quick enough.
    let fake = some_data().await;
    let mut get = anonymous().get(fake.url("f")).timeouts(total).await.unwrap();
    let error = until_it_stops(&mut get).await;
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::Timeout(TimeoutKind::Total), Phase::Data),
        "{error}"
    );
}

#[tokio::test]
async fn data_that_does_not_come_or_does_not_go_on() {
    let none = Fake::with_data("220 hello\r\n", |_| None, Data { bytes: b"", ends: false }).await;
    let timeouts = short().first_byte(Duration::from_millis(200));
    let mut get = anonymous().get(none.url("f")).timeouts(timeouts).await.unwrap();
    let error = get.next_block().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::Timeout(TimeoutKind::FirstByte), Phase::Data),
        "{error}"
    );
    assert!(error.is_transient());
    assert_eq!(get.next_block().await.unwrap_err().kind(), error.kind(), "the same error comes again");

    let some = some_data().await;
    let timeouts = short().stall(Duration::from_millis(200));
    let mut get = anonymous().get(some.url("f")).timeouts(timeouts).await.unwrap();
    let error = until_it_stops(&mut get).await;
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::Timeout(TimeoutKind::Stall), Phase::Data),
        "{error}"
    );
    assert_eq!(error.url().unwrap().to_string(), some.url("f"));
}

/// Takes all that [`some_data`] sends, which is handed out to the last byte although more was announced, and the error behind it.
async fn until_it_stops(get: &mut Get) -> Error {
    loop {
        let before = get.received();
        match get.next_block().await {
            Ok(block) => {
                let block = block.unwrap();
                assert_eq!(block.offset, before);
                assert!(!block.data.is_empty() && block.data.iter().all(|&byte| byte == 7));
            }
            Err(error) => {
                assert_eq!(get.received(), 300_000);
                return error;
            }
        }
    }
}

/// A server that sends a part of a file, and then nothing any more.
async fn some_data() -> Fake {
    let answer = |line: &str| line.starts_with("SIZE").then(|| "213 1000000\r\n".to_owned());
    // More than one buffer, and not a whole number of them.
    Fake::with_data("220 hello\r\n", answer, Data { bytes: &[7; 300_000], ends: false }).await
}

#[tokio::test]
async fn a_stalled_real_server() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("big"), random_bytes(1, 64_000_000)).unwrap();
    let client = Client::builder().timeouts(short().stall(Duration::from_millis(500))).build().unwrap();
    for (mode, streams) in [(TransferMode::Stream, 1), (TransferMode::ExtendedBlock, 2)] {
        let mut get = client.get(server.url("big")).mode(mode).parallelism(streams).await.unwrap();
        get.next_block().await.unwrap().unwrap();
        signal_sessions(&server, Signal::STOP);
        let error = loop {
            if let Err(error) = get.next_block().await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Stall), "{mode:?}: {error}");

        let mut put = client.put(server.url("new")).mode(mode).parallelism(streams).await.unwrap();
        put.write(Bytes::from(vec![1; 1_000_000])).await.unwrap();
        signal_sessions(&server, Signal::STOP);
        let error = loop {
            if let Err(error) = put.write(Bytes::from(vec![1; 4_000_000])).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Stall), "{mode:?}: {error}");
        signal_sessions(&server, Signal::KILL);
    }
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle() {
    let server = Server::anonymous().start();
    let contents = random_bytes(1, 64_000_000);
    std::fs::write(server.dir().join("big"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in
        [(TransferMode::Stream, 1), (TransferMode::ExtendedBlock, 1), (TransferMode::ExtendedBlock, 4)]
    {
        let mut get = client.get(server.url("big")).mode(mode).parallelism(streams).await.unwrap();
        get.next_block().await.unwrap().unwrap();
        assert!(signal_sessions(&server, Signal::KILL) > 0);
        let error = loop {
            match get.next_block().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a broken get ended well, {mode:?}"),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::Truncated),
            "{mode:?}: {error}"
        );
        assert!(error.is_transient());

        let mut put = client.put(server.url("new")).mode(mode).parallelism(streams).await.unwrap();
        put.write(Bytes::from(vec![1; 1_000_000])).await.unwrap();
        assert!(signal_sessions(&server, Signal::KILL) > 0);
        let error = loop {
            if let Err(error) = put.write(Bytes::from(vec![1; 1_000_000])).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{mode:?}: {error}");
        assert!(error.is_transient());
    }
    let back = client.get(server.url("big")).await.unwrap().bytes().await.unwrap();
    assert_eq!(sha256(&back), sha256(&contents));
}

#[tokio::test]
async fn more_or_less_than_was_announced() {
    // SIZE says 10.
    for bytes in [&b"123456789"[..], b"12345678901", b""] {
        let fake = Fake::with_data("220 hello\r\n", |_| None, Data { bytes, ends: true }).await;
        let error = async { anonymous().get(fake.url("f")).await?.bytes().await }.await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Truncated, Phase::Data), "{error}");
        assert!(error.to_string().contains("announced 10 bytes"), "{error}");
        assert!(error.is_transient());
    }
    let fake = Fake::with_data("220 hello\r\n", |_| None, Data { bytes: b"1234567890", ends: true }).await;
    let right = anonymous().get(fake.url("f")).await.unwrap().bytes().await.unwrap();
    assert_eq!(right, "1234567890");
}

#[tokio::test]
async fn data_before_the_reply_does_not_fill_the_memory() {
    let server = Fake::in_a_hurry(Data { bytes: b"1234567890", ends: true }, 1).await;
    let right = anonymous().get(server.url("f")).await.unwrap().bytes().await.unwrap();
    assert_eq!(right, "1234567890");
    assert_eq!(server.sent_early(), 10);
    // More than anybody has to take who was promised nothing.
    let server = Fake::in_a_hurry(Data { bytes: &[7; 1 << 20], ends: true }, 256).await;
    let client = builder().timeouts(short().reply(Duration::from_secs(2))).build().unwrap();
    let error = client.get(server.url("f")).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout(_)), "{error}");
    // 64 blocks, and what the buffers of the kernel hold on both sides.
    let sent = server.sent_early();
    assert!((1 << 20..64 << 20).contains(&sent), "{sent}");
}

#[tokio::test]
async fn codes_without_words_decide_whether_trying_again_helps() {
    for (reply, kind, transient) in [
        ("450 x\r\n", ErrorKind::ServerBusy, true),
        ("451 x\r\n", ErrorKind::Refused, true),
        ("452 x\r\n", ErrorKind::NoSpace, true),
        ("550 x\r\n", ErrorKind::Refused, false),
        ("552 x\r\n", ErrorKind::NoSpace, false),
        ("502 x\r\n", ErrorKind::Unsupported, false),
        ("150 x\r\n550 x\r\n", ErrorKind::Refused, false),
        ("331 x\r\n", ErrorKind::Protocol, false),
    ] {
        let answer = move |line: &str| line.starts_with("SIZE").then(|| reply.to_owned());
        let fake = Fake::start("220 hello\r\n", answer).await;
        let error = anonymous().size(fake.url("f")).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{reply:?}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_closes_without_a_word_and_one_that_says_so() {
    let closing =
        |line: &str| line.starts_with("MLST").then(|| "421 Closing, no transfer for long\r\n".to_owned());
    let fake = Fake::start("220 hello\r\n", closing).await;
    let error = anonymous().stat(fake.url("f")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    assert!(error.is_transient());

    let server = Server::anonymous().start();
    let client = anonymous();
    client.features(server.url_root()).await.unwrap();
    signal_sessions(&server, Signal::STOP);
    let before = client.metrics().commands;
    let making = tokio::spawn({
        let (client, url) = (client.clone(), server.url("d"));
        async move { client.create_dir(url).await }
    });
    eventually("the command is sent", || client.metrics().commands > before).await;
    signal_sessions(&server, Signal::KILL);
    let error = making.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    assert!(error.is_transient() && error.may_have_applied(), "{error}");
}
