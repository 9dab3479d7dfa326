// Package layout owns the names, addresses and files of a cluster: the one place that knows where everything is.
// It touches nothing but the environment variables that choose the state directory.
package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Addresses. All of them live inside the cluster's own network namespaces, so that they cannot collide with the machine's.
const (
	// OutsideIP is the address of the bridge in the network namespace `outside`, the default route of every node.
	OutsideIP = "10.90.0.254"
	// NodePrefix is the length of the network that joins the nodes and `outside`.
	NodePrefix = 24
	// ServiceCIDR holds the ClusterIPs.
	ServiceCIDR = "10.96.0.0/16"
	// KubernetesIP is the ClusterIP of the Service kubernetes.
	KubernetesIP = "10.96.0.1"
	// DNSServiceIP is the ClusterIP of the cluster's DNS.
	DNSServiceIP = "10.96.0.10"
	// PodCIDR holds the pods of all nodes.
	PodCIDR = "10.244.0.0/16"
	// LoadBalancerCIDR is the range that LoadBalancer Services get their addresses from (RFC 5737, TEST-NET-2).
	LoadBalancerCIDR = "198.51.100.0/24"
)

// Names.
const (
	// Domain is the cluster's DNS domain.
	Domain = "cluster.local"
	// LoadBalancerDomain is the DNS domain of load balancers that publish a hostname.
	LoadBalancerDomain = "lb.status-cluster.test"
	// PauseImage is the image of the pods' sandboxes.
	PauseImage = "localhost/pause:1"
	// Bridge is the name of the bridge in `outside`; the link of node I is enslaved to it under the node's name.
	Bridge = "br0"
	// MaxNodes is how many nodes a cluster may have.
	MaxNodes = 2
	// ProgramInNode is where a node's mount namespace shows this program.
	ProgramInNode = "/run/status-cluster"
)

// DirVariable is the environment variable that chooses the state directory.
const DirVariable = "STATUS_CLUSTER_DIR"

// Cluster is one cluster, known by its state directory. Everything it writes is below that directory.
type Cluster struct {
	// Dir is the absolute path of the state directory.
	Dir string
}

// New returns the cluster of a state directory; an empty one means that of the environment:
// $STATUS_CLUSTER_DIR, else ${XDG_CACHE_HOME:-$HOME/.cache}/status-node/cluster.
func New(dir string) (Cluster, error) {
	if dir == "" {
		dir = os.Getenv(DirVariable)
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return Cluster{}, fmt.Errorf("no state directory: set %s, XDG_CACHE_HOME or HOME", DirVariable)
		}
		dir = filepath.Join(cache, "status-node", "cluster")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Cluster{}, fmt.Errorf("state directory %s: %w", dir, err)
	}
	if abs == "/" {
		return Cluster{}, errors.New("state directory: / cannot be one")
	}
	return Cluster{Dir: abs}, nil
}

// ID distinguishes the cgroups of clusters in different state directories: 8 hexadecimal digits.
func (c Cluster) ID() string {
	sum := sha256.Sum256([]byte(c.Dir))
	return hex.EncodeToString(sum[:4])
}

// Path joins names to the state directory.
func (c Cluster) Path(names ...string) string {
	return filepath.Join(append([]string{c.Dir}, names...)...)
}

// Kubeconfig is the file with which a user's name connects to the API server: "admin" for all rights.
func (c Cluster) Kubeconfig(user string) string { return c.Path("kubeconfig", user) }

// PKI is a file of the cluster's certificate authority.
func (c Cluster) PKI(name string) string { return c.Path("pki", name) }

// Volumes is the directory of the volumes of a node.
func (c Cluster) Volumes(node string) string { return c.Path("volumes", node) }

// LoadBalancer is a file of the load balancer: its controls, its addresses, its names.
func (c Cluster) LoadBalancer(name string) string { return c.Path("lb", name) }

// Outside is the namespace of the clients.
func (c Cluster) Outside() Machine { return Machine{cluster: c, Name: "outside"} }

// Node is node i, counted from 1.
func (c Cluster) Node(i int) Machine {
	return Machine{cluster: c, Name: fmt.Sprintf("node%d", i), Index: i}
}

// Nodes are the first n nodes.
func (c Cluster) Nodes(n int) []Machine {
	nodes := make([]Machine, 0, n)
	for i := 1; i <= n; i++ {
		nodes = append(nodes, c.Node(i))
	}
	return nodes
}

// Machine is one set of namespaces: a node, or `outside`.
type Machine struct {
	cluster Cluster
	// Name is `outside`, `node1`, …
	Name string
	// Index counts nodes from 1; 0 is `outside`.
	Index int
}

// Cluster is the cluster that the machine belongs to.
func (m Machine) Cluster() Cluster { return m.cluster }

// Path joins names to the machine's own directory.
func (m Machine) Path(names ...string) string {
	return m.cluster.Path(append([]string{m.Name}, names...)...)
}

// PIDFile records the machine's first process.
func (m Machine) PIDFile() string { return m.Path("process.json") }

// Log is the log of one of the machine's components.
func (m Machine) Log(component string) string { return m.Path("components", component+".log") }

// IP is the machine's address on the link that joins all machines.
func (m Machine) IP() string {
	if m.Index == 0 {
		return OutsideIP
	}
	return fmt.Sprintf("10.90.0.%d", m.Index)
}

// PodCIDR holds the pods of this node.
func (m Machine) PodCIDR() string { return fmt.Sprintf("10.244.%d.0/24", m.Index) }

// Cgroup is the cgroup, relative to every hierarchy's root, that holds the node's pods.
func (m Machine) Cgroup() string { return "status-cluster-" + m.cluster.ID() + "-" + m.Name }

// ContainerdSocket is containerd's socket as the machine outside the node's mount namespace sees it.
func (m Machine) ContainerdSocket() string { return m.Path("containerd-run", "containerd.sock") }

// Zone is the failure domain that the node is labelled with.
func (m Machine) Zone() string { return fmt.Sprintf("zone-%d", m.Index) }

// ControlPlane says whether etcd, the API server and the controllers run on this node.
func (m Machine) ControlPlane() bool { return m.Index == 1 }

// APIServer is the URL of the API server.
func (c Cluster) APIServer() string { return "https://" + c.Node(1).IP() + ":6443" }
