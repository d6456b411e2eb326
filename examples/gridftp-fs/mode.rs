//! Permission bits, as `chmod` takes them.

use std::str::FromStr;

/// What is to become of permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Exactly these.
    To(u32),
    By(Vec<Clause>),
}

/// `u+w`: one of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    /// The bits of those who are meant, all three classes and special bits.
    who: u32,
    operator: char,
    permissions: String,
}

const ALL: u32 = 0o7777;
const USER: u32 = 0o4700;
const GROUP: u32 = 0o2070;
const OTHERS: u32 = 0o1007;

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("\"{text}\" is no mode, expected octal digits as in 640, or changes as in u+w,go-r");
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= ALL);
            return mode.map(Self::To).ok_or_else(wrong);
        }
        let mut clauses = Vec::new();
        for clause in text.split(',') {
            let mut rest = clause.trim_start_matches(['u', 'g', 'o', 'a']);
            let who = &clause[..clause.len() - rest.len()];
            let who = who.chars().fold(0, |bits, c| bits | class(c));
            let who = if who == 0 { ALL } else { who };
            if rest.is_empty() {
                return Err(wrong());
            }
            // Several changes for the same: u+r-w.
            while let Some(operator @ ('+' | '-' | '=')) = rest.chars().next() {
                rest = &rest[1..];
                let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
                let (permissions, behind) = rest.split_at(end);
                let of_class = matches!(permissions, "u" | "g" | "o");
                if !of_class && !permissions.chars().all(|c| "rwxXst".contains(c)) {
                    return Err(wrong());
                }
                clauses.push(Clause { who, operator, permissions: permissions.to_owned() });
                rest = behind;
            }
            if !rest.is_empty() {
                return Err(wrong());
            }
        }
        Ok(Self::By(clauses))
    }
}

fn class(c: char) -> u32 {
    match c {
        'u' => USER,
        'g' => GROUP,
        'o' => OTHERS,
        _ => ALL,
    }
}

impl Change {
    /// The bits there shall be, of something that has `mode`; `None` when it must be known and is not.
    pub(crate) fn apply(&self, mode: Option<u32>, is_folder: bool) -> Option<u32> {
        let clauses = match self {
            Self::To(mode) => return Some(*mode),
            Self::By(clauses) => clauses,
        };
        let mut mode = mode?;
        for Clause { who, operator, permissions } in clauses {
            let bits = permissions.chars().fold(0, |bits, c| bits | bits_of(c, mode, is_folder)) & who;
            mode = match operator {
                '+' => mode | bits,
                '-' => mode & !bits,
                // As GNU chmod has it, folders keep bits that are not named.
                _ => mode & !(who & if is_folder { 0o1777 } else { ALL }) | bits,
            };
        }
        Some(mode)
    }

    /// Whether permissions must be known to be changed.
    pub(crate) fn needs_mode(&self) -> bool {
        matches!(self, Self::By(_))
    }
}

fn bits_of(c: char, mode: u32, is_folder: bool) -> u32 {
    match c {
        'r' => 0o444,
        'w' => 0o222,
        'x' => 0o111,
        'X' if is_folder || mode & 0o111 != 0 => 0o111,
        's' => 0o6000,
        't' => 0o1000,
        'u' => (mode >> 6 & 7) * 0o111,
        'g' => (mode >> 3 & 7) * 0o111,
        'o' => (mode & 7) * 0o111,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, mode: u32, is_folder: bool) -> u32 {
        text.parse::<Change>().unwrap().apply(Some(mode), is_folder).unwrap()
    }

    #[test]
    fn changes_are_those_of_chmod() {
        for (text, before, expected) in [
            ("640", 0o777, 0o640),
            ("4755", 0o600, 0o4755),
            ("u+w", 0o444, 0o644),
            ("u+w,go-r", 0o444, 0o600),
            ("go=", 0o777, 0o700),
            ("a+x", 0o644, 0o755),
            ("+x", 0o644, 0o755),
            ("a=rX", 0o700, 0o555),
            ("a+X", 0o600, 0o600),
            ("g=u", 0o740, 0o770),
            ("u+s", 0o755, 0o4755),
            ("+t", 0o777, 0o1777),
            ("u-x+w", 0o500, 0o600),
            ("o-rwx,g+w", 0o757, 0o770),
        ] {
            assert_eq!(after(text, before, false), expected, "{text}");
        }
        assert_eq!(after("a+X", 0o600, true), 0o711);
        assert_eq!(after("u=rwx", 0o2070, true), 0o2770);
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in ["", "8", "10000", "u", "u+q", "u+w,", "z+r", "u*r", "+ug"] {
            assert!(text.parse::<Change>().unwrap_err().contains("is no mode"), "{text}");
        }
        assert_eq!("u+w".parse::<Change>().unwrap().apply(None, false), None);
    }
}
