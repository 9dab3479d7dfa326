//! Every decoder takes any bytes; what is encoded is decoded to the same.

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};
use waku_wire::{
    Completion, Cursor, Envelope, EnvelopeError, EnvelopeHash, MessageResponse, MessagesRequest, P2pRequest,
    ProtocolVersion::{V0, V1},
    RateLimits, StatusOptions, SymmetricKey, Topic, WireEnvelope, decode_batch_ack, messages,
    payload::{Padding, build, decrypt_asymmetric, decrypt_symmetric, encrypt_symmetric, parse},
};

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..max)
}

prop_compose! {
    fn envelopes()(
        expiry: u32, ttl: u32, topic: [u8; 4], data in bytes(300), nonce: u64
    ) -> Envelope {
        Envelope { expiry, ttl, topic: Topic(topic), data: data.into(), nonce }
    }
}

prop_compose! {
    fn limits()(ip: u64, peer: u64, topic: u64) -> RateLimits { RateLimits { ip, peer, topic } }
}

prop_compose! {
    fn status_options()(
        pow_requirement in option::of(0.0f64..1e9), bloom in option::of(bytes(70)),
        light_node: Option<bool>, confirmations: Option<bool>, packet_limits in option::of(limits()),
        topics in option::of(vec(any::<[u8; 4]>().prop_map(Topic), 0..40)), bytes_limits in option::of(limits()),
    ) -> StatusOptions {
        StatusOptions { pow_requirement, bloom, light_node, confirmations, packet_limits, topics, bytes_limits }
    }
}

prop_compose! {
    fn requests()(
        from: u32, to: u32, bloom in bytes(70), topics in vec(any::<[u8; 4]>().prop_map(Topic), 0..40),
        limit: u32, cursor in bytes(40), batch: bool,
    ) -> MessagesRequest {
        MessagesRequest { from, to, bloom, topics, ignored_topics: 0, limit, cursor, batch }
    }
}

fn decode_everything(input: &[u8]) {
    let shared = Bytes::copy_from_slice(input);
    let _ = WireEnvelope::decode(&shared);
    let _ = messages::decode(&shared);
    let _ = P2pRequest::decode(&shared);
    let _ = MessagesRequest::decode(input);
    let _ = Completion::decode(input);
    let _ = MessageResponse::decode(input);
    let _ = decode_batch_ack(input);
    for version in [V0, V1] {
        let _ = StatusOptions::decode_status(version, input);
        let _ = StatusOptions::decode_update(version, input);
    }
    let _ = parse(input);
    if let Some(key) = SymmetricKey::from_bytes([1; 32]) {
        let _ = decrypt_symmetric(input, &key);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(input in bytes(400)) {
        decode_everything(&input);
        let _ = decrypt_asymmetric(&input, &enode::NodeKey::from_bytes(&[1; 32]).unwrap());
    }

    /// Valid packets with one byte changed or cut short reach deeper than random bytes.
    #[test]
    fn damaged_packets_never_panic(
        envelope in envelopes(), options in status_options(), request in requests(), at: prop::sample::Index, byte: u8
    ) {
        let raw = envelope.encode().unwrap();
        for packet in [
            raw.raw().to_vec(),
            messages::encode([raw.raw().as_ref(), raw.raw()]).to_vec(),
            options.encode_status(V0),
            options.encode_status(V1),
            request.encode(),
            request.encode_plain(&[3; 32]),
        ] {
            let at = at.index(packet.len());
            decode_everything(&packet[..at]);
            let mut changed = packet;
            changed[at] = byte;
            decode_everything(&changed);
        }
    }

    #[test]
    fn envelope_round_trip(envelope in envelopes()) {
        let wire = envelope.encode().unwrap();
        prop_assert_eq!(wire.expiry(), envelope.expiry);
        prop_assert_eq!(wire.ttl(), envelope.ttl);
        prop_assert_eq!(wire.topic(), envelope.topic);
        prop_assert_eq!(wire.data(), &envelope.data);
        prop_assert_eq!(wire.nonce(), envelope.nonce);
        prop_assert_eq!(wire.hash().0, enode::keccak256(wire.raw()));
        prop_assert_eq!(WireEnvelope::decode(wire.raw()).unwrap(), wire);
    }

    /// What decodes has one encoding only: the bytes it was decoded from.
    #[test]
    fn decoded_is_canonical(envelope in envelopes(), at: prop::sample::Index, byte: u8) {
        let mut raw = envelope.encode().unwrap().raw().to_vec();
        let at = at.index(raw.len());
        raw[at] = byte;
        let raw = Bytes::from(raw);
        if let Ok(wire) = WireEnvelope::decode(&raw) {
            let again = Envelope {
                expiry: wire.expiry(), ttl: wire.ttl(), topic: wire.topic(), data: wire.data(), nonce: wire.nonce(),
            };
            let again = again.encode().unwrap();
            prop_assert_eq!(again.raw(), &raw);
        }
    }

    #[test]
    fn messages_round_trip(envelopes in vec(envelopes(), 0..10)) {
        let wire: Vec<_> = envelopes.iter().map(|e| e.encode().unwrap()).collect();
        let packet = messages::encode(wire.iter().map(|e| e.raw().as_ref()));
        prop_assert_eq!(messages::decode(&packet).unwrap(), wire);
    }

    #[test]
    fn status_round_trip(options in status_options()) {
        prop_assert_eq!(&StatusOptions::decode_status(V1, &options.encode_status(V1)).unwrap(), &options);
        prop_assert_eq!(&StatusOptions::decode_update(V1, &options.encode_update(V1)).unwrap(), &options);
        let options = StatusOptions { bytes_limits: None, ..options };
        prop_assert_eq!(&StatusOptions::decode_status(V0, &options.encode_status(V0)).unwrap(), &options);
        prop_assert_eq!(&StatusOptions::decode_update(V0, &options.encode_update(V0)).unwrap(), &options);
    }

    #[test]
    fn request_round_trip(request in requests(), id: [u8; 32]) {
        prop_assert_eq!(&MessagesRequest::decode(&request.encode()).unwrap(), &request);
        let plain = P2pRequest::decode(&Bytes::from(request.encode_plain(&id))).unwrap();
        prop_assert_eq!(plain, P2pRequest::Plain { id, request: MessagesRequest { batch: true, ..request } });
    }

    #[test]
    fn response_round_trip(
        batch: [u8; 32], errors in vec((any::<[u8; 32]>(), any::<u32>(), ".{0,40}"), 0..10)
    ) {
        let errors = errors.into_iter().map(|(hash, code, description)| {
            EnvelopeError { hash: EnvelopeHash(hash), code, description }
        }).collect();
        let response = MessageResponse { batch, errors };
        prop_assert_eq!(MessageResponse::decode(&response.encode()).unwrap(), Some(response));
    }

    #[test]
    fn completion_round_trip(
        // A request id that begins with "ERROR=" is a failure to every client.
        request in any::<[u8; 32]>().prop_filter("prefix", |id| !id.starts_with(b"ERROR=")),
        last: [u8; 32], cursor in option::of((any::<u32>(), any::<[u8; 32]>())), error in ".{0,60}"
    ) {
        let cursor = cursor.map(|(sent, hash)| Cursor::new(sent, EnvelopeHash(hash)));
        let success = Completion::Success { request, last: EnvelopeHash(last), cursor };
        prop_assert_eq!(Completion::decode(&success.encode()).unwrap(), success);
        let failure = Completion::Failure { request, error };
        prop_assert_eq!(Completion::decode(&failure.encode()).unwrap(), failure);
    }

    #[test]
    fn payload_round_trip(content in bytes(1000), signed: bool) {
        let key = enode::NodeKey::from_bytes(&[1; 32]).unwrap();
        let secret = SymmetricKey::from_bytes([1; 32]).unwrap();
        let plain = build(&content, Padding::Random, signed.then_some(&key)).unwrap();
        prop_assert_eq!(plain.len() % 256, 0);
        let data = encrypt_symmetric(&plain, &secret).unwrap();
        let parsed = parse(&decrypt_symmetric(&data, &secret).unwrap()).unwrap();
        prop_assert_eq!(parsed.payload, content);
        prop_assert_eq!(parsed.source, signed.then(|| key.public_key()));
    }
}
