//! The messages and their bytes. Every count is checked before anything of its size is allocated. Pure.
//! The format: `docs/decisions/0011-replica-sync.md`.

use alloy_rlp::{Decodable, Encodable as _, Header};
use archive::{EnvelopeId, Position};
use bytes::Bytes;
use waku_wire::{WireEnvelope, messages};

use crate::{
    Span, SyncError,
    reconcile::MAX_CELLS,
    sketch::{CELL_BYTES, Cell},
};

/// Message codes that the protocol takes.
pub const CODES: u64 = 16;
/// Windows that one comparison covers, at most.
pub(crate) const MAX_WINDOWS: u32 = 2048;
/// Ids wanted at once: their envelopes fill a normal packet.
pub(crate) const MAX_WANT: usize = 320;
/// Ids offered at once.
pub(crate) const MAX_OFFER: usize = 4096;
/// Bytes of a fingerprint.
const PRINT: usize = 16;
const ENTRY: usize = 2 + PRINT;
const ID: usize = 16;

/// A window that is not empty: its index counted from the first one compared, and its fingerprint.
pub(crate) type Print = (u16, [u8; PRINT]);

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Asks for a round: what this side keeps.
    Begin {
        /// First second that is kept.
        floor: u32,
        /// `sent` of the first row; `u32::MAX`: none.
        oldest: u32,
        /// Last second to compare.
        to: u32,
        /// Random: nobody can prepare sets with equal fingerprints.
        salt: [u8; 16],
    },
    /// The seconds to compare; empty when `from > to`.
    Range {
        /// A whole hour, at or above both floors.
        from: u32,
        /// At most what was asked for.
        to: u32,
    },
    /// Fingerprints of the windows `first` to `first + windows` of `unit` hours; those not listed are empty.
    Compare {
        /// Hours in a window.
        unit: u32,
        /// Number of the first window: its first hour divided by `unit`.
        first: u32,
        /// How many.
        windows: u32,
        /// Ascending.
        prints: Vec<Print>,
    },
    /// Which of these windows differ, ascending, counted from the first.
    Differs(Vec<u16>),
    /// Asks for the first cells of the ids in a span.
    Open {
        /// Where.
        span: Span,
        /// How many.
        cells: u16,
    },
    /// The next cells, as many as asked for: of each the sum of ids (16), the sum of hashes (8) and the count (3).
    Cells(Bytes),
    /// Asks for so many more.
    More(u16),
    /// There are too many ids in the span: open its halves.
    Split,
    /// Asks for envelopes.
    Want(Vec<EnvelopeId>),
    /// Answers one [`Message::Want`].
    Envelopes {
        /// How many of the ids wanted, from the first, this answers; what of them does not come is not there.
        covered: u16,
        /// In the order wanted.
        envelopes: Vec<WireEnvelope>,
    },
    /// Ids that the peer misses.
    Offer(Vec<EnvelopeId>),
    /// Of an offer, what was wanted came.
    Stored,
    /// The end of a round; answered by the same.
    End {
        /// Everything was compared and transferred.
        complete: bool,
    },
    /// In place of an answer: this side cannot go on. Everything up to the end of the round is ignored.
    Failed,
}

impl Message {
    /// Code and payload.
    #[must_use]
    pub fn encode(&self) -> (u64, Bytes) {
        match self {
            Self::Begin { floor, oldest, to, salt } => {
                (0, list(|out| [floor, oldest, to].iter().for_each(|n| n.encode(out)), &[salt]))
            }
            Self::Range { from, to } => (1, list(|out| [from, to].iter().for_each(|n| n.encode(out)), &[])),
            Self::Compare { unit, first, windows, prints } => {
                let mut entries = Vec::with_capacity(prints.len() * ENTRY);
                for (index, print) in prints {
                    entries.extend_from_slice(&index.to_be_bytes());
                    entries.extend_from_slice(print);
                }
                (2, list(|out| [unit, first, windows].iter().for_each(|n| n.encode(out)), &[&entries]))
            }
            Self::Differs(indices) => {
                let bytes: Vec<u8> = indices.iter().flat_map(|index| index.to_be_bytes()).collect();
                (3, list(|_| {}, &[&bytes]))
            }
            Self::Open { span, cells } => {
                let (from, to) = (position_bytes(&span.from), position_bytes(&span.to));
                (
                    4,
                    list(
                        |out| {
                            from.as_slice().encode(out);
                            to.as_slice().encode(out);
                            cells.encode(out);
                        },
                        &[],
                    ),
                )
            }
            Self::Cells(cells) => (5, list(|_| {}, &[cells])),
            Self::More(cells) => (6, list(|out| cells.encode(out), &[])),
            Self::Split => (7, list(|_| {}, &[])),
            Self::Want(ids) => (8, list(|_| {}, &[&joined(ids)])),
            Self::Envelopes { covered, envelopes } => {
                let envelopes = messages::encode(envelopes.iter().map(|envelope| &envelope.raw()[..]));
                (
                    9,
                    list(
                        |out| {
                            covered.encode(out);
                            out.extend_from_slice(&envelopes);
                        },
                        &[],
                    ),
                )
            }
            Self::Offer(ids) => (10, list(|_| {}, &[&joined(ids)])),
            Self::Stored => (11, list(|_| {}, &[])),
            Self::End { complete } => (12, list(|out| complete.encode(out), &[])),
            Self::Failed => (13, list(|_| {}, &[])),
        }
    }

    /// Cells as a message.
    pub(crate) fn cells(cells: &[Cell]) -> Self {
        let mut bytes = Vec::with_capacity(cells.len() * CELL_BYTES);
        cells.iter().for_each(|cell| cell.write(&mut bytes));
        Self::Cells(Bytes::from(bytes))
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Anything but exactly one message within its bounds.
    pub fn decode(code: u64, payload: &Bytes) -> Result<Self, SyncError> {
        let mut items = Items::of(payload)?;
        let message = match code {
            0 => Self::Begin {
                floor: items.number("floor")?,
                oldest: items.number("oldest")?,
                to: items.number("to")?,
                salt: fixed(items.bytes("salt", 16)?, "salt is not of 16 bytes")?,
            },
            1 => Self::Range { from: items.number("from")?, to: items.number("to")? },
            2 => items.compare()?,
            3 => Self::Differs(
                pieces::<2>(items.bytes("windows", 2 * MAX_WINDOWS as usize)?)?
                    .map(u16::from_be_bytes)
                    .collect(),
            ),
            4 => Self::Open {
                span: Span { from: items.position("from")?, to: items.position("to")? },
                cells: items.number("cells")?,
            },
            5 => Self::Cells(Bytes::copy_from_slice(items.bytes("cells", MAX_CELLS * CELL_BYTES)?)),
            6 => Self::More(items.number("cells")?),
            7 => Self::Split,
            8 => Self::Want(items.ids(MAX_WANT)?),
            9 => {
                let covered = items.number("covered")?;
                let envelopes = messages::decode(&payload.slice(payload.len() - items.0.len()..))?;
                if envelopes.len() > usize::from(covered) || usize::from(covered) > MAX_WANT {
                    return Err(SyncError::Breach("more envelopes than ids, or more ids than can be wanted"));
                }
                return Ok(Self::Envelopes { covered, envelopes });
            }
            10 => Self::Offer(items.ids(MAX_OFFER)?),
            11 => Self::Stored,
            12 => Self::End { complete: items.number("complete")? },
            13 => Self::Failed,
            _ => return Err(SyncError::Breach("a code that the protocol does not have")),
        };
        if items.0.is_empty() { Ok(message) } else { Err(SyncError::Breach("bytes behind the last item")) }
    }
}

/// The cells of a message, as many as were asked for.
pub(crate) fn read_cells(bytes: &[u8], asked: usize) -> Result<Vec<Cell>, SyncError> {
    let cells: Vec<Cell> = pieces::<CELL_BYTES>(bytes)?.map(|cell| Cell::read(&cell)).collect();
    if cells.len() == asked {
        Ok(cells)
    } else {
        Err(SyncError::Breach("another number of cells than asked for"))
    }
}

/// A list of what `numbers` writes and of byte strings.
fn list(numbers: impl FnOnce(&mut Vec<u8>), strings: &[&[u8]]) -> Bytes {
    let mut content = Vec::new();
    numbers(&mut content);
    for string in strings {
        string.encode(&mut content);
    }
    let mut out = Vec::with_capacity(content.len() + 5);
    Header { list: true, payload_length: content.len() }.encode(&mut out);
    out.extend_from_slice(&content);
    Bytes::from(out)
}

fn joined(ids: &[EnvelopeId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.0).collect()
}

fn position_bytes(position: &Position) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&position.sent.to_be_bytes());
    bytes[4..].copy_from_slice(&position.id.0);
    bytes
}

/// The items still to be read of a message's one list.
struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    /// The list is the whole payload.
    fn of(mut payload: &'a [u8]) -> Result<Self, SyncError> {
        let items = Header::decode_bytes(&mut payload, true).map_err(malformed("message"))?;
        if payload.is_empty() { Ok(Self(items)) } else { Err(SyncError::Breach("bytes behind the message")) }
    }

    fn number<T: Decodable>(&mut self, field: &'static str) -> Result<T, SyncError> {
        T::decode(&mut self.0).map_err(malformed(field))
    }

    fn bytes(&mut self, field: &'static str, max: usize) -> Result<&'a [u8], SyncError> {
        let bytes = Header::decode_bytes(&mut self.0, false).map_err(malformed(field))?;
        if bytes.len() <= max { Ok(bytes) } else { Err(SyncError::Breach("a list longer than allowed")) }
    }

    fn position(&mut self, field: &'static str) -> Result<Position, SyncError> {
        let bytes: [u8; 20] = fixed(self.bytes(field, 20)?, "a position is not of 20 bytes")?;
        let (sent, id) = bytes.split_at(4);
        let sent = fixed(sent, "sent is not of 4 bytes").map(u32::from_be_bytes)?;
        Ok(Position { sent, id: EnvelopeId(fixed(id, "an id is not of 16 bytes")?) })
    }

    fn ids(&mut self, max: usize) -> Result<Vec<EnvelopeId>, SyncError> {
        Ok(pieces::<ID>(self.bytes("ids", max * ID)?)?.map(EnvelopeId).collect())
    }

    fn compare(&mut self) -> Result<Message, SyncError> {
        let (unit, first, windows) = (self.number("unit")?, self.number("first")?, self.number("windows")?);
        let entries = self.bytes("fingerprints", MAX_WINDOWS as usize * ENTRY)?;
        let prints: Vec<Print> = pieces::<ENTRY>(entries)?
            .map(|entry| {
                let [high, low, print @ ..] = entry;
                (u16::from_be_bytes([high, low]), print)
            })
            .collect();
        let ascending = prints.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if windows > MAX_WINDOWS
            || !ascending
            || prints.last().is_some_and(|(last, _)| u32::from(*last) >= windows)
        {
            return Err(SyncError::Breach("fingerprints out of order or of too many windows"));
        }
        Ok(Message::Compare { unit, first, windows, prints })
    }
}

fn malformed(field: &'static str) -> impl Fn(alloy_rlp::Error) -> SyncError {
    move |source| SyncError::Malformed { field, source }
}

fn fixed<const N: usize>(bytes: &[u8], otherwise: &'static str) -> Result<[u8; N], SyncError> {
    bytes.try_into().map_err(|_| SyncError::Breach(otherwise))
}

/// `bytes` in pieces of N, all of it.
fn pieces<const N: usize>(bytes: &[u8]) -> Result<impl Iterator<Item = [u8; N]>, SyncError> {
    let (pieces, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() {
        Ok(pieces.iter().copied())
    } else {
        Err(SyncError::Breach("a list of broken items"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(count: usize) -> impl Strategy<Value = Vec<EnvelopeId>> {
        prop::collection::vec(any::<[u8; 16]>().prop_map(EnvelopeId), 0..=count)
    }

    fn position() -> impl Strategy<Value = Position> {
        any::<(u32, [u8; 16])>().prop_map(|(sent, id)| Position { sent, id: EnvelopeId(id) })
    }

    fn message() -> impl Strategy<Value = Message> {
        let bytes = prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
        let prints = prop::collection::btree_map(0u16..2048, any::<[u8; 16]>(), 0..40);
        prop_oneof![
            any::<(u32, u32, u32, [u8; 16])>().prop_map(|(floor, oldest, to, salt)| Message::Begin {
                floor,
                oldest,
                to,
                salt
            }),
            any::<(u32, u32)>().prop_map(|(from, to)| Message::Range { from, to }),
            (any::<(u32, u32)>(), prints).prop_map(|((unit, first), prints)| Message::Compare {
                unit,
                first,
                windows: MAX_WINDOWS,
                prints: prints.into_iter().collect()
            }),
            prop::collection::vec(any::<u16>(), 0..50).prop_map(Message::Differs),
            (position(), position(), any::<u16>())
                .prop_map(|(from, to, cells)| Message::Open { span: Span { from, to }, cells }),
            bytes.prop_map(Message::Cells),
            any::<u16>().prop_map(Message::More),
            Just(Message::Split),
            ids(MAX_WANT).prop_map(Message::Want),
            ids(50).prop_map(Message::Offer),
            Just(Message::Stored),
            any::<bool>().prop_map(|complete| Message::End { complete }),
            Just(Message::Failed),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(message in message()) {
            let (code, payload) = message.encode();
            prop_assert!(code < CODES);
            prop_assert_eq!(Message::decode(code, &payload).unwrap(), message);
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(code in 0u64..20, payload: Vec<u8>) {
            let _ = Message::decode(code, &Bytes::from(payload));
        }

        #[test]
        fn a_damaged_message_is_a_message_or_an_error(
            message in message(),
            at: prop::sample::Index,
            byte: u8,
        ) {
            let (code, payload) = message.encode();
            let mut payload = payload.to_vec();
            let at = at.index(payload.len());
            payload[at] = byte;
            let _ = Message::decode(code, &Bytes::from(payload));
        }
    }

    #[test]
    fn envelopes_come_back_as_they_were() {
        let envelopes: Vec<WireEnvelope> =
            (0..3).map(|salt| archive::conformance::envelope(100, [1; 4], salt, 50)).collect();
        let message = Message::Envelopes { covered: 5, envelopes: envelopes.clone() };
        let (code, payload) = message.encode();
        assert_eq!(Message::decode(code, &payload).unwrap(), message);
        let (code, payload) = Message::Envelopes { covered: 2, envelopes }.encode();
        assert!(Message::decode(code, &payload).is_err(), "more than it covers");
    }

    #[test]
    fn counts_beyond_their_bounds_are_refused() {
        let id = EnvelopeId([7; 16]);
        let windows = |windows, prints| Message::Compare { unit: 1, first: 0, windows, prints };
        let too_many = [
            Message::Want(vec![id; MAX_WANT + 1]),
            Message::Offer(vec![id; MAX_OFFER + 1]),
            Message::Cells(Bytes::from(vec![0; MAX_CELLS * CELL_BYTES + 1])),
            Message::Differs(vec![0; MAX_WINDOWS as usize + 1]),
            windows(MAX_WINDOWS + 1, Vec::new()),
            windows(3, vec![(3, [0; 16])]),
            windows(3, vec![(1, [0; 16]), (1, [0; 16])]),
        ];
        for message in too_many {
            let (code, payload) = message.encode();
            assert!(matches!(Message::decode(code, &payload), Err(SyncError::Breach(_))), "{message:?}");
        }
        let (code, payload) = Message::Want(vec![id; MAX_WANT]).encode();
        assert!(Message::decode(code, &payload).is_ok());
        let mut trailing = Message::Stored.encode().1.to_vec();
        trailing.push(0);
        assert!(Message::decode(11, &Bytes::from(trailing)).is_err());
    }
}
