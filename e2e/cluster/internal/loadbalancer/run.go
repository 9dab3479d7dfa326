package loadbalancer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corev1 "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	servicecontroller "k8s.io/cloud-provider/controllers/service"
	"k8s.io/cloud-provider/service/helpers"
	controllersmetrics "k8s.io/component-base/metrics/prometheus/controllers"
	"k8s.io/klog/v2"

	"e2e/cluster/internal/files"
	"e2e/cluster/internal/layout"
)

const (
	// checkEvery is how often nodes are asked for the health of Services with externalTrafficPolicy Local: a node does not say
	// by itself that it changed.
	checkEvery = 500 * time.Millisecond
	// workers handle Services at the same time.
	workers = 4
	// targetsFile tells the user where connections go.
	targetsFile = "targets.json"
)

// Run is the load balancer's whole life; it is to run in `outside`.
func Run(ctx context.Context, cluster layout.Cluster) error {
	config, err := clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig("status-cluster"))
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	kick := make(chan struct{}, 1)
	changed := func() {
		select {
		case kick <- struct{}{}:
		default:
		}
	}
	provider, err := NewProvider(cluster, client, changed)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	services, nodes := factory.Core().V1().Services(), factory.Core().V1().Nodes()
	controller, err := servicecontroller.New(cloud{provider}, client, services, nodes, "status-cluster", utilfeature.DefaultFeatureGate)
	if err != nil {
		return err
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { changed() }, UpdateFunc: func(any, any) { changed() }, DeleteFunc: func(any) { changed() },
	}
	for _, i := range []cache.SharedIndexInformer{services.Informer(), nodes.Informer()} {
		if _, err := i.AddEventHandler(handler); err != nil {
			return err
		}
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	if err := watcher.Add(filepath.Dir(cluster.LoadBalancer(controlsFile))); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	w, err := newWay()
	if err != nil {
		return err
	}
	go controller.Run(ctx, workers, controllersmetrics.NewControllerManagerMetrics("status-cluster"))
	balancing := &balancing{cluster, client, provider, services.Lister(), nodes.Lister(), w, nil}
	// What a command asked for while this process was away.
	balancing.control()
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		if err := balancing.steer(ctx); err != nil {
			klog.ErrorS(err, "Connections may go astray; trying again")
		}
		select {
		case <-ctx.Done():
			return nil
		case event := <-watcher.Events:
			if filepath.Base(event.Name) == controlsFile {
				balancing.control()
			}
		case err := <-watcher.Errors:
			return err
		case <-kick:
		case <-ticker.C:
		}
	}
}

type balancing struct {
	cluster  layout.Cluster
	client   kubernetes.Interface
	provider *Provider
	services corev1.ServiceLister
	nodes    corev1.NodeLister
	way      *way
	// told is what the targets file says.
	told []Target
}

// steer makes connections go where they should.
func (b *balancing) steer(ctx context.Context) error {
	services, err1 := b.services.List(labels.Everything())
	nodes, err2 := b.nodes.List(labels.Everything())
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if err := b.publish(services); err != nil {
		return err
	}
	balancers, controls := b.provider.Balancers()
	now := targets(services, balancers, nodes, ask(ctx, checks(services, balancers, nodes)), controls)
	if err := b.way.lay(ctx, now); err != nil {
		return err
	}
	if equalTargets(now, b.told) {
		return nil
	}
	b.told = now
	return files.WriteJSON(b.cluster.LoadBalancer(targetsFile), now)
}

func equalTargets(a, b []Target) bool {
	return a != nil == (b != nil) && slices.EqualFunc(a, b, func(x, y Target) bool {
		return x.Service == y.Service && x.Address == y.Address && x.Hostname == y.Hostname && slices.Equal(x.Nodes, y.Nodes) && slices.Equal(x.Ports, y.Ports)
	})
}

// LoadTargets reads where connections go.
func LoadTargets(cluster layout.Cluster) ([]Target, error) {
	var targets []Target
	err := files.ReadJSON(cluster.LoadBalancer(targetsFile), &targets)
	return targets, err
}

// control applies the controls.
func (b *balancing) control() {
	controls, err := LoadControls(b.cluster)
	if err != nil {
		klog.ErrorS(err, "The controls cannot be read; the old ones hold")
		return
	}
	if err := b.provider.SetControls(controls); err != nil {
		klog.ErrorS(err, "A control cannot be applied")
	}
}

// publish writes the status of Services that publish something else than they should. The service controller writes it when a Service
// changes, but not when its address does.
func (b *balancing) publish(services []*v1.Service) error {
	published := b.provider.Published()
	var failed error
	for _, service := range services {
		status, ok := published[service.UID]
		if !ok || helpers.LoadBalancerStatusEqual(&service.Status.LoadBalancer, status) {
			continue
		}
		updated := service.DeepCopy()
		updated.Status.LoadBalancer = *status
		if _, err := helpers.PatchService(b.client.CoreV1(), service, updated); err != nil && !apierrors.IsNotFound(err) {
			failed = errors.Join(failed, fmt.Errorf("publish the address of %s: %w", key(service), err))
		}
	}
	return failed
}
