//! Snappy block format (EIP-706) on hostile input: the declared length is checked before anything is allocated.
//! Facts: `spec/devp2p.md` §2.5; the block format of google/snappy `format_description.txt`.

use bytes::{BufMut as _, BytesMut};

/// Why a block was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnappyError {
    /// No byte at all: even an empty payload has a length in front (`00`).
    #[error("empty Snappy block")]
    Empty,
    /// The declared length is over the limit.
    #[error("Snappy block declares {declared} bytes, at most {limit} are allowed")]
    TooBig {
        /// What the block says it holds, bytes.
        declared: usize,
        /// What is allowed, bytes.
        limit: usize,
    },
    /// The block cannot hold what it declares, or is corrupt.
    #[error("malformed Snappy block")]
    Malformed,
}

/// A three-byte copy makes at most 64 bytes, so no block grows by more than this factor.
const MAX_RATIO: usize = 22;

/// The uncompressed length that `block` declares, if it is at most `limit` and can be true.
pub fn declared_length(block: &[u8], limit: usize) -> Result<usize, SnappyError> {
    if block.is_empty() {
        return Err(SnappyError::Empty);
    }
    let declared = snap::raw::decompress_len(block).map_err(|_| SnappyError::Malformed)?;
    if declared > limit {
        return Err(SnappyError::TooBig { declared, limit });
    }
    if declared > block.len().saturating_mul(MAX_RATIO) {
        return Err(SnappyError::Malformed);
    }
    Ok(declared)
}

/// Decompresses a whole block into an allocation of exactly its length, at most `limit` bytes.
pub fn decompress(block: &[u8], limit: usize) -> Result<Vec<u8>, SnappyError> {
    let declared = declared_length(block, limit)?;
    if let Some(literal) = single_literal(block, declared) {
        return Ok(literal.to_vec());
    }
    let mut out = vec![0; declared];
    let written =
        snap::raw::Decoder::new().decompress(block, &mut out).map_err(|_| SnappyError::Malformed)?;
    if written == declared { Ok(out) } else { Err(SnappyError::Malformed) }
}

/// The content of a block that is one literal: what an encoder makes of ciphertext, and then nothing needs decoding.
fn single_literal(block: &[u8], declared: usize) -> Option<&[u8]> {
    if declared == 0 {
        return None;
    }
    let tag = literal_tag_length(declared);
    let start = block.len().checked_sub(declared)?;
    // The preamble is a varint of the same number; the tag bytes are compared with the only ones that are right.
    let mut expected = BytesMut::with_capacity(10);
    put_literal_tags(&mut expected, declared);
    (start == varint_length(declared) + tag && block.starts_with(&expected)).then(|| &block[start..])
}

/// Appends `data` as a block of one literal: a copy, for data that does not compress.
pub fn put_literal(out: &mut BytesMut, data: &[u8]) {
    if data.is_empty() {
        out.put_u8(0);
        return;
    }
    put_literal_tags(out, data.len());
    out.extend_from_slice(data);
}

/// Bytes that [`put_literal`] adds to data of `length` bytes.
#[must_use]
pub fn literal_overhead(length: usize) -> usize {
    varint_length(length) + if length == 0 { 0 } else { literal_tag_length(length) }
}

/// Appends `data` compressed.
pub fn put_compressed(out: &mut BytesMut, data: &[u8]) -> Result<(), SnappyError> {
    let start = out.len();
    out.resize(start + snap::raw::max_compress_len(data.len()), 0);
    let written = snap::raw::Encoder::new()
        .compress(data, &mut out[start..])
        .map_err(|_| SnappyError::TooBig { declared: data.len(), limit: u32::MAX as usize })?;
    out.truncate(start + written);
    Ok(())
}

fn varint_length(n: usize) -> usize {
    match n {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        0x20_0000..0x1000_0000 => 4,
        _ => 5,
    }
}

/// Tag byte and length bytes of a literal; 60..63 in the tag announce 1..4 length bytes.
fn literal_tag_length(length: usize) -> usize {
    match length - 1 {
        0..60 => 1,
        60..0x100 => 2,
        0x100..0x1_0000 => 3,
        0x1_0000..0x100_0000 => 4,
        _ => 5,
    }
}

fn put_literal_tags(out: &mut BytesMut, length: usize) {
    let low = |number: usize| number.to_le_bytes()[0];
    let mut rest = length;
    while rest >= 0x80 {
        out.put_u8(low(rest) | 0x80);
        rest >>= 7;
    }
    out.put_u8(low(rest));
    let minus_one = length - 1;
    match literal_tag_length(length) - 1 {
        0 => out.put_u8(low(minus_one) << 2),
        bytes => {
            out.put_u8(low(59 + bytes) << 2);
            out.extend_from_slice(&(minus_one as u64).to_le_bytes()[..bytes]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn literal(data: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        put_literal(&mut out, data);
        out
    }

    /// `spec/devp2p.md` §2.5: an empty payload is `00`, no payload at all is an error.
    #[test]
    fn section_2_5_empty_payload() {
        assert_eq!(decompress(&[0], 10), Ok(vec![]));
        assert_eq!(decompress(&[], 10), Err(SnappyError::Empty));
        assert_eq!(literal(&[])[..], [0]);
        let mut out = BytesMut::new();
        put_compressed(&mut out, &[]).unwrap();
        assert_eq!(out[..], [0]);
    }

    /// `spec/devp2p.md` §2.5: the declared length is refused before decompression.
    #[test]
    fn section_2_5_declared_length_is_checked_first() {
        // Varint of 16,777,216 and of 2^32 - 1, with nothing behind them.
        assert_eq!(
            declared_length(&[0x80, 0x80, 0x80, 0x08], 16_777_215),
            Err(SnappyError::TooBig { declared: 16_777_216, limit: 16_777_215 })
        );
        assert!(matches!(
            declared_length(&[0xff, 0xff, 0xff, 0xff, 0x0f], 16_777_215),
            Err(SnappyError::TooBig { .. })
        ));
        // 16,777,215 is within the limit, but four bytes cannot hold it.
        assert_eq!(declared_length(&[0xff, 0xff, 0xff, 0x07], 16_777_215), Err(SnappyError::Malformed));
    }

    #[test]
    fn the_best_compressible_payload_is_not_taken_for_a_bomb() {
        let zeros = vec![0; 16_777_215];
        let mut block = BytesMut::new();
        put_compressed(&mut block, &zeros).unwrap();
        assert_eq!(decompress(&block, 16_777_215), Ok(zeros));
    }

    #[test]
    fn literal_blocks_are_valid_at_every_tag_size() {
        for length in [1, 59, 60, 61, 127, 128, 255, 256, 257, 65_535, 65_536, 65_537, 2_097_152, 16_777_215]
        {
            let data: Vec<u8> = (0..length).map(|i: usize| ((i * 31) >> 3).to_le_bytes()[0]).collect();
            let block = literal(&data);
            assert_eq!(block.len(), length + literal_overhead(length), "{length}");
            assert_eq!(snap::raw::Decoder::new().decompress_vec(&block).unwrap(), data, "{length}");
            assert_eq!(single_literal(&block, length), Some(&data[..]), "{length}");
        }
    }

    proptest! {
        #[test]
        fn both_encodings_round_trip(data in proptest::collection::vec(0u8..4, 0..3000)) {
            prop_assert_eq!(&decompress(&literal(&data), 3000).unwrap(), &data);
            let mut block = BytesMut::new();
            put_compressed(&mut block, &data).unwrap();
            prop_assert_eq!(&decompress(&block, 3000).unwrap(), &data);
            if !data.is_empty() {
                prop_assert!(decompress(&block, data.len() - 1).is_err());
            }
        }

        #[test]
        fn random_blocks_agree_with_the_library(block in proptest::collection::vec(any::<u8>(), 0..100)) {
            // Whatever this module accepts the library accepts with the same result.
            if let Ok(ours) = decompress(&block, 100_000) {
                prop_assert_eq!(ours, snap::raw::Decoder::new().decompress_vec(&block).unwrap());
            }
        }
    }
}
