//! The node key: from where the configuration says, or generated once into `<DataDir>/Statusd/nodekey`.
//!
//! A key file that is not one is an error and never overwritten: the reference silently becomes another node
//! there. Facts: `spec/devp2p.md` §1.2.

use std::{fs::File, io, io::Read as _, path::Path};

use enode::NodeKey;
use node_config::Identity;
use zeroize::Zeroizing;

use crate::{
    datadir::{DataDir, write_atomically},
    exit::ExitError,
};

/// 64 hex digits, at most two line ends, and one byte more to see that there is more.
const MAX_KEY_FILE: u64 = 67;

/// The node's key.
///
/// # Errors
/// [`ExitError::Identity`] when the file that must hold it cannot be read or holds something else;
/// [`ExitError::File`] when a new key cannot be written.
pub(crate) fn load(identity: &Identity, data_dir: &DataDir) -> Result<NodeKey, ExitError> {
    match identity {
        Identity::Inline(secret) => {
            NodeKey::from_hex(secret.expose()).map_err(|_| ExitError::Identity(malformed("NodeKey")))
        }
        Identity::File(path) => read(path)?.ok_or_else(|| {
            ExitError::Identity(format!(
                "node key file {} does not exist; put the 64 hex digits of the key there, or leave the setting out to have one generated",
                path.display()
            ))
        }),
        Identity::DataDir => {
            let path = data_dir.file("nodekey");
            if let Some(key) = read(&path)? {
                return Ok(key);
            }
            let key = NodeKey::generate();
            write_atomically(&path, key.to_hex().as_bytes()).map_err(|source| ExitError::File {
                setting: "DataDir",
                action: "write",
                path,
                source,
                remedy: "free space or give a DataDir that this user may write to",
            })?;
            Ok(key)
        }
    }
}

fn malformed(what: &str) -> String {
    format!(
        "{what} does not hold a secp256k1 private key of 64 hex digits; restore it from a backup, or remove it to become a new node"
    )
}

/// `None` when there is no file.
fn read(path: &Path) -> Result<Option<NodeKey>, ExitError> {
    let mut text = Zeroizing::new(String::new());
    match File::open(path).and_then(|file| file.take(MAX_KEY_FILE).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(ExitError::Identity(malformed(&format!("node key file {}", path.display()))));
        }
        Err(error) => {
            return Err(ExitError::Identity(format!(
                "cannot read node key file {}: {error}; make it readable for this user",
                path.display()
            )));
        }
    }
    let key = text.trim_end_matches(['\n', '\r']);
    if text.len() - key.len() > 2 {
        return Err(ExitError::Identity(malformed(&format!("node key file {}", path.display()))));
    }
    NodeKey::from_hex(key)
        .map(Some)
        .map_err(|_| ExitError::Identity(malformed(&format!("node key file {}", path.display()))))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use node_config::Secret;

    use super::*;

    const KEY: &str = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291";

    fn data_dir() -> (tempfile::TempDir, DataDir) {
        let root = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(root.path()).unwrap();
        (root, data_dir)
    }

    #[test]
    fn devp2p_1_2_a_key_is_generated_once_and_kept() {
        let (_root, data_dir) = data_dir();
        let first = load(&Identity::DataDir, &data_dir).unwrap();
        let second = load(&Identity::DataDir, &data_dir).unwrap();
        assert_eq!(first.public_key(), second.public_key());
        let path = data_dir.file("nodekey");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), *first.to_hex());
    }

    #[test]
    fn devp2p_1_2_line_ends_after_the_key() {
        let (_root, data_dir) = data_dir();
        let path = data_dir.file("key");
        for (content, good) in [
            (KEY.to_owned(), true),
            (format!("{KEY}\n"), true),
            (format!("{KEY}\r\n"), true),
            (KEY.to_uppercase(), true),
            (format!("{KEY}\n\n\n"), false),
            (format!("{KEY} "), false),
            (format!("0x{KEY}"), false),
            (KEY[..63].to_owned(), false),
            (format!("{KEY}0"), false),
            (String::new(), false),
            ("0".repeat(64), false),
        ] {
            fs::write(&path, &content).unwrap();
            let result = load(&Identity::File(path.clone()), &data_dir);
            assert_eq!(result.is_ok(), good, "{content:?}");
            if let Err(error) = result {
                assert!(matches!(error, ExitError::Identity(_)));
                let text = error.to_string();
                assert!(text.contains("64 hex digits") && !text.contains(&KEY[..60]), "{text}");
            }
        }
    }

    #[test]
    fn devp2p_1_2_a_malformed_file_is_never_overwritten() {
        let (_root, data_dir) = data_dir();
        for content in [b"nonsense".as_slice(), &[0xff, 0xfe, 0], b""] {
            fs::write(data_dir.file("nodekey"), content).unwrap();
            assert!(matches!(load(&Identity::DataDir, &data_dir), Err(ExitError::Identity(_))));
            assert_eq!(fs::read(data_dir.file("nodekey")).unwrap(), content);
        }
    }

    #[test]
    fn a_named_file_is_never_generated() {
        let (root, data_dir) = data_dir();
        let path = root.path().join("missing");
        let error = load(&Identity::File(path.clone()), &data_dir).unwrap_err();
        assert!(error.to_string().contains("does not exist"), "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn an_inline_key() {
        let (_root, data_dir) = data_dir();
        let key = load(&Identity::Inline(Secret::new(KEY.into())), &data_dir).unwrap();
        assert_eq!(*key.to_hex(), KEY);
        assert!(!data_dir.file("nodekey").exists());
    }
}
