//! `cargo x gen demo-data`: writes the data set that `omendb demo` loads, the same bytes from the same input.
//!
//! Facts only: the programs of sections a newcomer has heard of, with their name, section, size, version and embedding.
//! The layout is drawn beside its reader, `crates/omendb/src/demo/data.rs`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's command line talks to its terminal"
)]

use omendb_bench::dataset::{self, Matrix, Package};
use omendb_distance::Kernels;
use std::path::Path;
use std::process::ExitCode;

/// Where the server's crate embeds it from.
const OUTPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../omendb/src/demo/packages.bin");

const MAGIC: &[u8; 8] = b"OMENDEMO";
const FORMAT_VERSION: u32 = 1;

/// Sections whose programs people look for; libraries, documentation and language bindings are left out.
const SECTIONS: [&str; 25] = [
    "admin",
    "comm",
    "database",
    "editors",
    "education",
    "electronics",
    "games",
    "gnome",
    "graphics",
    "hamradio",
    "httpd",
    "interpreters",
    "kde",
    "mail",
    "math",
    "net",
    "news",
    "science",
    "shells",
    "sound",
    "text",
    "utils",
    "vcs",
    "video",
    "web",
];

fn main() -> ExitCode {
    match generate() {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("demo-data: {message}");
            ExitCode::FAILURE
        }
    }
}

fn generate() -> Result<String, String> {
    let directory = dataset::directory(std::env::args().nth(1).as_deref().map(Path::new))?;
    let (packages, vectors) = (dataset::packages(&directory)?, dataset::vectors(&directory)?);
    if packages.len() != vectors.rows() {
        return Err(format!(
            "{} packages for {} vectors",
            packages.len(),
            vectors.rows()
        ));
    }
    let chosen: Vec<usize> = (0..packages.len())
        .filter(|&row| is_chosen(&packages[row]))
        .collect();
    let file = encode(&chosen, &packages, &vectors)?;
    std::fs::write(OUTPUT, &file).map_err(|error| format!("writing packages.bin: {error}"))?;
    Ok(format!(
        "wrote crates/omendb/src/demo/packages.bin: {} packages, {} bytes",
        chosen.len(),
        file.len()
    ))
}

fn is_chosen(package: &Package) -> bool {
    SECTIONS.contains(&package.section.as_str()) && package.tags.iter().any(|tag| tag == "role::program")
}

/// Header, body, checksum: see the reader.
fn encode(chosen: &[usize], packages: &[Package], vectors: &Matrix<f32>) -> Result<Vec<u8>, String> {
    let mut facts = String::new();
    for package in chosen.iter().map(|&row| &packages[row]) {
        let fields = [
            &package.name,
            &package.section,
            &package.installed_size_kb.to_string(),
            &package.version,
        ];
        if let Some(field) = fields.iter().find(|field| field.contains(['\t', '\n'])) {
            return Err(format!("a fact with a separator in it: {field:?}"));
        }
        facts.push_str(&fields.map(String::as_str).join("\t"));
        facts.push('\n');
    }
    let header_fields = [chosen.len(), vectors.columns(), facts.len()];
    let mut file = MAGIC.to_vec();
    file.extend(FORMAT_VERSION.to_le_bytes());
    for field in header_fields {
        let field = u32::try_from(field).map_err(|_| format!("{field} does not fit the header"))?;
        file.extend(field.to_le_bytes());
    }
    for &row in chosen {
        file.extend(quantize(vectors.row(row)).map(i8::cast_unsigned));
    }
    for nearest in nearest_of_each(chosen, vectors) {
        file.extend((nearest as u32).to_le_bytes());
    }
    file.extend(facts.as_bytes());
    let mut checksum = flate2::Crc::new();
    checksum.update(&file);
    file.extend(checksum.sum().to_le_bytes());
    Ok(file)
}

/// Each element in 127ths of the largest. The length is not kept: only directions are compared.
fn quantize(vector: &[f32]) -> impl Iterator<Item = i8> {
    let largest = vector
        .iter()
        .fold(0.0_f32, |largest, element| largest.max(element.abs()));
    let scale = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    vector.iter().map(move |element| (element * scale).round() as i8)
}

/// For each chosen row the position, among the chosen, of the other row nearest to it before quantization: what the
/// reader's test compares the quantized rows with.
fn nearest_of_each(chosen: &[usize], vectors: &Matrix<f32>) -> Vec<usize> {
    // Scalar sums are the same on every processor, and so is the file.
    let kernels = Kernels::scalar();
    let rows: Vec<f32> = chosen.iter().flat_map(|&row| vectors.row(row)).copied().collect();
    let mut scores = vec![0.0; chosen.len()];
    let rank = |(at, query): (usize, &[f32])| {
        kernels.dot_rows(query, &rows, &mut scores);
        scores[at] = f32::NEG_INFINITY;
        (0..scores.len())
            .max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)))
            .unwrap_or(at)
    };
    rows.chunks_exact(vectors.columns())
        .enumerate()
        .map(rank)
        .collect()
}
