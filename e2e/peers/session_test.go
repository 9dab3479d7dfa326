package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program is the binary, built once: the tests run it as tests outside do.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "status-peer")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "status-peer")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func serveAt(t *testing.T, args ...string) string {
	t.Helper()
	c := exec.Command(program, append([]string{"serve"}, args...)...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("serve printed nothing")
	}
	drained := make(chan struct{})
	go func() {
		for lines.Scan() {
		}
		close(drained)
	}()
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		<-drained
		if err := c.Wait(); err != nil {
			t.Errorf("serve ended with %v", err)
		}
	})
	var first struct{ Enode string }
	if err := json.Unmarshal(lines.Bytes(), &first); err != nil {
		t.Fatal(err)
	}
	return first.Enode
}

func runs(t *testing.T, wantCode int, args ...string) []map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	code := 0
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		code = failed.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if code != wantCode {
		t.Fatalf("%v exits with %d, want %d: %s", args, code, wantCode, stderr.String())
	}
	var lines []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		m := map[string]any{}
		if line != "" {
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			lines = append(lines, m)
		}
	}
	return lines
}

func TestConnectTellsWhoIsThere(t *testing.T) {
	enode := serveAt(t)
	for version, want := range map[string]float64{"0": 0, "1": 1, "0,1": 1} {
		got := runs(t, exitDone, "connect", enode, "-waku", version)[0]
		if got["version"] != want || !strings.HasPrefix(got["name"].(string), "status-peer/") {
			t.Errorf("waku %s: %v", version, got)
		}
	}
}

func TestAClientSaysWhichAddressAndIdentityItHas(t *testing.T) {
	enode := serveAt(t)
	key := strings.Repeat("0", 63) + "1" // whose public key is the curve's base point
	const id = "c0a6c424ac7157ae408398df7e5f4552091a69125d5dfcb7b8c2659029395bdf"
	connected := runs(t, exitDone, "connect", enode, "-key", key)[0]
	watching := runs(t, exitDone, "watch", enode, "-key", key, "-timeout", "1s")[0]
	for _, said := range []map[string]any{connected, watching} {
		remote, _ := said["remoteAddress"].(string)
		if said["self"] != id || !strings.HasPrefix(said["localAddress"].(string), "127.0.0.1:") || !strings.Contains(enode, remote) {
			t.Errorf("%v", said)
		}
	}
}

func TestPostedEnvelopeIsConfirmedAndComesBack(t *testing.T) {
	enode := serveAt(t)
	posted := runs(t, exitDone, "post", enode, "-channel", "status", "-payload", "hello", "-confirm")[0]
	if posted["confirmed"] != true {
		t.Fatalf("not confirmed: %v", posted)
	}
	for _, form := range []string{"plain", "encrypted"} {
		lines := runs(t, exitDone, "history", enode, "-channel", "status", "-form", form)
		if len(lines) != 2 || lines[0]["raw"] != posted["raw"] || lines[1]["lastReceived"] != true {
			t.Errorf("%s: %v", form, lines)
		}
	}
}

func TestHistoryFollowsCursors(t *testing.T) {
	enode := serveAt(t, "-fill", "25")
	lines := runs(t, exitDone, "history", enode, "-limit", "10", "-all")
	seen := map[any]bool{}
	pages := 0
	for _, line := range lines {
		if line["type"] == "completion" {
			pages++
		} else {
			seen[line["hash"]] = true
		}
	}
	if len(seen) != 25 || pages != 3 {
		t.Errorf("%d envelopes in %d pages", len(seen), pages)
	}
}

func TestWatchSeesWhatAnotherPosts(t *testing.T) {
	enode := serveAt(t)
	c := exec.Command(program, "watch", enode, "-topic", "01020304", "-count", "1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.Contains(lines.Text(), "watching") {
		t.Fatalf("first line %q", lines.Text())
	}
	posted := runs(t, exitDone, "post", enode, "-topic", "01020304", "-confirm")[0]
	if !lines.Scan() || !strings.Contains(lines.Text(), posted["raw"].(string)) {
		t.Errorf("second line %q", lines.Text())
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// devp2p.md §2.5: either side may be of version 4, and then neither compresses.
func TestWithoutSnappy(t *testing.T) {
	for _, sides := range [][2]string{{"false", "false"}, {"true", "false"}, {"false", "true"}} {
		enode := serveAt(t, "-snappy="+sides[0])
		client := "-snappy=" + sides[1]
		for _, version := range []string{"0", "1"} {
			topic := "0102030" + version
			posted := runs(t, exitDone, "post", enode, "-topic", topic, "-confirm", client, "-waku", version)[0]
			lines := runs(t, exitDone, "history", enode, "-topic", topic, client, "-waku", version)
			if posted["confirmed"] != true || len(lines) != 2 || lines[0]["raw"] != posted["raw"] {
				t.Errorf("server %s, client %s, waku/%s: %v, %v", sides[0], sides[1], version, posted, lines)
			}
		}
	}
}

func TestMisbehaviour(t *testing.T) {
	for mode, c := range map[string]struct {
		code int
		want string
	}{
		"empty-history": {exitDone, `"last":"` + strings.Repeat("0", 64)},
		"drop-127":      {exitDone, `"lastReceived":false`},
		"refuse":        {exitRefused, `"error":"refused by the test peer"`},
		"silent":        {exitTimeout, ""},
		"wrong-id":      {exitTimeout, ""},
	} {
		t.Run(mode, func(t *testing.T) {
			enode := serveAt(t, "-mode", mode, "-fill", "1")
			lines := runs(t, c.code, "history", enode, "-channel", "status", "-timeout", "2s")
			if c.want == "" {
				return
			}
			last, _ := json.Marshal(lines[len(lines)-1])
			if !strings.Contains(string(last), c.want) {
				t.Errorf("completion is %s", last)
			}
		})
	}
}

func TestWrongPasswordIsRefused(t *testing.T) {
	enode := serveAt(t, "-password", "another")
	runs(t, exitRefused, "history", enode, "-channel", "status", "-form", "encrypted")
}

func TestExitCodes(t *testing.T) {
	runs(t, exitUsage)
	runs(t, exitUsage, "nonsense")
	runs(t, exitUsage, "connect")
	runs(t, exitUsage, "connect", "enode://00@127.0.0.1:1")
	runs(t, exitUsage, "post", "enode://00@127.0.0.1:1", "-topic", "xx")
	key := "82c4d72810c43f35c57f02b1b6bb0099a1cd58a44c4b210ccd10f326330ce41f0610144ec77e28036f7eb09cf87eababb659c58d1a9a832a3097e70ec7c7ecef"
	runs(t, exitConnect, "connect", "enode://"+key+"@127.0.0.1:1")
	enode := serveAt(t)
	runs(t, exitTimeout, "watch", enode, "-count", "1", "-timeout", "1s")
	other := "enode://" + key + enode[strings.Index(enode, "@"):]
	runs(t, exitConnect, "connect", other)
}
