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

#[tokio::test]
async fn files_can_be_added_while_a_pipeline_runs_and_after_it_was_empty() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let name = |n: usize| server.dir().join(format!("pushed{n}"));
    for n in 0..300 {
        std::fs::write(name(n), format!("contents of {n}")).unwrap();
    }
    let mut many = client.get_many([server.url(name(0))]).await.unwrap();
    let (mut pushed, mut seen) = (1, 0);
    while pushed < 300 || seen < 300 {
        for _ in 0..(seen % 7) {
            if pushed < 300 {
                many.push(server.url(name(pushed))).unwrap();
                pushed += 1;
            }
        }
        match many.next_file().await.unwrap() {
            Some(mut file) => {
                assert_eq!(file.index(), seen);
                assert_eq!(file.bytes().await.unwrap(), format!("contents of {seen}"));
                seen += 1;
            }
            // Empty for now.
            None => {
                assert_eq!(seen, pushed);
                many.push(server.url(name(pushed))).unwrap();
                pushed += 1;
            }
        }
    }
    assert_eq!(many.push("ftp://other.example/f").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(client.metrics().logins <= 1, "{:?}", client.metrics());
}
