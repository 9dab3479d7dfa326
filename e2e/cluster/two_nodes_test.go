package cluster_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

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
	// Local: the node without the pod would drop what came to it, and no source address changes on the way.
	for range 20 {
		if seen, err := c.outside("dial", "tcp", local+":7000"); err != nil || !strings.HasPrefix(seen, "10.90.0.254:") {
			t.Fatalf("%s %v", seen, err)
		}
	}
	// Cluster: twenty connections by either node, each one is answered.
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
