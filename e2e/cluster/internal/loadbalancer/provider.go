// Package loadbalancer is the cloud of the cluster: a provider for the service controller that clouds run (k8s.io/cloud-provider),
// which hands out addresses, and the way of connections from `outside` to the nodes. It runs in `outside`.
//
//	Service ─► service controller ─► Provider (who has which address, test controls)
//	Services, nodes, health ─► Targets (pure) ─► rules and routes of `outside`
package loadbalancer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	metav1apply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/api"

	"e2e/cluster/internal/files"
	"e2e/cluster/internal/layout"
)

const (
	bookFile  = "addresses.json"
	hostsFile = "hosts"
	// fieldManager owns the condition that the provider sets.
	fieldManager = "status-cluster"
	// refusedRetry is how soon a refused Service is looked at again: the control may have changed.
	refusedRetry = 2 * time.Second
)

// Provider is the cloud.
type Provider struct {
	cluster layout.Cluster
	client  kubernetes.Interface
	// changed is called, without the lock, after addresses changed.
	changed func()

	mu       sync.Mutex
	controls Controls
	book     Book
}

// NewProvider reads what was handed out before.
func NewProvider(cluster layout.Cluster, client kubernetes.Interface, changed func()) (*Provider, error) {
	controls, err := LoadControls(cluster)
	if err != nil {
		return nil, err
	}
	book, err := LoadBook(cluster)
	return &Provider{cluster: cluster, client: client, changed: changed, controls: controls, book: book}, err
}

// LoadBook reads who has which address.
func LoadBook(cluster layout.Cluster) (Book, error) {
	var book Book
	err := files.ReadJSON(cluster.LoadBalancer(bookFile), &book)
	if book.Balancers == nil {
		book.Balancers = map[types.UID]Balancer{}
	}
	return book, err
}

// Balancers is a copy of who has which address, and whether it publishes a hostname.
func (p *Provider) Balancers() (map[types.UID]Balancer, Controls) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.book.Balancers), p.controls
}

// GetLoadBalancer says what a Service has.
func (p *Provider) GetLoadBalancer(_ context.Context, _ string, service *v1.Service) (*v1.LoadBalancerStatus, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	balancer, exists := p.book.Balancers[service.UID]
	return p.status(balancer), exists, nil
}

// GetLoadBalancerName names a Service's balancer.
func (p *Provider) GetLoadBalancerName(_ context.Context, _ string, service *v1.Service) string {
	return cloudprovider.DefaultLoadBalancerName(service)
}

// EnsureLoadBalancer gives a Service its address, when the controls say so.
func (p *Provider) EnsureLoadBalancer(ctx context.Context, _ string, service *v1.Service, _ []*v1.Node) (*v1.LoadBalancerStatus, error) {
	p.mu.Lock()
	refused := p.controls.RefuseMixed && mixed(service)
	p.mu.Unlock()
	if err := p.reportMixed(ctx, service, refused); err != nil {
		return nil, err
	}
	if refused {
		return nil, api.NewRetryError("LoadBalancer with multiple protocols is not supported", refusedRetry)
	}
	status, err := p.ensure(service)
	if err == nil {
		p.changed()
	}
	return status, err
}

func (p *Provider) ensure(service *v1.Service) (*v1.LoadBalancerStatus, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := key(service)
	if _, exists := p.book.Balancers[service.UID]; !exists {
		if left := p.controls.delay(name) - time.Since(service.CreationTimestamp.Time); left > 0 {
			return nil, api.NewRetryError("the address is still being provisioned", left)
		}
		if err := p.book.Assign(service.UID, name, p.controls.Changes[name]); err != nil {
			return nil, err
		}
		if err := p.save(); err != nil {
			return nil, err
		}
	}
	return p.status(p.book.Balancers[service.UID]), nil
}

// UpdateLoadBalancer has nothing to do: the way to the nodes follows nodes and their health by itself.
func (p *Provider) UpdateLoadBalancer(context.Context, string, *v1.Service, []*v1.Node) error {
	return nil
}

// EnsureLoadBalancerDeleted takes a Service's address back.
func (p *Provider) EnsureLoadBalancerDeleted(_ context.Context, _ string, service *v1.Service) error {
	p.mu.Lock()
	p.book.Release(service.UID)
	err := p.save()
	p.mu.Unlock()
	p.changed()
	return err
}

// SetControls applies controls that changed: Services that are to change get their new address.
func (p *Provider) SetControls(controls Controls) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.controls = controls
	var failed error
	for uid, balancer := range p.book.Balancers {
		if wanted := controls.Changes[balancer.Service]; wanted > balancer.Changes {
			failed = errors.Join(failed, p.book.Assign(uid, balancer.Service, wanted))
		}
	}
	return errors.Join(failed, p.save())
}

// Published is what every Service with a balancer is to publish.
func (p *Provider) Published() map[types.UID]*v1.LoadBalancerStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	published := map[types.UID]*v1.LoadBalancerStatus{}
	for uid, balancer := range p.book.Balancers {
		published[uid] = p.status(balancer)
	}
	return published
}

// status is what a balancer publishes. The lock is held.
func (p *Provider) status(b Balancer) *v1.LoadBalancerStatus {
	if !b.Address.IsValid() {
		return &v1.LoadBalancerStatus{}
	}
	if p.controls.hostname(b.Service) {
		return &v1.LoadBalancerStatus{Ingress: []v1.LoadBalancerIngress{{Hostname: Hostname(b.Service)}}}
	}
	mode := v1.LoadBalancerIPModeVIP
	return &v1.LoadBalancerStatus{Ingress: []v1.LoadBalancerIngress{{IP: b.Address.String(), IPMode: &mode}}}
}

// save writes who has which address, and their names for the DNS. The lock is held: the files follow the order of changes.
func (p *Provider) save() error {
	var hosts strings.Builder
	for _, uid := range slices.Sorted(maps.Keys(p.book.Balancers)) {
		b := p.book.Balancers[uid]
		fmt.Fprintf(&hosts, "%s %s\n", b.Address, Hostname(b.Service))
	}
	return errors.Join(
		files.WriteJSON(p.cluster.LoadBalancer(bookFile), p.book),
		files.Write(p.cluster.LoadBalancer(hostsFile), []byte(hosts.String()), 0o644),
	)
}

// reportMixed sets or takes back the condition by which clouds say that they do not support the Service's mix of protocols.
func (p *Provider) reportMixed(ctx context.Context, service *v1.Service, refused bool) error {
	reported := meta.IsStatusConditionTrue(service.Status.Conditions, v1.LoadBalancerPortsError)
	if reported == refused {
		return nil
	}
	status := corev1apply.ServiceStatus()
	if refused {
		status.WithConditions(metav1apply.Condition().
			WithType(v1.LoadBalancerPortsError).WithStatus(metav1.ConditionTrue).
			WithReason(v1.LoadBalancerPortsErrorReason).WithMessage("LoadBalancer with multiple protocols is not supported.").
			WithObservedGeneration(service.Generation).WithLastTransitionTime(metav1.Now()))
	}
	_, err := p.client.CoreV1().Services(service.Namespace).ApplyStatus(ctx,
		corev1apply.Service(service.Name, service.Namespace).WithStatus(status),
		metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}

func mixed(service *v1.Service) bool {
	return slices.ContainsFunc(service.Spec.Ports, func(p v1.ServicePort) bool { return p.Protocol != service.Spec.Ports[0].Protocol })
}

func key(service *v1.Service) string { return service.Namespace + "/" + service.Name }
