package loadbalancer

import (
	"errors"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"

	"e2e/cluster/internal/layout"
)

// Balancer is what one Service has.
type Balancer struct {
	// Service is its namespace/name.
	Service string `json:"service"`
	// Address is its address, whether it publishes that or a hostname.
	Address netip.Addr `json:"address"`
	// Changes is how many of the changes asked for were made.
	Changes int `json:"changes"`
}

// Book holds who has which address. It hands addresses out in turn, so that a released one comes back only after all others.
// Not safe for concurrent use.
type Book struct {
	// Last is the address that was handed out last.
	Last      netip.Addr             `json:"last"`
	Balancers map[types.UID]Balancer `json:"balancers"`
}

// ErrExhausted says that every address of the range is in use.
var ErrExhausted = errors.New("every address of " + layout.LoadBalancerCIDR + " is in use; delete a Service of type LoadBalancer")

// Assign gives a Service an address that it did not have just before.
func (b *Book) Assign(uid types.UID, service string, changes int) error {
	pool := netip.MustParsePrefix(layout.LoadBalancerCIDR)
	used := map[netip.Addr]bool{}
	for _, other := range b.Balancers {
		used[other.Address] = true
	}
	first := pool.Addr().Next()
	next := b.Last
	for range 256 {
		next = next.Next()
		// Neither the network's own address nor its broadcast.
		if !pool.Contains(next) || !pool.Contains(next.Next()) {
			next = first
		}
		if !used[next] {
			b.Last = next
			b.Balancers[uid] = Balancer{Service: service, Address: next, Changes: changes}
			return nil
		}
	}
	return ErrExhausted
}

// Release takes a Service's address back.
func (b *Book) Release(uid types.UID) { delete(b.Balancers, uid) }
