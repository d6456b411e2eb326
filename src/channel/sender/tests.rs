//! A server played byte by byte: what is sent to it, and what becomes of it when it goes away.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream as Stream};

use super::*;
use crate::channel::pump::Stretch;
use crate::engine::{Layout, PortSecurity};
use crate::protocol::block::{HEADER_BYTES, Header};

fn settings(connections: u16) -> PortSettings {
    PortSettings {
        extended_block: true,
        parallelism: connections,
        tcp_buffer_bytes: None,
        ipv6: false,
        layout: Layout::Turns,
        security: PortSecurity::None,
        allowed_peers: None,
    }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// So many bytes of a file from a place on, and how many of them went out.
struct Part {
    at: u64,
    end: u64,
    base: u64,
    sent: Arc<std::sync::atomic::AtomicU64>,
}

impl Supply for Part {
    fn next(&mut self, most: u64) -> Option<Stretch> {
        let stretch =
            Stretch { at: self.at, offset: self.at - self.base, bytes: most.min(self.end - self.at) };
        self.at += stretch.bytes;
        (stretch.bytes > 0).then_some(stretch)
    }

    fn sent(&mut self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    fn waited(&mut self, _: Duration, _: Duration) {}
}

fn contents(bytes: usize) -> (File, Vec<u8>) {
    let contents: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(bytes).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&contents).unwrap();
    (file, contents)
}

fn part(file: File, range: std::ops::Range<u64>) -> (Outgoing, Arc<std::sync::atomic::AtomicU64>) {
    let sent = Arc::default();
    let supply = Part { at: range.start, end: range.end, base: range.start, sent: Arc::clone(&sent) };
    (Outgoing { file, supply: Box::new(supply) }, sent)
}

/// Connections from a port that has been aimed at them.
async fn connected(connections: u16) -> (Port, Vec<Stream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = Port::new(&Engine::handle().unwrap(), settings(connections));
    port.peers(&[listener.local_addr().unwrap()]);
    port.connect();
    let mut peers = Vec::new();
    for _ in 0..connections {
        peers.push(soon("a connection", listener.accept()).await.unwrap().0);
    }
    (port, peers)
}

/// What comes over a connection until its end of data: the blocks, and how many ends there are to be in all.
async fn received(peer: &mut Stream) -> (Vec<(u64, Vec<u8>)>, Option<u64>) {
    let (mut blocks, mut ends) = (Vec::new(), None);
    loop {
        let mut header = [0; HEADER_BYTES];
        soon("a header", peer.read_exact(&mut header)).await.unwrap();
        let header = Header::parse(header).unwrap();
        assert!(!header.close);
        let mut data = vec![0; usize::try_from(header.count).unwrap()];
        soon("a block", peer.read_exact(&mut data)).await.unwrap();
        blocks.push((header.offset, data));
        ends = ends.or(header.ends);
        if header.end_of_data {
            return (blocks, ends);
        }
    }
}

async fn all(peers: &mut [Stream]) -> (Vec<u8>, Vec<u64>) {
    let (mut blocks, mut ends) = (Vec::new(), Vec::new());
    let each = peers.iter_mut().map(received);
    for (found, told) in futures_util::future::join_all(each).await {
        blocks.extend(found);
        ends.extend(told);
    }
    blocks.sort_by_key(|(offset, _)| *offset);
    let mut at = 0;
    for (offset, data) in blocks.iter().filter(|(_, data)| !data.is_empty()) {
        assert_eq!(*offset, at, "no gap, and nothing twice");
        at += u64::try_from(data.len()).unwrap();
    }
    (blocks.into_iter().map(|(_, data)| data).collect::<Vec<_>>().concat(), ends)
}

async fn send(run: &mut Run, outgoing: Outgoing) -> Result<(), Broken> {
    run.begin(outgoing, Duration::from_secs(60)).await?;
    soon("the file", run.sent()).await?;
    Ok(soon("the end of the data", run.finish()).await?)
}

#[tokio::test]
async fn files_one_after_another_over_the_same_connections() {
    for (connections, copied) in [(1, true), (1, false), (3, true), (16, false)] {
        let (port, mut peers) = connected(connections).await;
        let mut first = port.write();
        let lanes = soon("connections", first.inner().unwrap().lanes()).await.unwrap();
        assert!(lanes.copied, "the server is on this machine");
        first.withdraw();
        let lanes = Lanes::new(lanes.sockets.iter().map(|s| s.try_clone().unwrap()).collect(), copied);
        *port.stage() = Some(watch::channel(Stage::Connected(Arc::new(lanes))).1);
        for bytes in [3_000_000, 0, 1, 5_000_001] {
            let (file, contents) = contents(bytes + 10);
            let (outgoing, counted) = part(file, 7..7 + u64::try_from(bytes).unwrap());
            let mut run = port.write();
            let (sent, (found, ends)) = tokio::join!(send(&mut run, outgoing), all(&mut peers));
            sent.unwrap();
            assert!(found == contents[7..7 + bytes], "{bytes} bytes over {connections}, copied: {copied}");
            assert_eq!(ends, [u64::from(connections)], "one tells how many ends there are");
            assert_eq!(usize::try_from(run.written()).unwrap(), bytes);
            assert_eq!(usize::try_from(counted.load(Ordering::Relaxed)).unwrap(), bytes);
            drop(run);
            port.check().unwrap();
        }
    }
}

#[tokio::test]
async fn a_file_that_is_too_short_never_ends() {
    for copied in [true, false] {
        let (port, mut peers) = connected(1).await;
        let mut run = port.write();
        let lanes = run.inner().unwrap().lanes().await.unwrap();
        let lanes = Lanes::new(lanes.sockets.iter().map(|s| s.try_clone().unwrap()).collect(), copied);
        *port.stage() = Some(watch::channel(Stage::Connected(Arc::new(lanes))).1);
        run.withdraw();
        let mut run = port.write();
        let (file, _) = contents(100_000);
        run.begin(part(file, 0..100_001).0, Duration::from_secs(60)).await.unwrap();
        let mut peer = peers.remove(0);
        let all = tokio::spawn(async move {
            let mut all = Vec::new();
            soon("the end of the connection", peer.read_to_end(&mut all)).await.unwrap();
            all
        });
        let sent = soon("a failure", run.sent()).await;
        assert!(matches!(sent, Err(Broken::Short)), "{sent:?}");
        run.finish().await.unwrap_err();
        drop(run);
        let all = all.await.unwrap();
        // One header at most was announced, of all that is missing; nothing is behind what came of it.
        assert_eq!(all.is_empty(), copied);
        if let Some(header) = all.first_chunk() {
            let header = Header::parse(*header).unwrap();
            assert_eq!((header.count, header.offset, header.end_of_data), (100_001, 0, false));
        }
        assert!(all.len() <= HEADER_BYTES + 100_000, "no end of data: {} bytes", all.len());
        port.check().unwrap_err();
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_told_and_one_that_is_mute_holds_nobody_up() {
    let (port, peers) = connected(2).await;
    let mut run = port.write();
    let (file, _) = contents(20_000_000);
    run.begin(part(file.try_clone().unwrap(), 0..20_000_000).0, Duration::from_secs(60)).await.unwrap();
    drop(peers);
    let broken = soon("a failure", run.sent()).await.unwrap_err();
    assert!(matches!(broken, Broken::Channel(_)), "{broken:?}");
    run.finish().await.unwrap_err();
    port.check().unwrap_err();
    // Nobody reads: the thread ends with the run.
    let (port, mut peers) = connected(2).await;
    let mut run = port.write();
    let (outgoing, counted) = part(file, 0..20_000_000);
    run.begin(outgoing, Duration::from_secs(60)).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(100), run.sent()).await;
    assert!(waiting.is_err() && run.written() < 20_000_000);
    drop(run);
    soon("the end of the thread", async {
        while Arc::strong_count(&counted) > 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    for peer in &mut peers {
        let mut rest = Vec::new();
        let _ = soon("the end of a connection", peer.read_to_end(&mut rest)).await;
    }
    port.check().unwrap_err();
    // Nor does it go on for ever if the run is kept and nobody asks.
    let (port, _peers) = connected(1).await;
    let mut run = port.write();
    let (outgoing, counted) = part(contents(20_000_000).0, 0..20_000_000);
    run.begin(outgoing, Duration::from_millis(50)).await.unwrap();
    soon("the end of the thread", async {
        while Arc::strong_count(&counted) > 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    let broken = run.sent().await.unwrap_err();
    assert!(matches!(broken, Broken::Channel(_)), "{broken:?}");
    run.finish().await.unwrap_err();
}

#[tokio::test]
async fn what_cannot_be_connected_says_so() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = Port::new(&Engine::handle().unwrap(), settings(4));
    let mut run = port.write();
    run.begin(part(contents(1).0, 0..1).0, Duration::from_secs(60)).await.unwrap_err();
    port.peers(&[listener.local_addr().unwrap()]);
    drop(listener);
    port.connect();
    let run = port.write();
    let failure = soon("a failure", run.failed()).await;
    assert!(failure.to_string().contains("no data connection to 127.0.0.1"), "{failure}");
    port.check().unwrap_err();
}
