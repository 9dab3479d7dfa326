//! The messages of replica sync (`docs/decisions/0011-replica-sync.md`).

use bytes::Bytes;
use replica_sync::Message;

/// A message. First byte: its code.
pub fn sync_message(data: &[u8]) {
    let Some((code, payload)) = data.split_first() else { return };
    if let Ok(message) = Message::decode((*code).into(), &Bytes::copy_from_slice(payload)) {
        let (again, encoded) = message.encode();
        assert_eq!(again, u64::from(*code));
        assert_eq!(Message::decode(again, &encoded).unwrap(), message);
    }
}
