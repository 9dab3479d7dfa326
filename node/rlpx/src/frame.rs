//! Frames: one message each, encrypted, authenticated, with a Snappy payload once that is on.
//!
//! The decoder refuses a size at the frame header, and again at the Snappy preamble, before anything of that size is
//! allocated. Facts: `spec/devp2p.md` §2.4–2.6, vectors §11.3, §11.4.

use aes::Aes256Enc;
use alloy_rlp::{Decodable as _, Encodable as _};
use bytes::{Buf as _, Bytes, BytesMut};
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use enode::Keccak256;
use subtle::ConstantTimeEq as _;

use crate::{
    mac::{FrameMac, MacState},
    snappy::{self, SnappyError},
};

type Cipher = ctr::Ctr128BE<Aes256Enc>;

/// Largest frame body (message code and payload as sent), bytes.
pub const MAX_FRAME_BODY: usize = 0xff_ffff;
/// Largest uncompressed payload, bytes.
pub const MAX_PAYLOAD: usize = 0xff_ffff;
/// Header ciphertext and its MAC, bytes.
const HEADER: usize = 32;
const MAC: usize = 16;
/// What follows the length in a header: an RLP list of two zeros that nobody reads, then zeros.
const HEADER_DATA: [u8; 3] = [0xc2, 0x80, 0x80];
/// The longest encoding of a message code.
const MAX_CODE: usize = 9;

/// Why a frame was refused or could not be made. All but [`FrameError::TooBig`] close without a Disconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The header's MAC does not match.
    #[error("frame header MAC mismatch")]
    HeaderMac,
    /// The body's MAC does not match.
    #[error("frame body MAC mismatch")]
    BodyMac,
    /// A body or payload over the limit.
    #[error("message of {size} bytes, at most {limit} are allowed")]
    TooBig {
        /// The size in question, bytes.
        size: usize,
        /// What is allowed, bytes.
        limit: usize,
    },
    /// The message code is missing or not canonical.
    #[error("invalid message code")]
    Code,
    /// The Snappy block is corrupt.
    #[error("invalid Snappy payload")]
    Snappy,
}

impl From<SnappyError> for FrameError {
    fn from(error: SnappyError) -> Self {
        match error {
            SnappyError::TooBig { declared, limit } => Self::TooBig { size: declared, limit },
            SnappyError::Empty | SnappyError::Malformed => Self::Snappy,
        }
    }
}

/// A message as it stands on the wire: its code is absolute, its payload uncompressed and an allocation of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Absolute message code.
    pub code: u64,
    /// Payload, uncompressed.
    pub payload: Bytes,
}

/// How a payload is written once Snappy is on. Without Snappy both leave it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Compress it.
    Snappy,
    /// Copy it into a block of one literal: right for ciphertext, which does not compress.
    Literal,
}

/// The sending direction of a session.
pub struct FrameEncoder<H = Keccak256> {
    cipher: Cipher,
    mac: FrameMac<H>,
    snappy: bool,
}

impl<H: MacState> FrameEncoder<H> {
    pub(crate) fn new(aes_key: &[u8; 32], mac_key: &[u8; 32], state: H) -> Self {
        Self { cipher: cipher(aes_key), mac: FrameMac::new(mac_key, state), snappy: false }
    }

    /// Switches Snappy on for everything after Hello.
    pub fn enable_snappy(&mut self) {
        self.snappy = true;
    }

    /// Appends one frame to `out`; the bytes that the payload has in it.
    ///
    /// # Errors
    /// [`FrameError::TooBig`] over [`MAX_PAYLOAD`] or [`MAX_FRAME_BODY`]; `out` and the session are then as before.
    pub fn encode(
        &mut self,
        code: u64,
        payload: &[u8],
        compression: Compression,
        out: &mut BytesMut,
    ) -> Result<usize, FrameError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(FrameError::TooBig { size: payload.len(), limit: MAX_PAYLOAD });
        }
        let start = out.len();
        out.reserve(HEADER + MAX_CODE + payload.len() + 10 + 15 + MAC);
        out.resize(start + HEADER, 0);
        code.encode(out);
        let head = out.len();
        match (self.snappy, compression) {
            (false, _) => out.extend_from_slice(payload),
            (true, Compression::Literal) => snappy::put_literal(out, payload),
            (true, Compression::Snappy) => snappy::put_compressed(out, payload)?,
        }
        let (body, wire) = (out.len() - start - HEADER, out.len() - head);
        if body > MAX_FRAME_BODY {
            out.truncate(start);
            return Err(FrameError::TooBig { size: body, limit: MAX_FRAME_BODY });
        }
        out.resize(start + HEADER + body.next_multiple_of(16), 0);
        let (header, ciphertext) = out[start..].split_at_mut(HEADER);
        let (plain, header_mac) = header.split_at_mut(16);
        // At most 24 bits, checked above.
        plain[..3].copy_from_slice(&(body as u64).to_be_bytes()[5..]);
        plain[3..6].copy_from_slice(&HEADER_DATA);
        self.cipher.apply_keystream(plain);
        header_mac.copy_from_slice(&self.mac.header(&block(plain)));
        self.cipher.apply_keystream(ciphertext);
        let body_mac = self.mac.body(ciphertext);
        out.extend_from_slice(&body_mac);
        Ok(wire)
    }
}

/// The receiving direction of a session.
pub struct FrameDecoder<H = Keccak256> {
    cipher: Cipher,
    mac: FrameMac<H>,
    snappy: bool,
    max_payload: usize,
    /// Length of the body whose header was read.
    body: Option<usize>,
    /// That body when it was authenticated and decrypted.
    opened: Option<Opened>,
}

/// A body that lies decrypted at the front of the buffer.
#[derive(Clone, Copy)]
struct Opened {
    code: u64,
    /// Where its payload begins.
    start: usize,
    /// Length of the payload, uncompressed.
    size: usize,
}

impl<H: MacState> FrameDecoder<H> {
    pub(crate) fn new(aes_key: &[u8; 32], mac_key: &[u8; 32], state: H) -> Self {
        Self {
            cipher: cipher(aes_key),
            mac: FrameMac::new(mac_key, state),
            snappy: false,
            max_payload: MAX_PAYLOAD,
            body: None,
            opened: None,
        }
    }

    /// Switches Snappy on for everything after Hello.
    pub fn enable_snappy(&mut self) {
        self.snappy = true;
    }

    /// Refuses uncompressed payloads over `bytes`, at most [`MAX_PAYLOAD`], from the next frame on.
    pub fn limit_payload(&mut self, bytes: usize) {
        self.max_payload = bytes.min(MAX_PAYLOAD);
    }

    /// The bytes that the buffer must hold before [`Self::decode`] can go on.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.body.map_or(HEADER, |body| body.next_multiple_of(16) + MAC)
    }

    /// Whether a frame's header was read and its body not yet.
    #[must_use]
    pub fn is_inside_frame(&self) -> bool {
        self.body.is_some()
    }

    /// The uncompressed length of the next message's payload, once the whole of its frame is in `buffer`: what
    /// [`Self::decode`] is about to allocate. `None` needs more bytes. Decrypts in place.
    ///
    /// # Errors
    /// After an error the session cannot go on.
    pub fn payload_size(&mut self, buffer: &mut BytesMut) -> Result<Option<usize>, FrameError> {
        if let Some(opened) = self.opened {
            return Ok(Some(opened.size));
        }
        let length = match self.body {
            Some(length) => length,
            None if buffer.len() < HEADER => return Ok(None),
            None => self.read_header(buffer)?,
        };
        let padded = length.next_multiple_of(16);
        if buffer.len() < padded + MAC {
            return Ok(None);
        }
        let (ciphertext, rest) = buffer.split_at_mut(padded);
        if !bool::from(self.mac.body(ciphertext).ct_eq(&rest[..MAC])) {
            return Err(FrameError::BodyMac);
        }
        self.cipher.apply_keystream(ciphertext);
        let mut body = &ciphertext[..length];
        let code = u64::decode(&mut body).map_err(|_| FrameError::Code)?;
        let size = if self.snappy {
            snappy::declared_length(body, self.max_payload)?
        } else if body.len() <= self.max_payload {
            body.len()
        } else {
            return Err(FrameError::TooBig { size: body.len(), limit: self.max_payload });
        };
        self.opened = Some(Opened { code, start: length - body.len(), size });
        Ok(Some(size))
    }

    /// The bytes that the payload of the next message has in its frame, once [`Self::payload_size`] is known, else 0.
    #[must_use]
    pub fn wire_size(&self) -> usize {
        self.opened.zip(self.body).map_or(0, |(opened, length)| length - opened.start)
    }

    /// Takes the next message off the front of `buffer`; `None` needs more bytes.
    ///
    /// # Errors
    /// As [`Self::payload_size`].
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, FrameError> {
        if self.payload_size(buffer)?.is_none() {
            return Ok(None);
        }
        let (Some(Opened { code, start, size }), Some(length)) = (self.opened.take(), self.body.take())
        else {
            return Ok(None);
        };
        let wire = &buffer[start..length];
        let payload = if self.snappy {
            Bytes::from(snappy::decompress(wire, size)?)
        } else {
            Bytes::copy_from_slice(wire)
        };
        buffer.advance(length.next_multiple_of(16) + MAC);
        Ok(Some(Message { code, payload }))
    }

    fn read_header(&mut self, buffer: &mut BytesMut) -> Result<usize, FrameError> {
        let (header, rest) = buffer.split_at_mut(16);
        if !bool::from(self.mac.header(&block(header)).ct_eq(&rest[..MAC])) {
            return Err(FrameError::HeaderMac);
        }
        self.cipher.apply_keystream(header);
        let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        let limit = if self.snappy {
            largest_body(self.max_payload)
        } else {
            (self.max_payload + MAX_CODE).min(MAX_FRAME_BODY)
        };
        if length > limit {
            return Err(FrameError::TooBig { size: length, limit });
        }
        buffer.advance(HEADER);
        self.body = Some(length);
        Ok(length)
    }
}

/// Bytes that the whole frame of a message of at most `max_payload` bytes can have.
#[must_use]
pub fn largest_frame(max_payload: usize) -> usize {
    HEADER + largest_body(max_payload).next_multiple_of(16) + MAC
}

/// No encoder makes a block of n bytes longer than this.
fn largest_body(max_payload: usize) -> usize {
    (snap::raw::max_compress_len(max_payload) + MAX_CODE).min(MAX_FRAME_BODY)
}

fn cipher(aes_key: &[u8; 32]) -> Cipher {
    Cipher::new(&(*aes_key).into(), &[0; 16].into())
}

fn block(bytes: &[u8]) -> [u8; 16] {
    std::array::from_fn(|i| bytes[i])
}

#[cfg(test)]
mod tests;
