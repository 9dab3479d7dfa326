// Package storage provisions volumes: directories below the state directory, one folder a node. A volume is of the kind `local`, so
// that its pods are scheduled to its node and kubelet gives it to the pod's fsGroup. Sizes are recorded, not enforced.
package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// ProvisionerName is what a StorageClass names to have its volumes made here.
const ProvisionerName = "status-cluster/local"

// provisioner makes directories below root, which every node sees at the same path.
type provisioner struct{ root string }

// Run provisions until the context ends.
func Run(ctx context.Context, kubeconfig, root string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	controller.NewProvisionController(ctx, client, ProvisionerName, provisioner{root},
		controller.LeaderElection(false), controller.MetricsPort(0)).Run(ctx)
	return nil
}

// Provision makes a volume on the node that the scheduler chose.
func (p provisioner) Provision(_ context.Context, o controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	if o.PVC.Spec.Selector != nil {
		return nil, controller.ProvisioningFinished, errors.New("claims with a selector are not provisioned; remove spec.selector")
	}
	if mode := o.PVC.Spec.VolumeMode; mode != nil && *mode == v1.PersistentVolumeBlock {
		return nil, controller.ProvisioningFinished, errors.New("block volumes are not provisioned; use volumeMode: Filesystem")
	}
	if o.SelectedNodeName == "" {
		return nil, controller.ProvisioningFinished, errors.New("no node was chosen; use a StorageClass with volumeBindingMode: WaitForFirstConsumer")
	}
	path := filepath.Join(p.root, o.SelectedNodeName, o.PVName)
	if !p.owns(path) {
		return nil, controller.ProvisioningFinished, fmt.Errorf("%s is not a volume's path", path)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	class := o.StorageClass
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *class.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			MountOptions:                  class.MountOptions,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: o.PVC.Spec.Resources.Requests[v1.ResourceStorage]},
			PersistentVolumeSource:        v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{o.SelectedNodeName}}},
			}}}},
		},
	}, controller.ProvisioningFinished, nil
}

// Delete removes a volume's data.
func (p provisioner) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	if volume.Spec.Local == nil || !p.owns(volume.Spec.Local.Path) {
		return &controller.IgnoredError{Reason: "its data is not below " + p.root}
	}
	return os.RemoveAll(volume.Spec.Local.Path)
}

// owns says whether a path is that of a volume: root/node/name, and no way out of it.
func (p provisioner) owns(path string) bool {
	rel, err := filepath.Rel(p.root, path)
	return err == nil && filepath.Clean(path) == path && len(strings.Split(rel, "/")) == 2 && !strings.HasPrefix(rel, "..")
}
