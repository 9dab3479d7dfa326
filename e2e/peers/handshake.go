package main

// Status options and confirmations (waku-mailserver.md §4.2, §4.3, §4.7).

import (
	"fmt"
	"math"
	"slices"

	"github.com/ethereum/go-ethereum/rlp"
)

// status is what the options of §4.2 say; a nil pointer or slice is an absent option.
type status struct {
	PoW           *float64
	Bloom         []byte
	Confirmations *bool
	Topics        *[]topic
}

type option struct {
	Key   rlp.RawValue
	Value rlp.RawValue
}

func optionKey(version uint, key uint64) rlp.RawValue {
	if version == 0 {
		return mustEncode(fmt.Sprint(key))
	}
	return mustEncode(key)
}

func (s *status) options(version uint) []option {
	list := []option{}
	add := func(key uint64, value any) {
		list = append(list, option{optionKey(version, key), mustEncode(value)})
	}
	if s.PoW != nil {
		add(0, math.Float64bits(*s.PoW))
	}
	if s.Bloom != nil {
		add(1, s.Bloom)
	}
	if s.Confirmations != nil {
		add(3, *s.Confirmations)
	}
	if s.Topics != nil {
		add(5, *s.Topics)
	}
	return list
}

// apply changes what an update names; topics and bloom replace each other (§4.3, §4.4).
func (s *status) apply(update *status) {
	if update.PoW != nil {
		s.PoW = update.PoW
	}
	if update.Topics != nil {
		s.Topics, s.Bloom = update.Topics, nil
	} else if update.Bloom != nil {
		s.Topics, s.Bloom = nil, update.Bloom
	}
	if update.Confirmations != nil {
		s.Confirmations = update.Confirmations
	}
}

// wants tells whether the peer of this status is to get an envelope (§4.5); without a requirement it is 0.001 (§4.2).
func (s *status) wants(e *envelope) bool {
	requirement := 0.001
	if s.PoW != nil {
		requirement = *s.PoW
	}
	if e.pow() < requirement {
		return false
	}
	if s.Topics != nil {
		return slices.Contains(*s.Topics, e.Topic)
	}
	return len(s.Bloom) == 0 || covers(s.Bloom, e.Topic)
}

// encode gives the payload of code 0: bare options in waku/1, behind a version number in waku/0 (§4.3).
func (s *status) encode(version uint) []byte {
	if version == 0 {
		return mustEncode([]any{uint64(0), s.options(0)})
	}
	return mustEncode(s.options(version))
}

func decodeStatus(version uint, payload []byte) (*status, error) {
	var options []rlp.RawValue
	if version == 0 {
		var outer struct {
			Version uint64
			Options []rlp.RawValue
		}
		if err := rlp.DecodeBytes(payload, &outer); err != nil {
			return nil, err
		}
		if outer.Version != 0 {
			return nil, fmt.Errorf("waku/0 status has version %d", outer.Version)
		}
		options = outer.Options
	} else if err := rlp.DecodeBytes(payload, &options); err != nil {
		return nil, err
	}
	return decodeOptions(version, options)
}

func decodeOptions(version uint, options []rlp.RawValue) (*status, error) {
	var s status
	for _, raw := range options {
		var o option
		if err := rlp.DecodeBytes(raw, &o); err != nil {
			return nil, err
		}
		var err error
		switch string(o.Key) {
		case string(optionKey(version, 0)):
			var v uint64
			err = rlp.DecodeBytes(o.Value, &v)
			f := math.Float64frombits(v)
			s.PoW = &f
		case string(optionKey(version, 1)):
			err = rlp.DecodeBytes(o.Value, &s.Bloom)
		case string(optionKey(version, 3)):
			s.Confirmations = new(bool)
			err = rlp.DecodeBytes(o.Value, s.Confirmations)
		case string(optionKey(version, 5)):
			s.Topics = new([]topic)
			err = rlp.DecodeBytes(o.Value, s.Topics)
		}
		if err != nil {
			return nil, fmt.Errorf("status option %x: %w", []byte(o.Key), err)
		}
	}
	return &s, nil
}

// rejection is one error record of code 12.
type rejection struct {
	Hash        hash
	Code        uint64
	Description string
}

// response is the payload of code 12 (§4.7).
type response struct {
	Version uint64
	Body    struct {
		Batch  hash
		Errors []rejection
	}
}
