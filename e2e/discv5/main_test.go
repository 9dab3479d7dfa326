package main

import (
	"strings"
	"testing"
)

func TestParseNamesTheFlag(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-key 12", "-key: "},
		{"-listen nowhere", "-listen: "},
		{"-bootnode enode://12@127.0.0.1:1", "-bootnode enode://12@127.0.0.1:1: "},
		{"more", `unexpected argument "more"`},
	} {
		_, err := parse(strings.Fields(c.args))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.args, err, c.want)
		}
	}
}

func TestParseTakesListsAndDefaults(t *testing.T) {
	o, err := parse(strings.Fields("-register a -register b -search c"))
	if err != nil {
		t.Fatal(err)
	}
	if o.register.String() != "a,b" || o.search.String() != "c" {
		t.Errorf("register %v, search %v", o.register, o.search)
	}
	if !o.listen.IP.IsLoopback() || o.key == nil || o.period.Seconds() != 3 {
		t.Errorf("listen %v, key %v, period %v", o.listen, o.key != nil, o.period)
	}
}
