//! Being asked to stop.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gridftp_lab::Server;

use crate::support::{Outcome, command_with_signals, names_in, piped, signal, wait_for};

/// The promise, and some more for a machine with too much to do.
const SOON: Duration = Duration::from_secs(4);

#[test]
fn an_unfinished_put_is_removed() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let server = Server::anonymous().start();
        fs::write(server.dir().join("f"), "old").unwrap();
        let mut command = command_with_signals(&["put", "-", &server.url("f")]);
        let child = piped(&mut command).stdin(Stdio::piped()).spawn().unwrap();
        wait_for("the temporary file", || {
            names_in(&server.dir()).iter().any(|name| name.ends_with(".part")).then_some(())
        });
        let begun = Instant::now();
        signal(&child, name);
        // Its standard input stays open until it has ended.
        let mut child = child;
        let stdin = child.stdin.take();
        let outcome = Outcome::of(child.wait_with_output().unwrap());
        drop(stdin);
        assert!(begun.elapsed() < SOON);
        outcome.failed(code, &[&format!("ended by SIG{name}")]);
        assert_eq!(names_in(&server.dir()), ["f"]);
        assert_eq!(fs::read(server.dir().join("f")).unwrap(), b"old");
    }
}

#[test]
fn a_server_that_does_not_answer_keeps_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ftp://127.0.0.1:{}/file", listener.local_addr().unwrap().port());
    for verb in ["ls", "stat", "rm", "cat", "find", "sum", "doctor"] {
        let child = piped(&mut command_with_signals(&[verb, &url])).spawn().unwrap();
        // It listens to signals before it connects.
        let connection = listener.accept().unwrap();
        let begun = Instant::now();
        signal(&child, "TERM");
        let outcome = Outcome::of(child.wait_with_output().unwrap());
        assert!(begun.elapsed() < SOON);
        outcome.failed(143, &["SIGTERM"]);
        drop(connection);
    }
}

#[test]
fn a_reader_that_does_not_read_keeps_nobody() {
    let server = Server::anonymous().start();
    fs::File::create(server.dir().join("f")).unwrap().set_len(50 << 20).unwrap();
    let mut child = piped(&mut command_with_signals(&["cat", &server.url("f")])).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // It writes.
    std::io::Read::read_exact(&mut stdout, &mut [0]).unwrap();
    let begun = Instant::now();
    signal(&child, "INT");
    let status = child.wait().unwrap();
    assert!(begun.elapsed() < SOON);
    assert_eq!(status.code(), Some(130));
}
