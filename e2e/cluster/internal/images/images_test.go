package images

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	err := errors.Join(
		os.MkdirAll(filepath.Join(root, "usr/bin"), 0o755),
		os.WriteFile(filepath.Join(root, "usr/bin/a"), []byte("program"), 0o755),
		os.WriteFile(filepath.Join(root, "secret"), nil, 0o600),
		os.Symlink("a", filepath.Join(root, "usr/bin/b")),
		os.Mkdir(filepath.Join(root, "tmp"), 0o755),
		os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky),
	)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func entries(t *testing.T, r io.Reader) map[string]*tar.Header {
	t.Helper()
	found := map[string]*tar.Header{}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found[h.Name] = h
	}
}

func part(t *testing.T, path, name string) []byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for archive := tar.NewReader(file); ; {
		h, err := archive.Next()
		if err != nil {
			t.Fatal(name, err)
		}
		if h.Name == name {
			data, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
}

func TestTheSameContentGivesTheSameBytes(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.tar"), filepath.Join(dir, "b.tar")
	one, other := tree(t), tree(t)
	if err := os.Chtimes(filepath.Join(other, "secret"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Pack(one, "localhost/x:1", `{}`, a), Pack(other, "localhost/x:1", `{}`, b)); err != nil {
		t.Fatal(err)
	}
	x, err1 := os.ReadFile(a)
	y, err2 := os.ReadFile(b)
	if err1 != nil || err2 != nil || !bytes.Equal(x, y) {
		t.Error("different bytes", err1, err2)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Error("left behind: ", left)
	}
}

func TestModesAndLinksAreKeptAndOwnersAreRoot(t *testing.T) {
	out := filepath.Join(t.TempDir(), "x.tar")
	if err := Pack(tree(t), "localhost/x:1", `{"User":"65532"}`, out); err != nil {
		t.Fatal(err)
	}
	layer := entries(t, bytes.NewReader(part(t, out, "layer.tar")))
	for name, mode := range map[string]int64{"usr/": 0o755, "usr/bin/a": 0o755, "secret": 0o600, "tmp/": 0o1777} {
		if h := layer[name]; h == nil || h.Mode != mode || h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s: %+v", name, h)
		}
	}
	if h := layer["usr/bin/b"]; h == nil || h.Linkname != "a" {
		t.Errorf("link: %+v", h)
	}
	var manifest []struct {
		Config   string
		RepoTags []string
	}
	if err := json.Unmarshal(part(t, out, "manifest.json"), &manifest); err != nil || manifest[0].RepoTags[0] != "localhost/x:1" {
		t.Fatal(manifest, err)
	}
	var config struct{ Config struct{ User string } }
	if err := json.Unmarshal(part(t, out, manifest[0].Config), &config); err != nil || config.Config.User != "65532" {
		t.Error(config, err)
	}
}

func TestWhatCannotBePackedLeavesNoArchive(t *testing.T) {
	out := filepath.Join(t.TempDir(), "x.tar")
	for name, err := range map[string]error{
		"configuration": Pack(tree(t), "x:1", `[]`, out), "no JSON": Pack(tree(t), "x:1", `{`, out), "no directory": Pack("/nowhere", "x:1", `{}`, out),
	} {
		if err == nil {
			t.Error(name, "was packed")
		}
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Error(err)
	}
}

func TestTheSandboxProgramSleepsAndLeavesNoZombies(t *testing.T) {
	program, err := pauseProgram(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	// It sleeps, and ignores the end of its children. Others it may have been started with ignored, as by nohup.
	ignored := regexp.MustCompile(`(?m)^SigIgn:\t([0-9a-f]+)$`)
	const child = 1 << (syscall.SIGCHLD - 1)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		if found := ignored.FindSubmatch(status); found != nil && strings.Contains(string(status), "State:\tS") {
			if mask, err := strconv.ParseUint(string(found[1]), 16, 64); err == nil && mask&child != 0 {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s", status)
		}
	}
}
