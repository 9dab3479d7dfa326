package main

import (
	"errors"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/cobra"
	helm "helm.sh/helm/v4/pkg/cmd"
	"helm.sh/helm/v4/pkg/kube"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the ways to log in that a user's kubeconfig may name
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	"e2e/cluster/internal/namespace"
)

// insideCommand runs a built-in tool as the administrator of this cluster: this program again, in `outside`.
func insideCommand(cluster choose, name, short string) *cobra.Command {
	return &cobra.Command{
		Use: name + " [ARGUMENT]...", Short: short, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			// No cluster is needed to read what the tool can do.
			if asksForHelp(args) {
				return runTool(name, args)
			}
			c, err := cluster()
			if err != nil {
				return err
			}
			if namespace.Inside(c.Outside()) && os.Getenv("KUBECONFIG") == c.Kubeconfig("admin") {
				return runTool(name, args)
			}
			program, err := os.Executable()
			if err != nil {
				return err
			}
			return namespace.Enter(c.Outside(), append([]string{program, name}, args...)...)
		},
	}
}

// toolCommand runs a built-in tool against the cluster of the user's own kubeconfig.
func toolCommand() *cobra.Command {
	return &cobra.Command{
		Use: "tool kubectl|helm [ARGUMENT]...", Short: "Runs a built-in tool with the user's own kubeconfig", DisableFlagParsing: true,
		Args: cobra.MinimumNArgs(1), ValidArgs: []string{"kubectl", "helm"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if asksForHelp(args[:1]) {
				return cmd.Help()
			}
			return runTool(args[0], args[1:])
		},
	}
}

// asksForHelp says whether a tool is only asked what it can do. What follows -- is another program's.
func asksForHelp(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return len(args) == 0 || args[0] == "help" || slices.Contains(args, "--help") || slices.Contains(args, "-h")
}

// runTool does what the tool's own main function does, and ends this process when the tool fails.
func runTool(name string, args []string) error {
	os.Args = append([]string{name}, args...)
	switch name {
	case "kubectl":
		if _, err := logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)); err != nil {
			return err
		}
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err)
		}
		return nil
	case "helm":
		kube.ManagedFieldsManager = "helm"
		cmd, err := helm.NewRootCmd(os.Stdout, args, helm.SetupLogging)
		if err != nil {
			slog.Warn("command failed", slog.Any("error", err))
			os.Exit(1)
		}
		if err := cmd.Execute(); err != nil {
			var failed helm.CommandError
			if errors.As(err, &failed) {
				os.Exit(failed.ExitCode)
			}
			os.Exit(1)
		}
		return nil
	}
	return errors.New("tool " + name + ": it is kubectl or helm")
}
