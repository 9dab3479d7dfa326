//! Why bytes were refused.

/// A packet or field that is not what `spec/waku-mailserver.md` says. Names the field, never repeats the bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not canonical RLP, too short, or another kind of item than wanted.
    #[error("{field}: {source}")]
    Rlp {
        /// The field that was being read.
        field: &'static str,
        /// What the RLP reader says.
        source: alloy_rlp::Error,
    },
    /// A byte string of the wrong length.
    #[error("{field}: {actual} bytes, want {wanted}")]
    Length {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        actual: usize,
        /// What it must be.
        wanted: &'static str,
    },
    /// Bytes or items after the last one wanted.
    #[error("{field}: {count} unexpected bytes after the end")]
    Trailing {
        /// The field after which they stand.
        field: &'static str,
        /// How many bytes.
        count: usize,
    },
    /// More topics than a peer may announce (§4.2).
    #[error("topic-interest: more than {max} topics")]
    TooManyTopics {
        /// The bound.
        max: usize,
    },
    /// A status of `waku/0` that names another version (§4.3).
    #[error("status: version {actual}, want {wanted}")]
    Version {
        /// What it names.
        actual: u64,
        /// What it must name.
        wanted: u64,
    },
}
