//! Checksums of files, and the names of the ways to compute them.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Escaped, Result};

/// Longest name of an algorithm, in bytes.
const MAX_NAME: usize = 32;
/// Longest value, in bytes: twice what the longest known algorithm gives.
const MAX_VALUE: usize = 128;

/// A way to compute a checksum, by the name that servers know it by (GFD.47 §4).
///
/// Which ones a server offers is told by [`FeatureSet::checksums`](crate::FeatureSet::checksums); whatever it says there can
/// be parsed into one. Names are compared without regard to case.
///
/// # Examples
/// ```
/// use gridftp::ChecksumAlgorithm;
///
/// assert_eq!("sha256".parse::<ChecksumAlgorithm>()?, ChecksumAlgorithm::Sha256);
/// let other: ChecksumAlgorithm = "MD4".parse()?;
/// assert_eq!(other.to_string(), "MD4");
/// # Ok::<(), gridftp::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChecksumAlgorithm {
    /// Adler-32 (RFC 1950): quick, finds accidents only. What most grid storage keeps for each file.
    Adler32,
    /// CRC-32 as Ethernet and gzip have it.
    Crc32,
    /// MD5 (RFC 1321): finds accidents; does not withstand an attacker.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// Any other, made by parsing its name.
    Other(AlgorithmName),
}

/// The checked name of an algorithm that this crate does not know: up to 32 visible ASCII characters, kept in upper case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AlgorithmName(Box<str>);

impl AlgorithmName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ChecksumAlgorithm {
    const KNOWN: [Self; 6] = [Self::Adler32, Self::Crc32, Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    /// The name as it is sent to a server.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Adler32 => "ADLER32",
            Self::Crc32 => "CRC32",
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
            Self::Other(name) => name.as_str(),
        }
    }

    /// How many bytes a value has; `None` where this crate does not know.
    fn length(&self) -> Option<usize> {
        match self {
            Self::Adler32 | Self::Crc32 => Some(4),
            Self::Md5 => Some(16),
            Self::Sha1 => Some(20),
            Self::Sha256 => Some(32),
            Self::Sha512 => Some(64),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for ChecksumAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ChecksumAlgorithm {
    type Err = Error;

    /// # Errors
    /// `InvalidInput` for an empty name, a long one, and one with other than visible ASCII characters, a colon or a semicolon.
    fn from_str(name: &str) -> Result<Self> {
        if let Some(known) = Self::KNOWN.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name)) {
            return Ok(known);
        }
        let plain = name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b':' | b';' | b','));
        if name.is_empty() || name.len() > MAX_NAME || !plain {
            return Err(Error::invalid(format!(
                "\"{}\" is no name of a checksum algorithm, expected 1 to {MAX_NAME} visible ASCII characters without colon, \
                 semicolon and comma",
                Escaped(&name.as_bytes()[..name.len().min(100)])
            )));
        }
        Ok(Self::Other(AlgorithmName(name.to_ascii_uppercase().into())))
    }
}

/// The checksum of a file or a part of one.
///
/// Two are equal when algorithm and value are, however either was written. [`fmt::Display`] gives, and [`str::parse`] takes,
/// the algorithm, a colon and hexadecimal digits: `ADLER32:0ad50045`.
///
/// # Examples
/// ```
/// use gridftp::{Checksum, ChecksumAlgorithm};
///
/// let checksum = Checksum::from_hex(ChecksumAlgorithm::Adler32, "ad50045")?; // as some servers and catalogues write it
/// assert_eq!(checksum.to_hex(), "0ad50045");
/// assert_eq!(checksum, "adler32:0AD50045".parse()?);
/// assert_eq!(checksum.bytes(), [0x0a, 0xd5, 0x00, 0x45]);
/// # Ok::<(), gridftp::Error>(())
/// ```
///
/// Corresponds to the text that `globus_ftp_client_cksm` gives.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Checksum {
    algorithm: ChecksumAlgorithm,
    bytes: Box<[u8]>,
}

impl Checksum {
    /// From the bytes that a local computation gave, most significant first.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the algorithm gives another number of bytes.
    pub fn new(algorithm: ChecksumAlgorithm, bytes: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = bytes.as_ref();
        let fits = algorithm
            .length()
            .map_or_else(|| (1..=MAX_VALUE).contains(&bytes.len()), |length| bytes.len() == length);
        if !fits {
            return Err(Error::invalid(format!(
                "a checksum of {} bytes, expected {} for {algorithm}",
                bytes.len(),
                algorithm.length().map_or_else(|| format!("1 to {MAX_VALUE}"), |length| length.to_string())
            )));
        }
        Ok(Self { algorithm, bytes: bytes.into() })
    }

    /// From hexadecimal digits of either case. Zeros that are missing in front of a 32-bit value are taken for granted:
    /// not everybody writes them.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for other characters and another number of digits.
    pub fn from_hex(algorithm: ChecksumAlgorithm, digits: &str) -> Result<Self> {
        let refused = |expected: &str| {
            let shown = Escaped(&digits.as_bytes()[..digits.len().min(100)]).to_string();
            Error::invalid(format!("the {algorithm} checksum \"{shown}\": expected {expected}"))
        };
        if digits.is_empty() || digits.len() > MAX_VALUE * 2 {
            return Err(refused("hexadecimal digits"));
        }
        let number: Option<Vec<u8>> = digits.chars().map(|c| u8::try_from(c.to_digit(16)?).ok()).collect();
        let mut nibbles = number.ok_or_else(|| refused("hexadecimal digits"))?;
        let wanted = match algorithm.length() {
            Some(4) if nibbles.len() < 8 => 8,
            Some(length) if nibbles.len() != length * 2 => {
                return Err(refused(&format!("{} hexadecimal digits", length * 2)));
            }
            _ => nibbles.len().next_multiple_of(2),
        };
        let missing = wanted - nibbles.len();
        nibbles.splice(0..0, std::iter::repeat_n(0, missing));
        Self::new(algorithm, nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<u8>>())
    }

    /// How it was computed.
    pub fn algorithm(&self) -> &ChecksumAlgorithm {
        &self.algorithm
    }

    /// The value, most significant byte first.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value in hexadecimal digits, in lower case and with all leading zeros.
    pub fn to_hex(&self) -> String {
        use fmt::Write as _;
        self.bytes.iter().fold(String::with_capacity(self.bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.to_hex())
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({self})")
    }
}

impl FromStr for Checksum {
    type Err = Error;

    /// # Errors
    /// `InvalidInput` for anything but a name, a colon and the digits that go with the name.
    fn from_str(text: &str) -> Result<Self> {
        let Some((algorithm, digits)) = text.split_once(':') else {
            return Err(Error::invalid(format!(
                "\"{}\" is no checksum, expected one like ADLER32:0ad50045",
                Escaped(&text.as_bytes()[..text.len().min(100)])
            )));
        };
        Self::from_hex(algorithm.parse()?, digits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_algorithms() {
        for known in ChecksumAlgorithm::KNOWN {
            assert_eq!(known.to_string().to_lowercase().parse::<ChecksumAlgorithm>().unwrap(), known);
        }
        let other: ChecksumAlgorithm = "sha3-256".parse().unwrap();
        assert_eq!(other.as_str(), "SHA3-256");
        assert_eq!(other, "SHA3-256".parse().unwrap());
        for bad in ["", "a b", "a:b", "MD5;", "x,y", "a\r\nDELE", "\u{fc}", &"x".repeat(33)] {
            let error = bad.parse::<ChecksumAlgorithm>().unwrap_err().to_string();
            assert!(error.contains("is no name") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn values_are_compared_and_not_their_spelling() {
        let md5 = Checksum::from_hex(ChecksumAlgorithm::Md5, "CABE45dcc9ae5b66ba86600cca6b8ba8").unwrap();
        assert_eq!(md5, "md5:cabe45dcc9ae5b66ba86600cca6b8ba8".parse().unwrap());
        assert_ne!(md5, "md5:cabe45dcc9ae5b66ba86600cca6b8ba9".parse().unwrap());
        let (one, other) = ("adler32:00000001", "crc32:00000001");
        assert_ne!(one.parse::<Checksum>().unwrap(), other.parse().unwrap());
        for text in ["adler32:1", "ADLER32:01", "Adler32:00000001"] {
            assert_eq!(text.parse::<Checksum>().unwrap(), one.parse().unwrap(), "{text}");
        }
        assert_eq!("adler32:1".parse::<Checksum>().unwrap().to_string(), "ADLER32:00000001");
        assert_eq!("X:abc".parse::<Checksum>().unwrap().bytes(), [0x0a, 0xbc]);
    }

    #[test]
    fn what_is_no_checksum() {
        for (bad, part) in [
            ("", "is no checksum"),
            ("abc", "is no checksum"),
            (":abc", "is no name"),
            ("md5:", "hexadecimal digits"),
            ("md5:cabe", "32 hexadecimal digits"),
            ("adler32:123456789", "8 hexadecimal digits"),
            ("adler32:+1", "hexadecimal digits"),
            ("sha1:zz", "hexadecimal digits"),
            ("md5:\u{ff11}", "hexadecimal digits"),
        ] {
            let error = bad.parse::<Checksum>().unwrap_err().to_string();
            assert!(error.contains(part), "{bad}: {error}");
        }
        assert!(format!("x:{}", "a".repeat(257)).parse::<Checksum>().is_err());
        assert!(Checksum::new(ChecksumAlgorithm::Md5, [0; 15]).is_err());
        assert!(Checksum::new("x".parse().unwrap(), []).is_err());
    }

    proptest! {
        #[test]
        fn parse_undoes_display(bytes in proptest::collection::vec(any::<u8>(), 20..=20)) {
            let checksum = Checksum::new(ChecksumAlgorithm::Sha1, &bytes).unwrap();
            prop_assert_eq!(checksum.bytes(), bytes);
            prop_assert_eq!(checksum.to_string().parse::<Checksum>().unwrap(), checksum);
        }

        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = text.parse::<Checksum>();
        }
    }
}
