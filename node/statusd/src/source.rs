//! Where the configuration comes from: the flags, the environment and the files they name, which can be read again.

use std::{env, io, path::Path};

use node_config::{Environment, Flags, LoadError, Loaded};

use crate::{
    exit::ExitError,
    files::{MAX_CONFIG_BYTES, read_text},
};

/// Flags and environment as the program was started with.
pub(crate) struct Source {
    flags: Flags,
    environment: Environment,
}

impl Source {
    /// The source that `flags` name, in the environment of this process.
    pub(crate) fn new(flags: Flags) -> Self {
        Self { flags, environment: Environment::collect(|name| env::var_os(name)) }
    }

    /// Reads all files and puts everything together.
    ///
    /// # Errors
    /// A file cannot be read, or the configuration cannot be used.
    pub(crate) fn load(&self) -> Result<Loaded, ExitError> {
        Ok(node_config::load(&self.flags, &self.environment, |path| read_text(path, MAX_CONFIG_BYTES))?)
    }

    /// The same later on. A pipe has nothing to say a second time, and reading it could wait for ever.
    ///
    /// # Errors
    /// As [`Self::load`], and a file is no regular file.
    pub(crate) fn load_again(&self) -> Result<Loaded, ExitError> {
        let read = |path: &Path| match path.metadata()?.is_file() {
            true => read_text(path, MAX_CONFIG_BYTES),
            false => Err(io::Error::other("it is no regular file and cannot be read twice")),
        };
        Ok(node_config::load(&self.flags, &self.environment, read)?)
    }
}

impl From<LoadError> for ExitError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Config(error) => Self::Config(error),
            LoadError::Read { setting: "-c", path, source } => Self::ConfigFile { path, source },
            LoadError::Read { setting, path, source } => Self::File {
                setting,
                action: "read",
                path,
                source,
                remedy: "give a JSON file that this user may read",
            },
        }
    }
}
