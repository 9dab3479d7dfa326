package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"e2e/cluster/internal/layout"
)

// quietSysctls are the machine-wide kernel settings that kubelet writes when they differ from what it wants
// (pkg/kubelet/cm/container_manager_linux.go, setupKernelTunables). A node sees a file of its own in the place of each,
// so the machine's settings are never touched.
var quietSysctls = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// mountAll makes the node's view of the file system: the machine's, with directories of its own where components keep state,
// so that nothing is written outside the state directory and everything mounted ends with the node.
func mountAll(m layout.Machine) error {
	// No mount of the node reaches the machine.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	// Opened before anything covers them.
	state, err := os.Open(m.Cluster().Dir)
	if err != nil {
		return err
	}
	defer state.Close()
	binary, err := os.Open(program)
	if err != nil {
		return err
	}
	defer binary.Close()
	for _, d := range []struct{ source, target string }{{"var-lib", "/var/lib"}, {"var-log", "/var/log"}} {
		if err := bind(m.Path(d.source), d.target); err != nil {
			return err
		}
	}
	if err := unix.Mount("run", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := restore(state, m.Cluster().Dir); err != nil {
		return err
	}
	for _, d := range []struct{ source, target string }{{"containerd-run", "/run/containerd"}, {"cni", "/run/cni"}} {
		if err := bind(m.Path(d.source), d.target); err != nil {
			return err
		}
	}
	if err := os.WriteFile(layout.ProgramInNode, nil, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", binary.Fd()), layout.ProgramInNode, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the program: %w", err)
	}
	if err := coverSysctls(); err != nil {
		return err
	}
	// kubelet's mounts reach the pods below it. Last, so that no two of the above share theirs.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts with pods: %w", err)
	}
	return nil
}

// restore shows the state directory again where a mount covered it.
func restore(state *os.File, path string) error {
	covered := false
	for _, d := range []string{"/run/", "/var/lib/", "/var/log/"} {
		covered = covered || strings.HasPrefix(path+"/", d)
	}
	if !covered {
		return nil
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", state.Fd()), path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s again: %w", path, err)
	}
	return nil
}

func bind(source, target string) error {
	for _, d := range []string{source, target} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

func coverSysctls() error {
	const dir = "/run/sysctl"
	for name, value := range quietSysctls {
		real := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(real); err != nil {
			continue
		}
		cover := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(cover), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(cover, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(cover, real, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cover %s: %w", real, err)
		}
	}
	return nil
}
