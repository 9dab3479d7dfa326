package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// say runs the command line and returns what it prints.
func say(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Errorf("%v: %v", args, err)
	}
	return out.String()
}

// every calls f for each command that a user sees.
func every(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			every(c, f)
		}
	}
}

func TestEveryCommandTellsWhatItIsForAndHasOnlyItsOwnFlags(t *testing.T) {
	every(root(), func(c *cobra.Command) {
		// These two are other programs with their own help, which a user's machine needs no cluster for.
		if name := c.CommandPath(); name == "status-cluster kubectl" || name == "status-cluster helm" {
			return
		}
		help := say(t, append(strings.Fields(c.CommandPath())[1:], "--help")...)
		about := c.Long
		if about == "" {
			about = c.Short
		}
		if about == "" || !strings.HasPrefix(help, strings.TrimSpace(about)) || !strings.Contains(help, "Usage:\n  "+c.CommandPath()) {
			t.Errorf("%s: %s", c.CommandPath(), help)
		}
		if strings.Contains(help, "reported version") {
			t.Errorf("%s has a component's flags: %s", c.CommandPath(), help)
		}
	})
}

func TestAToolIsAskedForHelpByItsOwnArgumentsOnly(t *testing.T) {
	for args, want := range map[string]bool{
		"": true, "help": true, "get --help": true, "get pods -h": true, "exec p -- ls -h": false, "get pods": false, "-- -h": true,
	} {
		if got := asksForHelp(strings.Fields(args)); got != want {
			t.Errorf("%q: %v", args, got)
		}
	}
}

func TestTheShellCompletesMachinesServicesAndWords(t *testing.T) {
	dir := t.TempDir()
	book := `{"balancers": {"u": {"service": "n/mail-0", "address": "198.51.100.7"}}}`
	if err := os.MkdirAll(filepath.Join(dir, "lb"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lb/addresses.json"), []byte(book), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"exec --in ":           "outside\nnode1\nnode2\n",
		"lb change ":           "n/mail-0\n",
		"lb delay ":            "n/mail-0\n",
		"lb hostname n/mail-0": "n/mail-0\n",
		"lb hostname s ":       "on\noff\n",
		"lb mixed ":            "refuse\nallow\n",
		"tool ":                "kubectl\nhelm\n",
		"im":                   "image\tPacks images, loads them into the nodes\n",
	} {
		words := append([]string{"__complete", "--state", dir}, strings.Fields(args)...)
		if strings.HasSuffix(args, " ") {
			words = append(words, "")
		}
		if got := say(t, words...); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q", args, got)
		}
	}
}
