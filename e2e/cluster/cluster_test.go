// Package cluster_test runs the program on this machine: it raises clusters, uses them as users and tests do, removes them, and looks for
// what they left. It needs root, the programs that a cluster needs, and STATUS_CLUSTER_BIN, the program to test.
package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"e2e/cluster/internal/layout"
)

// soon bounds everything that is to happen by itself.
const soon = 60 * time.Second

type cluster struct {
	*testing.T
	program, dir string
	// settings are the kernel's settings before the cluster was raised.
	settings []string
}

// in is the cluster in a part of a test.
func (c cluster) in(t *testing.T) cluster {
	c.T = t
	return c
}

// output of a command; its exit code is that of the error.
func (c cluster) output(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Env = append(os.Environ(), "STATUS_CLUSTER_DIR="+c.dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("status-cluster %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(string(out)), err
}

func (c cluster) must(args ...string) string {
	c.Helper()
	out, err := c.output(args...)
	if err != nil {
		c.Fatal(err)
	}
	return out
}

func (c cluster) until(what string, ask func() error) time.Duration {
	c.Helper()
	start := time.Now()
	for {
		err := ask()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > soon {
			c.Fatalf("never %s: %v", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// outside runs the echo program as a client.
func (c cluster) outside(args ...string) (string, error) {
	return c.output(append([]string{"exec", "--", filepath.Join(c.dir, "test/root/echo")}, args...)...)
}

// pod runs the echo program in a pod.
func (c cluster) pod(namespace, name string, args ...string) (string, error) {
	return c.output(append([]string{"kubectl", "exec", "-n", namespace, name, "--", "/echo"}, args...)...)
}

func (c cluster) address(service string) string {
	c.Helper()
	address := ""
	c.until(service+" has an address", func() (err error) {
		address, err = c.output("kubectl", "get", "-n", "t", "service", service, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		if err == nil && address == "" {
			err = errors.New("none")
		}
		return err
	})
	return address
}

// answers dials until the server answers, and returns the address that it saw.
func (c cluster) answers(network, address string) string {
	c.Helper()
	seen := ""
	c.until(network+" "+address+" answers", func() (err error) {
		seen, err = c.outside("dial", network, address)
		return err
	})
	return seen
}

func start(t *testing.T) cluster {
	program := os.Getenv("STATUS_CLUSTER_BIN")
	if program == "" || os.Geteuid() != 0 {
		t.Skip("raises real clusters: run as root with STATUS_CLUSTER_BIN=path of status-cluster")
	}
	c := cluster{T: t, program: program, dir: filepath.Join(t.TempDir(), "state")}
	before := traces(t, c.dir)
	c.settings = settings(t)
	// After t.TempDir's own clean-up was registered, so before it runs.
	t.Cleanup(func() {
		c.must("down")
		if left, err := os.ReadDir(c.dir); err != nil || len(left) != 1 || left[0].Name() != "test" {
			t.Errorf("the state directory holds %v, %v", left, err)
		}
		after := traces(t, c.dir)
		for _, lost := range before {
			if !slices.Contains(after, lost) {
				t.Errorf("is no more: %s", lost)
			}
		}
		for _, left := range after {
			if !slices.Contains(before, left) {
				t.Errorf("was left: %s", left)
			}
		}
	})
	c.buildImage()
	return c
}

func (c cluster) buildImage() {
	c.Helper()
	root := filepath.Join(c.dir, "test/root")
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(root, "echo"), "./testdata/echo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		c.Fatalf("%v: %s", err, out)
	}
	c.must("image", "pack", root, "localhost/echo:1", `{"Entrypoint":["/echo"],"User":"65532:65532"}`, filepath.Join(c.dir, "test/echo.tar"))
}

// traces are what the cluster of a state directory could leave on the machine: mounts, network links and namespaces, cgroups,
// changed settings, directories, processes. Other clusters may come and go meanwhile.
func traces(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		found = append(found, "mount "+strings.Fields(line)[4])
	}
	found = append(found, settings(t)...)
	id := layout.Cluster{Dir: dir}.ID()
	for _, pattern := range []string{
		"/run/netns/*", "/sys/class/net/*", "/sys/fs/cgroup/status-cluster-" + id + "-*", "/sys/fs/cgroup/*/status-cluster-" + id + "-*",
		"/var/lib/*", "/var/log/*", "/run/*", "/etc/cni/*", "/opt/*", "/usr/libexec/*",
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, paths...)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		// An ended process has neither, also when its parent has not looked after it yet.
		environment, _ := os.ReadFile(filepath.Join(process, "environ"))
		command, _ := os.ReadFile(filepath.Join(process, "cmdline"))
		if strings.Contains(string(environment)+string(command), dir) {
			found = append(found, "process "+strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	slices.Sort(found)
	return found
}

// settings are the machine-wide kernel settings that a cluster's components would like to change.
func settings(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward"} {
		value, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, name+" = "+strings.TrimSpace(string(value)))
	}
	return found
}
