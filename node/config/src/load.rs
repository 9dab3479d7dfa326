//! From flags to the effective configuration. The caller reads the files: this crate does no I/O.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    ConfigError, Environment, Flags, NodeConfig, Origin, Setting, Warning,
    explain::settings,
    fleet::Choice,
    merge::Merged,
    nodes::{self, INSTANCE, STATIC_NODES, TRUSTED_NODES},
    resolve::assemble,
};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// What it says cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that it names cannot be read.
    #[error("{setting}: cannot read {}: {source}; give a JSON file that this user may read", .path.display())]
    Read {
        /// The flag or key that names it.
        setting: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

/// The effective configuration, and how it came about.
#[derive(Debug)]
pub struct Loaded {
    /// What the node is told.
    pub config: NodeConfig,
    /// Every key that has an effect, with its effective value and where it comes from, in the order of the reference.
    pub settings: Vec<Setting>,
    /// What is to be said of it.
    pub warnings: Vec<Warning>,
    /// The files that it depends on, with the flag or key that names each; not all need to be there.
    pub files: Vec<(&'static str, PathBuf)>,
}

/// Loads what `flags` and `environment` ask for; `read` gives the text of a file.
///
/// # Errors
/// [`LoadError`]: one line that names the setting and the remedy, and never the value of a secret.
pub fn load(
    flags: &Flags,
    environment: &Environment,
    read: impl Fn(&Path) -> io::Result<String>,
) -> Result<Loaded, LoadError> {
    let text = |setting, path: &Path| match read(path) {
        Ok(text) => Ok((path.display().to_string(), text)),
        Err(source) => Err(LoadError::Read { setting, path: path.to_owned(), source }),
    };
    let mut files: Vec<(&'static str, PathBuf)> = Vec::new();
    let fleet = match Choice::of(flags.fleet.as_deref())? {
        Choice::File(path) => {
            let fleet = text("-fleet", &path)?;
            files.push(("-fleet", path));
            Some(fleet)
        }
        _ => None,
    };
    let mut texts = Vec::with_capacity(flags.config_files.len());
    for path in &flags.config_files {
        texts.push(text("-c", path)?);
        files.push(("-c", path.clone()));
    }
    let (mut config, mut merged) = assemble(flags, fleet.as_ref(), &texts, environment)?;
    for (name, key, list) in [
        (STATIC_NODES, "ClusterConfig.StaticNodes", &mut config.static_peers),
        (TRUSTED_NODES, "ClusterConfig.TrustedNodes", &mut config.trusted_peers),
    ] {
        let path = config.data_dir.join(INSTANCE).join(name);
        if list.is_empty() {
            list.extend(node_list(key, &path, &read, &mut merged)?);
        }
        files.push(("DataDir", path));
    }
    if config.static_peers.is_empty() && config.discovery.is_none() && config.live_dir.is_none() {
        merged.warn(
            "no peers are configured: this node waits for others; the reference would join -fleet eth.prod"
                .to_owned(),
        );
    }
    Ok(Loaded { settings: settings(&config, &merged), config, warnings: merged.warnings, files })
}

/// The nodes of a file of the data directory, if there is one.
fn node_list(
    key: &'static str,
    path: &Path,
    read: impl Fn(&Path) -> io::Result<String>,
    merged: &mut Merged,
) -> Result<Vec<enode::EnodeUrl>, LoadError> {
    let text = match read(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(source) => return Err(LoadError::Read { setting: key, path: path.to_owned(), source }),
    };
    let name = path.display().to_string();
    let (urls, warnings) = nodes::file(&name, &text)?;
    merged.warnings.extend(warnings);
    merged.set_origin(key, Origin::File(name));
    Ok(urls)
}
