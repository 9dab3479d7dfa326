//! enode URLs and node records (`spec/devp2p.md` §1.3, §1.4).

use enode::{EnodeUrl, Record, parse_node};

/// enode URLs and whatever else names a node.
pub fn enode_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = parse_node(text);
    if let Ok(url) = text.parse::<EnodeUrl>() {
        assert_eq!(url.to_string().parse::<EnodeUrl>().unwrap(), url);
    }
}

/// Signed records.
pub fn node_record(data: &[u8]) {
    if let Ok(record) = Record::decode(data) {
        assert_eq!(record.encode(), data);
        let _ = (record.enode(), record.endpoint(), record.seq());
    }
}
