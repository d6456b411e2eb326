//! The proxy of the lab: transparent where nothing is asked of it, and exact where something is.
#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};
use gridftp_lab::{Server, packages, random_bytes};

const BYTES: usize = 300_000;

/// A client and a server with a proxy between them.
fn pair(faults: impl IntoIterator<Item = Fault>) -> (Proxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::before_address(listener.local_addr().unwrap());
    let proxy = faults.into_iter().fold(proxy, gridftp_lab::proxy::Builder::with).start();
    let client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let (server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    }
    (proxy, client, server)
}

fn at(at: u64, what: What) -> Fault {
    Fault::new(Where::Control(0), Way::ToClient, at, what)
}

/// Sends everything on another thread; its result is how many bytes went out.
fn send(stream: &TcpStream, data: Vec<u8>) -> std::thread::JoinHandle<usize> {
    let mut stream = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut sent = 0;
        while sent < data.len() {
            match stream.write(&data[sent..]) {
                Ok(count) => sent += count,
                Err(_) => return sent,
            }
        }
        let _ = stream.shutdown(std::net::Shutdown::Write);
        sent
    })
}

/// All that comes, and how it ended.
fn receive(mut stream: &TcpStream) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut data = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return (data, Ok(())),
            Ok(count) => data.extend_from_slice(&piece[..count]),
            Err(error) => return (data, Err(error.kind())),
        }
    }
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < limit, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn without_faults_everything_passes_both_ways_and_is_counted() {
    let (proxy, client, server) = pair([]);
    let (up, down) = (random_bytes(1, BYTES), random_bytes(2, 2 * BYTES));
    let sending = (send(&client, up.clone()), send(&server, down.clone()));
    assert!(receive(&client) == (down, Ok(())));
    assert!(receive(&server) == (up, Ok(())));
    assert_eq!((sending.0.join().unwrap(), sending.1.join().unwrap()), (BYTES, 2 * BYTES));
    eventually("the connection is over", || proxy.open() == 0);
    let passed = proxy.passed();
    assert_eq!(passed.len(), 1);
    assert_eq!(passed[0].connection, Where::Control(0));
    assert_eq!((passed[0].bytes(Way::ToServer), passed[0].bytes(Way::ToClient)), (300_000, 600_000));
    assert_eq!(proxy.struck(), 0);
}

#[test]
fn faults_happen_at_their_byte() {
    let data = random_bytes(3, BYTES);
    for place in [0, 1, 1000, 299_999, 300_000] {
        let before = &data[..usize::try_from(place).unwrap()];

        let (proxy, client, server) = pair([at(place, What::Cut)]);
        let sending = send(&server, data.clone());
        assert!(receive(&client) == (before.to_vec(), Ok(())), "a cut at {place}");
        sending.join().unwrap();
        assert_ne!(receive(&server).1, Err(ErrorKind::WouldBlock), "the server sees it, too");
        assert_eq!(proxy.struck(), 1);

        let (proxy, client, server) = pair([at(place, What::Truncate)]);
        let sending = send(&server, data.clone());
        assert!(receive(&client) == (before.to_vec(), Ok(())), "a truncation at {place}");
        assert_eq!(sending.join().unwrap(), BYTES, "the sender does not notice");
        (&client).write_all(b"still here").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(receive(&server) == (b"still here".to_vec(), Ok(())));
        eventually("the connection is over", || proxy.open() == 0);

        let (_proxy, client, server) = pair([at(place, What::Reset)]);
        let sending = send(&server, data.clone());
        let (got, end) = receive(&client);
        // What was not read yet goes with the connection.
        assert!(
            data.starts_with(&got) && got.len() <= before.len() && end == Err(ErrorKind::ConnectionReset)
        );
        sending.join().unwrap();

        let (proxy, client, server) = pair([at(place, What::Inject(b"!?".to_vec()))]);
        let sending = send(&server, data.clone());
        let expected = [before, b"!?", &data[before.len()..]].concat();
        assert!(receive(&client) == (expected, Ok(())), "an injection at {place}");
        sending.join().unwrap();
        assert_eq!(proxy.passed()[0].to_client, 300_002);

        let (_proxy, client, server) = pair([at(place, What::Flip)]);
        let sending = send(&server, data.clone());
        let mut expected = data.clone();
        if let Some(byte) = expected.get_mut(before.len()) {
            *byte ^= 8;
        }
        assert!(receive(&client) == (expected, Ok(())), "a flip at {place}");
        sending.join().unwrap();
    }
}

#[test]
fn a_stall_holds_one_way_and_a_black_hole_takes_everything() {
    let (proxy, client, server) = pair([at(1000, What::Stall)]);
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    server.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let sending = send(&server, vec![7; 64 << 20]);
    let (got, end) = receive(&client);
    assert_eq!((got.len(), end), (1000, Err(ErrorKind::WouldBlock)));
    (&client).write_all(b"up\n").unwrap();
    let mut up = [0; 3];
    (&server).read_exact(&mut up).unwrap();
    assert_eq!(&up, b"up\n");
    drop(proxy);
    assert!(sending.join().unwrap() < 64 << 20, "nothing is taken from the sender");

    let (proxy, client, server) = pair([at(1000, What::BlackHole)]);
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    server.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let sending = send(&server, vec![7; 64 << 20]);
    let (got, end) = receive(&client);
    assert_eq!((got.len(), end), (1000, Err(ErrorKind::WouldBlock)));
    assert_eq!(sending.join().unwrap(), 64 << 20, "everything is taken from the sender");
    (&client).write_all(b"up\n").unwrap();
    client.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(receive(&server), (Vec::new(), Err(ErrorKind::WouldBlock)), "not even the end comes through");
    assert_eq!(proxy.open(), 1);
}

#[test]
fn delays_and_throttles_take_their_time() {
    let data = random_bytes(4, BYTES);
    for fault in [at(1000, What::Delay(Duration::from_millis(300))), at(0, What::Throttle(1_000_000))] {
        let (_proxy, client, server) = pair([fault.clone()]);
        let start = Instant::now();
        let sending = send(&server, data.clone());
        assert!(receive(&client) == (data.clone(), Ok(())), "{fault:?}");
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(270) && took < Duration::from_secs(9), "{fault:?}: {took:?}");
        sending.join().unwrap();
    }
}

#[test]
fn a_proxy_that_ends_takes_its_connections_along() {
    let (proxy, client, server) = pair([at(5, What::Stall)]);
    (&server).write_all(b"1234567\n").unwrap();
    let port = proxy.port();
    drop(proxy);
    let (got, _) = receive(&client);
    assert!(b"12345".starts_with(&got[..]));
    assert_eq!(TcpStream::connect(("127.0.0.1", port)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// globus-url-copy with these arguments.
fn url_copy(arguments: &[&str]) {
    let output = Command::new(packages::URL_COPY.program().unwrap()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn data_connections_go_through_it_in_every_mode() {
    let server = Server::anonymous().start();
    let contents = random_bytes(5, 2_000_000);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let local = tempfile::tempdir().unwrap();
    for (number, options) in [&[][..], &["-fast"], &["-p", "4"]].into_iter().enumerate() {
        let proxy = Proxy::before(&server).start();
        let here = local.path().join(format!("get{number}"));
        let url = format!("file://{}", here.display());
        url_copy(&[options, &[&proxy.url("f"), &url]].concat());
        assert!(std::fs::read(&here).unwrap() == contents, "{options:?}");
        let data = |proxy: &Proxy, way| -> u64 {
            let passed = proxy.passed();
            let data = passed.iter().filter(|passed| matches!(passed.connection, Where::Data(_)));
            data.map(|passed| passed.bytes(way)).sum()
        };
        assert!((2_000_000..2_010_000).contains(&data(&proxy, Way::ToClient)), "{:?}", proxy.passed());

        let name = format!("put{number}");
        url_copy(&[options, &[&url, &proxy.url(&name)]].concat());
        assert!(std::fs::read(server.dir().join(&name)).unwrap() == contents, "{options:?}");
        assert!((2_000_000..2_010_000).contains(&data(&proxy, Way::ToServer)), "{:?}", proxy.passed());
        assert_eq!(
            proxy.passed().len(),
            proxy
                .passed()
                .iter()
                .filter(|p| p.bytes(Way::ToClient) > 0 || p.bytes(Way::ToServer) > 0)
                .count()
        );
    }
}

#[test]
fn striped_and_ipv6_servers_are_followed_too() {
    let local = tempfile::tempdir().unwrap();
    let here = local.path().join("f");
    let contents = random_bytes(6, 3_000_000);
    std::fs::write(&here, &contents).unwrap();
    let url = format!("file://{}", here.display());
    for (server, options) in [
        (Server::anonymous().striped(2).start(), &["-stripe", "-p", "2"][..]),
        (Server::anonymous().ipv6().start(), &["-ipv6"]),
        (Server::anonymous().ipv6().start(), &["-ipv6", "-fast"]),
    ] {
        let proxy = Proxy::before(&server).start();
        url_copy(&[options, &[&url, &proxy.url("f")]].concat());
        assert!(std::fs::read(server.dir().join("f")).unwrap() == contents, "{options:?}");
        let back = local.path().join("back");
        url_copy(&[options, &[&proxy.url("f"), &format!("file://{}", back.display())]].concat());
        assert!(std::fs::read(&back).unwrap() == contents, "{options:?}");
        let passed = proxy.passed();
        let both: u64 = passed.iter().map(|passed| passed.to_client + passed.to_server).sum();
        assert!(both > 6_000_000, "{passed:?}");
    }
}
