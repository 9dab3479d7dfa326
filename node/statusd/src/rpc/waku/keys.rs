//! The keys that users of JSON-RPC keep in the node, in memory only: gone with the process. Pure.
//! Facts: `spec/operations.md` §2.4, `spec/waku-mailserver.md` §3.6 (ids of key pairs).

use std::collections::HashMap;

use enode::{NodeKey, PublicKey};
use waku_wire::SymmetricKey;

/// Key pairs at most, and symmetric keys at most.
const MAX_KEYS: usize = 1000;
/// Rounds of PBKDF2 for the id of a key pair.
const ID_ROUNDS: u32 = 4096;

/// Why there is no such key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyStoreError {
    /// No key pair of this id.
    #[error("invalid id")]
    NoPair,
    /// No symmetric key of this id.
    #[error("non-existent key ID")]
    NoSymmetric,
    /// The store is full.
    #[error("{MAX_KEYS} keys are kept already; delete one first")]
    Full,
}

/// See the module's documentation. Ids are 64 hex digits.
#[derive(Default)]
pub(super) struct KeyStore {
    pairs: HashMap<String, NodeKey>,
    symmetric: HashMap<String, SymmetricKey>,
}

impl KeyStore {
    /// Keeps a key pair; the same one has the same id each time.
    ///
    /// # Errors
    /// [`KeyStoreError::Full`].
    pub(super) fn add_pair(&mut self, key: NodeKey) -> Result<String, KeyStoreError> {
        let id = pair_id(&key.public_key());
        if !self.pairs.contains_key(&id) && self.pairs.len() >= MAX_KEYS {
            return Err(KeyStoreError::Full);
        }
        self.pairs.insert(id.clone(), key);
        Ok(id)
    }

    /// The key pair of an id.
    ///
    /// # Errors
    /// [`KeyStoreError::NoPair`].
    pub(super) fn pair(&self, id: &str) -> Result<&NodeKey, KeyStoreError> {
        self.pairs.get(id).ok_or(KeyStoreError::NoPair)
    }

    /// Forgets a key pair; whether there was one.
    pub(super) fn delete_pair(&mut self, id: &str) -> bool {
        self.pairs.remove(id).is_some()
    }

    /// Keeps a symmetric key under a new random id.
    ///
    /// # Errors
    /// [`KeyStoreError::Full`].
    pub(super) fn add_symmetric(&mut self, key: SymmetricKey) -> Result<String, KeyStoreError> {
        if self.symmetric.len() >= MAX_KEYS {
            return Err(KeyStoreError::Full);
        }
        let id = hex::encode(rand::random::<[u8; 32]>());
        self.symmetric.insert(id.clone(), key);
        Ok(id)
    }

    /// The symmetric key of an id.
    ///
    /// # Errors
    /// [`KeyStoreError::NoSymmetric`].
    pub(super) fn symmetric(&self, id: &str) -> Result<&SymmetricKey, KeyStoreError> {
        self.symmetric.get(id).ok_or(KeyStoreError::NoSymmetric)
    }

    /// Forgets a symmetric key; whether there was one.
    pub(super) fn delete_symmetric(&mut self, id: &str) -> bool {
        self.symmetric.remove(id).is_some()
    }
}

/// A public key as JSON-RPC shows it: `04`, X, Y.
pub(super) fn uncompressed(key: &PublicKey) -> Vec<u8> {
    [&[4], key.as_bytes().as_slice()].concat()
}

/// Reads what [`uncompressed`] writes.
pub(super) fn public_key(bytes: &[u8]) -> Option<PublicKey> {
    let coordinates: [u8; 64] = bytes.strip_prefix(&[4])?.try_into().ok()?;
    PublicKey::from_bytes(coordinates).ok()
}

fn pair_id(key: &PublicKey) -> String {
    let name = format!("0x{}", hex::encode(uncompressed(key)));
    let mut id = [0; 32];
    pbkdf2::pbkdf2_hmac::<sha2::Sha256>(name.as_bytes(), &[], ID_ROUNDS, &mut id);
    hex::encode(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const K0: &str = "d49dcf37238dc8a7aac57dc61b9fee68f0a97f062968978b9fafa7d1033d03a9";

    /// `spec/waku-mailserver.md` §3.6 applied to k0 of §10.3 by an independent PBKDF2.
    #[test]
    fn section_3_6_ids_of_key_pairs() {
        let mut keys = KeyStore::default();
        let id = keys.add_pair(NodeKey::from_hex(K0).unwrap()).unwrap();
        assert_eq!(id, "ab59764fc25828028c976ff2ba4d965369b4f66dea0e58108b7595f11d9e543e");
        assert_eq!(keys.add_pair(NodeKey::from_hex(K0).unwrap()).unwrap(), id);
        assert_eq!(*keys.pair(&id).unwrap().to_hex(), K0);
        assert!(keys.delete_pair(&id) && !keys.delete_pair(&id));
        assert_eq!(keys.pair(&id).err(), Some(KeyStoreError::NoPair));
    }

    #[test]
    fn symmetric_keys_have_random_ids() {
        let mut keys = KeyStore::default();
        let key = || SymmetricKey::from_bytes([7; 32]).unwrap();
        let (one, two) = (keys.add_symmetric(key()).unwrap(), keys.add_symmetric(key()).unwrap());
        assert!(one != two && one.len() == 64);
        assert_eq!(keys.symmetric(&one).unwrap().as_bytes(), &[7; 32]);
        assert!(keys.delete_symmetric(&one) && !keys.delete_symmetric(&one));
        assert_eq!(keys.symmetric(&one).err(), Some(KeyStoreError::NoSymmetric));
    }

    #[test]
    fn the_store_is_bounded() {
        let mut keys = KeyStore::default();
        for _ in 0..MAX_KEYS {
            keys.add_symmetric(SymmetricKey::from_bytes([7; 32]).unwrap()).unwrap();
        }
        let one_more = keys.add_symmetric(SymmetricKey::from_bytes([7; 32]).unwrap());
        assert_eq!(one_more.err(), Some(KeyStoreError::Full));
    }

    #[test]
    fn public_keys_are_read_as_they_are_written() {
        let key = NodeKey::from_hex(K0).unwrap().public_key();
        assert_eq!(public_key(&uncompressed(&key)), Some(key));
        for bad in [&uncompressed(&key)[1..], &[4; 65], &[]] {
            assert_eq!(public_key(bad), None);
        }
    }
}
