//! A replaced file is the old one or the new one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use omendb_sim::{Fault, Rng, SimFs};
use omendb_storage::{AtomicFile, Error};

use crate::history;

const PATH: &str = "/data/catalog";

fn file(fs: &SimFs, version: u32) -> AtomicFile {
    AtomicFile::new(Arc::new(fs.clone()), Path::new(PATH), *b"TESTFILE", version)
}

fn contents(number: u8) -> Vec<u8> {
    vec![number; 300 * usize::from(number)]
}

#[test]
fn a_power_cut_leaves_the_old_or_the_new() {
    let mut images = 0;
    let mut rng = Rng::new(1);
    for new in 1..6 {
        let fs = history::disk(1);
        file(&fs, 1).replace(&contents(9)).unwrap();
        fs.record_crash_points();
        file(&fs, 1).replace(&contents(new)).unwrap();
        let points = fs.crash_points();
        let last = points.len() - 1;
        for (index, point) in points.iter().enumerate() {
            for image in point.images(256, &mut rng) {
                images += 1;
                let (_, found) = file(&image, 1).recover().unwrap().expect("there was one before");
                assert!(
                    found == contents(new) || (found == contents(9) && index < last),
                    "{} bytes",
                    found.len()
                );
                file(&image, 1)
                    .replace(b"next")
                    .expect("whatever was left does not stand in the way");
                assert_eq!(file(&image, 1).read().unwrap().unwrap(), b"next");
            }
        }
    }
    println!("{images} images");
}

/// After an error the old content stands, unless a sync failed: then either may, and nothing more is written.
#[test]
fn an_error_leaves_the_old_or_poisons() {
    let mut poisoned = 0;
    // Create, write, sync, rename, sync of the directory.
    for number in 0..5 {
        let fs = history::disk(number);
        file(&fs, 1).replace(b"old").unwrap();
        let file = file(&fs, 1);
        fs.inject(Fault::io(fs.operations() + number));
        let result = file.replace(b"new");
        let found = file.read().unwrap().unwrap();
        match result {
            Ok(()) => assert_eq!(found, b"new"),
            Err(_) if file.is_poisoned() => {
                poisoned += 1;
                assert!(matches!(file.replace(b"again"), Err(Error::Poisoned)));
            }
            Err(_) => {
                assert_eq!(found, b"old");
                file.replace(b"again").unwrap();
            }
        }
    }
    assert_eq!(poisoned, 3, "from the sync on");
}

/// A predecessor's rename whose sync failed is seen, and could be gone after a power cut; recovering makes it stay.
#[test]
fn what_recovery_returns_is_durable() {
    let fs = history::disk(1);
    file(&fs, 1).replace(b"old").unwrap();
    let first = file(&fs, 1);
    // Create, write, sync, rename, and then the directory's sync.
    fs.inject(Fault::io(fs.operations() + 4));
    first.replace(b"new").unwrap_err();
    assert!(first.is_poisoned());
    let cut = |fs: &SimFs| -> Vec<Vec<u8>> {
        let images = fs.crash_point().images(64, &mut Rng::new(1));
        images
            .iter()
            .map(|image| file(image, 1).read().unwrap().unwrap())
            .collect()
    };
    assert!(cut(&fs).contains(&b"old".to_vec()));
    assert_eq!(file(&fs, 1).recover().unwrap().unwrap(), (1, b"new".to_vec()));
    assert!(!cut(&fs).contains(&b"old".to_vec()));
}

#[test]
fn damage_and_later_versions_are_refused() {
    let content = b"the content of the file".as_slice();
    for offset in 0..24 + content.len() as u64 {
        let fs = history::disk(1);
        file(&fs, 1).replace(content).unwrap();
        fs.rot(&PathBuf::from(PATH), offset, 1 << (offset % 8));
        assert!(
            matches!(file(&fs, 1).read(), Err(Error::Corrupt { .. })),
            "byte {offset}"
        );
    }
    let fs = history::disk(1);
    assert!(file(&fs, 1).read().unwrap().is_none());
    file(&fs, 2).replace(content).unwrap();
    assert!(matches!(
        file(&fs, 1).read(),
        Err(Error::Unsupported { version: 2, .. })
    ));
    assert_eq!(file(&fs, 2).read().unwrap().unwrap(), content);
    assert_eq!(file(&fs, 3).read().unwrap().unwrap(), content);
    // A start writes the content again and leaves it in the version that says how to read it.
    assert_eq!(file(&fs, 3).recover().unwrap().unwrap(), (2, content.to_vec()));
    assert_eq!(file(&fs, 2).read().unwrap().unwrap(), content);
}
