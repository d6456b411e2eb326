//! Lines of MLSx and LIST.

use std::time::{Duration, SystemTime};

use super::{lines, pieces, refused, shown};
use crate::error::{ErrorKind, Reply, Result};
use crate::protocol::listing::{Decoder, Form};
use crate::protocol::{list, mlsx};
use crate::types::Entry;
use crate::url::Url;

/// A line of facts, a reply to MLST, and a whole listing of MLSD.
pub(super) fn mlsx(data: &[u8]) {
    match mlsx::parse_line(data) {
        Ok(entry) => {
            let line = [&entry.facts, &b" "[..], entry.name()].concat();
            assert_eq!(line, data, "what was read is what was sent");
            sound(&entry);
        }
        Err(error) => refused(&error, ErrorKind::Protocol),
    }
    match mlsx::parse_mlst(&Reply::new(250, lines(data))) {
        Ok(entry) => sound(&entry),
        Err(error) => refused(&error, ErrorKind::Protocol),
    }
    whole_listing(Form::Facts, data);
}

/// A line of LIST, and a whole listing.
pub(super) fn list(data: &[u8]) {
    // 22 November 2026: what a line means must not depend on the day of the run.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600);
    match list::parse_line(data, now) {
        Ok(Some(entry)) => {
            assert!(data.windows(entry.name().len()).any(|part| part == entry.name()), "a name from nowhere");
            if let Some(size) = entry.size() {
                assert_eq!(entry.fact("Size"), Some(size.to_string().as_bytes()), "{entry:?}");
            }
            sound(&entry);
        }
        Ok(None) => {}
        Err(error) => refused(&error, ErrorKind::Protocol),
    }
    whole_listing(Form::Verbose { now }, data);
}

/// What everybody relies on who is given an entry.
fn sound(entry: &Entry) {
    assert!(!entry.name().is_empty());
    assert!(entry.size().is_none_or(|size| i64::try_from(size).is_ok()));
    assert!(!entry.facts.iter().any(|byte| *byte < 0x20 || *byte == 0x7f), "{entry:?}");
    assert!(entry.unix_mode().is_none_or(|mode| mode <= 0o7777));
    // Each byte may be shown as `\u{7f}`, twice if it is in the kind as well.
    shown(&format!("{entry:?}"), 16 * (entry.name().len() + entry.facts.len()) + 300);
    let _ = (entry.created(), entry.modified(), entry.owner(), entry.uid(), entry.group(), entry.gid());
    let _ = (entry.permissions(), entry.unique(), entry.link_target(), entry.is_symlink(), entry.is_dir());
    for (name, value) in entry.facts() {
        assert!(!name.contains(&b'=') && !value.contains(&b';'));
    }
    let Ok(folder) = Url::parse("ftp://h/a/b") else { return };
    // A safe name stays in its folder, or cannot be sent at all.
    if entry.is_safe_child()
        && let Ok(child) = folder.join(entry.name())
    {
        assert_eq!(child.parent().as_ref(), Some(&folder), "{child}");
        assert_eq!(child.file_name(), Some(entry.name()));
    }
}

/// What is comparable of an entry or an error.
type Seen = std::result::Result<Entry, String>;

/// The entries do not depend on how the listing was cut up on its way.
fn whole_listing(form: Form, data: &[u8]) {
    let (whole, pieces) = pieces(data);
    let at_once = decoded(form, std::iter::once(bytes::Bytes::copy_from_slice(whole)));
    let cut_up = decoded(form, pieces);
    assert_eq!(at_once, cut_up, "the pieces mattered");
    assert!(at_once.0.len() <= whole.iter().filter(|byte| **byte == b'\n').count() + 1);
}

/// Everything up to the end, or to the error that ends a listing.
fn decoded(form: Form, pieces: impl Iterator<Item = bytes::Bytes>) -> (Vec<Seen>, Option<String>) {
    let mut decoder = Decoder::new(form);
    let mut seen = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        if let Err(error) = drain(&mut decoder, &mut seen) {
            return (seen, Some(error.to_string()));
        }
    }
    decoder.finish();
    let end = drain(&mut decoder, &mut seen).err().map(|error| error.to_string());
    (seen, end)
}

fn drain(decoder: &mut Decoder, seen: &mut Vec<Seen>) -> Result<()> {
    while let Some(entry) = decoder.next()? {
        if let Ok(entry) = &entry {
            sound(entry);
        }
        seen.push(entry.map_err(|error| error.to_string()));
    }
    Ok(())
}
