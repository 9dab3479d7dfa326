//! Sockets that never become peers: no bytes, the beginning of a handshake, a handshake without Hello.
//! `spec/devp2p.md` §2.7, §3.1; design §2, Bounds.

use tokio::io::AsyncWriteExt as _;

use crate::{
    End, Target,
    peer::{Life, Peer, open, until_closed},
};

pub(crate) const WAYS: &[&str] = &["silent", "begun", "no hello"];

/// What an EIP-8 handshake packet begins with: its length, and the first byte of a point.
const BEGINNING: [u8; 3] = [1, 0xb3, 4];

pub(crate) async fn live(way: &str, target: &Target) -> Life<End> {
    if way == "no hello" {
        return Ok(Peer::encrypted(target, false).await?.end().await);
    }
    let mut stream = open(target, false).await?;
    if way == "begun" {
        stream.write_all(&BEGINNING).await.map_err(|_| End::Closed)?;
    }
    Ok(until_closed(&mut stream).await)
}
