//! The single values that `SIZE`, `MDTM`, `CKSM` and `PWD` answer with (RFC 3659 §3 and §4, GFD.47 §4, RFC 959 §4.1).

use std::time::SystemTime;

use crate::error::{Reply, Result};
use crate::protocol::command::is_control;
use crate::protocol::time::parse_time;
use crate::protocol::{excerpt, expect_code, violation};
use crate::types::{Checksum, ChecksumAlgorithm};

/// Decimal digits and nothing else, up to 2^63 - 1: what no file can be is a mistake or an attack.
pub(crate) fn parse_size(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.len() <= 32 && digits.iter().all(u8::is_ascii_digit);
    let value = plain.then(|| std::str::from_utf8(digits).ok()?.parse::<u64>().ok())??;
    i64::try_from(value).is_ok().then_some(value)
}

/// The number in `213 4096`.
///
/// # Errors
/// `Protocol` for another code and for anything but a number up to 2^63 - 1.
pub(crate) fn size_reply(reply: &Reply) -> Result<u64> {
    expect_code(reply, 213)?;
    let text = only_line(reply);
    parse_size(text)
        .ok_or_else(|| violation(format!("expected a size in bytes, the server said {}", excerpt(text))))
}

/// The time in `213 20261122132452`.
///
/// # Errors
/// `Protocol` for another code and for anything but a time.
pub(crate) fn modified_reply(reply: &Reply) -> Result<SystemTime> {
    expect_code(reply, 213)?;
    let text = only_line(reply);
    parse_time(text).ok_or_else(|| {
        violation(format!("expected a time YYYYMMDDHHMMSS, the server said {}", excerpt(text)))
    })
}

/// The digits in `213 0ad50045`.
///
/// # Errors
/// `Protocol` for another code and for anything but a value of this algorithm.
pub(crate) fn checksum_reply(reply: &Reply, algorithm: &ChecksumAlgorithm) -> Result<Checksum> {
    expect_code(reply, 213)?;
    let text = only_line(reply);
    let refused = || violation(format!("expected a value of {algorithm}, the server said {}", excerpt(text)));
    let digits = std::str::from_utf8(text).map_err(|_| refused())?;
    Checksum::from_hex(algorithm.clone(), digits).map_err(|_| refused())
}

/// The path in `257 "/a ""quoted"" path" is the current folder`, without its quotes.
///
/// # Errors
/// `Protocol` for another code and for anything but an absolute path without control bytes.
pub(crate) fn folder_reply(reply: &Reply) -> Result<Vec<u8>> {
    expect_code(reply, 257)?;
    let text = only_line(reply);
    let refused = || violation(format!("expected a quoted absolute path, the server said {}", excerpt(text)));
    let begin = text.iter().position(|&byte| byte == b'"').ok_or_else(refused)? + 1;
    let mut path = Vec::new();
    let mut rest = text[begin..].iter().peekable();
    loop {
        match rest.next() {
            Some(b'"') if rest.peek() == Some(&&b'"') => {
                rest.next();
                path.push(b'"');
            }
            Some(b'"') => break,
            Some(&byte) if !is_control(byte) => path.push(byte),
            Some(_) | None => return Err(refused()),
        }
    }
    if path.starts_with(b"/") { Ok(path) } else { Err(refused()) }
}

fn only_line(reply: &Reply) -> &[u8] {
    let mut lines = reply.lines();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.trim_ascii(),
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn reply(code: u16, lines: &[&'static str]) -> Reply {
        Reply::new(code, lines.iter().copied().map(Bytes::from).collect())
    }

    #[test]
    fn checksums() {
        let read = |text: &'static str| checksum_reply(&reply(213, &[text]), &ChecksumAlgorithm::Adler32);
        assert_eq!(read("f9d87af8").unwrap().bytes(), [0xf9, 0xd8, 0x7a, 0xf8]);
        assert_eq!(read(" AD50045 ").unwrap().to_hex(), "0ad50045");
        for bad in ["", "x", "f9d87af8 f", "123456789", "-1", "\u{ff11}"] {
            let error = read(bad).unwrap_err();
            assert!(error.kind() == crate::ErrorKind::Protocol, "{bad}");
            assert!(error.to_string().contains("expected a value of ADLER32"), "{error}");
        }
        assert!(checksum_reply(&reply(200, &["1"]), &ChecksumAlgorithm::Adler32).is_err());
        assert!(checksum_reply(&reply(213, &["1", "2"]), &ChecksumAlgorithm::Adler32).is_err());
    }

    #[test]
    fn folders() {
        let read = |text: &'static str| folder_reply(&reply(257, &[text]));
        assert_eq!(read("\"/a b\" is current directory.").unwrap(), b"/a b");
        assert_eq!(read("\"/\"").unwrap(), b"/");
        assert_eq!(read("\"/say \"\"hi\"\"\" it is").unwrap(), b"/say \"hi\"");
        for bad in ["", "/a", "\"/a", "\"a\"", "\"\"", "\"/a\"\"", "\"/a\tb\""] {
            assert!(read(bad).unwrap_err().to_string().contains("expected a quoted absolute path"), "{bad}");
        }
        assert!(folder_reply(&reply(250, &["\"/\""])).is_err());
    }

    #[test]
    fn sizes() {
        for (text, size) in
            [("0", 0), ("5497558138880", 5_497_558_138_880), (" 6 ", 6), ("9223372036854775807", 1 << 63)]
        {
            assert_eq!(
                size_reply(&reply(213, &[text])).unwrap(),
                size - u64::from(size == 1 << 63),
                "{text}"
            );
        }
        for bad in [
            "",
            "-5",
            "+5",
            "5 bytes",
            "0x10",
            "9223372036854775808",
            "99999999999999999999999999",
            "1e3",
            "1\u{a0}",
        ] {
            let error = size_reply(&reply(213, &[bad])).unwrap_err();
            assert!(error.to_string().contains("expected a size"), "{error}");
        }
        assert!(size_reply(&reply(213, &["1", "2"])).is_err());
        assert!(size_reply(&reply(213, &[])).is_err());
        assert!(size_reply(&reply(200, &["1"])).unwrap_err().to_string().contains("expected 213"));
    }

    #[test]
    fn times() {
        let time = modified_reply(&reply(213, &["19700101000001"])).unwrap();
        assert_eq!(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), 1);
        for bad in ["", "nonsense", "20261322132452", "1"] {
            let error = modified_reply(&reply(213, &[bad])).unwrap_err();
            assert!(error.to_string().contains("expected a time"), "{error}");
        }
    }
}
