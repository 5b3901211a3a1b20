//! Damage is found, named and never skipped.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use omendb_sim::{Rng, SimFs};
use omendb_storage::{Access, Error, FileSystem, Journal, JournalOptions};

use crate::history::{self, Records, read_all};

/// A journal with a snapshot and three segments after it, and what it holds.
fn journal(closing: bool) -> (SimFs, Records) {
    let fs = history::disk(1);
    let mut rng = Rng::new(1);
    let mut journal = history::create(&fs).unwrap();
    let mut records = Vec::new();
    let mut append = |journal: &mut Journal, records: &mut Records, batches: usize| {
        for _ in 0..batches {
            let batch = vec![rng.bytes(500), rng.bytes(77)];
            journal.append(&batch).unwrap();
            records.extend(batch);
        }
    };
    append(&mut journal, &mut records, 4);
    let mut snapshot = journal.begin_snapshot().unwrap();
    records.iter().for_each(|record| snapshot.add(record).unwrap());
    append(&mut journal, &mut records, 16);
    snapshot.finish().unwrap();
    if closing {
        journal.close().unwrap();
    }
    (fs, records)
}

fn open_and_read(fs: &SimFs) -> Result<Records, Error> {
    let (_, recovered) = history::open(fs)?;
    read_all(recovered)
}

fn size(fs: &SimFs, path: &Path) -> u64 {
    fs.open(path, Access::Read).unwrap().size().unwrap()
}

fn last_segment(fs: &SimFs) -> PathBuf {
    let is_log = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
    fs.files().into_iter().rfind(is_log).unwrap()
}

fn contents(fs: &SimFs, path: &Path) -> Vec<u8> {
    let mut bytes = vec![0; size(fs, path) as usize];
    fs.open(path, Access::Read)
        .unwrap()
        .read_at(&mut bytes, 0)
        .unwrap();
    bytes
}

/// What is durable of a disk, for one more experiment.
fn copy(fs: &SimFs) -> SimFs {
    fs.crash_point().images(1, &mut Rng::new(1)).remove(0)
}

/// After a proper end every bit of every file is under a checksum: any that flips is reported with its file, at or
/// before the place, and nothing is skipped.
#[test]
fn every_flipped_bit_of_a_closed_journal_is_refused() {
    let (sound, records) = journal(true);
    assert_eq!(open_and_read(&copy(&sound)).unwrap(), records);
    let mut flips = 0;
    for path in sound.files() {
        for offset in 0..size(&sound, &path) {
            let fs = copy(&sound);
            fs.rot(&path, offset, 1 << (offset % 8));
            flips += 1;
            match open_and_read(&fs) {
                Err(Error::Corrupt {
                    file,
                    offset: reported,
                    ..
                }) => {
                    assert_eq!(file, path);
                    // Where the frame begins that the bit is in, or the header.
                    let expected = if offset < 64 {
                        0..=24
                    } else {
                        offset.saturating_sub(4096)..=offset
                    };
                    assert!(
                        expected.contains(&reported),
                        "{}: {reported} for {offset}",
                        path.display()
                    );
                }
                other => panic!("{} byte {offset}: {other:?}", path.display()),
            }
        }
    }
    println!("{flips} flips");
    assert!(flips > 10_000);
}

/// After a crash only the last append can be damaged without being noticed as damage: it looks like a torn one, and
/// the report says so. Every bit before it is refused.
#[test]
fn only_the_last_append_of_a_crashed_journal_can_be_taken_for_torn() {
    let (crashed, records) = journal(false);
    let path = last_segment(&crashed);
    let end = size(&crashed, &path);
    let last_frame = end - (32_u64 + 4 + 500 + 4 + 77).next_multiple_of(8);
    for offset in 0..end {
        let fs = copy(&crashed);
        fs.rot(&path, offset, 1 << (offset % 8));
        match history::open(&fs) {
            Err(Error::Corrupt {
                file,
                offset: reported,
                ..
            }) => {
                assert!(offset < last_frame, "byte {offset} is in the last append");
                assert_eq!(file, path);
                assert!(reported <= offset || offset < 64);
            }
            Ok((_, recovered)) => {
                assert!(offset >= last_frame, "byte {offset} is before the last append");
                let torn = recovered.report.torn_tail.clone().expect("the cut is reported");
                assert_eq!(
                    (torn.file, torn.offset, torn.bytes),
                    (path.clone(), last_frame, end - last_frame)
                );
                assert_eq!(read_all(recovered).unwrap(), records[..records.len() - 2]);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The story behind looking for headers and not for whole frames: with the last two appends damaged in their
/// payloads there is no whole frame after the first of them, yet the second's header proves the first was synced.
#[test]
fn damage_in_the_last_two_appends_is_not_taken_for_a_torn_one() {
    let (fs, _) = journal(false);
    let path = last_segment(&fs);
    let frame = (32_u64 + 4 + 500 + 4 + 77).next_multiple_of(8);
    let end = size(&fs, &path);
    fs.rot(&path, end - 100, 1);
    fs.rot(&path, end - frame - 100, 1);
    match history::open(&fs) {
        Err(Error::Corrupt { offset, .. }) => assert_eq!(offset, end - 2 * frame),
        other => panic!("{other:?}"),
    }
}

/// What a start has written again is recorded as synced, so damage there is not taken for a torn append, although
/// nothing follows it.
#[test]
fn damage_in_an_append_that_was_recovered_is_refused() {
    let (fs, records) = journal(false);
    assert_eq!(open_and_read(&fs).unwrap(), records);
    let path = last_segment(&fs);
    fs.rot(&path, size(&fs, &path) - 100, 1);
    match history::open(&fs) {
        Err(Error::Corrupt { file, offset, .. }) => assert_eq!((file, offset), (path, 64)),
        other => panic!("{other:?}"),
    }
}

/// A payload cannot pass for a later frame: a client that stores the bytes of a log file in a record, torn by a
/// power cut, must not make the journal unreadable.
#[test]
fn a_stored_frame_is_not_taken_for_one() {
    let fs = history::disk(1);
    let mut rng = Rng::new(3);
    let mut journal = history::create(&fs).unwrap();
    journal.append(&[b"first"]).unwrap();
    let log = last_segment(&fs);
    // Frames of a journal that differs in its seed only, as a client could make one at home.
    let options = JournalOptions {
        seed: 43,
        ..history::options()
    };
    let stranger = history::disk(1);
    let fs_of_stranger = Arc::new(stranger.clone());
    let mut theirs = Journal::create(fs_of_stranger, history::directory(), options).unwrap();
    for _ in 0..40 {
        theirs.append(&[b"later"]).unwrap();
    }
    let stored = contents(&stranger, &log);
    fs.record_crash_points();
    for shift in 0..8 {
        let mut record = vec![0; 1024 + shift];
        record.extend_from_slice(&stored);
        journal.append(&[record]).unwrap();
    }
    for point in fs.crash_points() {
        for image in point.images(64, &mut rng) {
            open_and_read(&image).expect("torn, not damaged");
        }
    }
}

#[test]
fn missing_and_shortened_files_are_refused() {
    let (sound, _) = journal(true);
    for path in sound.files() {
        let fs = copy(&sound);
        fs.remove_file(&path).unwrap();
        match open_and_read(&fs) {
            Err(Error::Corrupt { file, .. }) => assert_eq!(file, path),
            other => panic!("{}: {other:?}", path.display()),
        }
        for keep in [0, 10, 63, 64, size(&sound, &path) - 1] {
            let fs = copy(&sound);
            let file = fs.open(&path, Access::Read).unwrap();
            file.set_size(keep).unwrap();
            match open_and_read(&fs) {
                Err(Error::Corrupt { file, .. }) => assert_eq!(file, path),
                other => panic!("{} cut to {keep}: {other:?}", path.display()),
            }
        }
    }
}

/// A segment or snapshot of another journal, put in the place of ours, is not read as ours.
#[test]
fn a_file_of_another_journal_is_refused() {
    let (fs, _) = journal(true);
    let other = history::disk(1);
    let options = JournalOptions {
        seed: 99,
        ..history::options()
    };
    let mut theirs = Journal::create(Arc::new(other.clone()), history::directory(), options).unwrap();
    theirs.append(&[b"theirs"]).unwrap();
    let path = last_segment(&fs);
    let foreign = last_segment(&other);
    let bytes = contents(&other, &foreign);
    fs.remove_file(&path).unwrap();
    let file = fs.open(&path, Access::CreateNew).unwrap();
    file.write_at(&bytes, 0).unwrap();
    file.set_size(1 << 16).unwrap();
    match open_and_read(&fs) {
        Err(Error::Corrupt { file, what, .. }) => {
            assert_eq!((file, what), (path, "not the file the manifest names"));
        }
        other => panic!("{other:?}"),
    }
}
