//! Sizes that `find` is asked for.

use crate::size;

/// Which sizes match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SizeTest {
    More(u64),
    Less(u64),
    Just(u64),
}

impl SizeTest {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(text) = text.strip_prefix('+') {
            size::bytes(text).map(Self::More)
        } else if let Some(text) = text.strip_prefix('-') {
            size::bytes(text).map(Self::Less)
        } else {
            size::bytes(text).map(Self::Just)
        }
    }

    pub(crate) fn matches(self, size: u64) -> bool {
        match self {
            Self::More(bytes) => size > bytes,
            Self::Less(bytes) => size < bytes,
            Self::Just(bytes) => size == bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SizeTest;

    #[test]
    fn signs_compare() {
        assert_eq!(SizeTest::parse("+1K"), Ok(SizeTest::More(1024)));
        assert_eq!(SizeTest::parse("-5"), Ok(SizeTest::Less(5)));
        assert_eq!(SizeTest::parse("7"), Ok(SizeTest::Just(7)));
        assert!(SizeTest::parse("+").is_err());
        assert!(SizeTest::More(5).matches(6) && !SizeTest::More(5).matches(5));
    }
}
