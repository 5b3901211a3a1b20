//! The file system over the simulated disk: counts operations, injects errors, fills up, takes time.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use omendb_metrics::ManualTime;
use omendb_storage::{Access, DirectoryEntry, DiskCounters, File, FileLock, FileSystem, Space};

use crate::disk::{self, Disk, Node, SECTOR_BYTES};
use crate::fault::{Fault, Operation};
use crate::images::CrashPoint;
use crate::rng::Rng;

/// A file system in memory. Clones are handles to the same one, as processes have to a real one.
#[derive(Debug, Clone)]
pub struct SimFs {
    shared: Arc<Shared>,
}

/// How long operations take, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delays {
    /// Of each write.
    pub write_ns: u64,
    /// Of each sync of a file.
    pub sync_ns: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    released: Condvar,
    counters: DiskCounters,
}

#[derive(Debug)]
struct State {
    disk: Disk,
    rng: Rng,
    operations: u64,
    faults: Vec<Fault>,
    capacity_sectors: usize,
    crash_points: Option<Vec<CrashPoint>>,
    locks: BTreeSet<PathBuf>,
    delays: Option<(Arc<ManualTime>, Delays)>,
    /// Syncs of files wait while this is not zero.
    holds: usize,
    syncs_waiting: usize,
    /// Reads of these files wait; one that is held twice is in here twice.
    held_reads: Vec<u64>,
    reads_waiting: usize,
}

impl SimFs {
    /// An empty disk. The seed decides what injected errors leave behind.
    pub fn new(seed: u64) -> Self {
        Self::with_disk(Disk::default(), seed)
    }

    pub(crate) fn from_disk(disk: Disk) -> Self {
        Self::with_disk(disk, 0)
    }

    fn with_disk(disk: Disk, seed: u64) -> Self {
        let state = State {
            disk,
            rng: Rng::new(seed),
            operations: 0,
            faults: Vec::new(),
            capacity_sectors: usize::MAX,
            crash_points: None,
            locks: BTreeSet::new(),
            delays: None,
            holds: 0,
            syncs_waiting: 0,
            held_reads: Vec::new(),
            reads_waiting: 0,
        };
        let shared = Shared {
            state: Mutex::new(state),
            released: Condvar::new(),
            counters: DiskCounters::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Operations done so far, failed ones included.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Adds an error to come.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Gives the disk this many bytes, in whole sectors.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity_sectors = (bytes / SECTOR_BYTES as u64) as usize;
    }

    /// Bytes in use, in whole sectors.
    pub fn used_bytes(&self) -> u64 {
        (self.state().disk.used_sectors() * SECTOR_BYTES) as u64
    }

    /// Keeps the state after each operation that changes something, from now on.
    pub fn record_crash_points(&self) {
        let mut state = self.state();
        let now = state.crash_point();
        state.crash_points = Some(vec![now]);
    }

    /// The states kept since [`Self::record_crash_points`], which ends.
    pub fn crash_points(&self) -> Vec<CrashPoint> {
        self.state().crash_points.take().unwrap_or_default()
    }

    /// The state now.
    pub fn crash_point(&self) -> CrashPoint {
        self.state().crash_point()
    }

    /// Advances `time` by what writes and syncs take.
    pub fn set_delays(&self, time: Arc<ManualTime>, delays: Delays) {
        self.state().delays = Some((time, delays));
    }

    /// Makes syncs of files wait until the hold is dropped.
    pub fn hold_syncs(&self) -> SyncHold {
        self.state().holds += 1;
        SyncHold {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Syncs that wait for a hold to be dropped.
    pub fn syncs_waiting(&self) -> usize {
        self.state().syncs_waiting
    }

    /// Makes reads of a file, which must exist, wait until the hold is dropped.
    pub fn hold_reads(&self, path: &Path) -> ReadHold {
        let mut state = self.state();
        let inode = match state.disk.node(path) {
            Some(Node::File(inode)) => Some(inode),
            Some(Node::Directory) | None => None,
        };
        state.held_reads.extend(inode);
        ReadHold {
            shared: Arc::clone(&self.shared),
            inode,
        }
    }

    /// Reads that wait for a hold to be dropped.
    pub fn reads_waiting(&self) -> usize {
        self.state().reads_waiting
    }

    /// Flips the bits of `mask` in a byte of a file, as a decaying medium does. The path and offset must exist.
    pub fn rot(&self, path: &Path, offset: u64, mask: u8) {
        let mut state = self.state();
        if let Some(Node::File(inode)) = state.disk.node(path) {
            state.disk.inode(inode).rot(offset, mask);
        }
    }

    /// The paths of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.state();
        let is_file = |node: Option<Node>| matches!(node, Some(Node::File(_)));
        state
            .disk
            .names
            .keys()
            .filter(|path| is_file(state.disk.node(path)))
            .cloned()
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a hold is dropped.
    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.released.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn crash_point(&self) -> CrashPoint {
        CrashPoint {
            operations: self.operations,
            disk: self.disk.clone(),
        }
    }

    /// Counts an operation and returns the error injected into it.
    fn begin(&mut self, operation: Operation) -> Option<io::Error> {
        let number = self.operations;
        self.operations += 1;
        if self.faults.iter().any(|fault| fault.is_panic_at(number)) {
            // Without the message of a panic that nobody expected.
            std::panic::resume_unwind(Box::new("injected panic"));
        }
        self.faults
            .iter()
            .find_map(|fault| fault.answer(number, operation))
    }

    /// Keeps the state after an operation that changed something.
    fn end(&mut self) {
        let now = self.crash_point();
        if let Some(points) = &mut self.crash_points {
            points.push(now);
        }
    }

    /// An operation on names that either happens or fails.
    fn change<T>(
        &mut self,
        operation: Operation,
        apply: impl FnOnce(&mut Disk) -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some(error) = self.begin(operation) {
            return Err(error);
        }
        let result = apply(&mut self.disk);
        self.end();
        result
    }

    fn parent_exists(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        match self.disk.node(parent) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// How many of `bytes` at `offset` of a file there is space for.
    fn room(&self, inode: u64, bytes: usize, offset: u64) -> usize {
        let has = disk::sectors(*self.disk.inodes[&inode].size.current());
        let free = self.capacity_sectors.saturating_sub(self.disk.used_sectors());
        let reachable = has.saturating_add(free).saturating_mul(SECTOR_BYTES) as u64;
        bytes.min(usize::try_from(reachable.saturating_sub(offset)).unwrap_or(usize::MAX))
    }
}

impl FileSystem for SimFs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        let existing = state.disk.node(path);
        let inode = match (access, existing) {
            (_, Some(Node::Directory)) => return Err(io::ErrorKind::IsADirectory.into()),
            (Access::Read, Some(Node::File(inode))) => {
                state.begin(Operation::Other).map_or(Ok(inode), Err)?
            }
            (Access::Read, None) => return Err(io::ErrorKind::NotFound.into()),
            (Access::CreateNew, Some(Node::File(_))) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Access::CreateNew, None) => {
                state.parent_exists(path)?;
                state.change(Operation::Create, |disk| Ok(disk.create(path)))?
            }
        };
        Ok(Box::new(SimFile {
            shared: Arc::clone(&self.shared),
            inode,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.disk.node(from).ok_or(io::ErrorKind::NotFound)?;
        state.parent_exists(to)?;
        let error = state.begin(Operation::Rename);
        // An error does not say that it did not happen.
        if error.is_none() || state.rng.one_in(2) {
            state.disk.set_name(to, Some(node));
            state.disk.set_name(from, None);
        }
        state.end();
        error.map_or(Ok(()), Err)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        match state.disk.node(path) {
            Some(Node::File(_)) => {}
            Some(Node::Directory) => return Err(io::ErrorKind::IsADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        state.change(Operation::Remove, |disk| {
            disk.set_name(path, None);
            Ok(())
        })
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.disk.node(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.parent_exists(path)?;
        state.change(Operation::Create, |disk| {
            disk.set_name(path, Some(Node::Directory));
            Ok(())
        })
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        match state.disk.node(path) {
            Some(Node::Directory) => {}
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        if state.disk.children(path).next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.change(Operation::Remove, |disk| {
            disk.set_name(path, None);
            Ok(())
        })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut state = self.state();
        match state.disk.node(directory) {
            Some(Node::Directory) => {}
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        if let Some(error) = state.begin(Operation::Other) {
            return Err(error);
        }
        let entry = |(path, node): (&Path, Node)| {
            let name = path.file_name()?.to_str()?.to_owned();
            Some(DirectoryEntry {
                name,
                is_directory: node == Node::Directory,
            })
        };
        Ok(state.disk.children(directory).filter_map(entry).collect())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.shared.counters.add_directory_sync();
        let mut state = self.state();
        let error = state.begin(Operation::SyncDirectory);
        state.disk.sync_names(path, error.is_none());
        state.end();
        error.map_or(Ok(()), Err)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        let mut state = self.state();
        state.parent_exists(path)?;
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if state.disk.node(path).is_none() {
            state.disk.create(path);
        }
        Ok(Box::new(SimLock {
            shared: Arc::clone(&self.shared),
            path: path.to_owned(),
        }))
    }

    /// Asking is no operation: it moves nothing that a fault could strike.
    fn space(&self, _directory: &Path) -> io::Result<Space> {
        let state = self.shared.state();
        let bytes = |sectors: usize| sectors.saturating_mul(SECTOR_BYTES) as u64;
        Ok(Space {
            available_bytes: bytes(state.capacity_sectors.saturating_sub(state.disk.used_sectors())),
            total_bytes: bytes(state.capacity_sectors),
        })
    }

    fn counters(&self) -> &DiskCounters {
        &self.shared.counters
    }
}

#[derive(Debug)]
struct SimFile {
    shared: Arc<Shared>,
    inode: u64,
}

impl SimFile {
    fn sync(&self) -> io::Result<()> {
        self.shared.counters.add_file_sync();
        let mut state = self.shared.state();
        while state.holds > 0 {
            state.syncs_waiting += 1;
            state = self.shared.wait(state);
            state.syncs_waiting -= 1;
        }
        if let Some((time, delays)) = &state.delays {
            time.advance_nanos(delays.sync_ns);
        }
        let error = state.begin(Operation::SyncFile);
        let inode = state.disk.inode(self.inode);
        if error.is_none() {
            inode.sync()
        } else {
            inode.fail_sync()
        }
        state.end();
        error.map_or(Ok(()), Err)
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.shared.state();
        while state.held_reads.contains(&self.inode) {
            state.reads_waiting += 1;
            state = self.shared.wait(state);
            state.reads_waiting -= 1;
        }
        if let Some(error) = state.begin(Operation::Other) {
            return Err(error);
        }
        let count = state.disk.inodes[&self.inode].read(buffer, offset);
        self.shared.counters.add_read(count);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.shared.state();
        if let Some((time, delays)) = &state.delays {
            time.advance_nanos(delays.write_ns);
        }
        let mut error = state.begin(Operation::Write);
        // Of a failed write anything from nothing to all of it is there.
        let mut count = if error.is_some() {
            state.rng.below(bytes.len() + 1)
        } else {
            bytes.len()
        };
        let room = state.room(self.inode, count, offset);
        if room < count {
            count = room;
            error.get_or_insert_with(|| io::ErrorKind::StorageFull.into());
        }
        if count > 0 {
            state.disk.inode(self.inode).write(&bytes[..count], offset);
        }
        state.end();
        if let Some(error) = error {
            return Err(error);
        }
        self.shared.counters.add_write(count);
        Ok(())
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        let inode = self.inode;
        self.shared.state().change(Operation::Other, |disk| {
            disk.inode(inode).resize(bytes);
            Ok(())
        })
    }

    fn size(&self) -> io::Result<u64> {
        let mut state = self.shared.state();
        let error = state.begin(Operation::Other);
        error.map_or_else(|| Ok(*state.disk.inodes[&self.inode].size.current()), Err)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}

/// Keeps syncs waiting; see [`SimFs::hold_syncs`].
#[derive(Debug)]
pub struct SyncHold {
    shared: Arc<Shared>,
}

impl Drop for SyncHold {
    fn drop(&mut self) {
        self.shared.state().holds -= 1;
        self.shared.released.notify_all();
    }
}

/// Keeps reads of a file waiting; see [`SimFs::hold_reads`].
#[derive(Debug)]
pub struct ReadHold {
    shared: Arc<Shared>,
    inode: Option<u64>,
}

impl Drop for ReadHold {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let held = state
            .held_reads
            .iter()
            .position(|inode| Some(*inode) == self.inode);
        if let Some(position) = held {
            state.held_reads.swap_remove(position);
        }
        drop(state);
        self.shared.released.notify_all();
    }
}

#[derive(Debug)]
struct SimLock {
    shared: Arc<Shared>,
    path: PathBuf,
}

impl FileLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.shared.state().locks.remove(&self.path);
    }
}
