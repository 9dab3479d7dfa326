//! The manifest: which tables and journals are the database.

use std::{collections::BTreeMap, path::Path};

use crate::{OldError, bytes_of::Input, journal};

const COMPARATOR: &[u8] = b"leveldb.BytewiseComparator";

/// A table as the manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableName {
    pub(crate) number: u64,
    /// Its first key, without sequence and kind.
    pub(crate) first: Vec<u8>,
}

/// What the database consists of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) tables: Vec<TableName>,
    journal: u64,
    previous: u64,
}

impl Manifest {
    /// Whether the journal of this number has what is in no table.
    pub(crate) fn needs_journal(&self, number: u64) -> bool {
        number >= self.journal || number == self.previous
    }
}

/// Reads the manifest that `CURRENT` names.
pub(crate) fn read(path: &Path) -> Result<Manifest, OldError> {
    let (file, content) = crate::read(path.join(current(path)?))?;
    parse(&content).map_err(|problem| OldError::Damaged { file, problem })
}

fn parse(content: &[u8]) -> Result<Manifest, &'static str> {
    let mut state = State::default();
    for record in journal::records(content)? {
        state.apply(&record).ok_or("a record is no edit")?;
    }
    if !state.known {
        return Err("it is not of LevelDB's order of bytes");
    }
    let tables = state.tables.into_iter().map(|((_, number), first)| TableName { number, first }).collect();
    Ok(Manifest { tables, journal: state.journal, previous: state.previous })
}

/// The name in `CURRENT`.
pub(crate) fn current(path: &Path) -> Result<String, OldError> {
    let (file, content) = crate::read(path.join("CURRENT"))?;
    let name = String::from_utf8(content).ok().and_then(|text| {
        let name = text.strip_suffix('\n')?;
        let digits = name.strip_prefix("MANIFEST-")?;
        (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.to_owned())
    });
    name.ok_or(OldError::Damaged { file, problem: "it names no manifest" })
}

#[derive(Default)]
struct State {
    known: bool,
    journal: u64,
    previous: u64,
    /// First keys by level and number: a table that moves keeps its number.
    tables: BTreeMap<(u64, u64), Vec<u8>>,
}

impl State {
    fn apply(&mut self, record: &[u8]) -> Option<()> {
        let mut input = Input(record);
        let mut added = Vec::new();
        while !input.is_empty() {
            match input.varint()? {
                1 => {
                    if input.text()? != COMPARATOR {
                        return None;
                    }
                    self.known = true;
                }
                2 => self.journal = input.varint()?,
                3 | 4 => drop(input.varint()?),
                5 => drop((input.varint()?, input.text()?)),
                6 => drop(self.tables.remove(&(input.varint()?, input.varint()?))),
                7 => {
                    let place = (input.varint()?, input.varint()?);
                    let (_size, first, _last) = (input.varint()?, input.text()?, input.text()?);
                    added.push((place, first.split_last_chunk::<8>()?.0.to_vec()));
                }
                9 => self.previous = input.varint()?,
                _ => return None,
            }
        }
        // After what was deleted, in whatever order they stand.
        self.tables.extend(added);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn edits_add_move_and_delete_tables() {
        let mut state = State::default();
        let comparator = [&[1, 26][..], COMPARATOR].concat();
        let add = |level, number| {
            [&[7, level, number, 99, 9][..], b"k\0\0\0\0\0\0\0\0", &[9], b"z\0\0\0\0\0\0\0\0"].concat()
        };
        state.apply(&edit(&[&comparator, &[2, 5], &add(0, 7), &add(0, 8)])).unwrap();
        assert_eq!(state.tables.len(), 2);
        // A move: deleted at one level, added at another, with the deletion behind it.
        state.apply(&edit(&[&add(1, 7), &[6, 0, 7], &[6, 0, 8], &[9, 3]])).unwrap();
        assert_eq!(state.tables, BTreeMap::from([((1, 7), b"k".to_vec())]));
        let manifest = Manifest { tables: Vec::new(), journal: state.journal, previous: state.previous };
        let needed: Vec<u64> = (0..8).filter(|number| manifest.needs_journal(*number)).collect();
        assert_eq!(needed, [3, 5, 6, 7]);
        assert_eq!(state.apply(&[8]), None, "an unknown edit");
        assert_eq!(state.apply(b"\x01\x05other"), None, "another order of keys");
    }

    #[test]
    fn current_names_a_manifest_and_no_other_file() {
        let directory = tempfile::tempdir().unwrap();
        for (text, good) in
            [("MANIFEST-000007\n", true), ("MANIFEST-\n", false), ("../../etc/passwd\n", false), ("", false)]
        {
            std::fs::write(directory.path().join("CURRENT"), text).unwrap();
            assert_eq!(current(directory.path()).is_ok(), good, "{text}");
        }
    }
}
