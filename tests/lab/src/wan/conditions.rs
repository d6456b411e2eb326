//! How long, wide and lossy a link is, as values and as words.

use std::fmt;
use std::time::Duration;

/// What a link is like, in each direction the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// The round trip; each direction takes half of it.
    pub rtt: Duration,
    /// Bits a second, headers of IP included; `None` for as fast as it goes.
    pub rate_bits: Option<u64>,
    /// The share of segments that is lost, 0 to 1.
    pub loss: f64,
    /// Bytes that may wait at the bottleneck. `None`: what the link holds in a round trip, and at least 1 MiB.
    pub queue: Option<u64>,
}

impl Default for Conditions {
    /// No delay, no limit, no loss.
    fn default() -> Self {
        Self { rtt: Duration::ZERO, rate_bits: None, loss: 0.0, queue: None }
    }
}

impl Conditions {
    pub(super) fn queue_bytes(&self) -> u64 {
        self.queue.unwrap_or_else(|| {
            let held = self.rtt.as_nanos() * u128::from(self.rate_bits.unwrap_or(0)) / 8_000_000_000;
            u64::try_from(held).unwrap_or(u64::MAX).max(1 << 20)
        })
    }

    /// The same with what these words change: `rtt=50ms rate=1gbit loss=0.1% queue=8mib`.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn changed(mut self, words: &str) -> Result<Self, String> {
        for word in words.split_whitespace() {
            let (name, value) =
                word.split_once('=').ok_or_else(|| format!("\"{word}\", expected NAME=VALUE"))?;
            match name {
                "rtt" => self.rtt = time(value)?,
                "rate" => self.rate_bits = rate(value)?,
                "loss" => self.loss = share(value)?,
                "queue" => self.queue = Some(size(value)?),
                _ => return Err(format!("\"{name}\", expected rtt, rate, loss or queue")),
            }
        }
        Ok(self)
    }

    /// The words that make these of the default.
    pub(super) fn words(&self) -> String {
        let rate = self.rate_bits.map_or_else(|| "0".to_owned(), |bits| format!("{bits}bit"));
        let queue = self.queue.map_or_else(String::new, |bytes| format!(" queue={bytes}"));
        format!("rtt={}us rate={rate} loss={}{queue}", self.rtt.as_micros(), self.loss)
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round trip {:?}, ", self.rtt)?;
        match self.rate_bits {
            Some(bits) => write!(f, "{} kbit/s", bits / 1000)?,
            None => f.write_str("no limit")?,
        }
        write!(f, ", {} % lost, a queue of {} bytes", self.loss * 100.0, self.queue_bytes())
    }
}

fn number<'a>(text: &'a str, what: &str) -> Result<(f64, &'a str), String> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number = digits.parse().map_err(|_| format!("\"{text}\" is no {what}"))?;
    Ok((number, unit))
}

fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = number(text, "time, expected one like 50ms")?;
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" | "" => number / 1e3,
        "s" => number,
        _ => return Err(format!("\"{text}\" is no time, expected one like 50ms")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("\"{text}\": {error}"))
}

fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and saturating is as good"
    )]
    let whole = number.max(0.0) as u64;
    whole
}

fn rate(text: &str) -> Result<Option<u64>, String> {
    let expected = "rate, expected one like 1gbit, or 0 for no limit";
    let (number, unit) = number(text, expected)?;
    let factor = match unit {
        "" | "bit" => 1.0,
        "kbit" => 1e3,
        "mbit" => 1e6,
        "gbit" => 1e9,
        _ => return Err(format!("\"{text}\" is no {expected}")),
    };
    Ok(Some(whole(number * factor)).filter(|bits| *bits > 0))
}

fn share(text: &str) -> Result<f64, String> {
    let expected = "share, expected one like 0.1%";
    let (number, unit) = number(text, expected)?;
    let share = match unit {
        "%" => number / 100.0,
        "" => number,
        _ => return Err(format!("\"{text}\" is no {expected}")),
    };
    if (0.0..1.0).contains(&share) { Ok(share) } else { Err(format!("\"{text}\" is no {expected}")) }
}

fn size(text: &str) -> Result<u64, String> {
    let expected = "size, expected one like 8mib";
    let (number, unit) = number(text, expected)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1_048_576.0,
        _ => return Err(format!("\"{text}\" is no {expected}")),
    };
    Ok(whole(number * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_values_and_back() {
        let link = Conditions::default().changed("rtt=50ms rate=1gbit loss=0.1% queue=8mib").unwrap();
        assert_eq!(link.rtt, Duration::from_millis(50));
        assert_eq!(link.rate_bits, Some(1_000_000_000));
        assert!((link.loss - 0.001).abs() < 1e-9);
        assert_eq!(link.queue_bytes(), 8 << 20);
        assert_eq!(Conditions::default().changed(&link.words()).unwrap(), link);
        let wide = Conditions { queue: None, ..link };
        assert_eq!(wide.queue_bytes(), 6_250_000);
        for wrong in ["rtt", "rtt=x", "rate=1gb", "loss=2", "loss=1%%", "delay=1ms", "queue=1tb"] {
            assert!(Conditions::default().changed(wrong).unwrap_err().contains("expected"), "{wrong}");
        }
    }
}
