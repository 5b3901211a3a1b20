//! Opening a journal: decides what the last process left durable, and puts the rest in order before anybody reads.
//!
//! Only the last segment can hold anything unsynced, and in it only the last frame, because an append starts after
//! the sync of the one before. So: everything the manifest calls synced must be intact; in the open segment, bytes
//! that are no frame are a torn append if nothing follows them, and damage if a later frame does; and the last whole
//! frame may exist in the page cache alone (its sync may have failed, and the kernel then forgets that it is dirty),
//! so it is written again, to a new segment, and synced there before it is served. Nothing is ever rewritten in
//! place: until the manifest is swapped, a crash finds everything as it was.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::file_header::Kind;
use crate::frame::{self, HEADER_BYTES};
use crate::frame_reader::{FrameReader, Step};
use crate::log_reader::{LogReader, open_frames};
use crate::manifest::{self, Manifest, SegmentEntry};
use crate::segment::Segment;
use crate::snapshot::SnapshotReader;
use crate::store::{Place, Store, manifest_file};

/// What a journal holds: first the snapshot, then the log.
#[derive(Debug)]
pub struct Recovered {
    /// The snapshot in force.
    pub snapshot: Option<SnapshotReader>,
    /// The records after it.
    pub log: LogReader,
    /// What opening had to do.
    pub report: RecoveryReport,
}

/// What opening a journal found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Whether the last process closed the journal (or never wrote to it), so that nothing had to be put in order.
    pub was_closed: bool,
    /// The last sequence that the snapshot covers.
    pub snapshot_sequence: Option<u64>,
    /// The last sequence there is, 0 when empty.
    pub last_sequence: u64,
    /// Log segments to read.
    pub segments: usize,
    /// Their bytes.
    pub log_bytes: u64,
    /// An append that was cut off.
    pub torn_tail: Option<TornTail>,
    /// Records of the last append, which may not have been synced and were written again.
    pub rewritten_records: u64,
    /// Bytes written for them.
    pub rewritten_bytes: u64,
    /// Files of unfinished work that were removed.
    pub removed_files: u64,
}

/// Where an append was torn: it was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where the last whole frame ends, in bytes.
    pub offset: u64,
    /// Bytes after it, which were left out.
    pub bytes: u64,
    /// What was wrong with them.
    pub what: &'static str,
}

pub(crate) struct Opened {
    pub(crate) store: Arc<Store>,
    pub(crate) active: Option<Segment>,
    pub(crate) recovered: Recovered,
}

/// The names in a journal's directory that are ours, but for the manifest: log segments, snapshots, an unfinished
/// manifest.
fn list(place: &Place) -> Result<Vec<String>, Error> {
    let directory = &place.directory;
    let entries = place
        .fs
        .list(directory)
        .map_err(|e| Error::io("list", directory, e))?;
    let is_ours = |name: &String| name == manifest::TEMPORARY_FILE || Kind::number(name).is_some();
    Ok(entries
        .into_iter()
        .map(|entry| entry.name)
        .filter(is_ours)
        .collect())
}

pub(crate) fn open(place: Place, seed: u64) -> Result<Opened, Error> {
    let files = list(&place)?;
    let highest_number = files
        .iter()
        .filter_map(|name| Kind::number(name))
        .max()
        .unwrap_or(0);
    let file = manifest_file(&place.fs, &place.directory);
    let Some(content) = file.read()? else {
        return Err(Error::corrupt(file.path(), 0, "the manifest is missing"));
    };
    let manifest = Manifest::decode(&content, file.path())?;
    let directory = place.directory.clone();
    let store = Arc::new(Store::new(place, manifest.clone(), highest_number, seed));

    let settled = match manifest.segments.last() {
        Some(tail) if !tail.sealed => settle(&store, &manifest, tail)?,
        Some(_) | None => Settled {
            manifest: manifest.clone(),
            ..Settled::default()
        },
    };
    let debris: Vec<&String> = files
        .iter()
        .filter(|name| !Kind::number(name).is_some_and(|number| settled.manifest.names(number)))
        .collect();
    // Before anything is removed, the manifest that does without it must be durable: the one just read may be a
    // rename that was never synced.
    if settled.manifest != manifest || !debris.is_empty() {
        store.swap_manifest(&mut store.manifest(), settled.manifest)?;
    }
    let removed_files = debris
        .iter()
        .filter(|name| store.discard(&directory.join(name)))
        .count() as u64;

    let manifest = store.manifest().clone();
    let covered = manifest.snapshot.map(|snapshot| snapshot.identity.sequence);
    let report = RecoveryReport {
        was_closed: settled.was_closed,
        snapshot_sequence: covered,
        last_sequence: manifest.last_sequence(),
        segments: manifest.segments.len(),
        log_bytes: manifest.segments.iter().map(|segment| segment.end).sum(),
        torn_tail: settled.torn_tail,
        rewritten_records: settled.rewritten_records,
        rewritten_bytes: settled.rewritten_bytes,
        removed_files,
    };
    let snapshot = manifest
        .snapshot
        .map(|entry| SnapshotReader::open(&store, entry))
        .transpose()?;
    let log = LogReader::new(Arc::clone(&store), manifest.segments, covered.unwrap_or(0));
    Ok(Opened {
        store,
        active: settled.active,
        recovered: Recovered {
            snapshot,
            log,
            report,
        },
    })
}

/// The manifest after the open segment was put in order, and what that took.
struct Settled {
    manifest: Manifest,
    active: Option<Segment>,
    was_closed: bool,
    torn_tail: Option<TornTail>,
    rewritten_records: u64,
    rewritten_bytes: u64,
}

impl Default for Settled {
    fn default() -> Self {
        Self {
            manifest: Manifest::empty(0),
            active: None,
            was_closed: true,
            torn_tail: None,
            rewritten_records: 0,
            rewritten_bytes: 0,
        }
    }
}

/// Seals the open segment before its last frame and writes that frame to a new one.
fn settle(store: &Store, manifest: &Manifest, tail: &SegmentEntry) -> Result<Settled, Error> {
    let mut scanned = scan(store, tail)?;
    let mut settled = Settled {
        manifest: manifest.clone(),
        was_closed: false,
        torn_tail: scanned.torn_tail.take(),
        ..Settled::default()
    };
    settled.manifest.segments.pop();
    let Some((offset, last)) = scanned.last_frame else {
        return Ok(settled);
    };
    if offset > scanned.first_frame {
        let last_sequence = last.first_sequence - 1;
        let sealed = SegmentEntry {
            end: offset,
            last_sequence,
            sealed: true,
            ..*tail
        };
        settled.manifest.segments.push(sealed);
    }
    let identity = store.new_identity(last.first_sequence);
    let mut bytes = vec![0; HEADER_BYTES];
    bytes.extend_from_slice(scanned.frames.payload(offset, &last));
    frame::seal(&mut bytes, 0, &identity, last.first_sequence, last.records);
    let segment = Segment::create(store, identity, &bytes)?;
    settled.manifest.segments.push(SegmentEntry {
        identity,
        end: segment.end(),
        last_sequence: last.first_sequence + u64::from(last.records) - 1,
        sealed: false,
    });
    settled.rewritten_records = u64::from(last.records);
    settled.rewritten_bytes = bytes.len() as u64;
    settled.active = Some(segment);
    Ok(settled)
}

/// The open segment, read to its last whole frame.
struct Scanned {
    /// Positioned after the last frame, whose payload it still holds.
    frames: FrameReader,
    first_frame: u64,
    last_frame: Option<(u64, frame::FrameHeader)>,
    torn_tail: Option<TornTail>,
}

fn scan(store: &Store, entry: &SegmentEntry) -> Result<Scanned, Error> {
    let mut frames = open_frames(store, entry, entry.end)?;
    let file_end = frames.extend_to_file_end()?;
    let first_frame = frames.offset();
    let mut last_frame = None;
    let mut next_sequence = entry.identity.sequence;
    let mut torn_tail = None;
    loop {
        match frames.step()? {
            Step::Frame { offset, header } => {
                if header.first_sequence != next_sequence {
                    return Err(Error::corrupt(frames.path(), offset, "frame is out of sequence"));
                }
                next_sequence += u64::from(header.records);
                last_frame = Some((offset, header));
            }
            Step::End => break,
            Step::Bad { offset, what } => {
                let is_damage = offset < entry.end || frames.find_later_frame(next_sequence)?.is_some();
                if is_damage {
                    return Err(Error::corrupt(frames.path(), offset, what));
                }
                let file = frames.path().to_owned();
                torn_tail = Some(TornTail {
                    file,
                    offset,
                    bytes: file_end - offset,
                    what,
                });
                break;
            }
        }
    }
    if let Some((offset, _)) = last_frame {
        // The search for a later frame may have read on.
        frames.rewind(offset);
        frames.step()?;
    }
    Ok(Scanned {
        frames,
        first_frame,
        last_frame,
        torn_tail,
    })
}
