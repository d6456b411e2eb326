//! Appending: what was there stays, whatever happens.

use std::path::Path;

use bytes::Bytes;
use gridftp::options::TransferMode;
use gridftp::{Client, ErrorKind, Phase};
use gridftp_lab::{Server, random_bytes, sha256};

use crate::support::{WAYS, anonymous, builder, trusting, with_proxy};

#[track_caller]
fn holds(path: &Path, parts: &[&[u8]]) {
    let (got, expected) = (std::fs::read(path).unwrap(), parts.concat());
    assert_eq!(got.len(), expected.len(), "{}", path.display());
    assert_eq!(sha256(&got), sha256(&expected), "{}", path.display());
}

/// Appends in pieces that fit no block, twice, and to a file that is not there.
async fn append_every_way(client: &Client, server: &Server) {
    let (before, first, second) = (random_bytes(1, 300_001), random_bytes(2, 2_500_003), random_bytes(3, 17));
    for (mode, streams) in WAYS {
        let path = server.dir().join(format!("a-{mode:?}-{streams}"));
        std::fs::write(&path, &before).unwrap();
        for (there, new) in [(vec![&before[..]], &first), (vec![&before, &first], &second)] {
            let put = client.put(server.url(&path)).mode(mode).parallelism(streams).append(true);
            let mut put = put.await.unwrap();
            for piece in new.chunks(99_999) {
                put.write(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            assert_eq!(put.finish().await.unwrap().bytes, new.len() as u64);
            holds(&path, &[&there[..], &[new]].concat());
        }
        let path = server.dir().join(format!("n-{mode:?}-{streams}"));
        let put = client.put(server.url(&path)).mode(mode).parallelism(streams).append(true);
        let mut put = put.await.unwrap();
        put.write(Bytes::from(second.clone())).await.unwrap();
        put.finish().await.unwrap();
        holds(&path, &[&second]);
        // Nothing behind something.
        let put = client.put(server.url(&path)).mode(mode).parallelism(streams).append(true);
        assert_eq!(put.await.unwrap().finish().await.unwrap().bytes, 0);
        holds(&path, &[&second]);
    }
}

#[tokio::test]
async fn append() {
    let server = Server::anonymous().start();
    append_every_way(&anonymous(), &server).await;
}

#[test]
fn append_over_gsi() {
    trusting("append::append_over_gsi", |pki| async move {
        let server = Server::gsi(&pki).start();
        append_every_way(&with_proxy(&pki), &server).await;
    });
}

#[tokio::test]
async fn a_dropped_append_does_not_delete_the_file() {
    let server = Server::anonymous().start();
    let (before, new) = (random_bytes(4, 400_000), random_bytes(5, 3_000_000));
    // One session, so that the next operation waits for what the drop left to be done.
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for (mode, streams) in WAYS {
        let path = server.dir().join(format!("{mode:?}-{streams}"));
        std::fs::write(&path, &before).unwrap();
        let mut put =
            client.put(server.url(&path)).mode(mode).parallelism(streams).append(true).await.unwrap();
        put.write(Bytes::from(new.clone())).await.unwrap();
        drop(put);
        let whole = client.get(server.url(&path)).await.unwrap().bytes().await.unwrap();
        assert!(whole.len() >= before.len(), "{} bytes are left", whole.len());
        assert_eq!(sha256(&whole[..before.len()]), sha256(&before), "{mode:?} {streams}");
        assert!(whole.len() <= before.len() + new.len());
    }
}

#[tokio::test]
async fn an_aborted_append_goes_on_where_it_stopped() {
    let server = Server::anonymous().start();
    let (before, new) = (random_bytes(6, 123_457), random_bytes(7, 4_000_000));
    let client = anonymous();
    for (mode, streams) in WAYS {
        let path = server.dir().join(format!("{mode:?}-{streams}"));
        std::fs::write(&path, &before).unwrap();
        let mut put =
            client.put(server.url(&path)).mode(mode).parallelism(streams).append(true).await.unwrap();
        put.write(Bytes::copy_from_slice(&new[..1_500_000])).await.unwrap();
        let marker = put.abort().await.unwrap();
        let there = usize::try_from(marker.contiguous()).unwrap();
        assert!((before.len()..=before.len() + 1_500_000).contains(&there), "{marker}");
        let left = std::fs::read(&path).unwrap();
        let whole = [before.clone(), new.clone()].concat();
        assert!(left[..there] == whole[..there], "the marker {marker} tells of bytes that are not there");
        let put = client.put(server.url(&path)).mode(mode).parallelism(streams).restart(marker);
        let mut put = put.await.unwrap();
        put.write(Bytes::copy_from_slice(&whole[there..])).await.unwrap();
        put.finish().await.unwrap();
        holds(&path, &[&before, &new]);
    }
}

#[tokio::test]
async fn an_append_after_which_the_size_is_wrong_is_an_error() {
    let server = Server::anonymous().start();
    let path = server.dir().join("f");
    let client = anonymous();
    for (mode, streams) in WAYS {
        std::fs::write(&path, random_bytes(8, 1000)).unwrap();
        let put = client.put(server.url(&path)).mode(mode).parallelism(streams).append(true);
        let mut put = put.await.unwrap();
        put.write(Bytes::from_static(b"some more")).await.unwrap();
        // Somebody else has the file grow meanwhile.
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(5000).unwrap();
        let error = put.finish().await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Truncated, Phase::Verify), "{error}");
        assert!(error.may_have_applied());
        assert!(error.to_string().contains("1009; it has 5000"), "{error}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 5000, "the file was left alone");
    }
    let put = client.put(server.url(&path)).append(true).check_size(false);
    let mut put = put.await.unwrap();
    put.write(Bytes::from_static(b"some more")).await.unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(9000).unwrap();
    put.finish().await.unwrap();
}

#[tokio::test]
async fn appending_to_a_folder_is_refused() {
    let server = Server::anonymous().start();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let put = client.put(server.url("")).mode(mode).parallelism(streams).append(true);
        let error = put.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory, "{error}");
    }
    let mut put = client.put(server.url("f")).mode(TransferMode::Stream).append(true).await.unwrap();
    put.write(Bytes::from_static(b"the session still works")).await.unwrap();
    put.finish().await.unwrap();
    assert_eq!(client.metrics().logins, 1);
}
