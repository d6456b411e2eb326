//! Parts of files: what comes of a range, and what stays around bytes that are written into the middle.

use std::ops::{Range, RangeFrom};

use bytes::Bytes;
use gridftp::options::TransferMode;
use gridftp::{ByteRange, ErrorKind, Phase, Side};
use gridftp_lab::{Server, random_bytes, sha256};

use crate::support::{WAYS, anonymous, builder};

/// Not a multiple of any block size.
const SIZE: usize = 3_000_017;

fn cut(contents: &[u8], range: Range<u64>) -> &[u8] {
    let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(contents.len());
    let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
    &contents[start..end]
}

#[tokio::test]
async fn parts_of_a_file_that_are_there() {
    let server = Server::anonymous().start();
    let contents = random_bytes(1, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    let size = SIZE as u64;
    let ranges = [0..1, 0..262_144, 0..size, 1..2, 262_143..262_145, 1_000_001..2_500_002, size - 1..size];
    for (mode, streams) in WAYS {
        for range in &ranges {
            let get = client
                .get(server.url("f"))
                .mode(mode)
                .parallelism(streams)
                .range(range.clone())
                .await
                .unwrap();
            assert_eq!(get.size(), Some(size), "the size is that of the whole file");
            let got = get.bytes().await.unwrap();
            assert_eq!(sha256(&got), sha256(cut(&contents, range.clone())), "{range:?} {mode:?} {streams}");
        }
    }
}

#[tokio::test]
async fn blocks_of_a_part_tell_their_place_in_the_file() {
    let server = Server::anonymous().start();
    let contents = random_bytes(2, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let mut get = client
            .get(server.url("f"))
            .mode(mode)
            .parallelism(streams)
            .range(1_000_001..2_900_000)
            .await
            .unwrap();
        let mut seen = vec![0_u8; SIZE];
        while let Some(block) = get.next_block().await.unwrap() {
            let at = usize::try_from(block.offset).unwrap();
            assert_eq!(block.data, contents[at..at + block.data.len()], "at {at}, {mode:?} {streams}");
            seen[at..at + block.data.len()].iter_mut().for_each(|count| *count += 1);
        }
        assert!(seen[1_000_001..2_900_000].iter().all(|&count| count == 1), "{mode:?} {streams}");
        assert!(
            seen[..1_000_001].iter().chain(&seen[2_900_000..]).all(|&count| count == 0),
            "{mode:?} {streams}"
        );
        assert_eq!(get.received(), 1_899_999);
    }
}

#[tokio::test]
async fn from_somewhere_to_the_end() {
    let server = Server::anonymous().start();
    let contents = random_bytes(3, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    let size = SIZE as u64;
    let starts: [RangeFrom<u64>; 4] = [1.., 262_144.., 1_234_567.., size - 1..];
    for (mode, streams) in WAYS {
        for range in &starts {
            let get = client
                .get(server.url("f"))
                .mode(mode)
                .parallelism(streams)
                .range(range.clone())
                .await
                .unwrap();
            let got = get.bytes().await.unwrap();
            assert_eq!(
                sha256(&got),
                sha256(cut(&contents, range.start..size)),
                "{range:?} {mode:?} {streams}"
            );
        }
    }
}

#[tokio::test]
async fn what_lies_beyond_the_end_is_left_out() {
    let server = Server::anonymous().start();
    let contents = random_bytes(4, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    std::fs::write(server.dir().join("empty"), "").unwrap();
    let client = anonymous();
    let size = SIZE as u64;
    let largest = i64::MAX.unsigned_abs();
    let ranges = [
        ByteRange::from(size - 10..size + 10),
        ByteRange::from(0..size * 2),
        ByteRange::from(5..largest),
        ByteRange::from(size..),
        ByteRange::from(size..size + 1),
        ByteRange::from(size * 3..size * 4),
        ByteRange::from(largest..),
        ByteRange::from(0..0),
        ByteRange::from(7..7),
        ByteRange::from(size..size),
    ];
    for (mode, streams) in WAYS {
        for range in ranges {
            let get = client.get(server.url("f")).mode(mode).parallelism(streams).range(range).await.unwrap();
            let got = get.bytes().await.unwrap();
            let expected = cut(&contents, range.offset()..range.end().unwrap_or(u64::MAX));
            assert_eq!(got.len(), expected.len(), "{range} {mode:?} {streams}");
            assert_eq!(sha256(&got), sha256(expected), "{range} {mode:?} {streams}");
        }
        for range in [ByteRange::from(..), ByteRange::from(..5), ByteRange::from(3..)] {
            let get =
                client.get(server.url("empty")).mode(mode).parallelism(streams).range(range).await.unwrap();
            assert_eq!(get.bytes().await.unwrap(), Bytes::new(), "{range} {mode:?} {streams}");
        }
    }
    // None of this has cost a session.
    assert_eq!(client.metrics().connects, 1, "{:?}", client.metrics());
}

#[tokio::test]
async fn an_empty_part_of_a_missing_file_is_no_success() {
    let server = Server::anonymous().start();
    let client = anonymous();
    for (mode, streams) in WAYS {
        for range in [5..5, 0..0, 5..9] {
            let get = client.get(server.url("missing")).mode(mode).parallelism(streams).range(range.clone());
            let error = get.await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{range:?} {mode:?}: {error}");
        }
    }
}

#[tokio::test]
#[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
async fn impossible_ranges_are_refused_before_any_connection() {
    let client = anonymous();
    for range in [ByteRange::from(9..3), ByteRange::from(u64::MAX..), ByteRange::from(0..=u64::MAX)] {
        let error = client.get("ftp://127.0.0.1:9/f").range(range).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::InvalidInput, Phase::Input), "{error}");
        assert_eq!(error.side(), Some(Side::Local));
        assert!(error.to_string().contains(&range.to_string()), "{error}");
    }
    assert_eq!(client.metrics().connects, 0);
}

#[tokio::test]
async fn reading_many_parts_one_after_the_other_gives_the_file() {
    let server = Server::anonymous().start();
    let contents = random_bytes(5, SIZE);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    for (mode, streams) in WAYS {
        let mut whole = Vec::new();
        for start in (0..SIZE as u64).step_by(290_001) {
            let get =
                client.get(server.url("f")).mode(mode).parallelism(streams).range(start..start + 290_001);
            whole.extend_from_slice(&get.await.unwrap().bytes().await.unwrap());
        }
        assert_eq!(sha256(&whole), sha256(&contents), "{mode:?} {streams}");
    }
}

#[tokio::test]
async fn bytes_put_into_the_middle_leave_the_rest() {
    let server = Server::anonymous().start();
    let before = random_bytes(6, SIZE);
    let client = anonymous();
    for (mode, streams) in WAYS {
        for (offset, length) in
            [(0, 10), (1, 262_144), (1_000_003, 1_500_001), (SIZE - 1, 1), (SIZE - 5, 300_000), (SIZE, 7)]
        {
            let path = server.dir().join(format!("{mode:?}-{streams}-{offset}"));
            std::fs::write(&path, &before).unwrap();
            let new = random_bytes(7, length);
            let put = client.put(server.url(&path)).mode(mode).parallelism(streams).offset(offset as u64);
            let mut put = put.await.unwrap();
            for piece in new.chunks(100_000) {
                put.write(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            assert_eq!(put.finish().await.unwrap().bytes, length as u64);
            let mut expected = before.clone();
            expected.resize(SIZE.max(offset + length), 0);
            expected[offset..offset + length].copy_from_slice(&new);
            let after = std::fs::read(&path).unwrap();
            assert_eq!(after.len(), expected.len(), "{offset}+{length} {mode:?} {streams}");
            assert_eq!(sha256(&after), sha256(&expected), "{offset}+{length} {mode:?} {streams}");
        }
    }
}

#[tokio::test]
async fn blocks_put_out_of_order_count_from_the_offset() {
    let server = Server::anonymous().start();
    let before = random_bytes(8, 1_000_000);
    let new = random_bytes(9, 400_000);
    let client = anonymous();
    for streams in [1, 4] {
        let path = server.dir().join(format!("f{streams}"));
        std::fs::write(&path, &before).unwrap();
        let put = client.put(server.url(&path)).mode(TransferMode::ExtendedBlock).parallelism(streams);
        let mut put = put.offset(300_000).await.unwrap();
        for n in [2_usize, 0, 3, 1] {
            let piece = Bytes::copy_from_slice(&new[n * 100_000..(n + 1) * 100_000]);
            put.write_at(n as u64 * 100_000, piece).await.unwrap();
        }
        assert_eq!(put.finish().await.unwrap().bytes, 400_000);
        let mut expected = before.clone();
        expected[300_000..700_000].copy_from_slice(&new);
        assert_eq!(sha256(&std::fs::read(&path).unwrap()), sha256(&expected), "{streams}");
    }
}

#[tokio::test]
async fn a_dropped_put_into_the_middle_does_not_delete_the_file() {
    let server = Server::anonymous().start();
    let before = random_bytes(10, 1_000_000);
    std::fs::write(server.dir().join("f"), &before).unwrap();
    // One session, so that the get waits for what the drop left to be done.
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
        let mut put = client.put(server.url("f")).mode(mode).offset(500_000).await.unwrap();
        put.write(Bytes::from(vec![1; 1000])).await.unwrap();
        drop(put);
        assert_eq!(client.get(server.url("f")).await.unwrap().bytes().await.unwrap().len(), 1_000_000);
        let after = std::fs::read(server.dir().join("f")).unwrap();
        assert_eq!(after.len(), before.len());
        assert_eq!(after[..500_000], before[..500_000]);
        assert_eq!(after[501_000..], before[501_000..]);
    }
}
