//! Numbers as they lie on disk: little-endian at a fixed offset.

/// The number at `offset`, which the caller knows to be inside `bytes`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(
        bytes[offset..offset + 4]
            .try_into()
            .expect("a slice of four bytes"),
    )
}

/// The number at `offset`, which the caller knows to be inside `bytes`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(
        bytes[offset..offset + 8]
            .try_into()
            .expect("a slice of eight bytes"),
    )
}
