// Package cluster_test runs the program on this machine: it raises clusters, uses them as users and tests do, removes them, and looks for
// what they left. It needs root, the programs that a cluster needs, and STATUS_CLUSTER_BIN, the program to test.
package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
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
	before := traces(t)
	c.settings = settings(t)
	// After t.TempDir's own clean-up was registered, so before it runs.
	t.Cleanup(func() {
		c.must("down")
		if left, err := os.ReadDir(c.dir); err != nil || len(left) != 1 || left[0].Name() != "test" {
			t.Errorf("the state directory holds %v, %v", left, err)
		}
		after := traces(t)
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

// traces are what a cluster could leave on the machine: mounts, network links and namespaces, cgroups, changed settings, directories.
func traces(t *testing.T) []string {
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
	for _, pattern := range []string{
		"/run/netns/*", "/sys/class/net/*", "/sys/fs/cgroup/status-cluster-*", "/sys/fs/cgroup/*/status-cluster-*", "/var/lib/*", "/var/log/*", "/run/*", "/etc/cni/*", "/opt/*", "/usr/libexec/*",
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, paths...)
	}
	commands, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range commands {
		name, err := os.ReadFile(path)
		// An ended process that its parent has not looked after yet has no command line.
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		for _, ours := range []string{"status-cluster", "containerd", "pause", "echo", "runc", "exe"} {
			if err == nil && len(line) > 0 && strings.HasPrefix(string(name), ours) {
				found = append(found, "process "+strings.TrimSpace(string(name)))
			}
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

func TestOneNode(t *testing.T) {
	c := start(t)
	began := time.Now()
	c.must("up", "--image", filepath.Join(c.dir, "test/echo.tar"))
	t.Logf("up after %.1f s", time.Since(began).Seconds())
	if now := settings(t); !slices.Equal(now, c.settings) {
		t.Errorf("the machine's settings were %v and are %v", c.settings, now)
	}
	c.must("kubectl", "apply", "--server-side", "-f", "testdata/objects.yaml")
	c.must("kubectl", "rollout", "status", "-n", "t", "statefulset/echo", "--timeout=60s")
	c.must("kubectl", "wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
	for name, test := range map[string]func(cluster){
		"up again": (cluster).upAgain, "exit codes": (cluster).exitCodes, "volume": (cluster).volume, "source address": (cluster).sourceAddress,
		"names": (cluster).names, "pod security": (cluster).podSecurity,
	} {
		t.Run(name, func(t *testing.T) { test(c.in(t)) })
	}
	t.Run("controls", func(t *testing.T) { c.in(t).controls() })
	t.Run("health", func(t *testing.T) { c.in(t).health() })
	t.Run("policy", func(t *testing.T) { c.in(t).policy() })
	t.Run("helm", func(t *testing.T) { c.in(t).helm() })
	t.Run("keep", func(t *testing.T) { c.in(t).keep() })
}

func (c cluster) upAgain() {
	began := time.Now()
	c.must("up")
	if took := time.Since(began); took > 3*time.Second {
		c.Errorf("took %s", took)
	}
	if _, err := c.output("up", "--nodes", "2"); err == nil || !strings.Contains(err.Error(), "status-cluster down") {
		c.Errorf("another number of nodes: %v", err)
	}
	c.must("status")
}

func (c cluster) exitCodes() {
	for _, in := range []string{"outside", "node1"} {
		_, err := c.output("exec", "--in", in, "--", "sh", "-c", "exit 7")
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 7 {
			c.Errorf("%s: %v", in, err)
		}
	}
	if got := c.must("exec", "--", "pwd"); got != workDir(c.T) {
		c.Errorf("working directory %s", got)
	}
	// A program in `outside` may use every command.
	if got := c.must("exec", "--", c.program, "exec", "--in", "node1", "--", "hostname"); got != "node1" {
		c.Errorf("hostname %s", got)
	}
	if got := c.must("exec", "--", c.program, "kubectl", "get", "nodes", "-o", "name"); got != "node/node1" {
		c.Errorf("nodes %s", got)
	}
}

func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (c cluster) volume() {
	if _, err := c.pod("t", "echo-0", "write", "/data/f", "kept"); err != nil {
		c.Fatal("a pod of another user than root, by its fsGroup: ", err)
	}
	if class := c.must("kubectl", "get", "-n", "t", "pvc", "data-echo-0", "-o", "jsonpath={.spec.storageClassName}"); class != "standard" {
		c.Errorf("storage class %q", class)
	}
}

func (c cluster) sourceAddress() {
	local, shared := c.address("local"), c.address("cluster")
	for _, network := range []string{"tcp", "udp"} {
		if seen := c.answers(network, local+":7000"); !strings.HasPrefix(seen, "10.90.0.254:") {
			c.Errorf("%s: the server saw %s", network, seen)
		}
	}
	c.answers("tcp", shared+":7000")
	// A port that the Service does not have, and an address that nobody has: told at once, not after a time.
	for _, address := range []string{shared + ":7001", "198.51.100.250:7000"} {
		began := time.Now()
		if _, err := c.outside("dial", "tcp", address); err == nil || time.Since(began) > time.Second {
			c.Errorf("%s: %v after %s", address, err, time.Since(began))
		}
	}
}

func (c cluster) names() {
	for _, name := range []string{"kubernetes.default.svc.cluster.local", "echo.t", "echo-0.echo.t.svc.cluster.local"} {
		if out, err := c.pod("default", "client", "lookup", name); err != nil || !strings.HasPrefix(out, "[10.") {
			c.Errorf("%s: %s %v", name, out, err)
		}
	}
	if out, err := c.pod("default", "client", "lookup", "nowhere.t.svc.cluster.local"); err == nil {
		c.Errorf("a name that is not: %s", out)
	}
	pod := c.must("kubectl", "get", "-n", "kube-system", "pod", "-l", "k8s-app=kube-dns", "-o", "jsonpath={.items[0].status.podIP}")
	for _, server := range []string{"10.96.0.10", pod, "10.90.0.254"} {
		if out, err := c.output("exec", "--", "busybox", "nslookup", "echo.t.svc.cluster.local", server); err == nil {
			c.Errorf("%s answers a client outside: %s", server, out)
		}
	}
}

func (c cluster) podSecurity() {
	_, err := c.output("kubectl", "run", "-n", "t", "root", "--image=localhost/echo:1", "--privileged")
	if err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
		c.Errorf("%v", err)
	}
}

func (c cluster) controls() {
	defer c.must("lb", "reset")
	before := c.address("local")
	after := c.must("lb", "change", "t/local")
	c.until("the Service has the new address", func() error {
		if now := c.address("local"); now != after || now == before {
			return fmt.Errorf("%s", now)
		}
		return nil
	})
	c.answers("tcp", after+":7000")
	if out, err := c.outside("dial", "tcp", before+":7000"); err == nil {
		c.Errorf("the old address answers: %s", out)
	}

	c.must("lb", "hostname", "t/local", "on")
	const name = "local.t.lb.status-cluster.test"
	c.until("the Service has a hostname", func() error {
		if got := c.must("kubectl", "get", "-n", "t", "service", "local", "-o", "jsonpath={.status.loadBalancer.ingress[*].hostname}{.status.loadBalancer.ingress[*].ip}"); got != name {
			return errors.New(got)
		}
		return nil
	})
	for _, network := range []string{"tcp", "udp"} {
		if seen := c.answers(network, name+":7000"); !strings.HasPrefix(seen, "10.90.0.254:") {
			c.Errorf("%s by hostname: the server saw %s", network, seen)
		}
	}
	if out, err := c.pod("default", "client", "lookup", name); err != nil {
		c.Errorf("%s in a pod: %s %v", name, out, err)
	}
	c.must("lb", "hostname", "t/local", "off")

	c.must("lb", "delay", "t/late", "4s")
	began := time.Now()
	c.must("kubectl", "create", "service", "loadbalancer", "-n", "t", "late", "--tcp=7000")
	c.address("late")
	if took := time.Since(began); took < 3*time.Second || took > 8*time.Second {
		c.Errorf("the address came after %s", took)
	}
	first := c.address("late")
	c.must("kubectl", "delete", "service", "-n", "t", "late")
	c.must("lb", "delay", "t/late", "0s")
	c.must("kubectl", "create", "service", "loadbalancer", "-n", "t", "late", "--tcp=7000")
	if again := c.address("late"); again == first {
		c.Errorf("%s was given again at once", again)
	}

	c.must("lb", "mixed", "refuse")
	defer c.must("kubectl", "delete", "service", "-n", "t", "mixed", "late")
	c.must("kubectl", "apply", "-f", "testdata/mixed.yaml")
	c.until("the mix is refused by condition and event", func() error {
		reason := c.must("kubectl", "get", "-n", "t", "service", "mixed", "-o", `jsonpath={.status.conditions[?(@.type=="LoadBalancerPortsError")].reason}`)
		events := c.must("kubectl", "get", "-n", "t", "events", "--field-selector", "involvedObject.name=mixed,reason=SyncLoadBalancerFailed", "-o", "name")
		if reason != "LoadBalancerMixedProtocolNotSupported" || events == "" {
			return fmt.Errorf("%q %q", reason, events)
		}
		return nil
	})
	c.must("lb", "mixed", "allow")
	c.address("mixed")
}

// health: a Service with externalTrafficPolicy Local and no ready pod takes no connections, and takes them again.
func (c cluster) health() {
	address := c.address("local")
	c.must("kubectl", "scale", "-n", "t", "statefulset", "echo", "--replicas=0")
	took := c.until("connections end", func() error {
		if out, err := c.outside("dial", "tcp", address+":7000"); err == nil {
			return errors.New(out)
		}
		return nil
	})
	c.until("there is no target", func() error {
		for line := range strings.Lines(c.must("lb")) {
			if f := strings.Fields(line); f[0] == "t/local" && len(f) > 3 {
				return errors.New(line)
			}
		}
		return nil
	})
	c.must("kubectl", "scale", "-n", "t", "statefulset", "echo", "--replicas=1")
	c.answers("tcp", address+":7000")
	c.Logf("no connections %s after the scale-down", took)
}

func (c cluster) policy() {
	ip := c.must("kubectl", "get", "-n", "t", "pod", "echo-0", "-o", "jsonpath={.status.podIP}")
	local := c.address("local")
	c.answers("tcp", ip+":7000")
	c.must("kubectl", "apply", "-f", "testdata/policy.yaml")
	for _, address := range []string{ip, local, c.address("cluster")} {
		c.until("closed to clients outside at "+address, func() error {
			if out, err := c.outside("dial", "tcp", address+":7000"); err == nil {
				return errors.New(out)
			}
			return nil
		})
	}
	if out, err := c.pod("default", "client", "dial", "tcp", "echo.t:7000"); err != nil {
		c.Errorf("the namespace that may: %s %v", out, err)
	}
	if out, err := c.pod("default", "client", "dial", "udp", "echo.t:7000"); err == nil {
		c.Errorf("the protocol that may not: %s", out)
	}
	c.must("kubectl", "run", "other", "-n", "kube-system", "--image=localhost/echo:1", "--image-pull-policy=Never", "--", "serve")
	c.must("kubectl", "wait", "--for=condition=Ready", "-n", "kube-system", "pod/other", "--timeout=60s")
	if out, err := c.pod("kube-system", "other", "dial", "tcp", "echo.t:7000"); err == nil {
		c.Errorf("the namespace that may not: %s", out)
	}
	// kubelet's probes pass: the pod gets ready under the policy.
	c.must("kubectl", "delete", "pod", "-n", "t", "echo-0")
	c.until("the new pod is ready", func() error {
		_, err := c.output("kubectl", "wait", "--for=condition=Ready", "-n", "t", "pod/echo-0", "--timeout=1s")
		return err
	})
	c.must("kubectl", "delete", "-f", "testdata/policy.yaml")
	c.answers("tcp", local+":7000")
}

func (c cluster) helm() {
	chart := filepath.Join(c.TempDir(), "chart")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(chart, "templates"), 0o755),
		os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte("apiVersion: v2\nname: chart\nversion: 1.0.0\n"), 0o644),
		os.WriteFile(filepath.Join(chart, "templates/c.yaml"), []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {v: \"{{ .Values.v }}\"}\n"), 0o644),
	); err != nil {
		c.Fatal(err)
	}
	c.must("helm", "install", "r", chart, "--set", "v=1", "--wait")
	c.must("helm", "upgrade", "r", chart, "--set", "v=2", "--wait")
	if got := c.must("kubectl", "get", "configmap", "c", "-o", "jsonpath={.data.v}"); got != "2" {
		c.Errorf("%s", got)
	}
	c.must("helm", "uninstall", "r")
}

// keep: objects, volumes and addresses outlive the cluster, and the data of a deleted claim goes.
func (c cluster) keep() {
	address := c.address("local")
	c.must("down", "--keep")
	began := time.Now()
	c.must("up")
	c.Logf("up on kept state after %.1f s", time.Since(began).Seconds())
	c.until("the pod is ready", func() error {
		_, err := c.output("kubectl", "wait", "--for=condition=Ready", "-n", "t", "pod/echo-0", "--timeout=1s")
		return err
	})
	c.until("the volume is there", func() error {
		out, err := c.pod("t", "echo-0", "read", "/data/f")
		if err == nil && out != "kept" {
			err = errors.New(out)
		}
		return err
	})
	if now := c.address("local"); now != address {
		c.Errorf("the address was %s and is %s", address, now)
	}
	c.answers("tcp", address+":7000")
	volumes := filepath.Join(c.dir, "volumes/node1")
	c.must("kubectl", "delete", "statefulset", "-n", "t", "echo")
	c.must("kubectl", "delete", "pvc", "-n", "t", "data-echo-0", "--timeout=60s")
	c.until("its data is gone", func() error {
		left, err := os.ReadDir(volumes)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%v", left)
		}
		return err
	})
}

func TestTwoNodes(t *testing.T) {
	c := start(t)
	began := time.Now()
	c.must("up", "--nodes", "2", "--image", filepath.Join(c.dir, "test/echo.tar"))
	t.Logf("up after %.1f s", time.Since(began).Seconds())
	c.must("kubectl", "apply", "--server-side", "-f", "testdata/objects.yaml")
	c.must("kubectl", "patch", "-n", "t", "statefulset", "echo", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"node2"}}}}}`)
	c.must("kubectl", "rollout", "status", "-n", "t", "statefulset/echo", "--timeout=60s")
	zones := c.must("kubectl", "get", "nodes", "-o", `jsonpath={.items[*].metadata.labels.topology\.kubernetes\.io/zone}`)
	if zones != "zone-1 zone-2" {
		t.Errorf("zones %q", zones)
	}
	local, shared := c.address("local"), c.address("cluster")
	if seen := c.answers("tcp", local+":7000"); !strings.HasPrefix(seen, "10.90.0.254:") {
		t.Errorf("the server saw %s", seen)
	}
	targets := func() map[string][]string {
		data, err := os.ReadFile(filepath.Join(c.dir, "lb/targets.json"))
		if err != nil {
			t.Fatal(err)
		}
		var list []struct {
			Service string
			Nodes   []string
		}
		if err := json.Unmarshal(data, &list); err != nil {
			t.Fatal(err)
		}
		nodes := map[string][]string{}
		for _, l := range list {
			nodes[l.Service] = l.Nodes
		}
		return nodes
	}
	c.until("Local goes to the pod's node, Cluster to both", func() error {
		if now := targets(); !slices.Equal(now["t/local"], []string{"10.90.0.2"}) || len(now["t/cluster"]) != 2 {
			return fmt.Errorf("%v", now)
		}
		return nil
	})
	// Twenty connections by either node: each one is answered.
	sources := map[string]bool{}
	for range 20 {
		seen, err := c.outside("dial", "tcp", shared+":7000")
		if err != nil {
			t.Fatal(err)
		}
		host, _, _ := strings.Cut(seen, ":")
		sources[host] = true
	}
	if len(sources) != 2 {
		t.Errorf("connections came by %v only", sources)
	}
	c.must("kubectl", "apply", "-f", "testdata/policy.yaml")
	for _, address := range []string{local, shared} {
		c.until("closed to clients outside at "+address, func() error {
			if out, err := c.outside("dial", "tcp", address+":7000"); err == nil {
				return errors.New(out)
			}
			return nil
		})
	}
	if out, err := c.pod("default", "client", "dial", "tcp", "echo.t:7000"); err != nil {
		t.Errorf("the namespace that may: %s %v", out, err)
	}
	c.must("exec", "--", "ip", "link", "set", "node2", "down")
	c.until("a node that is cut off takes no connections", func() error {
		if now := targets(); len(now["t/local"]) != 0 || !slices.Equal(now["t/cluster"], []string{"10.90.0.1"}) {
			return fmt.Errorf("%v", now)
		}
		return nil
	})
	c.must("exec", "--", "ip", "link", "set", "node2", "up")
	c.must("kubectl", "wait", "--for=condition=Ready", "node/node2", "--timeout=60s")
}

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
