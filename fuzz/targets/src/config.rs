//! The files that a node reads (`spec/operations.md` §1.3 to §1.8).

use std::sync::OnceLock;

use node_config::{Environment, Flags, LiveFile, NodeConfig, Parsed};

fn flags() -> &'static Flags {
    static FLAGS: OnceLock<Box<Flags>> = OnceLock::new();
    FLAGS.get_or_init(|| match Flags::parse_args([]) {
        Ok(Parsed::Run(flags)) => flags,
        other => panic!("no flags are valid flags: {other:?}"),
    })
}

/// A `-c` file.
pub fn config_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let files = [("config.json".to_owned(), text.to_owned())];
    if let Err(error) = NodeConfig::assemble(flags(), &files, &Environment::default()) {
        assert!(!error.to_string().is_empty());
    }
}

/// The live file.
pub fn live_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = LiveFile::parse("live.json", text);
}
