// Package addons holds the objects that every cluster has from the start (storage class, DNS) and applies them.
package addons

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"text/template"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"e2e/cluster/internal/layout"
)

//go:embed addons.yaml
var source string

// Objects are the objects of a cluster.
func Objects(c layout.Cluster) ([]*unstructured.Unstructured, error) {
	parsed, err := template.New("addons").Parse(source)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, map[string]string{
		"PauseImage": layout.PauseImage, "Program": layout.ProgramInNode, "DNSServiceIP": layout.DNSServiceIP, "LoadBalancerDir": c.Path("lb"),
	}); err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(&text, 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, fmt.Errorf("addons: %w", err)
		}
		objects = append(objects, o)
	}
}

// Apply makes the objects what they should be.
func Apply(ctx context.Context, config *rest.Config, c layout.Cluster) error {
	objects, err := Objects(c)
	if err != nil {
		return err
	}
	names, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(names))
	for _, o := range objects {
		kind := o.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			return err
		}
		// For objects that have no namespace it is empty.
		_, err = client.Resource(mapping.Resource).Namespace(o.GetNamespace()).Apply(ctx, o.GetName(), o,
			metav1.ApplyOptions{FieldManager: "status-cluster", Force: true})
		if err != nil {
			return fmt.Errorf("%s %s: %w", kind.Kind, o.GetName(), err)
		}
	}
	return nil
}
