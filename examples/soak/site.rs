//! The servers, the files to fetch from them, and the files that were put.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

/// A server, and how it is spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// What its folder for new files is called.
    pub(crate) name: String,
    /// The URL of the server, without a path.
    pub(crate) root: String,
    /// Nobody does anything to it: every error is one too many.
    pub(crate) calm: bool,
    pub(crate) striped: bool,
}

impl std::str::FromStr for Place {
    type Err = anyhow::Error;

    /// `name[,troubled][,striped]=ROOT`
    fn from_str(text: &str) -> Result<Self> {
        let (words, root) = text.split_once('=').context("expected name=URL")?;
        let mut words = words.split(',');
        let name = words.next().unwrap_or_default().to_owned();
        let (mut calm, mut striped) = (true, false);
        for word in words {
            match word {
                "troubled" => calm = false,
                "striped" => striped = true,
                other => anyhow::bail!("expected troubled or striped, got {other}"),
            }
        }
        Ok(Self { name, root: root.trim_end_matches('/').to_owned(), calm, striped })
    }
}

/// A file to fetch.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) size: usize,
    pub(crate) hash: String,
}

/// A file that was confirmed.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) place: usize,
    pub(crate) name: String,
    pub(crate) hash: String,
    /// It is being removed: it may be gone.
    pub(crate) leaves: bool,
}

impl Stored {
    pub(crate) fn new(place: usize, name: String, hash: String) -> Self {
        Self { place, name, hash, leaves: false }
    }
}

/// The folder that all servers see: `source/` to fetch from, and one for each place to put to.
#[derive(Debug)]
pub(crate) struct Site {
    folder: PathBuf,
    pub(crate) places: Vec<Place>,
    pub(crate) sources: Vec<Source>,
    stored: Mutex<VecDeque<Stored>>,
}

impl Site {
    /// Reads what there is to fetch: lines of hash, size and name.
    pub(crate) fn open(folder: &Path, places: Vec<Place>) -> Result<Self> {
        let list = folder.join("sources");
        let text = std::fs::read_to_string(&list).with_context(|| format!("reading {}", list.display()))?;
        let source = |line: &str| {
            let mut words = line.split(' ');
            let (hash, size, name) = (words.next()?, words.next()?, words.next()?);
            Some(Source { name: name.to_owned(), size: size.parse().ok()?, hash: hash.to_owned() })
        };
        let sources: Vec<_> = text.lines().filter_map(source).collect();
        anyhow::ensure!(
            !sources.is_empty() && !places.is_empty(),
            "nothing to fetch, or nowhere to fetch from"
        );
        Ok(Self { folder: folder.to_owned(), places, sources, stored: Mutex::default() })
    }

    /// The URL of a file to fetch, or with an empty name that of the folder.
    pub(crate) fn source(&self, place: usize, name: &str) -> String {
        format!("{}{}/source/{name}", self.places[place].root, self.folder.display())
    }

    /// The URL of a place's own file.
    pub(crate) fn own(&self, place: usize, name: &str) -> String {
        let Place { root, name: own, .. } = &self.places[place];
        format!("{root}{}/{own}/{name}", self.folder.display())
    }

    /// A file was confirmed: it must be there, whole, until it is taken out.
    pub(crate) fn store(&self, stored: Stored) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).push_back(stored);
    }

    /// The oldest of more than so many files.
    pub(crate) fn take(&self, more_than: usize) -> Option<Stored> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.len() > more_than { stored.pop_front() } else { None }
    }

    /// Writes down which files must be there: lines of hash and path.
    pub(crate) fn write_manifest(&self) -> Result<()> {
        let mut text = String::new();
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        for Stored { place, name, hash, .. } in stored.iter().filter(|stored| !stored.leaves) {
            writeln!(text, "{hash} {}/{name}", self.places[*place].name)?;
        }
        let path = self.folder.join("manifest");
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }
}
