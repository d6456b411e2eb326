//! A finished copy is a right copy: sizes, final replies, overlapping blocks.

use std::time::Duration;

use bytes::Bytes;
use gridftp::options::{Timeouts, TransferMode};
use gridftp::{Client, Error, ErrorKind, Phase, Side, TimeoutKind};
use gridftp_lab::hostile::blocks::{block, eof, header};
use gridftp_lab::hostile::{Act, Hostile, Play, Step};
use gridftp_lab::random_bytes;

use crate::support::{WAYS, anonymous};

const SIZE: usize = 600_000;
const F: &str = "/f";

fn contents() -> Vec<u8> {
    random_bytes(7, SIZE)
}

fn play() -> Play {
    Play::new().file(F, contents())
}

/// Deadlines short enough to be waited for.
fn hasty() -> Client {
    let limit = Duration::from_secs(2);
    anonymous().with_timeouts(Timeouts::default().first_byte(limit).stall(limit))
}

/// The file by every way of getting it, or the error of each.
async fn every_way(server: &Hostile, client: &Client) -> Vec<(String, Result<Bytes, Error>)> {
    let mut outcomes = Vec::new();
    for (mode, streams) in WAYS {
        let get = async { client.get(server.url(F)).mode(mode).parallelism(streams).await?.bytes().await };
        outcomes.push((format!("{mode:?} {streams}"), get.await));
    }
    outcomes.push(("pipeline".to_owned(), pipelined(server, client).await));
    outcomes
}

async fn pipelined(server: &Hostile, client: &Client) -> Result<Bytes, Error> {
    let mut many = client.get_many([server.url(F)]).await?;
    let mut whole = vec![0; SIZE];
    let mut received = 0;
    while let Some(mut file) = many.next_file().await? {
        while let Some(block) = file.next_block().await? {
            let at = usize::try_from(block.offset).unwrap();
            received += block.data.len();
            whole.resize(whole.len().max(at + block.data.len()), 0);
            whole[at..at + block.data.len()].copy_from_slice(&block.data);
        }
    }
    whole.truncate(received);
    Ok(whole.into())
}

/// The file in extended block mode, over one connection and as the only one of a pipeline.
async fn by_blocks(server: &Hostile, client: &Client) -> Vec<(String, Result<Bytes, Error>)> {
    let get = async { client.get(server.url(F)).mode(TransferMode::ExtendedBlock).await?.bytes().await };
    vec![("get".to_owned(), get.await), ("pipeline".to_owned(), pipelined(server, client).await)]
}

#[tokio::test]
async fn a_well_behaved_server_is_believed() {
    let server = Hostile::start(play());
    for (way, outcome) in every_way(&server, &hasty()).await {
        assert!(outcome.unwrap() == contents(), "{way}");
    }
}

#[tokio::test]
async fn less_than_the_server_announced_is_not_the_file() {
    // 226 on half a file, its end told as if it were all.
    let server = Hostile::start(play().at(Step::Data { after: 300_000 }, Act::End));
    for (way, outcome) in every_way(&server, &hasty()).await {
        let error = outcome.unwrap_err();
        assert_eq!(
            (error.kind(), error.side()),
            (ErrorKind::Truncated, Some(Side::Server)),
            "{way}: {error:?}"
        );
    }
}

#[tokio::test]
async fn more_than_the_server_announced_is_not_the_file() {
    let server = Hostile::start(play().at(Step::Command("SIZE"), Act::reply("213 599999")));
    for (way, outcome) in every_way(&server, &hasty()).await {
        let error = outcome.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Truncated | ErrorKind::Protocol), "{way}: {error:?}");
    }
}

#[tokio::test]
async fn without_a_final_reply_nothing_is_finished() {
    let server = Hostile::start(play().at(Step::Final, Act::Nothing));
    for (way, outcome) in every_way(&server, &hasty()).await {
        let error = outcome.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase()),
            (ErrorKind::Timeout(TimeoutKind::Stall), Phase::Completion),
            "{way}: {error:?}"
        );
    }
    let client = hasty();
    for (mode, streams) in WAYS {
        let mut put = client.put(server.url("/new")).mode(mode).parallelism(streams).await.unwrap();
        put.write(Bytes::from(contents())).await.unwrap();
        // SIZE was asked behind STOR: its answer is not the one to STOR.
        let error = put.finish().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase()),
            (ErrorKind::Protocol, Phase::Completion),
            "{mode:?} {streams}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_final_reply_that_is_left_out_is_noticed_in_a_pipeline() {
    let play = (0..20).fold(Play::new(), |play, n| play.file(&format!("/n{n}"), random_bytes(n, 5000)));
    let server = Hostile::start(play.at(Step::Final, Act::Nothing).on("/n7").times(1));
    let client = hasty();
    let mut many = client.get_many((0..20).map(|n| server.url(&format!("/n{n}")))).await.unwrap();
    let mut failed = Vec::new();
    while let Some(mut file) = many.next_file().await.unwrap() {
        let index = file.index();
        match file.bytes().await {
            Ok(bytes) => assert!(bytes == random_bytes(index as u64, 5000), "{index}"),
            Err(error) => failed.push((index, error.kind())),
        }
    }
    assert_eq!(failed, [(7, ErrorKind::Protocol)]);
}

#[tokio::test]
async fn a_final_reply_that_is_lost_is_not_there() {
    let server = Hostile::start(play().at(Step::Final, Act::Close));
    for (way, outcome) in every_way(&server, &hasty()).await {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{way}: {error:?}");
    }
}

#[tokio::test]
async fn a_data_connection_that_ends_is_no_end_of_a_file_of_blocks() {
    let server = Hostile::start(play().without(&["SIZE"]).at(Step::DataEnd, Act::Close));
    for (way, outcome) in by_blocks(&server, &hasty()).await {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{way}: {error:?}");
    }
}

/// All of the file as these blocks, in place of what the server would send.
fn sent_as(pieces: &[(u64, usize)], connections: u64) -> Act {
    let contents = contents();
    let mut wire = Vec::new();
    for (offset, length) in pieces {
        let at = usize::try_from(*offset).unwrap();
        wire.extend(block(*offset, &contents[at..at + length]));
    }
    wire.extend(eof(connections));
    Act::Wire(wire)
}

#[tokio::test]
async fn bytes_that_come_twice_are_an_error_with_a_size_and_without() {
    for (what, pieces) in [
        ("all of it twice", vec![(0, SIZE), (0, SIZE)]),
        ("one block twice, one not at all", vec![(0, 200_000), (200_000, 200_000), (200_000, 200_000)]),
        ("an overlap", vec![(0, 200_001), (200_000, 399_999)]),
        ("the last byte again", vec![(0, SIZE), (599_999, 1)]),
        ("a block within another", vec![(0, SIZE), (100, 100)]),
    ] {
        for missing in [&[][..], &["SIZE"]] {
            let play = play().without(missing).at(Step::Data { after: 0 }, sent_as(&pieces, 1));
            let server = Hostile::start(play);
            for (way, outcome) in by_blocks(&server, &hasty()).await {
                let error = outcome.unwrap_err();
                assert!(
                    matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Truncated),
                    "{what}, without {missing:?}, {way}: {error:?}"
                );
                assert_eq!(error.side(), Some(Side::Server), "{what}, {way}: {error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_with_holes_is_not_the_file_even_if_nobody_knows_its_size() {
    for (what, pieces) in
        [("a hole", vec![(0, 200_000), (400_000, 200_000)]), ("no beginning", vec![(1, SIZE - 1)])]
    {
        let play = play().without(&["SIZE"]).at(Step::Data { after: 0 }, sent_as(&pieces, 1));
        let server = Hostile::start(play);
        for (way, outcome) in by_blocks(&server, &hasty()).await {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Truncated, "{what}, {way}: {error:?}");
        }
    }
}

#[tokio::test]
async fn blocks_in_any_order_are_a_file() {
    let play = play().at(
        Step::Data { after: 0 },
        sent_as(&[(400_000, 200_000), (0, 1), (200_000, 200_000), (1, 199_999)], 1),
    );
    let server = Hostile::start(play);
    for (way, outcome) in by_blocks(&server, &hasty()).await {
        assert!(outcome.unwrap() == contents(), "{way}");
    }
}

/// What makes the C library abort the process, and what else no file is made of: by default options that use blocks.
#[tokio::test]
async fn blocks_that_no_file_is_made_of_are_errors_of_the_server() {
    let all = block(0, &contents());
    let with_all = |rest: Vec<u8>| Act::Wire([all.clone(), rest].concat());
    for (what, act, kinds) in [
        ("C7: CLOSE without an end of data", Act::Wire(header(4, 0, 0)), &[ErrorKind::Protocol][..]),
        (
            "CLOSE with data and no end",
            Act::Wire([header(4, 5, 0), vec![0; 5]].concat()),
            &[ErrorKind::Protocol],
        ),
        ("an end of file after no ends of data", with_all(eof(0)), &[ErrorKind::Protocol]),
        ("ends without number", with_all(eof(u64::MAX)), &[ErrorKind::Protocol]),
        ("an impossible offset", Act::Wire(header(0, 1, u64::MAX)), &[ErrorKind::Protocol]),
        ("an offset beyond all files", Act::Wire(header(0, 2, i64::MAX as u64 - 1)), &[ErrorKind::Protocol]),
        ("a restart marker", Act::Wire(header(16, 5, 0)), &[ErrorKind::Protocol]),
        ("a block said to be wrong", Act::Wire(header(32, 5, 0)), &[ErrorKind::Protocol]),
        ("two numbers of ends", with_all([header(64, 0, 2), eof(1)].concat()), &[ErrorKind::Protocol]),
        ("half a header", Act::WireThenClose(vec![0; 9]), &[ErrorKind::ConnectionLost]),
        ("half a block", Act::WireThenClose(all[..1000].to_vec()), &[ErrorKind::ConnectionLost]),
        ("more ends awaited than come", with_all(eof(2)), &[ErrorKind::Timeout(TimeoutKind::Stall)]),
        ("no end of file", with_all(header(8, 0, 0)), &[ErrorKind::Timeout(TimeoutKind::Stall)]),
        (
            "a huge block that does not come",
            Act::Wire(header(0, 1 << 62, 0)),
            &[ErrorKind::Timeout(TimeoutKind::FirstByte)],
        ),
    ] {
        let server = Hostile::start(play().at(Step::Data { after: 0 }, act));
        for (way, outcome) in by_blocks(&server, &hasty()).await {
            let error = outcome.unwrap_err();
            assert!(kinds.contains(&error.kind()), "{what}, {way}: {error:?}");
            assert_eq!(error.side(), Some(Side::Server), "{what}, {way}: {error:?}");
        }
    }
}

/// C8: the end of the file is there on one connection while another still has a block.
#[tokio::test]
async fn an_end_of_file_while_another_connection_is_in_the_middle_is_an_error() {
    let contents = contents();
    let wires = vec![eof(1), block(0, &contents)[..300_000].to_vec()];
    for times in 0..20 {
        let server = Hostile::start(play().at(Step::Data { after: 0 }, Act::Wires(wires.clone())));
        let get = over_two(&server).await;
        let error = get.unwrap_err();
        // Which of the two is read first is a matter of chance: nothing came, or half a block.
        assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Truncated), "{times}: {error:?}");
    }
}

async fn over_two(server: &Hostile) -> Result<Bytes, Error> {
    hasty().get(server.url(F)).mode(TransferMode::ExtendedBlock).parallelism(2).await?.bytes().await
}

#[tokio::test]
async fn a_put_is_complete_when_the_server_says_so_and_has_as_many_bytes() {
    let client = hasty();
    for (what, play, kind) in [
        (
            "a wrong size afterwards",
            play().at(Step::Command("SIZE"), Act::reply("213 599999")),
            ErrorKind::Truncated,
        ),
        ("a refusal at the end", play().at(Step::Final, Act::reply("552 quota")), ErrorKind::NoSpace),
    ] {
        let server = Hostile::start(play);
        for (mode, streams) in WAYS {
            let mut put = client.put(server.url("/new")).mode(mode).parallelism(streams).await.unwrap();
            put.write(Bytes::from(contents())).await.unwrap();
            let error = put.finish().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{what}, {mode:?} {streams}: {error:?}");
        }
    }
    let server = Hostile::start(play());
    for (mode, streams) in WAYS {
        let mut put = client.put(server.url("/new")).mode(mode).parallelism(streams).await.unwrap();
        put.write(Bytes::from(contents())).await.unwrap();
        put.finish().await.unwrap();
        assert!(server.stored("/new").unwrap() == contents(), "{mode:?} {streams}");
    }
}
