//! Who a node is: keys, node ids, enode URLs and signed node records.
//!
//! Owns the identity types that cross every boundary of the workspace and the one place where Keccak-256 is computed.
//! Pure: no sockets, no name resolution, no files, no clock; a DNS host in an enode URL is resolved by the caller.
//! Facts: `spec/devp2p.md` §1 (identity) and §11.7, §11.8 (vectors).
//!
//! The types that matter: [`NodeKey`] signs, [`PublicKey`] is what an enode URL shows, [`NodeId`] is its Keccak-256,
//! [`Enode`] adds an address, [`Record`] is the signed form of the same.

mod address;
mod hash;
mod id;
mod key;
mod record;
mod url;

pub use address::{is_lan, source_prefix};
pub use hash::{Keccak256, keccak256};
pub use id::{NodeId, ParseNodeIdError};
pub use key::{KeyError, NodeKey, PublicKey};
pub use record::{MAX_RECORD_SIZE, Record, RecordContent, RecordError};
pub use url::{Endpoint, Enode, EnodeError, EnodeUrl, Host, parse_node};
