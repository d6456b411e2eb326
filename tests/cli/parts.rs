//! Parts of a file: `-off` and `-len` mean what they mean to `globus-url-copy`.

use std::fs;

use gridftp_lab::{Server, random_bytes};

use crate::support::{copy, copy_from_stdin, folder, names, text};

/// What stands at a place in the source gets to the same place in the destination.
fn expected(source: &[u8], before: &[u8], offset: usize, length: usize) -> Vec<u8> {
    let end = source.len().min(offset.saturating_add(length));
    let part = source.get(offset..end).unwrap_or_default();
    let mut out = before.to_vec();
    if !part.is_empty() {
        out.resize(before.len().max(offset + part.len()), 0);
        out[offset..offset + part.len()].copy_from_slice(part);
    }
    out
}

const SIZE: usize = 700_000;

/// Offset, length, and how they are written.
fn cases() -> Vec<(usize, usize, Vec<&'static str>)> {
    vec![
        (500, 100, vec!["-off", "500", "-len", "100"]),
        (307_200, usize::MAX, vec!["-off", "300K"]),
        (0, 1024, vec!["-len", "1k"]),
        (699_000, 5000, vec!["--partial-offset", "699000", "--partial-length=5000"]),
        (0, 0, vec!["-len", "0"]),
        (800_000, 10, vec!["-off", "800000", "-len", "10"]),
        (1, usize::MAX, vec!["-off", "1", "-len", "-1"]),
    ]
}

#[test]
fn a_part_goes_to_the_same_place() {
    let server = Server::anonymous().start();
    let local = folder();
    let source = random_bytes(1, SIZE);
    let before = random_bytes(2, 2 * SIZE);
    let (here, there) = (local.path().join("source"), server.dir().join("source"));
    fs::write(&here, &source).unwrap();
    fs::write(&there, &source).unwrap();
    let (new, old) = (local.path().join("new"), local.path().join("old"));
    let ways = [&[][..], &["-fast"], &["-p", "3"]];
    for (number, (offset, length, flags)) in cases().into_iter().enumerate() {
        // Every way for the first case, and then in turn.
        let ways = if number == 0 { &ways[..] } else { &ways[number % 3..=number % 3] };
        for way in ways.iter().copied() {
            let copy =
                |from: &str, to: &str| copy(&[flags.as_slice(), way, &[from, to]].concat()).succeeded();
            let context = format!("{flags:?} {way:?}");
            // From the server: to a new file, into one that exists, to standard output.
            let url = server.url("source");
            fs::write(&old, &before).unwrap();
            copy(&url, text(&old));
            assert!(
                fs::read(&old).unwrap() == expected(&source, &before, offset, length),
                "get into {context}"
            );
            copy(&url, text(&new));
            assert!(fs::read(&new).unwrap() == expected(&source, &[], offset, length), "get {context}");
            fs::remove_file(&new).unwrap();
            let end = source.len().min(offset.saturating_add(length));
            let part = source.get(offset..end).unwrap_or_default();
            assert!(copy(&url, "-").stdout == part, "get to standard output {context}");
            // To the server, and from server to server.
            for from in [text(&here), url.as_str()] {
                let (new, old) = (server.dir().join("new"), server.dir().join("old"));
                fs::write(&old, &before).unwrap();
                copy(from, &server.url("old"));
                assert!(
                    fs::read(&old).unwrap() == expected(&source, &before, offset, length),
                    "put into {context}"
                );
                copy(from, &server.url("new"));
                assert!(fs::read(&new).unwrap() == expected(&source, &[], offset, length), "put {context}");
                fs::remove_file(&new).unwrap();
            }
        }
        // Without a server.
        copy(&[flags.as_slice(), &[text(&here), text(&new)]].concat()).succeeded();
        assert!(fs::read(&new).unwrap() == expected(&source, &[], offset, length), "local {flags:?}");
        fs::remove_file(&new).unwrap();
    }
    assert_eq!(names(local.path()), ["old", "source"]);
    assert_eq!(names(&server.dir()), ["old", "source"]);
}

#[test]
fn a_part_of_standard_input_is_found_by_counting() {
    let server = Server::anonymous().start();
    let input = random_bytes(3, 300_000);
    copy_from_stdin(&["-off", "100000", "-len", "70000", "-", &server.url("f")], &input).succeeded();
    assert!(fs::read(server.dir().join("f")).unwrap() == expected(&input, &[], 100_000, 70_000));
    let outcome = copy_from_stdin(&["-off", "290000", "-", "-"], &input).succeeded();
    assert!(outcome.stdout == input[290_000..]);
}

#[test]
fn impossible_parts_are_refused() {
    for flags in [
        &["-off", "-5"][..],
        &["-off", "1x"],
        &["-len", "-2"],
        &["-len", ""],
        &["-off", "9223372036854775807", "-len", "1"],
        &["-off", "9223372036854775808"],
    ] {
        copy(&[flags, &["ftp://127.0.0.1:1/x", "/dev/null"]].concat()).failed(2, &[]);
    }
}
