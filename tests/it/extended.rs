//! Parts of files and algorithms of the server (ERET, ESTO), at their edges: the rest is in `ranges`.

use bytes::Bytes;
use gridftp::options::TransferMode;
use gridftp::{ByteRange, ErrorKind, RestartMarker};
use gridftp_lab::{Server, random_bytes, sha256};

use crate::support::{WAYS, anonymous, builder, trusting, with_proxy};

const SIZE: usize = 1_000_003;

#[tokio::test]
async fn partial_get_at_the_edges_of_the_file() {
    let server = Server::anonymous().start();
    let contents = random_bytes(1, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    let size = SIZE as u64;
    for (mode, streams) in WAYS {
        for range in
            [0..0, 0..size, size - 1..size, size..size, size - 1..size + 10, size + 5..size + 10, 7..7]
        {
            let get = client.get(server.url("f")).mode(mode).parallelism(streams).range(range.clone());
            let get = get.await.unwrap();
            let got = get.bytes().await.unwrap();
            let end = usize::try_from(range.end.min(size)).unwrap();
            let start = usize::try_from(range.start.min(size)).unwrap().min(end);
            assert_eq!(sha256(&got), sha256(&contents[start..end]), "{range:?} {mode:?} {streams}");
        }
    }
    assert_eq!(client.metrics().logins, 1);
}

#[tokio::test]
async fn partial_put_behind_the_end_leaves_zeros_between() {
    let server = Server::anonymous().start();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let path = server.dir().join(format!("{mode:?}-{streams}"));
        std::fs::write(&path, b"0123456789").unwrap();
        let put = client.put(server.url(&path)).mode(mode).parallelism(streams).offset(1_000_000);
        let mut put = put.await.unwrap();
        put.write(Bytes::from_static(b"far away")).await.unwrap();
        put.finish().await.unwrap();
        let mut expected = b"0123456789".to_vec();
        expected.resize(1_000_000, 0);
        expected.extend_from_slice(b"far away");
        assert_eq!(sha256(&std::fs::read(&path).unwrap()), sha256(&expected), "{mode:?} {streams}");
    }
}

#[tokio::test]
async fn partial_put_after_which_the_size_is_wrong_is_an_error() {
    let server = Server::anonymous().start();
    let path = server.dir().join("f");
    for (mode, streams) in WAYS {
        std::fs::write(&path, random_bytes(2, 1000)).unwrap();
        let put = anonymous().put(server.url("f")).mode(mode).parallelism(streams).offset(500);
        let mut put = put.await.unwrap();
        put.write(Bytes::from_static(b"in the middle")).await.unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2000).unwrap();
        assert_eq!(put.finish().await.unwrap_err().kind(), ErrorKind::Truncated);
    }
}

#[test]
fn partial_transfers_over_gsi() {
    trusting("extended::partial_transfers_over_gsi", |pki| async move {
        let server = Server::gsi(&pki).start();
        let client = with_proxy(&pki);
        let mut contents = random_bytes(3, SIZE);
        for (mode, streams) in WAYS {
            std::fs::write(server.dir().join("f"), &contents).unwrap();
            let put = client.put(server.url("f")).mode(mode).parallelism(streams).offset(400_000);
            let mut put = put.await.unwrap();
            let new = random_bytes(4, 300_000);
            put.write(Bytes::from(new.clone())).await.unwrap();
            put.finish().await.unwrap();
            contents[400_000..700_000].copy_from_slice(&new);
            let get = client.get(server.url("f")).mode(mode).parallelism(streams).range(300_000..800_000);
            let got = get.await.unwrap().bytes().await.unwrap();
            assert_eq!(sha256(&got), sha256(&contents[300_000..800_000]), "{mode:?} {streams}");
        }
    });
}

/// The letters P and A are modules of the server as any other.
#[tokio::test]
async fn extended_get() {
    let server = Server::anonymous().start();
    let contents = random_bytes(5, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let get = || client.get(server.url("f")).mode(mode).parallelism(streams);
        for (words, part) in [
            ("P 0 100", &contents[..100]),
            ("P 300000 500000", &contents[300_000..800_000]),
            ("P=\"10 20\"", &contents[10..30]),
            ("p 5 1", &contents[5..6]),
        ] {
            let mut get = get().algorithm(words).await.unwrap();
            let mut got = vec![0; part.len()];
            while let Some(block) = get.next_block().await.unwrap() {
                let at = usize::try_from(block.offset).unwrap();
                got[at..at + block.data.len()].copy_from_slice(&block.data);
            }
            assert_eq!(sha256(&got), sha256(part), "{words} {mode:?} {streams}");
        }
        // Restarted in what comes of it, not in the file.
        let marker = RestartMarker::Stream { offset: 60 };
        let mut get = get().algorithm("P 1000 100").restart(marker).await.unwrap();
        let block = get.next_block().await.unwrap().unwrap();
        assert_eq!((block.offset, &block.data[..]), (60, &contents[1060..1100]), "{mode:?} {streams}");
        assert_eq!(get.next_block().await.unwrap(), None);
        assert_eq!(get.restart_marker().total_bytes(), 100);
    }
    let module = client.get(server.url("f")).storage_module("P", "10 20").await.unwrap();
    assert_eq!(module.bytes().await.unwrap(), contents[10..30]);
    assert_eq!(client.metrics().logins, 1);
    // (After a module that it does not have, the server ends the session with the next PASV.)
    for words in ["Q 1 2", "name=\"\"", "Q"] {
        let error = client.get(server.url("f")).algorithm(words).await.unwrap_err();
        assert!(error.reply().is_some_and(|reply| reply.code() == 500), "{words}: {error}");
    }
    assert_eq!(client.get(server.url("f")).await.unwrap().bytes().await.unwrap().len(), SIZE);
}

#[tokio::test]
async fn extended_put() {
    let server = Server::anonymous().start();
    let before = random_bytes(6, 1000);
    let path = server.dir().join("f");
    let client = anonymous();
    for (mode, streams) in WAYS {
        for (words, at) in [("A 0", 0), ("A 700", 700), ("A=\"5\"", 5), ("a 990", 990)] {
            std::fs::write(&path, &before).unwrap();
            let put = client.put(server.url("f")).mode(mode).parallelism(streams).algorithm(words);
            let mut put = put.await.unwrap();
            put.write(Bytes::from_static(b"by an algorithm")).await.unwrap();
            assert_eq!(put.finish().await.unwrap().bytes, 15);
            let mut expected = before.clone();
            expected.resize(before.len().max(at + 15), 0);
            expected[at..at + 15].copy_from_slice(b"by an algorithm");
            assert_eq!(std::fs::read(&path).unwrap(), expected, "{words} {mode:?} {streams}");
        }
        let mut put = client.put(server.url("f")).mode(mode).storage_module("A", "3").await.unwrap();
        put.write(Bytes::from_static(b"module")).await.unwrap();
        put.finish().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap()[3..9], *b"module");
    }
    let error = client.put(server.url("f")).algorithm("Q 1").await.unwrap_err();
    assert!(error.reply().is_some_and(|reply| reply.code() == 500), "{error}");
    assert!(path.exists());
}

#[tokio::test]
async fn a_dropped_extended_put_deletes_nothing() {
    let server = Server::anonymous().start();
    let before = random_bytes(7, 100_000);
    std::fs::write(server.dir().join("f"), &before).unwrap();
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for algorithm in [true, false] {
        let put = client.put(server.url("f"));
        let put = if algorithm { put.algorithm("A 99999") } else { put.storage_module("A", "99999") };
        let mut put = put.await.unwrap();
        put.write(Bytes::from_static(b"x")).await.unwrap();
        drop(put);
        let left = client.get(server.url("f")).range(..99_999).await.unwrap().bytes().await.unwrap();
        assert_eq!(left, before[..99_999]);
    }
}

#[tokio::test]
async fn words_that_would_change_the_path_are_refused() {
    let client = anonymous();
    let long = "x".repeat(8193);
    for words in [
        "",
        " ",
        " P 0 1",
        "P 0 1 ",
        "P 0",
        "P 0 1 2",
        "P  0 1",
        "P 0 x",
        "p",
        "P 0 -1",
        "a\r\nDELE /f",
        "a\tb",
        "a\0",
        "n=\"x\" y",
        "n=\"x",
        "n x=\"y\"",
        "n=\"x\"y\"",
        "=\"x\"",
        "\"",
        "n=x\"",
        &long,
    ] {
        let error = client.get("ftp://127.0.0.1:1/f").algorithm(words).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{words:?}: {error}");
        assert!(!error.to_string().contains(['\r', '\n', '\t', '\0']), "{error}");
    }
    for words in ["A", "A 1 2", "a x", "A  1", "", "n=\"x", "x\n"] {
        let error = client.put("ftp://127.0.0.1:1/f").algorithm(words).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{words:?}: {error}");
    }
    // These are not: the error is that nobody listens there.
    for words in ["P 0 100", "n=\"x y\"", "n=\"\"", "A 0", "other words"] {
        let error = client.get("ftp://127.0.0.1:1/f").algorithm(words).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{words:?}: {error}");
    }
}

#[tokio::test]
async fn choices_that_do_not_go_together() {
    let client = anonymous();
    let marker = || RestartMarker::Stream { offset: 1 };
    let get = || client.get("ftp://127.0.0.1:1/f");
    for get in [
        get().range(ByteRange::from(1..)).algorithm("P 0 1"),
        get().range(ByteRange::from(1..)).storage_module("m", ""),
        get().algorithm("P 0 1").storage_module("m", ""),
    ] {
        let error = get.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("do not go together"), "{error}");
    }
    let put = || client.put("ftp://127.0.0.1:1/f");
    for put in [
        put().append(true).offset(1),
        put().append(true).restart(marker()),
        put().append(true).algorithm("A 0"),
        put().append(true).storage_module("m", ""),
        put().offset(1).restart(marker()),
        put().offset(1).algorithm("A 0"),
        put().offset(1).storage_module("m", ""),
        put().restart(marker()).algorithm("A 0"),
        put().algorithm("A 0").storage_module("m", ""),
    ] {
        let error = put.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("do not go together"), "{error}");
    }
    assert_eq!(put().offset(u64::MAX).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    let never = put().marker_interval(std::time::Duration::ZERO);
    assert_eq!(never.await.unwrap_err().kind(), ErrorKind::InvalidInput);
    for put in
        [put().mode(TransferMode::Stream).restart(marker()), put().restart(marker()).storage_module("m", "")]
    {
        assert_eq!(put.await.unwrap_err().kind(), ErrorKind::Connect);
    }
}
