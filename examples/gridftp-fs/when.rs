//! Times and durations, as they are typed and as they are shown: always in UTC.

use std::time::{Duration, SystemTime};

const DAY: i64 = 86_400;
/// Days in 400 years, after which the calendar repeats.
const ERA: i64 = 146_097;
/// Days from 1 March of year 0 to 1 January 1970.
const EPOCH: i64 = 719_468;

/// A moment, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Ago(Duration),
    At(SystemTime),
}

impl Moment {
    pub(crate) fn time(self, now: SystemTime) -> SystemTime {
        match self {
            // Longer ago than there is time: everything is newer.
            Self::Ago(duration) => now.checked_sub(duration).unwrap_or(SystemTime::UNIX_EPOCH),
            Self::At(time) => time,
        }
    }
}

/// A number with ms, s, m, h, d or w behind it; seconds without.
///
/// # Errors
/// A sentence that says what was expected.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no duration, expected a number with ms, s, m, h, d or w behind it");
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let millis: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return Err(wrong()),
    };
    // Tokio's clock, and everybody's patience, end far before that.
    const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);
    let duration = Duration::from_millis(number.checked_mul(millis).ok_or_else(wrong)?);
    if duration > LONGEST {
        Err(format!("{text} is too long, expected up to a hundred years"))
    } else {
        Ok(duration)
    }
}

/// A duration, which is meant to be ago, or a time.
pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(ago) = duration(text) {
        return Ok(Moment::Ago(ago));
    }
    time(text).map(Moment::At).map_err(|_| {
        format!(
            "\"{text}\" is neither a duration as in 3d nor a time as in 2026-05-01 or 2026-05-01T12:00:00Z"
        )
    })
}

/// `2026-05-01`, `2026-05-01T12:00`, `2026-05-01 12:00:30.5+02:00`, `@SECONDS`.
pub(crate) fn time(text: &str) -> Result<SystemTime, String> {
    let wrong =
        || format!("\"{text}\" is no time, expected one as in 2026-05-01, 2026-05-01T12:00:00Z or @SECONDS");
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.parse().ok().and_then(|seconds: i64| at(seconds, 0)).ok_or_else(wrong);
    }
    parsed(text).ok_or_else(wrong)
}

fn parsed(text: &str) -> Option<SystemTime> {
    let (date, clock) = match text.split_at_checked(10)? {
        (date, "") => (date, "00:00"),
        (date, clock) => (date, clock.strip_prefix(['T', 't', ' '])?),
    };
    let mut parts = date.split('-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let (clock, offset) = zone(clock)?;
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, f)| (clock, Some(f)));
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |text| number(text, 2))?;
    let nanos = match fraction {
        Some(digits) if (1..=9).contains(&digits.len()) => number(&format!("{digits:0<9}"), 9)?,
        Some(_) => return None,
        None => 0,
    };
    let valid = parts.next().is_none()
        && (1601..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let days = days(year, month, day);
    // A day that the month does not have is another day when it is counted back.
    if !valid || date_of(days) != (year, month, day) {
        return None;
    }
    at((days - EPOCH) * DAY + hour * 3600 + minute * 60 + second - offset, u32::try_from(nanos).ok()?)
}

/// The clock without its zone, and the zone's seconds.
fn zone(clock: &str) -> Option<(&str, i64)> {
    if let Some(clock) = clock.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(sign) = clock.find(['+', '-']) else { return Some((clock, 0)) };
    let (clock, zone) = clock.split_at(sign);
    let (hours, minutes) = zone[1..].split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    Some((clock, if zone.starts_with('-') { -seconds } else { seconds }))
}

fn number(digits: &str, length: usize) -> Option<i64> {
    (digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

fn at(seconds: i64, nanos: u32) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let time = if seconds < 0 { epoch.checked_sub(whole) } else { epoch.checked_add(whole) };
    time?.checked_add(Duration::from_nanos(nanos.into()))
}

/// Days from 1 March of year 0.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 1
}

/// The inverse.
fn date_of(days: i64) -> (i64, i64, i64) {
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (day * 5 + 2) / 153;
    let day = day - (month * 153 + 2) / 5 + 1;
    let year = era * 400 + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

/// The parts of a time: date and clock, with fractions of a second cut off.
fn parts(time: SystemTime) -> (String, String) {
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            -whole.saturating_add(i64::from(before.subsec_nanos() > 0))
        }
    };
    let (year, month, day) = date_of((seconds.div_euclid(DAY)).saturating_add(EPOCH));
    let second = seconds.rem_euclid(DAY);
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60),
    )
}

/// As in RFC 3339.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let (date, clock) = parts(time);
    format!("{date}T{clock}Z")
}

/// For people.
pub(crate) fn shown(time: SystemTime) -> String {
    let (date, clock) = parts(time);
    format!("{date} {clock}")
}

/// The two largest units of a duration: `11 h 59 min`.
pub(crate) fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown() {
        let shown = |text: &str| rfc3339(time(text).unwrap());
        assert_eq!(shown("2026-05-01"), "2026-05-01T00:00:00Z");
        assert_eq!(shown("2024-02-29 23:59"), "2024-02-29T23:59:00Z");
        assert_eq!(shown("2026-05-01T01:00:00+02:00"), "2026-04-30T23:00:00Z");
        assert_eq!(shown("1969-12-31T23:59:59.5Z"), "1969-12-31T23:59:59Z");
        assert_eq!(shown("@-1"), "1969-12-31T23:59:59Z");
        assert_eq!(shown("@1700000000"), "2023-11-14T22:13:20Z");
        for text in
            ["", "yesterday", "2026-13-01", "2026-02-30", "2026-05-01T25:00", "2026-05-01x", "@", "20260501"]
        {
            assert!(time(text).unwrap_err().contains("is no time"), "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        let seconds = ["30s", "5m", "2h", "1d", "2w", "7"].map(|text| duration(text).unwrap().as_secs());
        assert_eq!(seconds, [30, 300, 7200, 86_400, 1_209_600, 7]);
        assert_eq!(duration("1500ms").unwrap(), Duration::from_millis(1500));
        for text in
            ["", "s", "-1s", "1.5s", "1y", "99999999999999999999s", "18446744073709551615w", "9999w d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(length(Duration::from_secs(43_140)), "11 h 59 min");
        assert_eq!(moment("3d"), Ok(Moment::Ago(Duration::from_secs(3 * 86_400))));
        assert!(matches!(moment("2026-05-01"), Ok(Moment::At(_))));
    }
}
