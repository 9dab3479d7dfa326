//! Journals: records cut into blocks of 32 KiB. The manifest is one too.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{
    OldError,
    bytes_of::{Input, is_checksum},
    manifest::Manifest,
    read,
};

const BLOCK: usize = 32 * 1024;
const HEADER: usize = 7;

/// Kinds of pieces.
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// The records of a journal. One that was being written when its process died is left out, as LevelDB does it.
pub(crate) fn records(content: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut records = Vec::new();
    let mut record: Option<Vec<u8>> = None;
    let mut blocks = content.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        let is_end = blocks.peek().is_none();
        let mut input = Input(block);
        while input.0.len() >= HEADER {
            let (Some(checksum), Some(length), Some(kind)) = (input.u32(), input.u16(), input.byte()) else {
                break;
            };
            if (checksum, length, kind) == (0, 0, 0) {
                // Space set aside and not used.
                break;
            }
            let Some(piece) = input.take(length.into()) else {
                if is_end {
                    return Ok(records);
                }
                return Err("a record is longer than its block");
            };
            if !is_checksum(checksum, &[&[kind], piece]) {
                // The last piece may have reached the disk in part.
                if is_end && input.is_empty() {
                    return Ok(records);
                }
                return Err("a record's checksum does not fit");
            }
            match (kind, record.take()) {
                (FULL, None) => records.push(piece.to_vec()),
                (FIRST, None) => record = Some(piece.to_vec()),
                (MIDDLE, Some(mut begun)) => {
                    begun.extend_from_slice(piece);
                    record = Some(begun);
                }
                (LAST, Some(mut begun)) => {
                    begun.extend_from_slice(piece);
                    records.push(begun);
                }
                // A writer that died began anew.
                (FULL, Some(_)) => records.push(piece.to_vec()),
                (FIRST, Some(_)) => record = Some(piece.to_vec()),
                _ => return Err("a piece of a record without its beginning"),
            }
        }
    }
    Ok(records)
}

/// What the journals say last of each key: when, and its value unless it was deleted.
pub(crate) type Newest = BTreeMap<Vec<u8>, (u64, Option<Bytes>)>;

/// Reads the journals that are not in tables yet.
pub(crate) fn replay(path: &Path, manifest: &Manifest) -> Result<Newest, OldError> {
    let mut newest = Newest::new();
    for (_, file) in journals(path, manifest)? {
        let (file, content) = read(file)?;
        let damaged = |problem| OldError::Damaged { file: file.clone(), problem };
        for record in records(&content).map_err(damaged)? {
            batch(&record, &mut newest).ok_or_else(|| damaged("a record is no batch"))?;
        }
    }
    Ok(newest)
}

fn journals(path: &Path, manifest: &Manifest) -> Result<BTreeMap<u64, PathBuf>, OldError> {
    let failed = |source| OldError::Io { path: path.into(), source };
    let mut journals = BTreeMap::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok());
        if let Some(number) = number.filter(|number| manifest.needs_journal(*number)) {
            journals.insert(number, path.join(name));
        }
    }
    Ok(journals)
}

fn batch(record: &[u8], newest: &mut Newest) -> Option<()> {
    let mut input = Input(record);
    let (first, count) = (input.u64()?, input.u32()?);
    for at in 0..u64::from(count) {
        let sequence = first.checked_add(at)?;
        let value = match input.byte()? {
            0 => (input.text()?, None),
            1 => (input.text()?, Some(Bytes::copy_from_slice(input.text()?))),
            _ => return None,
        };
        let (key, value) = value;
        if newest.get(key).is_none_or(|(known, _)| *known <= sequence) {
            newest.insert(key.to_vec(), (sequence, value));
        }
    }
    input.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One piece with its header.
    fn piece(kind: u8, data: &[u8]) -> Vec<u8> {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), data);
        let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
        let length = u16::try_from(data.len()).unwrap();
        [&masked.to_le_bytes()[..], &length.to_le_bytes(), &[kind], data].concat()
    }

    #[test]
    fn records_are_put_together_over_blocks() {
        let mut content = piece(FULL, b"one");
        let room = BLOCK - content.len() - HEADER;
        content.extend(piece(FIRST, &vec![1; room]));
        content.extend(piece(MIDDLE, &vec![2; BLOCK - HEADER]));
        content.extend(piece(LAST, b"end"));
        let records = records(&content).unwrap();
        assert_eq!(records[0], b"one");
        assert_eq!(records[1].len(), room + BLOCK - HEADER + 3);
        assert_eq!(records.len(), 2);
    }

    #[test]
    fn a_torn_end_is_left_out_and_damage_before_it_is_told() {
        let content = [piece(FULL, b"one"), piece(FULL, b"two")].concat();
        for cut in 11..content.len() {
            assert_eq!(records(&content[..cut]).unwrap(), [b"one"], "{cut}");
        }
        let mut torn = content.clone();
        *torn.last_mut().unwrap() ^= 1;
        assert_eq!(records(&torn).unwrap(), [b"one"]);
        let mut damaged = content;
        damaged[8] ^= 1;
        assert!(records(&damaged).is_err());
    }

    #[test]
    fn batches_keep_the_newest_and_know_what_was_deleted() {
        let mut newest = Newest::new();
        let record = [
            &7u64.to_le_bytes()[..],
            &3u32.to_le_bytes(),
            b"\x01\x01k\x01a",
            b"\x01\x01l\x01b",
            b"\x00\x01k",
        ];
        batch(&record.concat(), &mut newest).unwrap();
        assert_eq!(newest[&b"k"[..]], (9, None));
        assert_eq!(newest[&b"l"[..]], (8, Some(Bytes::from_static(b"b"))));
        assert_eq!(batch(&[&record.concat()[..], &[0]].concat(), &mut newest), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = records(&content);
            let _ = batch(&content, &mut Newest::new());
        }
    }
}
