//! The little of DER (X.690) that OpenSSL's safe interface keeps to itself: extensions by number, and names as they are.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The values that stand one behind the other in some bytes. Ends at the first that is none.
#[derive(Debug, Clone)]
pub(super) struct Values<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Values<'a> {
    /// Tag and contents.
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        // Tags of more than one byte do not occur in certificates.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return None;
            }
            let (bytes, behind) = rest.split_at_checked(count)?;
            rest = behind;
            bytes.iter().fold(0, |length, &byte| (length << 8) | usize::from(byte))
        };
        let (contents, behind) = rest.split_at_checked(length)?;
        self.0 = behind;
        Some((tag, contents))
    }
}

impl<'a> Values<'a> {
    /// The next value, if it has this tag.
    pub(super) fn tagged(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, contents) = self.clone().next()?;
        if found != tag {
            return None;
        }
        self.next();
        Some(contents)
    }
}

/// What stands within one value of this tag.
pub(super) fn inside(der: &[u8], tag: u8) -> Option<Values<'_>> {
    Values(der).tagged(tag).map(Values)
}

/// A value of this tag.
pub(super) fn value(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut der = Vec::with_capacity(contents.len() + 6);
    der.push(tag);
    let length = contents.len();
    match u8::try_from(length) {
        Ok(short @ 0..0x80) => der.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
            der.push(0x80 | u8::try_from(bytes.len() - zeros).unwrap_or(8));
            der.extend_from_slice(&bytes[zeros..]);
        }
    }
    der.extend_from_slice(contents);
    der
}

/// A small whole number, not negative.
pub(super) fn integer(number: u32) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take(3).take_while(|&&byte| byte == 0).count();
    let mut contents = bytes[zeros..].to_vec();
    if contents[0] >= 0x80 {
        contents.insert(0, 0);
    }
    value(INTEGER, &contents)
}

/// A small whole number from its contents; `None` for one that is negative or does not fit.
pub(super) fn small(contents: &[u8]) -> Option<u32> {
    let negative = contents.first()? & 0x80 != 0;
    let digits: &[u8] = &contents[contents.iter().take_while(|&&byte| byte == 0).count()..];
    if negative || digits.len() > 4 {
        return None;
    }
    Some(digits.iter().fold(0, |number, &byte| (number << 8) | u32::from(byte)))
}

/// An object identifier's contents as numbers with dots; `None` for what is none.
pub(super) fn dotted(contents: &[u8]) -> Option<String> {
    let mut numbers = Vec::with_capacity(contents.len());
    let mut number = 0_u64;
    for (at, &byte) in contents.iter().enumerate() {
        number = number.checked_mul(128)?.checked_add(u64::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            numbers.push(number);
            number = 0;
        } else if at + 1 == contents.len() {
            return None;
        }
    }
    let (&first, rest) = numbers.split_first()?;
    let root = (first / 40).min(2);
    let mut text = format!("{root}.{}", first - root * 40);
    for number in rest {
        text.push('.');
        text.push_str(&number.to_string());
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_and_their_lengths() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let contents = vec![7; length];
            let der = value(OCTET_STRING, &contents);
            let mut values = Values(&der);
            assert_eq!(values.next(), Some((OCTET_STRING, &contents[..])), "{length}");
            assert_eq!(values.next(), None);
        }
        for number in [0, 1, 127, 128, 255, 256, 65_535, u32::MAX] {
            let der = integer(number);
            assert_eq!(small(Values(&der).tagged(INTEGER).unwrap()), Some(number));
        }
        assert_eq!(integer(128), [2, 2, 0, 128]);
        assert_eq!(small(&[0xff]), None);
    }

    #[test]
    fn object_identifiers() {
        assert_eq!(dotted(&[0x55, 4, 3]).unwrap(), "2.5.4.3");
        assert_eq!(dotted(&[0x2b, 6, 1, 4, 1, 0x9b, 0x50, 1, 1, 1, 9]).unwrap(), "1.3.6.1.4.1.3536.1.1.1.9");
        assert_eq!(dotted(&[0x88, 0x37]).unwrap(), "2.999");
        assert_eq!(dotted(&[0x55, 0x84]), None);
        assert_eq!(dotted(&[]), None);
        assert_eq!(dotted(&[0xff; 20]), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let total: usize = Values(&bytes).map(|(_, contents)| contents.len() + 2).sum();
            prop_assert!(total <= bytes.len());
            dotted(&bytes);
            small(&bytes);
        }
    }
}
