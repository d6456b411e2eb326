//! Sizes as `globus-url-copy` takes them: a number with or without `K`, `M`, `G` or `T` behind it, powers of 1024.

/// The number of bytes.
///
/// # Errors
/// A sentence that says what was expected.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("\"{text}\" is no size, expected a number of bytes, or one with K, M, G or T behind it");
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: u64 = match digits.parse() {
        Ok(number) => number,
        Err(_) if digits.is_empty() => return Err(wrong()),
        Err(_) => return Err(too_large(text)),
    };
    let unit = unit.to_ascii_uppercase();
    let shift = match unit.strip_suffix('B').unwrap_or(&unit) {
        "" => 0,
        "K" | "KI" => 10,
        "M" | "MI" => 20,
        "G" | "GI" => 30,
        "T" | "TI" => 40,
        _ => return Err(wrong()),
    };
    // What a file's size can be.
    number
        .checked_mul(1 << shift)
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| too_large(text))
}

fn too_large(text: &str) -> String {
    format!("the size {text} is too large, expected less than 2^63 bytes")
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn suffixes_are_powers_of_1024() {
        let sizes =
            ["0", "500", "1k", "1K", "64KB", "3M", "2g", "1GiB", "1t", "7b"].map(|text| bytes(text).unwrap());
        assert_eq!(sizes, [0, 500, 1024, 1024, 65_536, 3 << 20, 2 << 30, 1 << 30, 1 << 40, 7]);
    }

    #[test]
    fn anything_else_is_refused_and_named() {
        for text in ["", "K", "-1", "+1", "1.5", "1x", "1 K", "0x10", "1kk", "٣"] {
            assert!(bytes(text).unwrap_err().contains(&format!("\"{text}\" is no size")), "{text}");
        }
        for text in ["9223372036854775808", "99999999999999999999", "8388608T"] {
            assert!(bytes(text).unwrap_err().contains("too large"), "{text}");
        }
        assert_eq!(bytes("9223372036854775807").unwrap(), i64::MAX.unsigned_abs());
    }
}
