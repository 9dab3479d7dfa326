//! enode URLs: `spec/devp2p.md` §1.3 and the vectors of §11.8.

use std::net::IpAddr;

use enode::{Endpoint, Enode, EnodeError, EnodeUrl, Host, NodeKey, parse_node};
use proptest::prelude::*;

const K: &str = "1dd9d65c4552b5eb43d5ad55a2ee3f56c6cbc1c64a5c8d659f51fcd51bace24351232b8d7821617d2b29b54b81cdefb9b3e9c37d7fd5f63270bcc9e1a6f6a439";

fn url(after_key: &str) -> String {
    format!("enode://{K}{after_key}")
}

#[test]
fn section_11_8_complete_forms() {
    for (tail, ip, tcp, udp) in [
        ("@127.0.0.1:52150", "127.0.0.1", 52150, 52150),
        ("@[::]:52150", "::", 52150, 52150),
        ("@[2001:db8:3c4d:15::abcd:ef12]:52150", "2001:db8:3c4d:15::abcd:ef12", 52150, 52150),
        ("@127.0.0.1:52150?discport=22334", "127.0.0.1", 52150, 22334),
    ] {
        let node: Enode = url(tail).parse().unwrap();
        let ip: IpAddr = ip.parse().unwrap();
        assert_eq!(node.endpoint, Some(Endpoint { ip, tcp, udp }), "{tail}");
        assert_eq!(node.public_key.to_string(), K);
        assert_eq!(node.to_string(), url(tail), "prints back unchanged");
        assert_eq!(parse_node(&url(tail)).unwrap(), EnodeUrl::from(node));
    }
}

#[test]
fn section_11_8_incomplete_forms() {
    for text in [url(""), K.to_owned(), K.to_uppercase(), format!("ENODE://{K}")] {
        let node: Enode = text.parse().unwrap();
        assert_eq!(node.endpoint, None, "{text}");
        assert_eq!(node.to_string(), url(""));
    }
    assert_eq!(parse_node(K), Err(EnodeError::Prefix), "bare hex fails in the generic entry point");
    assert_eq!(parse_node(&url("")).unwrap().address, None);
}

#[test]
fn section_11_8_errors_have_the_observable_texts() {
    for (text, want) in [
        (url("@127.0.0.1:foo"), "invalid port"),
        (url("@127.0.0.1"), "invalid port"),
        (url("@127.0.0.1:+3"), "invalid port"),
        (url("@127.0.0.1:65536"), "invalid port"),
        (url("@127.0.0.1:3?discport=foo"), "invalid discport in query"),
        (url("@127.0.0.1:3?discport=65536"), "invalid discport in query"),
        (
            "enode://01010101@123.124.125.126:3".into(),
            "invalid public key (wrong length, want 128 hex chars)",
        ),
        ("enode://01010101".into(), "wrong length, want 128 hex chars"),
        ("http://foobar".into(), "invalid URL scheme, want \"enode\""),
        ("hello world".into(), "invalid URL scheme, want \"enode\""),
        ("enode://foobar".into(), "does not contain node ID"),
        (String::new(), "invalid URL scheme"),
        (url("@[::1:3"), "invalid host"),
        (url("@[fe80::1%eth0]:3"), "invalid host"),
        (url("@1.2.3:3"), "invalid host"),
        (url("@:3"), "invalid host"),
        (url("@a b:3"), "invalid host"),
    ] {
        let error = text.parse::<Enode>().unwrap_err().to_string();
        assert!(error.contains(want), "{text:?}: {error}");
    }
}

#[test]
fn section_1_3_discport_and_query_rules() {
    let ports = |tail: &str| url(tail).parse::<Enode>().unwrap().endpoint.map(|e| (e.tcp, e.udp)).unwrap();
    assert_eq!(ports("@1.2.3.4:5?discport="), (5, 5), "empty means equal");
    assert_eq!(ports("@1.2.3.4:5?discport=0"), (5, 0));
    assert_eq!(
        ports("@1.2.3.4:5?x=1&discport=6&discport=7#discport=8"),
        (5, 6),
        "first wins, others ignored"
    );
    assert_eq!(ports("@1.2.3.4:0"), (0, 0));
    assert_eq!(
        url("@1.2.3.4:5?discport=0").parse::<Enode>().unwrap().to_string(),
        url("@1.2.3.4:5?discport=0")
    );
    assert_eq!(url("@1.2.3.4:5?discport=5").parse::<Enode>().unwrap().to_string(), url("@1.2.3.4:5"));
}

#[test]
fn section_1_3_mapped_ipv6_is_folded() {
    let node: Enode = url("@[::ffff:1.2.3.4]:5").parse().unwrap();
    assert_eq!(node.to_string(), url("@1.2.3.4:5"));
}

#[test]
fn section_1_3_dns_hosts_are_left_to_the_caller() {
    let parsed: EnodeUrl = url("@node-1.example.org:30303?discport=0").parse().unwrap();
    assert_eq!(parsed.address, Some((Host::Dns("node-1.example.org".into()), 30303, 0)));
    assert_eq!(parsed.dns_name(), Some("node-1.example.org"));
    assert_eq!(parsed.to_string(), url("@node-1.example.org:30303?discport=0"));
    let node = parsed.with_ip("192.0.2.1".parse().unwrap());
    assert_eq!(node.to_string(), url("@192.0.2.1:30303?discport=0"));
    let refused = parsed.to_string().parse::<Enode>();
    assert_eq!(refused, Err(EnodeError::Unresolved("node-1.example.org".into())));
}

#[test]
fn section_11_7_own_url_of_statusd() {
    let key = NodeKey::from_hex("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291").unwrap();
    let endpoint = Endpoint::new("127.0.0.1".parse().unwrap(), 30303, 0);
    let node = Enode { public_key: key.public_key(), endpoint: Some(endpoint) };
    assert_eq!(
        node.to_string(),
        "enode://ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f@127.0.0.1:30303?discport=0"
    );
}

proptest! {
    #[test]
    fn any_node_prints_and_parses_back(v4 in any::<[u8; 4]>(), v6 in any::<[u8; 16]>(), six: bool, tcp: u16, udp: u16) {
        let ip = if six { IpAddr::from(v6) } else { IpAddr::from(v4) };
        let node = Enode { public_key: K.parse().unwrap(), endpoint: Some(Endpoint::new(ip, tcp, udp)) };
        prop_assert_eq!(node.to_string().parse::<Enode>().unwrap(), node);
        let json = serde_json::to_string(&node).unwrap();
        prop_assert_eq!(serde_json::from_str::<Enode>(&json).unwrap(), node);
    }

    #[test]
    fn any_text_gives_a_result(text in "\\PC{0,200}", tail in "[@:/?#\\[\\]=0-9a-z.]{0,60}") {
        let _ = text.parse::<EnodeUrl>();
        let _ = parse_node(&text);
        if let Ok(parsed) = format!("enode://{K}{tail}").parse::<EnodeUrl>() {
            prop_assert_eq!(parsed.to_string().parse::<EnodeUrl>().unwrap(), parsed);
        }
    }
}
