//! `ls` and `stat`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use gridftp_lab::{Pki, PlainServer, Server};

use crate::support::{run, run_as};

/// Names that a shell, a terminal, JSON or a line of text could stumble over.
const ODD: [&[u8]; 7] = [
    b"with blank",
    b"quo\"te'",
    b"back\\slash",
    b"ctl\x01\x1b[2J",
    b"bad\xff",
    "gr\u{fc}n".as_bytes(),
    b"100%",
];

fn with_odd_names(server: Server) -> Server {
    for (index, name) in ODD.iter().enumerate() {
        fs::write(server.dir().join(OsStr::from_bytes(name)), "x".repeat(index)).unwrap();
    }
    server
}

#[test]
fn names_are_sorted_and_fit_for_a_terminal() {
    let server = with_odd_names(Server::anonymous().start());
    let outcome = run(&["ls", &server.url("")]).succeeded();
    let expected =
        ["100%", "back\\slash", "bad\\xff", "ctl\\u{1}\\u{1b}[2J", "gr\u{fc}n", "quo\"te'", "with blank"];
    assert_eq!(outcome.lines(), expected);
    let long = run(&["ls", "-l", &server.url("")]).succeeded();
    assert!(!long.text().chars().any(|c| c.is_control() && c != '\n'));
}

#[test]
fn json_is_valid_whatever_names_are() {
    let pki = Pki::new();
    // In clear text, the stock server drops bytes above 127 from what it is asked for.
    let server = with_odd_names(Server::gsi(&pki).start());
    let outcome = run_as(&pki.env(), &["ls", "--json", &server.url("")]).succeeded();
    let objects = outcome.json();
    assert_eq!(objects.len(), ODD.len());
    for (index, name) in ODD.iter().enumerate() {
        let lossy = String::from_utf8_lossy(name);
        let object = objects.iter().find(|object| object["name"] == *lossy).unwrap();
        assert_eq!(object["size"], index, "{lossy:?}");
        assert_eq!(object["type"], "file");
        assert_eq!(object["path"], format!("{}/{lossy}", server.dir().display()));
        // Nothing is lost of what is no text, and a URL is one that works, or is not there.
        assert_eq!(object.get("path_hex").is_some(), std::str::from_utf8(name).is_err());
        match object["url"].as_str() {
            Some(url) => assert_eq!(run_as(&pki.env(), &["cat", url]).succeeded().stdout.len(), index),
            None => assert!(name.iter().any(|byte| *byte < 0x20)),
        }
    }
}

#[test]
fn facts_are_those_of_the_files() {
    let server = Server::anonymous().start();
    let dir = server.dir();
    fs::write(dir.join("file"), vec![0; 1536]).unwrap();
    fs::set_permissions(dir.join("file"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(dir.join("folder")).unwrap();
    fs::write(dir.join(".hidden"), "").unwrap();
    symlink("file", dir.join("link")).unwrap();
    run(&["touch", "-d", "2020-02-03T04:05:06Z", &server.url("file")]).silent();

    let outcome = run(&["ls", "-l", "--human", &server.url("")]).succeeded();
    let lines = outcome.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("-rw-r-----  ") && lines[0].contains("  1.5K  2020-02-03 04:05:06  file"));
    assert!(lines[1].starts_with("drwx") && lines[1].ends_with("  folder"), "{}", lines[1]);
    assert!(lines[2].starts_with('l') && lines[2].ends_with(&format!("  link -> {}/file", dir.display())));
    let column = |line: &str| line.find("  20").unwrap();
    assert_eq!(column(lines[0]), column(lines[1]));

    let objects = run(&["ls", "-a", "--json", &server.url("")]).succeeded().json();
    let names: Vec<_> = objects.iter().map(|object| object["name"].as_str().unwrap()).collect();
    assert_eq!(names, [".hidden", "file", "folder", "link"]);
    assert_eq!(objects[1]["mode"], "0640");
    assert_eq!(objects[1]["modified"], "2020-02-03T04:05:06Z");
    assert!(objects[1]["owner"].is_string() && objects[1]["group"].is_string());
    assert_eq!(objects[3]["type"], "link");
    assert_eq!(objects[3]["link_target"], format!("{}/file", dir.display()));

    // A file lists as itself, and so does a folder with -d.
    assert_eq!(run(&["ls", &server.url("file")]).succeeded().text(), format!("{}/file\n", dir.display()));
    let itself = run(&["ls", "-d", "--json", &server.url("folder")]).succeeded().json();
    assert_eq!((itself.len(), &itself[0]["type"]), (1, &"dir".into()));
}

#[test]
fn trees_come_folder_by_folder() {
    let server = Server::anonymous().start();
    let dir = server.dir();
    for folder in ["a/deep", "a b", ".hid", "empty"] {
        fs::create_dir_all(dir.join(folder)).unwrap();
    }
    for file in ["a/deep/1", "a b/2", ".hid/3", "z"] {
        fs::write(dir.join(file), "").unwrap();
    }
    let root = server.url("");
    let root = root.trim_end_matches('/');
    let expected = format!(
        "{root}:\na\na b\nempty\nz\n\n{root}/a:\ndeep\n\n{root}/a/deep:\n1\n\n{root}/a%20b:\n2\n\n{root}/empty:\n"
    );
    assert_eq!(run(&["ls", "-R", root]).succeeded().text(), expected);
    let objects = run(&["ls", "-R", "-a", "--json", root]).succeeded().json();
    assert_eq!(objects.len(), 9);
    assert!(objects.iter().any(|object| object["path"] == format!("{}/.hid/3", dir.display())));
}

#[test]
fn what_fails_is_told_and_the_rest_goes_on() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("there"), "").unwrap();
    let outcome = run(&["ls", &server.url("missing"), &server.url("there")]).failed(14, &["missing", "550"]);
    assert_eq!(outcome.lines(), [format!("{}/there", server.dir().display())]);
    run(&["ls", &server.url("missing"), &server.url("too")]).failed(3, &["missing", "too"]);
    run(&["stat", &server.url("missing")]).failed(3, &["missing"]);
    run(&["stat", &server.url("missing"), &server.url("there")]).failed(14, &["missing"]);
}

#[test]
fn stat_tells_everything() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("f"), "12345").unwrap();
    let outcome = run(&["stat", &server.url("f")]).succeeded();
    for line in ["    type  file", "    size  5", "    fact  Size=5"] {
        assert!(outcome.lines().contains(&line), "{}", outcome.text());
    }
    let objects = run(&["stat", "--json", &server.url("f"), &server.url("")]).succeeded().json();
    assert_eq!(objects[0]["facts"]["Size"], "5");
    assert_eq!((&objects[0]["name"], &objects[1]["type"]), (&"f".into(), &"dir".into()));
}

#[test]
fn a_server_without_facts_is_listed_as_well() {
    let server = PlainServer::anonymous().without(&["MLST", "MLSD"]).start();
    fs::create_dir(server.dir().join("folder")).unwrap();
    fs::write(server.dir().join("file"), "123").unwrap();
    let objects = run(&["ls", "--json", &server.url("/")]).succeeded().json();
    assert_eq!(objects.len(), 2);
    assert_eq!((&objects[0]["name"], &objects[0]["size"]), (&"file".into(), &3.into()));
    assert_eq!(objects[1]["type"], "dir");
}
