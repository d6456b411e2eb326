//! Credentials whose time is over in the middle of what they are used for.

use std::time::{Duration, SystemTime};

use gridftp::options::{DataChannelAuth, ProtectionLevel, TransferMode};
use gridftp::{Bytes, Client, Credential, Error, ErrorKind};
use gridftp_lab::{Pki, Server, random_bytes};

use crate::support::{WAYS, builder, trusting};

const SIZE: usize = 16_000_000;

/// A client with a proxy that is over soon, what was begun with it, and when it is over: not before everything has begun, however
/// slow this machine is just now.
async fn begun<T>(pki: &Pki, begin: impl AsyncFn(&Client) -> gridftp::Result<T>) -> (Client, T, SystemTime) {
    let user = Credential::from_cert_and_key(pki.user_cert(), pki.user_key());
    for seconds in [4, 8, 16, 32, 64] {
        let proxy = user.make_proxy().lifetime(Duration::from_secs(seconds)).build().await.unwrap();
        let end = proxy.info().await.unwrap().expires();
        let client = builder().credential(proxy).build().unwrap();
        let result = begin(&client).await;
        match result {
            Ok(begun) if SystemTime::now() < end => return (client, begun, end),
            Err(error) if SystemTime::now() < end => panic!("{error:?}"),
            late => println!("{seconds} s were not enough: {:?}", late.err()),
        }
    }
    panic!("a few operations take a minute on this machine");
}

async fn over(end: SystemTime) {
    // Certificates count whole seconds.
    let end = end + Duration::from_millis(1100);
    while let Ok(left) = end.duration_since(SystemTime::now()) {
        tokio::time::sleep(left).await;
    }
}

#[track_caller]
fn expired(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::CredentialExpired, "{error:?}");
    assert!(!error.is_transient());
}

/// What is under way goes on, with and without protection, as nobody looks at the clock again; what is new is refused.
#[test]
fn a_proxy_that_ends_in_the_middle_of_a_transfer() {
    trusting("host::expiry::a_proxy_that_ends_in_the_middle_of_a_transfer", |pki| async move {
        let server = Server::gsi(&pki).start();
        let contents = random_bytes(1, SIZE);
        std::fs::write(server.dir().join("f"), &contents).unwrap();
        let (client, (gets, puts), end) = begun(&pki, async |client| {
            let mut gets = Vec::new();
            let mut puts = Vec::new();
            for (mode, streams, protected) in
                [(TransferMode::Stream, 1, true), (TransferMode::ExtendedBlock, 4, false)]
            {
                let (dcau, level) = match protected {
                    false => (DataChannelAuth::None, ProtectionLevel::Clear),
                    true => (DataChannelAuth::OwnIdentity, ProtectionLevel::Private),
                };
                let get = client.get(server.url("f")).mode(mode).parallelism(streams).window(2);
                let mut get = get.dcau(dcau.clone()).protection(level).await?;
                let mut here = vec![0; SIZE];
                let block = get.next_block().await?.unwrap();
                let at = usize::try_from(block.offset).unwrap();
                here[at..at + block.data.len()].copy_from_slice(&block.data);
                gets.push((get, here));
                let name = format!("{mode:?}{streams}");
                let put = client.put(server.url(&name)).mode(mode).parallelism(streams);
                let mut put = put.dcau(dcau).protection(level).await?;
                put.write(Bytes::copy_from_slice(&contents[..1_000_000])).await?;
                puts.push((put, name));
            }
            Ok((gets, puts))
        })
        .await;
        over(end).await;
        for (mut get, mut here) in gets {
            while let Some(block) = get.next_block().await.unwrap() {
                let at = usize::try_from(block.offset).unwrap();
                here[at..at + block.data.len()].copy_from_slice(&block.data);
            }
            assert!(here == contents);
        }
        for (mut put, name) in puts {
            put.write(Bytes::copy_from_slice(&contents[1_000_000..])).await.unwrap();
            put.finish().await.unwrap();
            assert!(std::fs::read(server.dir().join(&name)).unwrap() == contents, "{name}");
        }
        // All sessions are back, and none is given out any more.
        for (mode, streams) in WAYS {
            expired(&client.get(server.url("f")).mode(mode).parallelism(streams).await.unwrap_err());
            expired(&client.put(server.url("g")).mode(mode).parallelism(streams).await.unwrap_err());
        }
        expired(&client.get_many([server.url("f")]).await.unwrap_err());
        assert!(!server.dir().join("g").exists());
    });
}

/// A pipeline that loses its session when its credential is over cannot have another: it says so, and what came is right.
#[test]
fn a_proxy_that_ends_under_a_pipeline() {
    trusting("host::expiry::a_proxy_that_ends_under_a_pipeline", |pki| async move {
        let server = Server::gsi(&pki).start();
        let contents: Vec<_> = (0..400_u64).map(|n| random_bytes(n, 20_000)).collect();
        for (n, contents) in contents.iter().enumerate() {
            std::fs::write(server.dir().join(format!("f{n}")), contents).unwrap();
        }
        let urls = || (0..400).map(|n| server.url(format!("f{n}")));
        let (_client, mut many, end) = begun(&pki, async |client| client.get_many(urls()).await).await;
        let mut right = 0;
        let error = loop {
            let mut file = match many.next_file().await {
                Ok(Some(file)) => file,
                Ok(None) => panic!("all of it came without a credential"),
                Err(error) => break error,
            };
            let index = file.index();
            match index {
                // Over, and the session goes on.
                50 => over(end).await,
                // And now it does not.
                100 => {
                    crate::support::signal_sessions(&server, rustix::process::Signal::KILL);
                }
                _ => {}
            }
            match file.bytes().await {
                Ok(bytes) => {
                    assert!(bytes == contents[index], "file {index}");
                    right += 1;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionLost, "file {index}: {error:?}"),
            }
        };
        expired(&error);
        assert!(right >= 100, "{right}");
    });
}

/// Protected channels that are made anew after the end of the proxy that was delegated, on a session from before.
#[test]
fn a_delegated_proxy_that_ends_before_its_data_channel_is_made() {
    trusting("host::expiry::a_delegated_proxy_that_ends_before_its_data_channel_is_made", |pki| async move {
        let server = Server::gsi(&pki).start();
        let contents = random_bytes(2, SIZE);
        std::fs::write(server.dir().join("f"), &contents).unwrap();
        // A set of parallel channels makes the others only when they are needed.
        let (_client, put, end) = begun(&pki, async |client| {
            let put = client.put(server.url("g")).mode(TransferMode::ExtendedBlock).parallelism(4);
            put.dcau(DataChannelAuth::OwnIdentity).await
        })
        .await;
        over(end).await;
        let result = store(put, &contents).await;
        match result {
            Ok(()) => assert!(std::fs::read(server.dir().join("g")).unwrap() == contents),
            Err(error) => {
                let kinds = [
                    ErrorKind::CredentialExpired,
                    ErrorKind::Authentication,
                    ErrorKind::ConnectionLost,
                    ErrorKind::Refused,
                ];
                assert!(kinds.contains(&error.kind()), "{error:?}");
            }
        }
    });
}

async fn store(mut put: gridftp::Put, contents: &[u8]) -> gridftp::Result<()> {
    for piece in contents.chunks(1_000_000) {
        put.write(Bytes::copy_from_slice(piece)).await?;
    }
    put.finish().await.map(drop)
}
