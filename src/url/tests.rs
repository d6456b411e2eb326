//! Every part of a URL: what is accepted, what is refused and how that is told, and that it survives being shown.

use std::collections::HashSet;

use percent_encoding::NON_ALPHANUMERIC;
use proptest::prelude::*;

use super::parse::{MAX_PATH, MAX_TEXT};
use super::*;
use crate::ErrorKind;
use crate::protocol::command::is_control;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// The message of a refusal, which is always `InvalidInput` and always fit to be shown.
fn refused(text: &str) -> String {
    let error = Url::parse(text).expect_err(text);
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let shown = error.to_string();
    assert!(shown.contains("expected"), "{shown}");
    assert!(shown.len() < 600 && !shown.bytes().any(is_control), "{shown:?}");
    shown
}

#[test]
fn parts_and_defaults() {
    let u = url("gsiftp://DTN.Example.org/data/x");
    assert_eq!((u.scheme(), u.host(), u.port()), (Scheme::Gsiftp, "dtn.example.org", 2811));
    assert_eq!(u.path(), b"/data/x");
    assert_eq!((u.user(), u.password()), (None, None));
    assert_eq!(url("FTP://h").port(), 21);
    assert_eq!(url("sshftp://h").port(), 22);
    assert_eq!(url("ftp://h:65535/").port(), 65535);
    assert_eq!(url("ftp://h:2811").to_string(), "ftp://h:2811/");
    assert_eq!(url("gsiftp://h:2811").to_string(), "gsiftp://h/");
    assert_eq!(url("ftp://h").path(), b"/");
    let u = url("ftp://us%40er:p%3Aw:x@h:99/");
    assert_eq!((u.user(), u.password(), u.port()), (Some("us@er"), Some("p:w:x"), 99));
}

#[test]
fn hosts() {
    for good in ["a", "a-b.c_d", "1.2.3.4", "h.", "3com.example", "xn--bcher-kva.example", "a1"] {
        assert_eq!(url(&format!("ftp://{good}/")).host(), good);
    }
    let v6 = url("ftp://[0:0:0::1]:2121/x");
    assert_eq!((v6.host(), v6.port()), ("::1", 2121));
    assert_eq!(v6.to_string(), "ftp://[::1]:2121/x");
    assert_eq!(url("ftp://[::ffff:1.2.3.4]").host(), "::ffff:1.2.3.4");
    for bad in [
        "",
        "-oProxyCommand=x",
        "-h",
        "a b",
        "a..b",
        ".a",
        ".",
        "a%41",
        "a\\b",
        "h\u{e4}",
        "::1",
        "1.2.3",
        "127.1",
    ] {
        let shown = refused(&format!("ftp://{bad}/x"));
        assert!(shown.contains("URL host") || shown.contains("URL port"), "{shown}");
    }
    for bad in [
        "256.1.1.1",
        "1.2.3.4.",
        "0x7f000001",
        "2130706433",
        "[::1",
        "[::1]x",
        "[fe80::1%25eth0]",
        "[]",
        "[1.2.3.4]",
    ] {
        assert!(refused(&format!("ftp://{bad}/x")).contains("URL host"));
    }
    assert!(refused(&format!("ftp://{}/", "a".repeat(254))).contains("at most 253"));
    assert!(refused("gsiftp:///etc/passwd").contains("URL host \"\": expected a host name"));
    assert!(refused("ftp://:21/x").contains("URL host \"\""));
}

#[test]
fn ports() {
    for bad in ["0", "00", "65536", "99999", "-1", "+21", "", "x", "21 ", "٢", "99999999999999999999"] {
        let shown = refused(&format!("gsiftp://h:{bad}/x"));
        assert!(shown.contains(&format!("URL port \"{bad}\": expected a number from 1 to 65535")), "{shown}");
    }
    // As seen in the C library, whose parser drops into the path here.
    assert!(refused("ftp://h:21;x/../y").contains("URL port \"21;x\""));
}

#[test]
fn schemes() {
    for bad in ["http://h/", "file:///x", "://h/", "gridftp://h", "ft\np://h/"] {
        assert!(refused(bad).contains("ftp://, gsiftp:// or sshftp://"));
    }
    for bad in ["", "h", "/etc/passwd", "gsiftp:/h/x", "gsiftp:h"] {
        assert!(refused(bad).contains("to begin with ftp://"), "{bad}");
    }
}

#[test]
fn control_bytes_are_refused_wherever_and_however_written() {
    for byte in (0..0x20_u8).chain([0x7f]) {
        let raw = char::from(byte);
        for (text, part) in [
            (format!("ftp://h/a{raw}b"), "URL path"),
            (format!("ftp://h/a%{byte:02x}b"), "URL path"),
            (format!("ftp://h/a%{byte:02X}DELE /victim"), "URL path"),
            (format!("ftp://u{raw}@h/"), "user name"),
            (format!("ftp://u%{byte:02x}@h/"), "user name"),
            (format!("ftp://u:p{raw}@h/"), "password"),
            (format!("ftp://u:p%{byte:02x}@h/"), "password"),
            (format!("ftp://h{raw}/"), "URL host"),
            (format!("ftp://h%{byte:02x}/"), "URL host"),
            (format!("ftp://h:2{raw}1/"), "URL port"),
        ] {
            let shown = refused(&text);
            assert!(shown.contains(part), "{text:?}: {shown}");
        }
        assert!(refused(&format!("ftp://h/a%{byte:02x}b")).contains(&format!("found 0x{byte:02x}")));
        for name in [&[byte][..], &[b'a', byte], &[byte, b'a']] {
            assert_eq!(url("ftp://h/").join(name).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert!(url("ftp://h/").with_path([b"/", name].concat()).is_err());
        }
    }
}

#[test]
fn escapes_fragments_and_queries() {
    for bad in ["%", "%4", "%ZZ", "%4G", "%%41", "%+1", "%-1", "% 1"] {
        let shown = refused(&format!("ftp://h/a{bad}"));
        assert!(shown.contains("URL path") && shown.contains("two hexadecimal digits"), "{shown}");
    }
    assert!(refused("ftp://h/a#b").contains("expected %23 for a #"));
    assert!(refused("ftp://h/a?b").contains("expected %3F for a ?"));
    assert_eq!(url("ftp://h/a%23b%3Fc%25").path(), b"/a#b?c%");
    assert_eq!(url("ftp://h/a%23b%3Fc%25").to_string(), "ftp://h/a%23b%3Fc%25");
}

#[test]
fn userinfo() {
    assert!(refused("ftp://a@b@h/").contains("more than one @"));
    assert!(refused("ftp://@h/").contains("user name"));
    assert!(refused("ftp://:secret@h/").contains("user name"));
    assert!(refused("ftp://%ff@h/").contains("user name \"%ff\": expected UTF-8"));
    assert!(refused("ftp://u%zz@h/").contains("two hexadecimal digits"));
    assert!(refused(&format!("ftp://{}@h/", "u".repeat(1025))).contains("at most 1024"));
    // An @ in the path is a character like any other.
    assert_eq!(url("ftp://h/a@b").user(), None);
}

#[test]
fn a_password_is_never_shown() {
    let u = url("ftp://alice:hunter2@h/x");
    assert_eq!(u.password(), Some("hunter2"));
    assert_eq!(u.to_string(), "ftp://alice@h/x");
    assert_eq!(format!("{u:?}"), "Url(ftp://alice@h/x)");
    for bad in [
        "ftp://alice:hunter2@h:0/x",
        "ftp://alice:hunter2@/x",
        "ftp://alice:hunter2@b@h/x",
        "ftp://alice:hunter2%0d@h/x",
        "ftp://alice:hunter2%@h/x",
        "ftp://alice:hunter2#@h/x",
        "ftp://alice:hunter2@h/%0d",
        "http://alice:hunter2@h/",
        "ftp:alice:hunter2@h/",
    ] {
        assert!(!refused(bad).contains("hunter"), "{bad}");
    }
    // With and without are two different things to log in with.
    assert_ne!(u, url("ftp://alice@h/x"));
    assert_eq!(u.endpoint(), url("ftp://h/y").endpoint());
}

#[test]
fn paths_as_servers_want_them() {
    for (text, path, server) in [
        ("ftp://h", "/", "/"),
        ("ftp://h/", "/", "/"),
        ("ftp://h/x y", "/x y", "/x y"),
        ("ftp://h//abs//x", "//abs//x", "//abs//x"),
        ("ftp://h/%2Fetc", "//etc", "//etc"),
        ("ftp://h/~/x", "/~/x", "~/x"),
        ("ftp://h/%7Eu/x", "/~u/x", "~u/x"),
        ("ftp://h/~", "/~", "~"),
        ("ftp://h//~x", "//~x", "//~x"),
        ("ftp://h/a/~x", "/a/~x", "/a/~x"),
        ("ftp://h/a/../b/./c", "/a/../b/./c", "/a/../b/./c"),
        ("ftp://h/\u{e4}", "/\u{e4}", "/\u{e4}"),
        ("ftp://h/x;type=i", "/x;type=i", "/x;type=i"),
        ("ftp://h/-rf", "/-rf", "/-rf"),
    ] {
        let u = url(text);
        assert_eq!((u.path(), &*u.server_path()), (path.as_bytes(), server.as_bytes()), "{text}");
    }
    let u = url("ftp://h/%FF%80/caf%c3%a9");
    assert_eq!(u.path(), b"/\xff\x80/caf\xc3\xa9");
    assert_eq!(u.to_string(), "ftp://h/%FF%80/caf%C3%A9");
    assert_eq!(url("ftp://h/a+b,c=d:e@f ~$'").to_string(), "ftp://h/a+b,c=d:e@f%20~%24%27");
}

#[test]
fn joining() {
    let join = |base: &str, name: &[u8]| url(base).join(name).unwrap().to_string();
    assert_eq!(join("ftp://h", b"a"), "ftp://h/a");
    assert_eq!(join("ftp://h/d", b"a/b"), "ftp://h/d/a/b");
    assert_eq!(join("ftp://h/d/", b"a"), "ftp://h/d/a");
    assert_eq!(join("ftp://h/~", b"a"), "ftp://h/~/a");
    assert_eq!(join("ftp://h//", b"a"), "ftp://h//a");
    assert_eq!(join("ftp://h/d", b"%41\xff#"), "ftp://h/d/%2541%FF%23");
    // A name in the root folder that begins with ~ is not a home folder.
    let tilde = url("ftp://h/").join("~root").unwrap();
    assert_eq!((tilde.path(), &*tilde.server_path()), (&b"//~root"[..], &b"//~root"[..]));
    for bad in ["", "/a", "/"] {
        let error = url("ftp://h/d").join(bad).unwrap_err();
        assert!(error.to_string().contains("name to join"), "{error}");
    }
    assert!(
        url("ftp://h/d").join("a".repeat(MAX_PATH)).unwrap_err().to_string().contains("at most 15360 bytes")
    );
    let with = url("ftp://u:p@h/d").with_path(&b"/\xfe"[..]).unwrap();
    assert_eq!((with.path(), with.password()), (&b"/\xfe"[..], Some("p")));
    assert!(url("ftp://h/d").with_path("x").unwrap_err().to_string().contains("begin with /"));
    assert_eq!(url("ftp://h/d").with_path("").unwrap().path(), b"/");
}

#[test]
fn names_and_parents() {
    for (path, name, parent) in [
        ("/", None, None),
        ("//", None, None),
        ("/~", None, None),
        ("/~u/", None, None),
        ("/a", Some("a"), Some("/")),
        ("//a", Some("a"), Some("//")),
        ("//~a", Some("~a"), Some("//")),
        ("/a/b", Some("b"), Some("/a")),
        ("/a//b//", Some("b"), Some("/a")),
        ("/~/x", Some("x"), Some("/~")),
        ("/a/..", None, Some("/a")),
        ("/a/.", None, Some("/a")),
    ] {
        let u = url("ftp://u:p@h/").with_path(path).unwrap();
        assert_eq!(u.file_name(), name.map(str::as_bytes), "{path}");
        assert_eq!(u.parent().map(|up| up.path().to_vec()), parent.map(|p| p.as_bytes().to_vec()), "{path}");
        assert!(u.parent().is_none_or(|up| up.password() == Some("p")));
    }
}

#[test]
fn lengths_are_bounded() {
    let path = "%ff".repeat(MAX_PATH - 1);
    let longest = url(&format!("ftp://h/{path}"));
    assert_eq!(url(&longest.to_string()), longest);
    assert!(crate::protocol::command::Command::with("RETR", longest.server_path()).is_ok());
    assert!(refused(&format!("ftp://h/{path}a")).contains("at most 15360 bytes"));
    assert!(refused(&format!("ftp://h/{}", "a".repeat(MAX_TEXT))).contains("at most 65536"));
}

#[test]
fn conversions() {
    fn take(url: impl IntoUrl) -> Url {
        url.into_url().unwrap()
    }
    let text = String::from("ftp://h/x");
    let parsed: Url = text.parse().unwrap();
    let all: HashSet<Url> =
        [take(&text), take(&parsed), take(text.as_str()), take(text), take(parsed)].into();
    assert_eq!(all.len(), 1);
    assert_eq!(url("gsiftp://[::1]:2811/x").endpoint().to_string(), "gsiftp://[::1]");
}

/// Bytes a path may hold.
fn allowed() -> impl Strategy<Value = u8> {
    any::<u8>().prop_filter("control byte", |&byte| !is_control(byte))
}

proptest! {
    #[test]
    fn display_and_parse_are_inverse(
        path in proptest::collection::vec(allowed(), 0..60),
        name in proptest::collection::vec(allowed(), 1..20),
        user in proptest::option::of("[^\\x00-\\x1f\\x7f]{1,12}"),
        port in 1_u16..,
        host in "[a-z][a-z0-9]{0,8}|\\[::[1-9a-f]\\]")
    {
        let user = user.map(|user| format!("{}@", percent_encode(user.as_bytes(), NON_ALPHANUMERIC))).unwrap_or_default();
        let base = url(&format!("gsiftp://{user}{host}:{port}"));
        let mut full = b"/".to_vec();
        full.extend(path);
        let u = base.with_path(full.clone()).unwrap();
        prop_assert_eq!(u.path(), &full[..]);
        prop_assert_eq!(&url(&u.to_string()), &u);
        prop_assert!(u.to_string().is_ascii());
        if let Ok(joined) = u.join(&name) {
            prop_assert!(joined.path().starts_with(u.path()) && joined.path().ends_with(&name));
            prop_assert_eq!(&url(&joined.to_string()), &joined);
            prop_assert!(joined.parent().is_some() || name.iter().all(|&byte| byte == b'/') || full.starts_with(b"/~"));
        } else {
            prop_assert_eq!(name[0], b'/');
        }
    }

    #[test]
    fn nothing_that_parses_can_break_a_command(text in "(ftp://h/|gsiftp://u:p@h)?(\\PC|%[0-9a-fA-F]{2}|[\\x00-\\x20]|[@:/%#?~.\\[\\]]){0,30}") {
        if let Ok(u) = Url::parse(&text) {
            prop_assert!(!u.server_path().iter().any(|&byte| is_control(byte)));
            prop_assert!(!u.server_path().is_empty() && u.path()[0] == b'/');
            let all = [Some(u.host()), u.user(), u.password()];
            prop_assert!(!all.into_iter().flatten().any(|part| part.bytes().any(is_control)));
            prop_assert!(!u.to_string().bytes().any(is_control));
        }
    }
}
