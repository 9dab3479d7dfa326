package lifecycle

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"e2e/cluster/internal/layout"
	"e2e/cluster/internal/namespace"
)

// Status writes what runs; it fails when no cluster does, or when one is not well.
func Status(ctx context.Context, c layout.Cluster, out io.Writer) error {
	if err := MustRun(c); err != nil {
		return err
	}
	shape, err := LoadShape(c)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig("admin"))
	if err != nil {
		return err
	}
	if err := inside(config, c); err != nil {
		return err
	}
	config.Timeout = 5 * time.Second
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(table, "state\t%s\nkubeconfig\t%s\nAPI server\t%s (from inside: status-cluster exec, kubectl, helm)\n", c.Dir, c.Kubeconfig("admin"), c.APIServer())
	ill := apiServes(ctx, config)
	for _, node := range c.Nodes(shape.Nodes) {
		state := "Ready"
		if err := nodeReady(ctx, config, node.Name, time.Time{}); err != nil {
			state = err.Error()
			ill = fmt.Errorf("%s: %w", node.Name, err)
		}
		fmt.Fprintf(table, "%s\t%s, pods %s, %s: %s\n", node.Name, node.IP(), node.PodCIDR(), node.Zone(), state)
	}
	fmt.Fprintf(table, "outside\t%s\nmemory\t%d MiB in the cluster's own processes\n", layout.OutsideIP, memory(c, shape)>>20)
	if err := table.Flush(); err != nil {
		return err
	}
	return ill
}

// memory is what the first processes of the machines and what they started use, in bytes: pages that many share count once.
func memory(c layout.Cluster, s Shape) (total uint64) {
	roots := map[string]bool{}
	for _, m := range append(c.Nodes(s.Nodes), c.Outside()) {
		if r, found := namespace.Find(m); found {
			roots[strconv.Itoa(r.PID)] = true
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		if roots[filepath.Base(process)] || roots[field(filepath.Join(process, "status"), "PPid")] {
			kib, _ := strconv.ParseUint(strings.TrimSuffix(field(filepath.Join(process, "smaps_rollup"), "Pss"), " kB"), 10, 64)
			total += kib << 10
		}
	}
	return total
}

// field is the value of a line "name: value"; empty for a process that ended.
func field(path, name string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(line, ":"); key == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
