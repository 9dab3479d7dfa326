//! What a node and a topic are to discovery. Facts: `spec/devp2p.md` §6.1, §5.3.

use std::{
    borrow::Borrow,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use enode::{NodeId, PublicKey, keccak256};

/// A node with its address: what packets name, what lookups find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node {
    /// Public key; on the wire it is the identity.
    pub key: PublicKey,
    /// Keccak-256 of the key: what distances are computed with.
    pub id: NodeId,
    /// Address in its canonical family (never an IPv4-mapped IPv6 address).
    pub ip: IpAddr,
    /// Discovery port.
    pub udp: u16,
    /// RLPx port.
    pub tcp: u16,
}

impl Node {
    /// A node; `ip` is folded to its canonical family.
    #[must_use]
    pub fn new(key: PublicKey, ip: IpAddr, udp: u16, tcp: u16) -> Self {
        Self { key, id: key.node_id(), ip: ip.to_canonical(), udp, tcp }
    }

    /// Where its packets go.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.udp)
    }

    /// The same node as an enode.
    #[must_use]
    pub fn enode(&self) -> enode::Enode {
        enode::Enode {
            public_key: self.key,
            endpoint: Some(enode::Endpoint::new(self.ip, self.tcp, self.udp)),
        }
    }
}

/// Longest topic that is kept, bytes. The longest in use has 21 (`LES2@` and 16 digits).
pub const MAX_TOPIC_LEN: usize = 64;

/// The text is no topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a topic has 1 to {MAX_TOPIC_LEN} bytes, got {0}")]
pub struct TopicError(usize);

/// What nodes register under: 1 to [`MAX_TOPIC_LEN`] bytes of UTF-8, for example `whisper`.
#[derive(Clone, PartialEq, Eq, Hash, Ord, PartialOrd)]
pub struct Topic(Box<str>);

impl Topic {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Keccak-256 of the text; its first 8 bytes are the centre of the topic's radius (`spec/devp2p.md` §6.9).
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        keccak256(self.0.as_bytes())
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        if (1..=MAX_TOPIC_LEN).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(TopicError(text.len()))
        }
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({:?})", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/devp2p.md` §11.9: the radius centres.
    #[test]
    fn section_11_9_topic_hashes() {
        for (topic, want) in [
            ("whisper", "115b011dfa53e17ae0029e6554c0bcaa457f8248f485f509166dd7ec33fb8dfc"),
            ("whispermail", "9a766b49530138b095cf580903adb3d2a6c6397250f12fcc53e6ac074d59380a"),
            ("LES2@d4e56740f876aef8", "a854a222f7ecc88c2331f18f5b0a4ab660ba50634b83d9f39328f6ea3b87589d"),
            ("LES2@41941023680923e0", "c50bdd95d1c9c794a2210eb9b48b9c353b20c91f221760523810621c6ebed48e"),
            ("LES2@6341fd3daf94b748", "1791a9c0c5142c404677815e37de0e8fde35e3c6d2be6358bfec6a94ab7f3cdf"),
        ] {
            assert_eq!(hex::encode(topic.parse::<Topic>().unwrap().hash()), want, "{topic}");
        }
    }

    #[test]
    fn a_topic_is_bounded() {
        assert_eq!("".parse::<Topic>(), Err(TopicError(0)));
        assert!("t".repeat(64).parse::<Topic>().is_ok());
        assert_eq!("t".repeat(65).parse::<Topic>(), Err(TopicError(65)));
    }

    #[test]
    fn a_mapped_address_is_folded() {
        let key = enode::NodeKey::generate().public_key();
        let node = Node::new(key, "::ffff:10.1.2.3".parse().unwrap(), 1, 2);
        assert_eq!(node.socket(), "10.1.2.3:1".parse().unwrap());
    }
}
