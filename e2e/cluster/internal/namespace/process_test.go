package namespace

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"e2e/cluster/internal/files"
	"e2e/cluster/internal/layout"
)

func TestStartTimeIsField22WhateverTheProcessIsCalled(t *testing.T) {
	const rest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21"
	for _, name := range []string{"(a)", "(a b)", "(a) S 1 2)", "(()"} {
		if got, err := startTime("12 " + name + rest); err != nil || got != 4711 {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "12 (a", "12 (a) S 1", "12 (a) Z" + rest[2:]} {
		if got, err := startTime(bad); err == nil {
			t.Errorf("%q: %d", bad, got)
		}
	}
}

func TestAProcessThatTookTheNumberOfAnEndedOneIsNotFound(t *testing.T) {
	m := layout.Cluster{Dir: t.TempDir()}.Node(1)
	self, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := files.WriteJSON(m.PIDFile(), self); err != nil {
		t.Fatal(err)
	}
	if _, found := Find(m); !found {
		t.Error("the process itself is not found")
	}
	self.Start--
	if err := files.WriteJSON(m.PIDFile(), self); err != nil {
		t.Fatal(err)
	}
	if _, found := Find(m); found {
		t.Error("another process is taken for the machine")
	}
}

func TestAnEndedProcessIsNotFoundBeforeItIsReaped(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := identify(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	in.Close()
	for {
		if _, err := identify(cmd.Process.Pid); err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyMarkedProcessesOfTheNamespaceAreMembers(t *testing.T) {
	m := layout.Cluster{Dir: "/state/of/this/test"}.Outside()
	start := func(environment ...string) int {
		cmd := exec.Command("sleep", "60")
		cmd.Env = environment
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd.Process.Pid
	}
	marked, other := start("A=b", mark(m)), start("STATUS_CLUSTER_DIR=/another")
	record, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// The number of the first process was taken by this one, which is in the same network namespace as both.
	record.Start--
	if got := members(m, record); !slices.Equal(got, []int{marked}) {
		t.Errorf("members %v; %d is one, %d is not", got, marked, other)
	}
	record.Network--
	if got := members(m, record); len(got) != 0 {
		t.Errorf("members %v of another namespace", got)
	}
}
