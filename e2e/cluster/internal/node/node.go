// Package node is the first process of a node: it makes the node's mounts and cgroup and keeps its components running.
// It knows which components a node has, with which flags and in which order; it does not know how they are supervised.
package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"e2e/cluster/internal/cgroup"
	"e2e/cluster/internal/layout"
	"e2e/cluster/internal/namespace"
	"e2e/cluster/internal/supervise"
)

// readyPoll is how often a component that others wait for is asked whether it serves; none of them can tell by itself.
const readyPoll = 50 * time.Millisecond

// Run is the whole life of a node's first process.
func Run(m layout.Machine) error {
	if err := namespace.WaitForGo(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(m.Name)); err != nil {
		return fmt.Errorf("set the hostname: %w", err)
	}
	// What containerd knew of running pods ended with them. A stale socket would make kubelet exit.
	if err := os.RemoveAll(m.Path("containerd-run")); err != nil {
		return err
	}
	if err := mountAll(m); err != nil {
		return err
	}
	if err := cgroup.Create(m); err != nil {
		return fmt.Errorf("make the cgroup of the pods: %w", err)
	}
	for name, value := range map[string]string{
		"net/ipv4/ip_forward": "1",
		// The link to `outside` is also the way to other nodes; no redirect shall teach a client a shorter way.
		"net/ipv4/conf/all/send_redirects": "0", "net/ipv4/conf/eth0/send_redirects": "0",
	} {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
			return err
		}
	}
	supervise.Run(Components(m))
	return nil
}

// Components are the components of a node, in no order: each says what it waits for.
func Components(m layout.Machine) []supervise.Component {
	c := m.Cluster()
	own := func(name string, after func(), args ...string) supervise.Component {
		return supervise.Component{Name: name, Path: layout.ProgramInNode, Args: append([]string{name}, args...), Log: m.Log(name), After: after}
	}
	api := func() { waitFor(apiServes(c)) }
	runtime := func() { waitFor(containerdServes); waitFor(apiServes(c)) }
	components := []supervise.Component{
		{Name: "containerd", Path: "containerd", Args: []string{"--config", m.Path("containerd.toml")}, Log: m.Log("containerd")},
		own("kubelet", runtime,
			"--config="+m.Path("kubelet.yaml"), "--kubeconfig="+c.Kubeconfig("kubelet-"+m.Name),
			"--hostname-override="+m.Name, "--node-ip="+m.IP(), "--node-labels=topology.kubernetes.io/zone="+m.Zone()),
		own("kube-proxy", api, "--config="+m.Path("proxy.yaml")),
		own("netpol", api, c.Kubeconfig("status-cluster")),
	}
	if !m.ControlPlane() {
		return components
	}
	return append(components,
		own("etcd", nil, c.Path("etcd")),
		own("kube-apiserver", nil, apiServerFlags(c)...),
		own("kube-controller-manager", api,
			"--kubeconfig="+c.Kubeconfig("kube-controller-manager"), "--leader-elect=false", "--use-service-account-credentials",
			"--service-account-private-key-file="+c.PKI("service-accounts.key"), "--root-ca-file="+c.PKI("ca.crt"),
			"--cluster-signing-cert-file="+c.PKI("ca.crt"), "--cluster-signing-key-file="+c.PKI("ca.key"),
			"--bind-address=127.0.0.1", "--node-monitor-grace-period=20s", "--flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins"),
		own("kube-scheduler", api, "--kubeconfig="+c.Kubeconfig("kube-scheduler"), "--leader-elect=false", "--bind-address=127.0.0.1"),
		own("provisioner", api, c.Kubeconfig("status-cluster"), c.Path("volumes")),
	)
}

func apiServerFlags(c layout.Cluster) []string {
	return []string{
		"--etcd-servers=http://127.0.0.1:2379", "--advertise-address=" + c.Node(1).IP(), "--bind-address=0.0.0.0",
		"--tls-cert-file=" + c.PKI("apiserver.crt"), "--tls-private-key-file=" + c.PKI("apiserver.key"),
		"--client-ca-file=" + c.PKI("ca.crt"), "--token-auth-file=" + c.PKI("tokens.csv"), "--anonymous-auth=false",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction,PodSecurity", "--allow-privileged=true",
		"--service-cluster-ip-range=" + layout.ServiceCIDR,
		"--service-account-issuer=https://kubernetes.default.svc." + layout.Domain,
		"--service-account-key-file=" + c.PKI("service-accounts.key"), "--service-account-signing-key-file=" + c.PKI("service-accounts.key"),
		"--kubelet-client-certificate=" + c.PKI("apiserver-kubelet.crt"), "--kubelet-client-key=" + c.PKI("apiserver-kubelet.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + c.PKI("ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.PKI("front-proxy.crt"), "--proxy-client-key-file=" + c.PKI("front-proxy.key"),
	}
}

func waitFor(ok func() bool) {
	for !ok() {
		time.Sleep(readyPoll)
	}
}

func containerdServes() bool {
	conn, err := net.Dial("unix", "/run/containerd/containerd.sock")
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// apiServes asks the API server whether it is ready, RBAC roles included.
func apiServes(c layout.Cluster) func() bool {
	return func() bool {
		config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig("status-cluster"))
		if err != nil {
			return false
		}
		config.Timeout = time.Second
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return false
		}
		answer, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background())
		return err == nil && strings.TrimSpace(string(answer)) == "ok"
	}
}
