package main

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func wantHex(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if hex.EncodeToString(got) != want {
		t.Errorf("%s is\n %x, want\n %s", what, got, want)
	}
}

const (
	keyK0     = "d49dcf37238dc8a7aac57dc61b9fee68f0a97f062968978b9fafa7d1033d03a9"
	keyShared = "03ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31"
	dataV16   = "aadb80b6cd6285c292e5ef90d2cfa700c5694aa56ce687e44a86c713a10ff7d2e7380ca29765aba30a000102030405060708090a0b"
	hashV30   = "fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a839"
	cursorV37 = "3b9aca00" + hashV30
	idV40     = "83078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d1520"
)

func TestV01EnvelopeAndProofOfWork(t *testing.T) {
	e := envelope{TTL: 1, Data: unhex(t, "deadbeef"), Nonce: 100000}
	wantHex(t, "rlp", e.encode(), "d08001840000000084deadbeef830186a0")
	wantHex(t, "hash", crypto.Keccak256(e.encode()), "660f65a268e219b51aa55347adab435ffa14835a64d247a72bc2ef88cae6dc58")
	if e.pow() != 1.0/13 {
		t.Errorf("pow is %v", e.pow())
	}
	e.Nonce = 276 // V02
	if e.pow() != 256.0/13 {
		t.Errorf("V02: pow is %v", e.pow())
	}
}

func TestSealReachesItsTarget(t *testing.T) {
	e := envelope{Expiry: 1, TTL: 15, Data: make([]byte, 100)}
	if err := e.seal(0.5, time.Now().Add(10*time.Second)); err != nil || e.pow() < 0.5 {
		t.Errorf("pow %v, error %v", e.pow(), err)
	}
	if err := e.seal(math.Inf(1), time.Now()); err == nil {
		t.Error("an unreachable target is reached")
	}
}

func TestV06ToV09Blooms(t *testing.T) {
	for text, want := range map[string]string{"0f010200": "0480", "01020300": "0800"} {
		b := bloom(topic(unhex(t, text)))
		wantHex(t, "bloom of "+text, b[:2], want)
	}
	sum := bloomOf([]topic{topic(unhex(t, "cd423760")), topic(unhex(t, "aabbccdd"))})
	wantHex(t, "V09", sum, "00000000000080000400000000000000000000000000000800200000000000000000000000000000000000000000000000000000000400000010000000000000")
	if covers(sum, topic(unhex(t, "1f7ea17f"))) || !covers(sum, topic(unhex(t, "aabbccdd"))) {
		t.Error("V09 matches wrongly")
	}
}

func TestV10V14KeysAndTopics(t *testing.T) {
	wantHex(t, "V10", symmetricKey("status-offline-inbox"), "765df27c0765526f920ba742ff4b9452bb0064e016435ffccd81186aa6feaae8")
	channel := channelTopic("status")
	wantHex(t, "V14", channel[:], "cd423760")
}

func TestV16V17Payload(t *testing.T) {
	key, nonce := unhex(t, keyShared), unhex(t, "000102030405060708090a0b")
	signer, err := crypto.HexToECDSA(keyK0)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("per aspera ad astra")
	plain, _ := plaintext(text, unhex(t, "aabbccdd"), nil)
	data, _ := encrypt(key, plain, nonce)
	wantHex(t, "V16", data, dataV16)
	signedPlain, _ := plaintext(text, unhex(t, "aabbccdd"), signer)
	signedData, _ := encrypt(key, signedPlain, nonce)
	wantHex(t, "V17", signedData, "aedb80b6cd6285c292e5ef90d2cfa700c5694aa56ce687e44a1f54537c4b07e02e39a87b73559174a6f1393b162c99d3b2a0ec5abcaac9a332c86c445421e20e5c4de397bdd3b5befaf7b5b50369ecb699a2203743835cbc983c73f0a815df656906f1349c74c67edfe6000102030405060708090a0b")
	for _, c := range []struct {
		data   []byte
		signed bool
	}{{data, false}, {signedData, true}} {
		payload, signed, err := open(key, c.data)
		if err != nil || signed != c.signed || !bytes.Equal(payload, text) {
			t.Errorf("opened %q, signed %v, error %v", payload, signed, err)
		}
	}
}

func TestV12V13MalformedPayloadIsAnError(t *testing.T) {
	key, nonce := unhex(t, keyShared), make([]byte, 12)
	for _, plain := range []string{"01", "0101", "", "07"} {
		data, err := encrypt(key, unhex(t, plain), nonce)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := open(key, data); err == nil {
			t.Errorf("%q is accepted", plain)
		}
	}
}

func TestV19ToV27Status(t *testing.T) {
	for version, text := range map[uint]string{
		1: "ddca80883ec0c6f7a0b5ed8dc20280c20380c504c3808080c506c3808080",
		0: "d980d7ca30883ec0c6f7a0b5ed8dc23280c23380c534c3808080",
	} {
		s, err := decodeStatus(version, unhex(t, text))
		if err != nil || *s.PoW != 0.000002 || *s.Confirmations || s.Topics != nil {
			t.Errorf("waku/%d: %+v, error %v", version, s, err)
		}
	}
	pow := 2.05
	wantHex(t, "V25 v1", (&status{PoW: &pow}).encode(1), "cbca80884000666666666666")
	wantHex(t, "V25 v0", mustEncode((&status{PoW: &pow}).options(0)), "cbca30884000666666666666")
	topics := []topic{channelTopic("status")}
	wantHex(t, "V27", (&status{Topics: &topics}).encode(1), "c8c705c584cd423760")
}

func TestV31ToV34MessagesAndConfirmations(t *testing.T) {
	e := envelope{TTL: 30, Topic: topic{1}, Data: []byte{1, 1, 1}}
	batch := encodeEnvelopes(e.encode())
	wantHex(t, "V31", batch, "cdcc801e84010000008301010180")
	wantHex(t, "V31 batch", crypto.Keccak256(batch), "7587fa788c88caed088b47f99b95c0a9e981cd70fae09bab333669ad94b23b7f")
	var r response
	text := "f85a01f857a07587fa788c88caed088b47f99b95c0a9e981cd70fae09bab333669ad94b23b7ff5f4a067271693ec77c3c26464c7253f36c8ab3045b307c7f6ae68fb0fe70b1f642197159176657279206f6c6420656e76656c6f7065"
	if err := rlp.DecodeBytes(unhex(t, text), &r); err != nil {
		t.Fatal(err)
	}
	if r.Version != 1 || len(r.Body.Errors) != 1 || r.Body.Errors[0].Code != 21 || r.Body.Errors[0].Description != "very old envelope" {
		t.Errorf("V34: %+v", r)
	}
}

func TestV40EncryptedRequest(t *testing.T) {
	signer, _ := crypto.HexToECDSA(keyK0)
	topics := []topic{channelTopic("status")}
	r := &historyRequest{From: 1634567890 - 86400, To: 1634567890, Bloom: bloomOf(topics), Limit: 1}
	padding := make([]byte, 256-2-82-65)
	for i := range padding {
		padding[i] = byte(7*i + 1)
	}
	// The vector's plaintext is exactly 256 bytes.
	e, err := sealRequest(r, signer, symmetricKey("status-offline-inbox"), padding, unhex(t, "000102030405060708090a0b"), 1634567890)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.seal(0.000002, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	e.Nonce = 1 // the reference wants at least one bit
	wantHex(t, "V40 request id", crypto.Keccak256(e.encode()), idV40)
	payload, signed, err := open(symmetricKey("status-offline-inbox"), e.Data)
	if err != nil || !signed {
		t.Fatal(signed, err)
	}
	if back, err := decodeInner(payload); err != nil || back.To != 1634567890 || back.Limit != 1 || len(back.Topics) != 0 {
		t.Errorf("decoded %+v, error %v", back, err)
	}
}

func TestV41PlainRequest(t *testing.T) {
	r := &historyRequest{From: 1634567890 - 86400, To: 1634567890, Limit: 1000, Topics: []topic{channelTopic("status")}}
	id := []byte("0123456789abcdef0123456789abcdef")
	wantHex(t, "V41", r.encodePlain(id), "f6a0303132333435363738396162636465663031323334353637383961626364656684616c355284616d86d28203e88080c584cd423760")
	r.Cursor = unhex(t, cursorV37)
	raw := r.encodePlain(id)
	wantHex(t, "V41 with cursor", raw, "f85aa0303132333435363738396162636465663031323334353637383961626364656684616c355284616d86d28203e8a43b9aca00fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a83980c584cd423760")
	gotID, back, err := decodePlain(raw)
	if err != nil || string(gotID[:]) != string(id) || back.Limit != 1000 || len(back.Topics) != 1 {
		t.Errorf("decoded %+v, error %v", back, err)
	}
}

func TestV42ToV45Completions(t *testing.T) {
	for text, want := range map[string]completion{
		"b864" + idV40 + hashV30 + cursorV37:                                  {ID: hash(unhex(t, idV40)), Last: hash(unhex(t, hashV30)), Cursor: unhex(t, cursorV37)},
		"b840" + idV40 + hashV30:                                              {ID: hash(unhex(t, idV40)), Last: hash(unhex(t, hashV30))},
		"b840" + idV40 + hex.EncodeToString(make([]byte, 32)):                 {ID: hash(unhex(t, idV40))},
		"b8394552524f523d" + idV40 + "72617465206c696d6974206578636565646564": {ID: hash(unhex(t, idV40)), Failed: true, Error: "rate limit exceeded"},
	} {
		got, err := decodeCompletion(unhex(t, text))
		if err != nil || got.ID != want.ID || got.Last != want.Last || !bytes.Equal(got.Cursor, want.Cursor) || got.Failed != want.Failed || got.Error != want.Error {
			t.Errorf("%s decodes to %+v, error %v", text, got, err)
		}
		wantHex(t, "completion", want.encode(), text)
	}
	if _, err := decodeCompletion(mustEncode(make([]byte, 31))); err == nil {
		t.Error("31 bytes are accepted")
	}
}
