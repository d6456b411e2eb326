#![doc = include_str!("from_c.md")]
