//! Peers played byte by byte: what a sender may do, and what none may.

mod early;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::engine::{FailureKind, Layout};

const CLOSE: u8 = 4;
const EOD: u8 = 8;
const EOF: u8 = 64;

fn settings() -> PortSettings {
    PortSettings {
        extended_block: true,
        parallelism: 4,
        tcp_buffer_bytes: None,
        ipv6: false,
        layout: Layout::Turns,
        security: PortSecurity::None,
        allowed_peers: Some(vec![Ipv4Addr::LOCALHOST.into()]),
    }
}

/// A port that listens, and where.
async fn port_with(settings: PortSettings, stripes: usize) -> (DataPort, Vec<SocketAddr>) {
    let mut port = DataPort::open(&Engine::handle().unwrap(), settings, Direction::Read, false);
    let at = port.listen_all(Ipv4Addr::LOCALHOST.into(), stripes).await.unwrap();
    (port, at)
}

async fn port() -> (DataPort, SocketAddr) {
    let (port, at) = port_with(settings(), 1).await;
    (port, at[0])
}

fn header(descriptor: u8, count: u64, offset: u64) -> Vec<u8> {
    [&[descriptor][..], &count.to_be_bytes(), &offset.to_be_bytes()].concat()
}

fn block(offset: u64, data: &[u8]) -> Vec<u8> {
    [header(0, data.len() as u64, offset), data.to_vec()].concat()
}

fn eof(ends: u64) -> Vec<u8> {
    header(EOF | EOD, 0, ends)
}

async fn peer(at: SocketAddr) -> TcpStream {
    TcpStream::connect(at).await.unwrap()
}

async fn send(peer: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    peer.write_all(bytes.as_ref()).await.unwrap();
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// All blocks, put in order.
async fn all(run: &mut ReadRun) -> Result<Vec<u8>, Failure> {
    let mut blocks = Vec::new();
    while let Some(block) = soon("a block", run.next()).await? {
        blocks.push(block);
    }
    blocks.sort_by_key(|(offset, _)| *offset);
    Ok(blocks.into_iter().map(|(_, data)| data).collect::<Vec<_>>().concat())
}

async fn closed(peer: &mut TcpStream) {
    let mut byte = [0];
    let end = soon("the end of a connection", peer.read(&mut byte)).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

async fn settled() {
    let counters = Engine::counters();
    let settled = async {
        while counters.ports.get() != 0 || counters.buffers_out.get() != 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), settled).await.is_ok(), "{counters:?}");
}

#[tokio::test]
async fn files_of_all_sizes_over_connections_that_stay() {
    let (port, at) = port().await;
    let mut peers = vec![peer(at).await, peer(at).await, peer(at).await];
    for size in [0, 1, 17, 16_384, 100_000, 262_144, 262_145, 3_000_000_usize, 5] {
        let contents = gridftp_lab::random_bytes(size as u64, size);
        let mut run = port.read(4);
        let server = async {
            let mut wires = vec![Vec::new(); peers.len()];
            for (n, piece) in contents.chunks(100_000).enumerate() {
                wires[n % 3].extend(block(n as u64 * 100_000, piece));
            }
            wires[0].extend(header(EOD, 0, 0));
            wires[1].extend(header(EOD, 0, 0));
            wires[2].extend(eof(3));
            for (peer, wire) in peers.iter_mut().zip(&wires) {
                send(peer, wire).await;
            }
        };
        let (got, ()) = tokio::join!(all(&mut run), server);
        assert!(got.unwrap() == contents, "{size}");
        assert!(run.is_gapless(true));
        assert!(soon("the end again", run.next()).await.unwrap().is_none());
    }
    drop(port);
    for mut peer in peers {
        closed(&mut peer).await;
    }
    settled().await;
}

#[tokio::test]
async fn what_comes_before_its_run_waits_for_it() {
    let (port, at) = port().await;
    let mut peer = peer(at).await;
    for text in [&b"one"[..], b"two", b"three"] {
        send(&mut peer, [block(0, text), eof(1)].concat()).await;
    }
    let mut runs = [port.read(4), port.read(4)];
    assert_eq!(all(&mut runs[0]).await.unwrap(), b"one");
    assert_eq!(all(&mut runs[1]).await.unwrap(), b"two");
    assert_eq!(all(&mut port.read(4)).await.unwrap(), b"three");
    drop((port, runs));
    closed(&mut peer).await;
    settled().await;
}

#[tokio::test]
async fn one_byte_at_a_time() {
    let (port, at) = port().await;
    let mut peer = peer(at).await;
    peer.set_nodelay(true).unwrap();
    let mut run = port.read(1);
    let wire =
        [block(0, b"ab"), header(0, 0, 99), header(EOF, 0, 1), [header(EOD, 3, 2), b"cde".to_vec()].concat()];
    let server = async {
        for byte in wire.concat() {
            send(&mut peer, [byte]).await;
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(tokio::join!(all(&mut run), server).0.unwrap(), b"abcde");
}

#[tokio::test]
async fn senders_may_close_connections_and_make_new_ones() {
    let (port, at) = port().await;
    for n in 0..3_u8 {
        // With the end, behind the end, and without a word.
        let mut one = peer(at).await;
        let mut run = port.read(4);
        let end = match n {
            0 => header(EOF | EOD | CLOSE, 0, 1),
            1 => [eof(1), header(CLOSE, 0, 0)].concat(),
            _ => eof(1),
        };
        send(&mut one, [block(0, &[n; 1000]), end].concat()).await;
        assert_eq!(all(&mut run).await.unwrap(), [n; 1000]);
        if n < 2 {
            closed(&mut one).await;
        }
    }
    // One that has a part in a file may take leave of it, and another one brings the rest.
    let (mut one, mut two) = (peer(at).await, peer(at).await);
    let mut run = port.read(4);
    send(&mut one, [block(0, b"first"), header(EOD | CLOSE, 0, 0)].concat()).await;
    closed(&mut one).await;
    send(&mut two, [block(5, b"second"), eof(2)].concat()).await;
    assert_eq!(all(&mut run).await.unwrap(), b"firstsecond");
}

#[tokio::test]
async fn a_connection_that_was_kept_may_end_when_nothing_is_asked_of_it() {
    let (port, at) = port().await;
    let (mut one, mut two) = (peer(at).await, peer(at).await);
    let mut run = port.read(4);
    send(&mut one, [block(0, b"a"), header(EOD, 0, 0)].concat()).await;
    send(&mut two, [block(1, b"b"), eof(2)].concat()).await;
    assert_eq!(all(&mut run).await.unwrap(), b"ab");
    drop(one);
    let mut run = port.read(4);
    send(&mut two, [block(0, b"c"), eof(1)].concat()).await;
    assert_eq!(all(&mut run).await.unwrap(), b"c");
    // And its farewell may come when the next file is awaited already.
    let mut run = port.read(4);
    send(&mut two, header(CLOSE, 0, 0)).await;
    closed(&mut two).await;
    let mut three = peer(at).await;
    send(&mut three, [block(0, b"d"), eof(1)].concat()).await;
    assert_eq!(all(&mut run).await.unwrap(), b"d");
}

/// Whether so many connections have said something, or all is over.
fn has_heard(port: &DataPort, connections: usize) -> bool {
    let Kind::Own(own) = &port.kind else { panic!("C receives") };
    own.receivers.iter().all(|receiver| receiver.has_heard(connections))
}

/// What comes over a connection that had no part in a file is the next one's, also when both are looked at in one go.
#[tokio::test]
async fn the_next_file_over_another_connection_is_not_taken_for_this_one() {
    let (port, at) = port().await;
    for n in 0..20_u8 {
        let (one, two) = (peer(at).await, peer(at).await);
        let mut runs = [port.read(4), port.read(4)];
        one.writable().await.unwrap();
        two.writable().await.unwrap();
        // Both are taken, and wait for what this run brings them.
        tokio::time::sleep(Duration::from_millis(5)).await;
        // Nobody looks at the one before the other is there.
        for (peer, data) in [(&one, n), (&two, n + 100)] {
            let wire = [block(0, &[data; 1000]), header(EOF | EOD | CLOSE, 0, 1)].concat();
            assert_eq!(peer.try_write(&wire).unwrap(), wire.len());
        }
        assert_eq!(all(&mut runs[0]).await.unwrap(), [n; 1000]);
        assert_eq!(all(&mut runs[1]).await.unwrap(), [n + 100; 1000]);
    }
    drop(port);
    settled().await;
}

#[tokio::test]
async fn what_no_sender_may_do_fails_the_port() {
    let end = || header(EOD, 0, 0);
    let half_closed = FailureKind::EndOfFile;
    let cases: Vec<(&str, Vec<Vec<u8>>, bool, FailureKind)> = vec![
        ("C7: CLOSE without EOD, 17 bytes", vec![header(CLOSE, 0, 0)], false, FailureKind::Violation),
        ("C7 with a block", vec![[header(CLOSE, 1, 0), vec![1]].concat()], false, FailureKind::Violation),
        (
            "C7 after a block",
            vec![[block(0, b"a"), header(CLOSE, 0, 0)].concat()],
            false,
            FailureKind::Violation,
        ),
        ("C8: an end while another is midway", vec![header(0, 99, 0), eof(1)], false, FailureKind::Violation),
        ("more ends than announced", vec![end(), end(), eof(1)], false, FailureKind::Violation),
        (
            "ends after another number",
            vec![[header(EOF, 0, 3), eof(2)].concat()],
            false,
            FailureKind::Violation,
        ),
        ("no ends", vec![eof(0)], false, FailureKind::Violation),
        ("ends without number", vec![eof(u64::MAX)], false, FailureKind::Violation),
        ("a negative offset", vec![header(0, 1, u64::MAX - 1)], false, FailureKind::Violation),
        ("a block beyond all files", vec![header(0, 1 << 62, 1 << 62)], false, FailureKind::Violation),
        (
            "a byte twice",
            vec![[block(0, b"ab"), block(1, b"b"), eof(1)].concat()],
            false,
            FailureKind::Violation,
        ),
        ("half a header", vec![header(0, 1, 0)[..16].to_vec()], true, half_closed),
        ("half a block", vec![block(0, b"abc")[..19].to_vec()], true, half_closed),
        ("half a large block", vec![block(0, &[0; 200_000])[..150_000].to_vec()], true, half_closed),
        ("no end of data", vec![block(0, b"abc")], true, half_closed),
        ("nothing at all", vec![Vec::new()], true, half_closed),
    ];
    for (what, wires, ends, kind) in cases {
        let (port, at) = port().await;
        let mut run = port.read(4);
        let mut behind = port.read(4);
        let mut peers = Vec::new();
        let count = wires.len();
        for wire in wires {
            let mut peer = peer(at).await;
            send(&mut peer, wire).await;
            if ends {
                peer.shutdown().await.unwrap();
            }
            peers.push(peer);
            // One after the other: what a connection says is heard before the next one speaks.
            let heard = async {
                while peers.len() < count && !has_heard(&port, peers.len()) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            soon("a connection to be heard", heard).await;
        }
        let failure = all(&mut run).await.expect_err(what);
        assert_eq!(failure.kind, kind, "{what}: {failure:?}");
        if what != "a byte twice" {
            assert_eq!(all(&mut behind).await.expect_err(what).kind, kind, "{what}");
        }
        if what == "a byte twice" {
            // All of it has come: the next file could, if the session did not give the port up.
            drop(port);
        } else {
            assert!(all(&mut port.read(4)).await.is_err(), "{what}");
        }
        for peer in &mut peers {
            closed(peer).await;
        }
    }
    settled().await;
}

#[tokio::test]
async fn a_reset_fails_the_port() {
    let (port, at) = port().await;
    let mut peer = peer(at).await;
    send(&mut peer, header(0, 1 << 20, 0)).await;
    let mut run = port.read(4);
    send(&mut peer, [0; 1000]).await;
    rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
    drop(peer);
    let failure = all(&mut run).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Errno(rustix::io::Errno::CONNRESET.raw_os_error()));
}

#[tokio::test]
async fn a_reset_between_files_fails_the_port_as_it_may_have_thrown_data_away() {
    let (port, at) = port().await;
    let mut one = peer(at).await;
    let mut run = port.read(4);
    send(&mut one, [block(0, b"a"), eof(1)].concat()).await;
    assert_eq!(all(&mut run).await.unwrap(), b"a");
    rustix::net::sockopt::set_socket_linger(&one, Some(Duration::ZERO)).unwrap();
    drop(one);
    let failure = all(&mut port.read(4)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Errno(rustix::io::Errno::CONNRESET.raw_os_error()));
}

#[tokio::test]
async fn a_port_whose_connection_breaks_between_files_says_so() {
    let (port, at) = port().await;
    let mut peer = peer(at).await;
    let mut run = port.read(4);
    send(&mut peer, [block(0, b"a"), eof(1)].concat()).await;
    assert_eq!(all(&mut run).await.unwrap(), b"a");
    assert!(!port.is_spent());
    rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
    drop(peer);
    soon("the port's end", async {
        while !port.is_spent() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stranger_is_turned_away_and_the_file_goes_on() {
    let allowed_peers = Some(vec!["127.0.0.2".parse().unwrap()]);
    let (port, at) = port_with(PortSettings { allowed_peers, ..settings() }, 1).await;
    let from_there = || async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        socket.connect(at[0]).await.unwrap()
    };
    let mut server = from_there().await;
    let mut run = port.read(4);
    send(&mut server, block(0, b"good")).await;
    for _ in 0..100 {
        let mut stranger = peer(at[0]).await;
        // It may be turned away before it has said anything.
        let _ = stranger.write_all(&[block(4, b"bad"), eof(1)].concat()).await;
        closed(&mut stranger).await;
    }
    send(&mut server, eof(1)).await;
    assert_eq!(all(&mut run).await.unwrap(), b"good");
}

#[tokio::test]
async fn connections_without_number_are_refused() {
    let (port, at) = port().await;
    let mut run = port.read(4);
    let mut peers = Vec::new();
    for _ in 0..80 {
        peers.extend(TcpStream::connect(at).await);
    }
    let failure = all(&mut run).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Violation);
    for peer in &mut peers {
        closed(peer).await;
    }
    drop(port);
    settled().await;
}

#[tokio::test]
async fn no_more_than_the_window_is_taken_from_the_network() {
    let (port, at) = port().await;
    let mut run = port.read(3);
    let mut peer = peer(at).await;
    let counters = Engine::counters();
    let before = counters.bytes_read.get();
    let server = tokio::spawn(async move {
        for n in 0..8_u64 {
            send(&mut peer, block(n << 20, &vec![7; 1 << 20])).await;
        }
        send(&mut peer, eof(1)).await;
        peer
    });
    while counters.bytes_read.get() < before + 3 * 262_144 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(counters.bytes_read.get(), before + 3 * 262_144);
    assert_eq!(counters.buffers_out.get(), 3);
    assert_eq!(all(&mut run).await.unwrap().len(), 8 << 20);
    drop((port, server.await.unwrap()));
    settled().await;
}

/// For a reader in order: a connection that runs ahead stops where the reader could not hold more, and takes no place in the
/// window meanwhile.
#[tokio::test]
async fn a_connection_that_runs_ahead_waits_for_the_one_that_lags() {
    const MIB: u64 = 1 << 20;
    let (port, at) = port().await;
    let mut run = port.read(2);
    run.hold_from(4 * MIB);
    let (mut early, mut late) = (peer(at).await, peer(at).await);
    let contents = gridftp_lab::random_bytes(1, 24 << 20);
    let (first, rest) = contents.split_at(1 << 20);
    let ahead: Vec<_> = rest
        .chunks(1 << 20)
        .zip(1..)
        .flat_map(|(piece, n)| block(n * MIB, piece))
        .chain(header(EOD, 0, 0))
        .collect();
    let server = tokio::spawn(async move {
        send(&mut early, ahead).await;
        early
    });
    let (mut got, mut here) = (vec![0; contents.len()], 0);
    let mut take = |(offset, data): (u64, Bytes)| {
        let at = usize::try_from(offset).unwrap();
        got[at..at + data.len()].copy_from_slice(&data);
        here += data.len();
        here
    };
    while take(soon("what is in sight", run.next()).await.unwrap().unwrap()) < 3 << 20 {}
    let more = tokio::time::timeout(Duration::from_millis(200), run.next()).await;
    assert!(more.is_err(), "{more:?}");
    send(&mut late, [block(0, first), eof(2)].concat()).await;
    while take(soon("the first", run.next()).await.unwrap().unwrap()) < 4 << 20 {}
    // As a reader goes on.
    let mut horizon = 4 * MIB;
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        horizon += MIB / 3;
        run.hold_from(horizon);
        let next = tokio::time::timeout(Duration::from_millis(20), run.next()).await;
        match next {
            Ok(block) => match block.unwrap() {
                Some((offset, data)) => {
                    assert!(offset < horizon, "{offset} {horizon}");
                    take((offset, data));
                }
                None => break,
            },
            Err(_) => assert!(tokio::time::Instant::now() < limit),
        }
    }
    assert!(got == contents);
    drop((port, server.await.unwrap()));
    settled().await;
}

#[tokio::test]
async fn a_run_that_is_dropped_closes_the_connections_and_gives_everything_back() {
    for n in 0..50 {
        let (port, at) = port().await;
        let mut run = port.read(4);
        let mut peer = peer(at).await;
        // The connection may end before all of it is sent.
        let _ = peer.write_all(&block(0, &vec![7; 1 << 20])[..500_000]).await;
        if n % 2 == 0 {
            soon("a block", run.next()).await.unwrap().unwrap();
        }
        drop(run);
        closed(&mut peer).await;
        assert_eq!(all(&mut port.read(4)).await.unwrap_err().kind, FailureKind::Closed);
    }
    settled().await;
}

#[test]
fn the_end_of_the_runtime_ends_the_runs() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (port, mut run) = runtime.block_on(async {
        let (port, _) = port().await;
        let run = port.read(4);
        (port, run)
    });
    runtime.shutdown_background();
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failure = other.block_on(all(&mut run)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Closed);
    drop(port);
    other.block_on(settled());
}

#[tokio::test]
async fn stripes_end_each_by_itself() {
    let (port, at) = port_with(settings(), 3).await;
    for _ in 0..2 {
        let mut run = port.read(6);
        let mut peers = Vec::new();
        for (n, at) in at.iter().enumerate() {
            let mut peer = peer(*at).await;
            let data = [u8::try_from(n).unwrap(); 1000];
            send(&mut peer, [block(n as u64 * 1000, &data), header(EOF | EOD | CLOSE, 0, 1)].concat()).await;
            peers.push(peer);
        }
        let got = all(&mut run).await.unwrap();
        assert_eq!((got.len(), got[0], got[1000], got[2999]), (3000, 0, 1, 2));
    }
    let mut run = port.read(6);
    let mut bad = peer(at[1]).await;
    send(&mut bad, header(CLOSE, 0, 0)).await;
    assert_eq!(all(&mut run).await.unwrap_err().kind, FailureKind::Violation);
    drop((port, run));
    settled().await;
}

#[tokio::test]
async fn sockets_leave_the_low_numbers_to_c() {
    use std::os::fd::AsRawFd;
    if rustix::process::getrlimit(rustix::process::Resource::Nofile).current.is_some_and(|limit| limit < 2048)
    {
        return;
    }
    let listener = listen::listen(Ipv4Addr::LOCALHOST.into(), Some(1 << 20)).unwrap();
    assert!(listener.as_raw_fd() >= 1024);
    let _peer = peer(listener.local_addr().unwrap()).await;
    let (stream, _) = listener.accept().await.unwrap();
    assert!(listen::out_of_the_way(stream).unwrap().as_raw_fd() >= 1024);
}

/// In a process of its own, as the variable is read once.
#[test]
fn ports_are_of_the_range_that_the_environment_names() {
    const RANGE: &str = "GLOBUS_TCP_PORT_RANGE";
    if let Some(range) =
        std::env::var(RANGE).ok().filter(|_| std::env::var_os("GRIDFTP_TEST_CHILD").is_some())
    {
        let (first, last) = range.trim().split_once(',').unwrap();
        let range = first.parse::<u16>().unwrap()..=last.parse::<u16>().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let listen = || listen::listen(Ipv4Addr::LOCALHOST.into(), None);
        let mut held = Vec::new();
        let failure = loop {
            match listen() {
                Ok(listener) => held.push(listener),
                Err(failure) => break failure,
            }
            assert!(held.len() <= range.clone().count());
        };
        assert_eq!(failure.kind, FailureKind::Errno(rustix::io::Errno::ADDRINUSE.raw_os_error()));
        assert!(
            held.iter().all(|listener| range.contains(&listener.local_addr().unwrap().port())),
            "{held:?}"
        );
        // Some may be taken by others, but hardly all.
        assert!(held.len() > 10, "{held:?}");
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "channel::tests::ports_are_of_the_range_that_the_environment_names"])
        .env("GRIDFTP_TEST_CHILD", "1")
        .env(RANGE, " 21500,21530")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}
