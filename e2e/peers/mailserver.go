package main

// History requests and completions (waku-mailserver.md §5.6, §5.9).

import (
	"errors"

	"github.com/ethereum/go-ethereum/rlp"
)

// historyRequest is both request forms of §5.6.
type historyRequest struct {
	From, To uint32
	Bloom    []byte
	Topics   []topic
	Limit    uint32
	Cursor   []byte
}

// encodePlain is form B.
func (r *historyRequest) encodePlain(id []byte) []byte {
	return mustEncode([]any{id, r.From, r.To, r.Limit, r.Cursor, r.Bloom, r.topicList()})
}

// encodeInner is what form A encrypts.
func (r *historyRequest) encodeInner() []byte {
	return mustEncode([]any{r.From, r.To, r.Bloom, r.topicList(), r.Limit, r.Cursor, true})
}

func (r *historyRequest) topicList() [][]byte {
	list := [][]byte{}
	for _, t := range r.Topics {
		list = append(list, t[:])
	}
	return list
}

func topicsOf(list [][]byte) []topic {
	var topics []topic
	for _, b := range list {
		if len(b) == 4 {
			topics = append(topics, topic(b))
		}
	}
	return topics
}

func decodePlain(payload []byte) (id hash, r historyRequest, err error) {
	var raw struct {
		ID              []byte
		From, To, Limit uint32
		Cursor, Bloom   []byte
		Topics          [][]byte
	}
	if err = rlp.DecodeBytes(payload, &raw); err != nil {
		return id, r, err
	}
	if len(raw.ID) > 32 {
		raw.ID = raw.ID[len(raw.ID)-32:]
	}
	copy(id[32-len(raw.ID):], raw.ID)
	return id, historyRequest{raw.From, raw.To, raw.Bloom, topicsOf(raw.Topics), raw.Limit, raw.Cursor}, nil
}

func decodeInner(plain []byte) (r historyRequest, err error) {
	var raw struct {
		From, To uint32
		Bloom    []byte
		Topics   [][]byte
		Limit    uint32
		Cursor   []byte
		Batch    bool
	}
	if err = rlp.DecodeBytes(plain, &raw); err != nil {
		return r, err
	}
	return historyRequest{raw.From, raw.To, raw.Bloom, topicsOf(raw.Topics), raw.Limit, raw.Cursor}, nil
}

// completion is the content of code 125 (§5.9).
type completion struct {
	ID     hash
	Last   hash
	Cursor []byte
	Error  string
	Failed bool
}

const errorPrefix = "ERROR="

func (c *completion) encode() []byte {
	if c.Failed {
		return mustEncode(append(append([]byte(errorPrefix), c.ID[:]...), c.Error...))
	}
	return mustEncode(append(append(c.ID[:len(c.ID):len(c.ID)], c.Last[:]...), c.Cursor...))
}

func decodeCompletion(payload []byte) (c completion, err error) {
	var b []byte
	if err = rlp.DecodeBytes(payload, &b); err != nil {
		return c, err
	}
	if len(b) >= len(errorPrefix)+32 && string(b[:len(errorPrefix)]) == errorPrefix {
		b = b[len(errorPrefix):]
		return completion{ID: hash(b[:32]), Error: string(b[32:]), Failed: true}, nil
	}
	if len(b) < 32 || len(b) > 100 {
		return c, errors.New("completion has neither the success nor the error form")
	}
	c.ID = hash(b[:32])
	if b = b[32:]; len(b) >= 32 {
		c.Last = hash(b[:32])
		if b = b[32:]; len(b) >= 36 {
			c.Cursor = b[:36]
		}
	}
	return c, nil
}
