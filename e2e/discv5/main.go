// Command status-discv5 is an independent node of the legacy topic discovery ("temporary discovery v5"): the package
// p2p/discv5 of go-ethereum v1.9.25, the last release that has it, from which the network's nodes were built. Tests
// let a node's discovery meet it. It is a module of its own because the peer beside it (e2e/peers) needs a later
// go-ethereum.
package main

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/p2p/discv5"
)

const usage = `usage: status-discv5 [flags]

Runs a node of the legacy topic discovery until it is interrupted. Prints JSON lines: first its own enode,
then each node that a search finds, once per topic.
  {"enode":"enode://..."}
  {"topic":"whisper","enode":"enode://..."}

Exit codes: 0 interrupted, 1 failed, 2 wrong usage.

`

// Exit codes.
const (
	exitDone = iota
	exitFailed
	exitUsage
)

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

type options struct {
	key       *ecdsa.PrivateKey
	listen    *net.UDPAddr
	bootnodes []*discv5.Node
	register  list
	search    list
	period    time.Duration
	verbosity int
}

func main() {
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(exitDone)
	case err != nil:
		fmt.Fprintln(os.Stderr, "status-discv5:", err)
		os.Exit(exitUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "status-discv5:", err)
		os.Exit(exitFailed)
	}
}

func parse(args []string) (*options, error) {
	o := new(options)
	var key, listen string
	var bootnodes list
	flags := flag.NewFlagSet("status-discv5", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&key, "key", "", "node key, 64 hex digits (default: a fresh one)")
	flags.StringVar(&listen, "listen", "127.0.0.1:0", "UDP address")
	flags.Var(&bootnodes, "bootnode", "enode URL of a node to start from; may be repeated")
	flags.Var(&o.register, "register", "topic to register; may be repeated")
	flags.Var(&o.search, "search", "topic to search; may be repeated")
	flags.DurationVar(&o.period, "period", 3*time.Second, "search period")
	flags.IntVar(&o.verbosity, "verbosity", 1, "log level on stderr: 0 crit to 5 trace")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var err error
	if key == "" {
		o.key, err = crypto.GenerateKey()
	} else {
		o.key, err = crypto.HexToECDSA(key)
	}
	if err != nil {
		return nil, fmt.Errorf("-key: %w", err)
	}
	if o.listen, err = net.ResolveUDPAddr("udp", listen); err != nil {
		return nil, fmt.Errorf("-listen: %w", err)
	}
	for _, text := range bootnodes {
		node, err := discv5.ParseNode(text)
		if err != nil {
			return nil, fmt.Errorf("-bootnode %s: %w", text, err)
		}
		o.bootnodes = append(o.bootnodes, node)
	}
	return o, nil
}

func run(ctx context.Context, o *options) error {
	handler := log.StreamHandler(os.Stderr, log.TerminalFormat(false))
	log.Root().SetHandler(log.LvlFilterHandler(log.Lvl(o.verbosity), handler))
	conn, err := net.ListenUDP("udp", o.listen)
	if err != nil {
		return err
	}
	node, err := discv5.ListenUDP(o.key, conn, "", nil)
	if err != nil {
		return err
	}
	defer node.Close()
	if len(o.bootnodes) > 0 {
		if err := node.SetFallbackNodes(o.bootnodes); err != nil {
			return err
		}
	}
	out := &output{json: json.NewEncoder(os.Stdout)}
	out.print(map[string]string{"enode": node.Self().String()})
	for _, topic := range o.register {
		go node.RegisterTopic(discv5.Topic(topic), ctx.Done())
	}
	for _, topic := range o.search {
		search(ctx, node, topic, o.period, out)
	}
	<-ctx.Done()
	return nil
}

// search prints each node that is found under topic once.
func search(ctx context.Context, node *discv5.Network, topic string, period time.Duration, out *output) {
	setPeriod := make(chan time.Duration, 1)
	setPeriod <- period
	// Lookups tell here whether the radius is known; discv5 blocks until somebody listens.
	converged := make(chan bool, 100)
	found := make(chan *discv5.Node, 5)
	go node.SearchTopic(discv5.Topic(topic), setPeriod, found, converged)
	go func() {
		seen := make(map[discv5.NodeID]bool)
		for {
			select {
			case <-ctx.Done():
				return
			case <-converged:
			case n := <-found:
				if !seen[n.ID] {
					seen[n.ID] = true
					out.print(map[string]string{"topic": topic, "enode": n.String()})
				}
			}
		}
	}()
}

// output keeps lines of several searches apart.
type output struct {
	sync.Mutex
	json *json.Encoder
}

func (o *output) print(line any) {
	o.Lock()
	defer o.Unlock()
	if err := o.json.Encode(line); err != nil {
		// Whoever started this has gone.
		os.Exit(exitFailed)
	}
}
