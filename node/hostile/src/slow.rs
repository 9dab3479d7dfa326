//! Peers that want everything and read nothing. `spec/devp2p.md` §2.7; design §2: a slow peer costs constant memory and is
//! disconnected when nothing could be written to it for 20 s.

use std::time::Duration;

use rlpx::base;
use tokio::{io::AsyncWriteExt as _, time::interval};
use waku_wire::{BLOOM_BYTES, StatusOptions};

use crate::{
    End, Target,
    peer::{Life, Peer},
};

pub(crate) const WAYS: &[&str] = &["reads nothing"];

pub(crate) async fn live(target: &Target) -> Life<End> {
    let everything = StatusOptions {
        pow_requirement: Some(0.0),
        bloom: Some(vec![0xff; BLOOM_BYTES]),
        ..StatusOptions::default()
    };
    let mut peer = Peer::joined(target, &everything, true).await?;
    // Only a write tells that the node has gone, so long as nothing is read: pongs that nobody asked for.
    let mut second = interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let pong = peer.plain_frame(base::PONG, &[1, 0, 0xc0])?;
        if peer.stream.write_all(&pong).await.is_err() {
            return Ok(End::Closed);
        }
    }
}
