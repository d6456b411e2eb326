//! What is to be copied, as a list of tasks: each a file, a tree, what a pattern matches, or some paths below a folder.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use gridftp::transfer::Shard;

use crate::aliases::Aliases;
use crate::args::{Input, Settings};
use crate::failure::{End, Failure};
use crate::list::{self, Line};
use crate::location::Location;
use crate::stream::Part;

/// One copy, for the library or for `stream`.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) from: Location,
    /// Other places that have the same.
    pub(crate) others: Vec<Location>,
    pub(crate) to: Location,
    pub(crate) kind: Kind,
    pub(crate) part: Part,
    /// The share of what is below.
    pub(crate) shard: Option<Shard>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file.
    One,
    /// A folder with everything below it, or a file.
    Tree,
    /// What matches the last part of the source's path, into a folder.
    Glob,
    /// These, of what lies below the source.
    Paths(Vec<Vec<u8>>),
}

/// All of them, and how many are in the shares of others.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    pub(crate) list: Vec<Task>,
    pub(crate) of_others: u64,
}

/// Makes them. Reads lists.
pub(crate) fn of(settings: &Settings) -> Result<Tasks, Failure> {
    let aliases = match &settings.alias_file {
        Some(path) => Aliases::read(path)?,
        None => Aliases::default(),
    };
    let mut maker = Maker { settings, aliases, tasks: Tasks::default(), groups: HashMap::new() };
    match &settings.input {
        Input::Show(_) => {}
        Input::Places(sources, to) => {
            let to = Location::parse(to)?.or_stdio("/dev/stdout");
            let several = sources.len() > 1;
            if several && to == Location::Stdio {
                return Err(Failure::usage(
                    "several sources cannot go to standard output; expected one, or a folder",
                ));
            }
            if several && settings.part.partial {
                return Err(Failure::usage(
                    "a part (-off, -len) is one of a single file; expected one SOURCE",
                ));
            }
            for source in sources {
                maker.add(source, to.clone(), several, settings.part)?;
            }
        }
        Input::List(path) => {
            let text = list::read(path)?;
            for Line { source, dest, part } in list::pairs(&text, settings.null, path)? {
                let to = Location::parse(&dest)?.or_stdio("/dev/stdout");
                maker.add(&source, to, false, part)?;
            }
        }
        Input::Below { from, to, list } => {
            let paths = list::paths(&list::read(list)?, settings.null);
            let (from, to) = (Location::parse(from)?, Location::parse(to)?);
            maker.push(from, to, Kind::Paths(paths), Part::default(), settings.shard)?;
        }
    }
    Ok(maker.tasks)
}

struct Maker<'a> {
    settings: &'a Settings,
    aliases: Aliases,
    tasks: Tasks,
    /// Which task has the files of a folder that go to another one.
    groups: HashMap<(String, String), usize>,
}

impl Maker<'_> {
    fn push(
        &mut self,
        from: Location,
        to: Location,
        kind: Kind,
        part: Part,
        shard: Option<Shard>,
    ) -> Result<(), Failure> {
        let turn = self.tasks.list.len();
        let mut sources = self.aliases.apply(End::Source, turn, &from)?;
        let to = self.aliases.apply(End::Destination, turn, &to)?.swap_remove(0);
        let from = sources.remove(0);
        for other in &self.settings.or_from {
            sources.push(Location::parse(other)?);
        }
        self.tasks.list.push(Task { from, others: sources, to, kind, part, shard });
        Ok(())
    }

    /// A source and where it goes; `into` says that this is a folder in any case.
    fn add(&mut self, source: &OsStr, to: Location, into: bool, part: Part) -> Result<(), Failure> {
        let settings = self.settings;
        let (from, is_pattern) = if settings.no_glob {
            (Location::parse(source)?, false)
        } else {
            Location::parse_pattern(source)?
        };
        let from = from.or_stdio("/dev/stdin");
        if is_pattern {
            if part.partial {
                return Err(Failure::usage(format!(
                    "{from}: a part (-off, -len) is one of a single file, not of a pattern"
                )));
            }
            return self.push(from, to, Kind::Glob, part, settings.shard);
        }
        if settings.recursive && from.names_a_folder() {
            return self.push(from, to, Kind::Tree, part, settings.shard);
        }
        let to = if (into || settings.recursive && to.names_a_folder()) && from != Location::Stdio {
            let name = from.file_name().ok_or_else(|| {
                Failure::usage(format!(
                    "{from} has no name to be copied under, expected one that ends with a name"
                ))
            })?;
            to.join(name)?
        } else {
            to
        };
        // A tree is divided by what is in it; of files each is a whole.
        if settings.recursive && !part.partial && !into {
            return self.push(from, to, Kind::Tree, part, settings.shard);
        }
        if let Some(shard) = settings.shard
            && !settings.recursive
            && !shard.has(from.to_string().as_bytes())
        {
            self.tasks.of_others += 1;
            return Ok(());
        }
        match self.group(&from, &to, part) {
            Some(key) => self.add_to_group(key, from, to),
            None => self.push_alone(from, to, part),
        }
    }

    /// The folders of a file that goes from one to another under its name: many of those are one task.
    fn group(&self, from: &Location, to: &Location, part: Part) -> Option<(String, String)> {
        let whole = !part.partial && !self.settings.channels.ascii && self.settings.or_from.is_empty();
        if !whole || self.settings.alias_file.is_some() {
            return None;
        }
        let name = from.file_name().filter(|_| !from.names_a_folder())?;
        let folder = if to.names_a_folder() {
            to.clone()
        } else if to.file_name() == Some(name) {
            to.parent()?
        } else {
            return None;
        };
        let transferable = from.as_transferable().is_some() && to.as_transferable().is_some();
        transferable.then(|| Some((from.parent()?.to_string(), folder.to_string())))?
    }

    /// A file; or, where folders are copied too, what may be one.
    fn push_alone(&mut self, from: Location, to: Location, part: Part) -> Result<(), Failure> {
        if self.settings.recursive && !part.partial && from != Location::Stdio {
            return self.push(from, to, Kind::Tree, part, self.settings.shard);
        }
        self.push(from, to, Kind::One, part, None)
    }

    fn add_to_group(&mut self, key: (String, String), from: Location, to: Location) -> Result<(), Failure> {
        let name = from.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
        let Some(&at) = self.groups.get(&key) else {
            self.groups.insert(key, self.tasks.list.len());
            return self.push_alone(from, to, Part::default());
        };
        let task = &mut self.tasks.list[at];
        if let Kind::Paths(names) = &mut task.kind {
            names.push(name);
            return Ok(());
        }
        // The second one makes a group of it.
        let first = task.from.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
        let (Some(folder), target) = (task.from.parent(), &task.to) else {
            return self.push_alone(from, to, Part::default());
        };
        let Some(target) = (if target.names_a_folder() { Some(target.clone()) } else { target.parent() })
        else {
            return self.push_alone(from, to, Part::default());
        };
        task.from = folder;
        task.to = target;
        task.kind = Kind::Paths(vec![first, name]);
        Ok(())
    }
}
