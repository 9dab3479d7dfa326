// Package netpol enforces NetworkPolicy (networking.k8s.io/v1, IPv4) on a node: one nftables table in the forward hook, rewritten
// as a whole when anything changes. What the node itself sends (kubelet's probes) passes through the output hook and is not its
// business, as the API demands: a node always reaches its pods.
package netpol

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// State is what the rules follow from.
type State struct {
	Pods       []*corev1.Pod
	Namespaces []*corev1.Namespace
	Policies   []*netv1.NetworkPolicy
}

// table is the name of the one table that this package owns.
const table = "status_cluster_netpol"

// Render makes the nftables script of a state: the same for the same objects in any order.
//
// A pod that a policy selects has a chain per direction: accepting rules, then drop. Replies to accepted connections pass by
// connection tracking. Destinations are looked at after kube-proxy's translation, so a Service's address is its pod's.
func Render(s State) string {
	r := newRenderer(s)
	var chains strings.Builder
	var from, to []string
	for i, pod := range r.pods {
		ingress, egress := r.rules(pod)
		if ingress.isolated {
			ingress.write(&chains, fmt.Sprintf("in%d", i))
			to = append(to, fmt.Sprintf("%s : jump in%d", pod.Status.PodIP, i))
		}
		if egress.isolated {
			egress.write(&chains, fmt.Sprintf("eg%d", i))
			from = append(from, fmt.Sprintf("%s : jump eg%d", pod.Status.PodIP, i))
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "add table ip %s\ndelete table ip %s\ntable ip %s {\n%s", table, table, table, chains.String())
	out.WriteString(" chain forward {\n  type filter hook forward priority -5; policy accept;\n  ct state established,related accept\n")
	if len(from) > 0 {
		fmt.Fprintf(&out, "  ip saddr vmap { %s }\n", strings.Join(from, ", "))
	}
	if len(to) > 0 {
		fmt.Fprintf(&out, "  ip daddr vmap { %s }\n", strings.Join(to, ", "))
	}
	out.WriteString(" }\n}\n")
	return out.String()
}

type renderer struct {
	// pods are those that have an address of their own and still run, by address.
	pods       []*corev1.Pod
	namespaces map[string]labels.Set
	policies   []*netv1.NetworkPolicy
}

func newRenderer(s State) *renderer {
	r := &renderer{namespaces: map[string]labels.Set{}, policies: slices.Clone(s.Policies)}
	for _, n := range s.Namespaces {
		r.namespaces[n.Name] = n.Labels
	}
	for _, p := range s.Pods {
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if address, err := netip.ParseAddr(p.Status.PodIP); err == nil && address.Is4() && !p.Spec.HostNetwork && !ended {
			r.pods = append(r.pods, p)
		}
	}
	slices.SortFunc(r.pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Status.PodIP, b.Status.PodIP) })
	// An address that a new pod has from one that just ended belongs to the new one.
	r.pods = slices.CompactFunc(r.pods, func(a, b *corev1.Pod) bool { return a.Status.PodIP == b.Status.PodIP })
	slices.SortFunc(r.policies, func(a, b *netv1.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return r
}

// direction is what a pod may do in one direction.
type direction struct {
	// isolated: a policy selects the pod, so that only what is in accepted passes.
	isolated bool
	accepted []string
}

func (d direction) write(out *strings.Builder, chain string) {
	fmt.Fprintf(out, " chain %s {\n", chain)
	for _, match := range d.accepted {
		// return, not accept: the other end's policy has its say too.
		fmt.Fprintf(out, "  %sreturn\n", match)
	}
	out.WriteString("  drop\n }\n")
}

// rules collects what all policies that select a pod allow it.
func (r *renderer) rules(pod *corev1.Pod) (ingress, egress direction) {
	for _, policy := range r.policies {
		if policy.Namespace != pod.Namespace || !selects(&policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		for _, kind := range policy.Spec.PolicyTypes {
			ingress.isolated = ingress.isolated || kind == netv1.PolicyTypeIngress
			egress.isolated = egress.isolated || kind == netv1.PolicyTypeEgress
		}
		for _, rule := range policy.Spec.Ingress {
			ingress.accepted = append(ingress.accepted, product(r.addresses("saddr", policy.Namespace, rule.From), ports(rule.Ports, []*corev1.Pod{pod}))...)
		}
		for _, rule := range policy.Spec.Egress {
			egress.accepted = append(egress.accepted, product(r.addresses("daddr", policy.Namespace, rule.To), ports(rule.Ports, r.pods))...)
		}
	}
	return ingress, egress
}

func product(addresses, ports []string) []string {
	var out []string
	for _, a := range addresses {
		for _, p := range ports {
			out = append(out, a+p)
		}
	}
	return out
}

// addresses are the matches for a rule's peers; no peers means anyone, peers that match nobody mean no one.
func (r *renderer) addresses(side, namespace string, peers []netv1.NetworkPolicyPeer) []string {
	if len(peers) == 0 {
		return []string{""}
	}
	var out, pods []string
	for _, peer := range peers {
		if block := peer.IPBlock; block != nil {
			if match, ok := blockMatch(side, block); ok {
				out = append(out, match)
			}
			continue
		}
		for _, pod := range r.pods {
			if r.isPeer(pod, namespace, peer) && !slices.Contains(pods, pod.Status.PodIP) {
				pods = append(pods, pod.Status.PodIP)
			}
		}
	}
	if len(pods) > 0 {
		out = append(out, fmt.Sprintf("ip %s { %s } ", side, strings.Join(pods, ", ")))
	}
	return out
}

// isPeer: a peer without a namespace selector means the policy's own namespace, one without a pod selector every pod.
func (r *renderer) isPeer(pod *corev1.Pod, namespace string, peer netv1.NetworkPolicyPeer) bool {
	if peer.NamespaceSelector == nil && pod.Namespace != namespace {
		return false
	}
	if peer.NamespaceSelector != nil && !selects(peer.NamespaceSelector, r.namespaces[pod.Namespace]) {
		return false
	}
	return peer.PodSelector == nil || selects(peer.PodSelector, pod.Labels)
}

// blockMatch matches a CIDR without its exceptions. IPv6 blocks match nothing: no address here is one.
func blockMatch(side string, block *netv1.IPBlock) (string, bool) {
	prefix, err := netip.ParsePrefix(block.CIDR)
	if err != nil || !prefix.Addr().Is4() {
		return "", false
	}
	match := fmt.Sprintf("ip %s %s ", side, prefix.Masked())
	var except []string
	for _, e := range block.Except {
		if p, err := netip.ParsePrefix(e); err == nil && p.Addr().Is4() {
			except = append(except, p.Masked().String())
		}
	}
	if len(except) > 0 {
		match += fmt.Sprintf("ip %s != { %s } ", side, strings.Join(except, ", "))
	}
	return match, true
}

// ports are the matches for a rule's ports; none means all. A named port is looked up in the pods that may be the destination.
func ports(in []netv1.NetworkPolicyPort, destinations []*corev1.Pod) []string {
	if len(in) == 0 {
		return []string{""}
	}
	var out []string
	for _, p := range in {
		protocol := "tcp"
		if p.Protocol != nil {
			protocol = strings.ToLower(string(*p.Protocol))
		}
		switch {
		case p.Port == nil:
			out = append(out, "meta l4proto "+protocol+" ")
		case p.Port.Type == intstr.Int && p.EndPort != nil:
			out = append(out, fmt.Sprintf("%s dport %d-%d ", protocol, p.Port.IntVal, *p.EndPort))
		case p.Port.Type == intstr.Int:
			out = append(out, fmt.Sprintf("%s dport %d ", protocol, p.Port.IntVal))
		default:
			out = append(out, namedPort(p.Port.StrVal, protocol, destinations)...)
		}
	}
	return out
}

func namedPort(name, protocol string, destinations []*corev1.Pod) []string {
	var out []string
	for _, pod := range destinations {
		// Init containers that keep running serve ports too.
		for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			for _, port := range container.Ports {
				if port.Name == name && strings.EqualFold(string(port.Protocol), protocol) {
					out = append(out, fmt.Sprintf("ip daddr %s %s dport %d ", pod.Status.PodIP, protocol, port.ContainerPort))
				}
			}
		}
	}
	return out
}

func selects(selector *metav1.LabelSelector, set labels.Set) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(set)
}
