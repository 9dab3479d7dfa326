//! IP addresses as the rules of the network count them. Facts: `spec/devp2p.md` §3.3, §6.3 (LAN); design §2, Bounds.

use std::net::{IpAddr, Ipv6Addr};

/// What an address counts as in a limit by source: itself for IPv4, its /64 for IPv6, of which a host has a whole one.
/// A mapped IPv4 address is IPv4.
#[must_use]
pub fn source_prefix(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

/// Loopback, 0.0.0.0/8, 10/8, 172.16/12, 192.168/16, fe80::/10, fc00::/7.
#[must_use]
pub fn is_lan(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.octets()[0] == 0 || ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unique_local(),
    }
}
