// Package cgroup makes and removes the cgroup below which a node's pods run, in every hierarchy of the machine (versions 1, 2 or both).
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"e2e/cluster/internal/layout"
)

const root = "/sys/fs/cgroup"

// removeTime bounds the time in which a cgroup whose processes were killed becomes empty.
const removeTime = 10 * time.Second

// hierarchies are the roots below which a cgroup is made.
func hierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return []string{root}, nil
	}
	found, err := filepath.Glob(filepath.Join(root, "*", "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no cgroups are mounted below %s", root)
	}
	for i := range found {
		found[i] = filepath.Dir(found[i])
	}
	return found, nil
}

// Create makes the node's cgroup.
func Create(m layout.Machine) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range roots {
		dir := filepath.Join(h, m.Cgroup())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		// A new cpuset is empty, and an empty one takes no process.
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(h, name))
			if errors.Is(err, fs.ErrNotExist) || h == root {
				continue
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), value, 0o644)
			}
			if err != nil {
				return err
			}
		}
		if err := delegate(h); err != nil {
			return err
		}
	}
	return nil
}

// delegate lets the children of a version 2 cgroup use the controllers it has; version 1 has no such switch.
func delegate(dir string) error {
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil || dir != root {
		return nil
	}
	for _, controller := range strings.Fields(string(available)) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("use the %s controller of %s: %w", controller, dir, err)
		}
	}
	return nil
}

// Remove removes the node's cgroup and all below it, once their processes are gone.
func Remove(m layout.Machine) error {
	var left []string
	for deadline := time.Now().Add(removeTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		roots, err := hierarchies()
		if err != nil {
			return err
		}
		left = nil
		for _, h := range roots {
			dir := filepath.Join(h, m.Cgroup())
			if removeTree(dir); exists(dir) {
				left = append(left, dir)
			}
		}
		if len(left) == 0 {
			return nil
		}
	}
	return fmt.Errorf("cgroups are still in use: %s", strings.Join(left, ", "))
}

// removeTree removes what it can of a cgroup, children first. The files in it go with it.
func removeTree(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			removeTree(filepath.Join(dir, e.Name()))
		}
	}
	_ = os.Remove(dir)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
