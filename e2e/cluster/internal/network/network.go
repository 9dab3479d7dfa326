// Package network joins the machines of a cluster: a bridge in `outside`, a link from it to every node, routes between them.
// Nothing is joined to the network of the machine that they run on.
package network

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"e2e/cluster/internal/layout"
	"e2e/cluster/internal/namespace"
)

// side is an open network namespace.
type side struct {
	*netlink.Handle
	fd netns.NsHandle
}

func open(r namespace.Record) (*side, error) {
	fd, err := netns.GetFromPid(r.PID)
	if err != nil {
		return nil, err
	}
	handle, err := netlink.NewHandleAt(fd)
	if err != nil {
		return nil, errors.Join(err, fd.Close())
	}
	return &side{handle, fd}, nil
}

func (s *side) close() {
	s.Close()
	_ = s.fd.Close()
}

// Connect wires `outside` and the nodes, whose first processes are given in order.
func Connect(c layout.Cluster, outside namespace.Record, nodes []namespace.Record) error {
	out, err := open(outside)
	if err != nil {
		return err
	}
	defer out.close()
	bridge, err := out.bridge()
	if err != nil {
		return fmt.Errorf("bridge in outside: %w", err)
	}
	machines := c.Nodes(len(nodes))
	for i, m := range machines {
		if err := out.join(bridge, m, nodes[i], machines); err != nil {
			return fmt.Errorf("link of %s: %w", m.Name, err)
		}
	}
	// A client that asks for an address nobody has is told so at once. The load balancer adds a route per address.
	if err := out.route(layout.LoadBalancerCIDR, "", unix.RTN_UNREACHABLE); err != nil {
		return err
	}
	// Clients can reach pods and ClusterIPs: what keeps them away is policy, not a missing route, so tests test the policy.
	for _, m := range machines {
		if err := out.route(m.PodCIDR(), m.IP(), unix.RTN_UNICAST); err != nil {
			return err
		}
	}
	return out.route(layout.ServiceCIDR, c.Node(1).IP(), unix.RTN_UNICAST)
}

// bridge makes the bridge of `outside`, with its address.
func (s *side) bridge() (netlink.Link, error) {
	if err := s.up("lo"); err != nil {
		return nil, err
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = layout.Bridge
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	if err := s.LinkAdd(bridge); err != nil {
		return nil, err
	}
	if err := s.address(bridge, layout.OutsideIP); err != nil {
		return nil, err
	}
	return bridge, s.LinkSetUp(bridge)
}

// join makes the link of a node, its eth0, its address and its routes.
func (s *side) join(bridge netlink.Link, m layout.Machine, r namespace.Record, all []layout.Machine) error {
	node, err := open(r)
	if err != nil {
		return err
	}
	defer node.close()
	if err := node.up("lo"); err != nil {
		return err
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = m.Name
	attributes.MasterIndex = bridge.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attributes, PeerName: "eth0", PeerNamespace: netlink.NsFd(node.fd)}
	if err := s.LinkAdd(veth); err != nil {
		return err
	}
	if err := s.up(m.Name); err != nil {
		return err
	}
	eth0, err := node.LinkByName("eth0")
	if err != nil {
		return err
	}
	if err := node.address(eth0, m.IP()); err != nil {
		return err
	}
	if err := node.LinkSetUp(eth0); err != nil {
		return err
	}
	if err := node.route("0.0.0.0/0", layout.OutsideIP, unix.RTN_UNICAST); err != nil {
		return err
	}
	for _, other := range all {
		if other.Index != m.Index {
			if err := node.route(other.PodCIDR(), other.IP(), unix.RTN_UNICAST); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *side) up(name string) error {
	link, err := s.LinkByName(name)
	if err != nil {
		return err
	}
	return s.LinkSetUp(link)
}

func (s *side) address(link netlink.Link, ip string) error {
	network := &net.IPNet{IP: net.ParseIP(ip).To4(), Mask: net.CIDRMask(layout.NodePrefix, 32)}
	return s.AddrReplace(link, &netlink.Addr{IPNet: network})
}

func (s *side) route(destination, via string, kind int) error {
	_, network, err := net.ParseCIDR(destination)
	if err != nil {
		return err
	}
	route := &netlink.Route{Dst: network, Type: kind}
	if via != "" {
		route.Gw = net.ParseIP(via)
	}
	if err := s.RouteReplace(route); err != nil {
		return fmt.Errorf("route to %s: %w", destination, err)
	}
	return nil
}
