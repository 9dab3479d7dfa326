//! A cursor over the items of an RLP list, and the few encoders the packets share. Canonical form is enforced by
//! `alloy-rlp`; this module only names the field that failed (`spec/waku-mailserver.md` §0, §2.1).

use alloy_rlp::{Decodable as _, Header};

use crate::WireError;

/// The items still to be read.
#[derive(Clone, Copy)]
pub(crate) struct Items<'a>(pub(crate) &'a [u8]);

impl<'a> Items<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The content of a list.
    pub(crate) fn list(&mut self, field: &'static str) -> Result<Items<'a>, WireError> {
        Header::decode_bytes(&mut self.0, true).map(Items).map_err(|source| WireError::Rlp { field, source })
    }

    pub(crate) fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], WireError> {
        Header::decode_bytes(&mut self.0, false).map_err(|source| WireError::Rlp { field, source })
    }

    pub(crate) fn fixed<const N: usize>(
        &mut self,
        field: &'static str,
        wanted: &'static str,
    ) -> Result<[u8; N], WireError> {
        let bytes = self.bytes(field)?;
        bytes.try_into().map_err(|_| WireError::Length { field, actual: bytes.len(), wanted })
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, WireError> {
        u32::decode(&mut self.0).map_err(|source| WireError::Rlp { field, source })
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, WireError> {
        u64::decode(&mut self.0).map_err(|source| WireError::Rlp { field, source })
    }

    pub(crate) fn boolean(&mut self, field: &'static str) -> Result<bool, WireError> {
        bool::decode(&mut self.0).map_err(|source| WireError::Rlp { field, source })
    }

    /// Nothing may follow.
    pub(crate) fn end(&self, field: &'static str) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Trailing { field, count: self.0.len() }) }
    }
}

/// Length of the header of a list whose content has `payload_length` bytes.
pub(crate) fn list_header_length(payload_length: usize) -> usize {
    Header { list: true, payload_length }.length()
}

/// Writes the header of a list.
pub(crate) fn list_header(payload_length: usize, out: &mut Vec<u8>) {
    Header { list: true, payload_length }.encode(out);
}

/// `content` as a list.
pub(crate) fn wrap_list(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 5);
    list_header(content.len(), &mut out);
    out.extend_from_slice(content);
    out
}
