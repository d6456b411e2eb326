//! Servers end with their owner, however it ends. The owner here is `cargo xtask serve`.
#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

struct Served {
    owner: Child,
    /// It says more than is looked at, and somebody must hear it.
    _output: BufReader<ChildStdout>,
    port: u16,
    /// The server's folder and, under GSI, the certificates'.
    folders: Vec<PathBuf>,
    /// What a person would copy into a shell.
    said: String,
}

fn serve(args: &[&str]) -> Served {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("serve")
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(owner.stdout.take().unwrap());
    let mut said = String::new();
    // The second command to try: all that is looked at below comes before it.
    while !said.contains("/tmp/random-10M") {
        assert!(output.read_line(&mut said).unwrap() > 0, "the server is not announced: {said}");
    }
    let url = said.split_whitespace().find(|word| word.contains("ftp://")).unwrap();
    let rest = url.split_once("://").unwrap().1;
    let (host, path) = rest.split_once('/').unwrap();
    let port = host.rsplit_once(':').unwrap().1.parse().unwrap();
    let files = PathBuf::from(format!("/{path}")).parent().unwrap().to_owned();
    let mut folders = vec![files.parent().unwrap().to_owned()];
    if let Some(ca) = said.lines().find_map(|line| line.strip_prefix("export X509_CERT_DIR=")) {
        folders.push(PathBuf::from(ca).parent().unwrap().to_owned());
    }
    Served { owner, _output: output, port, folders, said }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "still not so after 20 s: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn ends_with(signal: Signal, args: &[&str]) -> Served {
    let mut served = serve(args);
    assert!(served.folders.iter().all(|folder| folder.is_dir()), "{:?}", served.folders);
    // A connection open at that moment has a process of its own, which must go too.
    let connection = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
    let mut greeting = String::new();
    BufReader::new(&connection).read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("220 "), "{greeting}");
    kill_process(Pid::from_child(&served.owner), signal).unwrap();
    served.owner.wait().unwrap();
    wait_until("the port refuses", || TcpStream::connect(("127.0.0.1", served.port)).is_err());
    wait_until("the connection is closed", || {
        connection.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        matches!(std::io::Read::read(&mut &connection, &mut [0; 64]), Ok(0))
            || matches!(connection.take_error(), Ok(Some(_)))
    });
    wait_until("the folders are gone", || served.folders.iter().all(|folder| !folder.exists()));
    served
}

#[test]
fn killed() {
    let served = ends_with(Signal::KILL, &[]);
    assert!(served.said.contains("ftp://127.0.0.1:"), "{}", served.said);
    assert!(!served.said.contains("export"), "{}", served.said);
}

#[test]
fn interrupted_at_the_terminal() {
    let served = ends_with(Signal::INT, &["--gsi"]);
    assert_eq!(served.folders.len(), 2, "{}", served.said);
    assert!(served.said.contains("gsiftp://localhost:"), "{}", served.said);
    for name in ["X509_CERT_DIR", "X509_USER_PROXY", "X509_USER_CERT", "X509_USER_KEY"] {
        assert!(served.said.contains(&format!("export {name}=/")), "{}", served.said);
    }
}

/// The test itself started again, to be an owner that panics.
#[test]
fn panicking() {
    if std::env::var_os("LAB_TEST_PANIC").is_some() {
        let server = gridftp_lab::Server::anonymous().start();
        eprintln!("PORT {} FOLDER {}", server.port(), server.dir().display());
        panic!("as asked");
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "panicking", "--nocapture"])
        .env("LAB_TEST_PANIC", "1")
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let words: Vec<&str> =
        log.lines().find(|line| line.contains("PORT ")).unwrap().split_whitespace().collect();
    let at = words.iter().position(|word| *word == "PORT").unwrap();
    let (port, folder) = (words[at + 1].parse::<u16>().unwrap(), PathBuf::from(words[at + 3]));
    assert!(!output.status.success());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!folder.exists());
    assert!(log.contains(&format!("log of the server on port {port}")), "{log}");
    assert!(log.contains("Server started in daemon mode"), "{log}");
}
