//! From where a transfer that broke off is taken up again.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::protocol::value::parse_size;
use crate::types::RangeSet;
use crate::types::ranges::not_ranges;

/// What of a file has been moved: an offset, or ranges.
///
/// `abort` of a transfer gives one; a builder's `restart` takes it, also in another process: as text it is what `REST` is sent
/// with, `1024` or `0-10,20-30`, and it can be read again with [`str::parse`]. On ends and the empty set see [`RangeSet`].
///
/// A marker says nothing about the file it belongs to. Whoever continues a transfer must know that neither side has changed
/// meanwhile.
///
/// # Examples
/// ```
/// use gridftp::RestartMarker;
///
/// let marker: RestartMarker = "0-10,20-30".parse()?;
/// assert_eq!(marker.to_string(), "0-10,20-30");
/// assert_eq!("1024".parse::<RestartMarker>()?, RestartMarker::Stream { offset: 1024 });
/// # Ok::<(), gridftp::Error>(())
/// ```
///
/// Corresponds to `globus_ftp_client_restart_marker_t` with `globus_ftp_client_restart_marker_to_string` and `_from_string`
/// (RFC 3659 §5, GFD.20).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RestartMarker {
    /// Everything before an offset has been moved: stream mode, or what has no gaps.
    Stream {
        /// The first byte that is missing.
        offset: u64,
    },
    /// These ranges have been moved (extended block mode).
    Extended(RangeSet),
}

impl RestartMarker {
    /// How many bytes have been moved.
    pub fn total_bytes(&self) -> u64 {
        match self {
            Self::Stream { offset } => *offset,
            Self::Extended(ranges) => ranges.total_bytes(),
        }
    }

    /// Whether nothing has been moved, so that a transfer that takes it up begins from the start.
    pub fn is_empty(&self) -> bool {
        self.total_bytes() == 0
    }

    /// The first byte that is missing.
    pub fn contiguous(&self) -> u64 {
        match self {
            Self::Stream { offset } => *offset,
            Self::Extended(ranges) => ranges.contiguous_from(0),
        }
    }

    /// What has been moved, as ranges.
    pub fn ranges(&self) -> RangeSet {
        match self {
            Self::Stream { offset } => std::iter::once(0..*offset).collect(),
            Self::Extended(ranges) => ranges.clone(),
        }
    }
}

impl From<RangeSet> for RestartMarker {
    fn from(ranges: RangeSet) -> Self {
        Self::Extended(ranges)
    }
}

impl fmt::Display for RestartMarker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream { offset } => write!(f, "{offset}"),
            Self::Extended(ranges) => write!(f, "{ranges}"),
        }
    }
}

impl FromStr for RestartMarker {
    type Err = Error;

    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for what is neither an offset nor a list of ranges, and for offsets
    /// beyond 2^63 - 1.
    fn from_str(text: &str) -> Result<Self> {
        if text.contains('-') {
            return text.parse().map(Self::Extended);
        }
        let offset = parse_size(text.as_bytes());
        let offset =
            offset.ok_or_else(|| not_ranges(text, "an offset like 1024 or a list like 0-10,20-30"))?;
        Ok(Self::Stream { offset })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn both_forms_there_and_back() {
        for (text, bytes, contiguous) in [
            ("0", 0, 0),
            ("1024", 1024, 1024),
            ("9223372036854775807", 9_223_372_036_854_775_807, 9_223_372_036_854_775_807),
            ("0-0", 0, 0),
            ("0-10,20-30", 20, 10),
            ("20-30", 10, 0),
        ] {
            let marker: RestartMarker = text.parse().unwrap();
            assert_eq!(marker.to_string(), text);
            assert_eq!((marker.total_bytes(), marker.contiguous()), (bytes, contiguous), "{text}");
            assert_eq!(marker.is_empty(), bytes == 0);
            assert_eq!(marker.ranges().total_bytes(), bytes);
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for bad in ["", " ", "x", "-1", "1.5", "9223372036854775808", "0-10,5", "+7", "1\r\nDELE x"] {
            let error = bad.parse::<RestartMarker>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}");
            assert!(error.to_string().starts_with("restart marker \""), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_read_is_written(text in "[0-9,\\-]{0,60}") {
            if let Ok(marker) = text.parse::<RestartMarker>() {
                let again: RestartMarker = marker.to_string().parse().unwrap();
                prop_assert_eq!(again, marker);
            }
        }
    }
}
