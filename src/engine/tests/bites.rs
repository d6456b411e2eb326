//! The rules of C that the engine keeps, each with what happens to a process that does not keep it.
//!
//! These drive the engine's own ports, whatever else serves unprotected channels above them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::super::*;
use super::{listener, settings};
use crate::hooks::Outcome::{self, Corrupt, Exited, Hung, Killed, Well};
use crate::hooks::{bites, bites_in_children, dies, this_test};

/// GFD.20 §3: what a block's descriptor can say.
const EOF: u8 = 64;
const EOD: u8 = 8;
const CLOSE: u8 = 4;

/// A scenario's patience. What hangs without its check says so after this.
const SOON: Duration = Duration::from_secs(4);

/// One block of extended block mode.
fn block(descriptor: u8, count: i64, offset: i64, data: &[u8]) -> Vec<u8> {
    let mut block = vec![descriptor];
    block.extend(count.to_be_bytes());
    block.extend(offset.to_be_bytes());
    block.extend(data);
    block
}

/// The only connection's last block: one sender, and its data is at an end.
fn end() -> Vec<u8> {
    block(EOF | EOD, 0, 1, &[])
}

/// A port of C that listens in extended block mode and accepts.
async fn reading(engine: &Engine) -> (DataPort, SocketAddr) {
    let port = DataPort::open(engine, settings(true, 1));
    let at = port.listen("127.0.0.1".parse().unwrap()).await.unwrap();
    port.connect(Direction::Read);
    (port, at)
}

/// A connection to it that says this, from that address.
async fn says(to: SocketAddr, from: &str, bytes: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Everything of a run up to its end: what it took for true.
async fn whole(run: &mut ReadRun) -> Result<Vec<(u64, Bytes)>, Failure> {
    let mut blocks = Vec::new();
    while let Some(block) = run.next().await? {
        blocks.push(block);
    }
    Ok(blocks)
}

/// Whether everything registered and open comes back soon.
async fn comes_to_rest() -> bool {
    let counters = Engine::counters();
    let rest = async {
        while counters.ports.get() > 0 || counters.registered.get() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, rest).await.is_ok() && counters.lost_buffers.get() == 0
}

/// Resets a connection.
fn reset(stream: &impl std::os::fd::AsFd) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

#[test]
fn k1_descriptors_that_select_cannot_take() {
    bites_in_children(this_test!(), "K1", &[Killed], &[], || async {
        let engine = Engine::handle().unwrap();
        engine.wait_until_active().unwrap();
        let (_peer, at) = listener().await;
        let mut held = Vec::new();
        // With everything below 1024 taken, C would open its socket above.
        while held.len() < 1100 {
            held.push(std::fs::File::open("/dev/null").unwrap());
        }
        let port = DataPort::open(&engine, settings(false, 1));
        port.peers(vec![at]);
        let mut run = port.read(4);
        match timeout(SOON, run.next()).await {
            Ok(Err(failure)) if failure.kind == FailureKind::NoDescriptor => Well,
            Ok(_) => Corrupt,
            Err(_) => Hung,
        }
    });
}

#[test]
fn k2_memory_that_is_lent_is_lent_once() {
    let pool = Pool::new(4096, Arc::default());
    let mut lent = std::collections::BTreeSet::new();
    let (mut registered, mut shown) = (Vec::new(), Vec::new());
    for round in 0..64 {
        let mut buffer = pool.take();
        assert!(lent.insert(buffer.as_mut_ptr().0.addr()), "lent twice at once");
        if round % 2 == 0 { registered.push(buffer) } else { shown.push(buffer.into_bytes(4096)) }
    }
    // A slice of a block keeps the whole of it.
    let kept = shown.pop().unwrap().slice(5..6);
    drop(shown);
    let again: Vec<_> = (0..31).map(|_| pool.take().as_mut_ptr().0.addr()).collect();
    assert!(again.iter().all(|at| lent.contains(at)), "what came back is lent again");
    let mut fresh: Vec<_> = (0..33).map(|_| pool.take()).collect();
    assert!(fresh.iter_mut().all(|buffer| buffer.as_mut_ptr().0.addr() != kept.as_ptr().addr() - 5));
}

#[test]
fn k6_a_block_before_the_beginning() {
    bites(this_test!(), "K6", &[Corrupt], || async {
        for offset in [-5000, i64::MIN, i64::MAX - 3] {
            let engine = Engine::handle().unwrap();
            let (port, at) = reading(&engine).await;
            let mut run = port.read(4);
            let _peer = says(at, "127.0.0.1", &block(0, 10, offset, b"0123456789")).await;
            match timeout(SOON, run.next()).await {
                Ok(Err(failure)) if failure.kind == FailureKind::Violation => {}
                Ok(_) => return Corrupt,
                Err(_) => return Hung,
            }
        }
        Well
    });
}

#[test]
fn k8_data_behind_the_end_of_the_data() {
    bites(this_test!(), "K8", &[Corrupt], || async {
        let (peer, at) = listener().await;
        let engine = Engine::handle().unwrap();
        let port = DataPort::open(&engine, settings(false, 1));
        port.peers(vec![at]);
        port.connect(Direction::Write);
        let (mut stream, _) = peer.accept().await.unwrap();
        let mut run = port.write(4);
        assert!(run.post(0, Bytes::from_static(b"0123456789")).unwrap());
        // Given up before it ends, as a future may be; and then somebody goes on.
        let _ = timeout(Duration::ZERO, run.finish()).await;
        let posted = run.post(10, Bytes::from_static(b"abcdefghij")).is_ok();
        let finished = timeout(SOON, run.finish()).await.is_ok_and(|end| end.is_ok());
        drop((run, port));
        let mut got = Vec::new();
        let _ = stream.read_to_end(&mut got).await;
        // What was taken and confirmed is there.
        if posted && finished && got.len() < 20 { Corrupt } else { Well }
    });
}

#[test]
fn k10_the_thread_model_is_ours_whatever_the_environment_says() {
    bites_in_children(
        this_test!(),
        "K10",
        &[Exited(1)],
        &[("GLOBUS_THREAD_MODEL", "nonsense".into())],
        || async {
            Engine::handle().unwrap().wait_until_active().unwrap();
            Well
        },
    );
}

#[test]
fn c7_seventeen_bytes_end_a_process_that_reads_by_c() {
    dies(this_test!(), || async {
        let engine = Engine::handle().unwrap();
        let (port, at) = reading(&engine).await;
        let mut run = port.read(4);
        let _peer = says(at, "127.0.0.1", &block(CLOSE, 0, 0, &[])).await;
        let _ = timeout(SOON, run.next()).await;
        Hung
    });
}

#[test]
fn c8_an_end_ahead_of_a_block_ends_a_process_that_reads_by_c() {
    dies(this_test!(), || async {
        let engine = Engine::handle().unwrap();
        let (port, at) = reading(&engine).await;
        // Nothing is read yet: the block waits with its header taken when the end is counted.
        let _late = says(at, "127.0.0.1", &block(0, 10, 0, b"0123456789")).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _early = says(at, "127.0.0.1", &end()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut run = port.read(4);
        let _ = timeout(SOON, run.next()).await;
        Hung
    });
}

/// Peers that reset the first of their connections while others are being made, again and again.
async fn resets_while_connecting() -> Outcome {
    let engine = Engine::handle().unwrap();
    for _ in 0..400 {
        let port = DataPort::open(&engine, settings(true, 8));
        let peer = || {
            let peer = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let at = peer.local_addr().unwrap();
            std::thread::spawn(move || {
                let first = peer.accept().unwrap();
                // The port may fail before there is a second one: the thread stays behind then.
                let second = peer.accept().unwrap();
                reset(&first.0);
                drop(first);
                std::thread::sleep(Duration::from_millis(3));
                drop(second);
            });
            at
        };
        port.peers(vec![peer(), peer()]);
        let mut run = port.write(8);
        for number in 0..8_u64 {
            if run.post(number << 20, Bytes::from(vec![2; 1 << 20])).is_err() {
                break;
            }
        }
        let _ = timeout(Duration::from_millis(30), run.failed()).await;
    }
    if comes_to_rest().await { Well } else { Hung }
}

#[test]
fn c9_the_state_of_a_set_that_is_being_closed_stays_closing() {
    bites(this_test!(), "C9, state", &[Killed], resets_while_connecting);
}

#[test]
fn c10_the_mode_of_a_port_is_for_life() {
    bites(this_test!(), "C10", &[Killed], || async {
        let engine = Engine::handle().unwrap();
        let (port, at) = reading(&engine).await;
        let mut run = port.read(4);
        let _peer = says(at, "127.0.0.1", &[block(0, 3, 0, b"abc"), end()].concat()).await;
        match timeout(SOON, whole(&mut run)).await {
            Ok(Ok(blocks)) if blocks == [(0, Bytes::from_static(b"abc"))] => Well,
            Ok(_) => Corrupt,
            Err(_) => Hung,
        }
    });
}

#[test]
fn c11_a_handle_that_cannot_be_destroyed_is_left_alone() {
    bites_in_children(this_test!(), "C11", &[Killed], &[], || async {
        let engine = Engine::handle().unwrap();
        for _ in 0..20 {
            let refused = gridftp_lab::RefusedPort::new();
            let port = DataPort::open(&engine, settings(false, 1));
            port.peers(vec![SocketAddr::from(([127, 0, 0, 1], refused.port()))]);
            let mut run = port.read(4);
            if run.next().await.is_ok() {
                return Corrupt;
            }
        }
        if comes_to_rest().await && Engine::counters().parked.get() == 20 { Well } else { Hung }
    });
}

#[test]
fn c12_an_end_with_data_in_it_is_lost() {
    bites_in_children(this_test!(), "C12", &[Hung], &[], || async {
        let engine = Engine::handle().unwrap();
        let refused = gridftp_lab::RefusedPort::new();
        let port = DataPort::open(&engine, settings(true, 1));
        port.peers(vec![SocketAddr::from(([127, 0, 0, 1], refused.port()))]);
        let mut run = port.write(4);
        assert!(run.post(0, Bytes::from_static(b"the only block")).unwrap());
        match timeout(SOON, run.finish()).await {
            Ok(Ok(())) => return Corrupt,
            Ok(Err(_)) => {}
            Err(_) => return Hung,
        }
        drop((run, port));
        if comes_to_rest().await { Well } else { Hung }
    });
}

#[test]
fn s1_1_a_connect_that_fails_at_once_leaves_a_handle_that_is_left_alone() {
    bites_in_children(this_test!(), "1.1", &[Killed, Hung], &[], || async {
        let engine = Engine::handle().unwrap();
        for direction in [Direction::Read, Direction::Write] {
            // IPv6 is not allowed on this port, and the call fails at once.
            let port = DataPort::open(&engine, settings(true, 1));
            port.peers(vec!["[::1]:99".parse().unwrap()]);
            port.connect(direction);
            let run = port.write(4);
            if timeout(SOON, run.failed()).await.is_err() {
                return Hung;
            }
        }
        if comes_to_rest().await { Well } else { Hung }
    });
}

#[test]
fn s1_1_stripes_that_are_being_connected_to_when_another_fails_at_once() {
    bites_in_children(this_test!(), "1.1, stripes", &[Killed, Hung], &[], || async {
        let (one, at) = listener().await;
        let engine = Engine::handle().unwrap();
        let port = DataPort::open(&engine, settings(true, 1));
        port.peers(vec![at, "[::1]:99".parse().unwrap()]);
        port.connect(Direction::Write);
        let run = port.write(4);
        if timeout(SOON, run.failed()).await.is_err() {
            return Hung;
        }
        let Ok(Ok((mut first, _))) = timeout(SOON, one.accept()).await else { return Hung };
        if timeout(SOON, first.read(&mut [0])).await.is_err() {
            return Hung;
        }
        drop((run, port));
        if comes_to_rest().await { Well } else { Hung }
    });
}

#[test]
fn s1_5_a_callback_ends_the_wait_that_it_runs_in() {
    bites_in_children(this_test!(), "1.5", &[Hung], &[], || async {
        let engine = Engine::handle().unwrap();
        let (port, at) = reading(&engine).await;
        let mut run = port.read(4);
        let _peer = says(at, "127.0.0.1", &[block(0, 3, 0, b"abc"), end()].concat()).await;
        match timeout(SOON, whole(&mut run)).await {
            Ok(Ok(blocks)) if blocks.len() == 1 => Well,
            Ok(_) => Corrupt,
            Err(_) => Hung,
        }
    });
}

#[test]
fn s3_3_blocks_of_a_stranger() {
    bites(this_test!(), "3.3, strangers", &[Corrupt], || async {
        let engine = Engine::handle().unwrap();
        let (port, at) = reading(&engine).await;
        let mut run = port.read(4);
        let _peer = says(at, "127.0.0.2", &[block(0, 4, 0, b"evil"), end()].concat()).await;
        match timeout(SOON, whole(&mut run)).await {
            Ok(Err(failure)) if failure.kind == FailureKind::Violation => Well,
            Ok(_) => Corrupt,
            Err(_) => Hung,
        }
    });
}

#[test]
fn s3_3_a_run_begins_when_all_reads_of_the_one_before_are_back() {
    bites(this_test!(), "3.3, early", &[Corrupt, Hung], || async {
        let engine = Engine::handle().unwrap();
        let (port, at) = reading(&engine).await;
        let mut runs: Vec<_> = (0..20).map(|_| port.read(8)).collect();
        let mut files = Vec::new();
        for number in 0..20_u8 {
            files.extend([block(0, 5, 0, &[number; 5]), end()].concat());
        }
        let _peer = says(at, "127.0.0.1", &files).await;
        for (number, run) in (0..20_u8).zip(&mut runs) {
            match timeout(SOON, whole(run)).await {
                Ok(Ok(blocks)) if blocks == [(0, Bytes::from(vec![number; 5]))] => {}
                Ok(_) => return Corrupt,
                Err(_) => return Hung,
            }
        }
        Well
    });
}

/// What this is about takes two callbacks of one wait in one order. 2,400 rounds without the check did not make it happen, so
/// nothing is shown to bite here.
#[tokio::test(flavor = "multi_thread")]
async fn s3_3_a_block_of_a_set_that_is_going_down_is_no_end() {
    let engine = Engine::handle().unwrap();
    let nonsense = Bytes::from(vec![b'-'; 1 << 20]);
    for round in 0..60_u64 {
        let (port, at) = reading(&engine).await;
        let mut run = port.read(1 + usize::try_from(round % 2).unwrap() * 3);
        // All but the last byte of a block that is in the middle of the file.
        let said = block(0, 5, 1000, b"abcd");
        let breaks_first = round / 5 % 2 == 0;
        let (one, two): (&[u8], &[u8]) = if breaks_first { (b"", &said) } else { (&said, b"") };
        let one = says(at, "127.0.0.1", one).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let two = says(at, "127.0.0.1", two).await;
        let (breaks, goes_on) = if breaks_first { (one, two) } else { (two, one) };
        tokio::time::sleep(Duration::from_millis(3)).await;
        reset(&breaks);
        // While the engine is busy with something else both happen, and C hears of both at once.
        for _ in 0..round % 5 {
            let _ = timeout(Duration::ZERO, engine.import_credential(nonsense.clone())).await;
        }
        if round % 3 == 0 {
            drop(breaks);
            let _ = goes_on.try_write(b"e");
        } else {
            let _ = goes_on.try_write(b"e");
            drop(breaks);
        }
        loop {
            match timeout(SOON, run.next()).await.expect("an end") {
                // In its place it may be shown, if the failure comes after it.
                Ok(Some((1000, data))) if data == b"abcde"[..] => {}
                Ok(wrong) => panic!("round {round}: {wrong:?}"),
                Err(_) => break,
            }
        }
    }
}

#[test]
fn s3_3_a_listener_that_died_between_files_is_given_up() {
    // No check of ours prevents it: the run waits for ever, and the deadline of whoever reads drops it.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let engine = Engine::handle().unwrap();
        let (port, at) = reading(&engine).await;
        let mut run = port.read(4);
        let mut peer = says(at, "127.0.0.1", &end()).await;
        assert!(whole(&mut run).await.unwrap().is_empty());
        // Between files nobody accepts.
        let _early = says(at, "127.0.0.1", &block(0, 3, 0, b"abc")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut run = port.read(4);
        let unheard = timeout(Duration::from_millis(500), run.next()).await;
        assert!(
            unheard.is_err(),
            "C has learned to accept: the table in tests/rules can say so: {unheard:?}"
        );
        drop((run, port));
        let closed = timeout(SOON, peer.read(&mut [0])).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
        let (port, at) = reading(&engine).await;
        let mut run = port.read(4);
        let _peer = says(at, "127.0.0.1", &[block(0, 3, 0, b"abc"), end()].concat()).await;
        assert_eq!(whole(&mut run).await.unwrap().len(), 1);
    });
}

#[test]
fn s3_6_a_refused_file_leaves_its_reads_to_nobody() {
    // A run that waits for a refused file would take the next one's data: the engine cannot know, so a dropped run closes.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let engine = Engine::handle().unwrap();
        let (port, at) = reading(&engine).await;
        let refused = port.read(4);
        let mut next = port.read(4);
        drop(refused);
        // Who connects may meet nobody any more.
        let mut peer = TcpStream::connect(at).await;
        if let Ok(peer) = &mut peer {
            let _ = peer.write_all(&[block(0, 3, 0, b"abc"), end()].concat()).await;
        }
        let failure =
            timeout(SOON, next.next()).await.expect("an end").expect_err("data of nobody knows what");
        assert_eq!(failure.kind, FailureKind::Closed);
    });
}
