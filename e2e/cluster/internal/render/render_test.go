package render

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"e2e/cluster/internal/layout"
)

func TestKubeletKeepsTheDefaultsThatTestsDependOn(t *testing.T) {
	var k v1beta1.KubeletConfiguration
	if err := yaml.UnmarshalStrict([]byte(Kubelet(layout.Cluster{Dir: "/state"}.Node(2))), &k); err != nil {
		t.Fatal(err)
	}
	if k.SyncFrequency.Duration != 0 || k.ConfigMapAndSecretChangeDetectionStrategy != "" {
		t.Errorf("syncFrequency %v, change detection %q", k.SyncFrequency, k.ConfigMapAndSecretChangeDetectionStrategy)
	}
	if k.CgroupRoot != "/"+(layout.Cluster{Dir: "/state"}).Node(2).Cgroup() || k.EvictionHard["nodefs.available"] != "0%" {
		t.Errorf("%+v", k)
	}
	if *k.Authentication.Anonymous.Enabled || k.Authorization.Mode != v1beta1.KubeletAuthorizationModeWebhook {
		t.Error("kubelet answers to anyone")
	}
}

func TestPodsOfANodeGetItsAddressesAndKeepThem(t *testing.T) {
	text, err := CNI(layout.Cluster{Dir: "/state"}.Node(2))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Plugins []struct {
			Type   string
			IPMasq *bool
			IPAM   struct{ Ranges [][]struct{ Subnet string } }
		}
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if p := c.Plugins[0]; p.Type != "ptp" || *p.IPMasq || p.IPAM.Ranges[0][0].Subnet != "10.244.2.0/24" {
		t.Errorf("%+v", p)
	}
}

func TestContainerdAndProxyNameTheirFiles(t *testing.T) {
	if c := Containerd("/opt/cni/bin"); !strings.Contains(c, `bin_dir = "/opt/cni/bin"`) || !strings.Contains(c, `sandbox_image = "localhost/pause:1"`) {
		t.Error(c)
	}
	if p := Proxy(layout.Cluster{Dir: "/state"}.Node(1)); !strings.Contains(p, `kubeconfig: "/state/kubeconfig/kube-proxy"`) {
		t.Error(p)
	}
}
