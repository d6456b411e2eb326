//! The single values that `SIZE` and `MDTM` answer with (RFC 3659 §3 and §4).

use std::time::SystemTime;

use crate::error::{Reply, Result};
use crate::protocol::time::parse_time;
use crate::protocol::{excerpt, expect_code, violation};

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
