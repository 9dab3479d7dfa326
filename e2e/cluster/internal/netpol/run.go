package netpol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	// gather is how long changes are collected after one was enforced: a burst of pods is one change of the rules.
	gather = 20 * time.Millisecond
	// retry is how long to wait after nft refused.
	retry = time.Second
)

// Run enforces the policies of the cluster that a kubeconfig names, until the context ends.
func Run(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces, policies := factory.Core().V1().Pods(), factory.Core().V1().Namespaces(), factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { note() }, UpdateFunc: func(any, any) { note() }, DeleteFunc: func(any) { note() },
	}
	for _, i := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := i.AddEventHandler(handler); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	state := func() (State, error) {
		p, err1 := pods.Lister().List(labels.Everything())
		n, err2 := namespaces.Lister().List(labels.Everything())
		l, err3 := policies.Lister().List(labels.Everything())
		return State{p, n, l}, errors.Join(err1, err2, err3)
	}
	enforced := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		s, err := state()
		if err != nil {
			return err
		}
		pause := gather
		if script := Render(s); script != enforced {
			if err := apply(ctx, script); err != nil {
				klog.ErrorS(err, "The rules are not in force; trying again", "after", retry)
				note()
				pause = retry
			} else {
				enforced = script
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func apply(ctx context.Context, script string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
