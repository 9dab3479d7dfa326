package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"e2e/cluster/internal/addons"
	"e2e/cluster/internal/files"
	"e2e/cluster/internal/images"
	"e2e/cluster/internal/layout"
	"e2e/cluster/internal/namespace"
	"e2e/cluster/internal/network"
	"e2e/cluster/internal/pki"
	"e2e/cluster/internal/render"
)

// Shape is what a cluster was raised with.
type Shape struct {
	Nodes int `json:"nodes"`
}

func shapeFile(c layout.Cluster) string { return c.Path("shape.json") }

// LoadShape reads what the cluster was raised with; no nodes if none was.
func LoadShape(c layout.Cluster) (Shape, error) {
	var s Shape
	err := files.ReadJSON(shapeFile(c), &s)
	if s.Nodes < 0 || s.Nodes > layout.MaxNodes {
		return Shape{}, fmt.Errorf("%s: %d nodes", shapeFile(c), s.Nodes)
	}
	return s, err
}

// Options of Up.
type Options struct {
	// Nodes is how many nodes to raise; 0 means those that the kept state has, else one.
	Nodes int
	// Images are archives to load.
	Images []string
	// Timeout bounds the whole.
	Timeout time.Duration
}

// Up raises a cluster, or finds it up. When the context ends before it is up (Ctrl-C), everything is removed again but state that
// was there before.
func Up(ctx context.Context, c layout.Cluster, o Options, p *Progress) error {
	cniBin, err := check()
	if err != nil {
		return err
	}
	for _, archive := range o.Images {
		if _, err := os.Stat(archive); err != nil {
			return fmt.Errorf("image archive: %w", err)
		}
	}
	if o.Nodes < 0 || o.Nodes > layout.MaxNodes {
		return fmt.Errorf("--nodes %d: at least 1, at most %d", o.Nodes, layout.MaxNodes)
	}
	unlock, err := lock(ctx, c, p)
	if err != nil {
		return err
	}
	defer unlock()
	before, err := LoadShape(c)
	if err != nil {
		return err
	}
	if o.Nodes == 0 {
		o.Nodes = max(before.Nodes, 1)
	}
	if before.Nodes > 0 && running(c, before) {
		if before.Nodes != o.Nodes {
			return fmt.Errorf("a cluster with %d node(s) is up; for %d remove it first: status-cluster down", before.Nodes, o.Nodes)
		}
		p.Say("the cluster is up already, with %d node(s)", before.Nodes)
		return images.Load(ctx, c.Nodes(before.Nodes), o.Images)
	}
	// What is left of a cluster that was killed.
	if err := stop(c); err != nil {
		return err
	}
	kept := exists(c.Path("etcd"))
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if err := raise(ctx, c, o, cniBin, p); err != nil {
		if !errors.Is(context.Cause(ctx), context.Canceled) {
			return fmt.Errorf("%w\nwhat its parts say is in %s; to remove it all: status-cluster down", err, c.Path("*", "components"))
		}
		p.Say("interrupted: removing what was made")
		return errors.Join(ErrInterrupted, remove(c, kept))
	}
	return nil
}

// ErrInterrupted says that the user ended a command.
var ErrInterrupted = errors.New("interrupted")

func raise(ctx context.Context, c layout.Cluster, o Options, cniBin string, p *Progress) error {
	start := time.Now()
	nodes := c.Nodes(o.Nodes)
	if err := files.WriteJSON(shapeFile(c), Shape{Nodes: o.Nodes}); err != nil {
		return err
	}
	if err := prepare(c, nodes, cniBin); err != nil {
		return err
	}
	if err := startMachines(c, nodes); err != nil {
		return err
	}
	if err := p.Wait(ctx, "containerd", func() error { return containersServe(nodes) }); err != nil {
		return err
	}
	if err := images.Load(ctx, nodes, append([]string{c.Path("images", "pause.tar")}, o.Images...)); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig("admin"))
	if err != nil {
		return err
	}
	if err := inside(config, c); err != nil {
		return err
	}
	if err := p.Wait(ctx, "the API server", func() error { return apiServes(ctx, config) }); err != nil {
		return err
	}
	if err := addons.Apply(ctx, config, c); err != nil {
		return fmt.Errorf("apply what every cluster has: %w", err)
	}
	for _, node := range nodes {
		if err := p.Wait(ctx, node.Name+" Ready", func() error { return nodeReady(ctx, config, node.Name, start) }); err != nil {
			return err
		}
	}
	if err := p.Wait(ctx, "cluster DNS", func() error { return dnsServes(ctx, config, start) }); err != nil {
		return err
	}
	p.Say("up with %d node(s) after %.1f s", o.Nodes, time.Since(start).Seconds())
	return nil
}

// prepare writes everything that the machines read.
func prepare(c layout.Cluster, nodes []layout.Machine, cniBin string) error {
	if err := pki.Ensure(c); err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	if err := errors.Join(os.MkdirAll(c.Path("lb"), 0o755), os.MkdirAll(c.Path("volumes"), 0o755), os.MkdirAll(c.Path("etcd"), 0o700)); err != nil {
		return err
	}
	if !exists(c.LoadBalancer("hosts")) {
		if err := files.Write(c.LoadBalancer("hosts"), nil, 0o644); err != nil {
			return err
		}
	}
	if err := files.Write(c.Path("resolv.conf"), []byte(render.ResolvConf()), 0o644); err != nil {
		return err
	}
	for _, node := range nodes {
		cni, err := render.CNI(node)
		if err != nil {
			return err
		}
		for name, text := range map[string]string{
			"containerd.toml": render.Containerd(cniBin), "kubelet.yaml": render.Kubelet(node), "proxy.yaml": render.Proxy(node), "cni/10-status-cluster.conflist": cni,
		} {
			if err := files.Write(node.Path(name), []byte(text), 0o644); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(c.Volumes(node.Name), 0o755); err != nil {
			return err
		}
	}
	if exists(c.Path("images", "pause.tar")) {
		return nil
	}
	return images.PackPause(c.Path("images", "pause.tar"))
}

// startMachines makes the namespaces, joins them, and lets their first processes go.
func startMachines(c layout.Cluster, nodes []layout.Machine) error {
	outside, err := namespace.Start(c.Outside())
	if err != nil {
		return err
	}
	started := []*namespace.Machine{outside}
	var records []namespace.Record
	for _, node := range nodes {
		m, err := namespace.Start(node)
		if err != nil {
			return err
		}
		started = append(started, m)
		records = append(records, m.Record)
	}
	if err := network.Connect(c, outside.Record, records); err != nil {
		return err
	}
	for _, m := range started {
		if err := m.Go(); err != nil {
			return err
		}
	}
	return nil
}

// inside makes a client connect from `outside`, the only way to the API server from this machine.
func inside(config *rest.Config, c layout.Cluster) error {
	record, found := namespace.Find(c.Outside())
	if !found {
		return namespace.ErrNotRunning
	}
	config.Dial = namespace.Dialer(record)
	return nil
}

// lock keeps other commands from raising or removing the same cluster at the same time.
func lock(ctx context.Context, c layout.Cluster, p *Progress) (unlock func(), err error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	var held *os.File
	err = p.Wait(ctx, "another status-cluster command to end", func() error {
		held, err = tryLock(filepath.Join(c.Dir, "lock"))
		return err
	})
	if err != nil {
		return nil, err
	}
	return func() { _ = held.Close() }, nil
}

// Locked runs something while holding the lock of a file.
func Locked(ctx context.Context, path string, run func() error) error {
	for {
		held, err := tryLock(path)
		if err == nil {
			return errors.Join(run(), held.Close())
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(poll):
		}
	}
}

// MustRun fails when the cluster does not run.
func MustRun(c layout.Cluster) error {
	if os.Geteuid() != 0 {
		return namespace.ErrNotRoot
	}
	shape, err := LoadShape(c)
	if err == nil && !running(c, shape) {
		err = namespace.ErrNotRunning
	}
	return err
}

// tryLock locks a file, which is the lock only as long as it has its name: who removes a cluster removes it too.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		var named, locked os.FileInfo
		if named, err = os.Stat(path); err == nil {
			locked, err = file.Stat()
		}
		if err == nil && !os.SameFile(named, locked) {
			err = errors.New("the lock was removed")
		}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
