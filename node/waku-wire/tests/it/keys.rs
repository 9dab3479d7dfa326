//! §10.3, and V28, V29 of §10.4.

use enode::{NodeKey, PublicKey};
use waku_wire::{SymmetricKey, Topic};

fn derived(password: &str) -> String {
    hex::encode(SymmetricKey::from_password(password).as_bytes())
}

#[test]
fn v10_mailserver_password() {
    assert_eq!(
        derived(waku_wire::keys::DEFAULT_MAILSERVER_PASSWORD),
        "765df27c0765526f920ba742ff4b9452bb0064e016435ffccd81186aa6feaae8"
    );
}

#[test]
fn v11_other_passwords() {
    for (password, key) in [
        ("status", "36224048e42c49e5c59c57bba5024fbb8822d6b4ee6ac5fbefd8b77f5323ecc4"),
        ("testpassword", "c7c75e0c1ad63fa5ea230b2896c1d172b177dbfee6af62291ef215940849da58"),
        ("password_for_this_test", "e2fd3b339597eb204e4f10415cf63f77f1a418cb1757d6874df3d22976cdce7b"),
        ("arbitrary data here", "c49ad65ebf2a7b7253bf400e3d27719362a91b2c9b9f54d50a69117021666c33"),
    ] {
        assert_eq!(derived(password), key, "{password}");
    }
}

#[test]
fn v14_topics_of_names() {
    assert_eq!(
        hex::encode(enode::keccak256(b"status")),
        "cd423760c9650eb549b1615f6cf96d420e32aadcea2ff5fe11c26457244adcc1"
    );
    for (name, topic) in [
        ("status", "cd423760"),
        ("contact-discovery", "f8946aac"),
        ("test", "9c22ff5f"),
        ("mailserver", "f83dd944"),
        ("contact-discovery-3687", "51a056da"),
    ] {
        assert_eq!(Topic::from_name(name), super::topic(topic), "{name}");
    }
}

#[test]
fn v15_node_id_and_test_keys() {
    let key: PublicKey = "19872f94b1e776da3a13e25afa71b47dfa99e658afd6427ea8d6e03c22a99f13590205a8826443e95a37eee1d815fc433af7a8ca9a8d0df7943d1f55684045b7".parse().unwrap();
    assert_eq!(key.node_id().to_string(), "10841e6db5c02fc331bf36a8d2a9137a1696d9d3b6b1f872f780e02aa8ec5bba");
    for (secret, public) in [
        (
            "d49dcf37238dc8a7aac57dc61b9fee68f0a97f062968978b9fafa7d1033d03a9",
            "0482c4d72810c43f35c57f02b1b6bb0099a1cd58a44c4b210ccd10f326330ce41f0610144ec77e28036f7eb09cf87eababb659c58d1a9a832a3097e70ec7c7ecef",
        ),
        (
            "73fd6143c48e80ed3c56ea159fe7494a0b6b393a392227b422f4c3e8f1b54f98",
            "042ddee4287b8edb70c13f91e61017a13ab7a213160f49b3ca0255a6c8b885e7e2562f8ecbcc30642dee87e8b15c052a22acbf1662e48d57da6ada54891af51fd3",
        ),
        (
            "119dd32adb1daa7a4c7bf77f847fb28730785aa92947edf42fdd997b54de40dc",
            "046b03257674c6c60b57a605553cc695f05a202022a5e3f2b847ba91f1583218c7f5e1f996e39df90484861d9b2ba75de699642ebe8e0498e050c77a75e6c11152",
        ),
    ] {
        assert_eq!(format!("04{}", NodeKey::from_hex(secret).unwrap().public_key()), public);
    }
    assert_eq!(
        NodeKey::from_hex("d49dcf37238dc8a7aac57dc61b9fee68f0a97f062968978b9fafa7d1033d03a9")
            .unwrap()
            .node_id()
            .to_string(),
        "5b84573f56ed156a450d681883829f062cbd25a578ca1dc0e747dc1b38dfe43b"
    );
}

#[test]
fn v28_topic_text() {
    for text in ["0x00000000", "0x007f80ff", "0xff807f00", "0xf26e7779"] {
        let topic: Topic = text.parse().unwrap();
        assert_eq!(topic.to_string(), text);
        let json = serde_json::to_string(&topic).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Topic>(&json).unwrap(), topic);
    }
    for bad in [
        "0x000000",
        "0x0000000",
        "0x000000000",
        "0x0000000000",
        "000000",
        "0000000",
        "000000000",
        "0000000000",
        "abcdefg0",
    ] {
        assert!(serde_json::from_str::<Topic>(&format!("\"{bad}\"")).is_err(), "{bad}");
    }
}

#[test]
fn v29_bytes_to_topic() {
    for (bytes, topic) in [
        ("01", "01000000"),
        ("00fe", "00fe0000"),
        ("ea1d43", "ea1d4300"),
        ("", "00000000"),
        ("6f3cb0dd", "6f3cb0dd"),
        ("6f3cb0dd0f0090", "6f3cb0dd"),
    ] {
        assert_eq!(Topic::from_bytes_lossy(&super::hex(bytes)), super::topic(topic));
    }
}

#[test]
fn section_3_3_all_zero_key_is_refused_and_keys_are_not_printed() {
    assert!(SymmetricKey::from_bytes([0; 32]).is_none());
    let key = SymmetricKey::from_bytes([0xab; 32]).unwrap();
    assert!(!format!("{key:?}").contains("ab"));
}
