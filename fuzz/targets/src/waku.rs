//! Every Waku packet, envelopes and payloads (`spec/waku-mailserver.md` §2 to §5).

use bytes::Bytes;
use enode::NodeKey;
use waku_wire::{
    Completion, MessageResponse, MessagesRequest, P2pRequest, PeerSettings, ProtocolVersion, StatusOptions,
    SymmetricKey, WireEnvelope, decode_batch_ack, messages as list,
    payload::{self as content, Padding},
    pow::Pow,
};

const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::V0, ProtocolVersion::V1];

fn check_options(
    options: StatusOptions,
    encode: impl Fn(&StatusOptions) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> StatusOptions,
) {
    let again = decode(&encode(&options));
    assert_eq!(encode(&again), encode(&options));
    let mut settings = PeerSettings::default();
    let _ = settings.apply(options);
}

/// The first packet of each side, in both versions.
pub fn status(data: &[u8]) {
    for version in VERSIONS {
        if let Ok(options) = StatusOptions::decode_status(version, data) {
            check_options(
                options,
                |o| o.encode_status(version),
                |b| StatusOptions::decode_status(version, b).unwrap(),
            );
        }
    }
}

/// Changed settings, in both versions.
pub fn status_update(data: &[u8]) {
    for version in VERSIONS {
        if let Ok(options) = StatusOptions::decode_update(version, data) {
            check_options(
                options,
                |o| o.encode_update(version),
                |b| StatusOptions::decode_update(version, b).unwrap(),
            );
        }
    }
}

/// Lists of envelopes.
pub fn messages(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    if let Ok(envelopes) = list::decode(&data) {
        let again = list::encode(envelopes.iter().map(|envelope| envelope.raw().as_ref()));
        assert_eq!(list::decode(&again).unwrap(), envelopes);
    }
}

/// Batch acknowledgements and message responses.
pub fn confirmations(data: &[u8]) {
    let _ = decode_batch_ack(data);
    if let Ok(Some(response)) = MessageResponse::decode(data) {
        assert_eq!(MessageResponse::decode(&response.encode()), Ok(Some(response)));
    }
}

/// History requests in both forms.
pub fn request(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let _ = P2pRequest::decode(&data);
    if let Ok(request) = MessagesRequest::decode(&data) {
        // Topics of a wrong length are counted and not kept.
        let again = MessagesRequest { ignored_topics: 0, ..request };
        assert_eq!(MessagesRequest::decode(&again.encode()), Ok(again));
    }
}

/// Ends of answers.
pub fn completion(data: &[u8]) {
    if let Ok(completion) = Completion::decode(data) {
        let encoded = completion.encode();
        assert_eq!(Completion::decode(&encoded).unwrap().encode(), encoded);
    }
}

/// One envelope and its proof of work.
pub fn envelope(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    if let Ok(envelope) = WireEnvelope::decode(&data) {
        assert_eq!(envelope.raw(), &data);
        assert!(envelope.data().len() <= data.len());
        let _ = Pow::exact(&envelope, 0).value();
    }
}

/// Plaintexts and ciphertexts. First byte: 0 a plaintext; 1 a symmetric ciphertext; 2 an asymmetric one; else the data
/// as a payload that must come out as it went in.
pub fn payload(data: &[u8]) {
    let Some((form, data)) = data.split_first() else { return };
    let symmetric = SymmetricKey::from_bytes([7; 32]).unwrap();
    let own = NodeKey::from_bytes(&[8; 32]).unwrap();
    match form {
        0 => drop(content::parse(data)),
        1 => drop(content::decrypt_symmetric(data, &symmetric)),
        2 => drop(content::decrypt_asymmetric(data, &own)),
        form => {
            let data = &data[..data.len().min(1 << 16)];
            let signer = (form % 2 == 0).then_some(&own);
            let plain = content::build(data, Padding::Random, signer).unwrap();
            let sealed = content::encrypt_symmetric(&plain, &symmetric).unwrap();
            let opened = content::parse(&content::decrypt_symmetric(&sealed, &symmetric).unwrap()).unwrap();
            assert_eq!(opened.payload, data);
            assert_eq!(opened.source, signer.map(NodeKey::public_key));
        }
    }
}
