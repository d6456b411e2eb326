//! Gets and puts as streams of bytes: in order, in bounded memory, at the caller's pace.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use gridftp::options::TransferMode;
use gridftp::{Client, Error, ErrorKind, engine_metrics};
use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};
use gridftp_lab::{Server, random_bytes, sha256};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    Original, WAYS, alone, anonymous, builder, eventually, memory_kib, short, signal_sessions, write_pages,
};

#[tokio::test]
async fn a_reader_is_a_byte_stream() {
    let server = Server::anonymous().start();
    let contents = random_bytes(1, 1_234_567);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    std::fs::write(server.dir().join("empty"), "").unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let open = async |name| {
            client.get(server.url(name)).mode(mode).parallelism(streams).await.unwrap().into_reader()
        };
        let mut reader = open("f").await;
        assert_eq!(reader.size(), Some(1_234_567));
        let mut all = Vec::new();
        assert_eq!(tokio::io::copy(&mut reader, &mut all).await.unwrap(), 1_234_567);
        assert_eq!(sha256(&all), sha256(&contents), "{mode:?} {streams}");
        // The end stays the end.
        assert_eq!(reader.read(&mut [0; 10]).await.unwrap(), 0);
        assert!(reader.fill_buf().await.unwrap().is_empty());
        assert!(reader.next_chunk().await.unwrap().is_none());

        // Reads of all sizes, mixed with the buffered kind.
        let mut reader = open("f").await;
        let mut all = Vec::new();
        for size in (1_usize..).map(|n| n * 37 % 5000) {
            let mut piece = vec![0; size];
            let read = if size % 3 == 0 {
                let buffered = reader.fill_buf().await.unwrap();
                let taken = buffered.len().min(size);
                piece[..taken].copy_from_slice(&buffered[..taken]);
                reader.consume(taken);
                taken
            } else {
                reader.read(&mut piece).await.unwrap()
            };
            if read == 0 && size > 0 {
                break;
            }
            all.extend_from_slice(&piece[..read]);
        }
        assert_eq!(sha256(&all), sha256(&contents), "{mode:?} {streams}");

        let mut all = Vec::new();
        assert_eq!(open("empty").await.read_to_end(&mut all).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn lines_of_a_text_across_blocks() {
    let server = Server::anonymous().start();
    let text: String = (0..80_000).map(|n| format!("line {n} of many\n")).collect();
    std::fs::write(server.dir().join("text"), &text).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let reader =
            client.get(server.url("text")).mode(mode).parallelism(streams).await.unwrap().into_reader();
        let (mut lines, mut count) = (reader.lines(), 0);
        while let Some(line) = lines.next_line().await.unwrap() {
            assert_eq!(line, format!("line {count} of many"));
            count += 1;
        }
        assert_eq!(count, 80_000, "{mode:?} {streams}");
    }
}

#[tokio::test]
async fn a_reader_of_a_part() {
    let server = Server::anonymous().start();
    let contents = random_bytes(3, 2_000_000);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let get = client.get(server.url("f")).mode(mode).parallelism(streams).range(700_001..1_900_000);
        let mut all = Vec::new();
        get.await.unwrap().into_reader().read_to_end(&mut all).await.unwrap();
        assert_eq!(sha256(&all), sha256(&contents[700_001..1_900_000]), "{mode:?} {streams}");
    }
}

#[tokio::test]
async fn a_broken_transfer_is_an_io_error_that_knows_why() {
    let server = Server::anonymous().start();
    write_pages(&server.dir().join("big"), 64_000_000);
    let client = anonymous();
    for (mode, streams) in WAYS {
        let get = client.get(server.url("big")).mode(mode).parallelism(streams).await.unwrap();
        let mut reader = get.into_reader();
        reader.read_exact(&mut [0; 10]).await.unwrap();
        signal_sessions(&server, Signal::KILL);
        let error = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await.unwrap_err();
        assert!(
            matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof),
            "{mode:?} {streams}: {error:?}"
        );
        let cause = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
        assert!(matches!(cause.kind(), ErrorKind::ConnectionLost | ErrorKind::Truncated), "{cause}");
        assert!(cause.is_transient() && cause.url().is_some());
        // It does not look like an end when it is read again.
        let again = reader.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(again.kind(), error.kind());
    }
}

#[tokio::test]
async fn in_order_from_four_streams() {
    let server = Server::anonymous().start();
    let path = server.dir().join("big");
    write_pages(&path, 100_000_000);
    let client = anonymous();
    let get = client.get(server.url("big")).parallelism(4).await.unwrap();
    assert_eq!(get.size(), Some(100_000_000));
    let mut reader = get.into_reader();
    let mut original = Original::open(&path);
    while let Some(chunk) = reader.next_chunk().await.unwrap() {
        original.follows(&chunk);
    }
    original.ends();
}

#[test]
fn memory_is_bounded_however_slowly_it_is_read() {
    alone("reading::memory_is_bounded_however_slowly_it_is_read", || async {
        let server = Server::anonymous().start();
        let path = server.dir().join("big");
        write_pages(&path, 300_000_000);
        let client = anonymous();
        for (mode, streams) in WAYS {
            // The window, and what connections that run ahead have sent early: 64 MiB of it are held at most.
            let most = 16 + if streams > 1 { 256 } else { 0 };
            let get = client.get(server.url("big")).mode(mode).parallelism(streams).await.unwrap();
            let mut reader = get.into_reader();
            let mut original = Original::open(&path);
            original.follows(&reader.next_chunk().await.unwrap().unwrap());
            let mut quarter = 0;
            while let Some(chunk) = reader.next_chunk().await.unwrap() {
                original.follows(&chunk);
                if original.seen() / 75_000_000 > quarter {
                    quarter += 1;
                    let waiting = settled().await;
                    assert!(waiting <= most, "{waiting} buffers while nobody reads, {mode:?} {streams}");
                }
            }
            original.ends();
            println!("{mode:?} {streams}: at most {} KiB", memory_kib("VmHWM"));
        }
        let most = memory_kib("VmHWM");
        assert!(most < 120 * 1024, "{most} KiB were in use at some time");
    });
}

/// One connection of four is held up for as long as the others bring more than a reader in order may hold: they wait for it.
#[test]
fn connections_that_run_ahead_wait_for_the_one_that_lags() {
    alone("reading::connections_that_run_ahead_wait_for_the_one_that_lags", || async {
        let server = Server::anonymous().start();
        let path = server.dir().join("big");
        write_pages(&path, 300_000_000);
        let held_up =
            Fault::new(Where::Data(0), Way::ToClient, 1_000_000, What::Delay(Duration::from_secs(3)));
        for many in [false, true] {
            let proxy = Proxy::before(&server).with(held_up.clone()).start();
            let client = anonymous();
            let mut original = Original::open(&path);
            if many {
                let mut files = client.get_many([proxy.url("big")]).parallelism(4).await.unwrap();
                let mut file = files.next_file().await.unwrap().unwrap();
                original.follows(&file.bytes().await.unwrap());
            } else {
                let get = client.get(proxy.url("big")).parallelism(4).await.unwrap();
                let mut reader = get.into_reader();
                while let Some(chunk) = reader.next_chunk().await.unwrap() {
                    original.follows(&chunk);
                }
                let most = memory_kib("VmHWM");
                assert!(most < 120 * 1024, "{most} KiB were in use at some time");
            }
            original.ends();
            assert_eq!(proxy.struck(), 1);
        }
    });
}

/// Waits until no more data comes, because nobody takes it: how many buffers are out then.
async fn settled() -> u64 {
    let mut before = (u64::MAX, u64::MAX);
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let metrics = engine_metrics();
        let now = (metrics.buffers_out, metrics.bytes_read);
        if now == before {
            return metrics.buffers_out;
        }
        before = now;
    }
}

#[tokio::test]
async fn a_caller_may_pause_longer_than_a_server_may() {
    let server = Server::anonymous().start();
    let path = server.dir().join("big");
    write_pages(&path, 40_000_000);
    let client = Client::builder().timeouts(short().stall(Duration::from_secs(1))).build().unwrap();
    let pause = Duration::from_secs(2);
    let one = async |mode, streams| {
        let mut get = client.get(server.url("big")).mode(mode).parallelism(streams).await.unwrap();
        let mut original = Original::open(&path);
        let block = get.next_block().await.unwrap().unwrap();
        original.has(block.offset, &block.data);
        tokio::time::sleep(pause).await;
        while let Some(block) = get.next_block().await.unwrap() {
            original.has(block.offset, &block.data);
        }
        original.ends();

        let new = server.dir().join(format!("new-{mode:?}-{streams}"));
        let contents = random_bytes(2, 3_000_000);
        let mut put = client.put(server.url(&new)).mode(mode).parallelism(streams).await.unwrap();
        put.write(Bytes::copy_from_slice(&contents[..1_000_000])).await.unwrap();
        tokio::time::sleep(pause).await;
        put.write(Bytes::copy_from_slice(&contents[1_000_000..])).await.unwrap();
        tokio::time::sleep(pause).await;
        put.finish().await.unwrap();
        assert_eq!(sha256(&std::fs::read(&new).unwrap()), sha256(&contents), "{mode:?} {streams}");
    };
    let [a, b, c] = WAYS;
    tokio::join!(one(a.0, a.1), one(b.0, b.1), one(c.0, c.1));
}

#[tokio::test]
async fn a_get_is_a_stream_of_blocks() {
    let server = Server::anonymous().start();
    let contents = random_bytes(4, 3_000_001);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let get = client.get(server.url("f")).mode(mode).parallelism(streams).await.unwrap();
        let blocks: Vec<_> = get.try_collect().await.unwrap();
        let mut whole = vec![0; contents.len()];
        for block in &blocks {
            assert!(!block.data.is_empty());
            let at = usize::try_from(block.offset).unwrap();
            whole[at..at + block.data.len()].copy_from_slice(&block.data);
        }
        assert_eq!(blocks.iter().map(|block| block.data.len()).sum::<usize>(), contents.len());
        assert_eq!(sha256(&whole), sha256(&contents), "{mode:?} {streams}");
        if mode == TransferMode::Stream {
            assert!(blocks.windows(2).all(|two| two[0].offset + two[0].data.len() as u64 == two[1].offset));
        }
    }
    // An error is the last item.
    write_pages(&server.dir().join("big"), 64_000_000);
    let mut get = client.get(server.url("big")).await.unwrap();
    get.next().await.unwrap().unwrap();
    signal_sessions(&server, Signal::KILL);
    let items: Vec<_> = get.by_ref().collect().await;
    let (last, before) = items.split_last().unwrap();
    assert!(last.is_err() && before.iter().all(Result::is_ok), "{last:?}");
    assert!(get.next().await.is_none());
}

#[tokio::test]
async fn a_writer_is_a_byte_sink() {
    let server = Server::anonymous().start();
    let contents = random_bytes(5, 1_300_021);
    let client = anonymous();
    for (mode, streams) in WAYS {
        let path = server.dir().join(format!("{mode:?}-{streams}"));
        let put = client.put(server.url(&path)).mode(mode).parallelism(streams).await.unwrap();
        let mut writer = put.into_writer();
        let (mut rest, mut step) = (&contents[..], 0);
        while !rest.is_empty() {
            step = (step + 37) % 3000 + 1;
            let (piece, behind) = rest.split_at(step.min(rest.len()));
            writer.write_all(piece).await.unwrap();
            if step % 50 == 0 {
                writer.flush().await.unwrap();
            }
            rest = behind;
        }
        assert_eq!(writer.summary(), None);
        writer.shutdown().await.unwrap();
        assert_eq!(writer.summary().unwrap().bytes, contents.len() as u64);
        // The server has confirmed it, so it is all there now.
        assert_eq!(sha256(&std::fs::read(&path).unwrap()), sha256(&contents), "{mode:?} {streams}");
        // After the end nothing is taken, and the end may be said twice.
        let error = writer.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{error}");
        writer.shutdown().await.unwrap();
        drop(writer);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), contents.len() as u64);
        // Nothing at all is a file too.
        let empty = server.dir().join(format!("empty-{mode:?}-{streams}"));
        let put = client.put(server.url(&empty)).mode(mode).parallelism(streams).await.unwrap();
        put.into_writer().shutdown().await.unwrap();
        assert_eq!(std::fs::read(&empty).unwrap(), b"");
    }
}

#[tokio::test]
async fn from_server_to_server_through_a_reader_and_a_writer() {
    let (from, to) = (Server::anonymous().start(), Server::anonymous().start());
    write_pages(&from.dir().join("f"), 20_000_003);
    let client = anonymous();
    for (mode, streams) in WAYS {
        let get = client.get(from.url("f")).mode(mode).parallelism(streams).await.unwrap();
        let put = client.put(to.url("f")).mode(mode).parallelism(streams).await.unwrap();
        let (mut reader, mut writer) = (get.into_reader(), put.into_writer());
        assert_eq!(tokio::io::copy_buf(&mut reader, &mut writer).await.unwrap(), 20_000_003);
        writer.shutdown().await.unwrap();
        Original::open(&from.dir().join("f")).equals(&to.dir().join("f"));
    }
}

#[tokio::test]
async fn a_writer_that_is_not_finished_leaves_nothing() {
    let server = Server::anonymous().start();
    let client = builder().sessions_per_endpoint(2).build().unwrap();
    for (mode, streams) in WAYS {
        let path = server.dir().join(format!("{mode:?}-{streams}"));
        let put = client.put(server.url(&path)).mode(mode).parallelism(streams).await.unwrap();
        let mut writer = put.into_writer();
        for _ in 0..30 {
            writer.write_all(&[7; 100_000]).await.unwrap();
        }
        writer.flush().await.unwrap();
        eventually("something is stored", || std::fs::metadata(&path).is_ok_and(|known| known.len() > 0))
            .await;
        drop(writer);
        eventually("it is deleted", || !path.exists()).await;
        // The session has survived it.
        assert!(client.exists(server.url_root()).await.unwrap());
    }
    eventually("ports come back", || engine_metrics().registered == 0).await;
}

#[tokio::test]
async fn blocks_out_of_order() {
    let server = Server::anonymous().start();
    let contents = random_bytes(6, 1_000_000);
    let client = anonymous();
    let order = [7_usize, 0, 3, 9, 1, 8, 2, 6, 4, 5];
    let piece = |n: usize| Bytes::copy_from_slice(&contents[n * 100_000..(n + 1) * 100_000]);
    for streams in [1, 4] {
        let path = server.dir().join(format!("f{streams}"));
        let put = client.put(server.url(&path)).mode(TransferMode::ExtendedBlock).parallelism(streams);
        let mut put = put.await.unwrap();
        for n in order {
            put.write_at(n as u64 * 100_000, piece(n)).await.unwrap();
        }
        assert_eq!(put.sent(), 1_000_000);
        assert_eq!(put.finish().await.unwrap().bytes, 1_000_000);
        assert_eq!(sha256(&std::fs::read(&path).unwrap()), sha256(&contents), "{streams}");
    }
    // A stream has an order. The mistake costs nothing: the put goes on.
    let path = server.dir().join("stream");
    let mut put = client.put(server.url(&path)).mode(TransferMode::Stream).await.unwrap();
    put.write_at(0, piece(0)).await.unwrap();
    for wrong in [0, 99_999, 100_001, 500_000] {
        let error = put.write_at(wrong, piece(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("expected offset 100000"), "{error}");
        assert!(error.url().is_some());
    }
    put.write_at(100_000, piece(1)).await.unwrap();
    put.write(Bytes::copy_from_slice(&contents[200_000..])).await.unwrap();
    assert_eq!(put.finish().await.unwrap().bytes, 1_000_000);
    assert_eq!(sha256(&std::fs::read(&path).unwrap()), sha256(&contents));
    // Beyond what offsets can say.
    let mut put = client.put(server.url("x")).mode(TransferMode::ExtendedBlock).await.unwrap();
    for (offset, named) in
        [(u64::MAX, "18446744073709551615"), (i64::MAX.unsigned_abs(), "9223372036854775807")]
    {
        let error = put.write_at(offset, Bytes::from_static(b"x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    put.finish().await.unwrap();
}
