//! Checksums that servers compute, compared with those computed here.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gridftp::{ByteRange, Checksum, ChecksumAlgorithm, ErrorKind, TimeoutKind};
use gridftp_lab::{Server, random_bytes};

use crate::fake::Fake;
use crate::support::{anonymous, builder, short};

/// What a program of the system says of these bytes.
fn by_program(program: &str, data: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), data).unwrap();
    let output = Command::new(program).arg(file.path()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

fn adler32(data: &[u8]) -> String {
    let (mut a, mut b) = (1_u32, 0_u32);
    for &byte in data {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    format!("{:08x}", b << 16 | a)
}

fn expected(algorithm: &ChecksumAlgorithm, data: &[u8]) -> Checksum {
    let digits = match algorithm {
        ChecksumAlgorithm::Adler32 => adler32(data),
        ChecksumAlgorithm::Md5 => by_program("md5sum", data),
        ChecksumAlgorithm::Sha1 => by_program("sha1sum", data),
        ChecksumAlgorithm::Sha256 => by_program("sha256sum", data),
        ChecksumAlgorithm::Sha512 => by_program("sha512sum", data),
        other => panic!("{other}"),
    };
    Checksum::from_hex(algorithm.clone(), &digits).unwrap()
}

fn write(path: &Path, size: usize) -> Vec<u8> {
    let data = random_bytes(7, size);
    fs::write(path, &data).unwrap();
    data
}

#[tokio::test]
async fn server_checksum_cksm_any_algorithm_ranges() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let data = write(&server.dir().join("a file"), 1_234_567);
    let url = server.url("a file");
    // Every algorithm that the server names.
    let features = client.features(&url).await.unwrap();
    let algorithms: Vec<ChecksumAlgorithm> = features.checksums().map(|name| name.parse().unwrap()).collect();
    assert!(algorithms.len() >= 5, "{algorithms:?}");
    for algorithm in &algorithms {
        let whole = client.checksum(&url, algorithm.clone(), ..).await.unwrap();
        assert_eq!(whole, expected(algorithm, &data), "{algorithm}");
        assert_eq!(whole.algorithm(), algorithm);
    }
    // Every kind of range.
    for (range, part) in [
        (ByteRange::from(0..1), &data[..1]),
        (ByteRange::from(..500_000), &data[..500_000]),
        (ByteRange::from(1_000_000..), &data[1_000_000..]),
        (ByteRange::from(262_143..=262_145), &data[262_143..=262_145]),
        (ByteRange::from(5..5), &data[..0]),
        // What is not there is not counted.
        (ByteRange::from(1_234_560..2_000_000), &data[1_234_560..]),
        (ByteRange::from(9_000_000..), &data[..0]),
    ] {
        for algorithm in [ChecksumAlgorithm::Md5, ChecksumAlgorithm::Adler32] {
            let checksum = client.checksum(&url, algorithm.clone(), range).await.unwrap();
            assert_eq!(checksum, expected(&algorithm, part), "{algorithm} {range}");
        }
    }
    // One wrong byte is noticed.
    let before = client.checksum(&url, ChecksumAlgorithm::Sha256, ..).await.unwrap();
    let mut data = data;
    data[777_777] ^= 1;
    fs::write(server.dir().join("a file"), &data).unwrap();
    assert_ne!(client.checksum(&url, ChecksumAlgorithm::Sha256, ..).await.unwrap(), before);
    assert_eq!(client.metrics().logins, 1, "{:?}", client.metrics());
}

#[tokio::test]
async fn the_empty_file_and_leading_zeros() {
    let server = Server::anonymous().start();
    let client = anonymous();
    write(&server.dir().join("empty"), 0);
    let checksum = client.checksum(server.url("empty"), ChecksumAlgorithm::Adler32, ..).await.unwrap();
    assert_eq!(checksum.to_string(), "ADLER32:00000001");
    // A file whose checksum begins with zeros.
    fs::write(server.dir().join("small"), [0, 1]).unwrap();
    let checksum = client.checksum(server.url("small"), ChecksumAlgorithm::Adler32, ..).await.unwrap();
    assert_eq!(checksum.to_hex(), adler32(&[0, 1]));
    assert!(checksum.to_hex().starts_with("000"), "{checksum}");
}

#[tokio::test]
async fn what_has_no_checksum() {
    let server = Server::anonymous().start();
    let client = anonymous();
    fs::create_dir(server.dir().join("d")).unwrap();
    fs::write(server.dir().join("f"), "x").unwrap();
    let ask = async |name: &str, algorithm: &str, range: ByteRange| {
        client.checksum(server.url(name), algorithm.parse().unwrap(), range).await.unwrap_err()
    };
    for (error, kind) in [
        (ask("missing", "MD5", (..).into()).await, ErrorKind::NotFound),
        (ask("d", "MD5", (..).into()).await, ErrorKind::IsADirectory),
        (ask("f", "CRC32", (..).into()).await, ErrorKind::Unsupported),
        (ask("f", "WHIRLPOOL", (..).into()).await, ErrorKind::Unsupported),
        (ask("f", "MD5", ByteRange::from(u64::MAX..)).await, ErrorKind::InvalidInput),
    ] {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.url().is_some(), "{error}");
    }
    // The session is as good as before.
    client.checksum(server.url("f"), ChecksumAlgorithm::Md5, ..).await.unwrap();
    assert_eq!(client.metrics().logins, 1, "{:?}", client.metrics());
}

#[tokio::test]
async fn markers_show_that_the_server_is_at_work() {
    let server = Server::anonymous().start();
    // Longer than the limit for silence, on most machines.
    fs::File::create(server.dir().join("sparse")).unwrap().set_len(3 << 30).unwrap();
    let client = builder().timeouts(short().checksum(Duration::from_secs(4))).build().unwrap();
    let url = server.url("sparse");
    let checksum = client.checksum(&url, ChecksumAlgorithm::Adler32, ..).await.unwrap();
    let a_is_one = (3_u64 << 30) % 65_521;
    assert_eq!(checksum.to_hex(), format!("{a_is_one:04x}0001"));
    // Others are not kept waiting by it.
    let long = client.checksum(&url, ChecksumAlgorithm::Sha512, ..);
    let short = client.size(&url);
    tokio::select! {
        size = short => assert_eq!(size.unwrap(), 3 << 30),
        done = long => panic!("the checksum was there before the size: {done:?}"),
    }
}

#[tokio::test]
async fn silence_has_its_own_limit_and_answers_are_checked() {
    let server = Fake::start("220 ready\r\n", |line| {
        Some(
            match line {
                "CKSM MD5 0 -1 /silent" => "",
                "CKSM MD5 0 -1 /marked" => {
                    "113-Status Marker\r\n Bytes Processed: 5\r\n113 End.\r\n213 CABE45DCC9AE5B66BA86600CCA6B8BA8\r\n"
                }
                "CKSM ADLER32 10 5 /short" => "213 1a0b\r\n",
                "CKSM MD5 0 -1 /short" => "213 1a0b\r\n",
                "CKSM MD5 0 -1 /wrong" => "213 \x1b[2J\r\n",
                _ => return None,
            }
            .to_owned(),
        )
    })
    .await;
    let limit = Duration::from_millis(100);
    let client = builder().timeouts(short().checksum(limit)).build().unwrap();
    let ask = async |name: &str, algorithm: ChecksumAlgorithm, range: ByteRange| {
        client.checksum(server.url(name), algorithm, range).await
    };
    let marked = ask("marked", ChecksumAlgorithm::Md5, (..).into()).await.unwrap();
    assert_eq!(marked.to_hex(), "cabe45dcc9ae5b66ba86600cca6b8ba8");
    let padded = ask("short", ChecksumAlgorithm::Adler32, (10..15).into()).await.unwrap();
    assert_eq!(padded.to_hex(), "00001a0b");
    for name in ["short", "wrong"] {
        let error = ask(name, ChecksumAlgorithm::Md5, (..).into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(!error.to_string().contains('\x1b'), "{error}");
    }
    let error = ask("silent", ChecksumAlgorithm::Md5, (..).into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Reply), "{error}");
    assert!(error.to_string().contains("100ms"), "{error}");
    assert!(server.heard().contains(&"OPTS CKSM Markers=1;".to_owned()), "{:?}", server.heard());
}
