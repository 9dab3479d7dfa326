//! Frames and Snappy blocks that lie about their size, unpack to a lot, or are not authentic.
//! `spec/devp2p.md` §2.4 to §2.6; `spec/waku-mailserver.md` §4.14.

use bytes::BufMut as _;
use rlpx::base;
use tokio::io::AsyncWriteExt as _;
use waku_wire::{StatusOptions, codes};

use crate::{
    End, PERIOD, Target,
    peer::{Life, Peer, open, until_closed},
};

pub(crate) const WAYS: &[&str] =
    &["long header", "long block", "false block", "wrong mac", "long hello", "long handshake", "bombs"];

/// Over what a packet of 1 MiB can have in its frame, bytes.
const LONG: usize = 1_300_000;
/// What a bomb unpacks to: the default limit of a packet, bytes.
const BOMB: usize = 1 << 20;
/// Header and its MAC, bytes.
const HEADER: usize = 32;
/// Of no meaning in waku: a node reads and forgets it.
const UNKNOWN: u64 = 99;

pub(crate) async fn live(way: &str, target: &Target) -> Life<End> {
    match way {
        "long hello" => {
            let mut peer = Peer::encrypted(target, false).await?;
            let frame = peer.plain_frame(base::HELLO, &[0; base::MAX_HELLO + 1])?;
            peer.write(&frame).await;
            return Ok(peer.end().await);
        }
        "long handshake" => {
            let mut stream = open(target, false).await?;
            let mut packet = vec![7; usize::from(u16::MAX)];
            packet[..3].copy_from_slice(&[0xff, 0xfd, 4]);
            // It may close before all is written.
            let _ = stream.write_all(&packet).await;
            return Ok(until_closed(&mut stream).await);
        }
        _ => {}
    }
    let mut peer = Peer::joined(target, &StatusOptions::default(), false).await?;
    let bytes = match way {
        "long header" => peer.frame(UNKNOWN, &vec![0; LONG])?.split_to(HEADER),
        // 2 GiB in ten bytes.
        "long block" => peer.frame_of_block(UNKNOWN, &[0x80, 0x80, 0x80, 0x80, 8, 0, 0, 0, 0, 0])?,
        // An allowed size that no ten bytes can hold.
        "false block" => peer.frame_of_block(UNKNOWN, &[0x80, 0x80, 0x40, 0, 0, 0, 0, 0, 0, 0])?,
        "wrong mac" => {
            let mut frame = peer.frame(UNKNOWN, &[0; 100])?;
            let last = frame.len() - 1;
            frame[last] ^= 1;
            frame
        }
        _ => {
            let bomb = bomb();
            let mut codes = [UNKNOWN, codes::MESSAGES, codes::P2P_REQUEST].into_iter().cycle();
            let next = move |peer: &mut Peer| peer.frame_of_block(codes.next().unwrap_or(UNKNOWN), &bomb);
            return peer.flood(PERIOD, next).await;
        }
    };
    peer.write(&bytes).await;
    Ok(peer.end().await)
}

/// A good block of zeros: one literal zero, then copies of 64 bytes each.
fn bomb() -> Vec<u8> {
    let mut block = vec![0x80, 0x80, 0x40, 0, 0];
    let mut left = BOMB - 1;
    while left > 0 {
        let length = left.min(64);
        // Tag 2: a copy with an offset of two bytes, little-endian. At most 64, so it fits.
        block.put_u8(u8::try_from(length - 1).unwrap_or(0) << 2 | 2);
        block.put_u16_le(1);
        left -= length;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_what_it_says() {
        let bomb = bomb();
        assert!(bomb.len() < BOMB / 21);
        assert_eq!(rlpx::snappy::decompress(&bomb, BOMB).unwrap(), vec![0; BOMB]);
        assert!(rlpx::snappy::decompress(&bomb, BOMB - 1).is_err());
    }
}
