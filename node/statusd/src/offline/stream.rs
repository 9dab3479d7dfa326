//! The file of `export` and `import`: envelopes one after the other, with a count and a sum at the end. Pure but for the
//! reader and writer that it is given.
//!
//! ```text
//! "status-node envelopes 1\n"                                   24 bytes
//! length (4, big-endian, 1 to 16777216)  envelope (RLP)         for each envelope
//! 0 (4)  envelopes (8, big-endian)  sum of their hashes (32)    the end; nothing follows
//! ```
//! The sum is that of an hour of the archive: 256 bits, hashes as little-endian numbers. A file that was cut, or in which
//! a byte has changed, is found out by it.

use std::io::{self, Read, Write};

use archive::Accumulator;
use bytes::Bytes;
use waku_wire::EnvelopeHash;

const HEADER: &[u8; 24] = b"status-node envelopes 1\n";
/// Most bytes of an envelope: what a packet may have at most.
const MAX_LENGTH: u32 = 16 << 20;
/// What is set aside for an envelope before its bytes are seen.
const FIRST_PIECE: usize = 64 * 1024;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// Not a file of `export`, or a newer one.
    #[error("it does not begin as a file of statusd archive export")]
    Header,
    /// An envelope longer than any.
    #[error("envelope {0} is {1} bytes long, at most {MAX_LENGTH} are possible")]
    Length(u64, u32),
    /// The end does not fit what came before.
    #[error("its end speaks of {said} envelopes and {read} were read, or a byte of them has changed")]
    Sum {
        /// Envelopes by the end.
        said: u64,
        /// Envelopes read.
        read: u64,
    },
    /// Something after the end.
    #[error("something follows its end")]
    Trailing,
    /// It cannot be read, or ends too early.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What was written or read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// Envelopes.
    pub(super) count: u64,
    sum: Accumulator,
}

impl Contents {
    fn add(&mut self, raw: &[u8]) {
        self.count += 1;
        self.sum.add(&EnvelopeHash(enode::keccak256(raw)));
    }
}

/// Writes a file.
pub(super) struct Writer<W> {
    to: W,
    contents: Contents,
}

impl<W: Write> Writer<W> {
    /// Begins it.
    ///
    /// # Errors
    /// `to` failed.
    pub(super) fn new(mut to: W) -> io::Result<Self> {
        to.write_all(HEADER)?;
        Ok(Self { to, contents: Contents::default() })
    }

    /// Adds an envelope.
    ///
    /// # Errors
    /// `to` failed, or it is longer than any.
    pub(super) fn add(&mut self, raw: &[u8]) -> io::Result<()> {
        let length = u32::try_from(raw.len()).ok().filter(|length| (1..=MAX_LENGTH).contains(length));
        let length = length.ok_or(io::ErrorKind::InvalidInput)?;
        self.to.write_all(&length.to_be_bytes())?;
        self.to.write_all(raw)?;
        self.contents.add(raw);
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// `to` failed.
    pub(super) fn end(mut self) -> io::Result<(W, Contents)> {
        self.to.write_all(&[0; 4])?;
        self.to.write_all(&self.contents.count.to_be_bytes())?;
        self.to.write_all(&self.contents.sum.0)?;
        self.to.flush()?;
        Ok((self.to, self.contents))
    }
}

/// Reads a file. Ends after the end was found to fit.
pub(super) struct Reader<R> {
    from: R,
    contents: Contents,
}

impl<R: Read> Reader<R> {
    /// Begins.
    ///
    /// # Errors
    /// [`StreamError::Header`].
    pub(super) fn new(mut from: R) -> Result<Self, StreamError> {
        let mut header = [0; HEADER.len()];
        match from.read_exact(&mut header) {
            Ok(()) if header == *HEADER => Ok(Self { from, contents: Contents::default() }),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error.into()),
            _ => Err(StreamError::Header),
        }
    }

    /// The next envelope; `None`: that was all, and it is whole.
    ///
    /// # Errors
    /// The file cannot be believed from here on; after the last envelope: not at all.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, StreamError> {
        let mut length = [0; 4];
        self.from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length == 0 {
            return self.end().map(|()| None);
        }
        if length > MAX_LENGTH {
            return Err(StreamError::Length(self.contents.count + 1, length));
        }
        let length = length as usize;
        let mut raw = Vec::with_capacity(length.min(FIRST_PIECE));
        (&mut self.from).take(length as u64).read_to_end(&mut raw)?;
        if raw.len() < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.contents.add(&raw);
        Ok(Some(raw.into()))
    }

    fn end(&mut self) -> Result<(), StreamError> {
        let (mut count, mut sum) = ([0; 8], [0; 32]);
        self.from.read_exact(&mut count)?;
        self.from.read_exact(&mut sum)?;
        let said = Contents { count: u64::from_be_bytes(count), sum: Accumulator(sum) };
        if said != self.contents {
            return Err(StreamError::Sum { said: said.count, read: self.contents.count });
        }
        match self.from.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(StreamError::Trailing),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(envelopes: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        for raw in envelopes {
            writer.add(raw).unwrap();
        }
        writer.end().unwrap().0
    }

    fn read(file: &[u8]) -> Result<Vec<Vec<u8>>, StreamError> {
        let mut reader = Reader::new(file)?;
        let mut envelopes = Vec::new();
        while let Some(raw) = reader.next()? {
            envelopes.push(raw.to_vec());
        }
        Ok(envelopes)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(envelopes in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20)) {
            prop_assert_eq!(read(&file(&envelopes)).unwrap(), envelopes);
        }

        /// One byte of a file changed, wherever it is.
        #[test]
        fn a_changed_byte_is_found_out(at in 0usize..1000, change in 1u8..) {
            let mut bytes = file(&[vec![7; 40], vec![8; 300]]);
            let at = at % bytes.len();
            bytes[at] ^= change;
            prop_assert!(read(&bytes).is_err());
        }
    }

    #[test]
    fn a_cut_file_is_found_out_wherever_it_was_cut() {
        let bytes = file(&[vec![7; 40], vec![8; 300]]);
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(read(&longer), Err(StreamError::Trailing)));
    }

    #[test]
    fn the_format_is_as_it_is_described() {
        let bytes = file(&[vec![0xc0]]);
        assert_eq!(bytes[..29], *b"status-node envelopes 1\n\0\0\0\x01\xc0");
        assert_eq!(bytes[29..41], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(bytes[41..], enode::keccak256(&[0xc0]));
    }

    #[test]
    fn a_length_beyond_any_is_not_set_aside() {
        let bytes = [&HEADER[..], &[0xff; 4]].concat();
        assert!(matches!(read(&bytes), Err(StreamError::Length(1, u32::MAX))));
    }
}
