// Command status-cluster raises, watches and removes a real Kubernetes in network namespaces of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/component-base/cli"

	"e2e/cluster/internal/components"
	"e2e/cluster/internal/lifecycle"
)

func main() {
	// A component is this program under another name: it owns its flags, its signals and its exit code.
	if len(os.Args) > 1 {
		if component := components.Find(os.Args[1]); component != nil {
			os.Args = os.Args[1:]
			os.Exit(cli.Run(component))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	err := root().ExecuteContext(ctx)
	stop()
	switch {
	case errors.Is(err, lifecycle.ErrInterrupted):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
