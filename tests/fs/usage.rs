//! The command line.

use gridftp_lab::Server;

use crate::support::run;

const VERBS: [&str; 19] = [
    "ls", "stat", "cat", "put", "mkdir", "rm", "rmdir", "mv", "chmod", "chgrp", "ln", "touch", "du", "find",
    "sum", "features", "df", "cred", "doctor",
];

#[test]
fn every_verb_has_help_with_an_example() {
    let all = run(&["--help"]).succeeded();
    for verb in VERBS {
        assert!(all.lines().iter().any(|line| line.trim_start().starts_with(&format!("{verb} "))), "{verb}");
        let help = run(&[verb, "--help"]).succeeded();
        for words in ["Example", &format!("gridftp-fs {verb}"), "--timeout", "Exit codes", "some was done"] {
            assert!(help.text().contains(words), "{verb} {words}");
        }
    }
    assert!(run(&["--version"]).succeeded().text().starts_with("gridftp-fs "));
}

#[test]
fn wrong_usage_is_2_and_nothing_is_done() {
    let server = Server::anonymous().start();
    let none: [&str; 0] = [];
    run(&none).failed(2, &["expected a verb"]);
    run(&["frobnicate"]).failed(2, &["frobnicate"]);
    run(&["ls"]).failed(2, &["URL"]);
    run(&["ls", "/tmp"]).failed(2, &["/tmp is no URL"]);
    run(&["ls", "http://example.org/"]).failed(2, &["http"]);
    run(&["ls", "--timeout", "soon", &server.url("")]).failed(2, &["soon"]);
    // One that is no URL keeps the others from being touched.
    run(&["mkdir", &server.url("a"), "nothing"]).failed(2, &["nothing"]);
    assert!(!server.dir().join("a").exists());
    for verb in
        ["stat", "cat", "mkdir", "rm", "rmdir", "touch", "du", "find", "sum", "features", "df", "doctor"]
    {
        run(&[verb, "/tmp"]).failed(2, &["/tmp is no URL"]);
    }
}

#[test]
fn what_is_said_is_shown_on_demand() {
    let server = Server::anonymous().start();
    let outcome = run(&["ls", "--dbg", &server.url("")]);
    assert_eq!(outcome.code, 0);
    assert!(outcome.stderr.contains("MLST"), "{}", outcome.stderr);
}
