//! Which folder is listed next, in bounded memory.
//!
//! Folders are taken depth first: those of the folder that was listed last come before all others, so that the number of
//! known folders grows with the depth of the tree rather than with its size. One folder alone may have any number of them:
//! of those, a bounded choice is remembered (the ones whose hashes are smallest), and the folder is listed again for the
//! rest. The choice goes by hashes, as a server owes nobody the same order twice.

use std::collections::BinaryHeap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc::UnboundedSender;

use super::told::Told;
use crate::url::Url;

/// Folders that are remembered of one folder.
const MAX_CHILDREN: usize = 4096;

/// Bytes of names that are remembered of one folder.
const MAX_CHILD_BYTES: usize = 1 << 20;

/// Bytes that are remembered of all folders together, but for one folder of each level: that a server puts much into each
/// level of a deep tree is not paid for by the memory here.
const MAX_BYTES: usize = 32 << 20;

/// A folder on the way from the root to what is being listed.
pub(crate) struct Folder {
    pub(crate) url: Url,
    /// The path below the root; empty for the root itself.
    pub(crate) path: Vec<u8>,
    pub(crate) depth: usize,
    /// What the server knows it by, if it told.
    pub(crate) unique: OnceLock<Box<[u8]>>,
    parent: Option<Arc<Self>>,
    /// Who is told when nobody can find anything more in it.
    left: Option<UnboundedSender<Left>>,
    kept: AtomicBool,
    unlinked: AtomicBool,
}

/// A folder that has been left for good: it and everything below it was listed, and all that was found in it let go.
pub(crate) struct Left {
    pub(crate) url: Url,
    /// Keeps the folder above until this one is done with.
    pub(crate) parent: Option<Arc<Folder>>,
    /// It cannot be removed, as something in it was not.
    pub(crate) kept: bool,
    /// It was a link, and has been removed.
    pub(crate) unlinked: bool,
}

impl Folder {
    pub(crate) fn root(url: Url, left: Option<UnboundedSender<Left>>) -> Arc<Self> {
        Arc::new(Self::new(url, None, left))
    }

    fn new(url: Url, parent: Option<Arc<Self>>, left: Option<UnboundedSender<Left>>) -> Self {
        Self {
            url,
            path: Vec::new(),
            depth: parent.as_ref().map_or(0, |parent| parent.depth + 1),
            unique: OnceLock::new(),
            parent,
            left,
            kept: AtomicBool::new(false),
            unlinked: AtomicBool::new(false),
        }
    }

    /// Something in it could not be removed.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// It was a link, and has been removed.
    pub(crate) fn unlink(&self) {
        self.unlinked.store(true, Ordering::Relaxed);
    }

    fn child(self: &Arc<Self>, child: Child) -> Arc<Self> {
        let mut folder = Self::new(child.url, Some(Arc::clone(self)), self.left.clone());
        folder.path = joined(&self.path, &child.name);
        if let Some(unique) = child.unique {
            folder.unique = OnceLock::from(unique);
        }
        Arc::new(folder)
    }

    /// Whether this folder or one above has that mark.
    pub(crate) fn is_within(&self, unique: &[u8]) -> bool {
        let mut folder = Some(self);
        while let Some(this) = folder {
            if this.unique.get().is_some_and(|id| &**id == unique) {
                return true;
            }
            folder = this.parent.as_deref();
        }
        false
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let parent = self.parent.take();
        let Some(left) = &self.left else { return let_go(parent) };
        let (kept, unlinked) = (*self.kept.get_mut(), *self.unlinked.get_mut());
        // Nobody listens any more when the whole operation was dropped.
        if let Err(unheard) = left.send(Left { url: self.url.clone(), parent, kept, unlinked }) {
            let_go(unheard.0.parent);
        }
    }
}

/// Lets go of a folder and of those above it, one after the other: a tree may be deeper than the stack is.
fn let_go(mut above: Option<Arc<Folder>>) {
    while let Some(folder) = above {
        above = Arc::into_inner(folder).and_then(|mut folder| {
            folder.left = None;
            folder.parent.take()
        });
    }
}

/// `folder/name`, or the name alone in the root.
pub(crate) fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(folder.len() + 1 + name.len());
    if !folder.is_empty() {
        path.extend_from_slice(folder);
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// A folder that is to be listed later.
pub(crate) struct Child {
    hash: u64,
    name: Box<[u8]>,
    url: Url,
    unique: Option<Box<[u8]>>,
}

impl Child {
    fn bytes(&self) -> usize {
        self.url.path().len() + self.name.len() + self.unique.as_ref().map_or(0, |id| id.len())
    }
}

impl PartialEq for Child {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Child {}

impl PartialOrd for Child {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Child {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.hash.cmp(&other.hash)
    }
}

/// The folders that are found in one listing.
pub(crate) struct Children {
    /// Those with smaller hashes were taken care of before.
    from: u64,
    /// Those with this hash or a larger one are left for another listing.
    cut: Option<u64>,
    kept: BinaryHeap<Child>,
    bytes: usize,
    hasher: RandomState,
}

impl Children {
    pub(crate) fn add(&mut self, name: &[u8], url: Url, unique: Option<&[u8]>) {
        let hash = self.hasher.hash_one(name);
        if hash < self.from || self.cut.is_some_and(|cut| hash >= cut) {
            return;
        }
        let child = Child { hash, name: name.into(), url, unique: unique.map(Into::into) };
        self.bytes += child.bytes();
        self.kept.push(child);
        self.shrink(MAX_CHILD_BYTES);
    }

    /// Leaves folders to another listing until no more bytes are remembered, or a single folder is.
    fn shrink(&mut self, most: usize) {
        while self.kept.len() > MAX_CHILDREN || self.bytes > most && self.kept.len() > 1 {
            let Some(largest) = self.kept.pop() else { break };
            self.bytes -= largest.bytes();
            self.cut = Some(largest.hash);
            // Two of one hash go together, as the cut cannot be between them.
            while self.kept.peek().is_some_and(|next| next.hash == largest.hash) {
                self.bytes -= self.kept.pop().map_or(0, |next| next.bytes());
            }
        }
    }
}

/// A folder to be listed now.
pub(crate) struct Task {
    pub(crate) folder: Arc<Folder>,
    /// It was listed before: only folders that were left out then are of interest.
    pub(crate) again: bool,
    pub(crate) children: Children,
    /// What was told of it so far.
    pub(super) told: Told,
}

struct Frame {
    folder: Arc<Folder>,
    children: BinaryHeap<Child>,
    cut: Option<u64>,
}

/// What is left to be listed.
#[derive(Default)]
pub(crate) struct Plan {
    root: Option<Arc<Folder>>,
    frames: Vec<Frame>,
    waiting: usize,
    /// Bytes of those that wait.
    held: usize,
    hasher: RandomState,
}

impl Plan {
    pub(crate) fn new(root: Arc<Folder>) -> Self {
        Self { root: Some(root), ..Self::default() }
    }

    /// Folders that are known and wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(crate) fn next(&mut self) -> Option<Task> {
        if let Some(root) = self.root.take() {
            return Some(self.task(root, 0, false));
        }
        loop {
            let frame = self.frames.last_mut()?;
            if let Some(child) = frame.children.pop() {
                self.waiting -= 1;
                self.held -= child.bytes();
                let folder = frame.folder.child(child);
                return Some(self.task(folder, 0, false));
            }
            let Frame { folder, cut, .. } = self.frames.pop()?;
            if let Some(from) = cut {
                return Some(self.task(folder, from, true));
            }
        }
    }

    fn task(&self, folder: Arc<Folder>, from: u64, again: bool) -> Task {
        let children =
            Children { from, cut: None, kept: BinaryHeap::new(), bytes: 0, hasher: self.hasher.clone() };
        Task { folder, again, children, told: Told::default() }
    }

    /// Takes in what a listing found.
    pub(crate) fn listed(&mut self, task: Task) {
        let Task { folder, mut children, .. } = task;
        // No folder takes more than a part of the room that is left, so that there is some on every level.
        children.shrink(MAX_BYTES.saturating_sub(self.held) / 16);
        let Children { kept, cut, bytes, .. } = children;
        if !kept.is_empty() || cut.is_some() {
            self.waiting += kept.len();
            self.held += bytes;
            self.frames.push(Frame { folder, children: kept, cut });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn root() -> Arc<Folder> {
        Folder::root(Url::parse("ftp://h/r").unwrap(), None)
    }

    fn found(task: &mut Task, names: impl IntoIterator<Item = String>) {
        for name in names {
            let url = task.folder.url.join(&name).unwrap();
            task.children.add(name.as_bytes(), url, None);
        }
    }

    #[test]
    fn any_number_of_folders_in_one_is_found_in_bounded_memory() {
        let names = || (0..20_000).map(|n| format!("folder-{n}"));
        let mut plan = Plan::new(root());
        let (mut seen, mut listings) = (BTreeSet::new(), 0);
        while let Some(mut task) = plan.next() {
            if task.folder.depth == 0 {
                listings += 1;
                assert_eq!(task.again, listings > 1);
                found(&mut task, names());
            } else {
                assert!(seen.insert(task.folder.path.clone()), "{:?} twice", task.folder.path);
            }
            plan.listed(task);
            assert!(plan.waiting() <= MAX_CHILDREN);
        }
        assert_eq!(seen, names().map(String::into_bytes).collect());
        assert!((5..=6).contains(&listings), "{listings}");
    }

    #[test]
    fn long_names_count_by_their_bytes() {
        let mut plan = Plan::new(root());
        let long = "x".repeat(10_000);
        let (mut seen, mut most) = (0, 0);
        while let Some(mut task) = plan.next() {
            if task.folder.depth == 0 {
                found(&mut task, (0..500).map(|n| format!("{long}{n}")));
            } else {
                seen += 1;
            }
            plan.listed(task);
            most = most.max(plan.waiting());
        }
        assert_eq!(seen, 500);
        assert!(most <= MAX_CHILD_BYTES / 20_000, "{most}");
    }

    #[test]
    fn much_on_every_level_of_a_deep_tree_is_not_held() {
        // A megabyte of names in each of 300 folders, one in the other.
        let mut plan = Plan::new(root());
        let names: Vec<_> = (0..500).map(|n| format!("{}{n}", "x".repeat(2000))).collect();
        let (mut deepest, mut most, mut waiting) = (0, 0, 0);
        for _ in 0..300 {
            let Some(mut task) = plan.next() else { break };
            deepest = deepest.max(task.folder.depth);
            for name in &names {
                // Paths have a greatest length; the folder's own is as good for its size.
                task.children.add(name.as_bytes(), task.folder.url.clone(), None);
            }
            plan.listed(task);
            (most, waiting) = (most.max(plan.held), waiting.max(plan.waiting()));
        }
        assert_eq!(deepest, 299);
        assert!(most <= MAX_BYTES + 300 * 4000, "{most} bytes, {waiting} folders");
        assert!(waiting > 300, "{waiting}");
        while plan.waiting() > 0 && plan.next().is_some() {}
        assert_eq!((plan.held, plan.waiting()), (0, 0));
    }

    #[test]
    fn depth_comes_first() {
        // A tree of four levels with ten folders in each folder: 11,110 of them, of which few are known at a time.
        let mut plan = Plan::new(root());
        let (mut seen, mut most) = (0, 0);
        while let Some(mut task) = plan.next() {
            seen += 1;
            if task.folder.depth < 4 {
                found(&mut task, (0..10).map(|n| n.to_string()));
            }
            plan.listed(task);
            most = most.max(plan.waiting());
        }
        assert_eq!(seen, 1 + 10 + 100 + 1000 + 10_000);
        assert!(most <= 40, "{most}");
    }

    #[test]
    fn a_folder_is_left_when_everything_in_it_is() {
        let (sender, mut left) = tokio::sync::mpsc::unbounded_channel();
        let mut plan = Plan::new(Folder::root(Url::parse("ftp://h/r").unwrap(), Some(sender)));
        while let Some(mut task) = plan.next() {
            if task.folder.depth < 2 {
                found(&mut task, ["a".to_owned(), "b".to_owned()]);
            }
            plan.listed(task);
        }
        let mut order = Vec::new();
        while let Ok(Left { url, parent, .. }) = left.try_recv() {
            order.push(url.path().to_vec());
            drop(parent);
        }
        assert_eq!(order.len(), 7);
        for (at, path) in order.iter().enumerate() {
            assert!(order[at + 1..].iter().all(|later| !later.starts_with(&[path, &b"/"[..]].concat())));
        }
    }
}
