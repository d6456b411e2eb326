//! What arrives is what was sent: sizes around the block size, both modes, both directions.

use bytes::Bytes;
use gridftp::options::TransferMode;
use gridftp_lab::{Server, random_bytes, sha256};

use crate::support::anonymous;

const BLOCK: usize = 256 * 1024;

#[tokio::test]
async fn anonymous_sizes_modes_and_streams() {
    let server = Server::anonymous().start();
    let client = anonymous();
    for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5_000_000] {
        let contents = random_bytes(size as u64, size);
        for (mode, streams) in
            [(TransferMode::Stream, 1), (TransferMode::ExtendedBlock, 1), (TransferMode::ExtendedBlock, 4)]
        {
            let path = server.dir().join(format!("f-{size}-{mode:?}-{streams}"));
            let url = server.url(&path);
            let mut put = client.put(&url).mode(mode).parallelism(streams).await.unwrap();
            put.write(Bytes::from(contents.clone())).await.unwrap();
            let summary = put.finish().await.unwrap();
            assert_eq!(summary.bytes, size as u64);
            assert_eq!(
                sha256(&std::fs::read(&path).unwrap()),
                sha256(&contents),
                "put {size} {mode:?} {streams}"
            );
            let back = client.get(&url).mode(mode).parallelism(streams).await.unwrap().bytes().await.unwrap();
            assert_eq!(sha256(&back), sha256(&contents), "get {size} {mode:?} {streams}");
        }
    }
}
