//! What a server refuses: each refusal its own kind, with the URL, the side, the phase and the server's own words.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use gridftp::options::{ProtectionLevel, TransferMode};
use gridftp::{Client, Error, ErrorKind, Phase, Side};
use gridftp_lab::{Server, random_bytes};

use crate::support::{WAYS, anonymous};

/// A refusal by the server of what was asked of it, which would be the same the next time.
#[track_caller]
fn refused(error: &Error, kind: ErrorKind, phase: Phase, url: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.phase(), phase, "{error}");
    assert_eq!(error.side(), Some(Side::Server), "{error}");
    assert_eq!(error.url().unwrap().to_string(), url, "{error}");
    assert!(!error.is_transient(), "{error}");
    assert!(!error.may_have_applied(), "{error}");
    assert!(error.reply().unwrap().code() >= 400, "{error}");
    assert!(error.to_string().starts_with(url), "{error}");
}

/// A put of a few bytes, to its end.
async fn put(client: &Client, url: &str, mode: TransferMode, streams: u16) -> Result<u64, Error> {
    let mut put = client.put(url).mode(mode).parallelism(streams).await?;
    put.write(Bytes::from_static(b"some bytes")).await?;
    Ok(put.finish().await?.bytes)
}

#[tokio::test]
async fn what_is_missing() {
    let server = Server::anonymous().start();
    let client = anonymous();
    for name in ["missing", "missing/below"] {
        let url = server.url(name);
        let missing = |error: Error| refused(&error, ErrorKind::NotFound, Phase::Command, &url);
        missing(client.stat(&url).await.unwrap_err());
        missing(client.size(&url).await.unwrap_err());
        missing(client.modified(&url).await.unwrap_err());
        missing(client.remove_file(&url).await.unwrap_err());
        missing(client.remove_dir(&url).await.unwrap_err());
        missing(client.rename(&url, server.url("new")).await.unwrap_err());
        for (mode, streams) in WAYS {
            missing(client.get(&url).mode(mode).parallelism(streams).await.unwrap_err());
            missing(client.get(&url).mode(mode).parallelism(streams).range(5..9).await.unwrap_err());
        }
        assert!(!client.exists(&url).await.unwrap());
    }
    let below = server.url("missing/below");
    refused(&client.create_dir(&below).await.unwrap_err(), ErrorKind::NotFound, Phase::Command, &below);
    for (mode, streams) in WAYS {
        let error = put(&client, &below, mode, streams).await.unwrap_err();
        refused(&error, ErrorKind::NotFound, Phase::Command, &below);
    }
    std::fs::write(server.dir().join("f"), "x").unwrap();
    let error = client.rename(server.url("f"), &below).await.unwrap_err();
    refused(&error, ErrorKind::NotFound, Phase::Command, &server.url("f"));
    assert_eq!(std::fs::read(server.dir().join("f")).unwrap(), b"x");
}

#[tokio::test]
async fn folders_where_files_are_wanted_and_the_other_way_round() {
    let server = Server::anonymous().start();
    std::fs::create_dir(server.dir().join("d")).unwrap();
    std::fs::write(server.dir().join("f"), "contents").unwrap();
    let client = anonymous();
    let (folder, file, below) = (server.url("d"), server.url("f"), server.url("f/below"));
    for (mode, streams) in WAYS {
        // The server opens a folder and notices when it reads from it.
        let get = async { client.get(&folder).mode(mode).parallelism(streams).await?.bytes().await };
        let error = get.await.unwrap_err();
        assert!(matches!(error.phase(), Phase::Data | Phase::Completion), "{error:?}");
        refused(&error, ErrorKind::IsADirectory, error.phase(), &folder);
        let error = put(&client, &folder, mode, streams).await.unwrap_err();
        refused(&error, ErrorKind::IsADirectory, Phase::Command, &folder);
        let error = put(&client, &below, mode, streams).await.unwrap_err();
        refused(&error, ErrorKind::NotADirectory, Phase::Command, &below);
    }
    refused(
        &client.remove_file(&folder).await.unwrap_err(),
        ErrorKind::IsADirectory,
        Phase::Command,
        &folder,
    );
    refused(&client.remove_dir(&file).await.unwrap_err(), ErrorKind::NotADirectory, Phase::Command, &file);
    refused(&client.stat(&below).await.unwrap_err(), ErrorKind::NotADirectory, Phase::Command, &below);
    refused(&client.create_dir(&below).await.unwrap_err(), ErrorKind::NotADirectory, Phase::Command, &below);
    assert!(server.dir().join("d").is_dir());
    assert_eq!(std::fs::read(server.dir().join("f")).unwrap(), b"contents");
}

#[tokio::test]
async fn names_that_are_taken_and_folders_that_are_not_empty() {
    let server = Server::anonymous().start();
    std::fs::create_dir_all(server.dir().join("d/inner")).unwrap();
    std::fs::write(server.dir().join("f"), "x").unwrap();
    let client = anonymous();
    for name in ["d", "f"] {
        let url = server.url(name);
        refused(&client.create_dir(&url).await.unwrap_err(), ErrorKind::AlreadyExists, Phase::Command, &url);
    }
    let url = server.url("d");
    refused(&client.remove_dir(&url).await.unwrap_err(), ErrorKind::NotEmpty, Phase::Command, &url);
    assert!(server.dir().join("d/inner").is_dir());
}

/// The server's user must not be one to whom permissions mean nothing.
fn unprivileged() -> Server {
    let mut server = Server::anonymous();
    if rustix::process::geteuid().is_root() {
        server = server.args(["-anonymous-user", "nobody", "-anonymous-group", "nogroup"]);
    }
    let server = server.start();
    std::fs::set_permissions(server.dir().parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    server
}

#[tokio::test]
async fn what_the_file_system_does_not_permit() {
    let server = unprivileged();
    let closed = server.dir().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::write(closed.join("f"), "x").unwrap();
    std::fs::write(server.dir().join("secret"), "x").unwrap();
    std::fs::set_permissions(server.dir().join("secret"), Permissions::from_mode(0o000)).unwrap();
    let client = anonymous();
    let denied = |error: Error, url: &str| refused(&error, ErrorKind::PermissionDenied, Phase::Command, url);

    // A folder that cannot be written to.
    std::fs::set_permissions(&closed, Permissions::from_mode(0o555)).unwrap();
    let (new, old) = (server.url("closed/new"), server.url("closed/f"));
    assert_eq!(client.size(&old).await.unwrap(), 1);
    denied(client.create_dir(&new).await.unwrap_err(), &new);
    denied(client.remove_file(&old).await.unwrap_err(), &old);
    denied(client.rename(&old, &new).await.unwrap_err(), &old);
    for (mode, streams) in WAYS {
        denied(put(&client, &new, mode, streams).await.unwrap_err(), &new);
    }
    // A folder that cannot be looked into: what is in it is not "missing".
    std::fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    denied(client.stat(&old).await.unwrap_err(), &old);
    denied(client.size(&old).await.unwrap_err(), &old);
    denied(client.exists(&old).await.unwrap_err(), &old);
    denied(client.modified(&old).await.unwrap_err(), &old);
    // A file that cannot be read, though its size is no secret.
    let secret = server.url("secret");
    assert_eq!(client.size(&secret).await.unwrap(), 1);
    for (mode, streams) in WAYS {
        denied(client.get(&secret).mode(mode).parallelism(streams).await.unwrap_err(), &secret);
        denied(put(&client, &secret, mode, streams).await.unwrap_err(), &secret);
    }
    std::fs::set_permissions(&closed, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(std::fs::read_dir(&closed).unwrap().count(), 1, "nothing was made or removed");
}

#[tokio::test]
async fn what_a_confined_server_does_not_show() {
    let server = Server::anonymous().confined().start();
    let client = anonymous();
    let url = format!("{}/etc/hostname", server.url_root());
    let denied = |error: Error| refused(&error, ErrorKind::PermissionDenied, Phase::Command, &url);
    denied(client.stat(&url).await.unwrap_err());
    denied(client.get(&url).await.unwrap_err());
    denied(client.get(&url).parallelism(2).await.unwrap_err());
    denied(client.remove_file(&url).await.unwrap_err());
}

#[tokio::test]
async fn a_full_disk() {
    let server = Server::anonymous().start();
    let client = anonymous();
    for (mode, streams) in WAYS {
        // What is incomplete gets deleted: through a link, so that it is the link.
        let link = server.dir().join(format!("full-{mode:?}-{streams}"));
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        let url = server.url(&link);
        let contents = Bytes::from(random_bytes(1, 3_000_000));
        let error = async {
            let mut put = client.put(&url).mode(mode).parallelism(streams).await?;
            // The window is larger than what a server takes before it notices.
            for _ in 0..20 {
                put.write(contents.clone()).await?;
            }
            put.finish().await
        };
        let error = error.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{mode:?} {streams}: {error}");
        assert_eq!(error.side(), Some(Side::Server));
        assert_eq!(error.url().unwrap().to_string(), url);
        assert!(matches!(error.phase(), Phase::Data | Phase::Completion), "{error:?}");
    }
}

#[tokio::test]
async fn a_refusal_costs_no_session() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("f"), "contents").unwrap();
    let client = anonymous();
    for _ in 0..20 {
        for (mode, streams) in WAYS {
            client.get(server.url("missing")).mode(mode).parallelism(streams).await.unwrap_err();
            let got = client.get(server.url("f")).mode(mode).parallelism(streams).await.unwrap();
            assert_eq!(got.bytes().await.unwrap(), "contents");
            put(&client, &server.url("missing/new"), mode, streams).await.unwrap_err();
            assert_eq!(put(&client, &server.url("new"), mode, streams).await.unwrap(), 10);
        }
    }
    assert_eq!(client.metrics().connects, 1, "{:?}", client.metrics());
}

#[tokio::test]
async fn what_a_server_or_a_mode_cannot_do_is_an_error_and_not_something_else_instead() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("f"), "contents").unwrap();
    let client = anonymous();
    let url = server.url("f");
    // An anonymous session has no keys.
    for level in [ProtectionLevel::Safe, ProtectionLevel::Private] {
        let error = client.get(&url).protection(level).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Unsupported, Phase::DataSetup), "{error}");
        assert!(!error.is_transient());
        assert_eq!(client.put(&url).protection(level).await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    for (error, named) in [
        (client.get(&url).parallelism(0).await.unwrap_err(), "parallelism of 0"),
        (client.get(&url).parallelism(257).await.unwrap_err(), "parallelism of 257"),
        (client.get(&url).mode(TransferMode::Stream).parallelism(2).await.unwrap_err(), "stream mode"),
        (client.get(&url).tcp_buffer(0).await.unwrap_err(), "TCP buffer of 0"),
        (client.put(&url).window(0).await.unwrap_err(), "window of 0"),
        (client.put(&url).window(257).await.unwrap_err(), "window of 257"),
        (client.rename(&url, "ftp://127.0.0.2/f").await.unwrap_err(), "same server"),
    ] {
        assert_eq!((error.kind(), error.side()), (ErrorKind::InvalidInput, Some(Side::Local)), "{error}");
        assert!(error.to_string().contains(named), "{error}");
        assert_eq!(error.url().unwrap().to_string(), url);
        assert!(!error.is_transient());
    }
    assert_eq!(std::fs::read(server.dir().join("f")).unwrap(), b"contents");
}
