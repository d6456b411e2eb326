//! The plain server of the lab, tried by hand.
#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use gridftp_lab::PlainServer;

/// Says each line to the server once it has answered the one before, and gives back the last lines of its answers, the
/// greeting first.
fn talk(port: u16, lines: &[&str]) -> Vec<String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    let mut answer = || {
        let mut line = String::new();
        // The last line of an answer has a blank behind its code.
        while line.as_bytes().get(3) != Some(&b' ') || line.starts_with(' ') {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the server hung up");
        }
        line.trim_end().to_owned()
    };
    let mut answers = vec![answer()];
    for line in lines {
        writer.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        answers.push(answer());
    }
    answers
}

#[test]
fn a_plain_server_lets_everybody_in_and_shows_its_folder_as_the_root() {
    let server = PlainServer::anonymous().start();
    fs::write(server.dir().join("a file"), "12345").unwrap();
    let answers =
        talk(server.port(), &["USER anonymous", "PASS x", "TYPE I", "SIZE /a file", "MLST a file", "MKD /d"]);
    assert_eq!(answers[0], "220 a plain server");
    assert!(answers[2].starts_with("230"), "{answers:?}");
    assert_eq!(answers[4], "213 5");
    assert!(answers[5].starts_with("250"), "{answers:?}");
    assert!(server.dir().join("d").is_dir());
    assert_eq!(server.url(server.dir().join("a file")), format!("{}/a%20file", server.url_root()));
    assert_eq!(server.url("d/x"), format!("ftp://127.0.0.1:{}/d/x", server.port()));
    assert!(server.log().contains("SIZE"), "{}", server.log());
}

#[test]
fn commands_that_it_shall_not_know_are_unknown() {
    let server = PlainServer::with_password("ada").old().start();
    let lines = ["USER ada", "PASS secret", "MLST /", "FEAT", "EPSV", "SIZE x", "PWD"];
    let answers = talk(server.port(), &lines);
    assert!(answers[2].starts_with("230"), "{answers:?}");
    assert!(answers[3..=6].iter().all(|answer| answer.starts_with("500")), "{answers:?}");
    assert!(answers[7].starts_with("257"), "{answers:?}");
    let wrong = talk(server.port(), &["USER ada", "PASS wrong"]);
    assert!(wrong[2].starts_with("530"), "{wrong:?}");
}

#[test]
fn it_ends_with_its_owner() {
    let server = PlainServer::anonymous().read_only().start();
    let answers = talk(server.port(), &["USER anonymous", "PASS x", "MKD d"]);
    assert!(answers[3].starts_with("550"), "{answers:?}");
    let (port, folder) = (server.port(), server.dir());
    drop(server);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err() && !folder.exists());
}
