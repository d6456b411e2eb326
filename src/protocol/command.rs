//! One command line for a server, checked when it is built.

use std::fmt;

use crate::error::{Error, Escaped, Result};

/// Longest argument of an ordinary command, in bytes. A path of this crate's [`Url`](crate::Url) always fits.
const MAX_ARGUMENT: usize = 16 * 1024;

/// Longest argument that is a base64 token: a chain of VOMS proxies or a delegated key outgrows the ordinary limit.
const MAX_TOKEN: usize = 1024 * 1024;

/// Longest argument that [`fmt::Display`] shows in full, in bytes.
const SHOWN: usize = 200;

/// A command without its line end.
///
/// No control byte (below 0x20, and 0x7f) can be in it, so nothing that a caller or a server gave can end the line
/// early and smuggle in a second command.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Command {
    line: Box<[u8]>,
    verb: &'static str,
    secret: bool,
}

impl Command {
    /// A command without an argument.
    pub(crate) fn new(verb: &'static str) -> Self {
        debug_assert!(is_verb(verb), "{verb:?} is not a command verb");
        Self { line: verb.as_bytes().into(), verb, secret: false }
    }

    /// A command with one argument: everything behind the blank, blanks included, raw bytes.
    ///
    /// # Errors
    /// `InvalidInput` for a control byte or a length over the limit. The message never shows a secret argument.
    pub(crate) fn with(verb: &'static str, argument: impl AsRef<[u8]>) -> Result<Self> {
        debug_assert!(is_verb(verb), "{verb:?} is not a command verb");
        let argument = argument.as_ref();
        let limit = if is_token_verb(verb) { MAX_TOKEN } else { MAX_ARGUMENT };
        if argument.len() > limit {
            return Err(Error::invalid(format!(
                "the argument of {verb} has {} bytes, expected at most {limit}",
                argument.len()
            )));
        }
        let control = argument.iter().position(|&byte| is_control(byte));
        #[cfg(test)]
        let control = control.filter(|_| !crate::hooks::without("control bytes"));
        if let Some(at) = control {
            let shown = if is_secret_verb(verb) || is_token_verb(verb) {
                "***".to_owned()
            } else {
                Escaped(&argument[..argument.len().min(SHOWN)]).to_string()
            };
            return Err(Error::invalid(format!(
                "the argument \"{shown}\" of {verb} holds the control byte 0x{:02x} at position {at}, expected none",
                argument[at]
            )));
        }
        let mut line = Vec::with_capacity(verb.len() + 1 + argument.len());
        line.extend_from_slice(verb.as_bytes());
        line.push(b' ');
        line.extend_from_slice(argument);
        Ok(Self { line: line.into(), verb, secret: false })
    }

    /// Keeps the argument out of logs. `PASS`, `ACCT` and `DCSC` are secret without being told.
    pub(crate) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The line as it goes over the wire, without CR LF.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.line
    }

    /// The verb it was made with.
    pub(crate) fn verb(&self) -> &'static str {
        self.verb
    }
}

/// The form for logs and messages: escaped, bounded, and without passwords, keys and tokens.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb)?;
        let Some(argument) = self.line.get(self.verb.len() + 1..) else {
            return Ok(());
        };
        if self.secret || is_secret_verb(self.verb) {
            f.write_str(" ***")
        } else if is_token_verb(self.verb) {
            write!(f, " … ({} bytes)", argument.len())
        } else if argument.len() > SHOWN {
            write!(f, " {}… ({} bytes)", Escaped(&argument[..SHOWN]), argument.len())
        } else {
            write!(f, " {}", Escaped(argument))
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({self})")
    }
}

/// A byte that must never be part of a value that is sent.
pub(crate) fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

fn is_verb(verb: &str) -> bool {
    !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b' ')
}

fn is_secret_verb(verb: &str) -> bool {
    matches!(verb, "PASS" | "ACCT" | "DCSC")
}

fn is_token_verb(verb: &str) -> bool {
    matches!(verb, "ADAT" | "MIC" | "CONF" | "ENC" | "DCSC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn lines_are_what_was_given() {
        assert_eq!(Command::new("NOOP").as_bytes(), b"NOOP");
        assert_eq!(Command::new("NOOP").to_string(), "NOOP");
        let retr = Command::with("RETR", b"/a b\xff;c").unwrap();
        assert_eq!(retr.as_bytes(), b"RETR /a b\xff;c");
        assert_eq!(retr.verb(), "RETR");
        assert_eq!(retr.to_string(), "RETR /a b\\xff;c");
    }

    #[test]
    fn no_control_byte_gets_in() {
        for byte in (0..0x20).chain([0x7f]) {
            let error = Command::with("SIZE", [b'/', b'a', byte, b'b']).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let shown = error.to_string();
            assert!(
                shown.contains("SIZE") && shown.contains(&format!("0x{byte:02x} at position 2")),
                "{shown}"
            );
            assert!(!shown.bytes().any(is_control), "{shown:?}");
        }
        for byte in (0x20..0x7f).chain(0x80..=0xff) {
            assert_eq!(
                Command::with("SIZE", [byte]).unwrap().as_bytes(),
                [b'S', b'I', b'Z', b'E', b' ', byte]
            );
        }
    }

    #[test]
    fn arguments_are_bounded() {
        assert!(Command::with("RETR", vec![b'a'; MAX_ARGUMENT]).is_ok());
        let error = Command::with("RETR", vec![b'a'; MAX_ARGUMENT + 1]).unwrap_err();
        assert!(error.to_string().contains("16385 bytes, expected at most 16384"), "{error}");
        assert!(Command::with("ADAT", vec![b'a'; 100_000]).is_ok());
        assert!(Command::with("ADAT", vec![b'a'; MAX_TOKEN + 1]).is_err());
    }

    #[test]
    fn secrets_stay_out_of_logs_and_errors() {
        assert_eq!(Command::with("PASS", "hunter2").unwrap().to_string(), "PASS ***");
        assert_eq!(Command::with("SITE", "hunter2").unwrap().secret().to_string(), "SITE ***");
        assert_eq!(format!("{:?}", Command::with("DCSC", "P key").unwrap()), "Command(DCSC ***)");
        assert_eq!(Command::with("ADAT", "AAAA").unwrap().to_string(), "ADAT … (4 bytes)");
        let error = Command::with("PASS", "hunter2\r").unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("0x0d"), "{error}");
    }

    #[test]
    fn long_arguments_are_shown_short() {
        let shown = Command::with("RETR", vec![b'a'; 5000]).unwrap().to_string();
        assert!(shown.len() < 300 && shown.ends_with("… (5000 bytes)"), "{shown}");
    }
}
