//! What users do to names and to facts about files, compared with what the file system says.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::time::{Duration, SystemTime};

use gridftp::{Credential, ErrorKind, Url};
use gridftp_lab::Server;

use crate::fake::Fake;
use crate::support::{anonymous, builder};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn mode(path: &std::path::Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn mkdir_rmdir_delete_move_chmod() {
    let server = Server::anonymous().start();
    let (dir, client) = (server.dir(), anonymous());
    client.create_dir(server.url("d 1")).await.unwrap();
    fs::write(dir.join("d 1/f"), "contents").unwrap();
    for bits in [0o600, 0o644, 0o4755, 0o000, 0o400, 0o1, 0o7777] {
        client.chmod(server.url("d 1/f"), bits).await.unwrap();
        assert_eq!(mode(&dir.join("d 1/f")), bits, "{bits:o}");
        client.chmod(server.url("d 1"), 0o1777).await.unwrap();
        assert_eq!(mode(&dir.join("d 1")), 0o1777);
    }
    client.rename(server.url("d 1/f"), server.url("g")).await.unwrap();
    assert_eq!(fs::read(dir.join("g")).unwrap(), b"contents");
    client.remove_dir(server.url("d 1")).await.unwrap();
    client.remove_file(server.url("g")).await.unwrap();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);

    let error = client.chmod(server.url("g"), 0o644).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let commands = client.metrics().commands;
    let error = client.chmod(server.url("g"), 0o10000).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains("0o10000"), "{error}");
    assert_eq!(client.metrics().commands, commands, "nothing was sent");
}

#[tokio::test]
async fn chgrp_utime_symlink() {
    let server = Server::anonymous().start();
    let (dir, client) = (server.dir(), anonymous());
    let names = ["f", "with  two spaces"];
    for name in names {
        fs::write(dir.join(name), "x").unwrap();
        let own = fs::metadata(dir.join(name)).unwrap().gid();
        client.chgrp(server.url(name), own.to_string()).await.unwrap();
        assert_eq!(fs::metadata(dir.join(name)).unwrap().gid(), own);
        if rustix::process::geteuid().is_root() {
            client.chgrp(server.url(name), "4711").await.unwrap();
            assert_eq!(fs::metadata(dir.join(name)).unwrap().gid(), 4711);
            client.chgrp(server.url(name), "root").await.unwrap();
            assert_eq!(fs::metadata(dir.join(name)).unwrap().gid(), 0);
        }
        for seconds in [0, 1, 951_782_400, 4_102_444_799] {
            client.set_modified(server.url(name), at(seconds) + Duration::from_millis(999)).await.unwrap();
            assert_eq!(fs::metadata(dir.join(name)).unwrap().modified().unwrap(), at(seconds));
            assert_eq!(client.modified(server.url(name)).await.unwrap(), at(seconds));
        }
        let link = format!("link to {name}");
        let target = dir.join(name);
        client.symlink(target.as_os_str().as_encoded_bytes(), server.url(&link)).await.unwrap();
        assert_eq!(fs::read_link(dir.join(&link)).unwrap(), target);
        assert!(client.stat(server.url(&link)).await.unwrap().is_symlink());
        let again = client.symlink(target.to_str().unwrap(), server.url(&link)).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists, "{again}");
    }

    let missing = server.url("missing");
    let error = client.chgrp(&missing, "0").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = client.chgrp(server.url("f"), "no-such-group-here").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "as the stock server reports it: {error}");
    let error = client.set_modified(&missing, at(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let before = at(0) - Duration::from_secs(86_400);
    let error = client.set_modified(server.url("f"), before).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let error = client.symlink("/no/such/target", server.url("l")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = client.symlink(dir.join("f").to_str().unwrap(), server.url("missing/l")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn values_that_no_command_can_carry_are_refused_before_anything_is_sent() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let url = server.url("f");
    let year = at(400_000_000_000);
    for (error, part) in [
        (client.chgrp(&url, "").await.unwrap_err(), "group \"\""),
        (client.chgrp(&url, "domain users").await.unwrap_err(), "domain users"),
        (client.chgrp(&url, "x\r\nDELE f").await.unwrap_err(), "x\\r\\nDELE f"),
        (client.symlink("", &url).await.unwrap_err(), "empty"),
        (client.symlink("a\nb", &url).await.unwrap_err(), "0x0a"),
        (client.set_modified(&url, year).await.unwrap_err(), "1601 to 9999"),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(part) && !error.to_string().contains('\n'), "{error}");
        assert_eq!(error.url().map(ToString::to_string), Some(url.clone()));
    }
    assert_eq!(client.metrics().connects, 0);
}

#[tokio::test]
async fn exists_size_mtime() {
    let server = Server::anonymous().start();
    let client = anonymous();
    fs::write(server.dir().join("f"), vec![0; 12_345]).unwrap();
    fs::File::open(server.dir().join("f")).unwrap().set_modified(at(1_234_567_890)).unwrap();
    let url = server.url("f");
    client.exists(server.url_root()).await.unwrap();
    let commands = client.metrics().commands;
    assert!(client.exists(&url).await.unwrap());
    assert_eq!(client.metrics().commands, commands + 1, "one command, one round trip");
    assert!(!client.exists(server.url("g")).await.unwrap());
    assert_eq!(client.metrics().commands, commands + 2);
    assert_eq!(client.size(&url).await.unwrap(), 12_345);
    assert_eq!(client.modified(&url).await.unwrap(), at(1_234_567_890));
    assert_eq!(client.size(server.url("g")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(client.modified(server.url("g")).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn stat_mlst() {
    let server = Server::anonymous().start();
    let client = anonymous();
    fs::write(server.dir().join("f"), "12345").unwrap();
    let entry = client.stat(server.url("f")).await.unwrap();
    let known = fs::metadata(server.dir().join("f")).unwrap();
    assert!(entry.is_file());
    assert_eq!((entry.size(), entry.uid()), (Some(5), Some(known.uid())));
    assert!(entry.facts().count() > 5, "{entry:?}");
    assert!(client.stat(server.url("")).await.unwrap().is_dir());
    assert_eq!(client.stat(server.url("g")).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn features_feat() {
    let server = Server::anonymous().start();
    let features = anonymous().features(server.url_root()).await.unwrap();
    assert!(features.mlst() && features.mfmt() && features.cksm() && features.rest_stream(), "{features:?}");
    assert!(features.has("dcsc") && !features.has("NOSUCHTHING"));
    assert_eq!(features.checksums().next(), Some("MD5"));
}

#[tokio::test]
async fn mkdir_p() {
    let server = Server::anonymous().start();
    let (dir, client) = (server.dir(), anonymous());
    client.create_dir_all(server.url("a/b c/d/e")).await.unwrap();
    assert!(dir.join("a/b c/d/e").is_dir());
    let made = fs::metadata(dir.join("a/b c/d/e")).unwrap();
    // What is there stays, and is a success; with one round trip.
    client.create_dir_all(server.url("a/b c/d/e")).await.unwrap();
    client.create_dir_all(server.url("a/b c/d/e/")).await.unwrap();
    assert_eq!(fs::metadata(dir.join("a/b c/d/e")).unwrap().ino(), made.ino());
    let commands = client.metrics().commands;
    client.create_dir_all(server.url("a/b c/d/e")).await.unwrap();
    client.create_dir_all(server.url("a/f")).await.unwrap();
    assert_eq!(client.metrics().commands, commands + 4, "MKD and MLST each");
    client.create_dir_all(server.url_root()).await.unwrap();

    // A link to a folder is a folder on the way and at the end.
    symlink(dir.join("a"), dir.join("link")).unwrap();
    client.create_dir_all(server.url("link/x/y")).await.unwrap();
    assert!(dir.join("a/x/y").is_dir());
    client.create_dir_all(server.url("link")).await.unwrap();

    // Files in the way.
    fs::write(dir.join("file"), "x").unwrap();
    for name in ["file", "file/x", "file/x/y/z"] {
        let error = client.create_dir_all(server.url(name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory, "{name}: {error}");
        assert_eq!(error.url().unwrap().to_string(), server.url(name));
    }
    symlink("nowhere", dir.join("dangling")).unwrap();
    assert!(client.create_dir_all(server.url("dangling")).await.is_err());
    assert_eq!(fs::read(dir.join("file")).unwrap(), b"x");

    // Many at once, all with the same beginning.
    let clients: Vec<_> = (0..40).map(|n| server.url(format!("new/common/path/{}", n % 10))).collect();
    let made = futures_util::future::join_all(clients.iter().map(|url| client.create_dir_all(url))).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert_eq!(fs::read_dir(dir.join("new/common/path")).unwrap().count(), 10);
}

#[tokio::test]
async fn the_reason_why_a_path_of_folders_cannot_be_made() {
    // Only this folder may be seen; nothing can be made outside.
    let server = Server::anonymous().confined().start();
    let client = anonymous();
    client.create_dir_all(server.url("x/y")).await.unwrap();
    assert!(server.dir().join("x/y").is_dir());
    let outside = server.url_root() + "/no/such/folder/of/the/lab";
    let error = client.create_dir_all(&outside).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

#[tokio::test]
async fn homes_and_absolute_paths() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::anonymous().args(["-home-dir", home.path().to_str().unwrap()]).start();
    fs::create_dir(home.path().join("d")).unwrap();
    fs::write(home.path().join("f"), "home").unwrap();
    let client = anonymous();
    let root = server.url_root();
    assert_eq!(client.size(format!("{root}/~/f")).await.unwrap(), 4);
    assert_eq!(client.size(format!("{root}/%7E/f")).await.unwrap(), 4);
    assert_eq!(client.size(format!("{root}/%2F{}/f", home.path().display())).await.unwrap(), 4);
    assert_eq!(client.size(format!("{root}/f")).await.unwrap_err().kind(), ErrorKind::NotFound);
    for url in [format!("{root}/~/d"), format!("{root}/~/d/"), format!("{root}{}/d", home.path().display())] {
        let found = client.canonical_dir(&url).await.unwrap();
        assert_eq!(found.path(), home.path().join("d").as_os_str().as_encoded_bytes(), "{url}");
        assert!(client.stat(found).await.unwrap().is_dir());
    }
    let error = client.canonical_dir(format!("{root}/~/f")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotADirectory, "{error}");
    let error = client.canonical_dir(format!("{root}/~/missing")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(client.metrics().logins, 1, "the session that looked around was used again");
}

#[tokio::test]
async fn rfc1738_paths() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::anonymous().args(["-home-dir", home.path().to_str().unwrap()]).start();
    let client = builder().rfc1738_paths(true).build().unwrap();
    let root = server.url_root();
    client.put(format!("{root}/relative")).await.unwrap().into_writer();
    let mut put = client.put(format!("{root}/relative")).await.unwrap();
    put.write("12345".into()).await.unwrap();
    put.finish().await.unwrap();
    assert_eq!(fs::read(home.path().join("relative")).unwrap(), b"12345");
    assert_eq!(client.get(format!("{root}/relative")).await.unwrap().bytes().await.unwrap(), b"12345"[..]);
    client.create_dir_all(format!("{root}/a/b/c")).await.unwrap();
    assert!(home.path().join("a/b/c").is_dir());
    client.rename(format!("{root}/relative"), format!("{root}/a/b/c/f")).await.unwrap();
    let absolute = home.path().join("a/b/c/f");
    for url in [
        format!("{root}/a/b/c/f"),
        format!("{root}/~/a/b/c/f"),
        format!("{root}/{}", absolute.display()),
        format!("{root}/%2F{}", absolute.strip_prefix("/").unwrap().display()),
    ] {
        assert_eq!(client.size(&url).await.unwrap(), 5, "{url}");
    }
    let error = client.size(format!("{root}{}", absolute.display())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "a single slash is relative: {error}");
    assert!(client.stat(&root).await.unwrap().is_dir());
    // Relative paths mean the same after the session was elsewhere.
    let found = client.canonical_dir(format!("{root}/a/b")).await.unwrap();
    assert_eq!(found.path(), format!("/{}/a/b", home.path().display()).as_bytes());
    assert_eq!(client.canonical_dir(&found).await.unwrap(), found);
    let many = [format!("{root}/a/b/c/f")];
    let mut files = client.get_many(&many).await.unwrap();
    assert_eq!(files.next_file().await.unwrap().unwrap().bytes().await.unwrap(), b"12345"[..]);
    // Without the choice the same text is another path.
    let error = anonymous().size(Url::parse(&format!("{root}/a/b/c/f")).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn user_password_anonymous() {
    let server = Server::with_password("ada").start();
    fs::write(server.dir().join("f"), "12345").unwrap();
    let client = anonymous();
    assert_eq!(client.size(server.url("f")).await.unwrap(), 5, "user and password in the URL");
    let plain = format!("ftp://127.0.0.1:{}{}", server.port(), server.dir().join("f").display());
    let error = client.size(&plain).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "anonymous: {error}");
    let ada = Credential::user_password("ada", server.password()).unwrap();
    assert_eq!(client.with_credential(ada).size(&plain).await.unwrap(), 5);
    let wrong = Credential::user_password("ada", "wrong").unwrap();
    let error = client.with_credential(wrong).size(&plain).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
    let open = Server::anonymous().start();
    fs::write(open.dir().join("f"), "123").unwrap();
    assert_eq!(client.size(open.url("f")).await.unwrap(), 3);
}

#[tokio::test]
async fn other_servers_have_other_commands_for_times_and_links() {
    let server = Fake::start("220 ready\r\n", |line| {
        Some(
            match line.split(' ').take(2).collect::<Vec<_>>().join(" ").as_str() {
                "SITE UTIME" => "250 set\r\n",
                "SITE SYMLINKFROM" | "SITE SYMLINKTO" => "500 'SITE SYMLINK...': command not understood.\r\n",
                "SITE SYMLINK" => "200 linked\r\n",
                _ => return None,
            }
            .to_owned(),
        )
    })
    .await;
    let client = anonymous();
    client.set_modified(server.url("a b"), at(0)).await.unwrap();
    client.symlink("/target", server.url("link")).await.unwrap();
    let error = client.symlink("/the target", server.url("link")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let heard: Vec<_> = server.heard().into_iter().filter(|line| line.starts_with("SITE")).collect();
    let expected = [
        "SITE UTIME 19700101000000 /a b",
        "SITE SYMLINKFROM /target",
        "SITE SYMLINKTO /link",
        "SITE SYMLINK /target /link",
        "SITE SYMLINKFROM /the target",
        "SITE SYMLINKTO /link",
    ];
    let heard: Vec<_> = heard.iter().filter(|line| !line.starts_with("SITE CLIENTINFO")).collect();
    assert_eq!(heard, expected);
}
