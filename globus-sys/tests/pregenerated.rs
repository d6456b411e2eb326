//! The checked-in bindings, which docs.rs shows, are those that bindgen makes today.
//!
//! `GLOBUS_SYS_UPDATE_BINDINGS=1 cargo test -p globus-sys --test pregenerated` writes them anew.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed
#![cfg(all(feature = "ftp-client", target_os = "linux", target_arch = "x86_64"))]

use std::fs;
use std::path::Path;

const MADE_NOW: &str = include_str!(concat!(env!("OUT_DIR"), "/bindings.rs"));
const UPDATE: &str = "GLOBUS_SYS_UPDATE_BINDINGS";

#[test]
fn checked_in_bindings_are_not_stale() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("bindings/pregenerated.rs");
    let versions = format!("// Made from: {}\n", env!("GLOBUS_SYS_VERSIONS").replace(',', ", "));

    if std::env::var_os(UPDATE).is_some() {
        fs::write(&file, format!("{versions}{MADE_NOW}")).unwrap();
        return;
    }
    let checked_in = fs::read_to_string(&file).unwrap();
    let (checked_in_versions, checked_in) = checked_in.split_once('\n').unwrap();
    if checked_in_versions != versions.trim_end() {
        // Another distribution has other versions, and its bindings may rightly differ. The copy is for one of them.
        eprintln!("not compared: the checked-in bindings are those of other versions\n{checked_in_versions}");
        return;
    }
    assert!(
        first_difference(checked_in, MADE_NOW).is_none(),
        "{} is stale; to write it anew:\n\n    {UPDATE}=1 cargo test -p globus-sys --test pregenerated\n\nfirst difference:\n{}",
        file.display(),
        first_difference(checked_in, MADE_NOW).unwrap_or_default(),
    );
}

/// Compares what is said and not how it is laid out: rustfmt may be another one, or not installed.
fn first_difference(checked_in: &str, made_now: &str) -> Option<String> {
    let plain = |text: &str| -> Vec<char> {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("/*")).collect::<String>();
        code.chars().filter(|c| !c.is_whitespace() && *c != ',').collect()
    };
    let (old, new) = (plain(checked_in), plain(made_now));
    let at = (0..old.len().max(new.len())).find(|&at| old.get(at) != new.get(at))?;
    let around = |text: &[char]| -> String {
        text[at.saturating_sub(60).min(text.len())..(at + 60).min(text.len())].iter().collect()
    };
    Some(format!("  checked in: …{}…\n  made now:   …{}…", around(&old), around(&new)))
}
