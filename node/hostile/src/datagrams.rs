//! UDP: noise behind a good prefix, and well-formed pings of ever new identities, from many addresses of loopback.
//! `spec/devp2p.md` §6.1, §6.2.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, UNIX_EPOCH},
};

use alloy_rlp::{BytesMut, Encodable as _, Header};
use enode::{NodeKey, keccak256};
use rand::RngCore as _;
use secp256k1::{Message, ecdsa::RecoverableSignature};
use tokio::{
    net::UdpSocket,
    time::{MissedTickBehavior, interval},
};

use crate::{
    End, Target,
    peer::{Life, failed},
};

pub(crate) const WAYS: &[&str] = &["noise", "pings"];

const PREFIX: &[u8; 22] = b"temporary discovery v5";
/// Largest datagram of the protocol, bytes.
const MAX_PACKET: usize = 1280;
/// Between the datagrams of a socket.
const PERIOD: Duration = Duration::from_millis(40);

/// Sends until the attack is over: nothing tells a sender of datagrams to stop.
pub(crate) async fn live(way: &str, number: u32, target: &Target) -> Life<End> {
    let [_, _, high, low] = number.to_be_bytes();
    // An address for each attacker, as far as loopback has them.
    let own = if target.address.ip().is_loopback() && target.address.is_ipv4() {
        IpAddr::from([127, 1, high, low])
    } else {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    };
    let socket = UdpSocket::bind((own, 0)).await.map_err(failed)?;
    let from = socket.local_addr().map_err(failed)?;
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        let packet = if way == "noise" { noise() } else { ping(from, target.address) };
        // A full send buffer drops it, as the network does.
        let _ = socket.send_to(&packet, target.address).await;
    }
}

fn noise() -> Vec<u8> {
    let mut packet = vec![0; MAX_PACKET];
    rand::rng().fill_bytes(&mut packet);
    packet[..PREFIX.len()].copy_from_slice(PREFIX);
    packet
}

/// A ping of a fresh identity, with the topic that everybody looks for.
fn ping(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let expiration = UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs()) + 20;
    let mut fields = BytesMut::new();
    4_u64.encode(&mut fields);
    endpoint(from, &mut fields);
    endpoint(to, &mut fields);
    expiration.encode(&mut fields);
    list(&encoded(&b"whisper"[..]), &mut fields);
    let mut signed = BytesMut::from(&[1][..]);
    list(&fields, &mut signed);
    let digest = Message::from_digest(keccak256(&signed));
    let signature = RecoverableSignature::sign_ecdsa_recoverable(digest, NodeKey::generate().secret());
    let (recovery, signature) = signature.serialize_compact();
    [PREFIX.as_slice(), &signature, &[recovery.to_u8()], &signed].concat()
}

fn endpoint(at: SocketAddr, out: &mut BytesMut) {
    let mut fields = match at.ip() {
        IpAddr::V4(ip) => encoded(&ip.octets()[..]),
        IpAddr::V6(ip) => encoded(&ip.octets()[..]),
    };
    at.port().encode(&mut fields);
    at.port().encode(&mut fields);
    list(&fields, out);
}

fn encoded(bytes: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    bytes.encode(&mut out);
    out
}

fn list(payload: &[u8], out: &mut BytesMut) {
    Header { list: true, payload_length: payload.len() }.encode(out);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_one_that_a_node_takes() {
        let (from, to) = (SocketAddr::from(([127, 1, 0, 7], 9)), SocketAddr::from(([127, 0, 0, 1], 30303)));
        let packet = ping(from, to);
        assert_eq!((&packet[..22], packet[87]), (&PREFIX[..], 1));
        assert!(packet.len() < MAX_PACKET);
        assert_ne!(ping(from, to), packet, "another identity");
    }
}
