// Package render makes the configuration files of a node's components. Pure: text from names and addresses.
package render

import (
	"encoding/json"
	"fmt"

	"e2e/cluster/internal/layout"
)

// Containerd is containerd's configuration. restrict_oom_score_adj: without CAP_SYS_RESOURCE runc dies on a lower score than its own.
func Containerd(cniBin string) string {
	return fmt.Sprintf(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
# The default is a directory of the machine, made at every start.
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = "/run/cni"
`, layout.PauseImage, cniBin)
}

// CNI is the network of a node's pods: routed, without address translation, so that every source address is the sender's own.
func CNI(m layout.Machine) (string, error) {
	type object = map[string]any
	data, err := json.MarshalIndent(object{
		"cniVersion": "0.4.0",
		"name":       "status-cluster",
		"plugins": []object{
			{
				"type": "ptp", "ipMasq": false,
				"ipam": object{
					"type":   "host-local",
					"ranges": [][]object{{{"subnet": m.PodCIDR()}}},
					"routes": []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}, "", "  ")
	return string(data), err
}

// Kubelet is kubelet's configuration. What tests depend on stays at its default: syncFrequency and the change detection of
// ConfigMaps and Secrets. No pod is evicted for a full disk: the disk is the machine's own.
func Kubelet(m layout.Machine) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /%s
failCgroupV1: false
failSwapOn: false
resolvConf: %s
volumePluginDir: /var/lib/kubelet/volume-plugins
clusterDNS: [%s]
clusterDomain: %s
imageGCHighThresholdPercent: 100
evictionHard: {nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%", imagefs.inodesFree: "0%%"}
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %q}}
authorization: {mode: Webhook}
nodeStatusUpdateFrequency: 5s
`, m.Cgroup(), m.Cluster().Path("resolv.conf"), layout.DNSServiceIP, layout.Domain, m.Cluster().PKI("ca.crt"))
}

// Proxy is kube-proxy's configuration. Limits of connection tracking belong to the machine: 0 leaves them alone.
func Proxy(m layout.Machine) string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: %s
hostnameOverride: %s
clientConnection: {kubeconfig: %q}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, layout.PodCIDR, m.Name, m.Cluster().Kubeconfig("kube-proxy"))
}

// ResolvConf points at the DNS of `outside`, for clients there, for nodes and for pods with dnsPolicy Default.
func ResolvConf() string { return "nameserver " + layout.OutsideIP + "\n" }
