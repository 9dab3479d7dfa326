//! Giving the peer envelopes that it wants.

use std::collections::HashMap;

use archive::{ArchiveError, EnvelopeId, Position};
use waku_wire::{WireEnvelope, messages};

use crate::{SyncError, fetch::Party, link::Wire, message::Message};

/// Ids that the peer may want, with their times.
pub(crate) type Ids = HashMap<EnvelopeId, u32>;

/// Rows read from the archive at once.
const TURN_ROWS: usize = 32;

impl<W: Wire> Party<'_, W> {
    /// Answers one want with a packet of rows that are in `held`, and takes them out of it.
    pub(crate) async fn give(&mut self, held: &mut Ids, wanted: &[EnvelopeId]) -> Result<(), SyncError> {
        if wanted.is_empty() {
            return Err(SyncError::Breach("a want of nothing"));
        }
        let room = self.site.packet();
        let largest = messages::largest_packet(self.site.config.max_message_size);
        let (mut envelopes, mut covered, mut bytes) = (Vec::new(), 0u16, 0);
        'packet: for turn in wanted.chunks(TURN_ROWS) {
            let positions: Vec<Position> =
                turn.iter().filter_map(|id| Some(Position { sent: *held.get(id)?, id: *id })).collect();
            let mut rows = self.site.history.get(positions.clone()).await?.into_iter();
            for id in turn {
                let row = if held.contains_key(id) { rows.next().flatten() } else { None };
                // Larger than any peer takes: as good as not there.
                if let Some(row) = row.filter(|row| row.rlp.len() <= largest) {
                    if !envelopes.is_empty() && bytes + row.rlp.len() > room {
                        break 'packet;
                    }
                    bytes += row.rlp.len();
                    let envelope = WireEnvelope::decode(&row.rlp)
                        .map_err(|error| ArchiveError::Corrupt(format!("a stored envelope: {error}")))?;
                    envelopes.push(envelope);
                }
                held.remove(id);
                covered += 1;
            }
        }
        self.report.given += envelopes.len() as u64;
        self.link.send(&Message::Envelopes { covered, envelopes }).await
    }
}
