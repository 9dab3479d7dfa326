//! Keys, ids and Keccak-256: `spec/devp2p.md` §1.1, §1.2, §11 (keys A, B, C) and §11.1.

use enode::{Keccak256, KeyError, NodeId, NodeKey, PublicKey, keccak256};
use proptest::prelude::*;

const KEYS: [(&str, &str, &str); 3] = [
    (
        "49a7b37aa6f6645917e7b807e9d1c00d4fa71f18343b0d4122a4d2df64dd6fee",
        "fda1cff674c90c9a197539fe3dfb53086ace64f83ed7c6eabec741f7f381cc803e52ab2cd55d5569bce4347107a310dfd5f88a010cd2ffd1005ca406f1842877",
        "6469cc2093f39e9117071e660d3ab14bbad3d99f4203bd7a11acb94882050e7e",
    ),
    (
        "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291",
        "ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f",
        "a448f24c6d18e575453db13171562b71999873db5b286df957af199ec94617f7",
    ),
    (
        "869d6ecf5211f1cc60418a13b9d870b22959d0c16f02bec714c960dd2298a32d",
        "654d1044b69c577a44e5f01a1209523adb4026e70c62d1c13a067acabc09d2667a49821a0ad4b634554d330a15a58fe61f8a8e0544b310c6de7b0c8da7528a8d",
        "3eb781e508ac1fff27c06cd192e2fe526f85f8f0e266ea55064ba8aefb868fd9",
    ),
];

#[test]
fn section_11_keys_a_b_c() {
    for (secret, public, id) in KEYS {
        let key = NodeKey::from_hex(secret).unwrap();
        assert_eq!(key.public_key().to_string(), public);
        assert_eq!(key.node_id().to_string(), id);
        assert_eq!(public.parse::<PublicKey>().unwrap().node_id(), id.parse::<NodeId>().unwrap());
        assert_eq!(key.to_hex().as_str(), secret);
        assert_eq!(NodeKey::from_hex(&secret.to_uppercase()).unwrap().node_id(), key.node_id());
    }
}

#[test]
fn section_11_1_keccak() {
    let digest = |data: &[u8]| hex::encode(keccak256(data));
    assert_eq!(digest(b""), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    assert_eq!(digest(&[0xc0]), "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");
}

#[test]
fn section_1_2_malformed_node_keys_are_refused() {
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    for (text, want) in [
        ("", KeyError::NodeKeyText),
        ("49a7", KeyError::NodeKeyText),
        ("0x49a7b37aa6f6645917e7b807e9d1c00d4fa71f18343b0d4122a4d2df64dd6fee", KeyError::NodeKeyText),
        ("49a7b37aa6f6645917e7b807e9d1c00d4fa71f18343b0d4122a4d2df64dd6fe\n", KeyError::NodeKeyText),
        ("0000000000000000000000000000000000000000000000000000000000000000", KeyError::NodeKeyRange),
        (order, KeyError::NodeKeyRange),
    ] {
        assert_eq!(NodeKey::from_hex(text).unwrap_err(), want, "{text:?}");
    }
    let largest = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140";
    assert!(NodeKey::from_hex(largest).is_ok());
}

#[test]
fn debug_never_shows_the_secret() {
    let (secret, public, _) = KEYS[0];
    let shown = format!("{:?}", NodeKey::from_hex(secret).unwrap());
    assert!(shown.contains(public) && !shown.contains(secret), "{shown}");
}

#[test]
fn ids_and_keys_are_json_strings() {
    let (_, public, id) = KEYS[1];
    let id: NodeId = id.parse().unwrap();
    assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
    assert_eq!(serde_json::from_str::<NodeId>(&format!("\"{id}\"")).unwrap(), id);
    assert!(serde_json::from_str::<NodeId>("\"12\"").is_err());
    let key: PublicKey = serde_json::from_str(&format!("\"{public}\"")).unwrap();
    assert_eq!(key.to_string(), public);
}

#[test]
fn points_off_the_curve_are_refused() {
    assert_eq!("11".repeat(64).parse::<PublicKey>(), Err(KeyError::NotOnCurve));
    assert_eq!("00".repeat(64).parse::<PublicKey>(), Err(KeyError::NotOnCurve));
    assert_eq!("zz".repeat(64).parse::<PublicKey>(), Err(KeyError::PublicKeyHex));
    assert_eq!("11".repeat(63).parse::<PublicKey>(), Err(KeyError::PublicKeyLength));
}

proptest! {
    #[test]
    fn streaming_equals_one_shot(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..6)) {
        let mut state = Keccak256::new();
        let mut fed = Vec::new();
        for part in &parts {
            state.update(part);
            fed.extend_from_slice(part);
            // A digest in between leaves the state as it was.
            prop_assert_eq!(state.digest(), keccak256(&fed));
        }
        prop_assert_eq!(state.finalize(), keccak256(&fed));
    }

    #[test]
    fn compressed_form_is_the_same_point(seed in 1u64..) {
        let mut secret = [0; 32];
        secret[24..].copy_from_slice(&seed.to_be_bytes());
        let public = NodeKey::from_bytes(&secret).unwrap().public_key();
        let parsed = secp256k1::PublicKey::from_slice(&public.to_compressed()).unwrap();
        prop_assert_eq!(PublicKey::from(&parsed), public);
        prop_assert_eq!(public.to_secp().unwrap(), parsed);
    }
}
