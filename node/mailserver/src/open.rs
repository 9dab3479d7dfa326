//! Reading an encrypted request: steps 1 to 4 and 6 of `spec/waku-mailserver.md` §5.7. Pure.

use waku_wire::payload::{decrypt_symmetric, parse};
use waku_wire::{MessagesRequest, SymmetricKey, WireEnvelope, pow::Pow};

use crate::failure::Failure;
use crate::judge;

/// The request in an envelope. It must be signed, by whomever: the signature is not compared with the peer (Q37), and
/// neither expiry nor topic is looked at (Q29).
pub(crate) fn open(
    envelope: &WireEnvelope,
    key: &SymmetricKey,
    minimum_pow: f64,
    now: u32,
) -> Result<MessagesRequest, Failure> {
    if minimum_pow > 0.0 && Pow::settle(envelope, 0, minimum_pow).reaches(minimum_pow) != Some(true) {
        return Err(Failure::LowPow);
    }
    let plain = decrypt_symmetric(&envelope.data(), key).map_err(|_| Failure::Decrypt)?;
    let message = parse(&plain).map_err(|_| Failure::Decrypt)?;
    if message.source.is_none() {
        return Err(Failure::Unsigned);
    }
    let request = MessagesRequest::decode(&message.payload).map_err(Failure::Decode)?;
    if judge::upper(&request, now) < request.from {
        return Err(Failure::Inverted);
    }
    Ok(request)
}
