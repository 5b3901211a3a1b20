//! The list of collections: a small file that is replaced as a whole, so that creating and deleting are atomic.
//!
//! ```text
//! content    = u32 count, { collection }
//! collection = u128 id, text name, u16 vectors, { text name, u32 dimension, u8 distance },
//!              u16 sparse vectors, { text name, u8 modifier, index }          from version 2 on
//! text       = u16 length, UTF-8 bytes
//! distance   = 0 Cosine | 1 Dot | 2 Euclid | 3 Manhattan
//! modifier   = 0 none | 1 idf
//! index      = 0 | 1, u64 full scan threshold; u8 on disk: 0 not given, 1 no, 2 yes; u8 datatype: 0 not given,
//!              1 float32; u8 memory: 0 not given, 1 cold, 2 cached, 3 pinned
//! ```
//! Everything is little-endian. The id names the collection's directory; a user's name never does. A file of version 1
//! is read as one whose collections have no sparse vectors.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use omendb_distance::Distance;
use omendb_storage::{AtomicFile, FileSystem};

use crate::{
    CollectionConfig, Error, Modifier, Placement, SparseConfig, SparseIndexOptions, Uuid, VectorConfig,
};

const FILE: &str = "catalog";
const MAGIC: [u8; 8] = *b"OMENCATL";
const VERSION: u32 = 2;
/// The first version with sparse vectors.
const SPARSE_VERSION: u32 = 2;

/// One collection as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogEntry {
    pub(crate) id: Uuid,
    pub(crate) config: CollectionConfig,
}

/// The catalogue in memory and its file.
#[derive(Debug)]
pub(crate) struct Catalog {
    file: AtomicFile,
    entries: BTreeMap<String, CatalogEntry>,
}

impl Catalog {
    /// Reads the catalogue of a data directory; `None` when there is none yet.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when the file is damaged.
    pub(crate) fn open(fs: Arc<dyn FileSystem>, directory: &Path) -> Result<Option<Self>, Error> {
        let file = AtomicFile::new(fs, &directory.join(FILE), MAGIC, VERSION);
        let Some((version, content)) = file.recover()? else {
            return Ok(None);
        };
        let entries = decode(version, &content)?;
        Ok(Some(Self { file, entries }))
    }

    /// Writes an empty catalogue.
    pub(crate) fn create(fs: Arc<dyn FileSystem>, directory: &Path) -> Result<Self, Error> {
        let file = AtomicFile::new(fs, &directory.join(FILE), MAGIC, VERSION);
        file.replace(&encode(&BTreeMap::new()))?;
        Ok(Self {
            file,
            entries: BTreeMap::new(),
        })
    }

    pub(crate) fn entries(&self) -> &BTreeMap<String, CatalogEntry> {
        &self.entries
    }

    /// Adds a collection; durable on return.
    pub(crate) fn insert(&mut self, name: &str, entry: CatalogEntry) -> Result<(), Error> {
        let mut entries = self.entries.clone();
        entries.insert(name.to_owned(), entry);
        self.replace(entries)
    }

    /// Removes a collection; durable on return.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Error> {
        let mut entries = self.entries.clone();
        entries.remove(name);
        self.replace(entries)
    }

    /// Whether a failed sync left it open what the file holds.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.file.is_poisoned()
    }

    fn replace(&mut self, entries: BTreeMap<String, CatalogEntry>) -> Result<(), Error> {
        self.file.replace(&encode(&entries))?;
        self.entries = entries;
        Ok(())
    }
}

fn encode(entries: &BTreeMap<String, CatalogEntry>) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for (name, CatalogEntry { id, config }) in entries {
        bytes.extend_from_slice(&id.as_u128().to_le_bytes());
        put_text(&mut bytes, name);
        bytes.extend_from_slice(&(config.vectors.len() as u16).to_le_bytes());
        for (name, &VectorConfig { dimension, distance }) in &config.vectors {
            put_text(&mut bytes, name);
            bytes.extend_from_slice(&(dimension as u32).to_le_bytes());
            bytes.push(match distance {
                Distance::Cosine => 0,
                Distance::Dot => 1,
                Distance::Euclid => 2,
                Distance::Manhattan => 3,
            });
        }
        bytes.extend_from_slice(&(config.sparse_vectors.len() as u16).to_le_bytes());
        for (name, sparse) in &config.sparse_vectors {
            put_text(&mut bytes, name);
            put_sparse(&mut bytes, sparse);
        }
    }
    bytes
}

fn put_sparse(bytes: &mut Vec<u8>, config: &SparseConfig) {
    let SparseConfig { modifier, index } = *config;
    let SparseIndexOptions {
        full_scan_threshold,
        on_disk,
        is_float32,
        memory,
    } = index;
    bytes.push(match modifier {
        Modifier::None => 0,
        Modifier::Idf => 1,
    });
    bytes.push(u8::from(full_scan_threshold.is_some()));
    bytes.extend(
        full_scan_threshold
            .iter()
            .flat_map(|threshold| threshold.to_le_bytes()),
    );
    bytes.push(on_disk.map_or(0, |on_disk| 1 + u8::from(on_disk)));
    bytes.push(u8::from(is_float32));
    bytes.push(match memory {
        None => 0,
        Some(Placement::Cold) => 1,
        Some(Placement::Cached) => 2,
        Some(Placement::Pinned) => 3,
    });
}

/// Names are at most 255 bytes.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn decode(version: u32, content: &[u8]) -> Result<BTreeMap<String, CatalogEntry>, Error> {
    let mut reader = Reader(content);
    let count = u32::from_le_bytes(reader.array()?);
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let id = Uuid::from_u128(u128::from_le_bytes(reader.array()?));
        let name = reader.text()?;
        let mut vectors = BTreeMap::new();
        for _ in 0..u16::from_le_bytes(reader.array()?) {
            let vector = reader.text()?;
            let dimension = u32::from_le_bytes(reader.array()?) as usize;
            let distance = match reader.array::<1>()?[0] {
                0 => Distance::Cosine,
                1 => Distance::Dot,
                2 => Distance::Euclid,
                3 => Distance::Manhattan,
                other => return Err(corrupt(&format!("a distance of unknown kind {other}"))),
            };
            vectors.insert(vector, VectorConfig { dimension, distance });
        }
        let mut sparse_vectors = BTreeMap::new();
        if version >= SPARSE_VERSION {
            for _ in 0..u16::from_le_bytes(reader.array()?) {
                sparse_vectors.insert(reader.text()?, reader.sparse()?);
            }
        }
        let config = CollectionConfig {
            vectors,
            sparse_vectors,
        };
        config.validate().map_err(|error| corrupt(error.message()))?;
        entries.insert(name, CatalogEntry { id, config });
    }
    if !reader.0.is_empty() {
        return Err(corrupt("something after the last collection"));
    }
    Ok(entries)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (bytes, rest) = self
            .0
            .split_first_chunk()
            .ok_or_else(|| corrupt("an end too soon"))?;
        self.0 = rest;
        Ok(*bytes)
    }

    /// One byte below `count`, which says what `what` is.
    fn choice(&mut self, count: u8, what: &str) -> Result<u8, Error> {
        let [choice] = self.array()?;
        if choice >= count {
            return Err(corrupt(&format!("a {what} of unknown kind {choice}")));
        }
        Ok(choice)
    }

    fn sparse(&mut self) -> Result<SparseConfig, Error> {
        let modifier = match self.choice(2, "modifier")? {
            0 => Modifier::None,
            _ => Modifier::Idf,
        };
        let full_scan_threshold = match self.choice(2, "full scan threshold")? {
            0 => None,
            _ => Some(u64::from_le_bytes(self.array()?)),
        };
        let on_disk = match self.choice(3, "place on disk")? {
            0 => None,
            choice => Some(choice == 2),
        };
        let is_float32 = self.choice(2, "datatype")? == 1;
        let memory = match self.choice(4, "place in memory")? {
            0 => None,
            1 => Some(Placement::Cold),
            2 => Some(Placement::Cached),
            _ => Some(Placement::Pinned),
        };
        Ok(SparseConfig {
            modifier,
            index: SparseIndexOptions {
                full_scan_threshold,
                on_disk,
                is_float32,
                memory,
            },
        })
    }

    fn text(&mut self) -> Result<String, Error> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        let (bytes, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| corrupt("an end too soon"))?;
        self.0 = rest;
        String::from_utf8(bytes.to_vec()).map_err(|_| corrupt("a name that is not UTF-8"))
    }
}

fn corrupt(what: &str) -> Error {
    Error::corrupt(format!("the catalogue has {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> BTreeMap<String, CatalogEntry> {
        let named = ["image", "text"].map(|name| {
            (
                name.to_owned(),
                VectorConfig {
                    dimension: 65_536,
                    distance: Distance::Manhattan,
                },
            )
        });
        let configs = Distance::ALL.map(|distance| CollectionConfig::unnamed(3, distance));
        let configs = configs
            .into_iter()
            .chain([CollectionConfig {
                vectors: named.into(),
                sparse_vectors: sparse(),
            }])
            .enumerate();
        let entry = |(n, config)| {
            (
                format!("größe {n}"),
                CatalogEntry {
                    id: Uuid::from_u128(n as u128),
                    config,
                },
            )
        };
        configs.map(entry).collect()
    }

    /// One for each placement, all options differing.
    fn sparse() -> BTreeMap<String, SparseConfig> {
        let placements = [
            None,
            Some(Placement::Cold),
            Some(Placement::Cached),
            Some(Placement::Pinned),
        ];
        let config = |(n, memory): (usize, Option<Placement>)| {
            let config = SparseConfig {
                modifier: if n == 2 { Modifier::Idf } else { Modifier::None },
                index: SparseIndexOptions {
                    full_scan_threshold: (n > 1).then_some(u64::MAX - n as u64),
                    on_disk: (n > 0).then_some(n == 1),
                    is_float32: n == 3,
                    memory,
                },
            };
            (format!("words {n}"), config)
        };
        placements.into_iter().enumerate().map(config).collect()
    }

    #[test]
    fn collections_are_read_back() {
        assert_eq!(decode(VERSION, &encode(&example())).unwrap(), example());
        assert_eq!(
            decode(VERSION, &encode(&BTreeMap::new())).unwrap(),
            BTreeMap::new()
        );
    }

    #[test]
    fn a_catalogue_of_the_first_version_is_read() {
        // One collection `a` of one unnamed vector of 3 dimensions, compared by dot product.
        let content = [
            &[1, 0, 0, 0][..],
            &7_u128.to_le_bytes(),
            &[1, 0, b'a'],
            &[1, 0],
            &[0, 0, 3, 0, 0, 0, 1],
        ]
        .concat();
        let entry = CatalogEntry {
            id: Uuid::from_u128(7),
            config: CollectionConfig::unnamed(3, Distance::Dot),
        };
        assert_eq!(decode(1, &content).unwrap(), [("a".to_owned(), entry)].into());
        assert!(decode(2, &content).is_err(), "the second has more");
    }

    #[test]
    fn content_of_another_shape_is_refused() {
        let bytes = encode(&example());
        for cut in 0..bytes.len() {
            assert!(decode(VERSION, &bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(
            decode(VERSION, &[&bytes[..], &[0]].concat()).is_err(),
            "a byte too many"
        );
    }
}
