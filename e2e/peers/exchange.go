package main

// Every packet of the protocol with one node: what is sent to it, and what it answers (waku-mailserver.md §4).

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

func exchangeCommand(flags *flag.FlagSet, o *options) func(context.Context, []string) error {
	password := flags.String("password", "status-offline-inbox", "mailserver password")
	return func(ctx context.Context, args []string) error {
		target, err := one(args)
		if err != nil {
			return err
		}
		// A second identity: what one posts the other receives.
		other := *o
		if other.key, err = crypto.GenerateKey(); err != nil {
			return err
		}
		return connect(ctx, target, o, quiet(), func(a *session) error {
			return connect(ctx, target, &other, quiet(), func(b *session) error {
				x := &exchange{a: follow(a), b: follow(b), o: o, key: symmetricKey(*password)}
				if err := x.run(ctx); err != nil {
					return err
				}
				return print(map[string]any{
					"type": "exchanged", "version": a.version, "snappy": o.snappy,
					"sent":     x.codes(func(f *followed) map[uint64]bool { return f.sent }),
					"received": x.codes(func(f *followed) map[uint64]bool { return f.received }),
				})
			})
		})
	}
}

// followed is a session that remembers which codes went either way. Not for use by several goroutines.
type followed struct {
	*session
	sent, received map[uint64]bool
}

func follow(s *session) *followed {
	// The handshake is over.
	return &followed{s, map[uint64]bool{codeStatus: true}, map[uint64]bool{codeStatus: true}}
}

func (f *followed) send(code uint64, payload []byte) error {
	f.sent[code] = true
	return f.session.send(code, payload)
}

// want gives the next packet, which must have this code.
func (f *followed) want(ctx context.Context, code uint64) ([]byte, error) {
	p, err := f.next(ctx)
	if err != nil {
		return nil, fmt.Errorf("waiting for a packet of code %d: %w", code, err)
	}
	if p.code != code {
		return nil, fmt.Errorf("packet of code %d, want %d: %x", p.code, code, p.payload)
	}
	f.received[code] = true
	return p.payload, nil
}

// post sends envelopes and takes the confirmation: code 12 without errors, then code 11, of this packet.
func (f *followed) post(ctx context.Context, raws ...[]byte) error {
	return f.postRefused(ctx, []rejection{}, raws...)
}

// postRefused does the same where code 12 names what was not taken in.
func (f *followed) postRefused(ctx context.Context, refused []rejection, raws ...[]byte) error {
	payload := encodeEnvelopes(raws...)
	if err := f.send(codeMessages, payload); err != nil {
		return err
	}
	batch := crypto.Keccak256(payload)
	answer, err := f.want(ctx, codeResponse)
	if err != nil {
		return err
	}
	if want := mustEncode([]any{uint64(1), []any{batch, refused}}); !bytes.Equal(answer, want) {
		return fmt.Errorf("message response is %x, want %x", answer, want)
	}
	if answer, err = f.want(ctx, codeBatchAck); err != nil {
		return err
	}
	if want := mustEncode(batch); !bytes.Equal(answer, want) {
		return fmt.Errorf("batch acknowledgement is %x, want %x", answer, want)
	}
	return nil
}

// change says what this side wants from now on.
func (f *followed) change(s *status) error {
	return f.send(codeStatusUpdate, mustEncode(s.options(f.version)))
}

// changed does the same and waits until the node has read it: it confirms the empty packet behind it.
func (f *followed) changed(ctx context.Context, s *status) error {
	if err := f.change(s); err != nil {
		return err
	}
	return f.post(ctx)
}

// gossip takes one packet of envelopes, which must be these, and confirms it as a peer does.
func (f *followed) gossip(ctx context.Context, raws ...[]byte) error {
	payload, err := f.want(ctx, codeMessages)
	if err != nil {
		return err
	}
	if want := encodeEnvelopes(raws...); !bytes.Equal(payload, want) {
		return fmt.Errorf("messages are %x, want %x", payload, want)
	}
	batch := crypto.Keccak256(payload)
	if err := f.send(codeResponse, mustEncode([]any{uint64(1), []any{batch, []rejection{}}})); err != nil {
		return err
	}
	return f.send(codeBatchAck, mustEncode(batch))
}

type exchange struct {
	a, b *followed
	o    *options
	key  []byte // of the mailserver
}

func (x *exchange) codes(of func(*followed) map[uint64]bool) []uint64 {
	all := maps.Clone(of(x.a))
	maps.Copy(all, of(x.b))
	return slices.Sorted(maps.Keys(all))
}

func (x *exchange) run(ctx context.Context) error {
	wanted, unwanted, old := randomEnvelope(), randomEnvelope(), randomEnvelope()
	old.Expiry -= 120
	veryOld := []rejection{{Hash: crypto.Keccak256Hash(old.encode()), Code: 21, Description: "very old envelope"}}
	for step, run := range []func() error{
		func() error { return x.b.changed(ctx, &status{Topics: &[]topic{wanted.Topic}}) },
		func() error { return x.a.postRefused(ctx, veryOld, old.encode(), unwanted.encode(), wanted.encode()) },
		func() error { return x.b.gossip(ctx, wanted.encode()) },
		func() error { return x.b.change(&status{Bloom: bloomOf([]topic{wanted.Topic, unwanted.Topic})}) },
		func() error { return x.b.gossip(ctx, unwanted.encode()) },
		func() error { return x.history(ctx, &wanted, false) },
		func() error { return x.history(ctx, &wanted, true) },
		func() error { return x.ignored(&wanted) },
		func() error { return x.a.post(ctx) },
		func() error { return x.b.post(ctx) },
	} {
		if err := run(); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
	}
	return nil
}

func randomEnvelope() envelope {
	e := envelope{Expiry: uint32(time.Now().Unix()) + 60, TTL: 60, Data: make([]byte, 64)}
	_, _ = rand.Read(e.Data) // never fails (crypto/rand)
	e.Topic = topic(e.Data)
	return e
}

// history asks for e in one of the two forms: envelopes first, then the completion.
func (x *exchange) history(ctx context.Context, e *envelope, encrypted bool) error {
	r := &historyRequest{From: e.sent() - 10, To: e.sent() + 10, Topics: []topic{e.Topic}, Limit: 10}
	var id hash
	_, _ = rand.Read(id[:])
	payload := r.encodePlain(id[:])
	if encrypted {
		nonce := make([]byte, 12)
		_, _ = rand.Read(nonce)
		request, err := sealRequest(r, x.o.key, x.key, paddingFor(r.encodeInner(), true), nonce, uint32(time.Now().Unix()))
		if err != nil {
			return err
		}
		if err := request.seal(0.002, time.Now().Add(5*time.Second)); err != nil {
			return err
		}
		payload = request.encode()
		id = crypto.Keccak256Hash(payload)
	}
	if err := x.a.send(codeRequest, payload); err != nil {
		return err
	}
	found, err := x.a.want(ctx, codeP2PMessage)
	if err != nil {
		return err
	}
	if want := encodeEnvelopes(e.encode()); !bytes.Equal(found, want) {
		return fmt.Errorf("history is %x, want %x", found, want)
	}
	answer, err := x.a.want(ctx, codeComplete)
	if err != nil {
		return err
	}
	done := completion{ID: id, Last: crypto.Keccak256Hash(e.encode())}
	if want := done.encode(); !bytes.Equal(answer, want) {
		return fmt.Errorf("completion is %x, want %x", answer, want)
	}
	return nil
}

// ignored sends what a node takes from nobody who was not asked, and what does not exist. None of it is answered.
func (x *exchange) ignored(e *envelope) error {
	unasked := completion{ID: hash{1}}
	unknown := rlp.RawValue{0xc0}
	return errors.Join(
		x.a.send(codeP2PMessage, encodeEnvelopes(e.encode())),
		x.a.send(codeComplete, unasked.encode()),
		x.a.send(codeStatus, quiet().encode(x.a.version)),
		x.a.session.send(50, unknown),
	)
}
