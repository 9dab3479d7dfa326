//! Who pays for pooled envelopes: the peer's address prefix, /32 of IPv4 and /64 of IPv6. Kept in memory under a
//! per-process key only, never logged.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
};

use enode::source_prefix;
use relay::SourceId;

/// The source of an address under this process's key.
pub(crate) fn source_of(key: &RandomState, address: IpAddr) -> SourceId {
    SourceId(key.hash_one(source_prefix(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_a_prefix() {
        let key = RandomState::new();
        let of = |text: &str| source_of(&key, text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("0.0.0.1"), of("0:0:0:1::1"));
        assert_ne!(source_of(&RandomState::new(), "192.0.2.1".parse().unwrap()), of("192.0.2.1"));
    }
}
