// Package dns runs CoreDNS as a library, with the few plugins it needs: in a pod as the cluster's DNS, and in `outside` for the
// hostnames of load balancers. It decides what each of the two answers, and to whom.
package dns

import (
	"fmt"
	"log"
	"os"

	"github.com/coredns/caddy"
	_ "github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"

	"e2e/cluster/internal/layout"
)

// Corefile of one of the two: "cluster" or "outside". hosts is the file that holds load balancers' hostnames.
func Corefile(which, hosts string) (string, error) {
	balancers := func(bind string) string {
		return fmt.Sprintf("%s:53 {\n  errors\n%s  hosts %s %s {\n    reload 200ms\n    ttl 1\n    no_reverse\n  }\n}\n",
			layout.LoadBalancerDomain, bind, hosts, layout.LoadBalancerDomain)
	}
	switch which {
	case "outside":
		return balancers("  bind " + layout.OutsideIP + "\n"), nil
	case "cluster":
		return fmt.Sprintf("%s:53 in-addr.arpa:53 {\n  errors\n  ready\n  kubernetes %s in-addr.arpa {\n    ttl 1\n  }\n}\n",
			layout.Domain, layout.Domain) + balancers(""), nil
	}
	return "", fmt.Errorf("dns: %q is neither cluster nor outside", which)
}

// Run serves until it is told to end.
func Run(which, hosts string) error {
	text, err := Corefile(which, hosts)
	if err != nil {
		return err
	}
	// CoreDNS makes klog write to this logger: it must not be the one that writes to klog.
	log.SetOutput(os.Stdout)
	caddy.Quiet = true
	caddy.TrapSignals()
	instance, err := caddy.Start(caddy.CaddyfileInput{Contents: []byte(text), Filepath: "Corefile", ServerTypeName: "dns"})
	if err != nil {
		return err
	}
	instance.Wait()
	return nil
}
