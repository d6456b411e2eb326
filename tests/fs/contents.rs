//! `cat`, `put`, `sum`, `touch`.

use std::fs;

use gridftp_lab::{PlainServer, Server, sha256_file, write_random};

use crate::support::{command, names_in, piped, run, run_with_stdin};

#[test]
fn cat_gives_the_very_bytes_or_a_part_of_them() {
    let server = Server::anonymous().start();
    let file = server.dir().join("f");
    write_random(&file, 1, 3_000_001).unwrap();
    let bytes = fs::read(&file).unwrap();
    let url = server.url("f");
    assert!(run(&["cat", &url]).succeeded().stdout == bytes);
    assert!(run(&["cat", &url, &url]).succeeded().stdout == [&bytes[..], &bytes[..]].concat());
    let part = run(&["cat", "--offset", "1M", "--length", "1000", &url]).succeeded().stdout;
    assert!(part == bytes[1 << 20..(1 << 20) + 1000]);
    assert!(run(&["cat", "--offset", "3000000", &url]).succeeded().stdout == bytes[3_000_000..]);
    assert_eq!(run(&["cat", "--length", "0", &url]).succeeded().stdout, b"");
}

#[test]
fn cat_goes_on_after_a_failure() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("f"), "x").unwrap();
    let outcome = run(&["cat", &server.url("missing"), &server.url("f")]).failed(14, &["missing"]);
    assert_eq!(outcome.stdout, b"x");
    run(&["cat", &server.url("missing")]).failed(3, &["missing"]);
    run(&["cat", "--length", "0", &server.url("missing")]).failed(3, &["missing"]);
    run(&["cat", &server.url("")]).failed(12, &[]);
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let server = Server::anonymous().start();
    fs::File::create(server.dir().join("f")).unwrap().set_len(50 << 20).unwrap();
    let mut child = piped(&mut command(&["cat", &server.url("f")])).spawn().unwrap();
    drop(child.stdout.take());
    let outcome = crate::support::Outcome::of(child.wait_with_output().unwrap());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (141, ""));
}

#[test]
fn put_stores_files_and_standard_input_whole() {
    let server = Server::anonymous().start();
    let local = tempfile::tempdir().unwrap();
    let original = local.path().join("original");
    let hash = write_random(&original, 2, 3_000_001).unwrap();
    let original = original.to_str().unwrap();
    run(&["put", "-q", original, &server.url("copy")]).silent();
    assert_eq!(sha256_file(&server.dir().join("copy")).unwrap(), hash);
    // Into a folder, under its own name.
    fs::create_dir(server.dir().join("folder")).unwrap();
    run(&["put", "-q", original, &server.url("folder")]).silent();
    assert_eq!(sha256_file(&server.dir().join("folder/original")).unwrap(), hash);
    // In the place of what was there.
    let outcome = run_with_stdin(&["put", "-", &server.url("copy")], b"from a pipe");
    assert_eq!(outcome.code, 0);
    assert!(outcome.stderr.starts_with("gridftp-fs: 11 bytes stored as ftp://"), "{}", outcome.stderr);
    assert_eq!(fs::read(server.dir().join("copy")).unwrap(), b"from a pipe");
    run_with_stdin(&["put", "-q", "-", &server.url("empty")], b"").silent();
    assert_eq!(fs::read(server.dir().join("empty")).unwrap(), b"");
    assert_eq!(names_in(&server.dir()), ["copy", "empty", "folder"]);
}

#[test]
fn put_leaves_nothing_when_it_fails() {
    let server = Server::anonymous().start();
    fs::create_dir_all(server.dir().join("folder/taken")).unwrap();
    run_with_stdin(&["put", "-", &server.url("missing/f")], b"x").failed(3, &["missing"]);
    run_with_stdin(&["put", "-", &server.url("folder")], b"x").failed(12, &["is a folder"]);
    run(&["put", "/no/such/file", &server.url("f")]).failed(3, &["/no/such/file"]);
    run(&["put", "/", &server.url("f")]).failed(12, &["cannot read /"]);
    run(&["put", &server.url("a"), &server.url("f")]).failed(2, &["gridftp-cp"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    run(&["put", file.path().to_str().unwrap(), "/tmp/x"]).failed(2, &["no URL"]);
    assert_eq!(names_in(&server.dir()), ["folder"]);
    assert_eq!(names_in(&server.dir().join("folder")), ["taken"]);
}

#[test]
fn put_works_at_a_plain_server() {
    let server = PlainServer::anonymous().start();
    run_with_stdin(&["put", "-q", "-", &server.url("f")], b"one").silent();
    run_with_stdin(&["put", "-q", "-", &server.url("f")], b"another").silent();
    assert_eq!(fs::read(server.dir().join("f")).unwrap(), b"another");
    assert_eq!(names_in(&server.dir()), ["f"]);
}

#[test]
fn sums_are_those_of_the_contents() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("f"), "hello\n").unwrap();
    let url = server.url("f");
    let line = |digits: &str| format!("{digits}  {url}\n");
    assert_eq!(run(&["sum", &url]).succeeded().text(), line("b1946ac92492d2347c6235b4d2611184"));
    assert_eq!(run(&["sum", "-a", "ADLER32", &url]).succeeded().text(), line("084b021f"));
    let objects = run(&["sum", "--json", "-a", "sha1", &url]).succeeded().json();
    assert_eq!(objects[0]["checksum"], "f572d396fae9206628714fb2ce00f72e94f2258f");
    assert_eq!((&objects[0]["computed_by"], &objects[0]["algorithm"]), (&"server".into(), &"SHA1".into()));
    run(&["sum", &server.url("missing"), &url]).failed(14, &["missing"]);
    run(&["sum", &server.url("")]).failed(12, &[]);
    run(&["sum", "-a", "WHATEVER", &url]).failed(11, &["cannot compute WHATEVER"]);
}

#[test]
fn a_server_without_checksums_has_its_files_read() {
    let server = PlainServer::anonymous().start();
    fs::write(server.dir().join("f"), "hello\n").unwrap();
    let url = server.url("f");
    for (algorithm, digits) in [
        ("md5", "b1946ac92492d2347c6235b4d2611184"),
        ("sha1", "f572d396fae9206628714fb2ce00f72e94f2258f"),
        ("sha256", "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"),
        ("adler32", "084b021f"),
        ("crc32", "363a3020"),
    ] {
        let outcome = run(&["sum", "-q", "-a", algorithm, &url]).succeeded();
        assert_eq!(outcome.text(), format!("{digits}  {url}\n"), "{algorithm}");
    }
    let outcome = run(&["sum", "--json", &url]);
    assert_eq!(outcome.json()[0]["computed_by"], "client");
    assert!(outcome.stderr.contains("the file is read"), "{}", outcome.stderr);
}
