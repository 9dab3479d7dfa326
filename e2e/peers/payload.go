package main

// Payload layout, symmetric encryption and key derivation (waku-mailserver.md §3).

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"github.com/ethereum/go-ethereum/crypto"
)

const signatureLength = 65

// symmetricKey derives the key of a password or public chat name: 65 356 iterations, empty salt (§3.6).
func symmetricKey(password string) []byte {
	key, err := pbkdf2.Key(sha256.New, password, nil, 65356, 32)
	if err != nil {
		panic(err) // constant parameters
	}
	return key
}

// channelTopic is the topic of a public chat (§3.6).
func channelTopic(name string) topic { return topic(crypto.Keccak256([]byte(name))[:4]) }

// plaintext lays out payload and padding, signed when a key is given. The padding's length must be chosen by
// the caller (§3.1, §3.2).
func plaintext(payload, padding []byte, signer *ecdsa.PrivateKey) ([]byte, error) {
	size := []byte{byte(len(payload))}
	for n := len(payload) >> 8; n > 0; n >>= 8 {
		size = append(size, byte(n))
	}
	flags := byte(len(size))
	if signer != nil {
		flags |= 4
	}
	plain := append([]byte{flags}, size...)
	plain = append(append(plain, payload...), padding...)
	if signer == nil {
		return plain, nil
	}
	signature, err := crypto.Sign(crypto.Keccak256(plain), signer)
	return append(plain, signature...), err
}

// paddingFor fills the plaintext up to the next multiple of 256.
func paddingFor(payload []byte, signed bool) []byte {
	length := 2 + len(payload)
	if len(payload) > 0xff {
		length++
	}
	if len(payload) > 0xffff {
		length++
	}
	if signed {
		length += signatureLength
	}
	padding := make([]byte, 256-length%256)
	_, _ = rand.Read(padding) // never fails (crypto/rand)
	return padding
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// encrypt gives ciphertext ++ tag ++ nonce (§3.3).
func encrypt(key, plain, nonce []byte) ([]byte, error) {
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	return append(aead.Seal(nil, nonce, plain, nil), nonce...), nil
}

// open decrypts data and splits the plaintext; signed tells whether a signature with a recoverable key is there.
func open(key, data []byte) (payload []byte, signed bool, err error) {
	aead, err := gcm(key)
	if err != nil {
		return nil, false, err
	}
	cut := len(data) - aead.NonceSize()
	if cut < 0 {
		return nil, false, errors.New("payload is shorter than a nonce")
	}
	plain, err := aead.Open(nil, data[cut:], data[:cut], nil)
	if err != nil {
		return nil, false, err
	}
	invalid := errors.New("payload is malformed")
	if len(plain) == 0 {
		return nil, false, invalid
	}
	body := plain
	if plain[0]&4 != 0 {
		if len(plain) <= signatureLength+1 {
			return nil, false, invalid
		}
		body = plain[:len(plain)-signatureLength]
		if _, err := crypto.SigToPub(crypto.Keccak256(body), plain[len(body):]); err != nil {
			return nil, false, err
		}
		signed = true
	}
	n := int(plain[0] & 3)
	if len(body) < 1+n {
		return nil, false, invalid
	}
	size := 0
	for i := n; i > 0; i-- {
		size = size<<8 | int(body[i])
	}
	if len(body) < 1+n+size {
		return nil, false, invalid
	}
	return body[1+n : 1+n+size], signed, nil
}

// sealRequest builds the encrypted form of a history request; its hash is the request id (§7.1).
func sealRequest(r *historyRequest, signer *ecdsa.PrivateKey, key, padding, nonce []byte, now uint32) (*envelope, error) {
	plain, err := plaintext(r.encodeInner(), padding, signer)
	if err != nil {
		return nil, err
	}
	data, err := encrypt(key, plain, nonce)
	if err != nil {
		return nil, err
	}
	return &envelope{Expiry: now + 50, TTL: 50, Data: data}, nil
}
