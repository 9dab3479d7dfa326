package components

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	_ "k8s.io/component-base/logs/json/register"          // the log format that the components' flags offer
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // the metrics that the components serve
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"e2e/cluster/internal/dns"
	"e2e/cluster/internal/layout"
	"e2e/cluster/internal/loadbalancer"
	"e2e/cluster/internal/netpol"
	"e2e/cluster/internal/storage"
)

// Find returns a component as a command of its own, nil if there is none of that name. Its flags are its own, as Kubernetes documents them.
func Find(name string) *cobra.Command {
	switch name {
	case "kube-apiserver":
		return apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		return controllers.NewControllerManagerCommand()
	case "kube-scheduler":
		return scheduler.NewSchedulerCommand()
	case "kube-proxy":
		return proxy.NewProxyCommand()
	case "kubelet":
		return kubelet.NewKubeletCommand(context.Background())
	case "etcd":
		return own("etcd DIRECTORY", 1, func(ctx context.Context, a []string) error { return Etcd(ctx, a[0]) })
	case "netpol":
		return own("netpol KUBECONFIG", 1, func(ctx context.Context, a []string) error { return netpol.Run(ctx, a[0]) })
	case "provisioner":
		return own("provisioner KUBECONFIG DIRECTORY", 2, func(ctx context.Context, a []string) error { return storage.Run(ctx, a[0], a[1]) })
	case "load-balancer":
		return own("load-balancer STATE", 1, func(ctx context.Context, a []string) error { return loadbalancer.Run(ctx, layout.Cluster{Dir: a[0]}) })
	case "dns":
		return own("dns cluster|outside HOSTS", 2, func(_ context.Context, a []string) error { return dns.Run(a[0], a[1]) })
	}
	return nil
}

// own makes a command of one of this program's parts, which runs until SIGTERM or SIGINT. Kubernetes' components see to that themselves.
func own(use string, args int, run func(context.Context, []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Args: cobra.ExactArgs(args), SilenceUsage: true, RunE: func(_ *cobra.Command, a []string) error {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		return run(ctx, a)
	}}
}
