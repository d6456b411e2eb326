//! What a server tells about files, and names that come and go, compared with what the file system says.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::{Duration, SystemTime};

use gridftp::{EntryKind, ErrorKind};
use gridftp_lab::{Server, random_bytes};

use crate::support::{anonymous, trusting, with_proxy};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[tokio::test]
async fn facts_of_files() {
    let server = Server::anonymous().start();
    let client = anonymous();
    for (name, size, mode, seconds) in [
        ("empty", 0, 0o600, 0),
        ("small", 1, 0o644, 951_782_400),
        ("executable", 4097, 0o755, 1_700_000_000),
        ("set", 70_000, 0o4711, 4_102_444_799),
    ] {
        let path = server.dir().join(name);
        fs::write(&path, random_bytes(1, size)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(at(seconds)).unwrap();
        let known = fs::metadata(&path).unwrap();
        let url = server.url(&path);

        let entry = client.stat(&url).await.unwrap();
        assert_eq!(*entry.kind(), EntryKind::File, "{entry:?}");
        assert!(entry.is_file() && !entry.is_dir() && !entry.is_symlink());
        assert_eq!(entry.name(), path.as_os_str().as_encoded_bytes());
        assert_eq!(entry.size(), Some(size as u64), "{entry:?}");
        assert_eq!(entry.modified(), Some(at(seconds)), "{entry:?}");
        assert_eq!(entry.unix_mode(), Some(mode), "{entry:?}");
        assert_eq!((entry.uid(), entry.gid()), (Some(known.uid()), Some(known.gid())), "{entry:?}");
        assert!(entry.unique().is_some_and(|unique| !unique.is_empty()), "{entry:?}");
        assert_eq!(client.size(&url).await.unwrap(), size as u64);
        assert_eq!(client.modified(&url).await.unwrap(), at(seconds));
        assert!(client.exists(&url).await.unwrap());
    }
}

#[tokio::test]
async fn a_file_of_many_gigabytes() {
    let server = Server::anonymous().start();
    let size = (1_u64 << 40) + 12_345;
    fs::File::create(server.dir().join("sparse")).unwrap().set_len(size).unwrap();
    let client = anonymous();
    let url = server.url("sparse");
    assert_eq!(client.size(&url).await.unwrap(), size);
    assert_eq!(client.stat(&url).await.unwrap().size(), Some(size));
    // The end of it, from beyond what 32 bits count.
    let get = client.get(&url).range(size - 100..).await.unwrap();
    assert_eq!(get.size(), Some(size));
    assert_eq!(get.bytes().await.unwrap(), [0; 100][..]);
}

#[tokio::test]
async fn facts_of_folders_and_links() {
    let server = Server::anonymous().start();
    let dir = server.dir();
    fs::create_dir(dir.join("d")).unwrap();
    fs::set_permissions(dir.join("d"), Permissions::from_mode(0o750)).unwrap();
    fs::write(dir.join("f"), "12345").unwrap();
    std::os::unix::fs::symlink("f", dir.join("to-file")).unwrap();
    std::os::unix::fs::symlink("d", dir.join("to-folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.join("dangling")).unwrap();
    let client = anonymous();

    let entry = client.stat(server.url("d")).await.unwrap();
    assert!(entry.is_dir() && !entry.is_file(), "{entry:?}");
    assert_eq!(entry.unix_mode(), Some(0o750), "{entry:?}");
    // With a slash at the end it is the same folder.
    let again = client.stat(server.url("d") + "/").await.unwrap();
    assert!(again.is_dir() && again.unique() == entry.unique(), "{again:?}");
    let root = client.stat(server.url_root()).await.unwrap();
    assert!(root.is_dir(), "{root:?}");

    let link = client.stat(server.url("to-file")).await.unwrap();
    assert!(link.is_symlink(), "{link:?}");
    assert_eq!(link.size(), Some(5), "{link:?}");
    assert!(link.link_target().unwrap().ends_with(b"/f"), "{link:?}");
    assert_eq!(link.unique(), client.stat(server.url("f")).await.unwrap().unique());
    assert!(client.stat(server.url("to-folder")).await.unwrap().is_symlink());
    assert_eq!(client.size(server.url("to-file")).await.unwrap(), 5);
    assert_eq!(client.size(server.url("dangling")).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_exists_and_what_does_not() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("f"), "x").unwrap();
    fs::create_dir(server.dir().join("d")).unwrap();
    let client = anonymous();
    for (name, there) in [("f", true), ("d", true), ("d/", true), ("F", false), ("f2", false), ("d/f", false)]
    {
        assert_eq!(client.exists(server.url(name)).await.unwrap(), there, "{name}");
    }
    fs::remove_file(server.dir().join("f")).unwrap();
    assert!(!client.exists(server.url("f")).await.unwrap());
    // "No" is only for what is missing. Whoever cannot be asked has not said no.
    assert!(client.exists(server.url("x").replace("127.0.0.1", "no-such-host.invalid")).await.is_err());
}

#[tokio::test]
async fn folders_are_made_and_removed() {
    let server = Server::anonymous().start();
    let client = anonymous();
    for name in ["d", "d/inner", "d/with space", "d/inner/deep"] {
        client.create_dir(server.url(name)).await.unwrap();
        assert!(server.dir().join(name).is_dir(), "{name}");
        assert!(client.stat(server.url(name)).await.unwrap().is_dir());
    }
    for name in ["d/inner/deep", "d/inner", "d/with space", "d"] {
        client.remove_dir(server.url(name)).await.unwrap();
        assert!(!server.dir().join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn files_are_removed_and_renamed() {
    let server = Server::anonymous().start();
    let dir = server.dir();
    let client = anonymous();
    fs::create_dir(dir.join("sub dir")).unwrap();
    let names = ["plain", "with space", "sub dir/  two  spaces  ", "sub dir/,;umlaut", "back"];
    fs::write(dir.join(names[0]), "contents").unwrap();
    for pair in names.windows(2) {
        client.rename(server.url(pair[0]), server.url(pair[1])).await.unwrap();
        assert!(!dir.join(pair[0]).exists(), "{}", pair[0]);
        assert_eq!(fs::read(dir.join(pair[1])).unwrap(), b"contents", "{}", pair[1]);
    }
    // A file that has the new name is replaced.
    fs::write(dir.join("old"), "old").unwrap();
    client.rename(server.url("back"), server.url("old")).await.unwrap();
    assert_eq!(fs::read(dir.join("old")).unwrap(), b"contents");
    // Folders too have names.
    client.rename(server.url("sub dir"), server.url("d")).await.unwrap();
    assert!(dir.join("d").is_dir() && !dir.join("sub dir").exists());

    std::os::unix::fs::symlink("old", dir.join("link")).unwrap();
    client.remove_file(server.url("link")).await.unwrap();
    assert!(dir.join("old").exists(), "the link is removed, not what it leads to");
    client.remove_file(server.url("old")).await.unwrap();
    assert!(!dir.join("old").exists());
    assert_eq!(client.remove_file(server.url("old")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(client.metrics().connects, 1, "{:?}", client.metrics());
}

#[tokio::test]
async fn a_refused_rename_does_not_confuse_the_next_one() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("a"), "a").unwrap();
    let client = anonymous();
    for _ in 0..10 {
        let (missing, x) = (server.url("missing"), server.url("x"));
        let (a, b) = (server.url("a"), server.url("b"));
        let (bad, good) = tokio::join!(client.rename(&missing, &x), client.rename(&a, &b));
        assert_eq!(bad.unwrap_err().kind(), ErrorKind::NotFound);
        good.unwrap();
        client.rename(&b, &a).await.unwrap();
    }
    assert_eq!(fs::read_dir(server.dir()).unwrap().count(), 1);
    assert_eq!(fs::read(server.dir().join("a")).unwrap(), b"a");
}

#[tokio::test]
async fn features() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let features = client.features(server.url_root()).await.unwrap();
    assert!(features.size() && features.eret() && features.esto(), "{features:?}");
    for fact in ["Type", "Size", "Modify", "UNIX.mode"] {
        assert!(
            features.mlst_facts().any(|(known, _)| known.eq_ignore_ascii_case(fact)),
            "{fact}: {features:?}"
        );
    }
    let commands = client.metrics().commands;
    assert_eq!(client.features(server.url("x")).await.unwrap(), features);
    assert_eq!(client.metrics().commands, commands, "nothing is asked twice");
}

#[test]
fn the_same_over_a_protected_connection() {
    trusting("metadata::the_same_over_a_protected_connection", |pki| async move {
        let server = Server::gsi(&pki).start();
        let dir = server.dir();
        let client = with_proxy(&pki);
        let name = " spaces and ümlauts ";
        fs::write(dir.join("f"), random_bytes(1, 12_345)).unwrap();
        client.create_dir(server.url("d")).await.unwrap();
        client.rename(server.url("f"), server.url(format!("d/{name}"))).await.unwrap();
        let url = server.url(format!("d/{name}"));
        let entry = client.stat(&url).await.unwrap();
        assert_eq!(entry.name(), dir.join("d").join(name).as_os_str().as_encoded_bytes());
        assert_eq!(entry.size(), Some(12_345));
        assert_eq!(client.size(&url).await.unwrap(), 12_345);
        assert_eq!(client.modified(&url).await.unwrap(), entry.modified().unwrap());
        assert_eq!(client.remove_dir(server.url("d")).await.unwrap_err().kind(), ErrorKind::NotEmpty);
        client.remove_file(&url).await.unwrap();
        assert!(!client.exists(&url).await.unwrap());
        client.remove_dir(server.url("d")).await.unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        assert_eq!(client.metrics().logins, 1, "metadata needs one session");
    });
}
