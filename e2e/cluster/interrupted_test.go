package cluster_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestInterruptedUpLeavesNothing(t *testing.T) {
	c := start(t)
	for _, after := range []time.Duration{200 * time.Millisecond, time.Second, 4 * time.Second} {
		cmd := exec.Command(c.program, "up")
		cmd.Env = append(os.Environ(), "STATUS_CLUSTER_DIR="+c.dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
			t.Errorf("interrupted after %s: %v", after, err)
		}
		if left, err := os.ReadDir(c.dir); err != nil || len(left) != 1 {
			t.Errorf("interrupted after %s: %v %v", after, left, err)
		}
		if _, err := c.output("status"); err == nil {
			t.Error("a cluster is up")
		}
	}
	c.must("down")
}

func TestAKilledClusterIsRaisedAgain(t *testing.T) {
	c := start(t)
	c.must("up")
	c.must("kubectl", "create", "configmap", "kept")
	// Of a machine only the first process is killed: the others of a node end with it, those of `outside` do not.
	for _, machine := range []string{"node1", "outside"} {
		data, err := os.ReadFile(filepath.Join(c.dir, machine, "process.json"))
		if err != nil {
			t.Fatal(err)
		}
		var process struct{ PID int }
		if err := errors.Join(json.Unmarshal(data, &process), syscall.Kill(process.PID, syscall.SIGKILL)); err != nil {
			t.Fatal(err)
		}
	}
	c.until("it is seen", func() error {
		if _, err := c.output("status"); err == nil {
			return errors.New("status says it is up")
		}
		return nil
	})
	c.must("up")
	c.must("kubectl", "get", "configmap", "kept")
}
