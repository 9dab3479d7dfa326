// Command status-peer is an independent devp2p peer that speaks waku/1 and waku/0: go-ethereum's p2p package
// below, an own reading of the Waku v1 specification above. Tests drive a node with it and let the node's
// client meet it.
package main

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
)

const usage = `usage: status-peer COMMAND [flags] [ENODE]

  connect ENODE   open a session, print the peer's name, capabilities, status and both addresses
  post ENODE      send one envelope
  watch ENODE     print the envelopes that arrive, a line each
  history ENODE   ask a mailserver, print the envelopes, then the completion
  exchange ENODE  every packet of the protocol with a mailserver that confirms, print which went either way
  old-archive DIR write the database of an old mailserver, print the hashes of what it holds
  serve           be a peer and mailserver, misbehaving if told to; prints its enode first

Every command prints JSON, takes -timeout and lists its flags with -h. Exit codes: 0 done, 1 cannot connect,
2 wrong usage, 3 timed out, 4 refused by the peer, 5 connection lost.
`

// Exit codes.
const (
	exitDone = iota
	exitConnect
	exitUsage
	exitTimeout
	exitRefused
	exitLost
)

type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// refusedError says that the peer answered no.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return "refused by the peer: " + e.text }

// options are the flags every command has.
type options struct {
	timeout  time.Duration
	keyHex   string
	protocol string
	snappy   bool
	key      *ecdsa.PrivateKey
	versions []uint
}

// command is a subcommand: it declares its flags and gives back what runs it with the positional arguments.
type command func(flags *flag.FlagSet, o *options) func(ctx context.Context, args []string) error

var commands = map[string]command{
	"connect":     connectCommand,
	"post":        postCommand,
	"watch":       watchCommand,
	"history":     historyCommand,
	"exchange":    exchangeCommand,
	"serve":       serveCommand,
	"old-archive": oldArchiveCommand,
}

func main() {
	err := run(os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "status-peer:", err)
	}
	os.Exit(exitCode(err))
}

func exitCode(err error) int {
	var (
		wrong   *usageError
		refused *refusedError
		lost    *lostError
		connect *connectError
	)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &wrong):
		return exitUsage
	case errors.As(err, &connect):
		return exitConnect
	case errors.As(err, &refused):
		return exitRefused
	case errors.As(err, &lost):
		return exitLost
	case errors.Is(err, errTimeout):
		return exitTimeout
	}
	return exitConnect
}

func run(args []string) error {
	if len(args) == 0 {
		return &usageError{usage}
	}
	if args[0] == "-h" || args[0] == "--help" || args[0] == "help" {
		fmt.Print(usage)
		return nil
	}
	declare, ok := commands[args[0]]
	if !ok {
		return &usageError{fmt.Sprintf("unknown command %q\n%s", args[0], usage)}
	}
	o := new(options)
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "give up after this long; 0: never")
	flags.StringVar(&o.keyHex, "key", "", "node key, 64 hex digits (default: a fresh one)")
	flags.StringVar(&o.protocol, "waku", "0,1", "versions of waku to offer: 0, 1 or 0,1")
	flags.BoolVar(&o.snappy, "snappy", true, "compress packets; false: be a peer of devp2p version 4, which does not")
	invoke := declare(flags, o)
	positional, err := parse(flags, args[1:])
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return &usageError{err.Error()}
	}
	if err := o.resolve(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	return invoke(ctx, positional)
}

// parse lets flags stand before and behind positional arguments.
func parse(flags *flag.FlagSet, args []string) (positional []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return positional, nil
		}
		positional = append(positional, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

func (o *options) resolve() (err error) {
	if o.keyHex == "" {
		o.key, err = crypto.GenerateKey()
	} else if o.key, err = crypto.HexToECDSA(o.keyHex); err != nil {
		err = &usageError{"-key: want 64 hex digits of a secp256k1 key"}
	}
	if err != nil {
		return err
	}
	for _, part := range strings.Split(o.protocol, ",") {
		switch part {
		case "0":
			o.versions = append(o.versions, 0)
		case "1":
			o.versions = append(o.versions, 1)
		default:
			return &usageError{fmt.Sprintf("-waku %q: want 0, 1 or 0,1", o.protocol)}
		}
	}
	return nil
}

// print writes one JSON line.
func print(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

func one(args []string) (string, error) {
	if len(args) != 1 {
		return "", &usageError{fmt.Sprintf("want exactly one ENODE, got %d arguments", len(args))}
	}
	return args[0], nil
}
