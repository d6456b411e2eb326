//! The files of a hostile server, in memory, and how they are listed.

use std::collections::BTreeMap;

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Node {
    File(Vec<u8>),
    Folder,
    Link(Vec<u8>),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    nodes: BTreeMap<Vec<u8>, Node>,
    /// Below this folder every folder holds `f`, `a` and `b`.
    pub(super) endless: Option<Vec<u8>>,
}

/// The path from `/`, without `.`, `..`, empty parts and a blank at the end of the folder's name.
pub(super) fn normal(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut out = vec![b'/'];
    out.extend(parts.join(&b'/'));
    out
}

fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(0) | None => b"/",
        Some(at) => &path[..at],
    }
}

impl Files {
    pub(super) fn get(&self, path: &[u8]) -> Option<Node> {
        if path == b"/" {
            return Some(Node::Folder);
        }
        if let Some(node) = self.nodes.get(path) {
            return Some(match node {
                Node::Link(target) => self.nodes.get(target).cloned().unwrap_or(Node::File(Vec::new())),
                other => other.clone(),
            });
        }
        let endless = self.endless.as_deref()?;
        let inside = path.strip_prefix(endless).filter(|rest| rest.starts_with(b"/"))?;
        match inside.rsplit(|&byte| byte == b'/').next() {
            Some(b"f") => Some(Node::File(b"f".to_vec())),
            Some(b"a" | b"b") => Some(Node::Folder),
            _ => None,
        }
    }

    pub(super) fn put(&mut self, path: &[u8], bytes: Vec<u8>) {
        self.make_folder(parent(path));
        self.nodes.insert(path.to_vec(), Node::File(bytes));
    }

    pub(super) fn link(&mut self, path: &[u8], target: &[u8]) {
        self.nodes.insert(path.to_vec(), Node::Link(target.to_vec()));
    }

    pub(super) fn make_folder(&mut self, path: &[u8]) {
        let mut at = path;
        while at != b"/" && self.get(at).is_none() {
            self.nodes.insert(at.to_vec(), Node::Folder);
            at = parent(at);
        }
    }

    pub(super) fn has_parent(&self, path: &[u8]) -> bool {
        matches!(self.get(parent(path)), Some(Node::Folder))
    }

    pub(super) fn remove(&mut self, path: &[u8]) -> bool {
        self.nodes.remove(path).is_some() || self.endless.is_some()
    }

    /// Moves a name and everything below it.
    pub(super) fn rename(&mut self, from: &[u8], to: &[u8]) {
        let mut below = from.to_vec();
        below.push(b'/');
        let names: Vec<_> =
            self.nodes.keys().filter(|name| *name == from || name.starts_with(&below)).cloned().collect();
        for name in names {
            if let Some(node) = self.nodes.remove(&name) {
                self.nodes.insert([to, &name[from.len()..]].concat(), node);
            }
        }
    }

    /// The names in a folder.
    pub(super) fn entries(&self, folder: &[u8]) -> Vec<(Vec<u8>, Node)> {
        let mut inside = folder.to_vec();
        if folder != b"/" {
            inside.push(b'/');
        }
        let mut entries: Vec<_> = self
            .nodes
            .range(inside.clone()..)
            .take_while(|(path, _)| path.starts_with(&inside))
            .filter(|(path, _)| !path[inside.len()..].contains(&b'/'))
            .map(|(path, node)| (path[inside.len()..].to_vec(), node.clone()))
            .collect();
        if self.endless.as_deref().is_some_and(|endless| folder.starts_with(endless)) {
            entries.extend([
                (b"a".to_vec(), Node::Folder),
                (b"b".to_vec(), Node::Folder),
                (b"f".to_vec(), Node::File(b"f".to_vec())),
            ]);
        }
        entries
    }

    /// The lines of MLSD, as the stock server tells them.
    pub(super) fn facts(&self, folder: &[u8]) -> Vec<u8> {
        let mut out = facts(b".", &Node::Folder, folder, "cdir");
        for (name, node) in self.entries(folder) {
            let path = normal(&[folder, b"/", &name].concat());
            out.extend(facts(&name, &node, &path, type_of(&node)));
        }
        out
    }

    pub(super) fn long(&self, folder: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, node) in self.entries(folder) {
            let (mode, size) = match &node {
                Node::File(bytes) => ("-rw-r--r--", bytes.len()),
                Node::Folder => ("drwxr-xr-x", 4096),
                Node::Link(_) => ("lrwxrwxrwx", 1),
            };
            out.extend(format!("{mode}   1 user     group    {size:>10} Jan  1 00:00 ").into_bytes());
            out.extend(name);
            out.extend(b"\r\n");
        }
        out
    }
}

fn type_of(node: &Node) -> &'static str {
    match node {
        Node::File(_) => "file",
        Node::Folder => "dir",
        Node::Link(_) => "OS.unix=slink",
    }
}

fn facts(name: &[u8], node: &Node, path: &[u8], kind: &str) -> Vec<u8> {
    let size = if let Node::File(bytes) = node { bytes.len() } else { 4096 };
    // The mark is the place: no two folders share one.
    let unique = path.iter().fold(17_u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut out = format!(
        "Type={kind};Modify=20260101000000;Size={size};Perm=radfwelcmp;UNIX.mode=0644;UNIX.owner=user;UNIX.group=group;Unique=10-{unique:x}; "
    )
    .into_bytes();
    out.extend_from_slice(name);
    out.extend(b"\r\n");
    out
}

/// The line of MLST.
pub(super) fn facts_of(path: &[u8], node: &Node) -> Vec<u8> {
    facts(path, node, path, type_of(node))
}
