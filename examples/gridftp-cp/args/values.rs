//! Values of options that are more than a word.

use std::str::FromStr;

use gridftp::ChecksumAlgorithm;
use gridftp::transfer::{Shard, Verify};

use crate::size;

/// Bytes, or all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length(pub(crate) Option<u64>);

impl Length {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "-1" { Ok(Self(None)) } else { size::bytes(text).map(|bytes| Self(Some(bytes))) }
    }
}

/// How many sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    Auto,
    Fixed(u16),
}

impl FromStr for Sessions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<u16>() {
            _ if text == "auto" => Ok(Self::Auto),
            // What globus-url-copy takes for one.
            Ok(0) => Ok(Self::Fixed(1)),
            Ok(sessions @ 1..=256) => Ok(Self::Fixed(sessions)),
            _ => {
                Err(format!("\"{text}\" sessions are not possible, expected auto or a number from 1 to 256"))
            }
        }
    }
}

/// What is compared before a copy gets its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifyBy(pub(crate) Verify);

impl FromStr for VerifyBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "size" => Verify::Size,
            "checksum" => Verify::Checksum,
            name => Verify::ChecksumBy(algorithm(name)?),
        }))
    }
}

/// One of the algorithms that are computed here.
pub(crate) fn algorithm(name: &str) -> Result<ChecksumAlgorithm, String> {
    match name.parse() {
        Ok(ChecksumAlgorithm::Other(_)) | Err(_) => Err(format!(
            "\"{name}\" is no way to compare, expected size, checksum, or one of ADLER32, CRC32, MD5, SHA1, SHA256, SHA512"
        )),
        Ok(known) => Ok(known),
    }
}

/// By what two files differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Compare {
    Size,
    Time,
    Checksum,
}

/// What is kept besides the contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    pub(crate) mode: bool,
    pub(crate) time: bool,
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut keep = Self { mode: false, time: false };
        for part in text.split(',') {
            match part {
                "mode" => keep.mode = true,
                "time" | "times" => keep.time = true,
                _ => return Err(format!("\"{part}\" cannot be kept, expected mode, time, or mode,time")),
            }
        }
        Ok(keep)
    }
}

/// Which share of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    Of(Shard),
    /// What Slurm's variables say.
    Slurm,
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "slurm" {
            return Ok(Self::Slurm);
        }
        let wrong =
            || format!("\"{text}\" is no share, expected I/N with I from 0 to N-1, like 0/4, or slurm");
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        Shard::new(number(index)?, number(count)?).map(Self::Of).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_value_is_named_with_what_was_expected() {
        assert_eq!("auto".parse(), Ok(Sessions::Auto));
        assert_eq!("256".parse(), Ok(Sessions::Fixed(256)));
        assert_eq!("0".parse(), Ok(Sessions::Fixed(1)));
        for text in ["", "-1", "257", "x"] {
            assert!(text.parse::<Sessions>().unwrap_err().contains("expected auto or a number"));
        }
        assert_eq!("md5".parse::<VerifyBy>().unwrap().0, Verify::ChecksumBy(ChecksumAlgorithm::Md5));
        assert!("crc16".parse::<VerifyBy>().unwrap_err().contains("\"crc16\" is no way"));
        assert_eq!("time".parse(), Ok(Keep { mode: false, time: true }));
        assert!("mode,acl".parse::<Keep>().unwrap_err().contains("\"acl\""));
        assert_eq!("3/4".parse(), Ok(Share::Of(Shard::new(3, 4).unwrap())));
        for text in ["4/4", "1", "a/b", "1/0", "-1/2"] {
            assert!(text.parse::<Share>().unwrap_err().contains("expected I/N"), "{text}");
        }
    }
}
