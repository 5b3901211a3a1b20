//! Two-dimensional arrays in NumPy's file format, version 1 (numpy.lib.format), of the two element types in use.

/// A row-major array.
#[derive(Debug, PartialEq)]
pub struct Matrix<T> {
    columns: usize,
    values: Vec<T>,
}

impl<T> Matrix<T> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// Elements of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Row `at`; panics if there is none.
    pub fn row(&self, at: usize) -> &[T] {
        &self.values[at * self.columns..][..self.columns]
    }

    /// All elements, row after row.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The first `rows` rows, of each the first `columns` elements; panics if there are fewer.
    pub fn corner(&self, rows: usize, columns: usize) -> Self
    where
        T: Copy,
    {
        let values = (0..rows).flat_map(|row| &self.row(row)[..columns]);
        Self::new(columns, values.copied().collect())
    }

    fn new(columns: usize, values: Vec<T>) -> Self {
        Self { columns, values }
    }
}

/// Reads an array of half-precision floats (`<f2`), widened without loss.
pub(crate) fn parse_f16(file: &[u8]) -> Result<Matrix<f32>, String> {
    let (columns, body) = parse(file, "<f2", size_of::<u16>())?;
    let halves = body.as_chunks().0.iter().copied().map(u16::from_le_bytes);
    Ok(Matrix::new(columns, halves.map(widen).collect()))
}

/// Reads an array of `<i4`.
pub(crate) fn parse_i32(file: &[u8]) -> Result<Matrix<i32>, String> {
    let (columns, body) = parse(file, "<i4", size_of::<i32>())?;
    Ok(Matrix::new(
        columns,
        body.as_chunks()
            .0
            .iter()
            .copied()
            .map(i32::from_le_bytes)
            .collect(),
    ))
}

/// Magic and version, length of the header, the header (a Python dictionary), the elements.
fn parse<'a>(file: &'a [u8], element: &str, element_bytes: usize) -> Result<(usize, &'a [u8]), String> {
    let rest = file
        .strip_prefix(b"\x93NUMPY\x01\x00")
        .ok_or("not a version 1 npy file")?;
    let (length, rest) = rest.split_first_chunk().ok_or("npy file ends in its header")?;
    let (header, body) = rest
        .split_at_checked(u16::from_le_bytes(*length).into())
        .ok_or("npy file ends in its header")?;
    let header = String::from_utf8_lossy(header);
    for expected in [
        format!("'descr': '{element}'"),
        "'fortran_order': False".to_owned(),
    ] {
        if !header.contains(&expected) {
            return Err(format!("npy header without {expected}: {header}"));
        }
    }
    let (rows, columns) =
        shape(&header).ok_or_else(|| format!("npy header without two dimensions: {header}"))?;
    if columns == 0
        || rows
            .checked_mul(columns)
            .and_then(|count| count.checked_mul(element_bytes))
            != Some(body.len())
    {
        return Err(format!(
            "npy body of {} bytes for {rows} x {columns} elements",
            body.len()
        ));
    }
    Ok((columns, body))
}

/// The two numbers in `'shape': (rows, columns)`.
fn shape(header: &str) -> Option<(usize, usize)> {
    let (_, tuple) = header.split_once("'shape': (")?;
    let (tuple, _) = tuple.split_once(')')?;
    let (rows, columns) = tuple.split_once(',')?;
    Some((rows.trim().parse().ok()?, columns.trim().parse().ok()?))
}

/// IEEE 754 binary16 to binary32: every value of the one is a value of the other.
fn widen(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(half >> 10 & 0x1f);
    let fraction = f32::from(half & 0x3ff);
    match exponent {
        0 => sign * fraction * 2.0_f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + fraction) * 2.0_f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, body: &[u8]) -> Vec<u8> {
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(body);
        file
    }

    #[test]
    fn half_floats_widen_exactly() {
        let check = |half: u16, expected: f32| assert_eq!(widen(half), expected, "{half:#06x}");
        check(0x0000, 0.0);
        check(0x3c00, 1.0);
        check(0xc000, -2.0);
        check(0x3555, 0.333_251_95);
        check(0x7bff, 65504.0);
        check(0x0400, 6.103_515_6e-5);
        check(0x0001, 5.960_464_5e-8);
        check(0x83ff, -6.097_555e-5);
        check(0xfc00, f32::NEG_INFINITY);
        assert!(widen(0x7e00).is_nan());
    }

    #[test]
    fn arrays_are_read_row_by_row() {
        let header = "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }  \n";
        let body: Vec<u8> = [1, 2, 3, -4, 5, 6]
            .into_iter()
            .flat_map(i32::to_le_bytes)
            .collect();
        let matrix = parse_i32(&file(header, &body)).expect("a whole file");
        assert_eq!((matrix.rows(), matrix.columns()), (2, 3));
        assert_eq!(matrix.row(1), [-4, 5, 6]);
    }

    #[test]
    fn anything_else_is_refused() {
        let header = "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }";
        assert!(parse_f16(&file(header, &[0; 12])).is_ok());
        assert!(parse_f16(&file(header, &[0; 11])).is_err(), "too short");
        assert!(parse_i32(&file(header, &[0; 24])).is_err(), "another type");
        assert!(
            parse_f16(&file(&header.replace("False", "True"), &[0; 12])).is_err(),
            "column-major"
        );
        assert!(
            parse_f16(&file(&header.replace("(2, 3)", "(6,)"), &[0; 12])).is_err(),
            "one dimension"
        );
        assert!(parse_f16(b"PK\x03\x04").is_err(), "another format");
    }
}
