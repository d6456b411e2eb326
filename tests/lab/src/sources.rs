//! A package's own sources, for tests that hold what is written there against something else.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The text of each `.rs` file below `folder` of `root`, by its path from `root`. None if there is no such folder.
///
/// # Errors
/// When something cannot be read.
pub fn rust_sources(root: &Path, folder: &str) -> Result<BTreeMap<PathBuf, String>> {
    let mut folders = vec![root.join(folder)];
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        let mut read = || -> io::Result<()> {
            if !folder.exists() {
                return Ok(());
            }
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path)?;
                    found.insert(path.strip_prefix(root).unwrap_or(&path).to_owned(), text);
                }
            }
            Ok(())
        };
        let done = read();
        done.map_err(Error::io("reading", root))?;
    }
    Ok(found)
}
