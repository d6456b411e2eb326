//! Faults by name: those that say something about what must be left, or must come again.

use std::time::Duration;

use gridftp::options::{Timeouts, TransferMode};
use gridftp::{Bytes, Client, ErrorKind, Phase, TimeoutKind};
use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};
use gridftp_lab::{Pulse, Server, random_bytes};
use rustix::process::Signal;

use crate::support::{WAYS, anonymous, builder, eventually, short, signal_sessions};

const SIZE: usize = 2_000_000;

fn fault(connection: Where, way: Way, at: u64, what: What) -> Fault {
    Fault::new(connection, way, at, what)
}

/// For cases in which nothing but a deadline can tell: a connection that ends before its first byte is not missed, and a server
/// that was told nothing says 226.
fn impatient() -> Timeouts {
    short().first_byte(Duration::from_secs(1)).stall(Duration::from_secs(1))
}

/// Whether an error may end what lost a connection after so many bytes.
fn is_loss(error: &gridftp::Error, at: u64) -> bool {
    match error.kind() {
        ErrorKind::Truncated | ErrorKind::ConnectionLost => true,
        ErrorKind::Timeout(TimeoutKind::FirstByte | TimeoutKind::Stall) => at == 0,
        _ => false,
    }
}

/// What the first control connection of a put has told the client when the put is accepted.
async fn told_until_accepted(server: &Server, mode: TransferMode) -> u64 {
    let proxy = Proxy::before(server).start();
    let put = anonymous().put(proxy.url("rehearsal")).mode(mode).await.unwrap();
    let bytes = proxy.passed()[0].to_client;
    put.abort().await.unwrap();
    std::fs::remove_file(server.dir().join("rehearsal")).unwrap();
    bytes
}

/// The file that a retry has stored is not deleted when the first attempt is cleaned up at last.
#[tokio::test]
async fn a_retry_outlives_the_cleaning_up_of_the_first_attempt() {
    tokio::join!(outlives_cleaning_up("f"), outlives_cleaning_up("renamed later"));
}

/// `retry` is what the second attempt stores to; it is renamed where that is another name.
async fn outlives_cleaning_up(retry: &str) {
    let server = Server::anonymous().start();
    let contents = Bytes::from(random_bytes(1, SIZE));
    let accepted = told_until_accepted(&server, TransferMode::Stream).await;
    // The data is cut off, and what the server says of it comes much later: in the middle of its line, as the length of an
    // address may differ by a few bytes.
    let proxy = Proxy::before(&server)
        .with(fault(Where::Data(0), Way::ToServer, 100_000, What::Reset))
        .with(fault(Where::Control(0), Way::ToClient, accepted + 6, What::Delay(Duration::from_secs(4))))
        .start();
    let client = builder().sessions_per_endpoint(2).build().unwrap();
    let url = proxy.url("f");
    let path = server.dir().join("f");
    let mut put = client.put(&url).await.unwrap();
    let error = loop {
        if let Err(error) = put.write(contents.slice(..500_000)).await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    drop(put);

    let mut put = client.put(proxy.url(retry)).await.unwrap();
    put.write(contents.clone()).await.unwrap();
    assert_eq!(put.finish().await.unwrap().bytes, SIZE as u64);
    if retry != "f" {
        client.rename(proxy.url(retry), &url).await.unwrap();
    }
    assert!(std::fs::read(&path).unwrap() == contents);
    // Two at a time need the session of the first attempt, which comes free when that is cleaned up.
    let (one, other) = tokio::join!(client.put(proxy.url("a")), client.put(proxy.url("b")));
    assert!(proxy.passed()[0].to_client > accepted + 10, "{:?}", proxy.passed());
    drop((one.unwrap(), other.unwrap()));
    assert!(std::fs::read(&path).unwrap() == contents, "the file of the retry is whole");
}

/// The same between two servers, where the first attempt has lost its session with the destination and cleans up over another.
#[tokio::test]
async fn a_retry_between_servers_outlives_the_cleaning_up_of_the_first_attempt() {
    let (from, to) = (Server::anonymous().start(), Server::anonymous().start());
    let contents = random_bytes(7, 64 * SIZE);
    std::fs::write(from.dir().join("f"), &contents).unwrap();
    let path = to.dir().join("f");
    let slow = fault(Where::Control(1), Way::ToClient, 10, What::Delay(Duration::from_secs(4)));
    let proxy = Proxy::before(&to).with(slow).start();
    let client = builder().sessions_per_endpoint(2).build().unwrap();
    let transfer = client.third_party(from.url("f"), proxy.url("f")).await.unwrap();
    eventually("it has begun", || path.metadata().is_ok_and(|file| file.len() > 0)).await;
    signal_sessions(&to, Signal::KILL);
    assert_eq!(transfer.join().await.unwrap_err().kind(), ErrorKind::ConnectionLost);
    let told = |n| {
        let passed = proxy.passed().into_iter().find(|passed| passed.connection == Where::Control(n));
        passed.map(|passed| passed.to_client)
    };
    eventually("the cleaning up has its session", || told(1).is_some()).await;

    let contents = random_bytes(8, SIZE);
    std::fs::write(from.dir().join("small"), &contents).unwrap();
    client.third_party(from.url("small"), proxy.url("f")).await.unwrap().join().await.unwrap();
    assert!(told(1) == Some(10) && told(2).is_some(), "the retry had a session of its own");
    assert!(std::fs::read(&path).unwrap() == contents);
    // Whatever is asked on the shared session comes behind the cleaning up.
    eventually("the slow session is there", || told(1) > Some(10)).await;
    assert_eq!(client.size(proxy.url("f")).await.unwrap(), contents.len() as u64);
    assert!(std::fs::read(&path).unwrap() == contents);
}

/// The server confirms a stream that was cut off like any other; the size tells, and nothing of it stays.
#[tokio::test]
async fn a_put_that_was_cut_off_unnoticed_is_an_error_and_leaves_nothing() {
    let server = Server::anonymous().start();
    let contents = Bytes::from(random_bytes(2, SIZE));
    for at in [0, 1, 1_000_000, SIZE as u64 - 1] {
        let proxy =
            Proxy::before(&server).with(fault(Where::Data(0), Way::ToServer, at, What::Truncate)).start();
        let client = anonymous();
        let mut put = client.put(proxy.url("f")).mode(TransferMode::Stream).await.unwrap();
        put.write(contents.clone()).await.unwrap();
        let error = put.finish().await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Truncated, Phase::Verify), "{at}: {error}");
        assert!(error.is_transient(), "{error}");
        let path = server.dir().join("f");
        eventually("what was cut off is deleted", || !path.exists()).await;
        assert_eq!(client.metrics().logins, 1);
    }
}

/// And so is a get, whichever way the file goes.
#[tokio::test]
async fn a_get_that_was_cut_off_unnoticed_is_an_error() {
    let server = Server::anonymous().start();
    let contents = random_bytes(3, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    for (mode, streams) in WAYS {
        for at in [0, 1, 400_000] {
            let proxy =
                Proxy::before(&server).with(fault(Where::Data(0), Way::ToClient, at, What::Truncate)).start();
            let client = anonymous();
            let mut get = client.get(proxy.url("f")).mode(mode).parallelism(streams);
            if at == 0 {
                get = get.timeouts(impatient());
            }
            let error = get.await.unwrap().bytes().await.unwrap_err();
            assert!(is_loss(&error, at), "{mode:?} {streams} {at}: {error:?}");
            // What comes next is right.
            let got = client.get(proxy.url("f")).mode(mode).parallelism(streams).await.unwrap();
            assert!(got.bytes().await.unwrap() == contents);
            // After a deadline another one is taken, as the server may never answer.
            assert_eq!(
                client.metrics().logins,
                if matches!(error.kind(), ErrorKind::Timeout(_)) { 2 } else { 1 }
            );
        }
    }
}

/// A data channel of a pipeline breaks when all of a file is there but its end, so that the server's last word comes first.
#[tokio::test]
async fn a_pipeline_whose_channel_breaks_fetches_the_rest_over_another() {
    let server = Server::anonymous().start();
    let contents: Vec<_> = (0..8_u64).map(|n| random_bytes(n, 300_000)).collect();
    for (n, contents) in contents.iter().enumerate() {
        std::fs::write(server.dir().join(format!("f{n}")), contents).unwrap();
    }
    for what in [What::Cut, What::Reset, What::Truncate] {
        for (streams, at) in [(1, 0), (1, 16), (1, 300_050), (1, 600_000), (4, 0), (4, 17)] {
            let proxy =
                Proxy::before(&server).with(fault(Where::Data(0), Way::ToClient, at, what.clone())).start();
            // What is fetched again has the same limits, and a busy machine.
            let patience = Duration::from_secs(3);
            let limits = if at == 0 { short().first_byte(patience).stall(patience) } else { short() };
            let client = Client::builder().timeouts(limits).build().unwrap();
            let urls = (0..8).map(|n| proxy.url(format!("f{n}")));
            let mut many = client.get_many(urls).parallelism(streams).await.unwrap();
            let mut right = 0;
            while let Some(mut file) = many.next_file().await.unwrap() {
                let index = file.index();
                match file.bytes().await {
                    Ok(bytes) => {
                        assert!(bytes == contents[index], "{what:?} p={streams} {at}: file {index}");
                        right += 1;
                    }
                    // Only of a file whose first part was handed out already.
                    Err(error) => assert!(is_loss(&error, at), "{what:?} p={streams} {at}: {error:?}"),
                }
            }
            assert!(right >= 7, "{what:?} p={streams} {at}: {right} of 8");
        }
    }
}

/// The network is gone from one moment to the next, for everything: each wait has its end, and its name.
#[tokio::test]
async fn a_network_that_is_gone() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("f"), random_bytes(4, SIZE)).unwrap();
    let limit = Duration::from_secs(1);
    let limits =
        Timeouts::default().connect(short().connect_limit()).reply(limit).first_byte(limit).stall(limit);
    for (mode, streams) in WAYS {
        let proxy = Proxy::before(&server)
            .with(fault(Where::EveryData, Way::ToClient, 300_000, What::BlackHole))
            .with(fault(Where::EveryData, Way::ToServer, 300_000, What::BlackHole))
            .start();
        let client = Client::builder().timeouts(limits).build().unwrap();
        let get = client.get(proxy.url("f")).mode(mode).parallelism(streams).await.unwrap();
        let begin = Pulse::start();
        let error = get.bytes().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Stall), "{mode:?} {streams}: {error}");
        assert_eq!(error.phase(), Phase::Data);
        assert!(begin.elapsed() < limit + Duration::from_secs(1), "{:?}", begin.elapsed());

        let mut put = client.put(proxy.url("g")).mode(mode).parallelism(streams).await.unwrap();
        put.write(Bytes::from(vec![1; SIZE])).await.unwrap();
        let begin = Pulse::start();
        let error = put.finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Stall), "{mode:?} {streams}: {error}");
        assert!(begin.elapsed() < limit + Duration::from_secs(1), "{:?}", begin.elapsed());
    }
}

/// A server that goes on telling of what it has (112) is not one that takes more.
#[tokio::test]
async fn markers_of_nothing_new_are_no_progress() {
    let server = Server::anonymous().start();
    let stall = Duration::from_secs(3);
    let limits = Timeouts::default().reply(stall).stall(stall);
    // What is swallowed has gone out, and only its confirmation is missing; what is held up has not.
    for (what, size) in [(What::BlackHole, SIZE), (What::Stall, 32 * SIZE)] {
        let proxy = Proxy::before(&server)
            .with(fault(Where::EveryData, Way::ToServer, 300_000, what.clone()))
            .start();
        let client = Client::builder().timeouts(limits).build().unwrap();
        let put = client.put(proxy.url("f")).mode(TransferMode::ExtendedBlock);
        let mut put = put.marker_interval(Duration::from_secs(1)).await.unwrap();
        let storing = async {
            put.write(Bytes::from(vec![1; size])).await?;
            put.finish().await
        };
        let error = tokio::time::timeout(3 * stall, storing).await.expect("an end").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Stall), "{what:?}: {error}");
        // The server does not notice, and tells on: cleaning up ends all the same.
        eventually("the session to be given up", || client.metrics().sessions_open == 0).await;
    }
}

/// Slow is not broken.
#[tokio::test]
async fn a_slow_and_stuttering_network_only_takes_longer() {
    let server = Server::anonymous().start();
    let contents = Bytes::from(random_bytes(5, SIZE));
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let pause = || What::Delay(Duration::from_millis(300));
    for (mode, streams) in WAYS {
        let proxy = Proxy::before(&server)
            .with(fault(Where::EveryData, Way::ToClient, 0, What::Throttle(4_000_000)))
            .with(fault(Where::EveryData, Way::ToServer, 0, What::Throttle(4_000_000)))
            .with(fault(Where::EveryData, Way::ToClient, 100_000, pause()))
            .with(fault(Where::EveryData, Way::ToServer, 100_000, pause()))
            .with(fault(Where::EveryControl, Way::ToClient, 30, pause()))
            .with(fault(Where::EveryControl, Way::ToServer, 30, pause()))
            .start();
        let client = anonymous();
        let get = client.get(proxy.url("f")).mode(mode).parallelism(streams).await.unwrap();
        assert!(get.bytes().await.unwrap() == contents, "{mode:?} {streams}");
        let mut put = client.put(proxy.url("g")).mode(mode).parallelism(streams).await.unwrap();
        put.write(contents.clone()).await.unwrap();
        put.finish().await.unwrap();
        assert!(std::fs::read(server.dir().join("g")).unwrap() == contents, "{mode:?} {streams}");
        assert!(proxy.struck() >= 6, "{}", proxy.struck());
    }
}

/// Replies that nobody asked for come in between: the connection is given up, and no answer is taken for another's.
#[tokio::test]
async fn a_reply_that_somebody_puts_in_between() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("f"), "right").unwrap();
    let rehearsal = Proxy::before(&server).start();
    let client = anonymous();
    client.features(rehearsal.url_root()).await.unwrap();
    // Nobody waits for the last answer of a login; the greeting is one more than there are commands.
    eventually("all is answered", || client.metrics().replies > client.metrics().commands).await;
    let logged_in = rehearsal.passed()[0].to_client;
    for forged in ["226 Transfer complete.\r\n", "213 99\r\n", "150 Here it comes\r\n", "213 4\r\n213 5\r\n"]
    {
        let proxy = Proxy::before(&server)
            .with(fault(Where::Control(0), Way::ToClient, logged_in, What::Inject(forged.into())))
            .start();
        let client = anonymous();
        // A login that is not over yet may notice it, and fail.
        if let Err(error) = client.features(proxy.url_root()).await {
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
        }
        eventually("it was put in", || proxy.struck() == 1).await;
        // During the login already, perhaps: that is done once more then.
        let given_up = || client.metrics().sessions_open == 0 || client.metrics().connects > 1;
        eventually("the connection is given up", given_up).await;
        assert_eq!(client.size(proxy.url("f")).await.unwrap(), 5, "{forged:?}");
        assert_eq!(client.get(proxy.url("f")).await.unwrap().bytes().await.unwrap(), "right", "{forged:?}");
    }
}

/// Both servers of a transfer between servers, and the connection between them.
#[tokio::test]
async fn transfers_between_servers_that_break() {
    let (from, to) = (Server::anonymous().start(), Server::anonymous().start());
    let contents = random_bytes(6, SIZE);
    std::fs::write(from.dir().join("f"), &contents).unwrap();
    let limit = Duration::from_millis(500);
    let limits =
        Timeouts::default().connect(short().connect_limit()).reply(limit).first_byte(limit).stall(limit);
    for what in [What::Cut, What::Truncate, What::Reset, What::Stall, What::BlackHole] {
        for (mode, streams) in WAYS {
            // The destination listens, so its proxy sees the data.
            let proxy =
                Proxy::before(&to).with(fault(Where::Data(0), Way::ToServer, 400_000, what.clone())).start();
            let client = Client::builder().timeouts(limits).build().unwrap();
            let begin = Pulse::start();
            let done = client
                .third_party(from.url("f"), proxy.url(format!("{streams}")))
                .mode(mode)
                .parallelism(streams)
                .await;
            let result = match done {
                Ok(transfer) => transfer.join().await.map(drop),
                Err(error) => Err(error),
            };
            assert!(
                begin.elapsed() < Duration::from_secs(6),
                "{what:?} {mode:?} {streams}: {:?}",
                begin.elapsed()
            );
            let stored = std::fs::read(to.dir().join(format!("{streams}"))).unwrap_or_default();
            match result {
                Ok(()) => assert!(stored == contents, "{what:?} {mode:?} {streams}: a lie"),
                Err(error) => assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::ConnectionLost
                            | ErrorKind::Truncated
                            | ErrorKind::Timeout(_)
                            | ErrorKind::Refused
                    ),
                    "{what:?} {mode:?} {streams}: {error:?}"
                ),
            }
        }
    }
    // Nobody is left to be waited for.
    signal_sessions(&from, Signal::KILL);
}
