//! Packing rows into code 127 packets (`spec/waku-mailserver.md` §5.10, [BETTER] of Q31). Pure.

use archive::Row;
use waku_wire::messages;

/// The list header that [`messages::encode`] adds, at most.
const HEADER: usize = 5;

/// How large packets may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sizes {
    normal: usize,
    most: usize,
}

impl Sizes {
    /// For a node that takes packets of `max_message_size` bytes itself and grants its peers the same.
    pub(crate) fn new(max_message_size: u32) -> Self {
        let limit = usize::try_from(max_message_size).unwrap_or(usize::MAX);
        let most = messages::largest_packet(limit).saturating_sub(HEADER);
        Self { normal: (messages::NORMAL_PACKET - HEADER).min(most), most }
    }

    /// Whether a row fits any packet. One that does not is skipped: nobody could receive it.
    pub(crate) fn fits(&self, row: &Row) -> bool {
        row.rlp.len() <= self.most
    }
}

/// Splits rows, all of which fit, into packets, in order; one row a packet unless `batch`.
pub(crate) fn split(rows: &[Row], sizes: Sizes, batch: bool) -> impl Iterator<Item = &[Row]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let mut bytes = first.rlp.len();
        let more = rest.iter().skip(1).take_while(|row| {
            bytes += row.rlp.len();
            batch && bytes <= sizes.normal
        });
        let (bundle, after) = rest.split_at(1 + more.count());
        rest = after;
        Some(bundle)
    })
}

#[cfg(test)]
mod tests {
    use archive::Position;
    use bytes::Bytes;
    use waku_wire::Topic;

    use super::*;

    fn row(len: usize) -> Row {
        Row { position: Position::first_of(1), topic: Topic::default(), rlp: Bytes::from(vec![0x80; len]) }
    }

    fn lengths(rows: &[Row], max: u32, batch: bool) -> Vec<usize> {
        split(rows, Sizes::new(max), batch).map(<[Row]>::len).collect()
    }

    #[test]
    fn s81_without_batch_every_row_is_a_packet() {
        assert_eq!(lengths(&vec![row(10); 3], 1 << 20, false), [1, 1, 1]);
        assert_eq!(lengths(&vec![row(10); 3], 1 << 20, true), [3]);
    }

    #[test]
    fn s82_packets_stay_under_the_limit() {
        for max in [2000, 10_000, 200_000, 1 << 20, u32::MAX] {
            let rows: Vec<Row> =
                (0..800).map(|n| row(500 + n % 300)).filter(|row| Sizes::new(max).fits(row)).collect();
            assert!(!rows.is_empty());
            let bundles: Vec<&[Row]> = split(&rows, Sizes::new(max), true).collect();
            assert_eq!(bundles.concat(), rows, "all, in order");
            for bundle in bundles {
                let len = messages::encode(bundle.iter().map(|row| &row.rlp[..])).len();
                assert!(len <= messages::largest_packet(max as usize) && len <= 128 << 10, "{len} of {max}");
            }
        }
    }

    #[test]
    fn a_large_row_goes_alone_and_one_that_nobody_takes_does_not_fit() {
        let rows = [row(1000), row(500_000), row(1000), row(1000)];
        assert_eq!(lengths(&rows, 1 << 20, true), [1, 1, 2]);
        let sizes = Sizes::new(1 << 20);
        let most = row((1 << 20) - 1024 - HEADER);
        assert!(sizes.fits(&most) && !sizes.fits(&row(most.rlp.len() + 1)));
        let len = messages::encode([&most.rlp[..]]).len();
        assert!(len <= (1 << 20) - 1024, "{len}");
    }
}
