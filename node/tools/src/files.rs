//! Small files: keys and passwords. Errors name the file and the remedy, never the content.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use enode::NodeKey;

/// The most bytes of a key or password file.
const LONGEST: u64 = 4096;

/// The text of a file of at most `most` bytes.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {most} bytes")));
    }
    Ok(text)
}

/// The text of a small file without the line end behind it.
pub(crate) fn read_line(path: &Path, what: &str) -> Result<String, String> {
    let text = read_text(path, LONGEST)
        .map_err(|error| format!("cannot read the {what} from {}: {error}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The node key in a file of 64 hex digits.
pub(crate) fn read_key(path: &Path) -> Result<NodeKey, String> {
    NodeKey::from_hex(read_line(path, "node key")?.trim())
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a key that only its owner may read; refuses to replace a file.
pub(crate) fn write_key(path: &Path, key: &NodeKey) -> Result<(), String> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(key.to_hex().as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|error| format!("cannot write the node key to {}: {error}", path.display()))
}

/// The key in a file, which is made if it is not there.
pub(crate) fn read_or_make_key(path: &Path) -> Result<NodeKey, String> {
    if path.exists() {
        return read_key(path);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    }
    let key = NodeKey::generate();
    write_key(path, &key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_key_is_read_again_and_not_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("nodekey");
        let key = read_or_make_key(&path).unwrap();
        assert_eq!(read_or_make_key(&path).unwrap().public_key(), key.public_key());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_key(&path, &NodeKey::generate()).unwrap_err().contains("nodekey"));
        assert_eq!(read_key(&path).unwrap().public_key(), key.public_key());
    }

    #[test]
    fn errors_name_the_file_and_not_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad");
        fs::write(&path, "secret-that-is-no-key\n").unwrap();
        let error = read_key(&path).unwrap_err();
        assert!(error.contains("bad") && !error.contains("secret-that"), "{error}");
        fs::write(&path, vec![b'a'; 5000]).unwrap();
        assert!(read_line(&path, "password").unwrap_err().contains("4096"));
        fs::write(&path, "with space \r\n").unwrap();
        assert_eq!(read_line(&path, "password").unwrap(), "with space ");
    }
}
