//! A finished copy is a right copy: sizes, final replies, overlapping blocks.
