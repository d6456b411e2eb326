//! Nothing incomplete is left, however a copy ends.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gridftp_lab::Server;

use crate::support::{
    Outcome, SIGNALS, command, command_by, folder, names, piped, signal, signal_pid, sparse, text, wait_for,
    wait_for_part,
};

/// Much more than is moved before the test does something about it.
const LARGE: u64 = 2 << 30;

/// The server's processes that serve connections.
fn connections(server: &Server) -> Vec<u32> {
    server.processes().into_iter().filter(|pid| *pid != server.pid()).collect()
}

#[test]
fn a_get_that_is_told_to_stop_leaves_nothing() {
    let server = Server::anonymous().start();
    sparse(&server.dir().join("large"), LARGE);
    let local = folder();
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        for way in ["-vb", "-fast"] {
            let (url, to) = (server.url("large"), local.path().join("copy"));
            let args = [way, &url, text(&to)];
            let child = piped(&mut command_by(SIGNALS, &args)).spawn().unwrap();
            wait_for_part(local.path(), 1 << 20);
            signal(&child, name);
            let outcome = Outcome::of(child.wait_with_output().unwrap());
            outcome.failed(code, &[&format!("ended by SIG{name}")]);
            assert_eq!(names(local.path()), [""; 0]);
        }
    }
}

#[test]
fn a_put_that_is_told_to_stop_leaves_nothing() {
    let server = Server::anonymous().start();
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        for way in ["-vb", "-fast"] {
            let mut command = command_by(SIGNALS, &[way, "-", &server.url("copy")]);
            let mut child = piped(&mut command).stdin(Stdio::piped()).spawn().unwrap();
            // More than a pipe and a block hold: some of it arrives, and then nothing more comes.
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(&vec![1; 5 << 20]).unwrap();
            wait_for_part(&server.dir(), 1 << 20);
            signal(&child, name);
            let outcome = Outcome::of(child.wait_with_output().unwrap());
            outcome.failed(code, &[&format!("ended by SIG{name}")]);
            assert_eq!(names(&server.dir()), [""; 0]);
        }
    }
}

#[test]
fn a_signal_that_shall_be_ignored_is_ignored() {
    let server = Server::anonymous().start();
    let starter = ["sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh"];
    let mut child =
        piped(&mut command_by(&starter, &["-", &server.url("copy")])).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&vec![1; 3 << 20]).unwrap();
    wait_for_part(&server.dir(), 1 << 20);
    signal(&child, "INT");
    signal(&child, "HUP");
    stdin.write_all(&vec![1; 1 << 20]).unwrap();
    drop(stdin);
    Outcome::of(child.wait_with_output().unwrap()).succeeded();
    assert_eq!(fs::metadata(server.dir().join("copy")).unwrap().len(), 4 << 20);
}

#[test]
fn a_server_that_falls_silent_ends_the_copy_in_time() {
    let server = Server::anonymous().start();
    sparse(&server.dir().join("large"), LARGE);
    let local = folder();
    // By the limit, and by a signal: neither needs the server's help.
    for (stall, name, code) in [("1", None, 7), ("60", Some("TERM"), 143)] {
        let (url, to) = (server.url("large"), local.path().join("copy"));
        let args = ["-st", stall, "-cc", "1", "--retries", "0", &url, text(&to)];
        let child = piped(&mut command_by(SIGNALS, &args)).spawn().unwrap();
        wait_for_part(local.path(), 1 << 20);
        let stopped = connections(&server);
        stopped.iter().for_each(|pid| signal_pid(*pid, "STOP"));
        let begun = Instant::now();
        if let Some(name) = name {
            signal(&child, name);
        }
        let outcome = Outcome::of(child.wait_with_output().unwrap());
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        assert_eq!(names(local.path()), [""; 0]);
        stopped.iter().for_each(|pid| signal_pid(*pid, "KILL"));
    }
}

#[test]
fn a_put_whose_server_dies_is_cleaned_up_over_another_connection() {
    let server = Server::anonymous().start();
    let mut child = piped(&mut command(&["-", &server.url("copy")])).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&vec![1; 5 << 20]).unwrap();
    wait_for_part(&server.dir(), 1 << 20);
    connections(&server).into_iter().for_each(|pid| signal_pid(pid, "KILL"));
    // It notices when it has something to send, or at the end.
    let _ = stdin.write_all(&vec![1; 5 << 20]);
    drop(stdin);
    Outcome::of(child.wait_with_output().unwrap()).failed(6, &["(destination", "trying again may help"]);
    assert_eq!(names(&server.dir()), [""; 0]);
}

#[test]
fn a_source_that_changes_while_it_is_read_is_no_copy() {
    let server = Server::anonymous().start();
    let local = folder();
    let source = local.path().join("source");
    for new_size in [LARGE + 1, 1000] {
        for (to, folder) in [
            (server.url("copy"), server.dir()),
            (text(&local.path().join("d/copy")).to_owned(), local.path().join("d")),
        ] {
            fs::create_dir_all(&folder).unwrap();
            sparse(&source, LARGE);
            let child =
                piped(&mut command_by(SIGNALS, &["-len", "100M", text(&source), &to])).spawn().unwrap();
            wait_for_part(&folder, 0);
            signal(&child, "STOP");
            fs::OpenOptions::new().write(true).open(&source).unwrap().set_len(new_size).unwrap();
            signal(&child, "CONT");
            let outcome = Outcome::of(child.wait_with_output().unwrap());
            outcome.failed(8, &["changed while it was read", "(source"]);
            assert_eq!(names(&folder), [""; 0]);
        }
    }
}

#[test]
fn the_old_file_stays_until_the_new_one_is_complete() {
    let server = Server::anonymous().start();
    let local = folder();
    fs::write(local.path().join("copy"), "old").unwrap();
    fs::write(server.dir().join("copy"), "old").unwrap();
    for (to, folder) in
        [(text(&local.path().join("copy")), local.path()), (&server.url("copy"), &server.dir())]
    {
        let mut child = piped(&mut command(&["-", to])).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&vec![1; 5 << 20]).unwrap();
        wait_for_part(folder, 1 << 20);
        assert_eq!(fs::read(folder.join("copy")).unwrap(), b"old");
        drop(stdin);
        Outcome::of(child.wait_with_output().unwrap()).succeeded();
        assert_eq!(fs::metadata(folder.join("copy")).unwrap().len(), 5 << 20);
        assert_eq!(names(folder), ["copy"]);
    }
}

#[test]
fn a_killed_program_leaves_the_name_alone() {
    let server = Server::anonymous().start();
    sparse(&server.dir().join("large"), LARGE);
    let local = folder();
    fs::write(local.path().join("copy"), "old").unwrap();
    let args = [server.url("large"), text(&local.path().join("copy")).to_owned()];
    let mut child = piped(&mut command(&args)).spawn().unwrap();
    let part = wait_for_part(local.path(), 1 << 20);
    child.kill().unwrap();
    child.wait().unwrap();
    // Nobody can clean up then; but what is there says what it is.
    assert_eq!(fs::read(local.path().join("copy")).unwrap(), b"old");
    assert!(part.exists());
    wait_for("the server to notice", || connections(&server).is_empty().then_some(()));
}
