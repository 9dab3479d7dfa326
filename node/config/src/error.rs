//! Why a configuration is refused: always the setting and what to do, never the value of a secret.

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A `-c` file that is not a JSON object.
    #[error("config file {file}: {problem}; write one JSON object such as {{\"DataDir\": \"/data\"}}")]
    NotJson {
        /// Path as given.
        file: String,
        /// The parser's words with line and column.
        problem: String,
    },
    /// A key that holds another JSON type than it must.
    #[error("config file {file}: {key} must be {want}, found {found}")]
    Type {
        /// Path as given.
        file: String,
        /// Path of the key, `WakuConfig.MinimumPoW`.
        key: String,
        /// What is wanted.
        want: String,
        /// What is there; never the value.
        found: &'static str,
    },
    /// A setting whose value cannot be used, or settings that do not fit together.
    #[error("{key}: {problem}; {remedy}")]
    Setting {
        /// Path of the key or name of the flag.
        key: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl ConfigError {
    /// Shorthand for [`ConfigError::Setting`].
    pub(crate) fn setting(key: &'static str, problem: impl Into<String>, remedy: &'static str) -> Self {
        Self::Setting { key, problem: problem.into(), remedy }
    }
}
