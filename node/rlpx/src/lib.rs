//! The RLPx transport without sockets and without a clock: bytes in, bytes and messages out.
//!
//! Owns the EIP-8 handshake of both roles, the frame cipher with its MACs, Snappy payloads, the base protocol's messages
//! and the agreement on capabilities. Must never do I/O, keep time or allocate by a size that was not checked.
//! Facts: `spec/devp2p.md` §2 and the vectors of §11.1–11.4.
//!
//! In the order that a connection takes: [`handshake`] gives [`Secrets`], these give a [`FrameEncoder`] and a
//! [`FrameDecoder`]; [`base`] is what travels first; [`negotiate`] says which codes mean what afterwards.

pub mod base;
mod caps;
pub mod ecies;
mod frame;
pub mod handshake;
mod mac;
mod secrets;
pub mod snappy;
#[cfg(test)]
mod vectors;

pub use base::{DisconnectReason, Hello};
pub use caps::{BASE_PROTOCOL_LENGTH, Capability, Offer, Shared, negotiate};
pub use frame::{
    Compression, FrameDecoder, FrameEncoder, FrameError, MAX_FRAME_BODY, MAX_PAYLOAD, Message, largest_frame,
};
pub use secrets::Secrets;
