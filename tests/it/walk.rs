//! Walks of whole trees.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use gridftp::options::{Timeouts, TransferMode};
use gridftp::{Client, ErrorKind, NotEntered, TimeoutKind, WalkEntry, WalkStream};
use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};
use gridftp_lab::{PlainServer, Server};

use crate::ftpd::{Answer, Ftpd};
use crate::support::{
    alone, anonymous, builder, eventually, memory_kib, signal_sessions, trusting, with_proxy,
};

const MLST: &[&str] = &["MLST Type*;Size*;Modify*;"];

/// Over one pipeline, and over several sessions.
const WAYS: [TransferMode; 2] = [TransferMode::ExtendedBlock, TransferMode::Stream];

/// What a walk finds, sorted by path, and its errors.
async fn all(mut walk: WalkStream) -> (Vec<WalkEntry>, Vec<gridftp::Error>) {
    let (mut found, mut errors) = (Vec::<WalkEntry>::new(), Vec::new());
    let mut folders = BTreeSet::from([Vec::new()]);
    while let Some(item) = walk.next().await {
        match item {
            Ok(entry) => {
                let path = entry.path();
                let above = path.iter().rposition(|&byte| byte == b'/').map_or(&[][..], |at| &path[..at]);
                assert!(folders.contains(above), "{entry:?} before its folder");
                assert_eq!(entry.depth(), path.iter().filter(|&&byte| byte == b'/').count() + 1);
                if entry.entry().is_dir() {
                    folders.insert(path);
                }
                found.push(entry);
            }
            Err(error) => errors.push(error),
        }
    }
    assert!(walk.next().await.is_none());
    found.sort_by_key(WalkEntry::path);
    (found, errors)
}

fn paths(found: &[WalkEntry]) -> Vec<String> {
    found.iter().map(|entry| String::from_utf8(entry.path()).unwrap()).collect()
}

/// `folders` folders of ten files each, in a tree, and their paths, sorted.
fn tree(root: &Path, folders: usize) -> Vec<String> {
    let mut paths = Vec::new();
    for n in 0..folders {
        let path = match n % 4 {
            0 => format!("d{n}"),
            1 => format!("d{}/inner {n}", n - 1),
            2 => format!("d{}/inner {}/deep", n - 2, n - 1),
            _ => format!("d{}/inner {}/deep/e", n - 3, n - 2),
        };
        std::fs::create_dir(root.join(&path)).unwrap();
        for file in 0..10 {
            let path = format!("{path}/f{file}");
            std::fs::write(root.join(&path), vec![0; file]).unwrap();
            paths.push(path);
        }
        paths.push(path);
    }
    paths.sort();
    paths
}

#[tokio::test]
async fn a_thousand_folders_of_ten_files() {
    let server = Server::anonymous().start();
    let expected = tree(&server.dir(), 1000);
    for mode in [TransferMode::Auto, TransferMode::ExtendedBlock, TransferMode::Stream] {
        let client = anonymous();
        let (found, errors) = all(client.walk(server.url("")).mode(mode)).await;
        assert!(errors.is_empty(), "{errors:?}");
        assert!(paths(&found) == expected, "{mode:?}: {} of {}", found.len(), expected.len());
        let file = found.iter().find(|entry| entry.path() == b"d0/f7").unwrap();
        assert_eq!(file.entry().size(), Some(7));
        assert_eq!(file.url().to_string(), server.url("d0/f7"));
        let metrics = client.metrics();
        let sessions = if mode == TransferMode::Stream { 4 } else { 1 };
        assert!(metrics.sessions_open <= sessions, "{mode:?}: {metrics:?}");
        // The sessions are in order, data channels and all.
        let (again, errors) = all(client.walk(server.url("d0")).mode(mode)).await;
        assert!(errors.is_empty() && again.len() == 43, "{errors:?}");
        assert!(client.metrics().sessions_open <= sessions, "{:?}", client.metrics());
    }
}

#[test]
fn over_gsi_with_names_that_are_not_text() {
    trusting("walk::over_gsi_with_names_that_are_not_text", async |pki| {
        use std::os::unix::ffi::OsStrExt as _;
        let server = Server::gsi(&pki).start();
        let odd = server.dir().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        std::fs::create_dir(&odd).unwrap();
        std::fs::write(odd.join("größe"), "").unwrap();
        std::fs::write(odd.join("nl\nx"), "").unwrap();
        std::fs::create_dir(odd.join("nl\ny")).unwrap();
        let client = with_proxy(&pki);
        for mode in WAYS {
            let (found, errors) = all(client.walk(server.url("")).mode(mode)).await;
            let found: Vec<_> = found.iter().map(WalkEntry::path).collect();
            assert_eq!(found, [&b"caf\xe9"[..], b"caf\xe9/gr\xc3\xb6\xc3\x9fe"]);
            // What cannot be named in a command is not kept quiet.
            assert_eq!(errors.len(), 2, "{errors:?}");
            for error in errors {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                assert_eq!(error.url().unwrap().file_name(), Some(&b"caf\xe9"[..]));
            }
        }
    });
}

#[tokio::test]
async fn loops_and_links() {
    let server = Server::anonymous().start();
    let root = server.dir();
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::write(root.join("a/b/file"), "").unwrap();
    symlink("..", root.join("a/up")).unwrap();
    symlink(".", root.join("a/b/self")).unwrap();
    symlink("a/b", root.join("twin")).unwrap();
    symlink("file", root.join("a/b/to-file")).unwrap();
    let client = anonymous();
    for mode in WAYS {
        let (found, errors) = all(client.walk(server.url("")).mode(mode)).await;
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(paths(&found), ["a", "a/b", "a/b/file", "a/b/self", "a/b/to-file", "a/up", "twin"]);
        let not_entered: Vec<_> = found.iter().map(WalkEntry::not_entered).collect();
        let link = Some(NotEntered::Link);
        assert_eq!(not_entered, [None, None, None, link, None, link, link]);

        let (found, errors) = all(client.walk(server.url("")).mode(mode).follow_links(true)).await;
        assert!(errors.is_empty(), "{errors:?}");
        let expected = [
            "a",
            "a/b",
            "a/b/file",
            "a/b/self",
            "a/b/to-file",
            "a/up",
            // A folder that is reached in two ways is shown twice, and no way is lost.
            "twin",
            "twin/file",
            "twin/self",
            "twin/to-file",
        ];
        assert_eq!(paths(&found), expected);
        let loops = found.iter().filter(|entry| entry.not_entered() == Some(NotEntered::Loop));
        assert_eq!(loops.count(), 3);
    }
}

#[tokio::test]
async fn depth_has_an_end() {
    let server = Server::anonymous().start();
    let mut folder = server.dir();
    for n in 0..5 {
        folder.push(format!("level-{n}-{}", "x".repeat(10)));
    }
    std::fs::create_dir_all(&folder).unwrap();
    let client = anonymous();
    let (found, errors) = all(client.walk(server.url("")).max_depth(3)).await;
    assert!(errors.is_empty(), "{errors:?}");
    let not_entered: Vec<_> = found.iter().map(WalkEntry::not_entered).collect();
    assert_eq!(not_entered, [None, None, Some(NotEntered::TooDeep)]);
    // A loop of which no mark tells.
    let server = Ftpd::start(MLST, |line| {
        if line.starts_with("MLSD") { Answer::Data(b"Type=dir; d\r\n".to_vec()) } else { Answer::Usual }
    })
    .await;
    let (found, errors) = all(client.walk(server.url("x"))).await;
    assert_eq!((found.len(), errors.len()), (255, 1), "{errors:?}");
    assert!(errors[0].to_string().contains("256 levels"), "{}", errors[0]);
}

#[tokio::test]
async fn names_that_lead_out_of_the_tree() {
    let server = Ftpd::start(MLST, |line| match line {
        "MLSD /x" => Answer::Data(
            b"Type=dir; ..\r\nType=file; ..\r\nType=dir; a/b\r\nType=dir; /etc\r\nType=dir; \0\r\nType=dir; \r\nType=dir; good\r\n"
                .to_vec(),
        ),
        "MLSD /x/good" => Answer::Data(b"Type=file; inside\r\n".to_vec()),
        _ => Answer::Usual,
    })
    .await;
    let (found, errors) = all(anonymous().walk(server.url("x"))).await;
    assert_eq!(paths(&found), ["good", "good/inside"]);
    // The folder above as such is no surprise in a listing, and left out.
    assert_eq!(errors.len(), 5, "{errors:?}");
    for error in &errors {
        assert_eq!(error.kind(), ErrorKind::Protocol);
        let shown = error.to_string();
        assert!(shown.starts_with(&server.url("x")) && !shown.contains('\0'), "{shown}");
    }
    let asked: Vec<_> = server.heard().into_iter().filter(|line| line.starts_with("MLSD")).collect();
    assert_eq!(asked, ["MLSD /x", "MLSD /x/good"]);
}

#[tokio::test]
async fn one_folder_that_fails_does_not_keep_the_others_back() {
    let server =
        Server::anonymous().args(["-anonymous-user", "nobody", "-anonymous-group", "nogroup"]).start();
    std::fs::set_permissions(server.dir(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(server.dir().parent().unwrap(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for n in 0..20 {
        std::fs::create_dir(server.dir().join(format!("d{n:02}"))).unwrap();
        std::fs::write(server.dir().join(format!("d{n:02}/f")), "").unwrap();
    }
    std::fs::set_permissions(server.dir().join("d07"), std::fs::Permissions::from_mode(0o000)).unwrap();
    let client = anonymous();
    for mode in WAYS {
        let (found, errors) = all(client.walk(server.url("")).mode(mode)).await;
        assert_eq!(found.len(), 39, "{errors:?}");
        let [error] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        assert_eq!(error.url().unwrap().to_string(), server.url("d07"));
    }
}

#[tokio::test]
async fn roots_that_are_none() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("file"), "").unwrap();
    std::fs::create_dir(server.dir().join("empty")).unwrap();
    let client = anonymous();
    for mode in WAYS {
        let walk = |name| client.walk(server.url(name)).mode(mode);
        let (found, errors) = all(walk("file")).await;
        assert!(found.is_empty() && errors.len() == 1, "{errors:?}");
        assert_eq!(errors[0].kind(), ErrorKind::NotADirectory, "{}", errors[0]);
        let (found, errors) = all(walk("missing")).await;
        assert!(found.is_empty() && errors.len() == 1, "{errors:?}");
        assert_eq!(errors[0].kind(), ErrorKind::NotFound, "{}", errors[0]);
        let (found, errors) = all(walk("empty")).await;
        assert!(found.is_empty() && errors.is_empty(), "{errors:?}");
    }
    assert!(client.metrics().sessions_open <= 2, "{:?}", client.metrics());
    let (_, errors) = all(client.walk("nonsense")).await;
    assert_eq!(errors[0].kind(), ErrorKind::InvalidInput);
    let (_, errors) = all(client.walk(server.url("")).sessions(0)).await;
    assert_eq!(errors[0].kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn plain_servers_are_walked_over_several_sessions() {
    for server in [PlainServer::anonymous(), PlainServer::anonymous().without(&["MLST", "MLSD"])] {
        let server = server.start();
        let expected = tree(&server.dir(), 40);
        let client = anonymous();
        let (found, errors) = all(client.walk(server.url(""))).await;
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(paths(&found), expected);
        let (_, errors) = all(client.walk(server.url("")).mode(TransferMode::ExtendedBlock)).await;
        assert!(errors.iter().all(|error| error.kind() == ErrorKind::Unsupported) && !errors.is_empty());
    }
}

/// A server that lists what GridFTP servers do, and does not do it, or cannot connect to this client.
#[tokio::test]
async fn without_extended_block_mode_a_walk_goes_on_in_stream_mode() {
    const GRIDFTP: &[&str] = &["MLST Type*;Size*;Modify*;", "PARALLEL", "ERET"];
    for cannot in ["MODE", "PORT", "MLSD"] {
        // Extended block mode, at this server, is what a PORT comes with.
        let extended = AtomicBool::new(false);
        let server = Ftpd::start(GRIDFTP, move |line| match line.split(' ').next().unwrap() {
            "MODE" if line == "MODE E" && cannot == "MODE" => Answer::Reply("504 no such mode".into()),
            "PORT" if cannot == "PORT" => Answer::Reply("500 I will not connect to you".into()),
            "PORT" => {
                extended.store(true, SeqCst);
                Answer::Reply("200 yes".into())
            }
            "OPTS" => Answer::Reply("200 yes".into()),
            "MLSD" if extended.swap(false, SeqCst) => Answer::Reply("150 now\r\n426 no route to you".into()),
            "MLSD" if line == "MLSD /x" => Answer::Data(b"Type=dir; d\r\nType=file; f\r\n".to_vec()),
            "MLSD" => Answer::Data(b"Type=file; g\r\n".to_vec()),
            _ => Answer::Usual,
        })
        .await;
        let (found, errors) = all(anonymous().walk(server.url("x"))).await;
        assert!(errors.is_empty(), "{cannot}: {errors:?}");
        assert_eq!(paths(&found), ["d", "d/g", "f"]);
        let heard = server.heard();
        assert!(heard.contains(&"MODE E".to_owned()));
        // What was asked for ahead has been heard out when another listing is asked for.
        let logins = heard.iter().filter(|line| line.starts_with("USER")).count();
        assert!(cannot == "MLSD" || logins <= 4, "{heard:?}");
        let (found, errors) = all(anonymous().walk(server.url("x")).mode(TransferMode::ExtendedBlock)).await;
        assert!(found.is_empty() && errors.len() == 1, "{cannot}: {errors:?}");
    }
}

/// What a server says that cannot reach this client; `connects` tells whether it does, and sends nothing.
async fn mute_in_extended_block_mode(says: fn() -> Answer, connects: bool) -> Ftpd {
    const GRIDFTP: &[&str] = &["MLST Type*;Size*;Modify*;", "PARALLEL", "ERET"];
    let extended = AtomicBool::new(false);
    let held = Mutex::new(Vec::new());
    Ftpd::start(GRIDFTP, move |line| match line.split(' ').next().unwrap() {
        "PORT" => {
            extended.store(true, SeqCst);
            if connects {
                let numbers: Vec<u8> = line[5..].split(',').map(|number| number.parse().unwrap()).collect();
                let port = u16::from_be_bytes([numbers[4], numbers[5]]);
                held.lock().unwrap().push(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
            }
            Answer::Reply("200 yes".into())
        }
        "OPTS" => Answer::Reply("200 yes".into()),
        "MLSD" if extended.swap(false, SeqCst) => says(),
        "MLSD" if line == "MLSD /x" => Answer::Data(b"Type=dir; d\r\nType=file;Size=7; f\r\n".to_vec()),
        "MLSD" => Answer::Data(b"Type=file;Size=9; g\r\n".to_vec()),
        _ => Answer::Usual,
    })
    .await
}

const MUTE: [fn() -> Answer; 2] = [|| Answer::Reply("150 now".into()), || Answer::Nothing];

/// One that accepts and then cannot connect, and one that connects before it accepts: a part of the limit is waited, and the
/// rest is for the other way. Others say that they could not.
#[tokio::test]
async fn a_server_that_cannot_reach_this_client_is_noticed() {
    let limit = Duration::from_secs(4);
    let limits = Timeouts::default().first_byte(limit).reply(limit);
    let refused: [fn() -> Answer; 2] = [
        || Answer::Reply("425 cannot open a data connection".into()),
        || Answer::Reply("500-Command failed. : globus_xio: Unable to connect\r\n500 End.".into()),
    ];
    for says in MUTE.into_iter().chain(refused) {
        let server = mute_in_extended_block_mode(says, false).await;
        let begun = Instant::now();
        let (found, errors) = all(anonymous().walk(server.url("x")).timeouts(limits)).await;
        let took = begun.elapsed();
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(paths(&found), ["d", "d/g", "f"]);
        let sizes: Vec<_> = found.iter().map(|entry| entry.entry().size()).collect();
        assert_eq!(sizes, [None, Some(9), Some(7)]);
        assert!(took < limit / 2, "{took:?}");
        // Nothing is asked behind what was not answered: the session is closed, and another one lists all again.
        let heard = server.heard();
        let at = |start: &str, skip| {
            let hits = heard.iter().enumerate().filter(|(_, line)| line.starts_with(start)).map(|(at, _)| at);
            hits.skip(skip).collect::<Vec<_>>()
        };
        let (asked, logins) = (at("MLSD /x", 0), at("USER", 1));
        assert!(asked[0] < logins[0] && logins[0] < asked[1], "{heard:?}");
    }
}

/// One that connects and says or sends no more: its deadline is final, and passes only once.
#[tokio::test]
async fn a_mute_server_that_reaches_this_client_is_not_asked_in_another_way() {
    let limit = Duration::from_millis(800);
    let limits = Timeouts::default().first_byte(limit).reply(limit);
    for (says, kind) in MUTE.into_iter().zip([TimeoutKind::FirstByte, TimeoutKind::Reply]) {
        let server = mute_in_extended_block_mode(says, true).await;
        let begun = gridftp_lab::Pulse::start();
        let (found, errors) = all(anonymous().walk(server.url("x")).timeouts(limits)).await;
        let took = begun.elapsed();
        assert!(found.is_empty() && errors.len() == 1, "{found:?} {errors:?}");
        assert_eq!(errors[0].kind(), ErrorKind::Timeout(kind), "{}", errors[0]);
        assert!(took + begun.missed() >= limit && took < limit + Duration::from_secs(1), "{took:?}");
        let asked = server.heard().iter().filter(|line| line.starts_with("MLSD")).count();
        assert_eq!(asked, 1, "{:?}", server.heard());
    }
}

/// A listing of which something was told already breaks off, and begins again: over another set of channels, or in stream mode
/// where nothing has ended well before.
#[tokio::test]
async fn of_a_listing_that_begins_again_nothing_is_told_twice() {
    let server = Server::anonymous().start();
    let folder = server.dir().join("t/d");
    std::fs::create_dir_all(&folder).unwrap();
    for n in 0..1000 {
        std::fs::write(folder.join(format!("f{n}")), "").unwrap();
    }
    let expected: BTreeSet<_> = (0..1000).map(|n| format!("f{n}")).collect();
    // What there was is told before the rest is lost.
    let pause = What::Delay(Duration::from_millis(300));
    for root in ["t", "t/d"] {
        for what in [What::Reset, What::Cut] {
            let fault = |at, what| Fault::new(Where::Data(0), Way::ToClient, at, what);
            let proxy =
                Proxy::before(&server).with(fault(50_000, pause.clone())).with(fault(60_000, what)).start();
            let client = anonymous();
            let mut walk = client.walk(proxy.url(server.dir().join(root)));
            let (mut seen, mut early) = (BTreeSet::new(), 0);
            while let Some(entry) = walk.next_entry().await.unwrap() {
                if entry.entry().is_dir() {
                    continue;
                }
                let name = String::from_utf8(entry.entry().name().to_vec()).unwrap();
                assert!(seen.insert(name), "{entry:?} twice");
                early += usize::from(proxy.struck() < 2);
            }
            assert_eq!(seen, expected, "{root}");
            assert!(early > 100, "{root}: {early}");
        }
    }
}

#[tokio::test]
async fn lost_sessions_are_replaced() {
    for mode in WAYS {
        let server = Server::anonymous().start();
        let expected = tree(&server.dir(), 400);
        let client = anonymous();
        let mut walk = client.walk(server.url("")).mode(mode);
        let mut seen = BTreeSet::new();
        let mut broken = Vec::new();
        while let Some(item) = walk.next().await {
            match item {
                Ok(entry) => {
                    if seen.len() == 500 {
                        assert!(signal_sessions(&server, rustix::process::Signal::KILL) > 0);
                    }
                    assert!(seen.insert(String::from_utf8(entry.path()).unwrap()), "{entry:?} twice");
                }
                Err(error) => broken.push(error),
            }
        }
        // A folder of which something was shown already cannot be asked for again unnoticed: that is told.
        let told: Vec<_> = broken.iter().map(|error| error.url().unwrap().to_string()).collect();
        assert!(told.len() <= 4, "{broken:?}");
        let missing = expected.iter().filter(|path| !seen.contains(*path));
        for path in missing {
            let url = server.url(path);
            assert!(
                told.iter().any(|folder| url.starts_with(folder)),
                "{path} was lost without a word: {told:?}"
            );
        }
    }
}

#[tokio::test]
async fn when_no_server_is_left_each_folder_is_told() {
    for mode in WAYS {
        let server = Server::anonymous().start();
        for n in 0..600 {
            std::fs::create_dir(server.dir().join(format!("d{n}"))).unwrap();
        }
        let client = anonymous();
        let mut walk = client.walk(server.url("")).mode(mode);
        let first = walk.next().await.unwrap().unwrap();
        assert!(first.entry().is_dir());
        let url = server.url("");
        drop(server);
        let (mut found, mut errors) = (1, BTreeSet::new());
        while let Some(item) = walk.next().await {
            match item {
                Ok(_) => found += 1,
                Err(error) => assert!(errors.insert(error.url().unwrap().to_string())),
            }
        }
        // All of the root's entries were in one block. Of the folders, some may have been listed before the end.
        assert_eq!(found, 600, "{errors:?}");
        // The root's own listing had come, but its server may have ended before it said so: then that is told as well.
        let folders = errors.len() - usize::from(errors.contains(&url));
        assert!((100..=600).contains(&folders), "{folders}");
    }
}

#[tokio::test]
async fn a_dropped_walk_leaves_nothing_behind() {
    let server = Ftpd::start(MLST, |line| match line {
        "MLSD /x" => Answer::Endless(b"Type=dir; d\r\nType=file; f\r\n".repeat(1000)),
        _ => Answer::Usual,
    })
    .await;
    let client = anonymous();
    let mut walk = client.walk(server.url("x"));
    for _ in 0..5000 {
        walk.next_entry().await.unwrap().unwrap();
    }
    drop(walk);
    eventually("the endless listing is cut off", || server.cut_off() == 1).await;

    let server = Server::anonymous().start();
    tree(&server.dir(), 200);
    for mode in WAYS {
        for taken in [1, 100, 500] {
            let mut walk = client.walk(server.url("")).mode(mode);
            for _ in 0..taken {
                assert!(walk.next_entry().await.unwrap().is_some());
            }
            drop(walk);
        }
        let (found, errors) = all(client.walk(server.url("")).mode(mode)).await;
        assert_eq!((found.len(), errors.len()), (2200, 0), "{errors:?}");
    }
    eventually("no buffer is out", || gridftp::engine_metrics().buffers_out == 0).await;
    let metrics = gridftp::engine_metrics();
    assert_eq!((metrics.strays, metrics.lost_buffers, metrics.panics), (0, 0, 0), "{metrics:?}");
}

async fn count(client: &Client, url: String, mode: TransferMode) -> usize {
    let mut walk = client.walk(url).mode(mode);
    let mut count = 0;
    while walk.next_entry().await.unwrap().is_some() {
        count += 1;
    }
    count
}

#[test]
fn many_folders_in_one_are_walked_in_bounded_memory() {
    alone("walk::many_folders_in_one_are_walked_in_bounded_memory", async || {
        let server = Server::anonymous().start();
        for n in 0..4_500 {
            std::fs::create_dir(server.dir().join(format!("{n}"))).unwrap();
        }
        std::fs::create_dir(server.dir().join("0/inner")).unwrap();
        let client = builder().build().unwrap();
        assert_eq!(count(&client, server.url("0"), TransferMode::ExtendedBlock).await, 1);
        let before = memory_kib("VmHWM");
        // More than is remembered of one folder: it is listed again, and each of them is shown once.
        assert_eq!(count(&client, server.url(""), TransferMode::ExtendedBlock).await, 4_501);
        let grown = memory_kib("VmHWM") - before;
        assert!(grown < 24 * 1024, "{grown} KiB");
    });
}
