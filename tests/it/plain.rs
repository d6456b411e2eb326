//! The library against a plain FTP server made by others, and against what is left of it without newer commands.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use gridftp::options::TransferMode;
use gridftp::{ByteRange, ChecksumAlgorithm, Client, Credential, EntryKind, ErrorKind};
use gridftp_lab::{PlainServer, random_bytes, sha256};

use crate::support::anonymous;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

async fn put(client: &Client, url: &str, data: &[u8]) {
    let mut put = client.put(url).await.unwrap();
    for piece in data.chunks(100_000) {
        put.write(piece.to_vec().into()).await.unwrap();
    }
    put.finish().await.unwrap();
}

/// A folder `d`, a file `d/a file` of five bytes, changed at a known time.
fn furnish(server: &PlainServer) {
    fs::create_dir(server.dir().join("d")).unwrap();
    fs::write(server.dir().join("d/a file"), "12345").unwrap();
    fs::File::open(server.dir().join("d/a file")).unwrap().set_modified(at(1_000_000_000)).unwrap();
}

#[tokio::test]
async fn facts_and_names_on_a_plain_server() {
    let server = PlainServer::anonymous().start();
    furnish(&server);
    let (dir, client) = (server.dir(), anonymous());
    let url = server.url("d/a file");
    let entry = client.stat(&url).await.unwrap();
    assert!(
        entry.is_file() && entry.size() == Some(5) && entry.modified() == Some(at(1_000_000_000)),
        "{entry:?}"
    );
    assert!(client.stat(server.url("d")).await.unwrap().is_dir());
    assert!(client.stat(server.url_root()).await.unwrap().is_dir());
    assert_eq!(client.stat(server.url("x")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(client.exists(&url).await.unwrap() && !client.exists(server.url("x")).await.unwrap());
    assert_eq!(client.size(&url).await.unwrap(), 5);
    assert_eq!(client.modified(&url).await.unwrap(), at(1_000_000_000));
    client.set_modified(&url, at(951_782_400)).await.unwrap();
    assert_eq!(fs::metadata(dir.join("d/a file")).unwrap().modified().unwrap(), at(951_782_400));
    for mode in [0o600, 0o755] {
        client.chmod(&url, mode).await.unwrap();
        assert_eq!(fs::metadata(dir.join("d/a file")).unwrap().permissions().mode() & 0o7777, mode);
    }
    client.create_dir(server.url("e")).await.unwrap();
    assert_eq!(client.create_dir(server.url("e")).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    client.rename(&url, server.url("e/f")).await.unwrap();
    assert_eq!(client.remove_dir(server.url("e")).await.unwrap_err().kind(), ErrorKind::NotEmpty);
    client.remove_file(server.url("e/f")).await.unwrap();
    assert_eq!(client.remove_file(server.url("e/f")).await.unwrap_err().kind(), ErrorKind::NotFound);
    client.remove_dir(server.url("e")).await.unwrap();
    client.create_dir_all(server.url("x/y/z")).await.unwrap();
    client.create_dir_all(server.url("x/y/z")).await.unwrap();
    assert!(dir.join("x/y/z").is_dir());
    let features = client.features(&url).await.unwrap();
    assert!(features.mlst() && features.mfmt() && !features.cksm() && !features.eret(), "{features:?}");
    assert_eq!(client.canonical_dir(server.url("x/y/../y")).await.unwrap().path(), b"/x/y");
}

#[tokio::test]
async fn what_a_plain_server_does_not_do_is_unsupported() {
    let server = PlainServer::anonymous().start();
    furnish(&server);
    let client = anonymous();
    let url = server.url("d/a file");
    for error in [
        client.checksum(&url, ChecksumAlgorithm::Md5, ..).await.unwrap_err(),
        client.symlink("/d", server.url("l")).await.unwrap_err(),
        client.chgrp(&url, "0").await.unwrap_err(),
        client.get(&url).mode(TransferMode::ExtendedBlock).await.unwrap_err(),
        client.get(&url).parallelism(4).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.reply().is_some(), "{error}");
    }
    let refused = async {
        let mut many = client.get_many([&url]).await?;
        while let Some(mut file) = many.next_file().await? {
            file.bytes().await?;
        }
        Ok::<_, gridftp::Error>(())
    };
    let error = refused.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("extended block mode"), "{error}");
    // And single gets go on.
    assert_eq!(client.get(&url).await.unwrap().bytes().await.unwrap(), b"12345"[..]);
}

#[tokio::test]
async fn a_server_that_lets_nobody_write() {
    let server = PlainServer::anonymous().read_only().start();
    furnish(&server);
    let client = anonymous();
    let url = server.url("d/a file");
    assert_eq!(client.size(&url).await.unwrap(), 5);
    for error in [
        client.create_dir(server.url("x")).await.unwrap_err(),
        client.create_dir_all(server.url("x/y")).await.unwrap_err(),
        client.remove_file(&url).await.unwrap_err(),
        client.rename(&url, server.url("g")).await.unwrap_err(),
        client.chmod(&url, 0o600).await.unwrap_err(),
        client.put(server.url("new")).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    }
    client.create_dir_all(server.url("d")).await.unwrap();
}

/// What is known of files and folders without MLST.
async fn probed(server: &PlainServer, sizes: bool) {
    furnish(server);
    let (dir, client) = (server.dir(), anonymous());
    let url = server.url("d/a file");
    let file = client.stat(&url).await.unwrap();
    assert_eq!(*file.kind(), EntryKind::File, "{file:?}");
    assert_eq!(file.name(), b"/d/a file");
    assert_eq!(file.size(), sizes.then_some(5));
    assert_eq!(file.modified(), sizes.then_some(at(1_000_000_000)));
    assert_eq!(file.facts().count(), 0, "nothing is made up");
    let folder = client.stat(server.url("d")).await.unwrap();
    assert!(folder.is_dir() && folder.size().is_none(), "{folder:?}");
    assert!(client.stat(server.url_root()).await.unwrap().is_dir());
    for name in ["missing", "d/missing", "missing/x"] {
        let error = client.stat(server.url(name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
        assert!(!client.exists(server.url(name)).await.unwrap(), "{name}");
    }
    for name in ["", "d", "d/a file"] {
        assert!(client.exists(server.url(name)).await.unwrap(), "{name}");
    }
    client.create_dir_all(server.url("x/y/z")).await.unwrap();
    client.create_dir_all(server.url("x/y/z")).await.unwrap();
    assert!(dir.join("x/y/z").is_dir());
    for name in ["d/a file", "d/a file/x"] {
        let error = client.create_dir_all(server.url(name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory, "{name}: {error}");
    }
    assert_eq!(client.canonical_dir(server.url("x/y/")).await.unwrap().path(), b"/x/y");
    assert!(client.metrics().logins <= 2, "{:?}", client.metrics());

    let data = random_bytes(1, 300_000);
    put(&client, &server.url("x/put"), &data).await;
    assert_eq!(fs::read(dir.join("x/put")).unwrap(), data);
    let got = client.get(server.url("x/put")).await.unwrap().bytes().await.unwrap();
    assert_eq!(sha256(&got), sha256(&data));
}

#[tokio::test]
async fn stat_without_mlst() {
    probed(&PlainServer::anonymous().without(&["MLST", "MLSD"]).start(), true).await;
}

#[tokio::test]
async fn stat_without_mlst_and_features() {
    probed(&PlainServer::anonymous().without(&["MLST", "MLSD", "FEAT", "OPTS"]).start(), true).await;
}

#[tokio::test]
async fn stat_on_a_server_that_knows_rfc_959_alone() {
    probed(&PlainServer::anonymous().old().start(), false).await;
}

#[tokio::test]
async fn files_in_stream_mode_by_pasv_and_epsv() {
    for server in [
        PlainServer::anonymous().start(),
        PlainServer::anonymous().without(&["EPSV", "EPRT"]).start(),
        PlainServer::anonymous().ipv6().start(),
    ] {
        let client = anonymous();
        for (name, size) in [("empty", 0), ("one", 1), ("large one", 3_000_001)] {
            let data = random_bytes(size as u64, size);
            put(&client, &server.url(name), &data).await;
            assert_eq!(sha256(&fs::read(server.dir().join(name)).unwrap()), sha256(&data), "{name}");
            let got = client.get(server.url(name)).await.unwrap().bytes().await.unwrap();
            assert_eq!(sha256(&got), sha256(&data), "{name}");
        }
        let error = client.get(server.url("missing")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        let expected = if server.url_root().contains("[::1]") { "<- EPSV" } else { "<- PASV" };
        assert!(server.log().contains(expected), "{expected}");
    }
}

#[tokio::test]
async fn ranges_by_rest() {
    let server = PlainServer::anonymous().start();
    let client = anonymous();
    let data = random_bytes(1, 1_000_000);
    fs::write(server.dir().join("f"), &data).unwrap();
    for (range, part) in [
        (ByteRange::from(999_999..), &data[999_999..]),
        (ByteRange::from(300_000..), &data[300_000..]),
        (ByteRange::from(..10), &data[..10]),
        (ByteRange::from(262_140..262_150), &data[262_140..262_150]),
        (ByteRange::from(0..1_000_000), &data[..]),
    ] {
        let got = client.get(server.url("f")).range(range).await.unwrap().bytes().await.unwrap();
        assert_eq!(sha256(&got), sha256(part), "{range}");
    }
    // Others find the session as it should be.
    assert_eq!(client.get(server.url("f")).await.unwrap().bytes().await.unwrap().len(), data.len());
}

#[tokio::test]
async fn users_of_a_plain_server() {
    let server = PlainServer::with_password("ada").start();
    fs::write(server.dir().join("f"), "12345").unwrap();
    let client = anonymous();
    assert_eq!(client.size(server.url("f")).await.unwrap(), 5);
    let url = format!("ftp://127.0.0.1:{}/f", server.port());
    let wrong = client.with_credential(Credential::user_password("ada", "no").unwrap());
    assert_eq!(wrong.size(&url).await.unwrap_err().kind(), ErrorKind::Authentication);
    assert_eq!(client.size(&url).await.unwrap_err().kind(), ErrorKind::Authentication);
}
