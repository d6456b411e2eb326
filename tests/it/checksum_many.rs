//! Checksums of many files through one session.

use gridftp::{ChecksumAlgorithm, ErrorKind};
use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};
use gridftp_lab::{Server, random_bytes, sha256};

use crate::support::anonymous;

#[tokio::test]
async fn every_file_has_its_own_value_or_error() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let contents = |n: usize| random_bytes(n as u64, 100 + 37 * n);
    for n in (0..500).filter(|n| n % 50 != 7) {
        std::fs::write(server.dir().join(format!("f{n}")), contents(n)).unwrap();
    }
    // Once more through a connection that breaks in the middle: nothing is forgotten, and nothing comes twice.
    let proxy =
        Proxy::before(&server).with(Fault::new(Where::Control(0), Way::ToClient, 9_000, What::Reset)).start();
    for through in [false, true] {
        let url = |n| {
            let path = server.dir().join(format!("f{n}"));
            if through { proxy.url(path) } else { server.url(path) }
        };
        let mut many = client.checksum_many((0..500).map(url), ChecksumAlgorithm::Sha256).await.unwrap();
        let mut next = 0;
        while let Some(outcome) = many.next_outcome().await {
            assert_eq!((outcome.index, outcome.url.to_string()), (next, url(next)));
            match outcome.result {
                Ok(checksum) => assert_eq!(checksum.to_hex(), sha256(&contents(next)), "{next}"),
                Err(error) => assert_eq!((error.kind(), next % 50), (ErrorKind::NotFound, 7), "{error}"),
            }
            next += 1;
        }
        assert_eq!(next, 500);
    }
    assert_eq!(proxy.struck(), 1);
    let none: [&str; 0] = [];
    let refused = client.checksum_many(none, ChecksumAlgorithm::Md5).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let others =
        client.checksum_many([server.url("a"), "ftp://other.example/".to_owned()], ChecksumAlgorithm::Md5);
    assert_eq!(others.await.unwrap_err().kind(), ErrorKind::InvalidInput);
    let mut unknown = client.checksum_many([server.url("f1")], "X".parse().unwrap()).await.unwrap();
    let error = unknown.next_outcome().await.unwrap().result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
