//! Lines of facts, as servers were heard to write them and as a hostile one could.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::ErrorKind;

fn line(text: impl AsRef<[u8]>) -> Entry {
    parse_line(text.as_ref()).unwrap()
}

fn refused(text: impl AsRef<[u8]>) -> String {
    let error = parse_line(text.as_ref()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let shown = error.to_string();
    assert!(shown.len() < 600 && !shown.bytes().any(is_control), "{shown:?}");
    shown
}

fn unix(seconds: u64) -> Option<SystemTime> {
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// As globus-gridftp-server 13.24 writes them behind the type, modify and size.
const UNIX: &str =
    "UNIX.mode=4755;UNIX.owner=root;UNIX.uid=0;UNIX.group=users;UNIX.gid=100;Unique=fe00-99c031;";

#[test]
fn globus_lines() {
    let file = line(format!("Type=file;Modify=20261122132452;Size=5497558138880;Perm=awr;{UNIX} big"));
    assert_eq!(
        (file.name(), file.kind(), file.size()),
        (&b"big"[..], &EntryKind::File, Some(5_497_558_138_880))
    );
    assert_eq!(file.modified(), unix(1_795_353_892));
    assert_eq!((file.unix_mode(), file.owner(), file.uid()), (Some(0o4755), Some("root"), Some(0)));
    assert_eq!((file.group(), file.gid(), file.permissions()), (Some("users"), Some(100), Some("awr")));
    assert_eq!(file.unique(), Some(&b"fe00-99c031"[..]));
    assert!(file.is_file() && !file.is_dir() && !file.is_symlink() && file.is_safe_child());
    assert_eq!((file.link_target(), file.created()), (None, None));

    let cdir = line(format!("Type=cdir;Modify=20261122132533;Size=4096;Perm=cfmpel;{UNIX}X.count=12; ."));
    assert_eq!((cdir.kind(), cdir.fact("x.COUNT")), (&EntryKind::CurrentDir, Some(&b"12"[..])));
    assert!(cdir.is_dir() && !cdir.is_safe_child());
    let pdir = line(format!("Type=pdir;{UNIX} .."));
    assert!(pdir.kind() == &EntryKind::ParentDir && pdir.is_dir() && !pdir.is_safe_child());
    let pipe = line(format!("Type=OS.unix=pipe;Modify=20261122132452;Size=0;Perm=;{UNIX} fifo"));
    assert_eq!((pipe.kind(), pipe.permissions()), (&EntryKind::Other("OS.unix=pipe".into()), Some("")));
}

#[test]
fn fractions_large_sizes_and_facts_nobody_knows() {
    let entry = line("Modify=20200601123456.789;Size=9223372036854775807;X.Tape=on;type=FILE;X.tape=off; x");
    let whole = parse_time(b"20200601123456").unwrap();
    assert_eq!(entry.modified(), Some(whole + Duration::from_millis(789)));
    assert_eq!((entry.size(), entry.kind()), (Some(i64::MAX.cast_unsigned()), &EntryKind::File));
    assert_eq!(entry.fact("x.tape"), Some(&b"off"[..]));
    let names: Vec<_> = entry.facts().map(|(name, _)| name).collect();
    assert_eq!(names, [&b"Modify"[..], b"Size", b"X.Tape", b"type", b"X.tape"]);
}

#[test]
fn links() {
    let link = line(format!("Type=file;Size=0;{UNIX}UNIX.slink=/d/w/t%20a%3Bb%3Dc%FF%; l1"));
    assert!(link.is_file() && link.is_symlink());
    assert_eq!(link.link_target().unwrap(), b"/d/w/t a;b=c\xff%");
    let dir = line("Type=dir;UNIX.slink=/d; l5");
    assert!(dir.is_dir() && dir.is_symlink());
    for text in ["Type=slink;Size=7; l", "type=OS.unix=symlink; l", "Type=OS.unix=slink; l"] {
        let link = line(text);
        assert!(link.kind() == &EntryKind::Symlink && link.is_symlink() && !link.is_file(), "{text}");
        assert_eq!(link.link_target(), None);
    }
    assert_eq!(line("Type=OS.unix=slink:/foobar; l").link_target().unwrap(), b"/foobar");
}

#[test]
fn names_are_carried_as_they_are() {
    for name in [
        &b" lead"[..],
        b"trail ",
        b"t a;b=c; d",
        b"tab\tx",
        b"nl\nx",
        b"caf\xe9\xff",
        b"a/b",
        b"\0",
        b"-rf",
        b"~",
    ] {
        let entry = line([b"Type=file;Size=1; ", name].concat());
        assert_eq!(entry.name(), name);
        assert_eq!(entry.size(), Some(1));
        assert_eq!(entry.is_safe_child(), !name.contains(&b'/') && !name.contains(&0), "{name:?}");
    }
    assert_eq!(line(b"Type=file; caf\xe9").name_lossy(), "caf\u{fffd}");
    for name in [".", "..", "/", "../x", "/etc/passwd", "x/"] {
        assert!(!line(format!("Type=file; {name}")).is_safe_child(), "{name}");
    }
}

#[test]
fn other_servers() {
    let proftpd = line(
        "modify=20261122132621;perm=adfr;size=6;type=file;unique=FE00U99C2C5;UNIX.group=0;UNIX.groupname=nogroup;\
         UNIX.mode=0644;UNIX.owner=0;UNIX.ownername=nobody; f",
    );
    assert_eq!(
        (proftpd.owner(), proftpd.uid(), proftpd.group(), proftpd.gid()),
        (Some("nobody"), Some(0), Some("nogroup"), Some(0))
    );
    let pyftpdlib = line("modify=20261122132621;perm=eldfmMTcp;size=4096;type=dir;unique=fe00g99e023; ro");
    assert!(pyftpdlib.is_dir() && pyftpdlib.owner().is_none() && pyftpdlib.unix_mode().is_none());
    let dcache = line(
        "UNIX.group=3200;Perm=celm;Type=dir;UNIX.mode=755;UNIX.owner=8637;Modify=20121017114537;Unique=00A2; /litvinse",
    );
    assert_eq!((dcache.uid(), dcache.owner(), dcache.unix_mode()), (Some(8637), Some("8637"), Some(0o755)));
    assert_eq!(dcache.size(), None);
}

#[test]
fn strange_facts() {
    // As a server answers that was asked for no fact it knows, and one that forgets the last semicolon.
    let none = line("  /a b");
    assert_eq!((none.name(), none.kind()), (&b" /a b"[..], &EntryKind::Unknown));
    assert_eq!(line(" x").facts().count(), 0);
    assert_eq!(line("Type=file;Size=3 x").size(), Some(3));
    assert_eq!(line("Size=1;size=2; x").size(), Some(2));
    assert_eq!(line("Size=1;size=2; x").fact("SIZE"), Some(&b"2"[..]));
    // A wrong time is no time; the text is still there.
    let wrong =
        line("Modify=19700101;Create=20200601123456.5;UNIX.mode=999;UNIX.uid=-1;UNIX.gid=99999999999; x");
    assert_eq!((wrong.modified(), wrong.fact("modify")), (None, Some(&b"19700101"[..])));
    assert_eq!(wrong.created(), Some(unix(1_591_014_896).unwrap() + Duration::from_millis(500)));
    assert_eq!((wrong.unix_mode(), wrong.uid(), wrong.gid()), (None, None, None));
    for mode in ["", "+644", "10000", "77777777777777", "0o644"] {
        assert_eq!(line(format!("UNIX.mode={mode}; x")).unix_mode(), None, "{mode}");
    }
}

#[test]
fn what_is_no_line_of_facts() {
    for bad in ["", "x", "Type=file;", "Type=file; ", " "] {
        assert!(refused(bad).contains("no name"), "{bad}");
    }
    for bad in ["-rw-r--r-- 1 root root 6 Nov 22 13:24 f", "total 12", "Type=file;oops; x"] {
        assert!(refused(bad).contains("without a value"), "{bad}");
    }
    for size in ["", "-5", "99999999999999999999999999", "9223372036854775808", "1k", "+1"] {
        assert!(refused(format!("Type=file;Size={size}; x")).contains("a size that is none"), "{size}");
    }
    assert!(refused(b"Type=file;\x1b[2J=1; x").contains("control byte"));
    assert!(refused([&b"Type=file; "[..], &[b'x'; MAX_LINE]].concat()).contains("more than 65536 bytes"));
}

#[test]
fn mlst_replies() {
    let reply = |code, lines: &[&'static str]| {
        parse_mlst(&Reply::new(code, lines.iter().copied().map(Bytes::from).collect()))
    };
    let globus = reply(250, &["status of /d/ a b;c", " Type=file;Size=0; /d/ a b;c", "End."]).unwrap();
    assert_eq!((globus.name(), globus.size()), (&b"/d/ a b;c"[..], Some(0)));
    let dcache = reply(250, &[" Listing .", " Type=dir; /litvinse", "End"]).unwrap();
    assert!(dcache.is_dir());
    assert!(reply(250, &["Begin", "type=file;size=1; /x", "End"]).unwrap().is_file());
    for bad in [&["x"][..], &[], &["x", "End"], &["x", "oops", "End"], &["x", "", "End"]] {
        assert_eq!(reply(250, bad).unwrap_err().kind(), ErrorKind::Protocol, "{bad:?}");
    }
    assert!(reply(213, &["x", " Type=file; /x", "End"]).unwrap_err().to_string().contains("expected 250"));
}

#[test]
fn entries_are_small_and_shown_escaped() {
    assert!(size_of::<Entry>() <= 112, "{}", size_of::<Entry>());
    let shown = format!("{:?}", line(b"Type=file; a\x1b[2J\xff"));
    assert!(shown.contains("\\u{1b}[2J\\xff") && !shown.contains('\x1b'), "{shown}");
}

proptest! {
    #[test]
    fn never_panics(bytes in any::<Vec<u8>>(), near in "(Type|Size|Modify|UNIX.mode|UNIX.slink|Create)=[\\x00-\\xff]{0,12};? ?\\PC{0,8}") {
        for text in [&bytes[..], near.as_bytes()] {
            if let Ok(entry) = parse_line(text) {
                prop_assert!(text.ends_with(entry.name()) && !entry.name().is_empty());
                let _ = (entry.unix_mode(), entry.uid(), entry.gid(), entry.created(), entry.link_target(), format!("{entry:?}"));
            }
        }
    }

    #[test]
    fn facts_and_names_survive(name in proptest::collection::vec(any::<u8>(), 1..30), size in 0..=i64::MAX.unsigned_abs(),
        word in "[!-:<-~]{0,20}")
    {
        let text = [format!("Type=file;size={size};X.y={word}; ").as_bytes(), &name[..]].concat();
        let entry = line(text);
        prop_assert_eq!(entry.name(), &name[..]);
        prop_assert_eq!(entry.size(), Some(size));
        prop_assert_eq!(entry.fact("x.Y"), Some(word.as_bytes()));
    }
}
