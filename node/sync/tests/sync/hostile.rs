//! Peers that lie, flood and stall.

use archive::{
    EnvelopeId, HOUR, History as _, Position,
    conformance::{DAY_START, envelope},
};
use bytes::Bytes;
use replica_sync::{Message, Span, SyncError};

use crate::support::*;

/// The first second of history.
const FROM: u32 = DAY_START;

fn is_breach(error: &Result<(), SyncError>) -> bool {
    matches!(error, Err(SyncError::Breach(_) | SyncError::Malformed { .. } | SyncError::Envelopes(_)))
}

/// An honest side that asks, and a peer that answers with whatever `reply` says until that is `None`.
async fn ask_liar(honest: &Replica, mut reply: impl FnMut(Message) -> Option<Message>) -> Ended {
    let (ours, mut theirs, _) = wire(100_000);
    let liar = async move {
        while let Some(message) = theirs.hear().await {
            let Some(answer) = reply(message) else { break };
            theirs.say(&answer).await;
        }
    };
    tokio::join!(ask(honest, ours), liar).0
}

/// Answers that everything differs.
fn agreeable(message: &Message) -> Option<Message> {
    match message {
        Message::Begin { to, .. } => Some(Message::Range { from: FROM, to: *to }),
        Message::Compare { .. } => Some(Message::Differs(vec![0])),
        _ => None,
    }
}

#[tokio::test]
async fn an_envelope_that_was_not_asked_for_ends_the_session() {
    let peer = Replica::holding(&every(FROM, 60, 10, 0)).await;
    for wrong in [envelope(FROM + 9, [1; 4], 2, 40), envelope(FROM + 2 * HOUR, [1; 4], 2, 40)] {
        let honest = Replica::new();
        let ((report, outcome), _) = tampered(&honest, &peer, |message| match message {
            Message::Envelopes { covered, mut envelopes } => {
                envelopes[3] = wrong.clone();
                Some(Message::Envelopes { covered, envelopes })
            }
            message => Some(message),
        })
        .await;
        assert!(is_breach(&outcome) && outcome.unwrap_err().ends_session());
        assert_eq!((report.stored, honest.held().await.len()), (0, 0));
    }
}

#[tokio::test]
async fn what_was_asked_for_is_not_taken_twice_nor_unasked() {
    let honest = Replica::new();
    let peer = Replica::holding(&every(FROM, 60, 10, 0)).await;
    let mut extra = None;
    let (ours, mut here, _) = wire(i64::MAX);
    let (mut there, theirs, _) = wire(i64::MAX);
    let pass = async move {
        loop {
            tokio::select! {
                message = here.hear() => match message { Some(message) => there.say(&message).await, None => return },
                message = there.hear() => match message {
                    Some(message) => {
                        here.say(&message).await;
                        if matches!(message, Message::Envelopes { .. }) {
                            extra = Some(message);
                        }
                        if let Some(extra) = &extra {
                            here.say(extra).await;
                        }
                    }
                    None => return,
                },
            }
        }
    };
    let ((_, outcome), _, ()) = tokio::join!(ask(&honest, ours), answer(&peer, theirs), pass);
    assert!(is_breach(&outcome), "{outcome:?}");
    assert_eq!(honest.held().await, peer.held().await, "the first copy was asked for");
}

#[tokio::test]
async fn a_range_below_the_floor_or_of_the_future_ends_the_session() {
    let honest = Replica::new();
    honest
        .store
        .rows
        .evict(archive::Retention { max_age: Some(86_400), max_bytes: None }, NOW)
        .await
        .unwrap();
    let floor = honest.store.rows.floor();
    for (from, to) in [(floor - HOUR, NOW - 60), (floor, NOW - 59), (floor + 1, NOW - 60)] {
        let (_, outcome) = ask_liar(&honest, |_| Some(Message::Range { from, to })).await;
        assert!(is_breach(&outcome), "{from} {to}");
    }
}

#[tokio::test]
async fn a_peer_that_says_it_has_what_it_does_not_give_is_never_agreed_with() {
    let (honest, peer) = (Replica::holding(&every(FROM, 60, 10, 0)).await, Replica::new());
    peer.add(&every(FROM + 7, 60, 40, 900)).await;
    let ((report, outcome), (theirs, _)) = tampered(&honest, &peer, |message| match message {
        Message::Envelopes { covered, .. } => Some(Message::Envelopes { covered, envelopes: Vec::new() }),
        message => Some(message),
    })
    .await;
    outcome.unwrap();
    assert!(!report.complete && !theirs.complete);
    assert_eq!((report.missing, report.stored), (40, 0));
    assert_eq!(honest.held().await.len(), 10, "nothing is deleted");
}

#[tokio::test]
async fn answers_to_nothing_and_answers_out_of_bounds_end_the_session() {
    type Lie = fn(Message) -> Message;
    let lies: [Lie; 8] = [
        |message| if matches!(message, Message::Range { .. }) { Message::Stored } else { message },
        |message| if matches!(message, Message::Differs(_)) { Message::Differs(vec![24]) } else { message },
        |message| if matches!(message, Message::Differs(_)) { Message::Differs(vec![0, 0]) } else { message },
        |message| match message {
            Message::Cells(_) => Message::Cells(Bytes::from_static(b"x")),
            message => message,
        },
        |message| match message {
            Message::Cells(cells) => Message::Cells(cells.slice(27..)),
            message => message,
        },
        |message| match message {
            Message::Envelopes { .. } => Message::Envelopes { covered: 0, envelopes: Vec::new() },
            message => message,
        },
        |message| match message {
            Message::Envelopes { covered, envelopes } => {
                Message::Envelopes { covered: covered + 1, envelopes }
            }
            message => message,
        },
        |message| match message {
            Message::Want(_) => Message::Want(vec![EnvelopeId([9; 16])]),
            message => message,
        },
    ];
    for (at, lie) in lies.iter().enumerate() {
        let (honest, peer) = (
            Replica::holding(&every(FROM, 60, 10, 0)).await,
            Replica::holding(&every(FROM + 7, 60, 9, 0)).await,
        );
        let ((_, outcome), _) = tampered(&honest, &peer, |message| Some(lie(message))).await;
        assert!(is_breach(&outcome), "lie {at}: {outcome:?}");
        assert!(honest.held().await.len() <= 19, "lie {at}");
    }
}

#[tokio::test]
async fn cells_of_no_set_end_the_session() {
    let honest = Replica::holding(&every(FROM, 10, 300, 0)).await;
    // A count that fits, and sums that never come out.
    let cells = |count: u16| {
        let mut cell = [7; 27];
        cell[24..].copy_from_slice(&[0, 0, 5]);
        Some(Message::Cells(Bytes::from(cell.repeat(count.into()))))
    };
    let mut asked = 0u32;
    let (_, outcome) = ask_liar(&honest, |message| match message {
        Message::Open { cells: count, .. } | Message::More(count) => {
            asked += 1;
            cells(count)
        }
        message => agreeable(&message),
    })
    .await;
    assert!(is_breach(&outcome), "{outcome:?}");
    assert!((60..=100).contains(&asked), "{asked} messages");
}

#[tokio::test]
async fn too_many_halves_end_the_session() {
    let honest = Replica::new();
    let mut asked = 0u32;
    let (_, outcome) = ask_liar(&honest, |message| match message {
        Message::Open { .. } => {
            asked += 1;
            Some(Message::Split)
        }
        message => agreeable(&message),
    })
    .await;
    assert!(is_breach(&outcome), "{outcome:?}");
    assert!(asked <= 160, "{asked}");
}

/// An honest side that answers, and a peer that says `messages` and reads what comes.
async fn answer_liar(honest: &Replica, messages: Vec<Message>) -> Ended {
    let (ours, mut theirs, _) = wire(1_000_000);
    let liar = async move {
        for message in messages {
            theirs.say(&message).await;
            tokio::task::yield_now().await;
            while let Some(Some(answer)) = futures::FutureExt::now_or_never(theirs.hear()) {
                if let Message::Want(ids) = answer {
                    let covered = ids.len().try_into().unwrap();
                    theirs.say(&Message::Envelopes { covered, envelopes: Vec::new() }).await;
                }
            }
        }
        while theirs.hear().await.is_some() {}
    };
    tokio::join!(answer(honest, ours), liar).0
}

fn begin() -> Message {
    Message::Begin { floor: 0, oldest: FROM, to: NOW - 60, salt: [1; 16] }
}

fn open(from: u32, to: u32) -> Message {
    Message::Open { span: Span::seconds(from, to), cells: 12 }
}

#[tokio::test]
async fn a_range_that_reaches_too_far_is_cut() {
    let honest = Replica::holding(&every(FROM, 60, 100, 0)).await;
    honest
        .store
        .rows
        .evict(archive::Retention { max_age: Some(4 * 86_400), max_bytes: None }, NOW)
        .await
        .unwrap();
    let floor = honest.store.rows.floor();
    let (ours, mut theirs, _) = wire(i64::MAX);
    let asks = async move {
        theirs.say(&Message::Begin { floor: 7, oldest: 0, to: u32::MAX, salt: [1; 16] }).await;
        let range = theirs.hear().await;
        theirs.say(&open(FROM, NOW)).await;
        (range, theirs.hear().await)
    };
    let ((_, outcome), (range, none)) = tokio::join!(answer(&honest, ours), asks);
    assert_eq!(range, Some(Message::Range { from: floor, to: NOW - 60 }));
    assert!(is_breach(&outcome) && none.is_none());
}

#[tokio::test]
async fn questions_without_end_end_the_session() {
    let honest = Replica::holding(&every(FROM, 3, 20_000, 0)).await;
    let compare = Message::Compare { unit: 1, first: FROM / HOUR, windows: 24, prints: Vec::new() };
    let floods: [(&str, Vec<Message>); 4] = [
        (
            "cells",
            [begin(), open(FROM, FROM + 3599)]
                .into_iter()
                .chain(std::iter::repeat_n(Message::More(2048), 200))
                .collect(),
        ),
        ("comparisons", std::iter::once(begin()).chain(std::iter::repeat_n(compare, 100)).collect()),
        ("spans", std::iter::once(begin()).chain(std::iter::repeat_n(open(FROM, NOW - 60), 200)).collect()),
        (
            "offers of nothing",
            [begin(), open(FROM, FROM + 3599)]
                .into_iter()
                .chain((0..50).map(|n| Message::Offer(vec![EnvelopeId([n; 16])])))
                .collect(),
        ),
    ];
    for (name, messages) in floods {
        let (_, outcome) = answer_liar(&honest, messages).await;
        assert!(is_breach(&outcome), "{name}: {outcome:?}");
    }
    assert_eq!(honest.held().await.len(), 20_000);
}

#[tokio::test]
async fn what_is_out_of_place_ends_the_session() {
    let honest = Replica::holding(&every(FROM, 60, 100, 0)).await;
    let ghost = EnvelopeId([1; 16]);
    let bad_span = Span { from: Position::first_of(FROM + 9), to: Position::first_of(FROM + 9) };
    let bad: Vec<(&str, Vec<Message>)> = vec![
        ("outside a round", vec![Message::Want(vec![ghost])]),
        ("an end without a round", vec![Message::End { complete: true }]),
        ("a want before a span", vec![begin(), Message::Want(vec![ghost])]),
        ("an offer before a span", vec![begin(), Message::Offer(vec![ghost])]),
        ("more cells before a span", vec![begin(), Message::More(1)]),
        ("a span below the range", vec![begin(), open(FROM - 1, FROM + 9)]),
        ("a span of the last minute", vec![begin(), open(FROM, NOW - 59)]),
        ("an empty span", vec![begin(), Message::Open { span: bad_span, cells: 1 }]),
        (
            "too many cells",
            vec![begin(), Message::Open { span: Span::seconds(FROM, FROM + 9), cells: u16::MAX }],
        ),
        ("cells that nobody asked for", vec![begin(), open(FROM, FROM + 9), Message::Cells(Bytes::new())]),
        ("a want of nothing", vec![begin(), open(FROM, FROM + 9), Message::Want(Vec::new())]),
        (
            "windows of no length",
            vec![begin(), Message::Compare { unit: 0, first: 0, windows: 1, prints: Vec::new() }],
        ),
        (
            "envelopes",
            vec![
                begin(),
                open(FROM, FROM + 9),
                Message::Envelopes { covered: 1, envelopes: vec![envelope(FROM + 5, [1; 4], 7, 40)] },
            ],
        ),
    ];
    for (name, messages) in bad {
        let (_, outcome) = answer_liar(&honest, messages).await;
        assert!(is_breach(&outcome), "{name}: {outcome:?}");
    }
    assert_eq!(honest.held().await.len(), 100);
}

#[tokio::test]
async fn a_packet_of_more_envelopes_than_can_be_wanted_is_refused() {
    let many: Vec<_> = (0..400).map(|salt| envelope(FROM + 5, [1; 4], salt, 40)).collect();
    let (honest, peer) = (Replica::new(), Replica::holding(&many).await);
    let ((_, outcome), _) = tampered(&honest, &peer, |message| match message {
        Message::Envelopes { .. } => Some(Message::Envelopes { covered: 400, envelopes: many.clone() }),
        message => Some(message),
    })
    .await;
    assert!(is_breach(&outcome), "{outcome:?}");
    assert!(honest.held().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stalls_at_any_message_ends_the_session_in_bounded_time() {
    let (left, right) = (every(FROM, 13, 3000, 0), every(FROM + 5, 11, 3000, 9000));
    for heard in 0..20 {
        let (honest, peer) = (Replica::holding(&left).await, Replica::holding(&right).await);
        let started = tokio::time::Instant::now();
        let mut left = heard;
        let ((_, outcome), (_, answered)) = tampered(&honest, &peer, |message| {
            left -= 1;
            (left >= 0).then_some(message)
        })
        .await;
        for (side, outcome) in [("asking", outcome), ("answering", answered)] {
            assert!(
                matches!(outcome, Err(SyncError::Stalled(_) | SyncError::Gone)),
                "{heard} {side}: {outcome:?}"
            );
        }
        assert!(started.elapsed() <= config().patience * 2, "after {heard}: {:?}", started.elapsed());
    }
}
