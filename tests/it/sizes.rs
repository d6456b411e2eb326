//! Large files, and sizes around the block size over GSI: the rest is in `bytes_identity` and `gsi`.

use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use gridftp::options::{DataChannelAuth, ProtectionLevel, TransferMode};
use gridftp::{Client, GetBuilder, PutBuilder};
use gridftp_lab::{Server, random_bytes, sha256};

use crate::support::{Original, WAYS, anonymous, trusting, with_proxy, write_pages};

const LARGE: u64 = 100_000_000;
const BLOCK: usize = 256 * 1024;

/// Gets the file and compares every byte, wherever it arrives.
async fn comes(get: GetBuilder, original: &Path) {
    let mut get = get.await.unwrap();
    let mut original = Original::open(original);
    while let Some(block) = get.next_block().await.unwrap() {
        original.has(block.offset, &block.data);
    }
    original.ends();
}

/// Puts the file in pieces that fit no block, and compares what the server has.
async fn goes(put: PutBuilder, original: &Path, stored: &Path) {
    let mut put = put.await.unwrap();
    let mut file = std::fs::File::open(original).unwrap();
    loop {
        let mut piece = vec![0; 777_777];
        match file.read(&mut piece).unwrap() {
            0 => break,
            count => piece.truncate(count),
        }
        put.write(Bytes::from(piece)).await.unwrap();
    }
    let size = file.metadata().unwrap().len();
    assert_eq!(put.finish().await.unwrap().bytes, size);
    Original::open(original).equals(stored);
    std::fs::remove_file(stored).unwrap();
}

async fn both_ways(
    client: &Client,
    server: &Server,
    (mode, streams): (TransferMode, u16),
    level: ProtectionLevel,
    auth: DataChannelAuth,
) {
    let (original, stored) = (server.dir().join("large"), server.dir().join("stored"));
    let get = client.get(server.url(&original)).mode(mode).parallelism(streams);
    comes(get.protection(level).dcau(auth.clone()), &original).await;
    let put = client.put(server.url(&stored)).mode(mode).parallelism(streams);
    goes(put.protection(level).dcau(auth), &original, &stored).await;
}

#[tokio::test]
async fn a_hundred_megabytes() {
    let server = Server::anonymous().start();
    write_pages(&server.dir().join("large"), LARGE);
    let client = anonymous();
    for way in WAYS {
        both_ways(&client, &server, way, ProtectionLevel::Clear, DataChannelAuth::Auto).await;
    }
}

#[test]
fn a_hundred_megabytes_over_gsi() {
    trusting("sizes::a_hundred_megabytes_over_gsi", |pki| async move {
        let server = Server::gsi(&pki).start();
        write_pages(&server.dir().join("large"), LARGE);
        let client = with_proxy(&pki);
        for way in WAYS {
            both_ways(&client, &server, way, ProtectionLevel::Clear, DataChannelAuth::Auto).await;
            both_ways(&client, &server, way, ProtectionLevel::Clear, DataChannelAuth::OwnIdentity).await;
        }
    });
}

#[test]
fn a_hundred_megabytes_that_nobody_can_read() {
    trusting("sizes::a_hundred_megabytes_that_nobody_can_read", |pki| async move {
        let server = Server::gsi(&pki).start();
        write_pages(&server.dir().join("large"), LARGE);
        let client = with_proxy(&pki);
        for way in WAYS {
            both_ways(&client, &server, way, ProtectionLevel::Private, DataChannelAuth::OwnIdentity).await;
        }
    });
}

#[test]
fn around_the_block_size_over_gsi() {
    trusting("sizes::around_the_block_size_over_gsi", |pki| async move {
        let server = Server::gsi(&pki).start();
        let client = with_proxy(&pki);
        for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK] {
            let contents = random_bytes(size as u64, size);
            for (mode, streams) in WAYS {
                let path = server.dir().join(format!("f-{size}-{mode:?}-{streams}"));
                let url = server.url(&path);
                let mut put = client.put(&url).mode(mode).parallelism(streams).await.unwrap();
                put.write(Bytes::from(contents.clone())).await.unwrap();
                assert_eq!(put.finish().await.unwrap().bytes, size as u64);
                assert_eq!(
                    sha256(&std::fs::read(&path).unwrap()),
                    sha256(&contents),
                    "put {size} {mode:?} {streams}"
                );
                let back =
                    client.get(&url).mode(mode).parallelism(streams).await.unwrap().bytes().await.unwrap();
                assert_eq!(sha256(&back), sha256(&contents), "get {size} {mode:?} {streams}");
            }
        }
        assert_eq!(client.metrics().logins, 1);
    });
}
