//! One byte a second: of the handshake, of Hello, of a message. `spec/devp2p.md` §2.7: each has a deadline for the whole.

use std::time::Duration;

use rlpx::base;
use tokio::{
    io::{AsyncWriteExt as _, copy, sink},
    net::TcpStream,
    time::interval,
};
use waku_wire::{StatusOptions, codes};

use crate::{
    End, Target,
    peer::{Life, Peer, open},
};

pub(crate) const WAYS: &[&str] = &["handshake", "hello", "message"];

/// Size of the message that would take a day, bytes.
const SIZE: usize = 100_000;

pub(crate) async fn live(way: &str, target: &Target) -> Life<End> {
    match way {
        "handshake" => {
            // As much as a packet may have.
            let mut packet = vec![7; usize::from(u16::MAX)];
            packet[..3].copy_from_slice(&[0xff, 0xfd, 4]);
            let mut stream = open(target, false).await?;
            Ok(slowly(&mut stream, &packet).await)
        }
        "hello" => {
            let mut peer = Peer::encrypted(target, false).await?;
            let frame = peer.plain_frame(base::HELLO, &[0; 2000])?;
            Ok(slowly(&mut peer.stream, &frame).await)
        }
        _ => {
            let mut peer = Peer::joined(target, &StatusOptions::default(), false).await?;
            let frame = peer.frame(codes::MESSAGES, &vec![0; SIZE])?;
            Ok(slowly(&mut peer.stream, &frame).await)
        }
    }
}

/// Writes a byte a second until the node closes. What it says is not read but for the end of it.
async fn slowly(stream: &mut TcpStream, bytes: &[u8]) -> End {
    let mut second = interval(Duration::from_secs(1));
    let (mut reader, mut writer) = stream.split();
    let write = async {
        for byte in bytes {
            second.tick().await;
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut sink = sink();
    tokio::select! {
        () = write => {}
        _ = copy(&mut reader, &mut sink) => {}
    }
    End::Closed
}
