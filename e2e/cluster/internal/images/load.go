package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"

	"e2e/cluster/internal/layout"
	"e2e/cluster/internal/namespace"
)

// Load brings archives into the nodes, all nodes at once.
func Load(ctx context.Context, nodes []layout.Machine, archives []string) error {
	failures := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, node := range nodes {
		all.Go(func() {
			for _, archive := range archives {
				if err := load(ctx, node, archive); err != nil {
					failures[i] = fmt.Errorf("load %s into %s: %w", archive, node.Name, err)
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

func load(ctx context.Context, node layout.Machine, archive string) error {
	record, running := namespace.Find(node)
	if !running {
		return namespace.ErrNotRunning
	}
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := exec.CommandContext(ctx, "nsenter", "--target", strconv.Itoa(record.PID), "--mount", "--",
		"ctr", "--address", "/run/containerd/containerd.sock", "--namespace", "k8s.io", "images", "import", "-")
	cmd.Stdin = file
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
