//! Times as users write them: `30s`, `5m`, `2h`, `1d`, `500ms`, and a bare number of seconds.

use std::time::Duration;

/// A limit that nobody lives to see.
pub(crate) const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The time.
///
/// # Errors
/// A sentence that says what was expected.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!("\"{text}\" is no time, expected a number of seconds, or one with ms, s, m, h or d behind it")
    };
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let time = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
    if time > NEVER {
        return Err(format!("the time {text} is too long, expected at most 100 years"));
    }
    Ok(time)
}

/// The same where 0 means that there is no limit.
///
/// # Errors
/// As [`duration`].
pub(crate) fn limit(text: &str) -> Result<Duration, String> {
    duration(text).map(|time| if time.is_zero() { NEVER } else { time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood() {
        let of = |text: &str| duration(text).unwrap();
        assert_eq!(of("30"), Duration::from_secs(30));
        assert_eq!(of("1.5m"), Duration::from_secs(90));
        assert_eq!(of("250ms"), Duration::from_millis(250));
        assert_eq!(of("2h"), Duration::from_secs(7200));
        assert_eq!(of("1d"), Duration::from_secs(86_400));
        assert_eq!(of("0"), Duration::ZERO);
        assert_eq!(limit("0s").unwrap(), NEVER);
    }

    #[test]
    fn anything_else_is_refused_and_named() {
        for text in ["", "s", "-1", "1 s", "1x", "1.2.3", "inf", "nan", "1y"] {
            assert!(duration(text).unwrap_err().contains(&format!("\"{text}\" is no time")), "{text}");
        }
        assert!(duration("99999999999d").unwrap_err().contains("too long"));
    }
}
