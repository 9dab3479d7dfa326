package main

// The archive of the reference's mailserver as its nodes left it (waku-mailserver.md §5.3, §5.4), written by the same
// database library.

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/syndtr/goleveldb/leveldb"
)

func oldArchiveCommand(flags *flag.FlagSet, _ *options) func(context.Context, []string) error {
	from := flags.Uint("from", 0, "UNIX second of the first envelope; one a second")
	count := flags.Int("count", 1000, "envelopes")
	size := flags.Int("size", 100, "bytes of data of each")
	deleted := flags.Int("deleted", 0, "delete the first so many again")
	return func(_ context.Context, args []string) error {
		path, err := one(args)
		if err != nil {
			return err
		}
		db, err := leveldb.OpenFile(path, nil)
		if err != nil {
			return err
		}
		defer db.Close()
		keys := make([][]byte, *count)
		for n := range *count {
			e := envelope{TTL: 50, Topic: topic{0, 0, 0, byte(n % 5)}, Nonce: 1, Data: make([]byte, *size)}
			e.Expiry = uint32(*from) + uint32(n) + e.TTL
			binary.BigEndian.PutUint32(e.Data, uint32(n))
			raw := e.encode()
			key := binary.BigEndian.AppendUint32(nil, e.sent())
			key = append(key, crypto.Keccak256(raw)...)
			if n%3 != 0 { // every third as older nodes wrote it
				key = append(key, e.Topic[:]...)
			}
			keys[n] = key
			if err := db.Put(key, raw, nil); err != nil {
				return err
			}
			if n >= *deleted {
				if err := print(map[string]any{"hash": fmt.Sprintf("%x", crypto.Keccak256(raw))}); err != nil {
					return err
				}
			}
		}
		for _, key := range keys[:*deleted] {
			if err := db.Delete(key, nil); err != nil {
				return err
			}
		}
		return nil
	}
}
