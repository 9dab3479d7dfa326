//! How an envelope stands in a file. Pure.
//!
//! | file | |
//! |---|---|
//! | header | `status-node spool 1` and a line feed, 20 bytes |
//! | each envelope, in the order of acks | length (4, big-endian), CRC-32C of the envelope (4, big-endian), RLP as received |

use bytes::{Buf as _, Bytes};

/// What a file begins with.
pub(crate) const HEADER: &[u8; 20] = b"status-node spool 1\n";
/// Bytes of a record beside its envelope.
pub(crate) const OVERHEAD: usize = 8;

/// Adds a record.
///
/// # Errors
/// The envelope is longer than any: 4 GiB.
pub(crate) fn push(to: &mut Vec<u8>, rlp: &[u8]) -> Result<(), TooLong> {
    let length = u32::try_from(rlp.len()).map_err(|_| TooLong)?;
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(&crc32c::crc32c(rlp).to_be_bytes());
    to.extend_from_slice(rlp);
    Ok(())
}

/// An envelope that no packet can hold.
#[derive(Debug)]
pub(crate) struct TooLong;

/// The next of a file's bytes.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// An envelope.
    Envelope(Bytes),
    /// That was all.
    End,
    /// The last record was not written to its end, and so never acknowledged.
    Torn,
    /// Bytes changed that were written to their end.
    Damaged,
}

/// Takes the next record off `rest`.
pub(crate) fn next(rest: &mut Bytes) -> Next {
    if rest.is_empty() {
        return Next::End;
    }
    if rest.len() < OVERHEAD {
        return Next::Torn;
    }
    let (length, sum) = (rest.get_u32() as usize, rest.get_u32());
    if length > rest.len() {
        return Next::Torn;
    }
    let envelope = rest.split_to(length);
    if crc32c::crc32c(&envelope) == sum && length > 0 {
        return Next::Envelope(envelope);
    }
    // A file system may give a file its new length before its bytes: zeros, or what did not fit, up to its end.
    if rest.is_empty() || (length == 0 && rest.iter().all(|byte| *byte == 0)) {
        Next::Torn
    } else {
        Next::Damaged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(envelopes: &[&[u8]]) -> Vec<u8> {
        let mut file = Vec::new();
        envelopes.iter().for_each(|envelope| push(&mut file, envelope).unwrap());
        file
    }

    fn read(file: &[u8]) -> (Vec<Bytes>, Next) {
        let (mut rest, mut envelopes) = (Bytes::copy_from_slice(file), Vec::new());
        loop {
            match next(&mut rest) {
                Next::Envelope(envelope) => envelopes.push(envelope),
                other => return (envelopes, other),
            }
        }
    }

    #[test]
    fn what_is_cut_anywhere_is_whole_up_to_there() {
        let whole = file(&[b"first", b"second", b"x"]);
        assert_eq!(read(&whole), (vec!["first".into(), "second".into(), "x".into()], Next::End));
        let ends = [0, 13, 27, 36];
        for cut in 0..whole.len() {
            let (envelopes, end) = read(&whole[..cut]);
            assert_eq!(
                envelopes.len(),
                ends.iter().filter(|end| **end > 0 && **end <= cut).count(),
                "cut at {cut}"
            );
            assert_eq!(end, if ends.contains(&cut) { Next::End } else { Next::Torn }, "cut at {cut}");
        }
    }

    #[test]
    fn zeros_or_other_bytes_at_the_end_are_torn_and_in_the_middle_damage() {
        let mut zeros = file(&[b"first"]);
        zeros.extend([0; 100]);
        assert_eq!(read(&zeros), (vec!["first".into()], Next::Torn));
        let whole = file(&[b"first", b"second", b"third"]);
        let (last, middle) = (whole.len() - 1, 13 + OVERHEAD);
        for (at, end) in [(last, Next::Torn), (middle, Next::Damaged)] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_eq!(read(&changed).1, end, "byte {at}");
        }
    }
}
