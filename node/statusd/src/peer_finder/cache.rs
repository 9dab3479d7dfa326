//! The peers that discovery found, kept for the next start: `<DataDir>/Statusd/discovered-peers.json`, a list of enodes
//! for each topic. Facts: `spec/devp2p.md` §4.4 (what is kept; the reference keeps it in LevelDB).

use std::{collections::BTreeMap, fs, io, path::Path};

use discovery::Node;
use enode::Enode;

use crate::datadir::write_atomically;

/// A longer file is not one of ours.
const LONGEST: u64 = 4 << 20;

/// Topic to enodes, newest first.
pub(super) type Cached = BTreeMap<String, Vec<Node>>;

/// What was kept; nothing when there is nothing or it cannot be used, which is said.
pub(super) fn read(path: &Path) -> Cached {
    match try_read(path) {
        Ok(cached) => cached,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Cached::new(),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "discovery starts without the peers of last time");
            Cached::new()
        }
    }
}

fn try_read(path: &Path) -> io::Result<Cached> {
    if fs::metadata(path)?.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    let kept: BTreeMap<String, Vec<Enode>> = serde_json::from_slice(&fs::read(path)?)?;
    Ok(kept.into_iter().map(|(topic, enodes)| (topic, enodes.iter().filter_map(node).collect())).collect())
}

fn node(enode: &Enode) -> Option<Node> {
    let endpoint = enode.endpoint?;
    Some(Node::new(enode.public_key, endpoint.ip, endpoint.udp, endpoint.tcp))
}

/// Keeps `cached`. Blocks for the disk.
pub(super) fn write(path: &Path, cached: &Cached) -> io::Result<()> {
    let enodes: BTreeMap<&String, Vec<Enode>> =
        cached.iter().map(|(topic, nodes)| (topic, nodes.iter().map(Node::enode).collect())).collect();
    write_atomically(path, &serde_json::to_vec_pretty(&enodes)?)
}

#[cfg(test)]
mod tests {
    use enode::NodeKey;

    use super::*;

    #[test]
    fn devp2p_4_4_what_is_kept_is_read_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("peers.json");
        assert_eq!(read(&path), Cached::new());
        let node = |n: u8| Node::new(NodeKey::generate().public_key(), [192, 0, 2, n].into(), 30301, 30303);
        let cached =
            Cached::from([("whisper".to_owned(), vec![node(1), node(2)]), ("x".to_owned(), Vec::new())]);
        write(&path, &cached).unwrap();
        assert_eq!(read(&path), cached);
    }

    #[test]
    fn a_damaged_file_is_no_obstacle() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("peers.json");
        for damaged in ["", "[]", "{\"whisper\": [\"enode://00@1.2.3.4:5\"]}", "{\"whisper\": 1}"] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(read(&path), Cached::new(), "{damaged}");
        }
    }
}
