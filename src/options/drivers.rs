//! What a server is asked to load for a transfer: drivers for its network and its disk, and storage modules.

use std::fmt;

use crate::error::{Error, Escaped, Result};

/// Longest text of a driver stack or of a storage module, in bytes.
const MAX_TEXT: usize = 8192;

/// Longest name of a driver or module, in bytes.
const MAX_NAME: usize = 100;

/// XIO drivers of a server, the transport first: `SITE SETNETSTACK` and `SITE SETDISKSTACK`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DriverStack(Vec<String>);

impl DriverStack {
    pub(crate) fn new<D: Into<String>>(drivers: impl IntoIterator<Item = D>) -> Self {
        Self(drivers.into_iter().map(Into::into).collect())
    }

    /// Refuses what the server would take apart otherwise than the caller meant, or what would end its command.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.is_empty() {
            return Err(Error::invalid("a stack of no drivers; expected one or more"));
        }
        for driver in &self.0 {
            let (name, _) = split(driver);
            check_name("driver", name)?;
            check_text("driver", driver, b",")?;
        }
        let length = self.to_string().len();
        if length > MAX_TEXT {
            return Err(Error::invalid(format!(
                "a driver stack of {length} bytes; expected at most {MAX_TEXT}"
            )));
        }
        Ok(())
    }

    /// Whether a driver is among them.
    pub(crate) fn has(&self, driver: &str) -> bool {
        self.names().any(|name| name == driver)
    }

    /// The drivers' names without their options.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|driver| split(driver).0)
    }

    /// The stack with another driver on top.
    pub(crate) fn with(&self, driver: &str) -> Self {
        let mut drivers = self.0.clone();
        drivers.push(driver.to_owned());
        Self(drivers)
    }
}

/// As the server takes it.
impl fmt::Display for DriverStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

fn split(driver: &str) -> (&str, &str) {
    driver.split_once(':').unwrap_or((driver, ""))
}

/// A storage module of the server with its arguments: `ERET name="arguments" path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StorageModule {
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl StorageModule {
    pub(crate) fn check(&self) -> Result<()> {
        check_name("storage module", &self.name)?;
        check_text("arguments of a storage module", &self.arguments, b"\"")?;
        let length = self.arguments.len();
        if length > MAX_TEXT {
            return Err(Error::invalid(format!(
                "arguments of {length} bytes for a storage module; expected at most {MAX_TEXT}"
            )));
        }
        Ok(())
    }
}

/// As ERET and ESTO take it.
impl fmt::Display for StorageModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=\"{}\"", self.name, self.arguments)
    }
}

fn check_name(what: &str, name: &str) -> Result<()> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(good) {
        return Err(Error::invalid(format!(
            "\"{}\" is no name of a {what}; expected 1 to {MAX_NAME} letters, digits and _-.",
            shown(name)
        )));
    }
    Ok(())
}

fn check_text(what: &str, text: &str, separators: &[u8]) -> Result<()> {
    let bad = |byte: u8| byte < 0x20 || byte == 0x7f || separators.contains(&byte);
    match text.bytes().position(bad) {
        None => Ok(()),
        Some(at) => Err(Error::invalid(format!(
            "the {what} \"{}\" cannot be sent: expected no control byte and none of {:?}, position {at} has one",
            shown(text),
            String::from_utf8_lossy(separators)
        ))),
    }
}

fn shown(text: &str) -> String {
    Escaped(&text.as_bytes()[..text.len().min(200)]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn stacks_are_joined_and_checked() {
        let stack = DriverStack::new(["tcp", "gsi"]);
        stack.check().unwrap();
        assert_eq!(stack.to_string(), "tcp,gsi");
        assert!(stack.has("gsi") && !stack.has("udt"));
        let popen = DriverStack::new(["popen:argv=#/bin/ls#-l /tmp"]);
        popen.check().unwrap();
        assert_eq!(popen.names().collect::<Vec<_>>(), ["popen"]);
        for bad in
            ["", "tcp,gsi", "tcp\r\nDELE x", "popen:argv=#a\n", "popen:argv=#a,b", ":x", "t cp", "größe"]
        {
            let error = DriverStack::new([bad]).check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}");
            assert!(!error.to_string().contains(['\r', '\n']), "{error}");
        }
        assert!(DriverStack::new(Vec::<String>::new()).check().is_err());
        assert!(DriverStack::new([format!("a:{}", "x".repeat(9000))]).check().is_err());
    }

    #[test]
    fn modules_are_quoted_and_checked() {
        let module =
            |name: &str, arguments: &str| StorageModule { name: name.into(), arguments: arguments.into() };
        module("hpss", "cos=3; x y").check().unwrap();
        assert_eq!(module("hpss", "cos=3").to_string(), "hpss=\"cos=3\"");
        for (name, arguments) in
            [("", ""), ("a b", ""), ("a=\"", ""), ("a", "\""), ("a", "x\ny"), ("a\0", "")]
        {
            assert_eq!(module(name, arguments).check().unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
