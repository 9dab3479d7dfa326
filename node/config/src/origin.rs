//! Where a value comes from.

use std::fmt;

use serde::Serialize;

/// The source of an effective value, from the weakest to the strongest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "from", content = "name")]
pub enum Origin {
    /// Nothing says it.
    Default,
    /// A fleet, built in or from a file.
    Fleet(String),
    /// A config file, or a list of nodes in the data directory.
    File(String),
    /// An environment variable.
    Environment(&'static str),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Fleet(name) => write!(f, "fleet {name}"),
            Self::File(name) => write!(f, "config file {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}
