//! `cargo xtask wan`: a link is as long, wide and lossy as it was asked to be, and nothing of it is left.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use gridftp_lab::packages;

/// Listens, and sends back what it gets: the first byte at once, and at the end how many there were.
const SERVER: &str = "
import socket, sys
s = socket.create_server(('10.77.0.2', 5001)); print('ready', flush=True)
while True:
    c, _ = s.accept(); n = 0
    while True:
        d = c.recv(1 << 16)
        if not d: break
        if n == 0: c.sendall(d[:1])
        n += len(d)
    c.sendall(b'%d' % n); c.close()
";

/// Seconds until a connection stands, until a byte is back, and until so many bytes are there.
const CLIENT: &str = "
import socket, sys, time
n = int(sys.argv[1]); t = time.monotonic()
c = socket.create_connection(('10.77.0.2', 5001)); a = time.monotonic() - t
t = time.monotonic(); c.sendall(b'x'); c.recv(1); b = time.monotonic() - t
t = time.monotonic(); c.sendall(bytes(n - 1)); c.shutdown(socket.SHUT_WR)
got = b''
while True:
    d = c.recv(100)
    if not d: break
    got += d
assert int(got) == n, got
print(a, b, time.monotonic() - t)
";

fn wan(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["wan", "--name", "labtest"]).args(args).stdin(Stdio::null());
    command
}

#[track_caller]
fn run(args: &[&str]) -> Output {
    let output = wan(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn times(bytes: &str) -> Vec<f64> {
    let output = run(&["exec", "a", "python3", "-c", CLIENT, bytes]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// Takes the link down however the test ends.
struct Down;

impl Drop for Down {
    fn drop(&mut self) {
        let _ = wan(&["down"]).status();
    }
}

#[test]
fn a_link_is_what_it_was_asked_to_be() {
    packages::IP.program().unwrap_or_else(|error| panic!("{error}"));
    let refused = wan(&["up", "--rtt", "long"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("expected one like 50ms"));
    let up = wan(&["up", "--rtt", "40ms", "--rate", "80mbit"]).output().unwrap();
    let said = String::from_utf8_lossy(&up.stderr).into_owned();
    if said.contains("need root") {
        // A user cannot make devices, and is told so: there is nothing more to see.
        println!("not as root: {said}");
        return;
    }
    assert!(up.status.success(), "{said}");
    let _down = Down;
    let mut server =
        wan(&["exec", "b", "python3", "-u", "-c", SERVER]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");

    // A connection takes a round trip, a byte there and back another one; 5 MB at 80 Mbit/s half a second.
    let seen = times("5000000");
    assert!(seen[0] >= 0.040 && seen[1] >= 0.040 && seen[2] >= 0.5, "{seen:?}");
    assert!(seen[0] < 0.5 && seen[2] < 5.0, "{seen:?}");
    // Changed while it is up.
    run(&["set", "--rtt", "2ms", "--rate", "0"]);
    let seen = times("1000");
    assert!(seen[0] >= 0.002 && seen[0] < 0.040, "{seen:?}");
    run(&["stat", "--reset"]);
    run(&["set", "--loss", "2%"]);
    times("20000000");
    let stat = String::from_utf8(run(&["stat"]).stdout).unwrap();
    let lost = stat.lines().find(|line| line.starts_with("a to b")).unwrap();
    let figure = |what: &str| -> f64 {
        let at = lost.find(what).unwrap();
        lost[..at].trim_end().rsplit(' ').next().unwrap().parse().unwrap()
    };
    let share = figure("lost") / figure("segments");
    assert!((0.01..0.03).contains(&share), "{lost}");

    run(&["down"]);
    assert!(
        !Path::new("/run/netns/gridftp-labtest-a").exists()
            && !Path::new("/run/gridftp-wan-labtest").exists()
    );
    server.wait().unwrap();
    let gone = wan(&["stat"]).output().unwrap();
    assert!(String::from_utf8_lossy(&gone.stderr).contains("not up"));
}
