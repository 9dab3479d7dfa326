package supervise

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The supervisor waits for every child of its process, so it has a process of its own here.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SUPERVISE_IN"); dir != "" {
		Run([]Component{
			{Name: "ends", Path: "/bin/sh", Args: []string{"-c", "echo started; exit 3"}, Log: filepath.Join(dir, "ends")},
			{Name: "stays", Path: "/bin/sh", Args: []string{"-c", "echo $$; exec sleep 60"}, Log: filepath.Join(dir, "stays")},
		})
	}
	os.Exit(m.Run())
}

func TestAnEndedComponentIsStartedAgainAndOthersAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SUPERVISE_IN="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() }()
	lines := func(name string) []string {
		data, _ := os.ReadFile(filepath.Join(dir, name))
		return strings.Fields(string(data))
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("never: ", what)
			}
		}
	}
	until("ends is started three times", func() bool { return len(lines("ends")) >= 3 })
	stays := lines("stays")
	if len(stays) != 1 {
		t.Fatalf("stays was started %d times", len(stays))
	}
	pid, err := strconv.Atoi(stays[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until("stays is started again after it was killed", func() bool { return len(lines("stays")) == 2 })
	// A killed component that nobody reaps would still be there as a zombie.
	until("the killed process is reaped", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}
