//! Reading small text files that a person or an operator wrote, never more than they may hold.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// Most bytes of a config file or `live.json`.
pub(crate) const MAX_CONFIG_BYTES: u64 = 1024 * 1024;
/// Most bytes of a password or token file.
pub(crate) const MAX_SECRET_BYTES: u64 = 4096;

/// The text of the file at `path`.
///
/// # Errors
/// It cannot be read, is longer than `most` bytes, or is no UTF-8.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {most} bytes")));
    }
    Ok(text)
}

/// The password in a file: its text without line ends.
///
/// # Errors
/// As [`read_text`], and when nothing is left.
pub(crate) fn read_password(path: &Path) -> io::Result<node_config::Secret> {
    let mut text = read_text(path, MAX_SECRET_BYTES)?;
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty"));
    }
    Ok(node_config::Secret::new(text))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn texts_are_bounded() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        assert!(read_text(&path, 4).unwrap_err().to_string().contains("longer than 4"));
        fs::write(&path, [0xff]).unwrap();
        assert!(read_text(&path, 5).is_err());
    }

    #[test]
    fn passwords_have_no_line_ends_and_are_not_empty() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        fs::write(&path, " pass word \r\n").unwrap();
        assert_eq!(read_password(&path).unwrap().expose(), " pass word ");
        fs::write(&path, "\n").unwrap();
        assert!(read_password(&path).is_err());
    }
}
