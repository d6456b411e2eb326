//! The engine alone against a real server: a control connection typed by hand, data through [`DataPort`].

mod bites;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gridftp_lab::{Server, random_bytes};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::*;

struct Typed {
    stream: BufReader<TcpStream>,
}

impl Typed {
    async fn login(server: &Server) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
        let mut typed = Self { stream: BufReader::new(stream) };
        typed.reply().await;
        typed.say("USER anonymous").await;
        typed.say("PASS lab@").await;
        typed.say("TYPE I").await;
        typed
    }

    async fn send(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    }

    async fn reply(&mut self) -> String {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            let read = self.stream.read_line(&mut line);
            tokio::time::timeout(Duration::from_secs(20), read).await.expect("a reply").unwrap();
            let last = line.len() > 3 && line.as_bytes()[3] == b' ' && line.as_bytes()[0].is_ascii_digit();
            text.push_str(&line);
            if last || line.is_empty() {
                return text;
            }
        }
    }

    async fn say(&mut self, line: &str) -> String {
        self.send(line).await;
        self.reply().await
    }

    /// The reply after all preliminary ones (150, and the markers 111 and 112).
    async fn last(&mut self) -> String {
        loop {
            let reply = self.reply().await;
            if !reply.starts_with('1') {
                return reply;
            }
        }
    }

    async fn passive(&mut self) -> SocketAddr {
        let reply = self.say("PASV").await;
        let inner = reply.split(['(', ')']).nth(1).unwrap();
        let n: Vec<u16> = inner.split(',').map(|n| n.trim().parse().unwrap()).collect();
        format!("{}.{}.{}.{}:{}", n[0], n[1], n[2], n[3], n[4] * 256 + n[5]).parse().unwrap()
    }
}

fn settings(extended_block: bool, parallelism: u16) -> PortSettings {
    PortSettings {
        extended_block,
        parallelism,
        tcp_buffer_bytes: None,
        ipv6: false,
        layout: Layout::Turns,
        security: PortSecurity::None,
        allowed_peers: Some(vec!["127.0.0.1".parse().unwrap()]),
    }
}

async fn read_all(run: &mut ReadRun, size: usize) -> Vec<u8> {
    let mut whole = vec![0; size];
    let mut got = 0;
    while let Some((offset, data)) = run.next().await.expect("a block") {
        let at = usize::try_from(offset).unwrap();
        whole[at..at + data.len()].copy_from_slice(&data);
        got += data.len();
    }
    assert_eq!(got, size);
    whole
}

async fn settled(what: impl Fn(&Counters) -> bool) {
    let counters = Engine::counters();
    for _ in 0..500 {
        if what(&counters) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not settle: {counters:?}");
}

#[tokio::test]
async fn streams_one_file_each_way() {
    let server = Server::anonymous().start();
    let contents = random_bytes(1, 3_000_001);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let engine = Engine::handle().unwrap();
    let mut typed = Typed::login(&server).await;
    let port = DataPort::open(&engine, settings(false, 1));
    port.peers(vec![typed.passive().await]);
    port.connect(Direction::Read);
    let mut run = port.read(4);
    typed.send(&format!("RETR {}", server.dir().join("f").display())).await;
    assert!(read_all(&mut run, contents.len()).await == contents);
    assert!(typed.reply().await.starts_with("150"));
    assert!(typed.last().await.starts_with("226"));

    drop((run, port));
    let port = DataPort::open(&engine, settings(false, 1));
    port.peers(vec![typed.passive().await]);
    port.connect(Direction::Write);
    typed.send(&format!("STOR {}", server.dir().join("g").display())).await;
    assert!(typed.reply().await.starts_with("150"));
    let mut run = port.write(4);
    let whole = Bytes::from(contents.clone());
    for at in (0..whole.len()).step_by(100_000) {
        run.ready().await.unwrap();
        let piece = whole.slice(at..(at + 100_000).min(whole.len()));
        assert!(run.post(u64::try_from(at).unwrap(), piece).unwrap());
    }
    run.finish().await.unwrap();
    assert!(typed.last().await.starts_with("226"));
    assert!(std::fs::read(server.dir().join("g")).unwrap() == contents);
    drop((run, port));
    settled(|c| c.ports.get() == 0 && c.registered.get() == 0 && c.parked.get() == 0).await;
}

#[tokio::test]
async fn extended_block_channels_serve_file_after_file() {
    let server = Server::anonymous().start();
    let engine = Engine::handle().unwrap();
    let mut typed = Typed::login(&server).await;
    typed.say("MODE E").await;
    assert!(typed.say("OPTS RETR Parallelism=4,4,4;").await.starts_with("200"));
    let port = DataPort::open(&engine, settings(true, 4));
    let SocketAddr::V4(address) = port.listen("127.0.0.1".parse().unwrap()).await.unwrap() else { panic!() };
    let digits = address.ip().octets().map(|n| n.to_string()).join(",");
    assert!(
        typed
            .say(&format!("PORT {digits},{},{}", address.port() / 256, address.port() % 256))
            .await
            .starts_with("200")
    );
    for (number, size) in [0, 1, 262_143, 262_144, 5_000_000, 0, 7].into_iter().enumerate() {
        let contents = random_bytes(number as u64, size);
        let path = server.dir().join(format!("f{number}"));
        std::fs::write(&path, &contents).unwrap();
        let mut run = port.read(8);
        typed.send(&format!("RETR {}", path.display())).await;
        assert!(read_all(&mut run, size).await == contents, "file {number}");
        assert!(typed.reply().await.starts_with('1'));
        assert!(typed.last().await.starts_with("226"));
    }

    drop(port);

    // And back, over four connections of our making.
    let port = DataPort::open(&engine, settings(true, 4));
    port.peers(vec![typed.passive().await]);
    port.connect(Direction::Write);
    for (number, size) in [5_000_000, 0, 1, 300_000].into_iter().enumerate() {
        let contents = Bytes::from(random_bytes(100 + number as u64, size));
        let path = server.dir().join(format!("g{number}"));
        let mut run = port.write(8);
        typed.send(&format!("STOR {}", path.display())).await;
        assert!(typed.reply().await.starts_with('1'));
        for at in (0..size).step_by(262_144) {
            run.ready().await.unwrap();
            let piece = contents.slice(at..(at + 262_144).min(size));
            assert!(run.post(at as u64, piece).unwrap());
        }
        run.finish().await.unwrap();
        assert!(typed.last().await.starts_with("226"));
        assert!(std::fs::read(&path).unwrap() == contents, "file {number}");
    }
    drop(port);
    settled(|c| c.ports.get() == 0 && c.registered.get() == 0 && c.parked.get() == 0).await;
}

#[tokio::test]
async fn cancelling_brings_every_buffer_back_and_keeps_the_control_connection() {
    let server = Server::anonymous().start();
    std::fs::write(server.dir().join("f"), random_bytes(1, 8_000_000)).unwrap();
    let engine = Engine::handle().unwrap();
    let mut typed = Typed::login(&server).await;
    for _ in 0..20 {
        let port = DataPort::open(&engine, settings(false, 1));
        port.peers(vec![typed.passive().await]);
        port.connect(Direction::Read);
        let mut run = port.read(4);
        typed.send(&format!("RETR {}", server.dir().join("f").display())).await;
        run.next().await.unwrap().expect("a first block");
        drop((run, port));
        assert!(typed.reply().await.starts_with("150"));
        typed.reply().await;
    }
    settled(|c| c.ports.get() == 0 && c.registered.get() == 0 && c.buffers_out.get() == 0).await;
    assert_eq!(Engine::counters().parked.get(), 0);
    assert_eq!(Engine::counters().strays.get(), 0);
}

#[tokio::test]
async fn a_refused_data_connection_is_an_error_and_parks_its_handle() {
    let refused = gridftp_lab::RefusedPort::new();
    let engine = Engine::handle().unwrap();
    let port = DataPort::open(&engine, settings(false, 1));
    port.peers(vec![SocketAddr::from(([127, 0, 0, 1], refused.port()))]);
    let mut run = port.read(4);
    let failure = run.next().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Errno(rustix::io::Errno::CONNREFUSED.raw_os_error()));
    drop((run, port));
    settled(|c| c.ports.get() == 0 && c.registered.get() == 0 && c.buffers_out.get() == 0).await;
    assert_eq!(Engine::counters().parked.get(), 1);
}

async fn listener() -> (tokio::net::TcpListener, SocketAddr) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

#[tokio::test]
async fn a_first_stripe_that_cannot_be_connected_to_at_all_fails_the_put() {
    // C has begun with nothing then; the other stripe is never connected to.
    let (_one, at) = listener().await;
    let engine = Engine::handle().unwrap();
    let port = DataPort::open(&engine, settings(true, 1));
    port.peers(vec!["[::1]:99".parse().unwrap(), at]);
    port.connect(Direction::Write);
    let run = port.write(4);
    tokio::time::timeout(Duration::from_secs(20), run.failed()).await.expect("a failure");
    drop((run, port));
    settled(|c| c.ports.get() == 0 && c.registered.get() == 0).await;
}

#[tokio::test]
async fn a_stripe_that_cannot_be_connected_to_at_all_fails_the_put_and_closes_the_others() {
    // C begins with the stripes in their order, and refuses the second at once: IPv6 is not allowed on this port.
    let (one, at) = listener().await;
    let engine = Engine::handle().unwrap();
    let port = DataPort::open(&engine, settings(true, 1));
    port.peers(vec![at, "[::1]:99".parse().unwrap()]);
    port.connect(Direction::Write);
    let run = port.write(4);
    tokio::time::timeout(Duration::from_secs(20), run.failed()).await.expect("a failure");
    let (mut first, _) = one.accept().await.unwrap();
    let mut byte = [0];
    let end = tokio::io::AsyncReadExt::read(&mut first, &mut byte);
    let end = tokio::time::timeout(Duration::from_secs(20), end).await.expect("the first stripe is closed");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    drop((run, port));
    settled(|c| c.ports.get() == 0 && c.registered.get() == 0).await;
    assert_eq!(Engine::counters().parked.get(), 1);
}

#[tokio::test]
async fn a_stripe_that_stalls_holds_no_more_than_the_window() {
    let ((one, at_one), (two, at_two)) = (listener().await, listener().await);
    let engine = Engine::handle().unwrap();
    let layout = Layout::Blocks(65_536);
    let port = DataPort::open(&engine, PortSettings { layout, ..settings(true, 1) });
    port.peers(vec![at_one, at_two]);
    let mut run = port.write(4);
    let _stalls = one.accept().await.unwrap();
    let (mut reads, _) = two.accept().await.unwrap();
    tokio::spawn(async move { tokio::io::copy(&mut reads, &mut tokio::io::sink()).await });
    let block = Bytes::from(vec![1; 131_072]);
    let mut posted = 0;
    while posted < 100 << 20
        && tokio::time::timeout(Duration::from_secs(1), run.ready()).await.is_ok_and(|ready| ready.is_ok())
    {
        assert!(run.post(posted, block.clone()).unwrap());
        posted += 131_072;
    }
    let held = posted - run.written();
    assert!(held <= 4 * 131_072, "{held} bytes are held with a window of four blocks");
}

#[tokio::test]
async fn connections_that_a_short_file_did_without_are_waited_for_by_the_next() {
    let ((one, at_one), (two, at_two)) = (listener().await, listener().await);
    let engine = Engine::handle().unwrap();
    let port = DataPort::open(&engine, settings(true, 3));
    port.peers(vec![at_one, at_two]);
    let mut run = port.write(8);
    let _first = (one.accept().await.unwrap(), two.accept().await.unwrap());
    // Fewer bytes than stripes: one connection each.
    assert!(run.post(0, Bytes::from_static(b"x")).unwrap());
    tokio::time::timeout(Duration::from_secs(20), run.finish()).await.unwrap().unwrap();
    drop(run);
    // The others are never made: nobody takes them, and the queue of those who wait to be taken is full.
    let mut full = Vec::new();
    for (peer, at) in [(&one, at_one), (&two, at_two)] {
        rustix::net::listen(peer, 0).unwrap();
        for _ in 0..3 {
            full.push(tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(at)).await);
        }
    }
    let mut run = port.write(8);
    for number in 0..8_u64 {
        assert!(run.post(number * 1000, Bytes::from(vec![2; 1000])).unwrap());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(run.written() <= 1000, "{} bytes went out while connections are being made (C9)", run.written());
}
