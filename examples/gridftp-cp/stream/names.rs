//! Temporary names: hidden, unlike any other, and never too long.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// Longest file name, in bytes, on every file system in use.
const MAX_NAME: usize = 255;

/// `.NAME.XXXXXXXXXX.part`, where NAME is cut where it has to be. Each call gives another one.
pub(crate) fn temporary(name: &[u8]) -> Vec<u8> {
    let behind = format!(".{}.part", random());
    let mut kept = &name[..name.len().min(MAX_NAME - 1 - behind.len())];
    // A character is not cut in two: some file systems refuse names that are no UTF-8.
    if std::str::from_utf8(name).is_ok()
        && let Err(error) = std::str::from_utf8(kept)
    {
        kept = &kept[..error.valid_up_to()];
    }
    [b".", kept, behind.as_bytes()].concat()
}

/// Ten letters and digits that nobody can foresee: every `RandomState` has keys of its own.
fn random() -> String {
    let mut number = RandomState::new().build_hasher().finish();
    let digit = |value: u64| char::from_digit(u32::try_from(value % 36).unwrap_or(0), 36).unwrap_or('0');
    (0..10)
        .map(|_| {
            let c = digit(number);
            number /= 36;
            c
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_say_what_they_are_for_and_differ() {
        let name = String::from_utf8(temporary(b"data.root")).unwrap();
        assert!(name.starts_with(".data.root.") && name.ends_with(".part"), "{name}");
        assert_eq!(name.len(), ".data.root.".len() + 10 + ".part".len());
        let many: std::collections::HashSet<_> = (0..1000).map(|_| temporary(b"x")).collect();
        assert_eq!(many.len(), 1000);
    }

    #[test]
    fn the_longest_name_still_has_a_temporary_one() {
        assert_eq!(temporary(&[b'x'; 255]).len(), 255);
        assert_eq!(temporary(&[0xff; 255]).len(), 255);
        let cut = temporary("ü".repeat(127).as_bytes());
        assert!(std::str::from_utf8(&cut).is_ok() && (253..=255).contains(&cut.len()), "{}", cut.len());
    }
}
