package main

// The commands that talk to a node: connect, post, watch, history.

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

// topicFlags collects -topic (hex, repeatable) and -channel (name, repeatable).
type topicFlags struct{ topics []topic }

func (t *topicFlags) declare(flags *flag.FlagSet) {
	flags.Func("topic", "topic, 8 hex digits; may be repeated", func(text string) error {
		raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
		if err != nil || len(raw) != 4 {
			return errors.New("want 8 hex digits")
		}
		t.topics = append(t.topics, topic(raw))
		return nil
	})
	flags.Func("channel", "public chat whose topic is meant; may be repeated", func(name string) error {
		t.topics = append(t.topics, channelTopic(name))
		return nil
	})
}

func pointer[T any](v T) *T { return &v }

// quiet is the status of a peer that wants no gossip.
func quiet() *status {
	return &status{PoW: pointer(0.0), Confirmations: pointer(false), Topics: &[]topic{}}
}

func connectCommand(_ *flag.FlagSet, o *options) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		target, err := one(args)
		if err != nil {
			return err
		}
		return connect(ctx, target, o, quiet(), func(s *session) error {
			return print(map[string]any{
				"name": s.peer.name, "nodeId": s.peer.id, "caps": s.peer.capabilities,
				"version": s.version, "snappy": o.snappy, "localAddress": s.peer.local.String(),
				"remoteAddress": s.peer.remote.String(), "status": s.remote.json(), "self": o.ownID(),
			})
		})
	}
}

// ownID is this side's node id, by which the peer lists it.
func (o *options) ownID() string {
	return hex.EncodeToString(crypto.Keccak256(crypto.FromECDSAPub(&o.key.PublicKey)[1:]))
}

func (s *status) json() map[string]any {
	m := map[string]any{}
	if s.PoW != nil {
		m["powRequirement"] = *s.PoW
	}
	if s.Bloom != nil {
		m["bloom"] = hex.EncodeToString(s.Bloom)
	}
	if s.Confirmations != nil {
		m["confirmations"] = *s.Confirmations
	}
	if s.Topics != nil {
		m["topics"] = len(*s.Topics)
	}
	return m
}

func postCommand(flags *flag.FlagSet, o *options) func(context.Context, []string) error {
	var topics topicFlags
	topics.declare(flags)
	payload := flags.String("payload", "", "text to put into the envelope as it is (default: 64 random bytes)")
	data := flags.String("data", "", "the same in hex")
	pow := flags.Float64("pow", 0.002, "proof of work to reach")
	ttl := flags.Uint("ttl", 15, "time to live in seconds")
	confirm := flags.Bool("confirm", false, "wait for the peer's confirmation (exit 4 when it rejects the envelope)")
	return func(ctx context.Context, args []string) error {
		target, err := one(args)
		if err != nil {
			return err
		}
		if len(topics.topics) != 1 {
			return &usageError{"want exactly one of -topic and -channel"}
		}
		if *ttl == 0 || *ttl > 1<<31 {
			return &usageError{"-ttl: want 1 to 2147483648 seconds"}
		}
		body := []byte(*payload)
		if *data != "" {
			if body, err = hex.DecodeString(*data); err != nil {
				return &usageError{"-data: want hex digits"}
			}
		}
		if len(body) == 0 {
			body = make([]byte, 64)
			_, _ = rand.Read(body) // never fails (crypto/rand)
		}
		e := envelope{Expiry: uint32(time.Now().Unix()) + uint32(*ttl), TTL: uint32(*ttl), Topic: topics.topics[0], Data: body}
		if err := e.seal(*pow, time.Now().Add(5*time.Second)); err != nil {
			return &usageError{err.Error()}
		}
		return connect(ctx, target, o, quiet(), func(s *session) error { return post(ctx, s, &e, *confirm) })
	}
}

// post sends the envelope and reports; with confirm it waits for code 12 of its batch.
func post(ctx context.Context, s *session, e *envelope, confirm bool) error {
	raw := e.encode()
	batch := encodeEnvelopes(raw)
	if err := s.send(codeMessages, batch); err != nil {
		return err
	}
	report := map[string]any{
		"hash": crypto.Keccak256Hash(raw).Hex()[2:], "raw": hex.EncodeToString(raw), "pow": e.pow(),
		"topic": hex.EncodeToString(e.Topic[:]), "sent": e.sent(), "expiry": e.Expiry, "confirmed": false,
	}
	if !confirm {
		return print(report)
	}
	rejections, err := awaitConfirmation(ctx, s, hash(crypto.Keccak256(batch)))
	if err == nil {
		report["confirmed"] = len(rejections) == 0
		if len(rejections) > 0 {
			err = &refusedError{fmt.Sprintf("code %d: %s", rejections[0].Code, rejections[0].Description)}
		}
	}
	return errors.Join(print(report), err)
}

func awaitConfirmation(ctx context.Context, s *session, batch hash) ([]rejection, error) {
	for {
		p, err := s.next(ctx)
		if err != nil {
			return nil, fmt.Errorf("waiting for the confirmation: %w", err)
		}
		if p.code != codeResponse {
			continue
		}
		var r response
		if err := rlp.DecodeBytes(p.payload, &r); err != nil {
			return nil, fmt.Errorf("confirmation of the peer: %w", err)
		}
		if r.Body.Batch == batch {
			return r.Body.Errors, nil
		}
	}
}

func (r *received) json(code uint64) map[string]any {
	return map[string]any{
		"type": "envelope", "code": code, "hash": hex.EncodeToString(r.Hash[:]), "topic": hex.EncodeToString(r.Topic[:]),
		"sent": r.sent(), "expiry": r.Expiry, "ttl": r.TTL, "pow": r.pow(), "data": hex.EncodeToString(r.Data),
		"raw": hex.EncodeToString(r.Raw), "receivedAt": time.Now().UnixMilli(),
	}
}

func watchCommand(flags *flag.FlagSet, o *options) func(context.Context, []string) error {
	var topics topicFlags
	topics.declare(flags)
	count := flags.Int("count", 0, "end after this many envelopes (exit 3 if fewer come in time); 0: watch until the timeout")
	return func(ctx context.Context, args []string) error {
		target, err := one(args)
		if err != nil {
			return err
		}
		own := &status{PoW: pointer(0.0), Confirmations: pointer(false), Bloom: fullBloom()}
		if len(topics.topics) > 0 {
			own.Bloom, own.Topics = nil, &topics.topics
		}
		return connect(ctx, target, o, own, func(s *session) error {
			if err := print(map[string]any{
				"type": "watching", "nodeId": s.peer.id, "self": o.ownID(),
				"localAddress": s.peer.local.String(), "remoteAddress": s.peer.remote.String(),
			}); err != nil {
				return err
			}
			return watch(ctx, s, *count)
		})
	}
}

func watch(ctx context.Context, s *session, count int) error {
	for seen := 0; count == 0 || seen < count; {
		p, err := s.next(ctx)
		if count == 0 && errors.Is(err, errTimeout) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d envelopes: %w", seen, err)
		}
		if p.code != codeMessages {
			continue
		}
		list, err := decodeEnvelopes(p.payload)
		if err != nil {
			return fmt.Errorf("messages of the peer: %w", err)
		}
		for i := range list {
			if err := print(list[i].json(p.code)); err != nil {
				return err
			}
		}
		seen += len(list)
	}
	return nil
}

func historyCommand(flags *flag.FlagSet, o *options) func(context.Context, []string) error {
	var topics topicFlags
	topics.declare(flags)
	from := flags.Uint("from", 0, "first UNIX second wanted (default: a day before -to)")
	to := flags.Uint("to", 0, "last UNIX second wanted (default: now + 10)")
	limit := flags.Uint("limit", 1000, "envelopes a page")
	cursor := flags.String("cursor", "", "where to go on, hex, from an earlier completion")
	all := flags.Bool("all", false, "follow the cursors to the end")
	form := flags.String("form", "plain", "request form: plain or encrypted")
	password := flags.String("password", "status-offline-inbox", "mailserver password for -form encrypted")
	return func(ctx context.Context, args []string) error {
		target, err := one(args)
		if err != nil {
			return err
		}
		if *to == 0 {
			*to = uint(time.Now().Unix()) + 10
		}
		if *from == 0 {
			*from = *to - min(*to, 86400)
		}
		r := &historyRequest{From: uint32(*from), To: uint32(*to), Topics: topics.topics, Limit: uint32(*limit)}
		if len(topics.topics) == 0 {
			r.Bloom = fullBloom()
		}
		if r.Cursor, err = hex.DecodeString(*cursor); err != nil {
			return &usageError{"-cursor: want hex digits"}
		}
		var key []byte
		switch *form {
		case "plain":
		case "encrypted":
			key = symmetricKey(*password)
			r.Bloom = bloomOfRequest(r)
		default:
			return &usageError{fmt.Sprintf("-form %q: want plain or encrypted", *form)}
		}
		return connect(ctx, target, o, quiet(), func(s *session) error {
			for {
				done, err := historyPage(ctx, s, o, r, key)
				if err != nil {
					return err
				}
				if !*all || len(done.Cursor) == 0 {
					return nil
				}
				r.Cursor = done.Cursor
			}
		})
	}
}

func bloomOfRequest(r *historyRequest) []byte {
	if len(r.Topics) == 0 {
		return r.Bloom
	}
	return bloomOf(r.Topics)
}

// historyPage sends one request and prints its answer. key is the mailserver's for the encrypted form.
func historyPage(ctx context.Context, s *session, o *options, r *historyRequest, key []byte) (*completion, error) {
	var id hash
	var payload []byte
	if key == nil {
		_, _ = rand.Read(id[:]) // never fails (crypto/rand)
		payload = r.encodePlain(id[:])
	} else {
		nonce := make([]byte, 12)
		_, _ = rand.Read(nonce)
		e, err := sealRequest(r, o.key, key, paddingFor(r.encodeInner(), true), nonce, uint32(time.Now().Unix()))
		if err != nil {
			return nil, err
		}
		if err := e.seal(0.002, time.Now().Add(5*time.Second)); err != nil {
			return nil, err
		}
		payload = e.encode()
		id = crypto.Keccak256Hash(payload)
	}
	if err := s.send(codeRequest, payload); err != nil {
		return nil, err
	}
	var last *received
	for n := 0; ; {
		p, err := s.next(ctx)
		if err != nil {
			return nil, fmt.Errorf("waiting for the history, after %d envelopes: %w", n, err)
		}
		switch p.code {
		case codeP2PMessage:
			list, err := decodeEnvelopes(p.payload)
			if err != nil {
				return nil, fmt.Errorf("history of the peer: %w", err)
			}
			for i := range list {
				last = &list[i]
				n++
				if err := print(list[i].json(p.code)); err != nil {
					return nil, err
				}
			}
		case codeComplete:
			done, err := decodeCompletion(p.payload)
			if err != nil {
				return nil, err
			}
			if !bytes.Equal(done.ID[:], id[:]) {
				continue
			}
			if err := print(map[string]any{
				"type": "completion", "requestId": hex.EncodeToString(id[:]), "last": hex.EncodeToString(done.Last[:]),
				"cursor": hex.EncodeToString(done.Cursor), "error": done.Error, "envelopes": n,
				"lastReceived": last != nil && last.Hash == done.Last,
			}); err != nil {
				return nil, err
			}
			if done.Failed {
				return nil, &refusedError{done.Error}
			}
			return &done, nil
		}
	}
}
