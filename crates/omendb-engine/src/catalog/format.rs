//! The bytes of the catalogue, whose every field that was ever written is read.
//!
//! ```text
//! content    = u32 count, { collection }, u32 aliases, { text alias, text collection }
//! collection = u128 id, text name, u16 vectors, { vector }, u16 sparse vectors, { text name, u8 modifier, index },
//!              graph, threshold, metadata, options, numbering
//! vector     = text name, u32 dimension, u8 distance, own m, own ef_construct
//! text       = u16 length, UTF-8 bytes
//! distance   = 0 Cosine | 1 Dot | 2 Euclid | 3 Manhattan
//! own ..     = 0 | 1, u32                             the collection's, or one of the vector's own
//! modifier   = 0 none | 1 idf
//! index      = 0 | 1, u64 full scan threshold; u8 on disk: 0 not given, 1 no, 2 yes; u8 datatype: 0 not given,
//!              1 float32; u8 memory: 0 not given, 1 cold, 2 cached, 3 pinned
//! graph      = u32 m, u32 ef_construct
//! threshold  = 0 | 1, u64                             the default, or kilobytes
//! metadata, options = u32 length, the fields of a payload
//! numbering  = u32 next number, u16 first, { form }, { u32 number }    of all vectors, in the order above
//! form       = 0 sparse | 1, u32 dimension            of a vector that was there first; its number is its place
//! ```
//! Everything is little-endian. The id names the collection's directory; a user's name never does. A file of version 4
//! has no numbering: all vectors were there first. One of version 3 has no aliases, one of version 2 no `own ..` and
//! nothing from `graph` on either, one of version 1 no sparse vectors.

use std::collections::BTreeMap;

use omendb_distance::Distance;

use super::{CatalogEntry, Content};
use crate::numbering::Numbering;
use crate::payload::check_payload;
use crate::record::{self, put_form};
use crate::{
    CollectionConfig, Error, GraphConfig, GraphOptions, Modifier, Payload, Placement, SparseConfig,
    SparseIndexOptions, Uuid, VectorConfig,
};

/// The version written.
pub(super) const VERSION: u32 = 5;
/// The first version with sparse vectors.
const SPARSE_VERSION: u32 = 2;
/// The first version with what can be changed.
const GRAPH_VERSION: u32 = 3;
/// The first version with aliases.
const ALIAS_VERSION: u32 = 4;
/// The first version with numbers of vectors.
const NUMBERING_VERSION: u32 = 5;

pub(super) fn encode(content: &Content) -> Vec<u8> {
    let Content { collections, aliases } = content;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&(collections.len() as u32).to_le_bytes());
    for (name, entry) in collections {
        let CatalogEntry {
            id,
            config,
            numbering,
        } = entry;
        bytes.extend_from_slice(&id.as_u128().to_le_bytes());
        put_text(&mut bytes, name);
        put_config(&mut bytes, config);
        put_numbering(&mut bytes, (numbering, config));
    }
    bytes.extend_from_slice(&(aliases.len() as u32).to_le_bytes());
    for (alias, collection) in aliases {
        put_text(&mut bytes, alias);
        put_text(&mut bytes, collection);
    }
    bytes
}

fn put_config(bytes: &mut Vec<u8>, config: &CollectionConfig) {
    let CollectionConfig {
        vectors,
        sparse_vectors,
        graph: GraphConfig { m, ef_construct },
        graph_threshold_kb,
        metadata,
        options,
    } = config;
    bytes.extend_from_slice(&(vectors.len() as u16).to_le_bytes());
    for (name, vector) in vectors {
        put_text(bytes, name);
        put_vector(bytes, vector);
    }
    bytes.extend_from_slice(&(sparse_vectors.len() as u16).to_le_bytes());
    for (name, sparse) in sparse_vectors {
        put_text(bytes, name);
        put_sparse(bytes, sparse);
    }
    bytes.extend_from_slice(&(*m as u32).to_le_bytes());
    bytes.extend_from_slice(&(*ef_construct as u32).to_le_bytes());
    bytes.push(u8::from(graph_threshold_kb.is_some()));
    if let Some(kilobytes) = graph_threshold_kb {
        bytes.extend_from_slice(&kilobytes.to_le_bytes());
    }
    for object in [metadata, options] {
        // At most `MAX_METADATA_BYTES`.
        bytes.extend_from_slice(&(object.as_bytes().len() as u32).to_le_bytes());
        bytes.extend_from_slice(object.as_bytes());
    }
}

/// The numbers are written in order of names, dense vectors first.
fn put_numbering(bytes: &mut Vec<u8>, (numbering, config): (&Numbering, &CollectionConfig)) {
    let Numbering {
        first,
        numbers: _,
        next,
    } = numbering;
    bytes.extend_from_slice(&next.to_le_bytes());
    bytes.extend_from_slice(&(first.len() as u16).to_le_bytes());
    first.iter().for_each(|&form| put_form(bytes, form));
    for name in config.vectors.keys().chain(config.sparse_vectors.keys()) {
        bytes.extend_from_slice(&numbering.number(name).to_le_bytes());
    }
}

fn put_vector(bytes: &mut Vec<u8>, vector: &VectorConfig) {
    let VectorConfig {
        dimension,
        distance,
        graph: GraphOptions { m, ef_construct },
    } = *vector;
    bytes.extend_from_slice(&(dimension as u32).to_le_bytes());
    bytes.push(match distance {
        Distance::Cosine => 0,
        Distance::Dot => 1,
        Distance::Euclid => 2,
        Distance::Manhattan => 3,
    });
    for option in [m, ef_construct] {
        bytes.push(u8::from(option.is_some()));
        if let Some(value) = option {
            bytes.extend_from_slice(&(value as u32).to_le_bytes());
        }
    }
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

pub(super) fn decode(version: u32, content: &[u8]) -> Result<Content, Error> {
    let mut reader = Reader { content, version };
    let count = u32::from_le_bytes(reader.array()?);
    let mut collections = BTreeMap::new();
    for _ in 0..count {
        let id = Uuid::from_u128(u128::from_le_bytes(reader.array()?));
        let name = reader.text()?;
        let config = reader.config()?;
        config.validate().map_err(|error| corrupt(error.message()))?;
        let numbering = reader.numbering(&config)?;
        collections.insert(
            name,
            CatalogEntry {
                id,
                config,
                numbering,
            },
        );
    }
    let mut aliases = BTreeMap::new();
    if version >= ALIAS_VERSION {
        for _ in 0..u32::from_le_bytes(reader.array()?) {
            let (alias, collection) = (reader.text()?, reader.text()?);
            if !collections.contains_key(&collection) {
                return Err(corrupt(&format!(
                    "an alias of {collection:?}, which it does not have"
                )));
            }
            aliases.insert(alias, collection);
        }
    }
    if !reader.content.is_empty() {
        return Err(corrupt("something after its end"));
    }
    Ok(Content { collections, aliases })
}

struct Reader<'a> {
    content: &'a [u8],
    version: u32,
}

impl Reader<'_> {
    fn config(&mut self) -> Result<CollectionConfig, Error> {
        let mut vectors = BTreeMap::new();
        for _ in 0..u16::from_le_bytes(self.array()?) {
            let name = self.text()?;
            vectors.insert(name, self.vector()?);
        }
        let mut config = CollectionConfig::new(vectors);
        if self.version >= SPARSE_VERSION {
            for _ in 0..u16::from_le_bytes(self.array()?) {
                config.sparse_vectors.insert(self.text()?, self.sparse()?);
            }
        }
        if self.version < GRAPH_VERSION {
            return Ok(config);
        }
        config.graph = GraphConfig {
            m: u32::from_le_bytes(self.array()?) as usize,
            ef_construct: u32::from_le_bytes(self.array()?) as usize,
        };
        if self.choice(2, "threshold")? == 1 {
            config.graph_threshold_kb = Some(u64::from_le_bytes(self.array()?));
        }
        config.metadata = self.payload()?;
        config.options = self.payload()?;
        Ok(config)
    }

    fn numbering(&mut self, config: &CollectionConfig) -> Result<Numbering, Error> {
        if self.version < NUMBERING_VERSION {
            return Ok(Numbering::of(config));
        }
        let next = u32::from_le_bytes(self.array()?);
        let count = u16::from_le_bytes(self.array()?);
        let mut record = record::Reader::new(self.content);
        let first = (0..count).map(|_| record.form()).collect::<Result<_, _>>()?;
        self.content = record.rest();
        let mut numbers = BTreeMap::new();
        for name in config.vectors.keys().chain(config.sparse_vectors.keys()) {
            let number = u32::from_le_bytes(self.array()?);
            if number >= next || numbers.values().any(|known| *known == number) {
                return Err(corrupt(&format!("vector {name:?} with the number {number}")));
            }
            numbers.insert(name.clone(), number);
        }
        Ok(Numbering { first, numbers, next })
    }

    fn vector(&mut self) -> Result<VectorConfig, Error> {
        let dimension = u32::from_le_bytes(self.array()?) as usize;
        let distance = match self.array::<1>()?[0] {
            0 => Distance::Cosine,
            1 => Distance::Dot,
            2 => Distance::Euclid,
            3 => Distance::Manhattan,
            other => return Err(corrupt(&format!("a distance of unknown kind {other}"))),
        };
        let mut vector = VectorConfig::new(dimension, distance);
        if self.version >= GRAPH_VERSION {
            vector.graph = GraphOptions {
                m: self.own()?,
                ef_construct: self.own()?,
            };
        }
        Ok(vector)
    }

    fn own(&mut self) -> Result<Option<usize>, Error> {
        if self.choice(2, "option")? == 1 {
            return Ok(Some(u32::from_le_bytes(self.array()?) as usize));
        }
        Ok(None)
    }

    fn payload(&mut self) -> Result<Payload, Error> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let bytes = self.take(length)?;
        check_payload(bytes)?;
        Ok(Payload::from_bytes(bytes.to_vec()))
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
        let bytes = self.take(length)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| corrupt("a name that is not UTF-8"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (bytes, rest) = self
            .content
            .split_first_chunk()
            .ok_or_else(|| corrupt("an end too soon"))?;
        self.content = rest;
        Ok(*bytes)
    }

    fn take(&mut self, length: usize) -> Result<&[u8], Error> {
        let (bytes, rest) = self
            .content
            .split_at_checked(length)
            .ok_or_else(|| corrupt("an end too soon"))?;
        self.content = rest;
        Ok(bytes)
    }
}

fn corrupt(what: &str) -> Error {
    Error::corrupt(format!("the catalogue has {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    /// Collections as they are when nothing but their vectors is said.
    fn plain() -> Content {
        entries(Distance::ALL.map(|distance| CollectionConfig::unnamed(3, distance)))
    }

    fn example() -> Content {
        let named = [("image", Some(0), None), ("text", None, Some(200))].map(|(name, m, ef_construct)| {
            let graph = GraphOptions { m, ef_construct };
            let vector = VectorConfig {
                graph,
                ..VectorConfig::new(65_536, Distance::Manhattan)
            };
            (name.to_owned(), vector)
        });
        let mut changed = CollectionConfig::new(named.into());
        changed.sparse_vectors = sparse();
        changed.graph = GraphConfig {
            m: 32,
            ef_construct: 4,
        };
        changed.graph_threshold_kb = Some(u64::MAX);
        changed.metadata = Payload::from_fields(&[("owner", Value::String("größe".to_owned()))]).unwrap();
        changed.options = Payload::from_fields(&[("on_disk_payload", Value::Bool(true))]).unwrap();
        let mut content = entries([CollectionConfig::unnamed(3, Distance::Dot), changed]);
        let aliases = [("a", "größe 1"), ("größe", "größe 0")];
        content.aliases = aliases
            .map(|(alias, of)| (alias.to_owned(), of.to_owned()))
            .into();
        content
    }

    fn entries<const N: usize>(configs: [CollectionConfig; N]) -> Content {
        let configs = configs.into_iter().enumerate();
        let entry = |(n, config)| {
            (
                format!("größe {n}"),
                CatalogEntry {
                    id: Uuid::from_u128(n as u128),
                    numbering: Numbering::of(&config),
                    config,
                },
            )
        };
        Content {
            collections: configs.map(entry).collect(),
            aliases: BTreeMap::new(),
        }
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

    fn decode_newest(content: &[u8]) -> Result<Content, Error> {
        decode(VERSION, content)
    }

    #[test]
    fn collections_are_read_back() {
        for content in [example(), plain(), Content::default()] {
            assert_eq!(decode_newest(&encode(&content)).unwrap(), content);
        }
    }

    /// What the first version wrote for [`plain`]; the second, which adds that there are no sparse vectors; the third,
    /// which has all but that there are no aliases and no numbers; the fourth, without numbers.
    fn older(version: u32) -> Vec<u8> {
        let mut bytes = 4_u32.to_le_bytes().to_vec();
        for (n, (name, entry)) in plain().collections.iter().enumerate() {
            bytes.extend_from_slice(&(n as u128).to_le_bytes());
            put_text(&mut bytes, name);
            if version >= GRAPH_VERSION {
                put_config(&mut bytes, &entry.config);
                continue;
            }
            bytes.extend_from_slice(&[1, 0, 0, 0, 3, 0, 0, 0, n as u8]);
            bytes.extend_from_slice(&[0, 0][..if version == SPARSE_VERSION { 2 } else { 0 }]);
        }
        if version >= ALIAS_VERSION {
            bytes.extend_from_slice(&0_u32.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn older_versions_are_read_with_what_they_do_not_say_by_default() {
        for version in 1..VERSION {
            assert_eq!(decode(version, &older(version)).unwrap(), plain());
            assert!(
                decode(version + 1, &older(version)).is_err(),
                "a later one has more"
            );
        }
    }

    #[test]
    fn content_of_another_shape_is_refused() {
        let bytes = encode(&example());
        for cut in 0..bytes.len() {
            assert!(decode_newest(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(
            decode_newest(&[&bytes[..], &[0]].concat()).is_err(),
            "a byte too many"
        );
    }
}
