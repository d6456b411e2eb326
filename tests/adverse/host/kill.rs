//! `kill -9` of a server's processes, at several points of several operations.

use std::time::Duration;

use futures_util::StreamExt as _;
use gridftp::{Bytes, Client, Error, ErrorKind};
use gridftp_lab::{Pulse, Server, random_bytes};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{WAYS, builder, eventually, signal_all, signal_sessions};

const SIZE: usize = 8_000_000;

/// A dead process is noticed by its connections, and not by a deadline, which is twenty seconds here. (Two of them go to the
/// search for the server's own words.)
const SOON: Duration = Duration::from_secs(5);

fn client() -> Client {
    builder().sessions_per_endpoint(1).build().unwrap()
}

/// A file whose server is gone.
#[track_caller]
fn lost(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::Truncated), "{error:?}");
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn of_a_session_that_rests() {
    let server = Server::anonymous().start();
    let contents = random_bytes(1, 100_000);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = client();
    for (mode, streams) in WAYS {
        for round in 0..2 {
            let get = client.get(server.url("f")).mode(mode).parallelism(streams).await.unwrap();
            assert!(get.bytes().await.unwrap() == contents, "{mode:?} {streams} {round}");
            assert_eq!(signal_sessions(&server, Signal::KILL), 1);
            let mut put = client.put(server.url("g")).mode(mode).parallelism(streams).await.unwrap();
            put.write(Bytes::copy_from_slice(&contents)).await.unwrap();
            put.finish().await.unwrap();
            assert!(std::fs::read(server.dir().join("g")).unwrap() == contents);
            signal_sessions(&server, Signal::KILL);
            assert_eq!(client.size(server.url("f")).await.unwrap(), 100_000);
            signal_sessions(&server, Signal::KILL);
        }
    }
}

#[tokio::test]
async fn of_a_session_in_a_get() {
    let server = Server::anonymous().start();
    let contents = random_bytes(2, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = client();
    for (mode, streams) in WAYS {
        // Before anything is read, in the middle, and when the last byte is here.
        for after in [0, 1, SIZE / 2, SIZE] {
            let mut get =
                client.get(server.url("f")).mode(mode).parallelism(streams).window(2).await.unwrap();
            let mut here = vec![0; SIZE];
            while get.received() < after as u64 {
                let block = get.next_block().await.unwrap().unwrap();
                let at = usize::try_from(block.offset).unwrap();
                here[at..at + block.data.len()].copy_from_slice(&block.data);
            }
            let begin = Pulse::start();
            signal_sessions(&server, Signal::KILL);
            let end = loop {
                match get.next_block().await {
                    Ok(Some(block)) => {
                        let at = usize::try_from(block.offset).unwrap();
                        here[at..at + block.data.len()].copy_from_slice(&block.data);
                    }
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            assert!(begin.elapsed() < SOON, "{mode:?} {streams} {after}: {:?}", begin.elapsed());
            match end {
                // The last word had been said.
                None => assert!(here == contents, "{mode:?} {streams} {after}: a lie"),
                Some(error) => lost(&error),
            }
        }
    }
}

#[tokio::test]
async fn of_a_session_in_a_put() {
    let server = Server::anonymous().start();
    let contents = Bytes::from(random_bytes(3, SIZE));
    let client = client();
    for (mode, streams) in WAYS {
        for (number, after) in [0, 1, SIZE / 2, SIZE].into_iter().enumerate() {
            let path = server.dir().join(format!("{mode:?}{streams}{number}"));
            let mut put = client.put(server.url(&path)).mode(mode).parallelism(streams).await.unwrap();
            put.write(contents.slice(..after)).await.unwrap();
            if after == SIZE {
                // All of it has left this end.
                eventually("all is sent", || put.written() == SIZE as u64).await;
            }
            let begin = Pulse::start();
            signal_sessions(&server, Signal::KILL);
            let rest = put.write(contents.slice(after..)).await;
            let begun_to_end = rest.is_ok();
            let end = match rest {
                Ok(()) => put.finish().await.map(drop),
                error => error,
            };
            assert!(begin.elapsed() < SOON, "{mode:?} {streams} {after}: {:?}", begin.elapsed());
            let error = end.unwrap_err();
            lost(&error);
            // A file whose end was never sent is none.
            assert!(error.may_have_applied() || !begun_to_end || after < SIZE, "{error:?}");
        }
    }
}

#[tokio::test]
async fn of_a_session_under_a_pipeline_a_walk_and_a_listing() {
    let server = Server::anonymous().start();
    let contents: Vec<_> = (0..40_u64).map(|n| random_bytes(n, 200_000)).collect();
    for (n, contents) in contents.iter().enumerate() {
        let folder = server.dir().join(format!("d{}", n % 8));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("f{n}")), contents).unwrap();
    }
    let client = client();
    for streams in [1, 4] {
        let urls = (0..40).map(|n| server.url(format!("d{}/f{n}", n % 8)));
        let mut many = client.get_many(urls).parallelism(streams).await.unwrap();
        let (mut seen, mut right) = (0, 0);
        while let Some(mut file) = many.next_file().await.unwrap() {
            let index = file.index();
            assert_eq!(index, seen, "no file is forgotten");
            seen += 1;
            if index % 20 == 10 {
                signal_sessions(&server, Signal::KILL);
            }
            match file.bytes().await {
                Ok(bytes) => {
                    assert!(bytes == contents[index], "file {index}");
                    right += 1;
                }
                Err(error) => lost(&error),
            }
        }
        assert!(seen == 40 && right >= 36, "{right} of {seen}");
    }

    let mut walk = client.walk(server.url(""));
    let mut found = 0;
    let mut killed = false;
    while let Some(entry) = walk.next().await {
        match entry {
            Ok(_) => found += 1,
            // A folder whose listing was under way may be told as failed; it is never passed over in silence.
            Err(error) => {
                lost(&error);
                found += 5;
            }
        }
        if !killed {
            killed = signal_sessions(&server, Signal::KILL) > 0;
        }
    }
    assert!(killed && found >= 48, "{found} of 8 folders and 40 files");
}

#[tokio::test]
async fn of_either_server_of_a_transfer_between_two() {
    let (from, to) = (Server::anonymous().start(), Server::anonymous().start());
    let contents = random_bytes(4, 64_000_000);
    std::fs::write(from.dir().join("f"), &contents).unwrap();
    for (mode, streams) in WAYS {
        for victim in [&from, &to] {
            let client = client();
            let transfer =
                client.third_party(from.url("f"), to.url("f")).mode(mode).parallelism(streams).await.unwrap();
            let path = to.dir().join("f");
            eventually("it has begun", || path.metadata().is_ok_and(|file| file.len() > 0)).await;
            let begin = Pulse::start();
            signal_sessions(victim, Signal::KILL);
            let end = transfer.join().await;
            assert!(begin.elapsed() < SOON, "{mode:?} {streams}: {:?}", begin.elapsed());
            match end {
                Ok(_) => assert!(std::fs::read(&path).unwrap() == contents, "{mode:?} {streams}: a lie"),
                Err(error) => {
                    let kind = error.kind();
                    assert!(
                        matches!(kind, ErrorKind::ConnectionLost | ErrorKind::Truncated | ErrorKind::Refused),
                        "{mode:?} {streams}: {error:?}"
                    );
                }
            }
            let _ = std::fs::remove_file(&path);
        }
    }
}

#[tokio::test]
async fn of_a_server_as_a_whole() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("f"), random_bytes(5, SIZE)).unwrap();
    let client = client();
    // In the middle of a login: the connection is taken by the kernel, and nobody greets.
    assert_eq!(signal_all(&server, Signal::STOP), 1);
    let url = server.url("f");
    let waiting = tokio::spawn({
        let (client, url) = (client.clone(), url.clone());
        async move { client.size(&url).await }
    });
    eventually("it is connected", || client.metrics().connects > 0).await;
    let begin = Pulse::start();
    kill_process(Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap(), Signal::KILL).unwrap();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    assert!(matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::Connect), "{error:?}");
    // Nobody is there any more.
    let error = client.get(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(error.is_transient());
}
