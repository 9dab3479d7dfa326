package loadbalancer

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Target is where connections to one address go.
type Target struct {
	Service string     `json:"service"`
	Address netip.Addr `json:"address"`
	// Nodes take new connections, each with the same chance.
	Nodes []netip.Addr `json:"nodes"`
	// Hostname: the Service publishes no address, so that the nodes do not know it, and connections go to node ports.
	Hostname bool         `json:"hostname,omitempty"`
	Ports    []TargetPort `json:"ports"`
}

// TargetPort is a port of a Service.
type TargetPort struct {
	// Protocol is "tcp", "udp" or "sctp".
	Protocol string `json:"protocol"`
	Port     int32  `json:"port"`
	NodePort int32  `json:"nodePort,omitempty"`
}

// check is a question that a node answers: whether it has endpoints of a Service with externalTrafficPolicy Local.
type check struct {
	Node netip.Addr
	Port int32
}

// checks are the questions that the targets of Services depend on.
func checks(services []*v1.Service, balancers map[types.UID]Balancer, nodes []*v1.Node) []check {
	var out []check
	for _, service := range services {
		if _, ok := balancers[service.UID]; ok && service.Spec.HealthCheckNodePort > 0 {
			for _, node := range addressesOf(nodes) {
				out = append(out, check{node, service.Spec.HealthCheckNodePort})
			}
		}
	}
	return out
}

// targets steers: to nodes whose health check answers 200 for externalTrafficPolicy Local, to all ready nodes for Cluster.
func targets(services []*v1.Service, balancers map[types.UID]Balancer, nodes []*v1.Node, healthy map[check]bool, controls Controls) []Target {
	var out []Target
	for _, service := range services {
		balancer, ok := balancers[service.UID]
		if !ok {
			continue
		}
		t := Target{Service: balancer.Service, Address: balancer.Address, Hostname: controls.hostname(balancer.Service), Nodes: []netip.Addr{}}
		if port := service.Spec.HealthCheckNodePort; port > 0 {
			for _, node := range addressesOf(nodes) {
				if healthy[check{node, port}] {
					t.Nodes = append(t.Nodes, node)
				}
			}
		} else {
			t.Nodes = append(t.Nodes, addressesOf(slices.DeleteFunc(slices.Clone(nodes), func(n *v1.Node) bool { return !ready(n) }))...)
		}
		for _, p := range service.Spec.Ports {
			t.Ports = append(t.Ports, TargetPort{strings.ToLower(string(p.Protocol)), p.Port, p.NodePort})
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Target) int { return a.Address.Compare(b.Address) })
	return out
}

func ready(node *v1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c v1.NodeCondition) bool {
		return c.Type == v1.NodeReady && c.Status == v1.ConditionTrue
	})
}

// addressesOf are the addresses of the nodes that take part in load balancing, in order.
func addressesOf(nodes []*v1.Node) []netip.Addr {
	var out []netip.Addr
	for _, node := range nodes {
		if _, excluded := node.Labels[v1.LabelNodeExcludeBalancers]; excluded {
			continue
		}
		for _, a := range node.Status.Addresses {
			if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == v1.NodeInternalIP && ip.Is4() {
				out = append(out, ip)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

const table = "status_cluster_lb"

// mark is what packets to a node are marked with: a rule sends marked packets there.
func mark(node netip.Addr) int { return int(node.As4()[3]) }

// Render makes the nftables script of `outside`.
//
// A new connection goes to one of the nodes by chance and stays there, also when the node stops taking new ones: a pod that ends
// still answers its old connections. A UDP flow has no end, so it moves when its node is not a target any more.
// Ports that the Service does not have are refused here: no node would know what to do with them.
func Render(targets []Target) string {
	var chains, steer, translate strings.Builder
	var jumps []string
	for _, t := range targets {
		if len(t.Nodes) == 0 {
			continue
		}
		if t.Hostname {
			for _, p := range t.Ports {
				if p.NodePort > 0 {
					fmt.Fprintf(&translate, "  ip daddr %s %s dport %d dnat ip to %s\n", t.Address, p.Protocol, p.Port,
						choose(t.Nodes, func(n netip.Addr) string { return fmt.Sprintf("%s . %d", n, p.NodePort) }))
				}
			}
		}
		name := "to_" + strings.ReplaceAll(t.Address.String(), ".", "_")
		jumps = append(jumps, fmt.Sprintf("%s : jump %s", t.Address, name))
		fmt.Fprintf(&chains, " chain %s {\n%s%s", name, refuse("tcp", "reject with tcp reset", t.Ports), refuse("udp", "reject", t.Ports))
		if !t.Hostname {
			var marks []string
			for _, n := range t.Nodes {
				marks = append(marks, fmt.Sprint(mark(n)))
			}
			fmt.Fprintf(&chains, "  meta l4proto udp ct mark { %s } meta mark set ct mark return\n", strings.Join(marks, ", "))
			chains.WriteString("  meta l4proto tcp ct state established,related ct mark != 0 meta mark set ct mark return\n")
			fmt.Fprintf(&chains, "  ct mark set %s\n  meta mark set ct mark\n", choose(t.Nodes, func(n netip.Addr) string { return fmt.Sprint(mark(n)) }))
		}
		chains.WriteString(" }\n")
	}
	if len(jumps) > 0 {
		fmt.Fprintf(&steer, "  ip daddr vmap { %s }\n", strings.Join(jumps, ", "))
	}
	return fmt.Sprintf("add table ip %s\ndelete table ip %s\ntable ip %s {\n%s chain steer {\n  type route hook output priority mangle; policy accept;\n%s }\n"+
		" chain translate {\n  type nat hook output priority -100; policy accept;\n%s }\n}\n", table, table, table, chains.String(), steer.String(), translate.String())
}

// choose is an nftables expression that is one of the values, by chance.
func choose(nodes []netip.Addr, value func(netip.Addr) string) string {
	choices := make([]string, len(nodes))
	for i, n := range nodes {
		choices[i] = fmt.Sprintf("%d : %s", i, value(n))
	}
	return fmt.Sprintf("numgen random mod %d map { %s }", len(nodes), strings.Join(choices, ", "))
}

// refuse is the rule that refuses all ports of a protocol but those that the Service has.
func refuse(protocol, verdict string, ports []TargetPort) string {
	var known []string
	for _, p := range ports {
		if p.Protocol == protocol {
			known = append(known, fmt.Sprint(p.Port))
		}
	}
	slices.SortFunc(known, cmp.Compare)
	if len(known) == 0 {
		return fmt.Sprintf("  meta l4proto %s %s\n", protocol, verdict)
	}
	return fmt.Sprintf("  %s dport != { %s } %s\n", protocol, strings.Join(known, ", "), verdict)
}
