//! Whole transfers against real servers, by topic.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::future_not_send, missing_docs)]

mod choices;
mod endings;
mod explain;
mod far;
mod files;
mod iceprod;
mod kills;
mod policies;
mod retries;
#[path = "../it/strict.rs"]
mod strict;
#[allow(dead_code, unused_imports, reason = "shared with the tests of single operations")]
#[path = "../it/support.rs"]
mod support;
mod trees;

/// How many times something random is done: few in every run, more when asked by a variable.
fn times(variable: &str, few: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .map_or(few, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// Names below a folder that are temporary ones of ours.
fn temporaries(root: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().starts_with(".gridftp-") {
                found.push(entry.path());
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}
