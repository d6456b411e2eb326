//! Points in time as servers write them: `YYYYMMDDHHMMSS[.f…]`, always UTC (RFC 3659 §2.3).

use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};

/// The Gregorian calendar is only used for years in which it is meant by everybody.
const YEARS: std::ops::RangeInclusive<u64> = 1601..=9999;
/// Longest text; fractions beyond nanoseconds are cut off, not rounded.
const MAX_TEXT: usize = 64;
/// Days in 400 years, after which the calendar repeats.
const DAYS_PER_ERA: u64 = 146_097;
/// Days from 1 March of year 0 to 1 January 1970.
const EPOCH: u64 = 719_468;
const DAY: u64 = 86_400;

/// `None` for whatever is not a time: another length, a month 13, a 29 February of an ordinary year, a year outside
/// 1601 to 9999. A leap second, `:60`, is the second after `:59`.
pub(crate) fn parse_time(text: &[u8]) -> Option<SystemTime> {
    let (digits, fraction) = text.split_at_checked(14)?;
    let nanos = match fraction {
        [] => 0,
        [b'.', digits @ ..] if !digits.is_empty() && text.len() <= MAX_TEXT => nanos(digits)?,
        _ => return None,
    };
    let field = |from: usize, to: usize| number(&digits[from..to]);
    let (year, month, day) = (field(0, 4)?, field(4, 6)?, field(6, 8)?);
    let (hour, minute, second) = (field(8, 10)?, field(10, 12)?, field(12, 14)?);
    let valid = YEARS.contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !valid {
        return None;
    }
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    let time = match seconds.checked_sub(EPOCH * DAY) {
        Some(after) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(after))?,
        None => SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(EPOCH * DAY - seconds))?,
    };
    time.checked_add(Duration::from_nanos(nanos))
}

/// The 14 digits of `time`, with fractions of a second cut off.
///
/// # Errors
/// `InvalidInput` for a year outside 1601 to 9999.
pub(crate) fn format_time(time: SystemTime) -> Result<String> {
    let refused = || {
        Error::invalid(format!("time {time:?}: expected a year from {} to {}", YEARS.start(), YEARS.end()))
    };
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_secs().checked_add(EPOCH * DAY),
        Err(before) => {
            let before = before.duration();
            let whole = before.as_secs() + u64::from(before.subsec_nanos() > 0);
            (EPOCH * DAY).checked_sub(whole)
        }
    };
    let seconds = seconds.ok_or_else(refused)?;
    let (year, month, day) = date(seconds / DAY);
    if !YEARS.contains(&year) {
        return Err(refused());
    }
    let second = seconds % DAY;
    Ok(format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}", second / 3600, second / 60 % 60, second % 60))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0')))
}

/// The first nine digits of a fraction; all of them must be digits.
fn nanos(digits: &[u8]) -> Option<u64> {
    let (first, rest) = digits.split_at(digits.len().min(9));
    let missing = u32::try_from(9 - first.len()).ok()?;
    let nanos = number(first)? * 10_u64.pow(missing);
    rest.iter().all(u8::is_ascii_digit).then_some(nanos)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1 March of year 0. Years are counted from March, so that the leap day is the last of its year and the
/// months before it follow one pattern: 153 days in five.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1
}

/// The inverse of [`days`].
fn date(days: u64) -> (u64, u64, u64) {
    let (era, day) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    // Leap days so far, taken out so that what is left divides by 365.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (day * 5 + 2) / 153;
    let day = day - (month * 153 + 2) / 5 + 1;
    let year = era * 400 + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unix(text: &str) -> Option<i64> {
        let time = parse_time(text.as_bytes())?;
        Some(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => after.as_secs().cast_signed(),
            Err(before) => -before.duration().as_secs().cast_signed(),
        })
    }

    #[test]
    fn known_points() {
        // From `date -u -d … +%s`.
        for (text, seconds) in [
            ("19700101000000", 0),
            ("20261122132452", 1_795_353_892),
            ("20000229235959", 951_868_799),
            ("19650101000001", -157_766_399),
            ("16010101000000", -11_644_473_600),
            ("99991231235959", 253_402_300_799),
            ("21000228000000", 4_107_456_000),
            ("20161231235960", 1_483_228_800),
        ] {
            assert_eq!(unix(text), Some(seconds), "{text}");
        }
        assert_eq!(unix("20161231235960"), unix("20170101000000"));
    }

    #[test]
    fn fractions() {
        let base = parse_time(b"20200601123456").unwrap();
        let after = |text: &[u8]| parse_time(text).map(|time| time.duration_since(base).unwrap().as_nanos());
        assert_eq!(after(b"20200601123456.7"), Some(700_000_000));
        assert_eq!(after(b"20200601123456.789"), Some(789_000_000));
        assert_eq!(after(b"20200601123456.1234567899999"), Some(123_456_789));
        assert_eq!(after(&[b"20200601123456.".as_slice(), &[b'9'; 49]].concat()), Some(999_999_999));
        assert_eq!(after(&[b"20200601123456.".as_slice(), &[b'9'; 50]].concat()), None);
        // A fraction counts forwards before 1970 too.
        let early = parse_time(b"19650101000001.25").unwrap();
        assert_eq!(SystemTime::UNIX_EPOCH.duration_since(early).unwrap().as_millis(), 157_766_398_750);
        assert_eq!(format_time(early).unwrap(), "19650101000001");
    }

    #[test]
    fn what_is_no_time() {
        for bad in [
            "",
            "2020",
            "2020060112345",
            "202006011234567",
            "191200601123456",
            "20200601123456.",
            "20200601123456,5",
            "20200601123456.5x",
            "20200601123456.123456789x",
            "2020060112345x",
            "-2020601123456",
            "+2020601123456",
            "20200001000000",
            "20201301000000",
            "20200100000000",
            "20200132000000",
            "20210229000000",
            "19000229000000",
            "20200431000000",
            "20200601240000",
            "20200601006000",
            "20200601000061",
            "00000101000000",
            "16001231235959",
            "20200601123456 ",
            " 20200601123456",
        ] {
            assert_eq!(parse_time(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn years_that_cannot_be_written() {
        let before = parse_time(b"16010101000000").unwrap() - Duration::from_nanos(1);
        let after = parse_time(b"99991231235959").unwrap() + Duration::from_secs(1);
        for time in [before, after, SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 60)] {
            assert!(format_time(time).unwrap_err().to_string().contains("a year from 1601 to 9999"));
        }
    }

    proptest! {
        #[test]
        fn parse_undoes_format(seconds in 0..265_046_774_400_u64, nanos in 0..1_000_000_000_u32) {
            let first = parse_time(b"16010101000000").unwrap();
            let time = first + Duration::new(seconds, nanos);
            let text = format_time(time).unwrap();
            prop_assert_eq!(text.len(), 14);
            prop_assert_eq!(parse_time(text.as_bytes()), Some(first + Duration::from_secs(seconds)));
        }

        #[test]
        fn never_panics(text in any::<Vec<u8>>(), digits in "[0-9]{14}(\\.[0-9]{0,60})?") {
            let _ = parse_time(&text);
            if let Some(time) = parse_time(digits.as_bytes()) {
                prop_assert!(format_time(time).is_ok() || digits.ends_with("60") || digits.contains("60."));
            }
        }
    }
}
