package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/component-base/version"

	"e2e/cluster/internal/images"
	"e2e/cluster/internal/layout"
	"e2e/cluster/internal/lifecycle"
	"e2e/cluster/internal/namespace"
	"e2e/cluster/internal/node"
	"e2e/cluster/internal/outside"
)

// upTime is how long a cluster may take to come up.
const upTime = 3 * time.Minute

func root() *cobra.Command {
	// Kubernetes' packages give every command flags that only its components honour.
	pflag.CommandLine = pflag.NewFlagSet("status-cluster", pflag.ContinueOnError)
	var state string
	cluster := func() (layout.Cluster, error) { return layout.New(state) }
	cmd := &cobra.Command{
		Use:   "status-cluster",
		Short: "A real Kubernetes on this machine, in network namespaces of its own",
		Long: `A real Kubernetes on this machine: etcd, API server, controllers, scheduler, kubelet and kube-proxy from this one program,
containerd and runc from the machine. All of it lives in network namespaces of its own, and everything it writes in one directory.
Clients run in the namespace "outside"; addresses of LoadBalancer Services (` + layout.LoadBalancerCIDR + `) are reached from there.`,
		Version:      version.Get().GitVersion,
		SilenceUsage: true, SilenceErrors: true,
		// So that --state before `kubectl` is this program's, not the tool's.
		TraverseChildren:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return lifecycle.UseSystemPath() },
	}
	cmd.SetVersionTemplate("Kubernetes {{.Version}}\n")
	cmd.PersistentFlags().StringVar(&state, "state", "", "directory of the cluster's state (default $"+layout.DirVariable+", else the user's cache directory + /status-node/cluster)")
	cmd.AddCommand(upCommand(cluster), downCommand(cluster), statusCommand(cluster), kubeconfigCommand(cluster), execCommand(cluster),
		insideCommand(cluster, "kubectl", "Runs kubectl (built in) as the cluster's administrator"),
		insideCommand(cluster, "helm", "Runs helm (built in) as the cluster's administrator"),
		toolCommand(), imageCommand(cluster), lbCommand(cluster), initCommand(cluster))
	return cmd
}

type choose func() (layout.Cluster, error)

func upCommand(cluster choose) *cobra.Command {
	var options lifecycle.Options
	cmd := &cobra.Command{
		Use: "up", Short: "Raises the cluster, or finds it up", Args: cobra.NoArgs,
		Long: `Raises the cluster and returns when its nodes and its DNS are ready; it then runs until "status-cluster down".
When it is up already, it says so and succeeds. Ctrl-C removes everything again.`,
		Example: "  status-cluster up --nodes 2 --image node.tar",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := cluster()
			if err != nil {
				return err
			}
			return lifecycle.Up(cmd.Context(), c, options, lifecycle.NewProgress())
		},
	}
	cmd.Flags().IntVar(&options.Nodes, "nodes", 0, fmt.Sprintf("number of nodes, 1 to %d (default: as before, else 1)", layout.MaxNodes))
	cmd.Flags().StringSliceVar(&options.Images, "image", nil, "image archive to load into the nodes; may be repeated")
	cmd.Flags().DurationVar(&options.Timeout, "timeout", upTime, "how long it may take")
	return cmd
}

func downCommand(cluster choose) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use: "down", Short: "Removes the cluster: processes, mounts, cgroups, data", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := cluster()
			if err != nil {
				return err
			}
			return lifecycle.Down(cmd.Context(), c, keep, lifecycle.NewProgress())
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep objects, volumes, images and addresses for the next up")
	return cmd
}

func statusCommand(cluster choose) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Tells what runs; exit code 1 when no cluster is up, or when one is not well", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := cluster()
			if err != nil {
				return err
			}
			return lifecycle.Status(cmd.Context(), c, cmd.OutOrStdout())
		},
	}
}

func kubeconfigCommand(cluster choose) *cobra.Command {
	return &cobra.Command{
		Use: "kubeconfig", Short: "Prints the path of the administrator's kubeconfig", Args: cobra.NoArgs,
		Long: `Prints the path of the administrator's kubeconfig. The API server is reached only from inside: start clients
with "status-cluster exec".`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := cluster()
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), c.Kubeconfig("admin"))
			}
			return err
		},
	}
}

func execCommand(cluster choose) *cobra.Command {
	var in string
	cmd := &cobra.Command{
		Use: "exec [--in outside|node1|node2] -- COMMAND [ARGUMENT]...", Short: "Runs a command inside: as a client, or on a node",
		Long: `Runs a command in the network of "outside", where clients are, or on a node, with KUBECONFIG set.
The working directory stays, the exit code is the command's.`,
		Example: "  status-cluster exec -- curl http://198.51.100.1/\n  status-cluster exec --in node1 -- ctr -n k8s.io containers ls",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := cluster()
			if err != nil {
				return err
			}
			m, err := machine(c, in)
			if err != nil {
				return err
			}
			return namespace.Enter(m, args...)
		},
	}
	cmd.Flags().StringVar(&in, "in", "outside", "where: outside, node1 or node2")
	// The flag was just defined, which is all that can fail.
	_ = cmd.RegisterFlagCompletionFunc("in", cobra.FixedCompletions([]string{"outside", "node1", "node2"}, cobra.ShellCompDirectiveNoFileComp))
	// What follows the command's name is the command's, flags included.
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func machine(c layout.Cluster, name string) (layout.Machine, error) {
	for _, m := range append(c.Nodes(layout.MaxNodes), c.Outside()) {
		if m.Name == name {
			return m, nil
		}
	}
	return layout.Machine{}, fmt.Errorf("--in %s: it is outside, node1 or node2", name)
}

func imageCommand(cluster choose) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Packs images, loads them into the nodes"}
	cmd.AddCommand(imageConfigCommand(), imageCompareCommand(),
		&cobra.Command{
			Use: "pack ROOT REFERENCE CONFIG OUT", Short: "Packs a directory as an image archive, the same bytes each time", Args: cobra.ExactArgs(4),
			Long: `Packs a directory as an image archive of one layer that every engine loads: the same bytes each time. Modes are kept, the
owner of every file is root. CONFIG is the image's configuration as JSON.`,
			Example: `  status-cluster image pack root localhost/status-node:dev '{"User":"65532","Entrypoint":["/usr/bin/statusd"]}' node.tar`,
			RunE:    func(_ *cobra.Command, a []string) error { return images.Pack(a[0], a[1], a[2], a[3]) },
		},
		&cobra.Command{
			Use: "load ARCHIVE...", Short: "Loads image archives into all nodes", Args: cobra.MinimumNArgs(1),
			RunE: func(cmd *cobra.Command, archives []string) error {
				c, err := cluster()
				if err != nil {
					return err
				}
				if err := lifecycle.MustRun(c); err != nil {
					return err
				}
				shape, err := lifecycle.LoadShape(c)
				if err != nil {
					return err
				}
				return images.Load(cmd.Context(), c.Nodes(shape.Nodes), archives)
			},
		},
	)
	return cmd
}

func imageConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use: "config CONTAINERFILE", Short: "Prints the image configuration that a Containerfile describes, as JSON", Args: cobra.ExactArgs(1),
		Long: "Prints the configuration of the last stage of a Containerfile: what `image pack` takes.",
		RunE: func(cmd *cobra.Command, a []string) error {
			text, err := os.ReadFile(a[0])
			if err != nil {
				return err
			}
			config, err := images.Config(string(text))
			if err != nil {
				return fmt.Errorf("%s: %w", a[0], err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), config)
			return err
		},
	}
}

func imageCompareCommand() *cobra.Command {
	var built []string
	cmd := &cobra.Command{
		Use: "compare ARCHIVE ARCHIVE", Short: "Tells how two image archives differ; exit code 1 when they do", Args: cobra.ExactArgs(2),
		Long: `Compares the files of two image archives (kind, mode, owner, content; not times) and what the images say of how they are run.`,
		RunE: func(cmd *cobra.Command, a []string) error {
			differences, err := images.Compare(a[0], a[1], built)
			for _, d := range differences {
				fmt.Fprintln(cmd.OutOrStdout(), d)
			}
			if err == nil && len(differences) > 0 {
				err = fmt.Errorf("the images differ in %d places", len(differences))
			}
			return err
		},
	}
	cmd.Flags().StringSliceVar(&built, "built", nil, "a file whose bytes may differ, as two builds of a program do; may be repeated")
	return cmd
}

// initCommand is the first process of a machine.
func initCommand(cluster choose) *cobra.Command {
	return &cobra.Command{
		Use: "init MACHINE", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := cluster()
			if err != nil {
				return err
			}
			m, err := machine(c, args[0])
			if err != nil {
				return err
			}
			if m.Index == 0 {
				return outside.Run(m)
			}
			return node.Run(m)
		},
	}
}
