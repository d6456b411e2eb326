//! Servers that say what they should not, and those that are only peculiar.

use crate::fake::Fake;
use crate::support::{run, run_with_stdin};

const LISTING: &[u8] = b"Type=file;Size=1; ../../etc/passwd\r\n\
    Type=file;Size=2; esc\x1b]0;title\x07\r\n\
    Type=dir;Size=3;UNIX.owner=e\x1b[2Jvil;UNIX.slink=/\x1b[3m; \xe2\x80\xaeturned\r\n\
    Type=x\x1by;Size=99999999999999999999; ..\r\n\
    nonsense\r\n\
    Type=file;Size=4; good\r\n";

fn folder(line: &str, _: &[String]) -> Option<String> {
    line.starts_with("MLST").then(|| "250-this\r\n Type=dir; /folder\r\n250 end".into())
}

#[test]
fn no_control_byte_reaches_the_terminal() {
    let server = Fake::start(LISTING, folder);
    let url = server.url("folder");
    for args in [
        &["ls"][..],
        &["ls", "-l"],
        &["ls", "-la"],
        &["ls", "-R"],
        &["find"],
        &["du"],
        &["stat"],
        &["doctor"],
    ] {
        let outcome = run(&[args, &[url.as_str()]].concat());
        let all = format!("{}{}", outcome.text(), outcome.stderr);
        assert!(!all.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{args:?} {all:?}");
        assert!(all.contains("good") || matches!(args[0], "du" | "stat" | "doctor"), "{args:?} {all:?}");
    }
    for args in [&["ls", "--json", "-a"][..], &["find", "--json"], &["du", "--json"], &["doctor", "--json"]] {
        let outcome = run(&[args, &[url.as_str()]].concat());
        assert!(!outcome.json().is_empty(), "{args:?}");
        assert!(!outcome.text().chars().any(|c| c.is_control() && c != '\n'), "{args:?}");
    }
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let server = Fake::start(LISTING, folder);
    let url = server.url("folder");
    let outcome = run(&["find", "--json", &url]);
    assert_eq!(outcome.code, 14, "{}", outcome.stderr);
    for object in outcome.json() {
        let path = object["path"].as_str().unwrap();
        assert!(path.starts_with("/folder") && !path.contains(".."), "{path}");
    }
    run(&["chmod", "-R", "640", &url]);
    let changed = server.said("SITE CHMOD");
    assert!(changed.iter().all(|line| !line.contains("..")), "{changed:?}");
    assert!(changed.contains(&"SITE CHMOD 0640 /folder/good".to_owned()), "{changed:?}");
}

fn file_in_the_way(line: &str, before: &[String]) -> Option<String> {
    let removed = before.iter().any(|line| line == "DELE /f");
    match line.split(' ').next()? {
        "MLST" => Some("250-this\r\n Type=file;Size=3; /f\r\n250 end".into()),
        "RNTO" if !removed => Some("553 File exists".into()),
        _ => None,
    }
}

#[test]
fn a_server_that_does_not_rename_over_files_gets_the_old_one_removed_last() {
    let server = Fake::start(b"", file_in_the_way);
    run_with_stdin(&["put", "-q", "-", &server.url("f")], b"new").silent();
    assert_eq!(server.said("DELE"), ["DELE /f"]);
    assert_eq!(server.said("RNTO"), ["RNTO /f", "RNTO /f"]);
}

fn never_renames(line: &str, before: &[String]) -> Option<String> {
    match line.split(' ').next()? {
        "RNTO" => Some("553 File exists".into()),
        _ => file_in_the_way(line, before),
    }
}

#[test]
fn the_only_copy_there_is_stays() {
    let server = Fake::start(b"", never_renames);
    let outcome = run_with_stdin(&["put", "-q", "-", &server.url("f")], b"new");
    outcome.failed(12, &["the complete copy is ftp://", ".part"]);
    assert_eq!(server.said("DELE"), ["DELE /f"]);
}
