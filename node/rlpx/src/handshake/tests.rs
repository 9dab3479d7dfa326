use proptest::prelude::*;

use super::*;
use crate::vectors::{self, bytes, key_a, key_b};

const NONCE_A: &str = "7e968bba13b6c50e2c4cd7f241cc0d64d1ac25c7f5952df231ac6a2bda8ee5d6";
const NONCE_B: &str = "559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd";

fn share(ephemeral: &str, nonce: &str) -> Share {
    Share {
        ephemeral: SecretKey::from_secret_bytes(bytes(ephemeral).try_into().unwrap()).unwrap(),
        nonce: bytes(nonce).try_into().unwrap(),
    }
}

fn share_a() -> Share {
    share("869d6ecf5211f1cc60418a13b9d870b22959d0c16f02bec714c960dd2298a32d", NONCE_A)
}

fn share_b() -> Share {
    share("e238eb8e04fee6511ab04c6dd3c89ce097b11f25d584863ac2b6d5b35b1847e4", NONCE_B)
}

/// The secrets of both sides after the public packets Auth2 and Ack2.
pub(crate) fn vector_session() -> (Secrets, Secrets) {
    let (auth, ack) = (bytes(vectors::AUTH2), bytes(vectors::ACK2));
    let mut initiator = Initiator::with_share(&key_a(), &key_b().public_key(), share_a()).unwrap();
    initiator.auth = auth.clone();
    let (_, nonce, ephemeral) = read_auth(&key_b(), &auth).unwrap();
    (initiator.finish(&ack).unwrap(), recipient_secrets(&share_b(), &ephemeral, &nonce, &auth, &ack))
}

/// `spec/devp2p.md` §11.2: Auth2 and Auth3 decrypt to A's key, nonce A and A's ephemeral key.
#[test]
fn section_11_2_auth_packets() {
    for auth in [vectors::AUTH2, vectors::AUTH3] {
        let auth = bytes(auth);
        assert_eq!(packet_length(&auth[..3]), Ok(Some(auth.len())));
        let (remote, nonce, ephemeral) = read_auth(&key_b(), &auth).unwrap();
        assert_eq!(remote, key_a().public_key());
        assert_eq!(hex::encode(nonce), NONCE_A);
        assert_eq!(PublicKey::from(&ephemeral), share_a().public());
    }
}

/// `spec/devp2p.md` §11.2: the plaintext sizes of Auth2 and Ack2 and Auth2's signature.
#[test]
fn section_11_2_plaintexts() {
    let auth = open(&key_b(), &bytes(vectors::AUTH2)).unwrap();
    assert_eq!(auth.len(), 169 + 153);
    assert!(auth[169..].iter().all(|b| *b == 0));
    let [signature, _, _] = fields::<3>(&auth, [65, 64, 32]).unwrap();
    assert_eq!(
        hex::encode(signature),
        "299ca6acfd35e3d72d8ba3d1e2b60b5561d5af5218eb5bc182045769eb4226910a301acae3b369fffc4a4899d6b02531e89fd4fe36a2cf0d93607ba470b50f7800"
    );
    let ack = open(&key_a(), &bytes(vectors::ACK2)).unwrap();
    assert_eq!(ack.len(), 102 + 275);
}

/// `spec/devp2p.md` §11.2: Ack2 and Ack3 decrypt to B's ephemeral key and nonce B.
#[test]
fn section_11_2_ack_packets() {
    for ack in [vectors::ACK2, vectors::ACK3] {
        let body = open(&key_a(), &bytes(ack)).unwrap();
        let [ephemeral, nonce] = fields::<2>(&body, [64, 32]).unwrap();
        assert_eq!(
            hex::encode(ephemeral),
            "b6d82fa3409da933dbf9cb0140c5dde89f4e64aec88d476af648880f4a10e1e49fe35ef3e69e93dd300b4797765a747c6384a6ecf5db9c2690398607a86181e4"
        );
        assert_eq!(ephemeral, share_b().public().as_bytes());
        assert_eq!(hex::encode(nonce), NONCE_B);
    }
}

/// `spec/devp2p.md` §11.2, secrets for (Auth2, Ack2), on both sides.
#[test]
fn section_11_2_secrets() {
    let token = ecdh_x(&key_b().public_key().to_secp().unwrap(), key_a().secret());
    assert_eq!(hex::encode(token), "2d21423c1dc3355da36e7f2c2b530eeffcf0680f93201a958b2ec3a7d04958e6");
    let s = ecdh_x(&share_b().public().to_secp().unwrap(), &share_a().ephemeral);
    assert_eq!(hex::encode(s), "1a08ef840fa6b55e5b2630351aa45804cc16b48e526b64e6ee667b224967ef24");
    let shared = crate::secrets::session_secret(&s, &share_a().nonce, &share_b().nonce);
    assert_eq!(hex::encode(shared), "0a7852c54cc789cda72cabbf628b7a70025451b7aea971eace9097b2ebbd4d9a");
    let (a, b) = vector_session();
    for secrets in [&a, &b] {
        assert_eq!(
            hex::encode(secrets.aes),
            "80e8632c05fed6fc2a13b0f8d31a3cf645366239170ea067065aba8e28bac487"
        );
        assert_eq!(
            hex::encode(secrets.mac),
            "2ea74ec5dae199227dff1af715362700e989d889d7a493cb0639691efb8e5f98"
        );
    }
    let ingress = "1876ff58fc175e0a177afd2044d57eff497080dc0386a382aa44d9eb2f182aab";
    let egress = "7a076efd50d3771655f22190654053ba82f6f47f3123be6a4ba61df58845abc6";
    assert_eq!(hex::encode(b.ingress.digest()), ingress);
    assert_eq!(hex::encode(b.egress.digest()), egress);
    assert_eq!(hex::encode(a.egress.digest()), ingress);
    assert_eq!(hex::encode(a.ingress.digest()), egress);
    let mut fed = b.ingress;
    fed.update(b"foo");
    assert_eq!(hex::encode(fed.digest()), "0c7ec6340062cc46f5e9f1e3cf86f8c8c403c5a0964f5df0ebd34a75ddc86db5");
}

/// `spec/devp2p.md` §11.2: the RFC 6979 signature over token XOR nonce A.
#[test]
fn section_11_2_signature_is_deterministic() {
    let initiator = Initiator::with_share(&key_a(), &key_b().public_key(), share_a()).unwrap();
    let body = open(&key_b(), initiator.auth()).unwrap();
    let [signature, _, _] = fields::<3>(&body, [65, 64, 32]).unwrap();
    assert_eq!(
        hex::encode(signature),
        "5ccc53a99558f46162122995719d4f3cfd840926800f8e2dce54b729327c1cbe548ed0a385998a7bc6e2c91d1ba38dd9e8013f57bc0d6efd3c566f90cfeaadcf00"
    );
}

/// `spec/devp2p.md` §11.2: legacy packets are not accepted; Auth1 reads as 1164 and is refused at its third byte.
#[test]
fn section_11_2_legacy_packets_are_refused() {
    for legacy in [vectors::AUTH1, vectors::ACK1] {
        let packet = bytes(legacy);
        assert_eq!(packet_length(&packet[..3]), Err(HandshakeError::NotEip8));
        assert_eq!(accept(&key_b(), &packet).err(), Some(HandshakeError::NotEip8));
    }
    assert_eq!(bytes(vectors::AUTH1)[..2], [0x04, 0x8c]);
    let initiator = Initiator::with_share(&key_a(), &key_b().public_key(), share_a()).unwrap();
    assert!(initiator.finish(&bytes(vectors::ACK1)).is_err());
}

/// `spec/devp2p.md` §2.2: any size up to 65535, more list elements and any trailing bytes are accepted.
#[test]
fn section_2_2_largest_packet() {
    let public = key_b().public_key().to_secp().unwrap();
    let mut plaintext = open(&key_b(), &bytes(vectors::AUTH3)).unwrap();
    plaintext.resize(65_535 - ecies::OVERHEAD, 0xee);
    let mut packet = vec![0xff, 0xff];
    packet.extend_from_slice(&ecies::encrypt(&public, &[0xff, 0xff], &plaintext));
    assert_eq!(packet_length(&packet), Ok(Some(65_537)));
    assert_eq!(accept(&key_b(), &packet).unwrap().remote, key_a().public_key());
}

/// `spec/devp2p.md` §2.2: sizes of the packets that are sent.
#[test]
fn section_2_2_sent_sizes() {
    for _ in 0..50 {
        let initiator = Initiator::new(&key_a(), &key_b().public_key()).unwrap();
        assert!((382..=481).contains(&(initiator.auth().len() - 2)), "{}", initiator.auth().len());
        let accepted = accept(&key_b(), initiator.auth()).unwrap();
        assert!((315..=414).contains(&(accepted.ack.len() - 2)), "{}", accepted.ack.len());
    }
}

#[test]
fn a_packet_to_another_node_is_refused() {
    let initiator = Initiator::new(&key_a(), &key_b().public_key()).unwrap();
    assert_eq!(accept(&key_a(), initiator.auth()).err(), Some(HandshakeError::Ecies(EciesError::Tag)));
}

#[test]
fn both_roles_agree() {
    let (a, b) = (NodeKey::generate(), NodeKey::generate());
    let initiator = Initiator::new(&a, &b.public_key()).unwrap();
    let accepted = accept(&b, initiator.auth()).unwrap();
    assert_eq!(accepted.remote, a.public_key());
    let secrets = initiator.finish(&accepted.ack).unwrap();
    assert_eq!((secrets.aes, secrets.mac), (accepted.secrets.aes, accepted.secrets.mac));
    assert_eq!(secrets.egress.digest(), accepted.secrets.ingress.digest());
    assert_eq!(secrets.ingress.digest(), accepted.secrets.egress.digest());
}

/// `spec/devp2p.md` §2.2: fixed-size strings have exactly the stated length; a signature with v ≥ 4 recovers no key.
#[test]
fn section_2_2_malformed_bodies() {
    let public = key_b().public_key().to_secp().unwrap();
    let key = key_a().public_key();
    let signature = |v: u8| [[1; 64].as_slice(), &[v]].concat();
    for (fields, want) in [
        (vec![signature(4), key.as_bytes().to_vec(), vec![1; 32]], HandshakeError::Signature),
        (vec![vec![1; 64], key.as_bytes().to_vec(), vec![1; 32]], HandshakeError::Body),
        (vec![signature(0), key.as_bytes().to_vec(), vec![1; 33]], HandshakeError::Body),
        (vec![signature(0), vec![1; 64], vec![1; 32]], HandshakeError::PublicKey),
        (vec![signature(0)], HandshakeError::Body),
    ] {
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        assert_eq!(accept(&key_b(), &seal(&public, &fields)).err(), Some(want));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_never_panic(random in proptest::collection::vec(any::<u8>(), 0..600), body in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(accept(&key_b(), &random).is_err());
        let public = key_b().public_key().to_secp().unwrap();
        let size = body.len() + ecies::OVERHEAD;
        let prefix = u16::try_from(size).unwrap().to_be_bytes();
        let packet = [prefix.as_slice(), &ecies::encrypt(&public, &prefix, &body)].concat();
        prop_assert!(accept(&key_b(), &packet).is_err());
    }

    #[test]
    fn every_cut_asks_for_more_or_the_same_length(cut in 0usize..437) {
        let auth = bytes(vectors::AUTH2);
        let got = packet_length(&auth[..cut.min(auth.len())]).unwrap();
        prop_assert_eq!(got, (cut >= 2).then_some(auth.len()));
        prop_assert!(cut >= auth.len() || accept(&key_b(), &auth[..cut]).is_err());
    }
}
