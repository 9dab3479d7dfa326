package storage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func options() controller.ProvisionOptions {
	reclaim := v1.PersistentVolumeReclaimDelete
	claim := &v1.PersistentVolumeClaim{}
	claim.Spec.Resources.Requests = v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Gi")}
	return controller.ProvisionOptions{StorageClass: &storagev1.StorageClass{ReclaimPolicy: &reclaim}, PVName: "pvc-1", PVC: claim, SelectedNodeName: "node2"}
}

func TestAVolumeIsADirectoryBoundToItsNodeAndGoesWhenDeleted(t *testing.T) {
	p := provisioner{t.TempDir()}
	volume, _, err := p.Provision(t.Context(), options())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.root, "node2", "pvc-1")
	if volume.Spec.Local.Path != path {
		t.Errorf("path %s", volume.Spec.Local.Path)
	}
	if e := volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0]; e.Key != v1.LabelHostname || e.Values[0] != "node2" {
		t.Errorf("affinity %v", e)
	}
	if err := os.WriteFile(filepath.Join(path, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(t.Context(), volume); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestNothingOutsideTheVolumesIsRemoved(t *testing.T) {
	root := t.TempDir()
	p := provisioner{filepath.Join(root, "volumes")}
	for _, path := range []string{root, p.root, p.root + "/node1", p.root + "/node1/../../x", p.root + "/node1/a/b", "/", "volumes/node1/a"} {
		volume := &v1.PersistentVolume{}
		volume.Spec.Local = &v1.LocalVolumeSource{Path: path}
		var ignored *controller.IgnoredError
		if err := p.Delete(t.Context(), volume); !errors.As(err, &ignored) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestClaimsThatCannotBeMetAreRefused(t *testing.T) {
	p := provisioner{t.TempDir()}
	block := v1.PersistentVolumeBlock
	for name, change := range map[string]func(*controller.ProvisionOptions){
		"block":     func(o *controller.ProvisionOptions) { o.PVC.Spec.VolumeMode = &block },
		"no node":   func(o *controller.ProvisionOptions) { o.SelectedNodeName = "" },
		"a way out": func(o *controller.ProvisionOptions) { o.PVName = "../../x" },
	} {
		o := options()
		change(&o)
		if volume, _, err := p.Provision(t.Context(), o); err == nil {
			t.Errorf("%s: %v", name, volume)
		}
	}
}
