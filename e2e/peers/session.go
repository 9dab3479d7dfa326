package main

// One RLPx session on go-ethereum's p2p server, seen as a stream of packets.

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/p2p/enode"
)

// Connection flags of go-ethereum's p2p package, which does not export them.
const (
	dialed  = 1
	inbound = 4
)

// maxPacket is the largest waku packet this peer takes: the node's default message size (§4.12).
const maxPacket = 1 << 20

type packet struct {
	code    uint64
	payload []byte
}

// identity is who is at the other end.
type identity struct {
	name, id      string
	capabilities  []string
	local, remote net.Addr
}

// session is a connected peer. A goroutine reads it; whoever holds it calls next.
type session struct {
	peer    identity
	rw      p2p.MsgReadWriter
	version uint
	remote  *status // of the peer, once shaken hands

	packets chan packet
	lost    chan struct{} // closed when reading ended
	lostErr error         // why, valid after lost
	done    chan struct{} // closed by the holder
}

// newSession begins to read rw.
func newSession(peer identity, rw p2p.MsgReadWriter, version uint) *session {
	s := &session{
		peer: peer, rw: rw, version: version,
		packets: make(chan packet), lost: make(chan struct{}), done: make(chan struct{}),
	}
	go s.read()
	return s
}

func identityOf(peer *p2p.Peer) identity {
	capabilities := []string{}
	for _, c := range peer.Caps() {
		capabilities = append(capabilities, c.String())
	}
	return identity{peer.Fullname(), peer.ID().String(), capabilities, peer.LocalAddr(), peer.RemoteAddr()}
}

// newServer makes a p2p server that neither listens nor dials by itself: the caller brings the sockets. handle
// gets each session in its own goroutine; the session ends when it returns.
func newServer(key *ecdsa.PrivateKey, versions []uint, handle func(*session) error) (*p2p.Server, error) {
	srv := &p2p.Server{Config: p2p.Config{
		PrivateKey: key,
		MaxPeers:   1000,
		Name:       "status-peer/v1/go-ethereum-p2p",
		NoDial:     true,
		Logger:     log.NewLogger(log.DiscardHandler()),
	}}
	for _, version := range versions {
		srv.Protocols = append(srv.Protocols, p2p.Protocol{
			Name:    "waku",
			Version: version,
			Length:  codeCount,
			Run: func(peer *p2p.Peer, rw p2p.MsgReadWriter) error {
				s := newSession(identityOf(peer), rw, version)
				defer close(s.done)
				return handle(s)
			},
		})
	}
	return srv, srv.Start()
}

func (s *session) read() {
	defer close(s.lost)
	for {
		msg, err := s.rw.ReadMsg()
		if err != nil {
			s.lostErr = err
			return
		}
		if msg.Size > maxPacket {
			s.lostErr = fmt.Errorf("packet of code %d has %d bytes, more than %d", msg.Code, msg.Size, maxPacket)
			return
		}
		payload, err := io.ReadAll(msg.Payload)
		if err != nil {
			s.lostErr = err
			return
		}
		select {
		case s.packets <- packet{msg.Code, payload}:
		case <-s.done:
			s.lostErr = net.ErrClosed
			return
		}
	}
}

var errTimeout = errors.New("timed out")

// next gives the next packet.
func (s *session) next(ctx context.Context) (packet, error) {
	select {
	case p := <-s.packets:
		return p, nil
	case <-s.lost:
		return packet{}, &lostError{s.lostErr}
	case <-ctx.Done():
		return packet{}, errTimeout
	}
}

func (s *session) send(code uint64, payload []byte) error {
	err := s.rw.WriteMsg(p2p.Msg{Code: code, Size: uint32(len(payload)), Payload: strings.NewReader(string(payload))})
	if err != nil {
		return &lostError{err}
	}
	return nil
}

// shakeHands exchanges waku status packets (§4.3).
func (s *session) shakeHands(ctx context.Context, own *status) error {
	if err := s.send(codeStatus, own.encode(s.version)); err != nil {
		return err
	}
	first, err := s.next(ctx)
	if err != nil {
		return fmt.Errorf("waiting for the waku status: %w", err)
	}
	if first.code != codeStatus {
		return fmt.Errorf("first packet has code %d, not a status", first.code)
	}
	if s.remote, err = decodeStatus(s.version, first.payload); err != nil {
		return fmt.Errorf("status of the peer: %w", err)
	}
	return nil
}

// lostError says that the connection ended by itself.
type lostError struct{ cause error }

func (e *lostError) Error() string { return fmt.Sprintf("connection lost: %v", e.cause) }
func (e *lostError) Unwrap() error { return e.cause }

// connectError says that no usable session came to be.
type connectError struct{ cause error }

func (e *connectError) Error() string { return fmt.Sprintf("cannot connect: %v", e.cause) }
func (e *connectError) Unwrap() error { return e.cause }

// graceful closes a TCP connection so that what was written arrives: it waits for the other side's end before
// it lets the kernel forget the socket.
type graceful struct{ *net.TCPConn }

func (c graceful) Close() error {
	_ = c.CloseWrite()
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, c.TCPConn)
	return c.TCPConn.Close()
}

// connect dials an enode URL, shakes hands and runs use.
func connect(ctx context.Context, target string, o *options, own *status, use func(*session) error) error {
	node, err := enode.ParseV4(target)
	if err != nil {
		return &usageError{fmt.Sprintf("enode %q: %v", target, err)}
	}
	if node.IP() == nil || node.TCP() == 0 {
		return &usageError{fmt.Sprintf("enode %q has no address and TCP port", target)}
	}
	address := net.JoinHostPort(node.IP().String(), fmt.Sprint(node.TCP()))
	fd, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return &connectError{err}
	}
	socket := graceful{fd.(*net.TCPConn)}
	if !o.snappy {
		return connectPlain(ctx, socket, node, o, own, use)
	}
	result := make(chan error, 1)
	srv, err := newServer(o.key, o.versions, func(s *session) error {
		err := s.shakeHands(ctx, own)
		if err != nil {
			err = &connectError{err}
		} else {
			err = use(s)
		}
		result <- err
		return nil
	})
	if err != nil {
		_ = fd.Close()
		return err
	}
	defer srv.Stop()
	// The reason of a drop is known to the server only.
	events := make(chan *p2p.PeerEvent, 16)
	subscription := srv.SubscribeEvents(events)
	defer subscription.Unsubscribe()

	setup := make(chan error, 1)
	go func() { setup <- srv.SetupConn(socket, dialed, node) }()
	select {
	case err = <-setup:
		if err != nil {
			return &connectError{err}
		}
	case <-ctx.Done():
		_ = fd.Close()
		return &connectError{errTimeout}
	}
	err = <-result
	if lost := new(lostError); errors.As(err, &lost) {
		lost.cause = dropReason(events, lost.cause)
	}
	return err
}

// dropReason waits for the server's word on why a session ended.
func dropReason(events <-chan *p2p.PeerEvent, fallback error) error {
	limit := time.After(3 * time.Second)
	for {
		select {
		case event := <-events:
			if event.Type == p2p.PeerEventTypeDrop {
				return errors.New(event.Error)
			}
		case <-limit:
			return fallback
		}
	}
}
