//! The markers that a receiving server sends while a transfer runs: ranges (111) and performance (112), GFD.20.

use std::time::{Duration, SystemTime};

use crate::error::Reply;
use crate::protocol::value::parse_size;
use crate::types::{Marker, PerfMarker, RangeSet};

/// Most lines of a performance marker that are looked at; servers send six.
const MAX_LINES: usize = 32;

/// The marker in a preliminary reply; `None` when it is another reply, or a marker that is not of the form. Markers tell how
/// far a transfer is and decide nothing, so a strange one is no reason to end it.
pub(crate) fn parse(reply: &Reply) -> Option<Marker> {
    match reply.code() {
        111 => range_marker(reply).map(Marker::Range),
        112 => perf_marker(reply).map(Marker::Performance),
        _ => None,
    }
}

/// `Range Marker 0-10,20-30`.
fn range_marker(reply: &Reply) -> Option<RangeSet> {
    let mut lines = reply.lines();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let line = line.trim_ascii();
    let (words, list) = line.split_at_checked("Range Marker".len())?;
    words.eq_ignore_ascii_case(b"Range Marker").then(|| ranges(list.trim_ascii()))?
}

/// A list of `begin-end`, the end not belonging to the range, with commas between and blanks behind them.
pub(crate) fn ranges(text: &[u8]) -> Option<RangeSet> {
    let mut set = RangeSet::new();
    for range in text.split(|&byte| byte == b',') {
        let range = range.trim_ascii();
        let hyphen = range.iter().position(|&byte| byte == b'-')?;
        let (start, end) = (parse_size(&range[..hyphen])?, parse_size(&range[hyphen + 1..])?);
        if start > end {
            return None;
        }
        set.insert(start..end);
    }
    Some(set)
}

/// One fact per line, `Name: value`, between `Perf Marker` and `End`. Only the number of bytes has to be there.
fn perf_marker(reply: &Reply) -> Option<PerfMarker> {
    let mut marker = PerfMarker { time: None, stripe: 0, stripes: 1, bytes: 0 };
    let mut told = false;
    for line in reply.lines().take(MAX_LINES) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            continue;
        };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        let number = || u32::try_from(parse_size(value)?).ok();
        if name.eq_ignore_ascii_case(b"Timestamp") {
            marker.time = time(value);
        } else if name.eq_ignore_ascii_case(b"Stripe Index") {
            marker.stripe = number()?;
        } else if name.eq_ignore_ascii_case(b"Total Stripe Count") {
            marker.stripes = number()?;
        } else if name.eq_ignore_ascii_case(b"Stripe Bytes Transferred") {
            marker.bytes = parse_size(value)?;
            told = true;
        }
    }
    told.then_some(marker)
}

/// Seconds since 1970 with an optional fraction.
fn time(text: &[u8]) -> Option<SystemTime> {
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let seconds = parse_size(parts.next()?)?;
    let fraction = match parts.next() {
        None => 0,
        Some(digits) => {
            let digits = &digits[..digits.len().min(9)];
            let places = u32::try_from(digits.len()).ok()?;
            u32::try_from(parse_size(digits)?).ok()? * 10_u32.pow(9 - places)
        }
    };
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, fraction))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn reply(code: u16, lines: &[&str]) -> Reply {
        Reply::new(code, lines.iter().map(|line| Bytes::copy_from_slice(line.as_bytes())).collect())
    }

    fn range(text: &str) -> Option<String> {
        match parse(&reply(111, &[text]))? {
            Marker::Range(set) => Some(set.to_string()),
            Marker::Performance(_) => None,
        }
    }

    #[test]
    fn range_markers() {
        for (text, list) in [
            ("Range Marker 0-10,20-30", "0-10,20-30"),
            ("Range Marker 0-262144", "0-262144"),
            ("range marker  0-5, 5-9 ", "0-9"),
            ("Range Marker 7-7", "0-0"),
        ] {
            assert_eq!(range(text).as_deref(), Some(list), "{text}");
        }
        for bad in [
            "",
            "Range Marker",
            "Range Marker x",
            "Range Marker 5",
            "Range Marker 9-5",
            "Range Marker 0-9223372036854775808",
            "Range Marker 0-10,",
            "Status Marker 0-10",
            "é",
        ] {
            assert_eq!(range(bad), None, "{bad}");
        }
        assert_eq!(parse(&reply(111, &["Range Marker 0-1", "0-2"])), None);
        assert_eq!(parse(&reply(111, &[])), None);
        assert_eq!(parse(&reply(150, &["Range Marker 0-1"])), None);
    }

    #[test]
    fn performance_markers() {
        let lines = [
            "Perf Marker",
            " Timestamp:  1795365000.7",
            " Stripe Index: 1",
            " Stripe Bytes Transferred: 5497558138880",
            " Total Stripe Count: 2",
            "End.",
        ];
        let Some(Marker::Performance(marker)) = parse(&reply(112, &lines)) else { panic!("a marker") };
        assert_eq!((marker.stripe, marker.stripes, marker.bytes), (1, 2, 5_497_558_138_880));
        let time = marker.time.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!((time.as_secs(), time.subsec_millis()), (1_795_365_000, 700));

        let Some(Marker::Performance(marker)) =
            parse(&reply(112, &["Perf Marker", " Stripe Bytes Transferred: 0", "End"]))
        else {
            panic!("a marker")
        };
        assert_eq!((marker.time, marker.stripe, marker.stripes, marker.bytes), (None, 0, 1, 0));

        for bad in [
            &["Perf Marker", "End"][..],
            &["Perf Marker", " Stripe Bytes Transferred: -1", "End"],
            &["Perf Marker", " Stripe Bytes Transferred: 9223372036854775808", "End"],
            &["Perf Marker", " Stripe Index: 4294967296", " Stripe Bytes Transferred: 1", "End"],
        ] {
            assert_eq!(parse(&reply(112, bad)), None, "{bad:?}");
        }
        for odd in ["", ".5", "9223372036854775807", "1.x", "1.123456789123"] {
            let lines = [&format!(" Timestamp: {odd}")[..], " Stripe Bytes Transferred: 1"];
            assert!(matches!(parse(&reply(112, &lines)), Some(Marker::Performance(_))), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn nothing_a_server_says_makes_it_panic(
            code in 111..113_u16,
            lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8),
            numbers in "[0-9.,\\-]{0,60}",
        ) {
            let mut lines: Vec<Bytes> = lines.into_iter().map(Bytes::from).collect();
            lines.push(Bytes::from(format!(" Timestamp: {numbers}")));
            lines.push(Bytes::from(format!(" Stripe Bytes Transferred: {numbers}")));
            let _ = parse(&Reply::new(code, lines));
            let _ = parse(&Reply::new(111, vec![Bytes::from(format!("Range Marker {numbers}"))]));
        }
    }

    #[test]
    fn a_line_of_the_longest_kind_is_read_in_no_time() {
        // In descending order, which is the worst one for lists kept sorted.
        let list: Vec<_> = (0..16_000_u64).rev().map(|n| format!("{}-{}", n * 2, n * 2 + 1)).collect();
        let begun = std::time::Instant::now();
        let Some(Marker::Range(set)) = parse(&reply(111, &[&format!("Range Marker {}", list.join(","))]))
        else {
            panic!("a marker")
        };
        assert_eq!(set.len(), 16_000);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
