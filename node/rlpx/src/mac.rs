//! The frame MAC: one Keccak state a direction, mixed through AES. Facts: `spec/devp2p.md` §2.4.
//!
//! The digest that a header starts from is the digest that ended the body before, so it is kept: three finalisations a
//! frame instead of four.

use aes::{
    Aes256Enc,
    cipher::{BlockCipherEncrypt as _, KeyInit as _},
};
use enode::Keccak256;

/// What the MAC needs of its hash; a test vector replaces it by a constant (`spec/devp2p.md` §11.3).
pub trait MacState {
    /// Feeds `data`.
    fn update(&mut self, data: &[u8]);
    /// The digest of everything fed so far; the state stays as it is.
    fn digest(&self) -> [u8; 32];
}

impl MacState for Keccak256 {
    fn update(&mut self, data: &[u8]) {
        Keccak256::update(self, data);
    }

    fn digest(&self) -> [u8; 32] {
        Keccak256::digest(self)
    }
}

pub(crate) struct FrameMac<H> {
    state: H,
    cipher: Aes256Enc,
    /// First half of the digest of `state` as it is now; only valid between frames.
    next_seed: [u8; 16],
}

impl<H: MacState> FrameMac<H> {
    pub(crate) fn new(mac_key: &[u8; 32], state: H) -> Self {
        let next_seed = half(&state.digest());
        Self { state, cipher: Aes256Enc::new(&(*mac_key).into()), next_seed }
    }

    /// The MAC of an encrypted frame header.
    pub(crate) fn header(&mut self, ciphertext: &[u8; 16]) -> [u8; 16] {
        self.mix(self.next_seed, ciphertext)
    }

    /// The MAC of an encrypted, padded frame body; the header's came before.
    pub(crate) fn body(&mut self, ciphertext: &[u8]) -> [u8; 16] {
        self.state.update(ciphertext);
        let seed = half(&self.state.digest());
        self.next_seed = self.mix(seed, &seed);
        self.next_seed
    }

    fn mix(&mut self, seed: [u8; 16], with: &[u8; 16]) -> [u8; 16] {
        let mut block = seed.into();
        self.cipher.encrypt_block(&mut block);
        let mixed: [u8; 16] = std::array::from_fn(|i| block[i] ^ with[i]);
        self.state.update(&mixed);
        half(&self.state.digest())
    }
}

fn half(digest: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|i| digest[i])
}
