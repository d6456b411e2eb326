//! Hosts that stand for `@source` and `@destination`.

use std::path::Path;

use crate::failure::{End, Failure};
use crate::location::Location;

/// The hosts of an alias file: they take turns.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    source: Vec<String>,
    destination: Vec<String>,
}

impl Aliases {
    /// Reads `globus-url-copy`'s format: `@source` or `@destination` on a line, and below it `HOST[:PORT]` on a line each.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::local(format!("cannot read the alias file {}", path.display()), error)
        })?;
        Self::parse(&text).map_err(|why| Failure::usage(format!("{}, {why}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut aliases = Self::default();
        let mut end = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            match (line, end) {
                ("", _) => {}
                (line, _) if line.starts_with('#') => {}
                ("@source", _) => end = Some(End::Source),
                ("@destination", _) => end = Some(End::Destination),
                (line, _) if line.starts_with('@') => {
                    return Err(format!("line {}: \"{line}\", expected @source or @destination", number + 1));
                }
                (line, Some(End::Source)) => aliases.source.push(line.to_owned()),
                (line, Some(End::Destination)) => aliases.destination.push(line.to_owned()),
                (line, None) => {
                    return Err(format!("line {}: \"{line}\" before @source or @destination", number + 1));
                }
            }
        }
        Ok(aliases)
    }

    /// A place of copy number `turn`, and the same place at the other hosts.
    pub(crate) fn apply(&self, end: End, turn: usize, location: &Location) -> Result<Vec<Location>, Failure> {
        let hosts = match end {
            End::Source => &self.source,
            End::Destination => &self.destination,
        };
        let Location::Remote(url) = location else { return Ok(vec![location.clone()]) };
        if hosts.is_empty() {
            return Ok(vec![location.clone()]);
        }
        let text = url.to_string();
        let (begin, rest) = text.split_once("://").unwrap_or(("", &text));
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        // A user's name stays.
        let user = authority.rfind('@').map_or("", |at| &authority[..=at]);
        let turned = hosts.iter().cycle().skip(turn % hosts.len()).take(hosts.len());
        turned.map(|host| Location::parse(format!("{begin}://{user}{host}{path}").as_ref())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_take_turns() {
        let aliases = Aliases::parse("# x\n@source\na:5000\nb\n\n@destination\nc\n").unwrap();
        let at = |end, turn, text: &str| -> Vec<String> {
            let location = Location::parse(text.as_ref()).unwrap();
            aliases.apply(end, turn, &location).unwrap().iter().map(ToString::to_string).collect()
        };
        assert_eq!(at(End::Source, 0, "ftp://source/x%20y"), ["ftp://a:5000/x%20y", "ftp://b/x%20y"]);
        assert_eq!(at(End::Source, 3, "ftp://any/x"), ["ftp://b/x", "ftp://a:5000/x"]);
        assert_eq!(at(End::Destination, 7, "gsiftp://any/x"), ["gsiftp://c/x"]);
        assert_eq!(at(End::Source, 0, "/local"), ["/local"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(Aliases::parse("a\n").unwrap_err().contains("before @source"));
        assert!(Aliases::parse("@sauce\n").unwrap_err().contains("\"@sauce\""));
    }
}
