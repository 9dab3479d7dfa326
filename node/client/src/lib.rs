//! The other side of a Status node: the status document today, the Waku client next.

pub mod status;
