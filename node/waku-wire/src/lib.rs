//! The bytes of Waku v1: envelopes, proof of work, payload encryption and every packet of `waku/0` and `waku/1`.
//!
//! Owns encoding and decoding and the checks that need nothing but the bytes. Never opens a socket, never reads a
//! clock, never keeps state between calls. Facts: `spec/waku-mailserver.md` §2 (envelope), §3 (payload), §4 (packets),
//! §5.3, §5.6, §5.9 (history requests and their completion); vectors in §10.
//!
//! The types that matter: [`WireEnvelope`] is an envelope exactly as it was on the wire, cheap to clone;
//! [`StatusOptions`] and [`PeerSettings`] are what a peer announced; [`P2pRequest`] and [`Completion`] are the two ends
//! of a history query. All decoders take hostile input: they bound what they allocate by the input and never panic.

mod bloom;
pub mod codes;
mod completion;
mod confirm;
mod envelope;
mod error;
mod hash;
pub mod keys;
pub mod messages;
pub mod payload;
pub mod pow;
mod request;
mod rlp;
pub mod seal;
mod settings;
mod status;
mod topic;

pub use bloom::{BLOOM_BYTES, Bloom};
pub use completion::{Completion, Cursor};
pub use confirm::{
    EnvelopeError, MessageResponse, OTHER_ERROR, TIME_NOT_SYNCED, decode_batch_ack, encode_batch_ack,
};
pub use envelope::{Envelope, WireEnvelope};
pub use error::WireError;
pub use hash::{EnvelopeHash, ParseHashError};
pub use keys::SymmetricKey;
pub use request::{MessagesRequest, P2pRequest, RequestId};
pub use settings::{InvalidSetting, PeerInterest, PeerSettings};
pub use status::{MAX_TOPICS, ProtocolVersion, RateLimits, StatusOptions};
pub use topic::{ParseTopicError, Topic};
