//! Compression of a page.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// `page` as a gzip file, at level 3: pages repeat themselves so much that little is left for higher levels to find.
pub fn gzip(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / 8 + 64), Compression::new(3));
    let written = encoder.write_all(page).and_then(|()| encoder.finish());
    // Writing to a Vec cannot fail.
    written.unwrap_or_default()
}
