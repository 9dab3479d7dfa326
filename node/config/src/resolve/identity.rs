//! Where the node key comes from. Facts: `spec/devp2p.md` §1.2.

use std::path::PathBuf;

use enode::NodeKey;

use crate::{ConfigError, Identity, file::ConfigFile, merge::Merged};

pub(super) fn identity(file: &ConfigFile, merged: &Merged) -> Result<Identity, ConfigError> {
    // An empty value in a file says nothing; an empty flag or variable is a mistake.
    let from_file = |path: &str| merged.name(path) == path;
    let key = file.node_key.as_ref().filter(|key| !(key.expose().is_empty() && from_file("NodeKey")));
    let key_file = file.node_key_file.as_ref().filter(|path| !(path.is_empty() && from_file("NodeKeyFile")));
    match (key, key_file) {
        (Some(_), Some(_)) => Err(ConfigError::setting(
            "NodeKey",
            "is given together with NodeKeyFile",
            "keep only NodeKeyFile",
        )),
        (None, None) => Ok(Identity::DataDir),
        (None, Some(path)) if path.is_empty() => Err(ConfigError::setting(
            merged.name("NodeKeyFile"),
            "is empty",
            "give a file with 64 hex digits",
        )),
        (None, Some(path)) => Ok(Identity::File(PathBuf::from(path))),
        (Some(secret), None) if NodeKey::from_hex(secret.expose()).is_ok() => {
            Ok(Identity::Inline(secret.clone()))
        }
        (Some(_), None) => Err(ConfigError::setting(
            merged.name("NodeKey"),
            "is not a secp256k1 private key",
            "give exactly 64 hex digits without 0x, or leave it out to have one generated",
        )),
    }
}
