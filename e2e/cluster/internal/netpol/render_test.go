package netpol

import (
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func pod(namespace, name, ip string, labels map[string]string, ports ...corev1.ContainerPort) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Ports: ports}}},
		Status:     corev1.PodStatus{PodIP: ip, Phase: corev1.PodRunning},
	}
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/metadata.name": name}}}
}

func policy(namespace string, spec netv1.NetworkPolicySpec) *netv1.NetworkPolicy {
	return &netv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "p"}, Spec: spec}
}

// chain returns the lines of one chain.
func chain(t *testing.T, script, name string) []string {
	t.Helper()
	_, rest, found := strings.Cut(script, " chain "+name+" {\n")
	if !found {
		t.Fatalf("no chain %s in:\n%s", name, script)
	}
	body, _, _ := strings.Cut(rest, "\n }\n")
	var lines []string
	for line := range strings.Lines(body) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var (
	app    = map[string]string{"app": "a"}
	tcp    = corev1.ProtocolTCP
	udp    = corev1.ProtocolUDP
	number = func(n int) *intstr.IntOrString { v := intstr.FromInt32(int32(n)); return &v }
	named  = func(s string) *intstr.IntOrString { v := intstr.FromString(s); return &v }
)

func TestAPodThatNoPolicySelectsIsOpen(t *testing.T) {
	script := Render(State{Pods: []*corev1.Pod{pod("n", "a", "10.244.1.2", app)}, Policies: []*netv1.NetworkPolicy{
		policy("other", netv1.NetworkPolicySpec{PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeIngress}}),
		policy("n", netv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "b"}}, PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeIngress}}),
	}})
	if strings.Contains(script, "10.244.1.2") || strings.Contains(script, "drop") {
		t.Error(script)
	}
}

func TestAPolicyWithoutRulesClosesItsDirectionOnly(t *testing.T) {
	pods := []*corev1.Pod{pod("n", "a", "10.244.1.2", app)}
	in := Render(State{Pods: pods, Policies: []*netv1.NetworkPolicy{policy("n", netv1.NetworkPolicySpec{PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeIngress}})}})
	expect(t, chain(t, in, "in0"), "drop")
	expect(t, chain(t, in, "forward"), "type filter hook forward priority -5; policy accept;", "ct state established,related accept", "ip daddr vmap { 10.244.1.2 : jump in0 }")
	out := Render(State{Pods: pods, Policies: []*netv1.NetworkPolicy{policy("n", netv1.NetworkPolicySpec{PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeEgress}})}})
	expect(t, chain(t, out, "eg0"), "drop")
	expect(t, chain(t, out, "forward"), "type filter hook forward priority -5; policy accept;", "ct state established,related accept", "ip saddr vmap { 10.244.1.2 : jump eg0 }")
}

func TestPeersAreThePolicysOwnNamespaceUnlessTheySayOtherwise(t *testing.T) {
	s := State{
		Namespaces: []*corev1.Namespace{namespace("n"), namespace("m")},
		Pods: []*corev1.Pod{
			pod("n", "a", "10.244.1.2", app), pod("n", "b", "10.244.1.3", nil), pod("m", "a", "10.244.1.4", app), pod("m", "b", "10.244.1.5", nil),
		},
	}
	m := metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "m"}}
	for name, c := range map[string]struct {
		from []netv1.NetworkPolicyPeer
		want []string
	}{
		"no peers: anyone":      {nil, []string{"return", "drop"}},
		"pods":                  {[]netv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}, []string{"ip saddr { 10.244.1.2, 10.244.1.3 } return", "drop"}},
		"a namespace":           {[]netv1.NetworkPolicyPeer{{NamespaceSelector: &m}}, []string{"ip saddr { 10.244.1.4, 10.244.1.5 } return", "drop"}},
		"pods of a namespace":   {[]netv1.NetworkPolicyPeer{{NamespaceSelector: &m, PodSelector: &metav1.LabelSelector{MatchLabels: app}}}, []string{"ip saddr { 10.244.1.4 } return", "drop"}},
		"peers that match none": {[]netv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "none"}}}}, []string{"drop"}},
		"a block":               {[]netv1.NetworkPolicyPeer{{IPBlock: &netv1.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"10.90.0.0/24", "10.1.0.0/16"}}}}, []string{"ip saddr 10.0.0.0/8 ip saddr != { 10.90.0.0/24, 10.1.0.0/16 } return", "drop"}},
		"an IPv6 block":         {[]netv1.NetworkPolicyPeer{{IPBlock: &netv1.IPBlock{CIDR: "::/0"}}}, []string{"drop"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.Policies = []*netv1.NetworkPolicy{policy("n", netv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: app},
				PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeIngress},
				Ingress:     []netv1.NetworkPolicyIngressRule{{From: c.from}},
			})}
			expect(t, chain(t, Render(s), "in0"), c.want...)
		})
	}
}

func TestPortsByNumberRangeProtocolAndName(t *testing.T) {
	rpc := corev1.ContainerPort{Name: "rpc", ContainerPort: 8545, Protocol: tcp}
	s := State{Pods: []*corev1.Pod{pod("n", "a", "10.244.1.2", app, rpc), pod("n", "b", "10.244.1.3", nil, rpc)}}
	s.Policies = []*netv1.NetworkPolicy{policy("n", netv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: app},
		PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeIngress, netv1.PolicyTypeEgress},
		Ingress: []netv1.NetworkPolicyIngressRule{{Ports: []netv1.NetworkPolicyPort{
			{Port: number(80)}, {Protocol: &udp, Port: number(1000), EndPort: ptr(int32(2000))}, {Protocol: &udp}, {Port: named("rpc")}, {Protocol: &udp, Port: named("rpc")},
		}}},
		Egress: []netv1.NetworkPolicyEgressRule{{Ports: []netv1.NetworkPolicyPort{{Port: named("rpc")}}}},
	})}
	script := Render(s)
	expect(t, chain(t, script, "in0"), "tcp dport 80 return", "udp dport 1000-2000 return", "meta l4proto udp return", "ip daddr 10.244.1.2 tcp dport 8545 return", "drop")
	// The name is looked up in whoever may be reached.
	expect(t, chain(t, script, "eg0"), "ip daddr 10.244.1.2 tcp dport 8545 return", "ip daddr 10.244.1.3 tcp dport 8545 return", "drop")
}

func TestPodsWithoutAnAddressOfTheirOwnAreLeftOut(t *testing.T) {
	host, ended, waiting := pod("n", "h", "10.90.0.1", app), pod("n", "e", "10.244.1.9", app), pod("n", "w", "", app)
	host.Spec.HostNetwork = true
	ended.Status.Phase = corev1.PodSucceeded
	script := Render(State{Pods: []*corev1.Pod{host, ended, waiting}, Policies: []*netv1.NetworkPolicy{
		policy("n", netv1.NetworkPolicySpec{PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeIngress}}),
	}})
	if strings.Contains(script, "drop") {
		t.Error(script)
	}
}

func TestTheKernelTakesTheRules(t *testing.T) {
	if err := exec.Command("unshare", "--net", "true").Run(); err != nil {
		t.Skip("needs the right to make a network namespace: ", err)
	}
	s := State{Namespaces: []*corev1.Namespace{namespace("n")}, Pods: []*corev1.Pod{pod("n", "a", "10.244.1.2", app), pod("n", "b", "10.244.1.3", nil)}}
	s.Policies = []*netv1.NetworkPolicy{policy("n", netv1.NetworkPolicySpec{
		PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeIngress, netv1.PolicyTypeEgress},
		Ingress: []netv1.NetworkPolicyIngressRule{{
			From:  []netv1.NetworkPolicyPeer{{IPBlock: &netv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8"}}}, {PodSelector: &metav1.LabelSelector{}}},
			Ports: []netv1.NetworkPolicyPort{{Port: number(1), EndPort: ptr(int32(9))}, {Protocol: &udp}},
		}},
	})}
	// Twice: the script replaces what it made before.
	apply := exec.Command("unshare", "--net", "nft", "-f", "-")
	apply.Stdin = strings.NewReader(Render(s) + Render(s))
	if out, err := apply.CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, Render(s))
	}
}

func ptr[T any](v T) *T { return &v }
