package cluster_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

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
		"authorization": (cluster).authorization, "kubelet's defaults": (cluster).kubeletDefaults,
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

// authorization: who is nobody is refused, a service account may only what a role gives it, a node only what is its own.
func (c cluster) authorization() {
	reads := func(as ...string) (string, error) {
		return c.output(append([]string{"kubectl", "get", "configmaps", "-n", "t", "-o", "name"}, as...)...)
	}
	account := []string{"--as=system:serviceaccount:t:default", "--as-group=system:serviceaccounts", "--as-group=system:authenticated"}
	if _, err := reads(account...); err == nil || !strings.Contains(err.Error(), "Forbidden") {
		c.Errorf("a service account without a role: %v", err)
	}
	c.must("kubectl", "create", "role", "-n", "t", "reader", "--verb=list", "--resource=configmaps")
	c.must("kubectl", "create", "rolebinding", "-n", "t", "reader", "--role=reader", "--serviceaccount=t:default")
	c.until("the role is in force", func() error {
		_, err := reads(account...)
		return err
	})
	c.must("kubectl", "delete", "-n", "t", "role/reader", "rolebinding/reader")
	if _, err := c.output("exec", "--", c.program, "tool", "kubectl", "get", "configmaps", "--kubeconfig="+filepath.Join(c.dir, "kubeconfig/kubelet-node1")); err == nil || !strings.Contains(err.Error(), "Forbidden") {
		c.Errorf("a node reads what no pod of it mounts: %v", err)
	}
	if _, err := c.output("exec", "--", c.program, "tool", "kubectl", "get", "configmaps", "--kubeconfig=/dev/null", "--server=https://10.90.0.1:6443", "--insecure-skip-tls-verify", "--token=none"); err == nil || !strings.Contains(err.Error(), "Unauthorized") {
		c.Errorf("nobody: %v", err)
	}
}

// kubeletDefaults: how soon a pod sees a changed ConfigMap is what users have. Asked of the running kubelet, not of its file.
func (c cluster) kubeletDefaults() {
	config := c.must("kubectl", "get", "--raw", "/api/v1/nodes/node1/proxy/configz")
	for _, want := range []string{`"syncFrequency":"1m0s"`, `"configMapAndSecretChangeDetectionStrategy":"Watch"`} {
		if !strings.Contains(config, want) {
			c.Errorf("no %s in %s", want, config)
		}
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
	c.egress()
}

// egress: a pod reaches the block that its policy names, on the ports that it names, and nothing else.
func (c cluster) egress() {
	const block = "10.244.0.0/16"
	c.must("kubectl", "apply", "-f", "testdata/egress.yaml")
	defer c.must("kubectl", "delete", "-f", "testdata/egress.yaml")
	ip := c.must("kubectl", "get", "-n", "t", "pod", "echo-0", "-o", "jsonpath={.status.podIP}")
	if !netip.MustParsePrefix(block).Contains(netip.MustParseAddr(ip)) {
		c.Fatalf("the pod's address %s is not in the policy's block %s", ip, block)
	}
	c.until("closed to other protocols", func() error {
		if out, err := c.pod("default", "client", "dial", "udp", ip+":7000"); err == nil {
			return errors.New(out)
		}
		return nil
	})
	if out, err := c.pod("default", "client", "dial", "tcp", ip+":7000"); err != nil {
		c.Errorf("the block and port that it may: %s %v", out, err)
	}
	if out, err := c.pod("default", "client", "dial", "tcp", "10.90.0.1:6443"); err == nil {
		c.Errorf("an address outside the block: %s", out)
	}
	if out, err := c.pod("default", "client", "dial", "tcp", "10.96.0.10:53"); err == nil || !strings.Contains(err.Error(), "timeout") {
		c.Errorf("a port outside the range: %s %v", out, err)
	}
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
