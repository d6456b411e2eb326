//! Many files through one pipeline.

use gridftp::ErrorKind;
use gridftp_lab::{Server, random_bytes, sha256};

use crate::support::anonymous;

#[tokio::test]
async fn a_thousand_files_of_which_ten_are_missing() {
    let server = Server::anonymous().start();
    let mut expected = Vec::new();
    let mut state = 12345_u64;
    for n in 0..1010_usize {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if n % 101 == 50 {
            expected.push(None);
            continue;
        }
        let size = if n % 17 == 0 { 0 } else { (state >> 33) as usize % 300_000 };
        let contents = random_bytes(n as u64, size);
        std::fs::write(server.dir().join(format!("f{n}")), &contents).unwrap();
        expected.push(Some(sha256(&contents)));
    }
    let urls: Vec<_> = (0..1010).map(|n| server.url(format!("f{n}"))).collect();
    let client = anonymous();
    let mut many = client.get_many(&urls).await.unwrap();
    let (mut right, mut missing, mut next) = (0, 0, 0);
    while let Some(mut file) = many.next_file().await.unwrap() {
        let index = file.index();
        assert_eq!(index, next, "files come in the order of their URLs");
        next += 1;
        match (file.bytes().await, &expected[index]) {
            (Ok(contents), Some(hash)) => {
                assert_eq!(sha256(&contents), *hash, "file {index}");
                right += 1;
            }
            (Err(error), None) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                assert_eq!(error.url().unwrap().to_string(), urls[index]);
                missing += 1;
            }
            (got, _) => panic!("file {index}: {got:?}"),
        }
    }
    assert_eq!((right, missing), (1000, 10));
    assert_eq!(client.metrics().sessions_open, 1, "{:?}", client.metrics());
}
