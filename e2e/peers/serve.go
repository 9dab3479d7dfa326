package main

// A peer and mailserver for a node's client to meet, which can misbehave in one chosen way.

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/rlp"
)

// modes and what each does to a history request.
var modes = map[string]string{
	"normal":        "answers with what it received",
	"empty-history": "answers that there is nothing",
	"drop-127":      "announces an envelope but never sends it",
	"refuse":        "answers with an error completion",
	"silent":        "never answers",
	"wrong-id":      "answers another request id",
}

// maxStored bounds what a serving peer remembers.
const maxStored = 100_000

// store is the history of a serving peer, in the order of arrival.
type store struct {
	sync.Mutex
	rows     []received
	known    map[hash]bool
	sessions map[*session]bool
}

func (st *store) add(r received) bool {
	st.Lock()
	defer st.Unlock()
	if st.known[r.Hash] || len(st.rows) >= maxStored {
		return false
	}
	st.known[r.Hash] = true
	st.rows = append(st.rows, r)
	return true
}

func (r *received) key() []byte {
	return append(binary.BigEndian.AppendUint32(nil, r.sent()), r.Hash[:]...)
}

// page gives the rows of a request, oldest first, and the cursor when the limit was reached (§5.10).
func (st *store) page(r *historyRequest) (rows []received, cursor []byte) {
	st.Lock()
	all := slices.Clone(st.rows)
	st.Unlock()
	slices.SortFunc(all, func(a, b received) int { return bytes.Compare(a.key(), b.key()) })
	limit := cmp.Or(int(r.Limit), 1000)
	for _, row := range all {
		wanted := slices.Contains(r.Topics, row.Topic) || len(r.Topics) == 0 && covers(r.Bloom, row.Topic)
		if !wanted || row.sent() < r.From || r.To != 0 && row.sent() > r.To {
			continue
		}
		if len(r.Cursor) == 36 && bytes.Compare(row.key(), r.Cursor) <= 0 {
			continue
		}
		rows = append(rows, row)
		if len(rows) == limit {
			return rows, row.key()
		}
	}
	return rows, nil
}

type server struct {
	mode          string
	confirmations bool
	codes         bool // print the code of every packet that came
	key           []byte
	store         store
}

func serveCommand(flags *flag.FlagSet, o *options) func(context.Context, []string) error {
	listen := flags.String("listen", "127.0.0.1:0", "TCP address to listen on")
	mode := flags.String("mode", "normal", "normal, empty-history, drop-127, refuse, silent or wrong-id")
	advertise := flags.String("advertise", "", "IP address to print in the enode (default: the one listened on)")
	password := flags.String("password", "status-offline-inbox", "mailserver password")
	confirmations := flags.Bool("confirmations", true, "confirm received envelopes")
	codes := flags.Bool("codes", false, "print the code of every packet that comes")
	fill := flags.Int("fill", 0, "start with this many envelopes of the public chat `status`, one a second until now")
	flags.Lookup("timeout").DefValue = "0s"
	o.timeout = 0
	return func(ctx context.Context, args []string) error {
		if len(args) != 0 {
			return &usageError{"serve takes no arguments"}
		}
		if modes[*mode] == "" {
			return &usageError{fmt.Sprintf("-mode %q: want normal, empty-history, drop-127, refuse, silent or wrong-id", *mode)}
		}
		listener, err := net.Listen("tcp", *listen)
		if err != nil {
			return &usageError{fmt.Sprintf("-listen: %v", err)}
		}
		defer listener.Close()
		address := listener.Addr().(*net.TCPAddr)
		ip := address.IP
		if *advertise != "" {
			if ip = net.ParseIP(*advertise); ip == nil {
				return &usageError{fmt.Sprintf("-advertise %q: want an IP address", *advertise)}
			}
		}
		s := &server{mode: *mode, confirmations: *confirmations, codes: *codes, key: symmetricKey(*password)}
		s.store.known, s.store.sessions = map[hash]bool{}, map[*session]bool{}
		for i := range *fill {
			sent := uint32(time.Now().Unix()) - uint32(i)
			s.store.add(made(channelTopic("status"), sent, fmt.Sprintf("envelope %d", i)))
		}
		p2p, err := newServer(o.key, o.versions, func(session *session) error { return s.serve(ctx, session) })
		if err != nil {
			return err
		}
		defer p2p.Stop()
		go func() {
			<-ctx.Done()
			listener.Close()
		}()
		node := enode.NewV4(&o.key.PublicKey, ip, address.Port, address.Port)
		if err := print(map[string]any{"type": "serving", "enode": node.URLv4(), "nodeId": node.ID().String(), "mode": *mode}); err != nil {
			return err
		}
		// go-ethereum's own listener lets an address in once in 30 s only; tests come more often.
		for {
			fd, err := listener.Accept()
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			go func() {
				setup := func() error { return p2p.SetupConn(fd, inbound, nil) }
				if !o.snappy {
					setup = func() error {
						return servePlain(fd, o, func(session *session) error { return s.serve(ctx, session) })
					}
				}
				if err := setup(); err != nil {
					fmt.Fprintln(os.Stderr, "status-peer: session not set up:", err)
				}
			}()
		}
	}
}

func made(t topic, sent uint32, text string) received {
	e := envelope{Expiry: sent + 15, TTL: 15, Topic: t, Data: []byte(text)}
	raw := e.encode()
	return received{envelope: e, Raw: raw, Hash: crypto.Keccak256Hash(raw)}
}

func (s *server) serve(ctx context.Context, peer *session) error {
	own := &status{PoW: pointer(0.000002), Confirmations: &s.confirmations, Bloom: fullBloom()}
	handshake, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := peer.shakeHands(handshake, own); err != nil {
		return err
	}
	if err := s.came(peer, codeStatus); err != nil {
		return err
	}
	s.store.Lock()
	s.store.sessions[peer] = true
	s.store.Unlock()
	defer func() {
		s.store.Lock()
		delete(s.store.sessions, peer)
		s.store.Unlock()
	}()
	for {
		p, err := peer.next(ctx)
		if err != nil {
			return nil
		}
		if err := s.came(peer, p.code); err != nil {
			return err
		}
		switch p.code {
		case codeMessages:
			err = s.messages(peer, p.payload)
		case codeRequest:
			err = s.request(peer, p.payload)
		case codeStatusUpdate:
			err = s.update(peer, p.payload)
		}
		if err != nil {
			return err
		}
	}
}

func (s *server) came(from *session, code uint64) error {
	if !s.codes {
		return nil
	}
	return print(map[string]any{"type": "packet", "nodeId": from.peer.id, "code": code})
}

// update changes what a peer is sent from now on (§4.4).
func (s *server) update(from *session, payload []byte) error {
	var options []rlp.RawValue
	if err := rlp.DecodeBytes(payload, &options); err != nil {
		return err
	}
	update, err := decodeOptions(from.version, options)
	if err != nil {
		return err
	}
	s.store.Lock()
	from.remote.apply(update)
	s.store.Unlock()
	return print(map[string]any{"type": "update", "nodeId": from.peer.id, "status": update.json()})
}

// messages stores, confirms and passes on to the other sessions.
func (s *server) messages(from *session, payload []byte) error {
	list, err := decodeEnvelopes(payload)
	if err != nil {
		return err
	}
	for _, r := range list {
		if !s.store.add(r) {
			continue
		}
		if err := print(r.json(codeMessages)); err != nil {
			return err
		}
		s.store.Lock()
		for other := range s.store.sessions {
			if other != from && other.remote.wants(&r.envelope) {
				go func() { _ = other.send(codeMessages, encodeEnvelopes(r.Raw)) }() // a lost session ends by itself
			}
		}
		s.store.Unlock()
	}
	if !s.confirmations {
		return nil
	}
	// A peer that left cannot be told, but what it sent before is still to be taken: next says when that is all.
	batch := crypto.Keccak256(payload)
	if from.send(codeResponse, mustEncode([]any{uint64(1), []any{batch, []rejection{}}})) == nil {
		_ = from.send(codeBatchAck, mustEncode(batch))
	}
	return nil
}

// request answers both forms, as the mode says.
func (s *server) request(peer *session, payload []byte) error {
	var id hash
	var r historyRequest
	if e, err := decodeReceived(payload); err == nil {
		id = e.Hash
		plain, signed, err := open(s.key, e.Data)
		if err == nil && !signed {
			err = fmt.Errorf("not signed")
		}
		if err == nil {
			r, err = decodeInner(plain)
		}
		if err != nil {
			c := completion{ID: id, Failed: true, Error: "failed to decrypt p2p request"}
			return peer.send(codeComplete, c.encode())
		}
	} else if id, r, err = decodePlain(payload); err != nil {
		return nil // the reference ignores it (§4.9)
	}
	if s.mode == "silent" {
		return nil
	}
	done := completion{ID: id}
	rows, cursor := s.store.page(&r)
	switch s.mode {
	case "refuse":
		done.Failed, done.Error = true, "refused by the test peer"
		return peer.send(codeComplete, done.encode())
	case "empty-history":
		rows, cursor = nil, nil
	case "drop-127":
		if len(rows) == 0 {
			rows = []received{made(topic{}, r.From, "never sent")}
		}
	case "wrong-id":
		done.ID[0] ^= 0xff
	}
	if len(rows) > 0 {
		done.Last, done.Cursor = rows[len(rows)-1].Hash, cursor
	}
	if s.mode != "drop-127" {
		for batch := range slices.Chunk(rows, 100) {
			raws := [][]byte{}
			for _, row := range batch {
				raws = append(raws, row.Raw)
			}
			if err := peer.send(codeP2PMessage, encodeEnvelopes(raws...)); err != nil {
				return err
			}
		}
	}
	return peer.send(codeComplete, done.encode())
}
