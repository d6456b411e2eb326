//! What the program says, and when it says nothing.

use std::fs;
use std::io::Read as _;

use clap::CommandFactory as _;
use gridftp_lab::Server;

use crate::support::{Outcome, command, copy, folder, piped, sparse, text};

#[test]
fn it_is_silent_unless_asked() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("f"), "x").unwrap();
    for flags in [&[][..], &["-q"]] {
        let outcome = copy(&[flags, &[server.url("f").as_str(), "/dev/null"]].concat()).succeeded();
        assert!(outcome.stdout.is_empty());
    }
}

#[test]
fn names_and_rates_go_where_the_data_does_not() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("f"), vec![1; 2 << 20]).unwrap();
    let url = server.url("f");
    let outcome = copy(&["-v", &url, "/dev/null"]).succeeded();
    let text = String::from_utf8(outcome.stdout).unwrap();
    assert!(
        text.starts_with("Source: ftp://") && text.contains("\nDest:   /dev/\n  f  ->  null\n"),
        "{text}"
    );
    let outcome = copy(&["-vb", &url, "/dev/null"]).succeeded();
    let text = String::from_utf8(outcome.stdout).unwrap();
    assert!(text.contains("      2097152 bytes ") && text.contains("MB/sec avg"), "{text}");
    let outcome = copy(&["-vb", &url, "-"]);
    assert_eq!((outcome.code, outcome.stdout.len()), (0, 2 << 20));
    assert!(outcome.stderr.contains("2097152 bytes"), "{}", outcome.stderr);
}

#[test]
fn a_copy_is_explained_where_that_is_asked_for() {
    let server = Server::anonymous().start();
    let local = folder();
    gridftp_lab::write_random(&server.dir().join("f"), 4, 40 << 20).unwrap();
    let (url, to) = (server.url("f"), local.path().join("f"));
    let outcome = copy(&["--explain", "--bwlimit", "20M", &url, text(&to)]);
    assert_eq!((outcome.code, outcome.stdout.as_slice()), (0, &b""[..]), "{}", outcome.stderr);
    let head = format!("{url} -> {}\nbounded by the limit", text(&to));
    for words in [&head, "\n  time: ", "\n  processor: ", "\n  window: "] {
        assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
    }
    assert!(outcome.stderr.contains(": 2 sessions (where every transfer"), "{}", outcome.stderr);
    assert_eq!(fs::read(&to).unwrap(), fs::read(server.dir().join("f")).unwrap());
    let outcome = copy(&["--explain", "--json", "-tcp-bs", "1M", "-cc", "3", &url, text(&to)]).succeeded();
    let said = String::from_utf8(outcome.stdout).unwrap();
    let events: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<_> = events.iter().filter(|event| event["event"] == "explanation").collect();
    assert_eq!(found.len(), 1, "{said}");
    assert_eq!((&found[0]["window"], &found[0]["choices"][0]["sessions"]), (&1_048_576.into(), &3.into()));
    assert!(found[0]["text"].as_str().unwrap().starts_with("bounded by "), "{said}");
    copy(&["--explain", &url, "-"]).failed(2, &["expected no --explain"]);
}

#[test]
fn the_control_channel_is_shown_without_passwords() {
    let server = Server::with_password("lab").start();
    fs::write(server.dir().join("f"), "x").unwrap();
    let url = server.url("f");
    assert!(url.contains(server.password()));
    let outcome = copy(&["-dbg", "-v", &url, "/dev/null"]);
    assert_eq!(outcome.code, 0);
    for line in ["> USER lab", "> PASS ***", "> RETR ", "< 226 "] {
        assert!(outcome.stderr.contains(line), "{line}: {}", outcome.stderr);
    }
    let wrong = url.replace(server.password(), "hunter2");
    let refused = copy(&["-dbg", &wrong, "/dev/null"]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    for (text, secret) in [
        (outcome.stderr, server.password()),
        (String::from_utf8(outcome.stdout).unwrap(), server.password()),
        (refused.stderr, "hunter2"),
    ] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_without_a_word() {
    let server = Server::anonymous().start();
    sparse(&server.dir().join("large"), 1 << 30);
    for flags in [&[][..], &["-p", "2"]] {
        let mut child =
            piped(&mut command(&[flags, &[server.url("large").as_str(), "-"]].concat())).spawn().unwrap();
        let mut some = [1; 1000];
        child.stdout.take().unwrap().read_exact(&mut some).unwrap();
        let outcome = Outcome::of(child.wait_with_output().unwrap());
        assert_eq!((outcome.code, outcome.stderr.as_str()), (141, ""));
    }
    // Help that nobody reads to its end.
    let mut child = piped(&mut command(&["--help"])).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(Outcome::of(child.wait_with_output().unwrap()).stderr, "");
}

#[test]
fn help_names_every_option_and_exit_code() {
    for flag in ["--help", "-help", "-h", "-usage"] {
        let outcome = copy(&[flag]).succeeded();
        let text = String::from_utf8(outcome.stdout).unwrap();
        for group in
            ["What to copy:", "What the copies are to be:", "When something goes wrong:", "Examples:"]
        {
            assert!(text.contains(group), "{group} is not in:\n{text}");
        }
        let command = crate::args::options::Words::command();
        for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
            let long = format!("--{}", option.get_long().unwrap());
            assert!(text.contains(&long), "{long} is not in:\n{text}");
        }
        for (_, number, meaning) in crate::exit::ALL {
            assert!(text.contains(&format!("{number:>3}  {meaning}")), "{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }
    for flag in ["--version", "-version", "-V"] {
        let outcome = copy(&[flag]).succeeded();
        assert_eq!(outcome.stdout, format!("gridftp-cp {}\n", env!("CARGO_PKG_VERSION")).as_bytes());
    }
}

#[test]
fn what_a_server_says_cannot_play_with_the_terminal() {
    let local = folder();
    let url = crate::fake::lying(crate::fake::Lie {
        last: "550 \u{1b}[2Jred\u{7} \u{202e}backwards",
        is_file: true,
        ..crate::fake::Lie::default()
    });
    let outcome = copy(&[&url, text(&local.path().join("x"))]);
    assert!(
        !outcome.stderr.trim_end().contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{:?}",
        outcome.stderr
    );
    outcome.failed(11, &["\\u{1b}[2J"]);
}
