//! What arrives is what was sent.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use gridftp_lab::{Pki, Server, random_bytes, sha256_file, write_random};

use crate::support::{bytes, command, copy, copy_from_stdin, folder, names, sparse, text};

const MIB: u64 = 1 << 20;

/// Around the sizes of blocks: those read from a local file, and those the library receives.
const SIZES: &[u64] = &[0, 1, 262_145, MIB / 2, MIB + 1, 20 * MIB + 7];

const WAYS: &[&[&str]] = &[&[], &["-fast"], &["-p", "4"]];

#[test]
fn files_of_all_sizes_go_there_and_back() {
    let server = Server::anonymous().start();
    let local = folder();
    for &size in SIZES {
        let original = local.path().join("original");
        let hash = write_random(&original, size, size).unwrap();
        for way in WAYS {
            let there = server.dir().join("there");
            copy(&[way, &[text(&original), server.url("there").as_str()][..]].concat()).succeeded();
            assert_eq!(sha256_file(&there).unwrap(), hash, "put {size} {way:?}");
            let back = local.path().join("back");
            copy(&[way, &[server.url("there").as_str(), text(&back)][..]].concat()).succeeded();
            assert_eq!(sha256_file(&back).unwrap(), hash, "get {size} {way:?}");
            // What is replaced the next time is a file of another size.
        }
    }
    assert_eq!(names(&server.dir()), ["there"]);
    assert_eq!(names(local.path()), ["back", "original"]);
}

#[test]
fn block_and_buffer_sizes_change_nothing_but_the_speed() {
    let server = Server::anonymous().start();
    let local = folder();
    let original = local.path().join("original");
    let hash = write_random(&original, 5, 3 * MIB + 5).unwrap();
    for flags in [
        &["-bs", "64K"][..],
        &["-bs", "999", "-fast"],
        &["-bs", "1M", "-tcp-bs", "128K", "-p", "2"],
        &["--block-size=300000", "--tcp-buffer-size", "1M"],
    ] {
        let back = local.path().join("back");
        copy(&[flags, &[text(&original), &server.url("there")]].concat()).succeeded();
        copy(&[flags, &[&server.url("there"), text(&back)]].concat()).succeeded();
        assert_eq!(sha256_file(&back).unwrap(), hash, "{flags:?}");
    }
}

#[test]
fn standard_streams_carry_every_byte() {
    let server = Server::anonymous().start();
    let contents = random_bytes(3, 5_000_001);
    for way in WAYS {
        copy_from_stdin(&[way, &["-", server.url("there").as_str()][..]].concat(), &contents).succeeded();
        assert!(fs::read(server.dir().join("there")).unwrap() == contents, "put {way:?}");
        let outcome = copy(&[way, &[server.url("there").as_str(), "-"][..]].concat()).succeeded();
        assert!(outcome.stdout == contents, "get {way:?}");
    }
    // By their names in /dev, and from one to the other.
    assert!(copy(&[server.url("there").as_str(), "/dev/stdout"]).succeeded().stdout == contents);
    assert!(copy_from_stdin(&["/dev/stdin", "-"], &contents).succeeded().stdout == contents);
}

#[test]
fn blocks_in_the_worst_order_come_out_in_order_and_in_little_memory() {
    let local = folder();
    // Little enough to be put in order, and so much that the rest has to be asked for in another way.
    for size in [3 << 20, 60 << 20] {
        let contents = random_bytes(6, size);
        let url = crate::fake::backwards(contents.clone());
        assert!(copy(&["-fast", &url, "-"]).succeeded().stdout == contents, "{size} to standard output");
        let to = local.path().join("copy");
        copy(&["-fast", &url, text(&to)]).succeeded();
        assert!(fs::read(&to).unwrap() == contents, "{size} to a file");
    }
}

#[test]
fn standard_output_can_be_a_file_that_is_appended_to() {
    let server = Server::anonymous().start();
    let local = folder();
    fs::write(server.dir().join("f"), "new").unwrap();
    let log = local.path().join("log");
    fs::write(&log, "old ").unwrap();
    for dest in ["-", "/dev/stdout"] {
        let file = fs::OpenOptions::new().append(true).open(&log).unwrap();
        assert!(command(&[server.url("f").as_str(), dest]).stdout(file).status().unwrap().success());
    }
    assert_eq!(fs::read(&log).unwrap(), b"old newnew");
}

#[test]
fn from_local_to_local_and_from_server_to_server() {
    let (one, other) = (Server::anonymous().start(), Server::anonymous().start());
    let local = folder();
    let original = local.path().join("original");
    let hash = write_random(&original, 4, 9 * MIB + 1).unwrap();
    copy(&[text(&original), text(&local.path().join("copy"))]).succeeded();
    assert_eq!(sha256_file(&local.path().join("copy")).unwrap(), hash);
    fs::copy(&original, one.dir().join("f")).unwrap();
    for way in WAYS {
        copy(&[way, &[one.url("f").as_str(), other.url("g").as_str()][..]].concat()).succeeded();
        assert_eq!(sha256_file(&other.dir().join("g")).unwrap(), hash, "{way:?}");
        copy(&[way, &[one.url("f").as_str(), one.url("h").as_str()][..]].concat()).succeeded();
        assert_eq!(sha256_file(&one.dir().join("h")).unwrap(), hash, "{way:?}");
    }
}

#[test]
fn file_urls_are_paths() {
    let server = Server::anonymous().start();
    let local = folder();
    fs::write(local.path().join("a b"), "contents").unwrap();
    let url = format!("file://{}/a%20b", text(local.path()));
    copy(&[&url, &server.url("there")]).succeeded();
    copy(&[&server.url("there"), &format!("file://localhost{}/%63", text(local.path()))]).succeeded();
    assert_eq!(fs::read(local.path().join("c")).unwrap(), b"contents");
}

#[test]
fn names_are_bytes() {
    // Only after a GSI login does this server leave names as they are.
    let pki = Pki::new();
    let server = Server::gsi(&pki).start();
    let local = folder();
    for (number, name) in
        [&b"a b"[..], b"100%", b"#?;&=+", b"\xc3\xbc", b"\xff\xfe raw", b"'\"`$(x)", &[b'n'; 255]]
            .into_iter()
            .enumerate()
    {
        let contents = format!("file {number}");
        let original = local.path().join(bytes(name));
        fs::write(&original, &contents).unwrap();
        // The folder gets the source's name; the server's folder too.
        let there = [original.as_os_str(), server.url("").as_ref()].map(ToOwned::to_owned);
        let output = command(&there).envs(pki.env()).output().unwrap();
        assert!(output.status.success(), "{name:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read(server.dir().join(bytes(name))).unwrap(), contents.as_bytes(), "{name:?}");
        fs::remove_file(&original).unwrap();
        let back = [server.url(bytes(name)).into(), local.path().as_os_str().to_owned()];
        assert!(command(&back).envs(pki.env()).status().unwrap().success(), "{name:?}");
        assert_eq!(fs::read(&original).unwrap(), contents.as_bytes(), "{name:?}");
    }
}

#[test]
fn a_new_file_gets_the_permissions_of_the_umask_and_a_replaced_one_hands_on_its_own() {
    let server = Server::anonymous().start();
    let local = folder();
    fs::write(server.dir().join("f"), "new").unwrap();
    let mode = |name: &str| fs::metadata(local.path().join(name)).unwrap().permissions().mode() & 0o7777;
    for (umask, wanted) in [("022", 0o644), ("077", 0o600)] {
        let name = format!("new-{umask}");
        let script = format!("umask {umask}; exec \"$@\"");
        let args = [server.url("f"), text(&local.path().join(&name)).to_owned()];
        let status = crate::support::command_by(&["sh", "-c", &script, "sh"], &args).status().unwrap();
        assert!(status.success());
        assert_eq!(mode(&name), wanted);
    }
    fs::write(local.path().join("old"), "old and longer").unwrap();
    fs::set_permissions(local.path().join("old"), fs::Permissions::from_mode(0o750)).unwrap();
    copy(&[&server.url("f"), text(&local.path().join("old"))]).succeeded();
    assert_eq!(mode("old"), 0o750);
    assert_eq!(fs::read(local.path().join("old")).unwrap(), b"new");
}

#[test]
fn fsync_changes_nothing_that_can_be_seen() {
    let server = Server::anonymous().start();
    let local = folder();
    fs::write(server.dir().join("f"), "contents").unwrap();
    let to = local.path().join("f");
    copy(&["--fsync", &server.url("f"), text(&to)]).succeeded();
    assert_eq!(fs::read(&to).unwrap(), b"contents");
}

#[test]
fn a_large_file_takes_little_memory() {
    let server = Server::anonymous().start();
    let local = folder();
    sparse(&server.dir().join("large"), 400 * MIB);
    sparse(&local.path().join("large"), 400 * MIB);
    let (here, url) = (local.path().join("large"), server.url("large"));
    for args in [
        &[url.as_str(), "/dev/null"][..],
        &["-p", "4", &url, text(&here)],
        &["-p", "4", &url, "-"],
        &[text(&here), &server.url("copy")],
        &["-fast", &url, &server.url("copy")],
    ] {
        let mut child = command(args).stdout(std::process::Stdio::null()).spawn().unwrap();
        // The high-water mark, read until the process is no more.
        let mut peak_kib = 0;
        while let Ok(status) = fs::read_to_string(format!("/proc/{}/status", child.id())) {
            let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
            peak_kib = line.trim().trim_end_matches(" kB").parse().unwrap();
            std::thread::yield_now();
        }
        assert!(child.wait().unwrap().success(), "{args:?}");
        assert!((1..96 * 1024).contains(&peak_kib), "{peak_kib} KiB for {args:?}");
    }
}
