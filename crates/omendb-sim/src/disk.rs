//! The state of the simulated disk: for every sector, size and name, what a process sees and what may be durable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const SECTOR_BYTES: usize = 512;

pub(crate) type Sector = Arc<[u8; SECTOR_BYTES]>;

/// A value that exists as the process sees it and as the disk may hold it.
#[derive(Debug, Clone)]
pub(crate) struct Durable<T> {
    current: T,
    /// What the disk held at the last sync that covered this.
    synced: T,
    /// What was seen since: any of them may have reached the disk.
    pending: Vec<T>,
    /// Whether a sync would write it. A failed sync clears this without making anything certain.
    is_dirty: bool,
}

impl<T: Clone> Durable<T> {
    pub(crate) fn synced(value: T) -> Self {
        Self {
            current: value.clone(),
            synced: value,
            pending: Vec::new(),
            is_dirty: false,
        }
    }

    pub(crate) fn current(&self) -> &T {
        &self.current
    }

    fn set(&mut self, value: T) {
        self.current = value.clone();
        self.pending.push(value);
        self.is_dirty = true;
    }

    /// A sync: what is dirty becomes certain. What an earlier failed sync gave up on stays uncertain.
    fn sync(&mut self) {
        if self.is_dirty {
            *self = Self::synced(self.current.clone());
        }
    }

    fn fail_sync(&mut self) {
        self.is_dirty = false;
    }

    /// How many different outcomes a power cut has.
    pub(crate) fn outcomes(&self) -> usize {
        1 + self.pending.len()
    }

    /// One of them: 0 is what was synced, the last is what the process sees.
    pub(crate) fn outcome(&self, choice: usize) -> &T {
        choice
            .checked_sub(1)
            .map_or(&self.synced, |index| &self.pending[index])
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    File(u64),
    Directory,
}

#[derive(Debug, Clone)]
pub(crate) struct Inode {
    pub(crate) sectors: Vec<Durable<Sector>>,
    pub(crate) size: Durable<u64>,
}

/// The whole disk. Clones share what they have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) inodes: BTreeMap<u64, Arc<Inode>>,
    pub(crate) names: BTreeMap<PathBuf, Durable<Option<Node>>>,
    next_inode: u64,
}

impl Inode {
    fn empty() -> Self {
        Self {
            sectors: Vec::new(),
            size: Durable::synced(0),
        }
    }

    /// A file of which every bit is durable.
    pub(crate) fn synced(contents: Vec<Sector>, size: u64) -> Self {
        Self {
            sectors: contents.into_iter().map(Durable::synced).collect(),
            size: Durable::synced(size),
        }
    }

    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let available = self.size.current().saturating_sub(offset);
        let count = buffer.len().min(usize::try_from(available).unwrap_or(usize::MAX));
        let mut done = 0;
        while done < count {
            let (sector, position) = locate(offset + done as u64);
            let part = (SECTOR_BYTES - position).min(count - done);
            buffer[done..done + part]
                .copy_from_slice(&self.sectors[sector].current()[position..position + part]);
            done += part;
        }
        count
    }

    pub(crate) fn write(&mut self, bytes: &[u8], offset: u64) {
        let end = offset + bytes.len() as u64;
        self.reach(end.max(*self.size.current()));
        let mut done = 0;
        while done < bytes.len() {
            let (sector, position) = locate(offset + done as u64);
            let count = (SECTOR_BYTES - position).min(bytes.len() - done);
            self.patch(sector, position, &bytes[done..done + count]);
            done += count;
        }
        if end > *self.size.current() {
            self.size.set(end);
        }
    }

    pub(crate) fn resize(&mut self, size: u64) {
        let old = *self.size.current();
        self.reach(size);
        let mut position = size;
        while position < old {
            let (sector, start) = locate(position);
            let count = (SECTOR_BYTES - start).min((old - position) as usize);
            self.patch(sector, start, &vec![0; count]);
            position += count as u64;
        }
        if size != old {
            self.size.set(size);
        }
    }

    pub(crate) fn sync(&mut self) {
        self.size.sync();
        self.sectors.iter_mut().for_each(Durable::sync);
    }

    pub(crate) fn fail_sync(&mut self) {
        self.size.fail_sync();
        self.sectors.iter_mut().for_each(Durable::fail_sync);
    }

    /// Flips bits in every version of a byte: damage of the medium, not of a write.
    pub(crate) fn rot(&mut self, offset: u64, mask: u8) {
        let (sector, position) = locate(offset);
        let Durable {
            current,
            synced,
            pending,
            ..
        } = &mut self.sectors[sector];
        for version in [current, synced].into_iter().chain(pending) {
            Arc::make_mut(version)[position] ^= mask;
        }
    }

    fn patch(&mut self, sector: usize, position: usize, bytes: &[u8]) {
        let mut contents = *Arc::clone(self.sectors[sector].current());
        contents[position..position + bytes.len()].copy_from_slice(bytes);
        self.sectors[sector].set(Arc::new(contents));
    }

    /// Has sectors for a file of this size; those that were never written are zeros.
    fn reach(&mut self, size: u64) {
        let sectors = sectors(size).max(self.sectors.len());
        self.sectors
            .resize_with(sectors, || Durable::synced(Arc::new([0; SECTOR_BYTES])));
    }
}

impl Disk {
    pub(crate) fn node(&self, path: &Path) -> Option<Node> {
        if is_root(path) {
            return Some(Node::Directory);
        }
        *self.names.get(path)?.current()
    }

    pub(crate) fn create(&mut self, path: &Path) -> u64 {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(inode, Arc::new(Inode::empty()));
        self.set_name(path, Some(Node::File(inode)));
        inode
    }

    pub(crate) fn set_name(&mut self, path: &Path, node: Option<Node>) {
        self.names
            .entry(path.to_owned())
            .or_insert_with(|| Durable::synced(None))
            .set(node);
    }

    pub(crate) fn inode(&mut self, inode: u64) -> &mut Inode {
        Arc::make_mut(
            self.inodes
                .get_mut(&inode)
                .expect("inodes are kept while a file is open"),
        )
    }

    /// Puts a durable file under a number of another disk.
    pub(crate) fn adopt(&mut self, number: u64, inode: Inode) {
        self.next_inode = self.next_inode.max(number + 1);
        self.inodes.insert(number, Arc::new(inode));
    }

    /// The names in a directory.
    pub(crate) fn children<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = (&'a Path, Node)> {
        self.names
            .iter()
            .filter(move |(path, _)| path.parent() == Some(directory))
            .filter_map(|(path, name)| Some((path.as_path(), (*name.current())?)))
    }

    pub(crate) fn sync_names(&mut self, directory: &Path, succeeds: bool) {
        for (path, name) in &mut self.names {
            if path.parent() == Some(directory) {
                if succeeds { name.sync() } else { name.fail_sync() }
            }
        }
    }

    /// Sectors in use by files that have a name.
    pub(crate) fn used_sectors(&self) -> usize {
        let files: BTreeSet<u64> = self
            .names
            .values()
            .filter_map(|name| file(*name.current()))
            .collect();
        files
            .iter()
            .map(|inode| sectors(*self.inodes[inode].size.current()))
            .sum()
    }

    /// The files that have a name after some power cut.
    pub(crate) fn nameable_inodes(&self) -> BTreeSet<u64> {
        let outcomes = |name: &Durable<Option<Node>>| -> Vec<Option<Node>> {
            (0..name.outcomes()).map(|choice| *name.outcome(choice)).collect()
        };
        self.names.values().flat_map(outcomes).filter_map(file).collect()
    }
}

fn file(node: Option<Node>) -> Option<u64> {
    match node {
        Some(Node::File(inode)) => Some(inode),
        Some(Node::Directory) | None => None,
    }
}

/// Sectors of a file of this size.
pub(crate) fn sectors(size: u64) -> usize {
    size.div_ceil(SECTOR_BYTES as u64) as usize
}

/// The directories that exist without having been created.
pub(crate) fn is_root(path: &Path) -> bool {
    path.parent().is_none() || path.as_os_str() == "."
}

fn locate(offset: u64) -> (usize, usize) {
    (
        (offset / SECTOR_BYTES as u64) as usize,
        (offset % SECTOR_BYTES as u64) as usize,
    )
}
