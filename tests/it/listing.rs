//! Listings of one folder.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use gridftp::options::{ProtectionLevel, Timeouts, TransferMode};
use gridftp::{Client, Entry, EntryKind, ErrorKind, ListFormat, TimeoutKind};
use gridftp_lab::{PlainServer, Server};

use crate::ftpd::{Answer, Ftpd};
use crate::support::{alone, anonymous, builder, eventually, memory_kib, trusting, with_proxy};

const MLST: &[&str] = &["MLST Type*;Size*;Modify*;"];

/// All entries by name, sorted.
async fn entries(client: &Client, url: &str, mode: TransferMode) -> Vec<Entry> {
    let mut list = client.list(url).mode(mode);
    let mut found = Vec::new();
    while let Some(entry) = list.next_entry().await.unwrap() {
        found.push(entry);
    }
    assert!(list.is_over());
    found.sort_by(|one, other| one.name().cmp(other.name()));
    found
}

fn names(entries: &[Entry]) -> Vec<&[u8]> {
    entries.iter().map(Entry::name).collect()
}

fn sample(folder: &Path) {
    std::fs::create_dir(folder.join("sub folder")).unwrap();
    std::fs::write(folder.join("file"), "hello").unwrap();
    std::fs::write(folder.join(" two  blanks "), "").unwrap();
    let big = std::fs::File::create(folder.join("big")).unwrap();
    big.set_len(5_000_000_000).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    big.set_times(std::fs::FileTimes::new().set_modified(then)).unwrap();
    std::os::unix::fs::symlink("file", folder.join("link")).unwrap();
}

/// Row "list: NLST/LIST/MLSD/MLSR".
#[tokio::test]
async fn list_nlst_list_mlsd_mlsr() {
    let server = Server::anonymous().start();
    sample(&server.dir());
    std::fs::write(server.dir().join("sub folder/below"), "").unwrap();
    let client = anonymous();
    let url = server.url("");
    let raw = async |format| {
        let text = client.list_raw(&url, format).await.unwrap();
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| String::from_utf8(line.strip_suffix(b"\r").unwrap().to_vec()).unwrap())
            .collect::<Vec<_>>()
    };
    let mut all = raw(ListFormat::Names).await;
    all.sort();
    assert_eq!(all, [" two  blanks ", ".", "..", "big", "file", "link", "sub folder"]);
    let verbose = raw(ListFormat::Verbose).await;
    let file = verbose.iter().find(|line| line.ends_with(" file")).unwrap();
    assert!(file.starts_with("-rw") && file.contains(" 5 "), "{file}");
    let machine = raw(ListFormat::Machine).await;
    let file = machine.iter().find(|line| line.ends_with("; file")).unwrap();
    assert!(file.starts_with("Type=file;") && file.contains(";Size=5;"), "{file}");
    let recursive = raw(ListFormat::Recursive).await;
    assert!(recursive.iter().any(|line| line.ends_with("; sub folder/below")), "{recursive:?}");

    for mode in [TransferMode::Auto, TransferMode::Stream, TransferMode::ExtendedBlock] {
        let found = entries(&client, &url, mode).await;
        assert_eq!(names(&found), [&b" two  blanks "[..], b"big", b"file", b"link", b"sub folder"]);
        let [_, big, file, link, folder] = &found[..] else { panic!("{found:?}") };
        assert_eq!((big.size(), big.kind()), (Some(5_000_000_000), &EntryKind::File));
        assert_eq!(big.modified(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)));
        assert_eq!(file.unix_mode().map(|mode| mode & 0o600), Some(0o600));
        assert!(file.unique().is_some() && file.unique() == link.unique());
        assert!(link.is_symlink() && link.link_target().unwrap().ends_with(b"/file"));
        assert!(folder.is_dir() && folder.owner().is_some());
    }
    // All of it went over one session, and its data channel was kept from listing to listing.
    assert_eq!(client.metrics().sessions_open, 1);
}

#[tokio::test]
async fn list_raw_streams_in_pieces() {
    let server = Server::anonymous().start();
    for n in 0..3000 {
        std::fs::write(server.dir().join(format!("a-rather-long-name-of-a-file-{n:05}")), "").unwrap();
    }
    let client = anonymous();
    let mut listing = client.list_raw_stream(server.url(""), ListFormat::Machine);
    let (mut pieces, mut text) = (0, Vec::new());
    while let Some(piece) = listing.next().await {
        pieces += 1;
        text.extend_from_slice(&piece.unwrap());
    }
    assert!(listing.next().await.is_none());
    assert!(pieces > 1, "{pieces}");
    let lines = text.split(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\r")).count();
    assert_eq!(lines, 3002);
    assert_eq!(text, client.list_raw(server.url(""), ListFormat::Machine).await.unwrap());
}

#[tokio::test]
async fn a_file_an_empty_folder_and_nothing() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("file"), "hello").unwrap();
    std::fs::create_dir(server.dir().join("empty")).unwrap();
    let client = anonymous();
    for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
        let found = entries(&client, &server.url("file"), mode).await;
        assert_eq!((names(&found), found[0].size()), (vec![&b"file"[..]], Some(5)));
        assert!(entries(&client, &server.url("empty"), mode).await.is_empty());
        let mut list = client.list(server.url("missing")).mode(mode);
        for _ in 0..2 {
            let error = list.next_entry().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            assert_eq!(error.url().unwrap().to_string(), server.url("missing"));
        }
        assert!(list.is_over());
    }
    let error = client.list_raw(server.url("missing"), ListFormat::Names).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    // The session is in order after each.
    assert_eq!(client.metrics().sessions_open, 1, "{:?}", client.metrics());
    let mut list = client.list(server.url("empty")).dot_entries(true);
    let mut kinds = Vec::new();
    while let Some(entry) = list.next().await {
        kinds.push(entry.unwrap().kind().clone());
    }
    assert_eq!(kinds, [EntryKind::CurrentDir, EntryKind::ParentDir]);
}

#[tokio::test]
async fn status_is_what_stat_says() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("file"), "hello").unwrap();
    let client = anonymous();
    let reply = client.status(server.url("file")).await.unwrap();
    assert!(reply.lines().any(|line| line.starts_with(b" -rw") && line.ends_with(b" file")), "{reply}");
    let error = client.status(server.url("missing")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn odd_names_over_gsi() {
    trusting("listing::odd_names_over_gsi", async |pki| {
        let server = Server::gsi(&pki).start();
        let odd: [&[u8]; 6] = [b"caf\xe9\xff", b"nl\nx", b"cr\rx", b"a;b=c; d", b"-rf", "größe".as_bytes()];
        for name in odd {
            std::fs::write(server.dir().join(OsStr::from_bytes(name)), name).unwrap();
        }
        let client = with_proxy(&pki);
        let mut expected = odd.to_vec();
        expected.sort_unstable();
        for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
            let found = entries(&client, &server.url(""), mode).await;
            assert_eq!(names(&found), expected);
        }
        // What has no control byte in it can be fetched by the name that the listing gives.
        let folder = gridftp::Url::parse(&server.url("")).unwrap();
        for name in odd.into_iter().filter(|name| !name.iter().any(|byte| *byte < 0x20)) {
            let url = folder.join(name).unwrap();
            assert_eq!(client.get(&url).await.unwrap().bytes().await.unwrap(), name);
        }
    });
}

#[tokio::test]
async fn odd_names_in_clear_text() {
    let server = Server::anonymous().start();
    for name in [&b"caf\xe9\xff"[..], "größe".as_bytes()] {
        std::fs::write(server.dir().join(OsStr::from_bytes(name)), "").unwrap();
    }
    // The server drops such bytes from commands, but not from listings.
    let found = entries(&anonymous(), &server.url(""), TransferMode::Auto).await;
    assert_eq!(names(&found), [&b"caf\xe9\xff"[..], "größe".as_bytes()]);
}

#[tokio::test]
async fn a_server_without_mlsd_is_asked_by_list() {
    let server = PlainServer::anonymous().without(&["MLST", "MLSD"]).start();
    sample(&server.dir());
    let client = anonymous();
    let found = entries(&client, &server.url(""), TransferMode::Auto).await;
    // pyftpdlib pads nothing: blanks at the ends of names are there.
    assert_eq!(names(&found), [&b" two  blanks "[..], b"big", b"file", b"link", b"sub folder"]);
    let [_, big, file, link, folder] = &found[..] else { panic!("{found:?}") };
    assert_eq!((big.size(), file.size()), (Some(5_000_000_000), Some(5)));
    assert!(folder.is_dir() && folder.unix_mode().is_some());
    assert_eq!((link.kind(), link.link_target().as_deref()), (&EntryKind::Symlink, Some(&b"file"[..])));
    let age = SystemTime::now().duration_since(file.modified().unwrap()).unwrap_or_default();
    assert!(age < Duration::from_secs(86_400), "{age:?}");
    // With its year, and no time of day.
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let off = then.duration_since(big.modified().unwrap()).unwrap();
    assert!(off < Duration::from_secs(86_400), "{off:?}");
    let error = client.list(server.url("missing")).next_entry().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = client.list(server.url("")).mode(TransferMode::ExtendedBlock).next_entry().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[tokio::test]
async fn mlsd_of_a_plain_server() {
    let server = PlainServer::anonymous().start();
    sample(&server.dir());
    let found = entries(&anonymous(), &server.url(""), TransferMode::Auto).await;
    assert_eq!(names(&found), [&b" two  blanks "[..], b"big", b"file", b"link", b"sub folder"]);
    assert!(found[1].unique().is_some() && found[1].size() == Some(5_000_000_000));
}

#[tokio::test]
async fn a_feature_that_is_not_there_and_bare_line_feeds() {
    let server = Ftpd::start(MLST, |line| match line.split(' ').next() {
        Some("MLSD") => Answer::Reply("500 'MLSD': command not understood".into()),
        Some("LIST") => Answer::Data(
            b"total 2\ndrwxr-xr-x 2 o g 1 Jan  1 00:00 d\n-rw-r--r-- 1 o g 3 Jan  1  2020 f".to_vec(),
        ),
        _ => Answer::Usual,
    })
    .await;
    let found = entries(&anonymous(), &server.url("x"), TransferMode::Auto).await;
    assert_eq!(names(&found), [b"d", b"f"]);
    assert!(server.heard().contains(&"LIST /x".to_owned()));
}

#[tokio::test]
async fn hostile_names_are_shown_and_known_for_what_they_are() {
    let text =
        b"Type=dir; ..\r\nType=file; a/b\r\nType=file; \0\r\nType=file; \r\nnonsense\r\nType=file; good\r\n";
    let server =
        Ftpd::start(
            MLST,
            |line| {
                if line.starts_with("MLSD") { Answer::Data(text.to_vec()) } else { Answer::Usual }
            },
        )
        .await;
    let client = anonymous();
    let mut list = client.list(server.url("x"));
    let (mut shown, mut refused) = (Vec::new(), 0);
    loop {
        match list.next_entry().await {
            Ok(Some(entry)) => shown.push((entry.name().to_vec(), entry.is_safe_child())),
            Ok(None) => break,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Protocol);
                assert!(!list.is_over());
                refused += 1;
            }
        }
    }
    let expected: [(&[u8], bool); 3] = [(b"a/b", false), (b"\0", false), (b"good", true)];
    assert_eq!(shown, expected.map(|(name, safe)| (name.to_vec(), safe)));
    assert_eq!(refused, 2);
}

#[tokio::test]
async fn a_line_without_end_and_a_listing_without_end() {
    let server = Ftpd::start(MLST, |line| match line {
        "MLSD /line" => Answer::Endless(vec![b'x'; 10_000]),
        "MLSD /list" => Answer::Endless(b"Type=file;Size=1; f\r\n".repeat(1000)),
        _ => Answer::Usual,
    })
    .await;
    let client = anonymous();
    let mut list = client.list(server.url("line"));
    for _ in 0..2 {
        let error = list.next_entry().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.to_string().contains("65536 bytes") && list.is_over(), "{error}");
    }
    eventually("the endless line is cut off", || server.cut_off() == 1).await;
    let mut list = client.list(server.url("list"));
    for _ in 0..10_000 {
        assert_eq!(list.next_entry().await.unwrap().unwrap().name(), b"f");
    }
    drop(list);
    eventually("the endless listing is cut off", || server.cut_off() == 2).await;
    // The session goes on.
    assert!(client.exists(server.url("x")).await.is_err());
    assert_eq!(server.heard().iter().filter(|line| line.starts_with("USER")).count(), 1);
}

#[tokio::test]
async fn deadlines_of_listings() {
    let server = Ftpd::start(MLST, |line| match line {
        "MLSD /mute" => Answer::Stuck(Vec::new()),
        "MLSD /stuck" => Answer::Stuck(b"Type=file; a\r\n".to_vec()),
        _ => Answer::Usual,
    })
    .await;
    let client = anonymous();
    let soon = Duration::from_millis(200);
    let limits = Timeouts::default().first_byte(soon).stall(soon);
    for (path, limits, kind) in [
        ("mute", limits, TimeoutKind::FirstByte),
        ("mute", Timeouts::default().total(soon), TimeoutKind::Total),
        ("stuck", Timeouts::default().stall(soon), TimeoutKind::Stall),
    ] {
        let mut list = client.list(server.url(path)).timeouts(limits);
        if path == "stuck" {
            // What is there is handed out as it comes.
            assert_eq!(list.next_entry().await.unwrap().unwrap().name(), b"a");
        }
        let error = list.next_entry().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(kind), "{path}: {error}");
        assert_eq!(error.url().unwrap().to_string(), server.url(path));
    }
    eventually("sessions whose server is silent are closed", || client.metrics().sessions_open == 0).await;
}

#[tokio::test]
async fn choices_come_before_the_first_poll() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let mut list = client.list(server.url(""));
    assert!(list.next_entry().await.unwrap().is_none());
    let mut list = list.mode(TransferMode::Stream);
    assert_eq!(list.next_entry().await.unwrap_err().kind(), ErrorKind::InvalidInput);
    let error = client.list("nonsense").next_entry().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_hundred_thousand_entries_in_bounded_memory() {
    alone("listing::a_hundred_thousand_entries_in_bounded_memory", async || {
        let server = Server::anonymous().start();
        for n in 0..100_000 {
            std::fs::File::create(server.dir().join(format!("entry-{n:06}"))).unwrap();
        }
        let client = builder().build().unwrap();
        // The engine, the session and its buffers are there.
        assert!(client.list(server.url("entry-000000")).next_entry().await.unwrap().is_some());
        for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
            let before = memory_kib("VmHWM");
            let mut list = client.list(server.url("")).mode(mode);
            let (mut count, mut sum) = (0_u64, 0);
            while let Some(entry) = list.next_entry().await.unwrap() {
                let name = entry.name_lossy();
                sum += name.strip_prefix("entry-").unwrap().parse::<u64>().unwrap();
                count += 1;
            }
            assert_eq!((count, sum), (100_000, 99_999 * 50_000));
            let grown = memory_kib("VmHWM") - before;
            // The listing has 18 MB as text.
            assert!(grown < 8 * 1024, "{mode:?}: {grown} KiB");
        }
    });
}

#[tokio::test]
async fn dropped_listings_leave_their_sessions_in_order() {
    let server = Server::anonymous().start();
    for n in 0..10_000 {
        std::fs::File::create(server.dir().join(format!("entry-{n:06}"))).unwrap();
    }
    let client = anonymous();
    for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
        for _ in 0..5 {
            let mut list = client.list(server.url("")).mode(mode);
            assert!(list.next_entry().await.unwrap().is_some());
            drop(list);
        }
        assert_eq!(entries(&client, &server.url(""), mode).await.len(), 10_000);
    }
    assert_eq!(client.metrics().sessions_open, 1, "{:?}", client.metrics());
    eventually("no buffer is out", || gridftp::engine_metrics().buffers_out == 0).await;
}

#[test]
fn protected_listings() {
    trusting("listing::protected_listings", async |pki| {
        let server = Server::gsi(&pki).start();
        std::fs::write(server.dir().join("file"), "").unwrap();
        let client = with_proxy(&pki);
        for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
            let mut list = client.list(server.url("")).mode(mode).protection(ProtectionLevel::Private);
            assert_eq!(list.next_entry().await.unwrap().unwrap().name(), b"file");
            assert!(list.next_entry().await.unwrap().is_none());
        }
        // What cannot be had is no reason to go without.
        let plain = Server::anonymous().start();
        let mut list = client.list(plain.url("")).protection(ProtectionLevel::Private);
        assert_eq!(list.next_entry().await.unwrap_err().kind(), ErrorKind::Unsupported);
    });
}

#[test]
fn streams_go_where_tasks_go() {
    fn is_send<T: Send>(_: &T) {}
    let client = Client::new().unwrap();
    is_send(&client.list("ftp://h/"));
    is_send(&client.list("ftp://h/").next_entry());
    is_send(&client.walk("ftp://h/"));
    is_send(&client.walk("ftp://h/").next_entry());
    is_send(&client.remove_dir_all("ftp://h/x"));
}
