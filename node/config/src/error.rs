//! Why a configuration is refused: always the setting and what to do, never the value of a secret.

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file that is not a JSON object.
    #[error("{file}: {problem}; write one JSON object such as {{\"DataDir\": \"/data\"}}")]
    NotJson {
        /// What it is and its path as given.
        file: String,
        /// The parser's words with line and column.
        problem: String,
    },
    /// A key that holds another JSON type than it must.
    #[error("{file}: {key} must be {want}, found {found}")]
    Type {
        /// What it is and its path as given.
        file: String,
        /// Path of the key, `WakuConfig.MinimumPoW`.
        key: String,
        /// What is wanted.
        want: String,
        /// What is there; never the value.
        found: &'static str,
    },
    /// `static-nodes.json` or `trusted-nodes.json` that is not a list.
    #[error("{file}: {problem}; write a JSON array of enode URLs, or remove the file")]
    NodeList {
        /// Path.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// Keys that nobody knows, with `-strict`.
    #[error("-strict: {}; correct or remove what is not known", .0.join("; "))]
    Unknown(
        /// A sentence for each.
        Vec<String>,
    ),
    /// A setting whose value cannot be used, or settings that do not fit together.
    #[error("{key}: {problem}; {remedy}")]
    Setting {
        /// Path of the key, or name of the flag or variable.
        key: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl ConfigError {
    /// Shorthand for [`ConfigError::Setting`].
    pub(crate) fn setting(key: impl Into<String>, problem: impl Into<String>, remedy: &'static str) -> Self {
        Self::Setting { key: key.into(), problem: problem.into(), remedy }
    }
}
