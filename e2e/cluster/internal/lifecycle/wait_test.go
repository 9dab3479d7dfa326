package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAWaitTellsWhatItIsForAndWhyItGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := (&Progress{Out: &out}).Wait(ctx, "node1 Ready", func() error { return errors.New("no network yet") })
		if err == nil || err.Error() != "gave up waiting for node1 Ready after 10 s: no network yet" {
			t.Error(err)
		}
		// A few lines for a log, not one each time it asks.
		if got := out.String(); got != "waiting for node1 Ready… 1 s\nwaiting for node1 Ready… 3 s\nwaiting for node1 Ready… 7 s\n" {
			t.Error(got)
		}
	})
}

func TestOnATerminalProgressIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		start := time.Now()
		err := (&Progress{Out: &out, Terminal: true}).Wait(t.Context(), "cluster DNS", func() error {
			if time.Since(start) < 2500*time.Millisecond {
				return errors.New("not yet")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(out.String(), "\r\033[K")
		if len(lines) != 5 || lines[3] != "waiting for cluster DNS… 2 s" || !strings.HasPrefix(lines[4], "cluster DNS after ") {
			t.Errorf("%q", lines)
		}
	})
}

func TestWhatIsThereAtOnceIsNotToldOf(t *testing.T) {
	var out bytes.Buffer
	if err := (&Progress{Out: &out}).Wait(t.Context(), "containerd", func() error { return nil }); err != nil || out.Len() > 0 {
		t.Errorf("%v %s", err, out.String())
	}
}
