//! URLs, which users write, and commands, which go to servers.

use super::{refused, shown};
use crate::error::ErrorKind;
use crate::protocol::command::{Command, is_control};
use crate::url::Url;

/// Two passwords of one length and kind.
const SECRETS: [&str; 2] = ["xyzzy-31337", "plugh-40961"];

/// The text as a URL, and parts of it around a password.
pub(super) fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Url::parse(text) {
        Ok(url) => sound(&url),
        Err(error) => refused(&error, ErrorKind::InvalidInput),
    }
    // Whatever stands around a password, nothing shows it: neither the URL nor what is wrong with it.
    let mut parts = text.splitn(3, '\n');
    let [before, behind, rest] = [(); 3].map(|()| parts.next().unwrap_or_default());
    if before.contains('/') || behind.contains('/') {
        return;
    }
    // Compared, as a URL can be made that has the one of them somewhere else, in other letters.
    let said =
        SECRETS.map(|secret| match Url::parse(&format!("gsiftp://{before}:{secret}{behind}@{rest}")) {
            Ok(url) => {
                sound(&url);
                format!("{url} {url:?}")
            }
            Err(error) => {
                refused(&error, ErrorKind::InvalidInput);
                format!("{error} {error:?}")
            }
        });
    assert_eq!(said[0], said[1], "a password is shown");
}

fn sound(url: &Url) {
    let text = url.to_string();
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    assert!(url.path().starts_with(b"/") && !url.path().iter().any(|&byte| is_control(byte)));
    assert!(url.port() != 0 && !url.host().is_empty());
    assert!(!url.host().bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii_graphic()));
    assert!(!url.host().starts_with('-'), "a host that is an option");
    assert!(url.user().is_none_or(|user| !user.bytes().any(is_control)));
    shown(&format!("{url:?}"), text.len() + 5);
    // The canonical form is the same URL without its password, and its own canonical form.
    let Ok(again) = Url::parse(&text) else { panic!("{text} cannot be read again") };
    assert_eq!(again.to_string(), text);
    assert_eq!((again.endpoint(), again.user(), again.path()), (url.endpoint(), url.user(), url.path()));
    if let (Some(parent), Some(name)) = (again.parent(), again.file_name()) {
        assert!(parent.path().len() < again.path().len());
        assert!(again.path().windows(name.len()).any(|part| part == name));
    }
    if let Ok(child) = again.join("name") {
        assert_eq!(child.file_name(), Some(&b"name"[..]));
    }
}

/// An argument that somebody wants to send.
pub(super) fn command(data: &[u8]) {
    match Command::with("RETR", data) {
        Ok(command) => {
            assert_eq!(command.as_bytes(), [b"RETR ", data].concat());
            assert!(!command.as_bytes().iter().any(|&byte| is_control(byte)), "a second command");
            shown(&command.to_string(), 2000);
        }
        Err(error) => {
            refused(&error, ErrorKind::InvalidInput);
            assert!(data.iter().any(|&byte| is_control(byte)) || data.len() > 16 * 1024);
        }
    }
    for verb in ["PASS", "ACCT", "ADAT"] {
        let shown = match Command::with(verb, data) {
            Ok(command) => format!("{command} {command:?}"),
            Err(error) => error.to_string(),
        };
        // Nothing but its length, and where a byte that cannot be sent is.
        let known = |length: usize| match Command::with(verb, vec![b'a'; length]) {
            Ok(command) => format!("{command} {command:?}"),
            Err(error) => error.to_string(),
        };
        let bad = data.iter().position(|&byte| is_control(byte));
        assert!(bad.is_some() || shown == known(data.len()), "{shown}");
        assert!(bad.is_none() || shown.len() < 200, "{shown}");
    }
}
