//! Which sub-protocols two nodes speak and which message codes they use. Facts: `spec/devp2p.md` §2.9.

use std::fmt;

/// Message codes of the base protocol, 0x00..0x0f: where the first sub-protocol's codes begin.
pub const BASE_PROTOCOL_LENGTH: u64 = 0x10;

/// A sub-protocol's name and version, in the order of the wire: by name, then version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability {
    /// Name, e.g. `waku`.
    pub name: String,
    /// Version.
    pub version: u64,
}

impl Capability {
    /// `name/version`.
    #[must_use]
    pub fn new(name: &str, version: u64) -> Self {
        Self { name: name.to_owned(), version }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// A capability that this node offers, with the number of message codes it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Name and version.
    pub capability: Capability,
    /// Message codes, 128 for waku.
    pub length: u64,
}

/// A capability that both nodes have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Name and the highest common version.
    pub capability: Capability,
    /// The first message code on the wire.
    pub offset: u64,
    /// Message codes.
    pub length: u64,
}

/// The capabilities in common: of each name the highest version that both have, codes assigned in the order of names.
#[must_use]
pub fn negotiate(offers: &[Offer], remote: &[Capability]) -> Vec<Shared> {
    let mut common: Vec<&Offer> = offers.iter().filter(|offer| remote.contains(&offer.capability)).collect();
    common.sort_by(|a, b| a.capability.cmp(&b.capability));
    let mut shared: Vec<Shared> = Vec::with_capacity(common.len());
    let mut offset = BASE_PROTOCOL_LENGTH;
    for (i, offer) in common.iter().enumerate() {
        if common.get(i + 1).is_some_and(|next| next.capability.name == offer.capability.name) {
            continue;
        }
        shared.push(Shared { capability: offer.capability.clone(), offset, length: offer.length });
        offset += offer.length;
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(list: &[(&str, u64)]) -> Vec<Offer> {
        list.iter().map(|(n, v)| Offer { capability: Capability::new(n, *v), length: 128 }).collect()
    }

    fn remote(list: &[(&str, u64)]) -> Vec<Capability> {
        list.iter().map(|(n, v)| Capability::new(n, *v)).collect()
    }

    fn shown(offers_list: &[(&str, u64)], remote_list: &[(&str, u64)]) -> Vec<(String, u64)> {
        let shared = negotiate(&offers(offers_list), &remote(remote_list));
        shared.into_iter().map(|s| (s.capability.to_string(), s.offset)).collect()
    }

    /// `spec/devp2p.md` §2.9: only the highest common version counts, lower ones take no code space.
    #[test]
    fn section_2_9_highest_common_version() {
        let ours = [("waku", 1), ("waku", 0)];
        assert_eq!(shown(&ours, &[("waku", 0), ("waku", 1)]), [("waku/1".into(), 0x10)]);
        assert_eq!(shown(&ours, &[("waku", 0)]), [("waku/0".into(), 0x10)]);
        assert_eq!(shown(&ours, &[("waku", 2), ("shh", 6)]), []);
        assert_eq!(shown(&[], &[("waku", 1)]), []);
        assert_eq!(shown(&ours, &[("waku", 1), ("waku", 1)]), [("waku/1".into(), 0x10)], "said twice");
    }

    /// `spec/devp2p.md` §2.9: codes in the order of names, each protocol takes its length.
    #[test]
    fn section_2_9_offsets() {
        let ours = [("wakusync", 1), ("waku", 0), ("waku", 1)];
        assert_eq!(
            shown(&ours, &[("wakusync", 1), ("eth", 66), ("waku", 1)]),
            [("waku/1".into(), 0x10), ("wakusync/1".into(), 0x90)]
        );
        assert_eq!(shown(&ours, &[("wakusync", 1)]), [("wakusync/1".into(), 0x10)]);
    }
}
