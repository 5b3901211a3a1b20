//! A simulated disk for tests: tears, delays, fails and fills on demand, from one seed.
//!
//! [`SimFs`] is a [`omendb_storage::FileSystem`] in memory that keeps apart what a process sees and what a power cut
//! would leave. Contents count from a successful sync of the file, names from one of the directory; until then every
//! 512-byte sector, every file size and every name may or may not have reached the disk, each on its own. A failed
//! sync leaves the process seeing its data, the disk without any promise, and the next sync with nothing to do, as
//! Linux behaves. [`SimFs::crash_points`] returns the state after each operation, [`CrashPoint::images`] the disks
//! that a power cut there could leave.
//!
//! Operations fail by number ([`Fault`]), the disk has a capacity, and the manual clock of `omendb-metrics` can be
//! made to advance by what writes and syncs are said to take. Equal seeds and equal calls give equal histories.

mod disk;
mod fault;
mod images;
mod rng;
mod sim_fs;

pub use fault::{Fault, Injected};
pub use images::CrashPoint;
pub use rng::Rng;
pub use sim_fs::{Delays, ReadHold, SimFs, SyncHold};
