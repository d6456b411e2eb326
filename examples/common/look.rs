//! How text may look: whether there are colours, and characters beyond ASCII.

use std::io::IsTerminal as _;

use clap::ValueEnum;

/// When something is done that depends on who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum When {
    /// Where a person reads it
    #[default]
    Auto,
    /// In any case
    Always,
    /// In no case
    Never,
}

/// What may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) colour: bool,
    pub(crate) unicode: bool,
}

impl Look {
    /// For standard error. `NO_COLOR` (no-color.org) and `TERM=dumb` are heard.
    pub(crate) fn of_stderr(when: When) -> Self {
        Self::of(std::io::stderr().is_terminal(), when)
    }

    /// For standard output.
    #[allow(dead_code, reason = "only one of the two programs writes coloured text there")]
    pub(crate) fn of_stdout(when: When) -> Self {
        Self::of(std::io::stdout().is_terminal(), when)
    }

    fn of(terminal: bool, when: When) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        let colour = match when {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && !dumb && set("NO_COLOR").is_none(),
        };
        // The first that is set decides (setlocale(3)).
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let unicode = locale.is_some_and(|locale| {
            let locale = locale.to_string_lossy().to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        Self { colour, unicode }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }
}

/// Bytes in the unit in which they are a number of up to four digits.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(count: u64) -> String {
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    for unit in ["kB", "MB", "GB", "TB", "PB"] {
        value /= 1000.0;
        if value < 999.5 {
            return if value < 9.995 {
                format!("{value:.2} {unit}")
            } else if value < 99.95 {
                format!("{value:.1} {unit}")
            } else {
                format!("{value:.0} {unit}")
            };
        }
    }
    format!("{:.0} EB", value / 1000.0)
}

/// A count with its thousands set apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in at most two units.
pub(crate) fn time(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            [0, 999, 1000, 9_994, 99_940, 999_400, 999_600].map(bytes),
            ["0 B", "999 B", "1.00 kB", "9.99 kB", "99.9 kB", "999 kB", "1.00 MB"]
        );
        assert_eq!(bytes(u64::MAX), "18 EB");
        assert_eq!([0, 12, 1234, 1_234_567].map(count), ["0", "12", "1,234", "1,234,567"]);
        let times =
            [0.04, 59.94, 61.0, 3725.0, 90_000.0].map(|seconds| time(Duration::from_secs_f64(seconds)));
        assert_eq!(times, ["0.0 s", "59.9 s", "1m01s", "1h02m", "1d01h"]);
    }

    #[test]
    fn colours_are_only_where_wanted() {
        let look = Look { colour: false, unicode: false };
        assert_eq!(look.red("x") + &look.bold("y"), "xy");
        assert_eq!(Look { colour: true, ..look }.red("x"), "\x1b[31mx\x1b[0m");
    }
}
