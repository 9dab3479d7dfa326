//! Session secrets from a finished handshake. Facts: `spec/devp2p.md` §2.3, values §11.2.

use std::fmt;

use enode::{Keccak256, keccak256};

use crate::frame::{FrameDecoder, FrameEncoder};

/// The keys and MAC states of one session. `Debug` shows none of them.
pub struct Secrets {
    pub(crate) aes: [u8; 32],
    pub(crate) mac: [u8; 32],
    pub(crate) egress: Keccak256,
    pub(crate) ingress: Keccak256,
}

impl Secrets {
    /// `shared` is the x-coordinate of the ephemeral ECDH; packets include their size prefixes.
    pub(crate) fn derive(
        shared: &[u8; 32],
        initiator_nonce: &[u8; 32],
        recipient_nonce: &[u8; 32],
        auth: &[u8],
        ack: &[u8],
        initiator: bool,
    ) -> Self {
        let aes = concat(shared, &session_secret(shared, initiator_nonce, recipient_nonce));
        let mac = concat(shared, &aes);
        let state = |nonce: &[u8; 32], packet: &[u8]| {
            let mut state = Keccak256::new();
            state.update(&std::array::from_fn::<u8, 32, _>(|i| mac[i] ^ nonce[i]));
            state.update(packet);
            state
        };
        let from_initiator = state(recipient_nonce, auth);
        let from_recipient = state(initiator_nonce, ack);
        let (egress, ingress) =
            if initiator { (from_initiator, from_recipient) } else { (from_recipient, from_initiator) };
        Self { aes, mac, egress, ingress }
    }

    /// The two directions of the session. Snappy is off until it is switched on after Hello.
    #[must_use]
    pub fn into_codec(self) -> (FrameEncoder, FrameDecoder) {
        (
            FrameEncoder::new(&self.aes, &self.mac, self.egress),
            FrameDecoder::new(&self.aes, &self.mac, self.ingress),
        )
    }
}

/// `shared` of the specification, which takes both sides' freshness in.
pub(crate) fn session_secret(
    shared: &[u8; 32],
    initiator_nonce: &[u8; 32],
    recipient_nonce: &[u8; 32],
) -> [u8; 32] {
    concat(shared, &concat(recipient_nonce, initiator_nonce))
}

fn concat(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    let mut both = [0; 64];
    both[..32].copy_from_slice(a);
    both[32..].copy_from_slice(b);
    keccak256(&both)
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}
