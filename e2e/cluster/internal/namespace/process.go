// Package namespace starts, finds, enters and ends a machine: the first process of a set of Linux namespaces, which holds them.
// Nothing is given a name on the machine (no file in /run/netns, no link): when the first process ends, the kernel removes
// its network, its mounts and, for a node, every process in it.
package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"e2e/cluster/internal/files"
	"e2e/cluster/internal/layout"
)

// endTime bounds the time that killed processes may take to end.
const endTime = 10 * time.Second

// Record identifies a machine's first process for as long as the kernel runs: its number may be given to another process later,
// its number together with its start may not.
type Record struct {
	PID int `json:"pid"`
	// Start is when the process started, in clock ticks since the kernel's start (proc(5), /proc/pid/stat field 22).
	Start uint64 `json:"start"`
	// Network is the inode of the process's network namespace.
	Network uint64 `json:"network"`
}

// Machine is a started machine. Its first process waits for Go before it does anything.
type Machine struct {
	Record
	release *os.File
}

// Go lets the first process go on.
func (m *Machine) Go() error {
	_, err := m.release.Write([]byte{1})
	return errors.Join(err, m.release.Close())
}

// Start starts this program as `init` in new namespaces. A node has its own processes, so that the end of the first is the end of all;
// `outside` shares the machine's, so that a test that runs there can use every command of this program.
func Start(m layout.Machine) (*Machine, error) {
	if err := os.MkdirAll(m.Path("components"), 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(m.Log("init"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	wait, release, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer wait.Close()
	flags := uintptr(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
	if m.Index > 0 {
		flags |= unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	}
	cmd := exec.Command("/proc/self/exe", "init", m.Name, "--state", m.Cluster().Dir)
	cmd.Args[0] = "status-cluster"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{wait}
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), mark(m))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Setsid: true}
	if err := cmd.Start(); err != nil {
		release.Close()
		return nil, fmt.Errorf("start %s in namespaces of its own: %w", m.Name, err)
	}
	record, err := identify(cmd.Process.Pid)
	if err == nil {
		err = files.WriteJSON(m.PIDFile(), record)
	}
	if err != nil {
		release.Close()
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	// Reaps the process if it ends while this one still runs: it would look alive for as long as it is not waited for.
	go func() { _ = cmd.Wait() }()
	return &Machine{Record: record, release: release}, nil
}

// WaitForGo is the first process's side of Machine.Go. It fails when the starter ended without saying go.
func WaitForGo() error {
	release := os.NewFile(3, "release")
	defer release.Close()
	if n, err := release.Read(make([]byte, 1)); n != 1 {
		return fmt.Errorf("the command that started this machine ended before it was ready: %w", err)
	}
	return nil
}

// ErrNotRoot says what only root may do.
var ErrNotRoot = errors.New("not root: a cluster has network namespaces and containers of its own; run this as root")

// Find returns the machine's first process, if it runs. Only root can see that.
func Find(m layout.Machine) (Record, bool) {
	recorded, err := load(m.PIDFile())
	if err != nil {
		return Record{}, false
	}
	now, err := identify(recorded.PID)
	return recorded, err == nil && now.Start == recorded.Start
}

// Kill ends a machine and waits until it is gone: its first process and every process in its network namespace but this one.
func Kill(m layout.Machine) error {
	recorded, err := load(m.PIDFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if here, err := networkOf("self"); err == nil && here == recorded.Network {
		return fmt.Errorf("this command runs inside the cluster (%s): run it on the machine itself", m.Name)
	}
	for deadline := time.Now().Add(endTime); ; time.Sleep(20 * time.Millisecond) {
		left := members(m, recorded)
		if len(left) == 0 {
			return os.Remove(m.PIDFile())
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: processes %v do not end", m.Name, left)
		}
		for _, pid := range left {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end process %d of %s: %w", pid, m.Name, err)
			}
		}
	}
}

// members are the processes of a machine: its first one, and those in its network namespace that were started by Start or Enter, or by
// what these started. The number of a namespace alone is no proof: it is used again once the namespace is gone.
func members(m layout.Machine, r Record) []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		now, err := identify(pid)
		if err == nil && (now == r || now.Network == r.Network && marked(pid, m)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// mark is the variable that every process of the machines of a cluster has.
func mark(m layout.Machine) string { return layout.DirVariable + "=" + m.Cluster().Dir }

func marked(pid int, m layout.Machine) bool {
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && slices.Contains(strings.Split(string(environment), "\x00"), mark(m))
}

// identify reads a process's record; an ended one that waits to be reaped is an error.
func identify(pid int) (Record, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Record{}, err
	}
	start, err := startTime(string(stat))
	if err != nil {
		return Record{}, err
	}
	network, err := networkOf(strconv.Itoa(pid))
	return Record{PID: pid, Start: start, Network: network}, err
}

// startTime reads field 22 of /proc/pid/stat; the second one is in brackets and may hold anything.
func startTime(stat string) (uint64, error) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, fmt.Errorf("not a process's stat: %q", stat)
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("not a process's stat: %q", stat)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, errors.New("ended")
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

func networkOf(pid string) (uint64, error) {
	var stat unix.Stat_t
	err := unix.Stat(filepath.Join("/proc", pid, "ns/net"), &stat)
	return stat.Ino, err
}

func load(path string) (r Record, err error) {
	if _, err = os.Stat(path); err == nil {
		err = files.ReadJSON(path, &r)
	}
	return r, err
}
