//! A table: sorted entries in blocks, an index of the blocks at its end.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    vec,
};

use bytes::Bytes;

use crate::{
    OldError,
    bytes_of::{Input, is_checksum},
};

const FOOTER: usize = 48;
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// Kind and checksum behind a block.
const TRAILER: usize = 5;
/// Most bytes of a block, compressed or not. LevelDB's are 4 KiB, or one entry; no envelope comes near this.
const MAX_BLOCK: u64 = 64 << 20;

/// An entry: key, the number of its writing, its value unless it says that the key was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Vec<u8>,
    pub(crate) sequence: u64,
    pub(crate) value: Option<Bytes>,
}

/// Reads a table from its beginning to its end.
pub(crate) struct Table {
    path: PathBuf,
    file: File,
    length: u64,
    blocks: vec::IntoIter<(u64, u64)>,
    entries: vec::IntoIter<(Vec<u8>, Bytes)>,
}

impl Table {
    /// Opens the table of this number.
    pub(crate) fn open(directory: &Path, number: u64) -> Result<Self, OldError> {
        let mut path = directory.join(format!("{number:06}.ldb"));
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The name of long ago.
                let other = directory.join(format!("{number:06}.sst"));
                File::open(&other).inspect(|_| path = other)
            }
            opened => opened,
        };
        let opened = file.and_then(|file| file.metadata().map(|metadata| (file, metadata.len())));
        let (file, length) = opened.map_err(|source| OldError::Io { path: path.clone(), source })?;
        let (blocks, entries) = (Vec::new().into_iter(), Vec::new().into_iter());
        let mut table = Self { path, file, length, blocks, entries };
        let index = table.index()?;
        table.blocks = table
            .block(index)?
            .iter()
            .map(|(_, value)| handle(&mut Input(value)))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| table.damaged("its index names no blocks"))?
            .into_iter();
        Ok(table)
    }

    /// The next entry.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, OldError> {
        loop {
            if let Some((key, value)) = self.entries.next() {
                return self.entry(&key, value).map(Some);
            }
            let Some(block) = self.blocks.next() else { return Ok(None) };
            self.entries = self.block(block)?.into_iter();
        }
    }

    fn entry(&self, key: &[u8], value: Bytes) -> Result<Entry, OldError> {
        let (key, tag) = key.split_last_chunk::<8>().ok_or_else(|| self.damaged("a key is too short"))?;
        let tag = u64::from_le_bytes(*tag);
        let value = match tag & 0xff {
            0 => None,
            1 => Some(value),
            _ => return Err(self.damaged("a key is of unknown kind")),
        };
        Ok(Entry { key: key.to_vec(), sequence: tag >> 8, value })
    }

    fn damaged(&self, problem: &'static str) -> OldError {
        OldError::Damaged { file: self.path.clone(), problem }
    }

    fn bytes(&self, offset: u64, length: usize) -> Result<Vec<u8>, OldError> {
        let mut bytes = vec![0; length];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|source| OldError::Io { path: self.path.clone(), source })?;
        Ok(bytes)
    }

    fn index(&self) -> Result<(u64, u64), OldError> {
        let begin = self.length.checked_sub(FOOTER as u64).ok_or_else(|| self.damaged("it is too short"))?;
        let footer = self.bytes(begin, FOOTER)?;
        let mut input = Input(&footer);
        let handles = (handle(&mut input), handle(&mut input));
        let magic = footer.last_chunk::<8>().map(|magic| u64::from_le_bytes(*magic));
        match handles {
            (Some(_), Some(index)) if magic == Some(MAGIC) => Ok(index),
            _ => Err(self.damaged("it does not end as a table")),
        }
    }

    /// The entries of a block, keys as they are stored.
    fn block(&self, (offset, length): (u64, u64)) -> Result<Vec<(Vec<u8>, Bytes)>, OldError> {
        let end = length.checked_add(TRAILER as u64).and_then(|whole| offset.checked_add(whole));
        let whole = usize::try_from(length).ok().filter(|_| length <= MAX_BLOCK);
        let Some(length) = whole.filter(|_| end.is_some_and(|end| end <= self.length)) else {
            return Err(self.damaged("a block lies outside of it"));
        };
        let bytes = self.bytes(offset, length + TRAILER)?;
        let (data, trailer) = bytes.split_at(length);
        let mut trailer = Input(trailer);
        let (Some(kind), Some(checksum)) = (trailer.byte(), trailer.u32()) else {
            return Err(self.damaged("a block lies outside of it"));
        };
        if !is_checksum(checksum, &[data, &[kind]]) {
            return Err(self.damaged("a block's checksum does not fit"));
        }
        let plain = match kind {
            0 => Bytes::copy_from_slice(data),
            1 => unpack(data).ok_or_else(|| self.damaged("a block cannot be unpacked"))?,
            _ => return Err(self.damaged("a block is packed in an unknown way")),
        };
        entries(&plain).ok_or_else(|| self.damaged("a block has no entries"))
    }
}

fn handle(input: &mut Input<'_>) -> Option<(u64, u64)> {
    Some((input.varint()?, input.varint()?))
}

fn unpack(data: &[u8]) -> Option<Bytes> {
    let length = snap::raw::decompress_len(data).ok()?;
    if length as u64 > MAX_BLOCK {
        return None;
    }
    snap::raw::Decoder::new().decompress_vec(data).ok().map(Bytes::from)
}

/// A block's entries: each key as what it shares with the one before and the rest; restart points behind them.
fn entries(block: &Bytes) -> Option<Vec<(Vec<u8>, Bytes)>> {
    let (rest, restarts) = block.split_last_chunk::<4>()?;
    let restarts = usize::try_from(u32::from_le_bytes(*restarts)).ok()?.checked_mul(4)?;
    let mut input = Input(rest.get(..rest.len().checked_sub(restarts)?)?);
    let mut entries = Vec::new();
    let mut key: Vec<u8> = Vec::new();
    while !input.is_empty() {
        let (shared, own, value) = (input.length()?, input.length()?, input.length()?);
        if shared > key.len() {
            return None;
        }
        key.truncate(shared);
        key.extend_from_slice(input.take(own)?);
        entries.push((key.clone(), block.slice_ref(input.take(value)?)));
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_share_their_beginnings() {
        let block = [&[0, 3, 1][..], b"abcx", &[2, 1, 1], b"dy", &[0, 0, 0, 0], &[1, 0, 0, 0]].concat();
        let found = entries(&block.into()).unwrap();
        assert_eq!(
            found,
            [(b"abc".to_vec(), Bytes::from_static(b"x")), (b"abd".to_vec(), Bytes::from_static(b"y"))]
        );
        let wrong = [&[4, 1, 1][..], b"dy", &[0, 0, 0, 0], &[1, 0, 0, 0]].concat();
        assert_eq!(entries(&wrong.into()), None);
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        // A varint of 4 GiB - 1 and nothing behind it.
        assert_eq!(unpack(&[0xff, 0xff, 0xff, 0xff, 0x0f]), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = entries(&Bytes::from(bytes.clone()));
            let directory = tempfile::tempdir().unwrap();
            let mut file = bytes;
            file.resize(60, 0);
            file.extend(MAGIC.to_le_bytes());
            std::fs::write(directory.path().join("000001.ldb"), file).unwrap();
            let _ = Table::open(directory.path(), 1);
        }
    }
}
