// Package lifecycle raises a cluster, tells how it is, and removes it.
package lifecycle

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/component-base/version"

	"e2e/cluster/internal/namespace"
)

// packages are the Debian packages of the programs that a cluster needs.
var packages = map[string]string{
	"containerd": "containerd", "ctr": "containerd", "containerd-shim-runc-v2": "containerd", "runc": "runc", "nft": "nftables",
	"nsenter": "util-linux", "mount": "mount", "conntrack": "conntrack",
}

// cniPlugins are the plugins that the nodes' network is made of.
var cniPlugins = []string{"ptp", "host-local", "portmap", "loopback"}

// cniDirs are where distributions put them.
var cniDirs = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

// UseSystemPath adds the directories where root's programs are, which some users' PATH lacks.
func UseSystemPath() error {
	return os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin")
}

// check says everything that the machine lacks, and finds the directory of the CNI plugins.
func check() (cniBin string, err error) {
	if os.Geteuid() != 0 {
		return "", namespace.ErrNotRoot
	}
	// kubelet and API server go by the version that was linked in; without one, no pod gets ready.
	if v := version.Get(); v.Major == "" || v.Minor == "" {
		return "", errors.New("this program was built without the version of Kubernetes: build it by scripts/build.sh cluster")
	}
	missing := map[string]bool{}
	var names []string
	for program, debian := range packages {
		if _, err := exec.LookPath(program); err != nil {
			names = append(names, program)
			missing[debian] = true
		}
	}
	for _, dir := range cniDirs {
		if hasAll(dir, cniPlugins) {
			cniBin = dir
			break
		}
	}
	if cniBin == "" {
		names = append(names, "the CNI plugins "+strings.Join(cniPlugins, ", "))
		missing["containernetworking-plugins"] = true
	}
	if len(names) > 0 {
		slices.Sort(names)
		return "", fmt.Errorf("missing on this machine: %s; on Debian or Ubuntu: apt-get install %s",
			strings.Join(names, ", "), strings.Join(slices.Sorted(maps.Keys(missing)), " "))
	}
	return cniBin, nil
}

func hasAll(dir string, names []string) bool {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}
