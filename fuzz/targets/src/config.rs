//! The files that a node reads (`spec/operations.md` §1.3 to §1.8).

use std::{path::Path, sync::OnceLock};

use node_config::{Environment, Flags, LiveFile, Parsed};

fn flags() -> &'static Flags {
    static FLAGS: OnceLock<Flags> = OnceLock::new();
    FLAGS.get_or_init(|| match Flags::parse_args(["-c", "config.json"].map(Into::into)) {
        Ok(Parsed::Run(flags)) => flags,
        other => panic!("these are valid flags: {other:?}"),
    })
}

/// A `-c` file.
pub fn config_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = |path: &Path| match path.to_str() {
        Some("config.json") => Ok(text.to_owned()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    if let Err(error) = node_config::load(flags(), &Environment::default(), read) {
        assert!(!error.to_string().is_empty());
    }
}

/// The live file.
pub fn live_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = LiveFile::parse("live.json", text);
}
