//! What nobody may see: passwords, assertions, private keys.

use std::fmt;
use std::hint::black_box;

/// Bytes that are never shown, and are overwritten when they are not needed any more.
///
/// What the system or a library copies (a socket's buffer, OpenSSL, Globus) is beyond its reach.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As text; empty when it is none.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        erase(&mut self.0);
    }
}

/// Overwrites what is not needed any more.
pub(crate) fn erase(bytes: &mut [u8]) {
    bytes.fill(0);
    // Or the compiler would see that nobody reads the zeros.
    black_box(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_neither_shown_nor_left_behind() {
        let secret = Secret::from("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
        assert_eq!((secret.text(), secret.bytes()), ("hunter2", &b"hunter2"[..]));
        let mut bytes = b"hunter2".to_vec();
        erase(&mut bytes);
        assert_eq!(bytes, [0; 7]);
    }
}
