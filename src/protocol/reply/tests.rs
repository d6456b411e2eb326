//! Replies however they are cut up, and what is over the limits or no reply at all.

use proptest::prelude::*;

use super::*;
use crate::ErrorKind;

fn parse(bytes: &[u8]) -> Result<(Vec<Reply>, BytesMut)> {
    let mut parser = ReplyParser::new(Limits::CLEAR);
    let mut input = BytesMut::from(bytes);
    let mut replies = Vec::new();
    while let Some(reply) = parser.next(&mut input)? {
        replies.push(reply);
    }
    Ok((replies, input))
}

fn one(bytes: &[u8]) -> (u16, Vec<Vec<u8>>) {
    let (replies, rest) = parse(bytes).unwrap();
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert!(rest.is_empty());
    (replies[0].code(), replies[0].lines().map(<[u8]>::to_vec).collect())
}

fn refused(bytes: &[u8]) -> String {
    let error = parse(bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let shown = error.to_string();
    assert!(shown.len() < 500 && !shown.bytes().any(|byte| byte < 0x20), "{shown:?}");
    shown
}

#[test]
fn a_marker_of_a_transfer_in_many_pieces_is_read() {
    let ranges: Vec<_> =
        (0..20_000_u64).map(|n| format!("{}-{}", n * 4_000_000_000, n * 4_000_000_000 + 9)).collect();
    let line = format!("111 Range Marker {}\r\n", ranges.join(","));
    assert!(line.len() > 400_000);
    let mut parser = ReplyParser::new(Limits::CLEAR);
    let mut input = BytesMut::new();
    let mut replies = Vec::new();
    for piece in line.as_bytes().chunks(10_000) {
        input.extend_from_slice(piece);
        replies.extend(parser.next(&mut input).unwrap());
    }
    let [marker] = &replies[..] else { panic!("{} replies", replies.len()) };
    let Some(crate::Marker::Range(set)) = crate::protocol::markers::parse(marker) else { panic!("a marker") };
    assert_eq!(set.len(), 20_000);
}

#[test]
fn single_lines() {
    assert_eq!(one(b"220 ready\r\n"), (220, vec![b"ready".to_vec()]));
    assert_eq!(one(b"220 ready\n"), (220, vec![b"ready".to_vec()]));
    assert_eq!(one(b"226\r\n"), (226, vec![vec![]]));
    assert_eq!(one(b"226 \r\n"), (226, vec![vec![]]));
    assert_eq!(one(b"257 \"/a\0\xff\rb\" is it\r\n"), (257, vec![b"\"/a\0\xff\rb\" is it".to_vec()]));
    assert_eq!(one(b"659 x\r\n").0, 659);
}

#[test]
fn multi_line_forms_of_several_servers() {
    let feat = one(b"211-Extensions supported\r\n SIZE\r\n MLST Type*;\r\n211 End.\r\n");
    assert_eq!(
        feat,
        (211, [&b"Extensions supported"[..], b" SIZE", b" MLST Type*;", b"End."].map(<[u8]>::to_vec).into())
    );
    let repeated = one(b"500-Command failed.\r\n500-GridFTP-Errno: 2\r\n500 End.\r\n");
    assert_eq!(repeated.1, [&b"Command failed."[..], b"GridFTP-Errno: 2", b"End."]);
    // Another code, digits without a code's shape and empty lines in between are text.
    let inner = one(b"211-Status\n\n226 not the end\n2110\n211x\n211-more\n211\n");
    assert_eq!(inner.1, [&b"Status"[..], b"", b"226 not the end", b"2110", b"211x", b"more", b""]);
}

#[test]
fn several_replies_and_a_rest() {
    let (replies, rest) = parse(b"150 open\r\n226-a\r\n226 b\r\n22").unwrap();
    assert_eq!(replies.iter().map(Reply::code).collect::<Vec<_>>(), [150, 226]);
    assert_eq!(&rest[..], b"22");
}

#[test]
fn an_unfinished_reply_is_known() {
    let mut parser = ReplyParser::new(Limits::CLEAR);
    let mut input = BytesMut::from(&b"211-a\r\n b\r\n"[..]);
    assert!(!parser.in_reply());
    assert_eq!(parser.next(&mut input).unwrap(), None);
    assert!(parser.in_reply() && input.is_empty());
    input.extend_from_slice(b"211 c\r\n");
    assert!(parser.next(&mut input).unwrap().is_some());
    assert!(!parser.in_reply());
}

#[test]
fn what_is_no_reply_is_refused_with_an_excerpt() {
    for bad in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b"SSH-2.0-x\r\n",
        b"22\r\n",
        b"\r\n",
        b"2200 x\r\n",
        b"22a x\r\n",
    ] {
        assert!(refused(bad).contains("expected a reply"));
    }
    for bad in [&b"099 x\r\n"[..], b"000 x\r\n", b"660 x\r\n", b"999 x\r\n", b"220\tx\r\n", b" 220 x\r\n"] {
        assert!(refused(bad).contains("expected a reply"));
    }
    assert!(refused(b"\x1b[2J\xff\r\n").contains("\\u{1b}[2J\\xff"));
}

#[test]
fn lengths_are_bounded() {
    let long = [b"220 ".to_vec(), vec![b'x'; Limits::CLEAR.line]].concat();
    assert!(refused(&long).contains("longer than 1048576 bytes"));
    assert!(refused(&[long, b"\r\n".to_vec()].concat()).contains("longer than 1048576 bytes"));
    let most = [b"220 ".to_vec(), vec![b'x'; Limits::CLEAR.line - 6], b"\r\n".to_vec()].concat();
    assert_eq!(one(&most).1[0].len(), Limits::CLEAR.line - 6);
    let lines = [&b"211-\r\n"[..], &b"\n".repeat(Limits::CLEAR.lines + 1)].concat();
    assert!(refused(&lines).contains("more than 16384 lines"));
    let line = [vec![b'x'; 60_000], b"\r\n".to_vec()].concat();
    assert!(refused(&[b"211-\r\n".to_vec(), line.repeat(20)].concat()).contains("longer than 1048576 bytes"));
}

#[test]
fn work_is_linear_however_the_bytes_are_cut() {
    // 60,000 bytes one at a time, for many lines: rescanning from the start each time would be 10^11 steps.
    let mut parser = ReplyParser::new(Limits::CLEAR);
    let mut input = BytesMut::new();
    let mut replies = 0;
    for _ in 0..4 {
        for &byte in b"226 ".iter().chain(&[b'x'; 60_000]).chain(b"\n") {
            input.extend_from_slice(&[byte]);
            let before = parser.scanned;
            if parser.next(&mut input).unwrap().is_some() {
                replies += 1;
            } else {
                assert_eq!(parser.scanned, before + 1);
            }
        }
    }
    assert_eq!(replies, 4);
}

#[test]
fn replies_do_not_pin_the_input() {
    let mut parser = ReplyParser::new(Limits::CLEAR);
    let mut input = BytesMut::with_capacity(8192);
    input.extend_from_slice(b"226 a\r\n");
    let reply = parser.next(&mut input).unwrap();
    assert!(input.try_reclaim(8192), "{reply:?} shares the input's memory");
}

#[test]
fn text_of_protected_replies() {
    assert_eq!(parse_complete(b"").unwrap(), []);
    assert_eq!(parse_complete(b"230 in\r\n").unwrap(), [Reply::new(230, vec![Bytes::from("in")])]);
    assert_eq!(parse_complete(b"230 in").unwrap().len(), 1);
    assert_eq!(parse_complete(b"250-a\r\n b\r\n250 c\r\n226 d\r\n").unwrap().len(), 2);
    assert!(parse_complete(b"250-a\r\n b\r\n").unwrap_err().to_string().contains("lacks its last line"));
    assert!(parse_complete(b"no reply\r\n").is_err());
}

proptest! {
    #[test]
    fn never_panics_and_never_keeps_more_than_the_limits(
        bytes in proptest::collection::vec(proptest::sample::select(&b"\n\n\r21121-- x\xff\0"[..]), 0..400),
        cut in 1..40_usize)
    {
        let limits = Limits { line: 30, total: 100, lines: 5 };
        let mut parser = ReplyParser::new(limits);
        let mut input = BytesMut::new();
        'outer: for chunk in bytes.chunks(cut) {
            input.extend_from_slice(chunk);
            loop {
                match parser.next(&mut input) {
                    Ok(Some(reply)) => {
                        prop_assert!(reply.lines().len() <= limits.lines + 1);
                        prop_assert!(reply.lines().map(<[u8]>::len).sum::<usize>() <= limits.total);
                    }
                    Ok(None) => break,
                    Err(_) => break 'outer,
                }
            }
            prop_assert!(input.len() < limits.line);
        }
    }

    #[test]
    fn the_cut_makes_no_difference(
        bytes in proptest::collection::vec(proptest::sample::select(
            vec![&b"220 a\r\n"[..], b"211-x\r\n", b" y\n", b"211 z\r\n", b"\xff\0\n"]), 0..20),
        cuts in proptest::collection::vec(1..7_usize, 1..40))
    {
        let bytes = bytes.concat();
        let whole = parse(&bytes).map(|(replies, rest)| (replies, rest.len())).map_err(|error| error.to_string());
        let mut parser = ReplyParser::new(Limits::CLEAR);
        let (mut input, mut replies, mut at) = (BytesMut::new(), Vec::new(), 0);
        let mut failed = None;
        for cut in cuts.iter().cycle() {
            if at == bytes.len() || failed.is_some() {
                break;
            }
            let end = (at + cut).min(bytes.len());
            input.extend_from_slice(&bytes[at..end]);
            at = end;
            loop {
                match parser.next(&mut input) {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(error) => {
                        failed = Some(error.to_string());
                        break;
                    }
                }
            }
        }
        prop_assert_eq!(whole, failed.map_or(Ok((replies, input.len())), Err));
    }
}
