//! Lines as servers were heard to write them, and as nobody should.

use proptest::prelude::*;

use super::*;
use crate::ErrorKind;

/// 2026-11-22 13:24:52 UTC.
fn now() -> SystemTime {
    parse_time(b"20261122132452").unwrap()
}

fn line(text: impl AsRef<[u8]>) -> Entry {
    let text = text.as_ref();
    parse_line(text, now()).unwrap().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(text)))
}

fn time(text: &str) -> Option<SystemTime> {
    Some(parse_time(text.as_bytes()).unwrap())
}

#[test]
fn lines_of_four_servers() {
    // globus-gridftp-server 13.24, vsftpd 3.0, ProFTPD 1.3, pyftpdlib 1.5.
    for (text, kind, size, mode, modified, name) in [
        (
            "-rw-r--r--   1     root     root   5000000000 Nov 22 11:28 big",
            EntryKind::File,
            Some(5_000_000_000),
            0o644,
            "20261122112800",
            "big",
        ),
        (
            "drwxr-xr-x  17     root     root         4096 Nov 21 16:28 .",
            EntryKind::Dir,
            Some(4096),
            0o755,
            "20261121162800",
            ".",
        ),
        (
            "prw-r--r--   1     root     root            0 Nov 20 16:28 pipe",
            EntryKind::Other("OS.unix=pipe".into()),
            Some(0),
            0o644,
            "20261120162800",
            "pipe",
        ),
        (
            "drwxr-sr-t    2 0        0            4096 Feb 03  2001 old",
            EntryKind::Dir,
            Some(4096),
            0o3755,
            "20010203000000",
            "old",
        ),
        (
            "-rwsr-xr-x   1 ftp      ftp            17 Mar  7  2020  lead two ",
            EntryKind::File,
            Some(17),
            0o4755,
            "20200307000000",
            " lead two ",
        ),
        (
            "-rw-r--r--   1 ftp      ftp            17 Feb 29 10:00 leap",
            EntryKind::File,
            Some(17),
            0o644,
            "20240229100000",
            "leap",
        ),
        (
            "crw-rw----   1 root     tty       4,  64 Dec 24 18:00 ttyS0",
            EntryKind::Other("OS.unix=chr".into()),
            None,
            0o660,
            "20251224180000",
            "ttyS0",
        ),
        (
            "brw-rw----+  1 root     disk      8,0 Dec 24 18:00 sda",
            EntryKind::Other("OS.unix=blk".into()),
            None,
            0o660,
            "20251224180000",
            "sda",
        ),
        (
            "-rw-r--r-- 1 owner 12 2001-11-22 16:28 iso",
            EntryKind::File,
            Some(12),
            0o644,
            "20011122162800",
            "iso",
        ),
        (
            "-rw-r--r-- 1 o g 12 22 Nov 2001 day first",
            EntryKind::File,
            Some(12),
            0o644,
            "20011122000000",
            "day first",
        ),
    ] {
        let entry = line(text);
        assert_eq!((entry.kind(), entry.size()), (&kind, size), "{text}");
        assert_eq!(entry.unix_mode(), Some(mode), "{text}");
        assert_eq!(entry.modified(), time(modified), "{text}");
        assert_eq!(entry.name(), name.as_bytes(), "{text}");
    }
    let entry = line("-rw-r--r--   1     alice     users   5 Nov 22 11:28 f");
    assert_eq!((entry.owner(), entry.group()), (Some("alice"), Some("users")));
    let entry = line("-rw-r--r--   1 1001 100   5 Nov 22 11:28 f");
    assert_eq!((entry.uid(), entry.gid()), (Some(1001), Some(100)));
    let entry = line("-rw-r--r--   1 alice domain users   5 Nov 22 11:28 f");
    assert_eq!((entry.owner(), entry.group(), entry.size()), (None, None, Some(5)));
    assert_eq!(line(b"-rw-r--r--   1 o g   5 Nov 22 11:28 caf\xe9\xff").name(), b"caf\xe9\xff");
}

#[test]
fn the_year_that_is_left_out_is_not_in_the_future() {
    let at = |text: &str| line(format!("-rw-r--r-- 1 o g 1 {text} f")).modified();
    // Tomorrow, there: it may be today in another time zone.
    assert_eq!(at("Nov 23 13:00"), time("20261123130000"));
    assert_eq!(at("Nov 24 13:00"), time("20251124130000"));
    assert_eq!(at("Jan  1 00:00"), time("20260101000000"));
    let new_year = parse_time(b"20261231230000").unwrap();
    let entry = parse_line(b"-rw-r--r-- 1 o g 1 Jan  1 01:00 f", new_year).unwrap().unwrap();
    assert_eq!(entry.modified(), time("20270101010000"));
    assert_eq!(at("Feb 30 00:00"), None);
}

#[test]
fn links_and_arrows() {
    let entry = line("lrwxrwxrwx   1 root  root   9 Nov 22 11:28 flnk -> real/keep");
    assert_eq!((entry.kind(), entry.name()), (&EntryKind::Symlink, &b"flnk"[..]));
    assert_eq!(entry.link_target().unwrap(), b"real/keep");
    let entry = line("lrwxrwxrwx   1 root  root   3 Nov 22 11:28 a -> b -> c;d");
    assert_eq!((entry.name(), entry.link_target().unwrap()), (&b"a -> b"[..], b"c;d".to_vec()));
    let entry = line("lrwxrwxrwx   1 root  root   99 Nov 22 11:28 a -> b -> c");
    assert_eq!((entry.name(), entry.link_target().unwrap()), (&b"a"[..], b"b -> c".to_vec()));
    let entry = line("lrwxrwxrwx   1 root  root   1 Nov 22 11:28 bare");
    assert!(entry.is_symlink() && entry.link_target().is_none());
    // A file of such a name is no link.
    assert_eq!(line("-rw-r--r--   1 root  root   1 Nov 22 11:28 a -> b").name(), b"a -> b");
}

#[test]
fn the_ms_dos_form() {
    let entry = line("02-05-13  10:41AM       <DIR>          aspnet client");
    assert_eq!((entry.kind(), entry.name()), (&EntryKind::Dir, &b"aspnet client"[..]));
    assert_eq!(entry.modified(), time("20130205104100"));
    let entry = line("11-22-2026  12:07PM          5,000,000,000  big file");
    assert_eq!((entry.size(), entry.name()), (Some(5_000_000_000), &b" big file"[..]));
    assert_eq!(entry.modified(), time("20261122120700"));
    assert_eq!(line("11-22-99  12:07AM   1 x").modified(), time("19991122000700"));
    assert_eq!(line("11-22-99  23:07   1 x").modified(), time("19991122230700"));
}

#[test]
fn what_is_no_entry() {
    for nothing in ["", " ", "total 12", "total 0  "] {
        assert!(parse_line(nothing.as_bytes(), now()).unwrap().is_none(), "{nothing:?}");
    }
    for bad in [
        "x",
        "total",
        "ls: cannot open",
        "-rw-r--r--   1 root  root   1 Nov 22 11:28",
        "-rw-r--r--   1 root  root   1 Nov 22 11:28 ",
        "-rw-r--r--   1 root  root   -1 Nov 22 11:28 x",
        "-rw-r--r--   1 root  root   9223372036854775808 Nov 22 11:28 x",
        "-rw-r--r--   1 root  root   1 Nov 99 11:28 x",
        "-rw-r--r--   1 root  root   1 Nvo 22 11:28 x",
        "-rw-r--z--   1 root  root   1 Nov 22 11:28 x",
        "11-22-99  13:07PM   1 x",
        "11-22-999  11:07PM   1 x",
        "11-22-99  11:07PM   <DIR>",
        "\x1b[2J",
    ] {
        let error = parse_line(bad.as_bytes(), now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{bad}");
        assert!(!error.to_string().contains('\x1b'));
    }
}

proptest! {
    #[test]
    fn never_panics(
        bytes in any::<Vec<u8>>(),
        words in "[-dlrwxst]{10} +[0-9,]{1,4} +[a-z; ]{0,9} +[0-9,]{1,20} [A-Za-z0-9: -]{0,16}( -> )?.{0,9}",
        dos in "[0-9-]{6,10} +[0-9:]{4,6}[AP]?M? +(<DIR>|[0-9,]{1,9}) *.{0,5}",
    ) {
        for text in [&bytes[..], words.as_bytes(), dos.as_bytes()] {
            if let Ok(Some(entry)) = parse_line(text, now()) {
                prop_assert!(!entry.name().is_empty());
                let _ = (entry.unix_mode(), entry.link_target(), entry.owner(), entry.facts().count());
            }
        }
    }

    #[test]
    fn names_and_sizes_come_back(
        name in "[^\r\n/\0]{1,40}",
        size in 0..i64::MAX as u64,
        mode in 0_u32..0o1000,
        width in 1_usize..20,
        year in prop::option::of(1970_u32..2026),
    ) {
        let letters: String = (0..9).map(|n| if mode & (0o400 >> n) == 0 { '-' } else { ['r', 'w', 'x'][n % 3] }).collect();
        let when = year.map_or_else(|| "11:28".to_owned(), |year| format!(" {year}"));
        let text = format!("-{letters}   1 root     users {size:>width$} Nov 22 {when} {name}");
        let entry = line(&text);
        prop_assert_eq!(entry.name(), name.as_bytes());
        prop_assert_eq!(entry.size(), Some(size));
        prop_assert_eq!(entry.unix_mode(), Some(mode));
        prop_assert_eq!(entry.owner(), Some("root"));
        prop_assert_eq!(entry.modified(), time(&year.map_or_else(|| "20261122112800".to_owned(), |year| format!("{year}1122000000"))));
    }
}
