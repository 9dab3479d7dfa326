//! Messages of the largest size that lack their last byte: what the node holds of them is the question.
//! `spec/devp2p.md` §2.6; design §2, Bounds.

use std::time::Duration;

use tokio::{
    io::{AsyncWriteExt as _, copy, sink},
    time::sleep,
};
use waku_wire::{StatusOptions, codes};

use crate::{
    End, Target,
    peer::{Life, Peer},
};

pub(crate) const WAYS: &[&str] = &["at once", "in steps"];

/// A payload just below the default limit, bytes.
const SIZE: usize = (1 << 20) - 64;
/// Where those pause that go in steps: just before a buffer that doubles is full, bytes.
const STEPS: [usize; 3] = [50_000, 200_000, 450_000];
/// How long.
const STEP: Duration = Duration::from_millis(500);

pub(crate) async fn live(way: &str, target: &Target) -> Life<End> {
    let mut peer = Peer::joined(target, &StatusOptions::default(), false).await?;
    let frame = peer.frame(codes::MESSAGES, &vec![0; SIZE])?;
    let most = frame.len() - 1;
    let steps = if way == "in steps" { &STEPS[..] } else { &[] };
    let (mut reader, mut writer) = peer.stream.split();
    let write = async {
        let mut at = 0;
        for step in steps.iter().chain([&most]) {
            // The node may not take it all.
            if writer.write_all(&frame[at..*step]).await.is_err() {
                break;
            }
            at = *step;
            sleep(STEP).await;
        }
        std::future::pending::<()>().await;
    };
    let mut sink = sink();
    tokio::select! {
        () = write => {}
        _ = copy(&mut reader, &mut sink) => {}
    }
    Ok(End::Closed)
}
