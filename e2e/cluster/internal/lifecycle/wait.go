package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"e2e/cluster/internal/layout"
	"e2e/cluster/internal/namespace"
)

// poll is how often something that does not tell by itself is asked.
const poll = 100 * time.Millisecond

// Progress tells the user what is being waited for, and since when: on a terminal in one line that is written again and again,
// else in a line for each thing that takes longer than a moment.
type Progress struct {
	Out      io.Writer
	Terminal bool
	mu       sync.Mutex
}

// NewProgress writes to standard error.
func NewProgress() *Progress {
	info, err := os.Stderr.Stat()
	return &Progress{Out: os.Stderr, Terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// Say writes a line.
func (p *Progress) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Terminal {
		fmt.Fprint(p.Out, "\r\033[K")
	}
	fmt.Fprintf(p.Out, format+"\n", args...)
}

// Wait asks until there is no error, and tells what it waits for. When the context ends first, it fails with the last error.
func (p *Progress) Wait(ctx context.Context, what string, ask func() error) error {
	start, told := time.Now(), time.Duration(0)
	for {
		err := ask()
		waited := time.Since(start)
		if err == nil {
			if told > 0 {
				p.Say("%s after %.0f s", what, waited.Seconds())
			}
			return nil
		}
		if p.Terminal && waited >= told {
			fmt.Fprintf(p.Out, "\r\033[Kwaiting for %s… %.0f s", what, waited.Seconds())
			told = waited + time.Second
		} else if waited >= told+time.Second {
			p.Say("waiting for %s… %.0f s", what, waited.Seconds())
			told = waited * 2
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting for %s after %.0f s: %w", what, time.Since(start).Seconds(), err)
		case <-time.After(poll):
		}
	}
}

// running says whether every machine of a cluster runs.
func running(c layout.Cluster, s Shape) bool {
	return s.Nodes > 0 && !slices.ContainsFunc(append(c.Nodes(s.Nodes), c.Outside()), func(m layout.Machine) bool {
		_, found := namespace.Find(m)
		return !found
	})
}

// containersServe says whether containerd answers on all nodes.
func containersServe(nodes []layout.Machine) error {
	for _, node := range nodes {
		record, found := namespace.Find(node)
		if !found {
			return fmt.Errorf("%s ended: %s", node.Name, lastLine(node.Log("init")))
		}
		// By way of the process's root: the path from here may be too long for a socket's address.
		conn, err := net.Dial("unix", fmt.Sprintf("/proc/%d/root/run/containerd/containerd.sock", record.PID))
		if err != nil {
			return err
		}
		if err := conn.Close(); err != nil {
			return err
		}
	}
	return nil
}

func apiServes(ctx context.Context, config *rest.Config) error {
	short := rest.CopyConfig(config)
	short.Timeout = 2 * time.Second
	client, err := kubernetes.NewForConfig(short)
	if err != nil {
		return err
	}
	_, err = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

// nodeReady says whether a node is ready, and said so since the start: kept state may say so from an earlier life.
func nodeReady(ctx context.Context, config *rest.Config, name string, start time.Time) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		// The time of a report has whole seconds.
		if c.Type == corev1.NodeReady && c.LastHeartbeatTime.Add(time.Second).After(start) {
			if c.Status == corev1.ConditionTrue {
				return nil
			}
			return fmt.Errorf("%s: %s", c.Reason, c.Message)
		}
	}
	return errors.New("kubelet has not reported its conditions yet")
}

// dnsServes says whether the pod of the cluster's DNS is ready, and was started since the start.
func dnsServes(ctx context.Context, config *rest.Config, start time.Time) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	pods, err := client.CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
	if err != nil {
		return err
	}
	for _, pod := range pods.Items {
		for _, s := range pod.Status.ContainerStatuses {
			if s.Ready && s.State.Running != nil && s.State.Running.StartedAt.Add(time.Second).After(start) {
				return nil
			}
		}
	}
	return errors.New("its pod is not ready")
}

// lastLine of a log is why its process ended.
func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
