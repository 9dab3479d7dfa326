//! Packet codes relative to the sub-protocol (`spec/waku-mailserver.md` §4.1). Every other code of 0..127 is ignored.

/// Status: the first packet in each direction.
pub const STATUS: u64 = 0;
/// Messages: gossip envelopes.
pub const MESSAGES: u64 = 1;
/// Batch acknowledgement: the hash of a messages packet.
pub const BATCH_ACK: u64 = 11;
/// Message response: the hash of a messages packet and the envelopes of it that were refused.
pub const MESSAGE_RESPONSE: u64 = 12;
/// Status update.
pub const STATUS_UPDATE: u64 = 22;
/// End of the answer to a history request.
pub const P2P_REQUEST_COMPLETE: u64 = 125;
/// History request.
pub const P2P_REQUEST: u64 = 126;
/// History envelopes.
pub const P2P_MESSAGE: u64 = 127;
/// Codes reserved for each version of the sub-protocol (§1).
pub const RESERVED: u64 = 128;
