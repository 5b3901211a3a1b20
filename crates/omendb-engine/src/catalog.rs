//! The list of collections: a small file that is replaced as a whole, so that creating and deleting are atomic.
//!
//! ```text
//! content    = u32 count, { collection }
//! collection = u128 id, text name, u16 vectors, { text name, u32 dimension, u8 distance }
//! text       = u16 length, UTF-8 bytes
//! distance   = 0 Cosine | 1 Dot | 2 Euclid | 3 Manhattan
//! ```
//! Everything is little-endian. The id names the collection's directory; a user's name never does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use omendb_distance::Distance;
use omendb_storage::{AtomicFile, FileSystem};

use crate::{CollectionConfig, Error, Uuid, VectorConfig};

const FILE: &str = "catalog";
const MAGIC: [u8; 8] = *b"OMENCATL";
const VERSION: u32 = 1;

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
        let Some(content) = file.recover()? else {
            return Ok(None);
        };
        let entries = decode(&content)?;
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
    }
    bytes
}

/// Names are at most 255 bytes.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn decode(content: &[u8]) -> Result<BTreeMap<String, CatalogEntry>, Error> {
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
        let config = CollectionConfig { vectors };
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

    #[test]
    fn collections_are_read_back() {
        assert_eq!(decode(&encode(&example())).unwrap(), example());
        assert_eq!(decode(&encode(&BTreeMap::new())).unwrap(), BTreeMap::new());
    }

    #[test]
    fn content_of_another_shape_is_refused() {
        let bytes = encode(&example());
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err(), "a byte too many");
    }
}
