package loadbalancer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"e2e/cluster/internal/layout"
)

// checkTime bounds one health check.
const checkTime = time.Second

// ask asks all nodes at once.
func ask(ctx context.Context, checks []check) map[check]bool {
	client := http.Client{Timeout: checkTime, Transport: &http.Transport{DisableKeepAlives: true}}
	var mu sync.Mutex
	var all sync.WaitGroup
	healthy := make(map[check]bool, len(checks))
	for _, c := range checks {
		all.Go(func() {
			ok := healthyNow(ctx, &client, c)
			mu.Lock()
			healthy[c] = ok
			mu.Unlock()
		})
	}
	all.Wait()
	return healthy
}

func healthyNow(ctx context.Context, client *http.Client, c check) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/healthz", netip.AddrPortFrom(c.Node, uint16(c.Port))), nil)
	if err != nil {
		return false
	}
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
}

// way is the state of the kernel in `outside`, as this process made it.
type way struct {
	rules  string
	routes map[netip.Addr]netip.Addr
	nodes  map[netip.Addr]bool
}

// lay makes the rules and routes of targets, and nothing when they are those already.
func (w *way) lay(ctx context.Context, targets []Target) error {
	wanted := map[netip.Addr]netip.Addr{}
	for _, t := range targets {
		for _, node := range t.Nodes {
			if err := w.reach(node); err != nil {
				return fmt.Errorf("way to node %s: %w", node, err)
			}
		}
		if len(t.Nodes) > 0 {
			// Chooses the client's own address, and the way of what no rule marks. Without a node there is no route,
			// and the client is told so at once.
			wanted[t.Address] = t.Nodes[0]
		}
	}
	// Rules before routes: a client that finds the route finds the whole way.
	if rules := Render(targets); rules != w.rules {
		cmd := exec.CommandContext(ctx, "nft", "-f", "-")
		cmd.Stdin = strings.NewReader(rules)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nft: %w: %s", err, bytes.TrimSpace(out))
		}
		w.rules = rules
	}
	return w.route(wanted)
}

// reach makes packets with the node's mark go to the node.
func (w *way) reach(node netip.Addr) error {
	if w.nodes[node] {
		return nil
	}
	number := 100 + mark(node)
	if err := netlink.RouteReplace(&netlink.Route{Table: number, Dst: network("0.0.0.0/0"), Gw: node.AsSlice()}); err != nil {
		return err
	}
	rule := netlink.NewRule()
	rule.Mark, rule.Table, rule.Priority = uint32(mark(node)), number, number
	if err := netlink.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	w.nodes[node] = true
	return nil
}

func (w *way) route(wanted map[netip.Addr]netip.Addr) error {
	for address := range w.routes {
		if _, stays := wanted[address]; !stays {
			if err := netlink.RouteDel(&netlink.Route{Dst: host(address)}); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("forget %s: %w", address, err)
			}
			delete(w.routes, address)
		}
	}
	for address, node := range wanted {
		if w.routes[address] == node {
			continue
		}
		if err := netlink.RouteReplace(&netlink.Route{Dst: host(address), Gw: node.AsSlice()}); err != nil {
			return fmt.Errorf("route to %s: %w", address, err)
		}
		w.routes[address] = node
	}
	return nil
}

// newWay finds the routes that an earlier process left.
func newWay() (*way, error) {
	w := &way{routes: map[netip.Addr]netip.Addr{}, nodes: map[netip.Addr]bool{}}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	pool := netip.MustParsePrefix(layout.LoadBalancerCIDR)
	for _, r := range routes {
		if r.Dst == nil || r.Type != unix.RTN_UNICAST {
			continue
		}
		address, ok1 := netip.AddrFromSlice(r.Dst.IP.To4())
		node, ok2 := netip.AddrFromSlice(r.Gw.To4())
		if ok1 && ok2 && pool.Contains(address) {
			w.routes[address] = node
		}
	}
	return w, err
}

func host(a netip.Addr) *net.IPNet { return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)} }

func network(cidr string) *net.IPNet {
	p := netip.MustParsePrefix(cidr)
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
