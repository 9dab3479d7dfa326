package layout

import (
	"path/filepath"
	"testing"
)

func TestStateDirectoryComesFromFlagThenVariableThenCache(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/cache")
	t.Setenv(DirVariable, "")
	for _, c := range []struct{ flag, variable, want string }{
		{"/flag", "/variable", "/flag"},
		{"", "/variable", "/variable"},
		{"", "", "/cache/status-node/cluster"},
	} {
		t.Setenv(DirVariable, c.variable)
		got, err := New(c.flag)
		if err != nil || got.Dir != c.want {
			t.Errorf("flag %q, variable %q: got %q, %v; want %q", c.flag, c.variable, got.Dir, err, c.want)
		}
	}
}

func TestRootIsNoStateDirectory(t *testing.T) {
	if c, err := New("/"); err == nil {
		t.Errorf("accepted %q", c.Dir)
	}
}

func TestClustersInDifferentDirectoriesShareNoCgroup(t *testing.T) {
	a, b := Cluster{Dir: "/a"}, Cluster{Dir: "/b"}
	if a.Node(1).Cgroup() == b.Node(1).Cgroup() || a.Node(1).Cgroup() == a.Node(2).Cgroup() {
		t.Errorf("%s %s %s", a.Node(1).Cgroup(), b.Node(1).Cgroup(), a.Node(2).Cgroup())
	}
}

func TestEverythingIsBelowTheStateDirectory(t *testing.T) {
	c := Cluster{Dir: "/state"}
	for _, p := range []string{c.Kubeconfig("admin"), c.PKI("ca.crt"), c.Volumes("node1"), c.Node(2).Log("kubelet"), c.Outside().PIDFile()} {
		if rel, err := filepath.Rel(c.Dir, p); err != nil || rel[0] == '.' {
			t.Errorf("%s is not below %s", p, c.Dir)
		}
	}
}
