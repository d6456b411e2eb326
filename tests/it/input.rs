//! Bad input is refused before anybody is connected to; strange but possible names are carried as they are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use bytes::Bytes;
use gridftp::{Client, Credential, Error, ErrorKind, Phase, Side, Url};
use gridftp_lab::{Server, random_bytes, sha256};

use crate::fake::Fake;
use crate::support::{WAYS, anonymous, trusting, with_proxy};

/// The URL in every operation that takes one.
async fn every_operation(client: &Client, good: &str, bad: &str) -> Vec<(&'static str, Error)> {
    vec![
        ("stat", client.stat(bad).await.unwrap_err()),
        ("exists", client.exists(bad).await.unwrap_err()),
        ("size", client.size(bad).await.unwrap_err()),
        ("modified", client.modified(bad).await.unwrap_err()),
        ("features", client.features(bad).await.unwrap_err()),
        ("create_dir", client.create_dir(bad).await.unwrap_err()),
        ("remove_dir", client.remove_dir(bad).await.unwrap_err()),
        ("remove_file", client.remove_file(bad).await.unwrap_err()),
        ("rename from", client.rename(bad, good).await.unwrap_err()),
        ("rename to", client.rename(good, bad).await.unwrap_err()),
        ("get", client.get(bad).await.unwrap_err()),
        ("get_many", client.get_many([good, bad, good]).await.unwrap_err()),
        ("put", client.put(bad).await.unwrap_err()),
        ("parse", Url::parse(bad).unwrap_err()),
    ]
}

#[tokio::test]
async fn bad_urls_are_refused_with_the_name_of_the_part_and_without_a_connection() {
    let fake = Fake::start("220 hello\r\n", |_| None).await;
    let client = anonymous();
    let (good, port) = (fake.url("f"), fake.port());
    let here = |rest: &str| format!("ftp://127.0.0.1:{port}{rest}");
    let mut bad = vec![
        (format!("ftp://127.0.0.1:{}/f", 65536), "port"),
        (format!("ftp://127.0.0.1:{}/f", u64::from(port) + 65536), "port"),
        ("ftp://127.0.0.1:0/f".to_owned(), "port"),
        ("ftp://127.0.0.1:/f".to_owned(), "port"),
        (format!("ftp://127.0.0.1:+{port}/f"), "port"),
        (format!("ftp://127.0.0.1:{port}x/f"), "port"),
        (format!("http://127.0.0.1:{port}/f"), "scheme"),
        (format!("ftps://127.0.0.1:{port}/f"), "scheme"),
        (format!("://127.0.0.1:{port}/f"), "scheme"),
        (format!("127.0.0.1:{port}/f"), "URL"),
        (String::new(), "URL"),
        (format!("ftp://:{port}/f"), "host"),
        ("ftp:///f".to_owned(), "host"),
        ("ftp://".to_owned(), "host"),
        (format!("ftp://user@:{port}/f"), "host"),
        (format!("ftp://@127.0.0.1:{port}/f"), "user name"),
        (format!("ftp://-oProxyCommand=x:{port}/f"), "host"),
        (format!("ftp://[::1:{port}/f"), "host"),
        (here("/f%"), "path"),
        (here("/f%0"), "path"),
        (here("/f%zz"), "path"),
        (here("/f?x"), "path"),
    ];
    for byte in ["\r", "\n", "\0", "\r\n", "\u{1b}", "\u{7f}", "%0d", "%0a", "%0D%0A", "%00", "%1b", "%7F"] {
        bad.push((here(&format!("/a{byte}DELE f")), "path"));
        bad.push((here(&format!("/f{byte}")), "path"));
        bad.push((format!("ftp://us{byte}er@127.0.0.1:{port}/f"), "user name"));
        bad.push((format!("ftp://user:hun{byte}ter@127.0.0.1:{port}/f"), "password"));
        bad.push((format!("ftp://127.0.0.1{byte}:{port}/f"), "host"));
        bad.push((format!("ftp://127.0.0.1:{port}{byte}/f"), "port"));
    }
    let count = bad.len();
    for (url, part) in bad {
        for (operation, error) in every_operation(&client, &good, &url).await {
            assert_eq!(
                (error.kind(), error.phase()),
                (ErrorKind::InvalidInput, Phase::Input),
                "{operation} {url:?}"
            );
            assert_eq!(error.side(), Some(Side::Local));
            assert!(!error.is_transient() && !error.may_have_applied());
            let shown = error.to_string();
            assert!(shown.contains(part) && shown.contains("expected"), "{operation} {url:?}: {shown}");
            assert!(!shown.contains("hun"), "a password is never shown: {shown}");
            assert!(!shown.bytes().any(|byte| byte < 0x20 || byte == 0x7f), "{shown:?}");
        }
    }
    assert!(count > 90, "{count}");
    assert_eq!((fake.connections(), client.metrics().connects), (0, 0));
    // The counter counts: with the good URL there is a connection.
    assert_eq!(client.size(&good).await.unwrap(), 10);
    assert_eq!((fake.connections(), client.metrics().connects), (1, 1));
    assert_eq!(fake.heard().last().unwrap(), "SIZE /f");
}

#[tokio::test]
async fn names_joined_to_a_url_and_credentials_are_checked_as_well() {
    let fake = Fake::start("220 hello\r\n", |_| None).await;
    let base = Url::parse(&fake.url("folder")).unwrap();
    for name in [&b"a\r\nDELE f"[..], b"a\nb", b"a\0b", b"\x7f"] {
        let error = base.join(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let error = base.with_path([b"/", name].concat()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    for (user, password) in [("a\r\nb", "x"), ("a", "x\r\nDELE f"), ("a\0", "x"), ("a", "secret\n")] {
        let error = Credential::user_password(user, password).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let client = anonymous();
    for subject in ["/O=Grid\r\nQUIT", "", "no name"] {
        let url = fake.url("f").replace("ftp://", "gsiftp://");
        let error = client.get(url).subject(subject).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::InvalidInput, Phase::Input), "{error}");
    }
    assert_eq!((fake.connections(), client.metrics().connects), (0, 0));
}

/// Names of files as people and programs make them, in ASCII.
const PLAIN: [&[u8]; 12] = [
    b"a b  c",
    b" leading",
    b"trailing ",
    b"100%",
    b"%0d%0a",
    b"a;b=c;",
    b"quo\"te's",
    b"back\\slash",
    b"-rf",
    b"~",
    b"#hash?query&x",
    b"*[a-z]{1}...",
];

/// Names with bytes above 127: as they are in UTF-8, in Latin-1, and in no encoding at all.
const HIGH: [&[u8]; 6] = [
    "\u{202e}\u{1f600} é".as_bytes(),
    b"caf\xe9",
    b"\xff\xfe\xfd",
    b"\xff\xff\xff\xf4\xf2 telnet",
    b"\x80",
    b"\xc3\x28 \xf0\x9f",
];

#[tokio::test]
async fn strange_names_are_carried_faithfully() {
    let server = Server::anonymous().start();
    carried(&server, &anonymous(), &PLAIN).await;
}

#[test]
fn names_that_are_not_utf8_are_carried_faithfully() {
    trusting("input::names_that_are_not_utf8_are_carried_faithfully", |pki| async move {
        let server = Server::gsi(&pki).start();
        let client = with_proxy(&pki);
        carried(&server, &client, &HIGH).await;
        carried(&server, &client, &PLAIN).await;
    });
}

/// Every operation with every name, compared with what the file system says.
async fn carried(server: &Server, client: &Client, names: &[&[u8]]) {
    for (index, &name) in names.iter().enumerate() {
        let shown = String::from_utf8_lossy(name);
        let folder = server.dir().join(format!("{}-{index}", names.len()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join(OsStr::from_bytes(name));
        let contents = random_bytes(index as u64, 1000 + index);
        std::fs::write(&path, &contents).unwrap();
        let url = server.url(&path);
        assert_eq!(Url::parse(&url).unwrap().path(), path.as_os_str().as_bytes());
        let joined = Url::parse(&server.url(&folder)).unwrap().join(name).unwrap();
        assert_eq!(joined, Url::parse(&url).unwrap());

        // In.
        let entry = client.stat(&url).await.unwrap();
        assert_eq!(entry.name(), path.as_os_str().as_bytes(), "{shown}");
        assert_eq!(entry.size(), Some(contents.len() as u64), "{shown}");
        assert_eq!(client.size(&url).await.unwrap(), contents.len() as u64, "{shown}");
        assert!(client.exists(&url).await.unwrap());
        for (mode, streams) in WAYS {
            let get = client.get(&joined).mode(mode).parallelism(streams).await.unwrap();
            assert_eq!(sha256(&get.bytes().await.unwrap()), sha256(&contents), "{shown} {mode:?} {streams}");
            let part = client.get(&url).mode(mode).parallelism(streams).range(10..20).await.unwrap();
            assert_eq!(part.bytes().await.unwrap(), contents[10..20], "{shown} {mode:?} {streams}");
        }
        let mut many = client.get_many([&url]).await.unwrap();
        let got = many.next_file().await.unwrap().unwrap().bytes().await.unwrap();
        assert_eq!(sha256(&got), sha256(&contents), "{shown}");
        drop(many);

        // Out, under a name that is no less strange.
        let other = folder.join(OsStr::from_bytes(&[name, b"2"].concat()));
        for (mode, streams) in WAYS {
            let mut put = client.put(server.url(&other)).mode(mode).parallelism(streams).await.unwrap();
            put.write(Bytes::from(contents.clone())).await.unwrap();
            put.finish().await.unwrap();
            assert_eq!(std::fs::read(&other).unwrap(), contents, "{shown} {mode:?} {streams}");
            let put = client.put(server.url(&other)).mode(mode).parallelism(streams).offset(1).await;
            let mut put = put.unwrap();
            put.write(Bytes::from_static(b"new")).await.unwrap();
            put.finish().await.unwrap();
            assert_eq!(
                std::fs::read(&other).unwrap()[..5],
                [&contents[..1], b"new", &contents[4..5]].concat()
            );
            std::fs::remove_file(&other).unwrap();
        }
        client.rename(&url, server.url(&other)).await.unwrap();
        assert_eq!(listing(&folder), [other.file_name().unwrap()], "{shown}");
        assert_eq!(std::fs::read(&other).unwrap(), contents);
        client.remove_file(server.url(&other)).await.unwrap();
        client.create_dir(&url).await.unwrap();
        assert!(path.is_dir(), "{shown}");
        client.remove_dir(&url).await.unwrap();
        assert!(listing(&folder).is_empty(), "{shown}");

        // And in errors, as a URL that means the same.
        let error = client.stat(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert_eq!(error.url().unwrap().path(), path.as_os_str().as_bytes());
        assert_eq!(Url::parse(&error.url().unwrap().to_string()).unwrap(), joined);
        assert!(error.reply().is_some());
    }
}

#[tokio::test]
async fn names_that_a_server_would_change_are_refused() {
    // globus-gridftp-server drops bytes above 127 on a control channel without protection: it would touch other files.
    let server = Server::anonymous().start();
    let client = anonymous();
    std::fs::write(server.dir().join("caf"), "the other file").unwrap();
    std::fs::write(server.dir().join(OsStr::from_bytes(b"caf\xe9")), "the file").unwrap();
    let (url, other) = (server.url(OsStr::from_bytes(b"caf\xe9")), server.url("caf"));
    let new = server.url(OsStr::from_bytes(b"caf\xe92"));
    let mut errors = vec![
        client.stat(&url).await.unwrap_err(),
        client.exists(&url).await.unwrap_err(),
        client.size(&url).await.unwrap_err(),
        client.modified(&url).await.unwrap_err(),
        client.remove_file(&url).await.unwrap_err(),
        client.rename(&url, &new).await.unwrap_err(),
        client.rename(&other, &new).await.unwrap_err(),
        client.create_dir(&new).await.unwrap_err(),
        client.remove_dir(&url).await.unwrap_err(),
    ];
    for (mode, streams) in WAYS {
        errors.push(client.get(&url).mode(mode).parallelism(streams).await.unwrap_err());
        errors.push(client.get(&url).mode(mode).parallelism(streams).range(1..2).await.unwrap_err());
        errors.push(client.put(&url).mode(mode).parallelism(streams).await.unwrap_err());
        errors.push(client.put(&url).mode(mode).parallelism(streams).offset(1).await.unwrap_err());
    }
    let many = async {
        let mut many = client.get_many([&other, &url]).await?;
        let mut contents = Vec::new();
        while let Some(mut file) = many.next_file().await? {
            contents.push(file.bytes().await?);
        }
        Ok::<_, Error>(contents)
    };
    errors.push(many.await.unwrap_err());
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("gsiftp://"), "{error}");
        assert!(error.url().is_some() && !error.is_transient() && !error.may_have_applied());
    }
    let mut left = listing(&server.dir());
    left.sort();
    assert_eq!(left, [OsStr::new("caf"), OsStr::from_bytes(b"caf\xe9")]);
    assert_eq!(std::fs::read(server.dir().join("caf")).unwrap(), b"the other file");
}

fn listing(folder: &std::path::Path) -> Vec<std::ffi::OsString> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}
