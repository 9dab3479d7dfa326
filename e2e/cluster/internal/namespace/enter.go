package namespace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"e2e/cluster/internal/layout"
)

// ErrNotRunning says that there is no cluster to enter.
var ErrNotRunning = errors.New("no cluster is running; raise one with: status-cluster up")

// Inside says whether this process is in the machine's network namespace.
func Inside(m layout.Machine) bool {
	record, running := Find(m)
	here, err := networkOf("self")
	return running && err == nil && here == record.Network
}

// Enter replaces this process by a command inside a machine, in the same working directory. It returns only if that fails.
// KUBECONFIG is set to the administrator's; the exit code is the command's.
func Enter(m layout.Machine, command ...string) error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	record, running := Find(m)
	if !running {
		return ErrNotRunning
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return errors.New("nsenter is missing: install util-linux")
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	args := []string{"nsenter", "--target", strconv.Itoa(record.PID), "--net", "--mount", "--wdns=" + dir}
	if m.Index > 0 {
		args = append(args, "--pid", "--uts", "--ipc")
	}
	args = append(append(args, "--"), command...)
	for name, value := range map[string]string{
		"KUBECONFIG":       m.Cluster().Kubeconfig("admin"),
		layout.DirVariable: m.Cluster().Dir,
		// What kubectl and helm remember about this API server must not outlive it.
		"KUBECACHEDIR": m.Cluster().Path("kubectl-cache"),
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return fmt.Errorf("nsenter: %w", syscall.Exec(nsenter, args, os.Environ()))
}
