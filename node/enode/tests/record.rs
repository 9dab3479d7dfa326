//! Node records: `spec/devp2p.md` §1.4 and the vectors of §11.7.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use enode::{Endpoint, NodeKey, Record, RecordContent, RecordError, parse_node};
use proptest::prelude::*;

const KEY_B: &str = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291";

fn endpoint(tcp: u16, udp: u16) -> Endpoint {
    Endpoint::new("127.0.0.1".parse().unwrap(), tcp, udp)
}

fn signed(key: &str, seq: u64, endpoint: Endpoint) -> Record {
    RecordContent::new(seq).with_endpoint(&endpoint).sign(&NodeKey::from_hex(key).unwrap()).unwrap()
}

#[test]
fn section_11_7_eip_778_record_is_reproduced() {
    let record = signed(KEY_B, 1, endpoint(0, 30303));
    let text = "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8";
    assert_eq!(record.to_string(), text);
    assert_eq!(
        hex::encode(record.encode()),
        "f884b8407098ad865b00a582051940cb9cf36836572411a47278783077011599ed5cd16b76f2635f4e234738f30813a89eb9137e3e3df5266e3a1f11df72ecf1145ccb9c01826964827634826970847f00000189736563703235366b31a103ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31388375647082765f"
    );
    let read: Record = text.parse().unwrap();
    assert_eq!(read, record);
    assert_eq!(read.seq(), 1);
    assert_eq!(read.endpoint(), Some(endpoint(0, 30303)));
    assert_eq!(
        read.node_id().to_string(),
        "a448f24c6d18e575453db13171562b71999873db5b286df957af199ec94617f7"
    );
}

#[test]
fn section_11_7_go_ethereum_record_is_reproduced() {
    let record =
        signed("45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8", 99, endpoint(0, 30303));
    assert_eq!(
        record.to_string(),
        "enr:-IS4QGrdq0ugARp5T2BZ41TrZOqLc_oKvZoPuZP5--anqWE_J-Tucc1xgkOL7qXl0puJgT7qc2KSvcupc4NCb0nr4tdjgmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQM6UUF2Rm-oFe1IH_rQkRCi00T2ybeMHRSvw1HDpRvjPYN1ZHCCdl8"
    );
}

#[test]
fn section_11_7_statusd_record_is_reproduced() {
    let record = signed(KEY_B, 1, endpoint(30303, 0));
    assert_eq!(
        record.to_string(),
        "enr:-IS4QKE3BE-SZD2mFyA9vcKkfuhmfN5ayDYWIScC22RgsIuaJ0RONCuIJEGNHhugubBMirzN3blojJQsle8WGW5OAqYBgmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN0Y3CCdl8"
    );
    assert_eq!(
        hex::encode(record.encode()),
        "f884b840a137044f92643da617203dbdc2a47ee8667cde5ac83616212702db6460b08b9a27444e342b8824418d1e1ba0b9b04c8abccdddb9688c942c95ef16196e4e02a601826964827634826970847f00000189736563703235366b31a103ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31388374637082765f"
    );
    assert_eq!(
        record.enode().to_string(),
        "enode://ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f@127.0.0.1:30303?discport=0"
    );
    assert_eq!(parse_node(&record.to_string()).unwrap(), record.enode().into());
}

#[test]
fn section_11_7_invalid_signature() {
    let text = "enr:-EmGZm9vYmFyY4JpZIJ2NIJpcIR_AAABiXNlY3AyNTZrMaEDOlFBdkZvqBXtSB_60JEQotNE9sm3jB0Ur8NRw6Ub4z2DdWRwgnZf";
    assert_eq!(text.parse::<Record>(), Err(RecordError::Signature));
}

#[test]
fn section_1_4_high_s_is_refused() {
    // s' = n - s is the other solution of the same equation.
    let bytes = signed(KEY_B, 1, endpoint(0, 30303)).encode();
    let order = hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap();
    let mut high = bytes.clone();
    let mut borrow = 0i16;
    for i in (0..32).rev() {
        let d = i16::from(order[i]) - i16::from(bytes[4 + 32 + i]) - borrow;
        borrow = i16::from(d < 0);
        high[4 + 32 + i] = u8::try_from(d.rem_euclid(256)).unwrap();
    }
    assert!(Record::decode(&bytes).is_ok());
    assert_eq!(Record::decode(&high), Err(RecordError::Signature));
}

#[test]
fn a_record_without_an_address_says_none() {
    let record = RecordContent::new(7).sign(&NodeKey::from_hex(KEY_B).unwrap()).unwrap();
    let read: Record = record.to_string().parse().unwrap();
    assert_eq!((read.seq(), read.endpoint()), (7, None));
    assert_eq!(read.enode().endpoint, None);
}

#[test]
fn ipv6_address_round_trips() {
    let six = Endpoint::new("2001:db8::1".parse().unwrap(), 30303, 30304);
    assert_eq!(signed(KEY_B, 2, six).to_string().parse::<Record>().unwrap().endpoint(), Some(six));
}

#[test]
fn text_errors() {
    assert_eq!("enode:abc".parse::<Record>(), Err(RecordError::Prefix));
    assert_eq!("enr:***".parse::<Record>(), Err(RecordError::Base64));
    assert_eq!("enr:wA".parse::<Record>(), Err(RecordError::IncompleteList));
}

proptest! {
    #[test]
    fn any_record_round_trips(secret in 1u64.., seq: u64, ip in any::<[u8; 4]>(), tcp: u16, udp: u16) {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&secret.to_be_bytes());
        let key = NodeKey::from_bytes(&bytes).unwrap();
        let record = RecordContent::new(seq).with_endpoint(&Endpoint::new(ip.into(), tcp, udp)).sign(&key).unwrap();
        prop_assert_eq!(Record::decode(&record.encode()).unwrap(), record.clone());
        prop_assert_eq!(record.to_string().parse::<Record>().unwrap(), record);
    }

    #[test]
    fn any_changed_byte_is_refused(at in 0usize..134, flip in 1u8..) {
        let mut bytes = signed(KEY_B, 1, endpoint(0, 30303)).encode();
        bytes[at] ^= flip;
        prop_assert!(Record::decode(&bytes).is_err());
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..310)) {
        prop_assert!(Record::decode(&bytes).is_err());
    }
}
