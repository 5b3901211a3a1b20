//! The demo's data set, embedded in the binary: the programs of 25 sections of Debian 12, facts and embeddings.
//!
//! ```text
//! packages.bin, little-endian          written by `cargo x gen demo-data`
//! +-------------+---------------------+----------+---------------+-----------------+
//! | "OMENDEMO"  | format version: u32 | rows: u32| dimension: u32| facts_bytes: u32|   header, 24 bytes
//! +-------------+---------------------+----------+---------------+-----------------+
//! | rows x dimension: i8    a unit vector's direction, in 127ths of its largest part|
//! +---------------------------------------------------------------------------------+
//! | rows: u32               the nearest other row before quantization               |
//! +---------------------------------------------------------------------------------+
//! | facts_bytes of UTF-8    rows lines: name TAB section TAB size in KiB TAB version|
//! +---------------------------------------------------------------------------------+
//! | CRC-32 of everything above: u32                                                 |
//! +---------------------------------------------------------------------------------+
//! ```

use std::fmt;

const FILE: &[u8] = include_bytes!("packages.bin");
const MAGIC: &[u8; 8] = b"OMENDEMO";
const FORMAT_VERSION: u32 = 1;

/// The data set, checked as a whole; cheap to hold, since it borrows the binary.
pub(crate) struct DemoData {
    dimension: usize,
    vectors: &'static [u8],
    nearest: &'static [[u8; 4]],
    facts: Vec<Facts>,
}

/// What is known about one package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Unique in the data set.
    pub(crate) name: &'static str,
    /// Debian's classification: `games`, `mail`, ...
    pub(crate) section: &'static str,
    /// Space taken when installed, in KiB.
    pub(crate) installed_size_kb: u64,
    /// Debian version.
    pub(crate) version: &'static str,
}

/// Why the embedded file cannot be used: the build is broken, not the user's installation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DemoDataError(&'static str);

impl fmt::Display for DemoDataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "embedded demo data: {}", self.0)
    }
}

impl std::error::Error for DemoDataError {}

impl DemoData {
    /// The data set in this binary.
    pub(crate) fn embedded() -> Result<Self, DemoDataError> {
        Self::parse(FILE)
    }

    /// Number of packages.
    pub(crate) fn len(&self) -> usize {
        self.facts.len()
    }

    /// Elements of a vector.
    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    /// The facts, row by row.
    pub(crate) fn facts(&self) -> &[Facts] {
        &self.facts
    }

    /// The embedding of row `row`; panics if there is none. Not of unit length: a cosine collection normalises it.
    pub(crate) fn vector(&self, row: usize) -> Vec<f32> {
        let bytes = &self.vectors[row * self.dimension..][..self.dimension];
        bytes
            .iter()
            .map(|&byte| f32::from(byte.cast_signed()) / 127.0)
            .collect()
    }

    /// The row nearest to row `row`, other than itself, before quantization; panics if there is none.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "what the test of the quantization compares with")
    )]
    pub(crate) fn nearest(&self, row: usize) -> usize {
        u32::from_le_bytes(self.nearest[row]) as usize
    }

    fn parse(file: &'static [u8]) -> Result<Self, DemoDataError> {
        let (covered, sum) = file
            .split_last_chunk()
            .ok_or(DemoDataError("shorter than its checksum"))?;
        let mut crc = flate2::Crc::new();
        crc.update(covered);
        if crc.sum() != u32::from_le_bytes(*sum) {
            return Err(DemoDataError("checksum does not match"));
        }
        let rest = covered
            .strip_prefix(MAGIC)
            .ok_or(DemoDataError("not a demo data file"))?;
        let (fields, rest) = rest
            .split_first_chunk::<16>()
            .ok_or(DemoDataError("shorter than its header"))?;
        let field = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| fields[at * 4 + byte]));
        let [version, rows, dimension, facts_bytes] = [0, 1, 2, 3].map(field);
        if version != FORMAT_VERSION {
            return Err(DemoDataError("format version unknown"));
        }
        let (rows, dimension) = (rows as usize, dimension as usize);
        let short = DemoDataError("shorter than its header says");
        let vector_bytes = rows
            .checked_mul(dimension)
            .ok_or(DemoDataError("size overflows"))?;
        let Some((vectors, rest)) = rest.split_at_checked(vector_bytes) else {
            return Err(short);
        };
        let Some((nearest, facts)) = rest.split_at_checked(rows * 4) else {
            return Err(short);
        };
        if facts.len() != facts_bytes as usize {
            return Err(short);
        }
        let facts = str::from_utf8(facts).map_err(|_| DemoDataError("facts are not UTF-8"))?;
        let facts: Option<Vec<Facts>> = facts.lines().map(Facts::parse).collect();
        let facts = facts.ok_or(DemoDataError("a line of facts is not four fields"))?;
        let nearest = nearest.as_chunks().0;
        if facts.len() != rows
            || nearest
                .iter()
                .any(|&row| u32::from_le_bytes(row) as usize >= rows)
        {
            return Err(DemoDataError("rows do not add up"));
        }
        Ok(Self {
            dimension,
            vectors,
            nearest,
            facts,
        })
    }
}

impl Facts {
    fn parse(line: &'static str) -> Option<Self> {
        let mut fields = line.split('\t');
        let facts = Self {
            name: fields.next()?,
            section: fields.next()?,
            installed_size_kb: fields.next()?.parse().ok()?,
            version: fields.next()?,
        };
        fields.next().is_none().then_some(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omendb_distance::Kernels;
    use std::collections::HashSet;

    #[test]
    fn the_embedded_file_is_whole() {
        let data = DemoData::embedded().expect("the file in the repository");
        assert!(data.len() > 4_000, "{} packages", data.len());
        assert_eq!(data.dimension(), 384);
        let names: HashSet<&str> = data.facts().iter().map(|facts| facts.name).collect();
        assert_eq!(names.len(), data.len(), "names are unique");
        let vim = data
            .facts()
            .iter()
            .find(|facts| facts.name == "vim")
            .expect("vim is a program");
        assert_eq!(vim.section, "editors");
        assert!(vim.installed_size_kb > 1_000);
        assert!(vim.version.starts_with("2:9."), "{}", vim.version);
    }

    #[test]
    fn quantization_keeps_the_nearest_row() {
        let data = DemoData::embedded().expect("the file in the repository");
        let kernels = Kernels::detected();
        let mut rows: Vec<f32> = (0..data.len()).flat_map(|row| data.vector(row)).collect();
        for row in rows.chunks_exact_mut(data.dimension()) {
            omendb_distance::normalize(row);
        }
        let mut scores = vec![0.0; data.len()];
        let mut kept = 0;
        for (at, query) in rows.chunks_exact(data.dimension()).enumerate() {
            kernels.dot_rows(query, &rows, &mut scores);
            scores[at] = f32::NEG_INFINITY;
            let nearest = (0..data.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            kept += usize::from(nearest == Some(data.nearest(at)));
        }
        let share = kept as f64 / data.len() as f64;
        assert!(share > 0.95, "only {share:.3} of the rows keep their nearest row");
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let leak = |bytes: Vec<u8>| -> &'static [u8] { bytes.leak() };
        for at in [0, 8, 12, 24, FILE.len() / 2, FILE.len() - 5, FILE.len() - 1] {
            let mut damaged = FILE.to_vec();
            damaged[at] ^= 0x10;
            let outcome = DemoData::parse(leak(damaged)).map(|data| data.len());
            assert_eq!(
                outcome,
                Err(DemoDataError("checksum does not match")),
                "byte {at}"
            );
        }
        assert!(DemoData::parse(&FILE[..FILE.len() - 1]).is_err());
        assert!(DemoData::parse(b"").is_err());
        // With a fresh checksum, so that the structure itself is checked.
        for (at, expected) in [
            (0, "not a demo data file"),
            (8, "format version unknown"),
            (13, "shorter than its header says"),
        ] {
            let mut damaged = FILE[..FILE.len() - 4].to_vec();
            damaged[at] ^= 0xff;
            let mut crc = flate2::Crc::new();
            crc.update(&damaged);
            damaged.extend(crc.sum().to_le_bytes());
            let outcome = DemoData::parse(leak(damaged)).map(|data| data.len());
            assert_eq!(outcome, Err(DemoDataError(expected)), "byte {at}");
        }
    }
}
