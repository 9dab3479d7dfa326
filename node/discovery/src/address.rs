//! Which addresses are taken from other nodes. Pure. Facts: `spec/devp2p.md` §6.3.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enode::is_lan;

/// Nodes named in neighbors packets need a higher port than this.
pub(crate) const LOW_PORT: u16 = 1024;

/// The relay rule: whether a node at `sender` may name a node at `relayed`. Loopback only from loopback, private
/// addresses only from private ones, special-use addresses from nobody.
pub(crate) fn may_relay(sender: IpAddr, relayed: IpAddr) -> bool {
    let (sender, relayed) = (sender.to_canonical(), relayed.to_canonical());
    if relayed.is_unspecified() || is_special(relayed) {
        return false;
    }
    if relayed.is_loopback() {
        return sender.is_loopback();
    }
    !is_lan(relayed) || is_lan(sender)
}

/// Whether packets can be sent to this address and port at all.
pub(crate) fn is_reachable(ip: IpAddr, port: u16) -> bool {
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    port != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

/// Network and prefix length.
type Net4 = ([u8; 4], u32);

const SPECIAL_4: [Net4; 12] = [
    ([192, 0, 0, 0], 29),
    ([192, 0, 0, 9], 32),
    ([192, 0, 0, 170], 32),
    ([192, 0, 0, 171], 32),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 175, 48, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
];

/// Network and prefix length.
type Net6 = ([u16; 8], u32);

const SPECIAL_6: [Net6; 11] = [
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    ([0x2001, 1, 0, 0, 0, 0, 0, 1], 128),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48),
    ([0x2001, 3, 0, 0, 0, 0, 0, 0], 32),
    ([0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48),
    ([0x2001, 5, 0, 0, 0, 0, 0, 0], 32),
    ([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28),
    ([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
];

fn is_special(ip: IpAddr) -> bool {
    if ip.is_multicast() {
        return true;
    }
    match ip {
        IpAddr::V4(ip) => {
            let within =
                |(net, bits): &Net4| (ip.to_bits() ^ Ipv4Addr::from(*net).to_bits()).leading_zeros() >= *bits;
            ip.is_broadcast() || SPECIAL_4.iter().any(within)
        }
        IpAddr::V6(ip) => {
            let within =
                |(net, bits): &Net6| (ip.to_bits() ^ Ipv6Addr::from(*net).to_bits()).leading_zeros() >= *bits;
            SPECIAL_6.iter().any(within)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(sender: &str, relayed: &str) -> bool {
        may_relay(sender.parse().unwrap(), relayed.parse().unwrap())
    }

    /// `spec/devp2p.md` §6.3, the relay rule.
    #[test]
    fn section_6_3_relay_rule() {
        let (public, lan, loopback) = ("8.8.8.8", "10.1.1.1", "127.0.0.1");
        for (sender, relayed, allowed) in [
            (public, public, true),
            (lan, public, true),
            (loopback, public, true),
            (public, lan, false),
            (lan, lan, true),
            (loopback, lan, true),
            (public, loopback, false),
            (lan, loopback, false),
            (loopback, loopback, true),
            (loopback, "127.3.2.1", true),
            ("::1", "127.0.0.1", true),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1", true),
            ("2600::1", "fd00::1", false),
            ("fe80::1", "fd00::1", true),
            (public, "2600::1", true),
        ] {
            assert_eq!(relay(sender, relayed), allowed, "{sender} names {relayed}");
        }
    }

    /// `spec/devp2p.md` §6.3: the ends of each network, private and special.
    #[test]
    fn section_6_3_networks() {
        for lan in [
            "0.0.0.1",
            "10.0.0.0",
            "10.255.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.0",
            "192.168.255.255",
            "fe80::",
            "febf::1",
            "fc00::",
            "fdff::1",
        ] {
            assert!(!relay("8.8.8.8", lan), "{lan}");
            assert!(relay("192.168.1.1", lan), "{lan}");
        }
        for special in [
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "239.255.255.255",
            "ff02::1",
            "255.255.255.255",
            "192.0.0.0",
            "192.0.0.7",
            "192.0.0.9",
            "192.0.0.170",
            "192.0.0.171",
            "192.0.2.0",
            "192.0.2.255",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.175.48.1",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "100::1",
            "100::ffff:ffff:ffff:ffff",
            "2001::1",
            "2001:0:ffff::1",
            "2001:1::1",
            "2001:2::1",
            "2001:3::1",
            "2001:4:112::1",
            "2001:5::1",
            "2001:10::1",
            "2001:1f::1",
            "2001:20::1",
            "2001:2f::1",
            "2001:db8::1",
            "2002::1",
            "2002:ffff::1",
        ] {
            assert!(!relay("127.0.0.1", special), "{special}");
        }
        for public in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "192.0.0.8",
            "192.0.0.10",
            "192.0.1.0",
            "192.0.3.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "255.255.255.254",
            "100:0:0:1::1",
            "2001:1::2",
            "2001:4:113::1",
            "2001:6::1",
            "2001:30::1",
            "2001:db9::1",
            "2003::1",
            "2600::1",
        ] {
            assert!(relay("8.8.8.8", public), "{public}");
        }
    }

    #[test]
    fn nothing_is_sent_to_nowhere() {
        let reachable = |ip: &str, port| is_reachable(ip.parse().unwrap(), port);
        assert!(reachable("127.0.0.1", 1) && reachable("::1", 65_535) && reachable("192.0.2.1", 443));
        for ip in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"] {
            assert!(!reachable(ip, 1), "{ip}");
        }
        assert!(!reachable("127.0.0.1", 0));
    }
}
