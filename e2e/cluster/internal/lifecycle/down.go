package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"e2e/cluster/internal/cgroup"
	"e2e/cluster/internal/layout"
	"e2e/cluster/internal/namespace"
)

// parts are what a cluster has in its state directory. Nothing else there is touched, should the directory be a user's.
var parts = []string{"pki", "kubeconfig", "etcd", "volumes", "images", "lb", "shape.json", "resolv.conf", "outside", "node1", "node2", "kubectl-cache", "lock"}

// Down removes a cluster, with its data unless keep. It succeeds when there is none.
func Down(ctx context.Context, c layout.Cluster, keep bool, p *Progress) error {
	start := time.Now()
	if os.Geteuid() != 0 {
		return namespace.ErrNotRoot
	}
	if !exists(c.Dir) {
		p.Say("no cluster is up")
		return nil
	}
	unlock, err := lock(ctx, c, p)
	if err != nil {
		return err
	}
	defer unlock()
	shape, err := LoadShape(c)
	if err != nil {
		return err
	}
	if err := remove(c, keep); err != nil {
		return err
	}
	if shape.Nodes == 0 {
		p.Say("no cluster is up")
	} else {
		p.Say("removed after %.1f s", time.Since(start).Seconds())
	}
	return nil
}

// stop ends every process of the cluster; namespaces, mounts and links end with them.
func stop(c layout.Cluster) error {
	machines := append(c.Nodes(layout.MaxNodes), c.Outside())
	failures := make([]error, len(machines))
	var all sync.WaitGroup
	for i, m := range machines {
		all.Go(func() {
			if failures[i] = namespace.Kill(m); failures[i] == nil && m.Index > 0 {
				failures[i] = cgroup.Remove(m)
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

func remove(c layout.Cluster, keep bool) error {
	if err := stop(c); err != nil {
		return err
	}
	if keep {
		return nil
	}
	for _, name := range parts {
		if err := os.RemoveAll(c.Path(name)); err != nil {
			return fmt.Errorf("remove the cluster's data: %w", err)
		}
	}
	// Stays when there is something of the user's in it.
	_ = os.Remove(c.Dir)
	return nil
}
