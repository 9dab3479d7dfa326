package main

// One RLPx session without Snappy: go-ethereum's p2p/rlpx below, Hello and the base protocol by hand (devp2p.md §2.5,
// §2.8). go-ethereum's server always says version 5, and with it Snappy.

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/rlpx"
	"github.com/ethereum/go-ethereum/rlp"
)

// Codes of the base protocol, and where the sub-protocol's begin.
const (
	baseHello      = 0
	baseDisconnect = 1
	basePing       = 2
	basePong       = 3
	baseCount      = 16
)

// plainVersion is the last version of the base protocol without Snappy.
const plainVersion = 4

// Deadlines (devp2p.md §2.7).
const (
	helloTimeout = 10 * time.Second
	readTimeout  = 30 * time.Second
	writeTimeout = 20 * time.Second
)

// hello is the payload of code 0.
type hello struct {
	Version    uint64
	Name       string
	Caps       []p2p.Cap
	ListenPort uint64
	ID         []byte
	Rest       []rlp.RawValue `rlp:"tail"`
}

// plainConn is the message stream of the one sub-protocol.
type plainConn struct {
	conn    *rlpx.Conn
	writing sync.Mutex
}

func (c *plainConn) write(code uint64, payload []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(code, payload)
	return err
}

func (c *plainConn) WriteMsg(msg p2p.Msg) error {
	payload, err := io.ReadAll(msg.Payload)
	if err != nil {
		return err
	}
	return c.write(baseCount+msg.Code, payload)
}

func (c *plainConn) ReadMsg() (p2p.Msg, error) {
	for {
		if err := c.conn.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
			return p2p.Msg{}, err
		}
		code, data, _, err := c.conn.Read()
		switch {
		case err != nil:
			return p2p.Msg{}, err
		case code == baseDisconnect:
			return p2p.Msg{}, disconnected(data)
		case code == basePing:
			if err := c.write(basePong, mustEncode([]uint64{})); err != nil {
				return p2p.Msg{}, err
			}
		case code < baseCount:
		case code >= baseCount+codeCount:
			return p2p.Msg{}, fmt.Errorf("message code %d is out of range", code)
		default:
			// What Read gives is overwritten by its next call.
			payload := bytes.Clone(data)
			return p2p.Msg{Code: code - baseCount, Size: uint32(len(payload)), Payload: bytes.NewReader(payload)}, nil
		}
	}
}

// disconnected is the error of a Disconnect: its reason, in a list or bare.
func disconnected(payload []byte) error {
	var list struct{ Reason uint8 }
	if err := rlp.DecodeBytes(payload, &list); err != nil {
		if err := rlp.DecodeBytes(payload, &list.Reason); err != nil {
			return fmt.Errorf("disconnected for a reason that cannot be read: %x", payload)
		}
	}
	return p2p.DiscReason(list.Reason)
}

// openPlain shakes hands on a socket, both roles; dialed is the key that is expected, nil for whoever connected.
func openPlain(fd net.Conn, o *options, dialed *ecdsa.PublicKey) (*session, error) {
	conn := rlpx.NewConn(fd, dialed)
	if err := conn.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return nil, err
	}
	remote, err := conn.Handshake(o.key)
	if err != nil {
		return nil, err
	}
	c := &plainConn{conn: conn}
	own := hello{Version: plainVersion, Name: "status-peer/v1/go-ethereum-rlpx", ID: crypto.FromECDSAPub(&o.key.PublicKey)[1:]}
	for _, version := range o.versions {
		own.Caps = append(own.Caps, p2p.Cap{Name: "waku", Version: version})
	}
	if err := c.write(baseHello, mustEncode(&own)); err != nil {
		return nil, err
	}
	code, data, _, err := conn.Read()
	if err != nil {
		return nil, err
	}
	if code == baseDisconnect {
		return nil, disconnected(data)
	}
	var theirs hello
	if err := rlp.DecodeBytes(data, &theirs); code != baseHello || err != nil {
		return nil, fmt.Errorf("first message is no Hello: code %d, %v", code, err)
	}
	key := crypto.FromECDSAPub(remote)[1:]
	if !bytes.Equal(theirs.ID, key) {
		return nil, errors.New("Hello and handshake have different identities")
	}
	agreed := -1
	capabilities := []string{}
	for _, c := range theirs.Caps {
		capabilities = append(capabilities, c.String())
		if c.Name == "waku" && slices.Contains(o.versions, c.Version) {
			agreed = max(agreed, int(c.Version))
		}
	}
	if agreed < 0 {
		_ = c.write(baseDisconnect, mustEncode([]uint64{uint64(p2p.DiscUselessPeer)}))
		return nil, p2p.DiscUselessPeer
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	who := identity{
		name: theirs.Name, id: fmt.Sprintf("%x", crypto.Keccak256(key)), capabilities: capabilities,
		local: fd.LocalAddr(), remote: fd.RemoteAddr(),
	}
	return newSession(who, c, uint(agreed)), nil
}

// end says goodbye and closes.
func (c *plainConn) end() {
	_ = c.write(baseDisconnect, mustEncode([]uint64{uint64(p2p.DiscQuitting)}))
	_ = c.conn.Close()
}

// connectPlain is connect on a socket without Snappy.
func connectPlain(ctx context.Context, fd net.Conn, node *enode.Node, o *options, own *status, use func(*session) error) error {
	s, err := openPlain(fd, o, node.Pubkey())
	if err != nil {
		_ = fd.Close()
		return &connectError{err}
	}
	defer s.rw.(*plainConn).end()
	defer close(s.done)
	if err := s.shakeHands(ctx, own); err != nil {
		return &connectError{err}
	}
	return use(s)
}

// servePlain answers on a socket without Snappy until handle returns.
func servePlain(fd net.Conn, o *options, handle func(*session) error) error {
	s, err := openPlain(fd, o, nil)
	if err != nil {
		_ = fd.Close()
		return err
	}
	defer s.rw.(*plainConn).end()
	defer close(s.done)
	return handle(s)
}
