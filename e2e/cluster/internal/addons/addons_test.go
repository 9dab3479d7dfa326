package addons

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"e2e/cluster/internal/layout"
	"e2e/cluster/internal/storage"
)

func TestTheDefaultStorageClassNamesTheProvisionerAndDNSItsAddress(t *testing.T) {
	objects, err := Objects(layout.Cluster{Dir: "/state"})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*unstructured.Unstructured{}
	for _, o := range objects {
		found[o.GetKind()+"/"+o.GetName()] = o
	}
	class := found["StorageClass/standard"]
	if class == nil || class.Object["provisioner"] != storage.ProvisionerName || class.Object["volumeBindingMode"] != "WaitForFirstConsumer" {
		t.Errorf("%v", class)
	}
	ip, _, err := unstructured.NestedString(found["Service/kube-dns"].Object, "spec", "clusterIP")
	if err != nil || ip != layout.DNSServiceIP {
		t.Errorf("%s %v", ip, err)
	}
	if found["NetworkPolicy/kube-dns"] == nil {
		t.Error("DNS is open to everyone")
	}
}
