// Package outside is the first process of the namespace in which clients run: it serves names there and steers
// connections to load balancers' addresses. Its processes share the machine's process numbers and file system.
package outside

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"e2e/cluster/internal/layout"
	"e2e/cluster/internal/namespace"
	"e2e/cluster/internal/supervise"
)

// Run is the whole life of the first process of `outside`.
func Run(m layout.Machine) error {
	if err := namespace.WaitForGo(); err != nil {
		return err
	}
	// What is mounted on the machine later is seen here, but not the other way round.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if err := useOwnDNS(m.Cluster()); err != nil {
		return err
	}
	// Clients are hosts, not routers, and go where they are told.
	for _, name := range []string{"ip_forward", "conf/all/accept_redirects", "conf/" + layout.Bridge + "/accept_redirects"} {
		if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv4", name), []byte("0"), 0o644); err != nil {
			return err
		}
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	c := m.Cluster()
	supervise.Run([]supervise.Component{
		{Name: "dns", Path: program, Args: []string{"dns", "outside", c.LoadBalancer("hosts")}, Log: m.Log("dns")},
		{Name: "load-balancer", Path: program, Args: []string{"load-balancer", c.Dir}, Log: m.Log("load-balancer")},
	})
	return nil
}

// useOwnDNS shows clients a resolv.conf of their own. A machine that has none keeps none.
func useOwnDNS(c layout.Cluster) error {
	const path = "/etc/resolv.conf"
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	if err := unix.Mount(c.Path("resolv.conf"), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return nil
}
