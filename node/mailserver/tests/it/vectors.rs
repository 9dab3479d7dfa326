//! `spec/waku-mailserver.md` §10.7, byte for byte.

use std::time::Duration;

use bytes::Bytes;
use waku_wire::{MessagesRequest, Topic};

use crate::support::{ID, Server, password, peer, v30};

const V40: &str = "f9012b84616d8704328400000000b9011c54cd18ea005c7c36b2cdb7db764981e217cc4231c148a6f247a3c3259953ea95eb2ad5e2bd17a3350e6f6002d16e70c373f52b64b2c3c68fcba1eefd90cb15dd5746ed3d65367d3f92b1dcb65ccb7ccdf60ac678457621c6bbb589e7582243dbb1386599e4805cf9d71d0b849395181e76c80dec57dffc8858b6d94983418ff841d5d2cc62dffdf0b6729571f1e90c26bfc1dd163e5562f8a324756fd24d175b83076b96c9b004ddacbb56b0e645ec5edec738432b55a506024a29af2976944e1692e87db8c894d5864e7766d2772e6361934c00ade09cb46cc2d55b996d7cba6d8206e9d7676298c5d6f79e82b54095c29446ad881eac19597b188de3f1c15e49c1c26ef3fe6b127f2b5484045d2d52000102030405060708090a0b01";
const V40_ID: &str = "83078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d1520";
const V42_127: &str = "f844f842843b9aca3232840f010200b5aadb80b6cd6285c292e5ef90d2cfa700c5694aa56ce687e44a86c713a10ff7d2e7380ca29765aba30a000102030405060708090a0b80";
const V42_125: &str = "b86483078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d1520fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a8393b9aca00fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a839";
const V43: &str = "b84083078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d1520fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a839";
const V44: &str = "b84083078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d15200000000000000000000000000000000000000000000000000000000000000000";
const V45_RATE: &str = "b8394552524f523d83078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d152072617465206c696d6974206578636565646564";
const V45_DECRYPT: &str = "b8434552524f523d83078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d15206661696c656420746f2064656372797074207032702072657175657374";

fn bytes(hex: &str) -> Bytes {
    hex::decode(hex).unwrap().into()
}

/// The plain request whose id is that of V40, so that its answer has the bytes of V42 and V43.
fn plain_v40(limit: u32) -> Bytes {
    let topics = vec![Topic([0x0f, 1, 2, 0])];
    let request =
        MessagesRequest { from: 999_999_000, to: 1_000_000_000, topics, limit, ..Default::default() };
    request.encode_plain(&bytes(V40_ID)[..].try_into().unwrap()).into()
}

#[tokio::test]
async fn v40_v44_s60_the_canary_on_an_empty_archive() {
    let server = Server::new();
    let answer = server.ask(bytes(V40)).await;
    assert_eq!(answer.raw, [bytes(V44)]);
}

#[tokio::test]
async fn v40_s101_the_canary_finds_the_envelope_of_its_channel() {
    let server = Server::new();
    let status = Topic::from_name("status").0;
    let day_old = archive::conformance::envelope(crate::support::NOW - 86_400, status, 1, 20);
    let too_old = archive::conformance::envelope(crate::support::NOW - 86_401, status, 1, 20);
    server.store(&[too_old, day_old.clone()]).await;
    let answer = server.ask(bytes(V40)).await;
    assert_eq!(answer.envelopes(), [day_old]);
}

#[tokio::test]
async fn v41_the_plain_form_without_and_with_cursor() {
    let server = Server::new();
    let status = Topic::from_name("status").0;
    let found = archive::conformance::envelope(crate::support::NOW - 5, status, 1, 20);
    server.store(std::slice::from_ref(&found)).await;
    for request in [
        "f6a0303132333435363738396162636465663031323334353637383961626364656684616c355284616d86d28203e88080c584cd423760",
        "f85aa0303132333435363738396162636465663031323334353637383961626364656684616c355284616d86d28203e8a43b9aca00fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a83980c584cd423760",
    ] {
        let answer = server.ask(bytes(request)).await;
        assert_eq!(
            answer.envelopes(),
            std::slice::from_ref(&found),
            "a cursor before the range leaves out nothing"
        );
        // S80: the id is the 32 ASCII bytes.
        let expected = [&[0xb8, 64][..], &ID, &found.hash().0].concat();
        assert_eq!(answer.raw[1], expected);
    }
}

#[tokio::test]
async fn v42_s61_one_envelope_and_the_limit_reached() {
    let server = Server::new();
    server.store(&[v30()]).await;
    let answer = server.ask(plain_v40(1)).await;
    assert_eq!(answer.raw, [bytes(V42_127), bytes(V42_125)]);
}

#[tokio::test]
async fn v43_the_last_page() {
    let server = Server::new();
    server.store(&[v30()]).await;
    let answer = server.ask(plain_v40(2)).await;
    assert_eq!(answer.raw, [bytes(V42_127), bytes(V43)]);
}

#[tokio::test]
async fn v45_s77_rate_limit_exceeded() {
    let server = Server::rate_limited(Duration::from_secs(5));
    assert_eq!(server.ask(bytes(V40)).await.raw, [bytes(V44)]);
    assert_eq!(server.ask(bytes(V40)).await.raw, [bytes(V45_RATE)]);
    assert_eq!(server.ask_as(peer(2), bytes(V40)).await.raw, [bytes(V44)], "another peer is not affected");
}

#[tokio::test]
async fn v45_s71_failed_to_decrypt() {
    let server = Server::new();
    server.mailserver.set_password(&password("another"));
    assert_eq!(server.ask(bytes(V40)).await.raw, [bytes(V45_DECRYPT)]);
    server.mailserver.set_password(&password(crate::support::PASSWORD));
    assert_eq!(server.ask(bytes(V40)).await.raw, [bytes(V44)], "a password is replaced while running");
}
