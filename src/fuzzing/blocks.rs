//! Headers of extended blocks.

use super::shown;
use crate::protocol::block::{HEADER_BYTES, Header};

/// One header behind the other, each followed by as many bytes as it says, as far as the data go.
pub(super) fn block(mut data: &[u8]) {
    while let Some((header, rest)) = data.split_first_chunk::<HEADER_BYTES>() {
        let header = match Header::parse(*header) {
            Ok(header) => header,
            Err(words) => return shown(&words, 200),
        };
        let end = header.offset.checked_add(header.count);
        assert!(
            end.is_some_and(|end| i64::try_from(end).is_ok()),
            "a block behind the end of all files: {header:?}"
        );
        if let Some(ends) = header.ends {
            assert!((1..=65_536).contains(&ends) && header.count == 0, "{header:?}");
        }
        let length = usize::try_from(header.count).unwrap_or(usize::MAX).min(rest.len());
        data = &rest[length..];
    }
}
