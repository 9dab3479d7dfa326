//! Keccak-256 with the original padding (0x01), not NIST SHA3-256: the only hash of devp2p identities, MACs and
//! envelopes. Facts: `spec/devp2p.md`, "Conventions".

use keccak_asm::Digest as _;

/// The Keccak-256 digest of `data`.
#[must_use]
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    keccak_asm::Keccak256::digest(data).into()
}

/// A Keccak-256 state that can be fed in pieces and cloned (RLPx keeps one per direction for the life of a session).
#[derive(Clone, Default, Debug)]
pub struct Keccak256(keccak_asm::Keccak256);

impl Keccak256 {
    /// An empty state.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds `data`.
    pub fn update(&mut self, data: &[u8]) {
        keccak_asm::Digest::update(&mut self.0, data);
    }

    /// The digest of everything fed so far; the state stays as it is. Costs one permutation.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }

    /// The digest of everything fed; ends the state.
    #[must_use]
    pub fn finalize(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
