//! Distinguished names, as Globus writes them.

use crate::error::{Error, Escaped, Result};

/// Longest distinguished name, in bytes.
const MAX_SUBJECT: usize = 4096;

/// Refuses what is no distinguished name like `/O=Grid/CN=host`.
pub(crate) fn check_subject(subject: &str) -> Result<()> {
    let shown = || Escaped(&subject.as_bytes()[..subject.len().min(200)]).to_string();
    if subject.chars().any(char::is_control) || subject.len() > MAX_SUBJECT {
        return Err(Error::invalid(format!(
            "the subject \"{}\" has {} bytes, expected at most {MAX_SUBJECT}, none of them a control byte",
            shown(),
            subject.len()
        )));
    }
    if !subject.starts_with('/') || !subject.contains('=') {
        return Err(Error::invalid(format!(
            "the subject \"{}\" is no distinguished name, expected one like /O=Grid/CN=host",
            shown()
        )));
    }
    Ok(())
}
