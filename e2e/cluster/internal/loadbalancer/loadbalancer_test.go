package loadbalancer

import (
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/cloud-provider/api"

	"e2e/cluster/internal/layout"
)

func service(name string, ports ...v1.ServicePort) *v1.Service {
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, UID: types.UID(name), CreationTimestamp: metav1.Now()},
		Spec:       v1.ServiceSpec{Type: v1.ServiceTypeLoadBalancer, Ports: ports},
	}
}

var (
	tcpPort = v1.ServicePort{Name: "t", Protocol: v1.ProtocolTCP, Port: 30303, NodePort: 31000}
	udpPort = v1.ServicePort{Name: "u", Protocol: v1.ProtocolUDP, Port: 30303, NodePort: 31001}
)

func node(ip string, ready v1.ConditionStatus) *v1.Node {
	return &v1.Node{Status: v1.NodeStatus{
		Addresses:  []v1.NodeAddress{{Type: v1.NodeHostName, Address: "node"}, {Type: v1.NodeInternalIP, Address: ip}},
		Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: ready}},
	}}
}

func provider(t *testing.T, objects ...*v1.Service) (*Provider, layout.Cluster) {
	t.Helper()
	cluster := layout.Cluster{Dir: t.TempDir()}
	client := fake.NewClientset()
	for _, o := range objects {
		if err := client.Tracker().Add(o); err != nil {
			t.Fatal(err)
		}
	}
	p, err := NewProvider(cluster, client, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return p, cluster
}

func TestAReleasedAddressComesBackOnlyAfterAllOthers(t *testing.T) {
	b := Book{Balancers: map[types.UID]Balancer{}}
	seen := map[netip.Addr]bool{}
	for i := range 254 {
		if err := b.Assign("one", "n/one", 0); err != nil {
			t.Fatal(err)
		}
		address := b.Balancers["one"].Address
		if seen[address] || !netip.MustParsePrefix(layout.LoadBalancerCIDR).Contains(address) {
			t.Fatalf("assignment %d: %s again, or not in range", i, address)
		}
		seen[address] = true
		b.Release("one")
	}
	if err := b.Assign("one", "n/one", 0); err != nil || !seen[b.Balancers["one"].Address] {
		t.Errorf("%v %v: after 254 addresses the first returns", b.Balancers["one"], err)
	}
}

func TestAnAddressInUseIsGivenToNobodyElseAndTheRangeEnds(t *testing.T) {
	b := Book{Balancers: map[types.UID]Balancer{}}
	for i := range 254 {
		if err := b.Assign(types.UID(string(rune('a'+i))), "n/s", 0); err != nil {
			t.Fatal(err)
		}
	}
	used := map[netip.Addr]bool{}
	for _, balancer := range b.Balancers {
		used[balancer.Address] = true
	}
	if len(used) != 254 {
		t.Errorf("%d addresses for 254 Services", len(used))
	}
	if err := b.Assign("more", "n/s", 0); !errors.Is(err, ErrExhausted) {
		t.Error(err)
	}
}

func TestAddressesOutliveTheProviderAndTheirReleaseToo(t *testing.T) {
	p, cluster := provider(t)
	first, err := p.EnsureLoadBalancer(t.Context(), "", service("s"), nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := NewProvider(cluster, fake.NewClientset(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	same, err := again.EnsureLoadBalancer(t.Context(), "", service("s"), nil)
	if err != nil || !reflect.DeepEqual(first, same) {
		t.Errorf("%v, then %v, %v", first, same, err)
	}
	if err := again.EnsureLoadBalancerDeleted(t.Context(), "", service("s")); err != nil {
		t.Fatal(err)
	}
	third, err := NewProvider(cluster, fake.NewClientset(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	other, err := third.EnsureLoadBalancer(t.Context(), "", service("s"), nil)
	if err != nil || other.Ingress[0].IP == first.Ingress[0].IP || other.Ingress[0].IP == "" {
		t.Errorf("after release: %v, %v", other, err)
	}
	if mode := other.Ingress[0].IPMode; mode == nil || *mode != v1.LoadBalancerIPModeVIP {
		t.Errorf("ipMode %v", mode)
	}
}

func TestADelayedServiceWaitsFromItsCreation(t *testing.T) {
	p, _ := provider(t)
	p.controls = Controls{Delays: map[string]Duration{"n/late": Duration(30 * time.Second)}}
	late := service("late")
	_, err := p.EnsureLoadBalancer(t.Context(), "", late, nil)
	var retry *api.RetryError
	if !errors.As(err, &retry) || retry.RetryAfter() > 30*time.Second || retry.RetryAfter() < 28*time.Second {
		t.Fatalf("%v", err)
	}
	late.CreationTimestamp = metav1.NewTime(time.Now().Add(-31 * time.Second))
	if status, err := p.EnsureLoadBalancer(t.Context(), "", late, nil); err != nil || len(status.Ingress) != 1 {
		t.Errorf("%v %v", status, err)
	}
	if status, err := p.EnsureLoadBalancer(t.Context(), "", service("other"), nil); err != nil || len(status.Ingress) != 1 {
		t.Errorf("another Service waits too: %v %v", status, err)
	}
}

func TestAChangeIsMadeOnceAndAHostnameReplacesTheAddress(t *testing.T) {
	p, _ := provider(t)
	first, err := p.EnsureLoadBalancer(t.Context(), "", service("s"), nil)
	if err != nil {
		t.Fatal(err)
	}
	set := func(c Controls) v1.LoadBalancerIngress {
		t.Helper()
		if err := p.SetControls(c); err != nil {
			t.Fatal(err)
		}
		return p.Published()["s"].Ingress[0]
	}
	controls := Controls{Changes: map[string]int{"n/s": 1}}
	changed := set(controls)
	if changed.IP == first.Ingress[0].IP {
		t.Fatalf("%v", changed)
	}
	if again := set(controls); again.IP != changed.IP {
		t.Errorf("changed twice: %v", again)
	}
	controls.Hostnames = map[string]bool{All: true}
	if named := set(controls); named.Hostname != "s.n.lb.status-cluster.test" || named.IP != "" {
		t.Errorf("%v", named)
	}
}

func TestMixedProtocolsAreRefusedWithAConditionThatGoesWhenTheyAreAllowed(t *testing.T) {
	mixed, plain := service("mixed", tcpPort, udpPort), service("plain", tcpPort)
	p, _ := provider(t, mixed, plain)
	p.controls = Controls{RefuseMixed: true}
	if _, err := p.EnsureLoadBalancer(t.Context(), "", plain, nil); err != nil {
		t.Errorf("one protocol: %v", err)
	}
	var retry *api.RetryError
	if _, err := p.EnsureLoadBalancer(t.Context(), "", mixed, nil); !errors.As(err, &retry) {
		t.Fatalf("accepted: %v", err)
	}
	now, err := p.client.CoreV1().Services("n").Get(t.Context(), "mixed", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	condition := meta.FindStatusCondition(now.Status.Conditions, v1.LoadBalancerPortsError)
	if condition == nil || condition.Status != metav1.ConditionTrue || condition.Reason != v1.LoadBalancerPortsErrorReason {
		t.Fatalf("%+v", condition)
	}
	p.controls = Controls{}
	if _, err := p.EnsureLoadBalancer(t.Context(), "", now, nil); err != nil {
		t.Fatal(err)
	}
	now, err = p.client.CoreV1().Services("n").Get(t.Context(), "mixed", metav1.GetOptions{})
	if err != nil || len(now.Status.Conditions) != 0 {
		t.Errorf("%+v %v", now.Status.Conditions, err)
	}
}

func TestLocalGoesToHealthyNodesAndClusterToReadyOnes(t *testing.T) {
	local, cluster := service("local", tcpPort), service("cluster", tcpPort)
	local.Spec.HealthCheckNodePort = 32000
	one, two := netip.MustParseAddr("10.90.0.1"), netip.MustParseAddr("10.90.0.2")
	excluded := node("10.90.0.3", v1.ConditionTrue)
	excluded.Labels = map[string]string{v1.LabelNodeExcludeBalancers: ""}
	nodes := []*v1.Node{node("10.90.0.2", v1.ConditionUnknown), node("10.90.0.1", v1.ConditionTrue), excluded}
	services := []*v1.Service{local, cluster, service("without-balancer", tcpPort)}
	balancers := map[types.UID]Balancer{
		"local": {Service: "n/local", Address: netip.MustParseAddr("198.51.100.1")}, "cluster": {Service: "n/cluster", Address: netip.MustParseAddr("198.51.100.2")},
	}
	if got, want := checks(services, balancers, nodes), []check{{one, 32000}, {two, 32000}}; !reflect.DeepEqual(got, want) {
		t.Errorf("checks %v, want %v", got, want)
	}
	got := targets(services, balancers, nodes, map[check]bool{{two, 32000}: true, {one, 32000}: false}, Controls{})
	if len(got) != 2 || !reflect.DeepEqual(got[0].Nodes, []netip.Addr{two}) || !reflect.DeepEqual(got[1].Nodes, []netip.Addr{one}) {
		t.Errorf("%+v", got)
	}
}

func example() []Target {
	nodes := []netip.Addr{netip.MustParseAddr("10.90.0.1"), netip.MustParseAddr("10.90.0.2")}
	ports := []TargetPort{{"tcp", 30303, 31000}, {"udp", 30303, 31001}}
	return []Target{
		{"n/a", netip.MustParseAddr("198.51.100.1"), nodes, false, ports},
		{"n/b", netip.MustParseAddr("198.51.100.2"), nodes, true, ports},
		{"n/c", netip.MustParseAddr("198.51.100.3"), nil, false, ports},
	}
}

func TestRulesSpreadNewConnectionsKeepOldOnesAndRefuseOtherPorts(t *testing.T) {
	rules := Render(example())
	for _, want := range []string{
		"ip daddr vmap { 198.51.100.1 : jump to_198_51_100_1, 198.51.100.2 : jump to_198_51_100_2 }",
		"tcp dport != { 30303 } reject with tcp reset",
		"ct mark set numgen random mod 2 map { 0 : 1, 1 : 2 }",
		"ip daddr 198.51.100.2 udp dport 30303 dnat ip to numgen random mod 2 map { 0 : 10.90.0.1 . 31001, 1 : 10.90.0.2 . 31001 }",
	} {
		if !strings.Contains(rules, want) {
			t.Errorf("no %q in\n%s", want, rules)
		}
	}
	if strings.Contains(rules, "198.51.100.3") {
		t.Error("an address without nodes has rules")
	}
}

func TestTheKernelTakesTheRules(t *testing.T) {
	if err := exec.Command("unshare", "--net", "true").Run(); err != nil {
		t.Skip("needs the right to make a network namespace: ", err)
	}
	for _, targets := range [][]Target{nil, example()} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "unshare", "--net", "nft", "-f", "-")
		cmd.Stdin = strings.NewReader(Render(targets) + Render(targets))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, out, Render(targets))
		}
	}
}

func TestAServiceIsNamedByNamespaceAndName(t *testing.T) {
	for name, ok := range map[string]bool{"n/s": true, "*": true, "s": false, "n/": false, "/s": false, "n/s/t": false, "": false} {
		if err := CheckService(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
