//! Text (TYPE A): line ends change on the wire, and nothing else does.

use bytes::Bytes;
use gridftp::options::TransferMode;
use gridftp::{ByteRange, Client, ErrorKind, Phase, RestartMarker};
use gridftp_lab::{Server, random_bytes, sha256};

use crate::fake::{Data, Fake};
use crate::support::{anonymous, builder, eventually, trusting, with_proxy};

/// Of these letters, in no order.
fn letters(seed: u64, letters: &[u8], size: usize) -> Vec<u8> {
    random_bytes(seed, size).iter().map(|&byte| letters[usize::from(byte) % letters.len()]).collect()
}

/// Texts of all kinds, also some that are none.
fn texts() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        b"one line, no end".to_vec(),
        b"a\nb\r\nc\rd\n\n\r\r\n\r".to_vec(),
        // Of either length, one has a CR LF on each border of a block.
        vec![b'\n'; 300_001],
        [vec![b'a'], vec![b'\n'; 300_001]].concat(),
        vec![b'\r'; 300_001],
        (0..60_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect(),
        letters(1, b"\nabcdefg", 1_500_000),
        letters(2, b"\ra", 700_000),
    ]
}

async fn there_and_back(client: &Client, server: &Server) {
    for (n, text) in texts().into_iter().enumerate() {
        let path = server.dir().join(format!("text{n}"));
        let url = server.url(&path);
        let mut put = client.put(&url).ascii(true).await.unwrap();
        for piece in text.chunks(77_777) {
            put.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        assert_eq!(put.finish().await.unwrap().bytes, text.len() as u64, "text {n}");
        assert_eq!(sha256(&std::fs::read(&path).unwrap()), sha256(&text), "put of text {n}");
        comes(client, &url, &text).await;
    }
    // CR and LF on every place of a block's border, and on their own.
    let path = server.dir().join("mixed");
    let text = letters(3, b"\r\nab", 2_000_000);
    std::fs::write(&path, &text).unwrap();
    comes(client, &server.url(&path), &text).await;
    assert_eq!(client.metrics().logins, 1);
}

async fn comes(client: &Client, url: &str, text: &[u8]) {
    let got = client.get(url).ascii(true).await.unwrap().bytes().await.unwrap();
    assert_eq!(got.len(), text.len());
    assert_eq!(sha256(&got), sha256(text));
    // The next transfer is no text, on the same session.
    let plain = client.get(url).await.unwrap().bytes().await.unwrap();
    assert_eq!(sha256(&plain), sha256(text));
    assert_eq!(client.size(url).await.unwrap(), text.len() as u64);
}

#[tokio::test]
async fn ascii_text_there_and_back() {
    let server = Server::anonymous().start();
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    there_and_back(&client, &server).await;
}

#[test]
fn ascii_over_gsi() {
    trusting("ascii::ascii_over_gsi", |pki| async move {
        let server = Server::gsi(&pki).start();
        there_and_back(&with_proxy(&pki), &server).await;
    });
}

#[tokio::test]
async fn ascii_on_the_wire() {
    let data = Data { bytes: b"one\r\n\r\r\ntwo\r", ends: true };
    let server = Fake::with_data("220 here\r\n", |_| None, data).await;
    let client = anonymous();
    let mut get = client.get(server.url("t")).ascii(true).await.unwrap();
    let mut text = Vec::new();
    while let Some(block) = get.next_block().await.unwrap() {
        assert_eq!(block.offset, text.len() as u64, "places count the text");
        text.extend_from_slice(&block.data);
    }
    assert_eq!(text, b"one\n\r\ntwo\r");
    eventually("the server is told TYPE I", || server.heard().last().unwrap() == "TYPE I").await;
    let heard = server.heard();
    let after_login = heard.iter().skip_while(|line| !line.starts_with("TYPE A"));
    let order: Vec<_> = after_login.map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(order, ["TYPE", "SIZE", "PASV", "RETR", "TYPE"], "{heard:?}");
}

#[tokio::test]
async fn ascii_that_a_server_takes_apart_wrongly_is_an_error() {
    // A CR LF of the text's own, of which the LF comes to lie behind the border of a block of 256 KiB.
    let server = Server::anonymous().start();
    let text = [vec![b'a'; 262_142], b"\r\nb".to_vec()].concat();
    let mut put = anonymous().put(server.url("t")).ascii(true).await.unwrap();
    put.write(Bytes::from(text)).await.unwrap();
    let error = put.finish().await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Truncated, Phase::Verify), "{error}");
    // A server with blocks of another size: CR LFs are sent across their borders, so the CRs are on the wire.
    let server = Server::anonymous().args(["-blocksize", "99991"]).start();
    let mut put = anonymous().put(server.url("t")).ascii(true).await.unwrap();
    put.write(Bytes::from(vec![b'\n'; 200_000])).await.unwrap();
    let error = put.finish().await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Truncated, Phase::Verify), "{error}");
}

#[tokio::test]
async fn ascii_that_ends_badly_leaves_the_session_in_order() {
    let server = Server::anonymous().start();
    let contents = random_bytes(3, 3_000_000);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for round in 0..4 {
        match round {
            0 => drop(client.get(server.url("f")).ascii(true).await.unwrap()),
            1 => drop(client.put(server.url("g")).ascii(true).await.unwrap()),
            2 => {
                let error = client.get(server.url("missing")).ascii(true).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound);
            }
            _ => {
                let error = client.put(server.url("no/such/folder")).ascii(true).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound);
            }
        }
        for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
            let got = client.get(server.url("f")).mode(mode).await.unwrap().bytes().await.unwrap();
            assert_eq!(sha256(&got), sha256(&contents), "round {round} {mode:?}");
        }
    }
    assert_eq!(client.metrics().logins, 1);
}

#[tokio::test]
async fn ascii_append() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("t"), b"one\n").unwrap();
    let mut put = anonymous().put(server.url("t")).ascii(true).append(true).await.unwrap();
    put.write(Bytes::from_static(b"two\nthree\n")).await.unwrap();
    assert_eq!(put.finish().await.unwrap().bytes, 10);
    assert_eq!(std::fs::read(server.dir().join("t")).unwrap(), b"one\ntwo\nthree\n");
}

#[tokio::test]
async fn ascii_excludes_what_counts_bytes() {
    let client = anonymous();
    let get = || client.get("ftp://127.0.0.1:1/f").ascii(true);
    let put = || client.put("ftp://127.0.0.1:1/f").ascii(true);
    let marker = RestartMarker::Stream { offset: 5 };
    for get in [
        get().range(ByteRange::from(5..)),
        get().restart(marker.clone()),
        get().algorithm("P 0 1"),
        get().parallelism(2),
        get().mode(TransferMode::ExtendedBlock),
        get().storage_module("m", ""),
    ] {
        assert_eq!(get.await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    for put in [
        put().offset(5),
        put().restart(marker),
        put().algorithm("A 0"),
        put().parallelism(2),
        put().mode(TransferMode::ExtendedBlock),
        put().storage_module("m", ""),
    ] {
        assert_eq!(put.await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
