package main

// Envelopes, proof of work and bloom filters (waku-mailserver.md §2). Written from the specification only: this
// module shares nothing with the node it tests.

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

// Message codes, relative to the sub-protocol (§4.1).
const (
	codeStatus       = 0
	codeMessages     = 1
	codeBatchAck     = 11
	codeResponse     = 12
	codeStatusUpdate = 22
	codeComplete     = 125
	codeRequest      = 126
	codeP2PMessage   = 127

	codeCount = 128
)

type hash = [32]byte
type topic = [4]byte

// envelope is the five-item list of §2.1.
type envelope struct {
	Expiry uint32
	TTL    uint32
	Topic  topic
	Data   []byte
	Nonce  uint64
}

// received is an envelope together with the bytes it came in.
type received struct {
	envelope
	Raw  []byte
	Hash hash
}

func (e *envelope) encode() []byte {
	raw, err := rlp.EncodeToBytes(e)
	if err != nil {
		panic(err) // a struct of plain fields always encodes
	}
	return raw
}

func (e *envelope) sent() uint32 { return e.Expiry - e.TTL }

// powInput is the part of the proof of work that does not change with the nonce (§2.4).
func (e *envelope) powInput() []byte {
	raw, err := rlp.EncodeToBytes([]any{e.Expiry, e.TTL, e.Topic, e.Data})
	if err != nil {
		panic(err) // the same
	}
	return raw
}

// pow is the proof of work of the envelope without future correction (§2.4).
func (e *envelope) pow() float64 {
	s := e.powInput()
	return powOf(s, e.Nonce, e.TTL)
}

func powOf(s []byte, nonce uint64, ttl uint32) float64 {
	h := crypto.Keccak256(s, binary.BigEndian.AppendUint64(nil, nonce))
	zeros := 0
	for _, b := range h {
		zeros += bits.LeadingZeros8(b)
		if b != 0 {
			break
		}
	}
	return math.Pow(2, float64(zeros)) / float64(len(s)) / float64(ttl)
}

// seal looks for a nonce that reaches the target until the deadline.
func (e *envelope) seal(target float64, deadline time.Time) error {
	s := e.powInput()
	for e.Nonce = 0; powOf(s, e.Nonce, e.TTL) < target; e.Nonce++ {
		if e.Nonce%1024 == 0 && time.Now().After(deadline) {
			return fmt.Errorf("no nonce reaches proof of work %g in time: lower --pow or shorten the payload", target)
		}
	}
	return nil
}

func decodeReceived(raw []byte) (received, error) {
	var r received
	if err := rlp.DecodeBytes(raw, &r.envelope); err != nil {
		return r, err
	}
	r.Raw = raw
	r.Hash = crypto.Keccak256Hash(raw)
	return r, nil
}

// decodeEnvelopes reads the payload of codes 1 and 127: exactly one list of envelopes.
func decodeEnvelopes(payload []byte) ([]received, error) {
	var raws []rlp.RawValue
	if err := rlp.DecodeBytes(payload, &raws); err != nil {
		return nil, err
	}
	list := make([]received, 0, len(raws))
	for _, raw := range raws {
		r, err := decodeReceived(raw)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

func encodeEnvelopes(raws ...[]byte) []byte {
	list := make([]rlp.RawValue, 0, len(raws))
	for _, raw := range raws {
		list = append(list, raw)
	}
	return mustEncode(list)
}

func mustEncode(v any) []byte {
	raw, err := rlp.EncodeToBytes(v)
	if err != nil {
		panic(err) // all callers pass lists of plain values
	}
	return raw
}

// bloom of a topic: assignment, not OR, when indices share a byte (§2.6).
func bloom(t topic) [64]byte {
	var b [64]byte
	for j := range 3 {
		index := int(t[j])
		if t[3]&(1<<j) != 0 {
			index += 256
		}
		b[index/8] = 1 << (index % 8)
	}
	return b
}

func bloomOf(topics []topic) []byte {
	sum := make([]byte, 64)
	for _, t := range topics {
		for i, b := range bloom(t) {
			sum[i] |= b
		}
	}
	return sum
}

func fullBloom() []byte {
	b := make([]byte, 64)
	for i := range b {
		b[i] = 0xff
	}
	return b
}

// covers reports whether filter has every bit of the topic's bloom.
func covers(filter []byte, t topic) bool {
	if len(filter) != 64 {
		return false
	}
	for i, b := range bloom(t) {
		if b&^filter[i] != 0 {
			return false
		}
	}
	return true
}
