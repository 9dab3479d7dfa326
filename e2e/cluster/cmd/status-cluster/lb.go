package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"e2e/cluster/internal/layout"
	"e2e/cluster/internal/lifecycle"
	"e2e/cluster/internal/loadbalancer"
)

// appliedTime bounds the wait for the load balancer to apply a control.
const appliedTime = 10 * time.Second

func lbCommand(cluster choose) *cobra.Command {
	cmd := &cobra.Command{
		Use: "lb", Short: "Controls of the load balancer, for tests; without one: who has which address", Args: cobra.NoArgs,
		Long: `Makes the load balancer behave as clouds do at times. A SERVICE is NAMESPACE/NAME, or * for all, and need not exist yet.
Controls last until they are set again, or until "lb reset".`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := cluster()
			if err != nil {
				return err
			}
			return list(cmd, c)
		},
	}
	// control makes a command that changes the controls. words are what each argument can be, for completion.
	control := func(use, short string, args int, words []cobra.CompletionFunc, change func(*loadbalancer.Controls, []string) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(args), ValidArgsFunction: each(words), RunE: func(cmd *cobra.Command, a []string) error {
			c, err := cluster()
			if err != nil {
				return err
			}
			return update(cmd.Context(), c, func(controls *loadbalancer.Controls) error { return change(controls, a) })
		}}
	}
	services := serviceNames(cluster)
	cmd.AddCommand(
		control("delay SERVICE DURATION", "The Service gets its address so long after its creation (30s; 0s: at once)", 2, []cobra.CompletionFunc{services}, func(c *loadbalancer.Controls, a []string) error {
			d, err := time.ParseDuration(a[1])
			if err != nil || d < 0 {
				return fmt.Errorf("duration %q: write it like 30s", a[1])
			}
			c.Delays[a[0]] = loadbalancer.Duration(d)
			return loadbalancer.CheckService(a[0])
		}),
		control("hostname SERVICE on|off", "The Service publishes a hostname instead of an address", 2, []cobra.CompletionFunc{services, wordsOf("on", "off")}, func(c *loadbalancer.Controls, a []string) error {
			on, err := choice(a[1], "on", "off")
			c.Hostnames[a[0]] = on
			return errors.Join(loadbalancer.CheckService(a[0]), err)
		}),
		control("mixed refuse|allow", "Services with both TCP and UDP ports are refused, as some clouds do, or allowed", 1, []cobra.CompletionFunc{wordsOf("refuse", "allow")}, func(c *loadbalancer.Controls, a []string) (err error) {
			c.RefuseMixed, err = choice(a[0], "refuse", "allow")
			return err
		}),
		control("reset", "Takes all controls back; addresses stay", 0, nil, func(c *loadbalancer.Controls, _ []string) error {
			*c = loadbalancer.Controls{Changes: c.Changes}
			return nil
		}),
		&cobra.Command{Use: "change SERVICE", Short: "The Service gets another address now", Args: cobra.ExactArgs(1), ValidArgsFunction: each([]cobra.CompletionFunc{services}), RunE: func(cmd *cobra.Command, a []string) error {
			c, err := cluster()
			if err != nil {
				return err
			}
			return change(cmd, c, a[0])
		}},
	)
	return cmd
}

// each completes the first argument by the first function, and so on.
func each(words []cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(words) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return words[len(args)](cmd, args, begun)
	}
}

func wordsOf(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// serviceNames are the Services that have an address.
func serviceNames(cluster choose) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		c, err := cluster()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		book, err := loadbalancer.LoadBook(c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, b := range book.Balancers {
			names = append(names, b.Service)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func choice(word, yes, no string) (bool, error) {
	if word != yes && word != no {
		return false, fmt.Errorf("%q: it is %s or %s", word, yes, no)
	}
	return word == yes, nil
}

// update changes the controls under a lock, since tests run at the same time.
func update(ctx context.Context, c layout.Cluster, change func(*loadbalancer.Controls) error) error {
	if err := lifecycle.MustRun(c); err != nil {
		return err
	}
	return lifecycle.Locked(ctx, c.LoadBalancer("lock"), func() error {
		controls, err := loadbalancer.LoadControls(c)
		if err != nil {
			return err
		}
		if err := change(&controls); err != nil {
			return err
		}
		return controls.Save(c)
	})
}

// change asks for another address and returns when it is there.
func change(cmd *cobra.Command, c layout.Cluster, service string) error {
	before, err := find(c, service)
	if err != nil {
		return err
	}
	if err := update(cmd.Context(), c, func(controls *loadbalancer.Controls) error {
		controls.Changes[service]++
		return nil
	}); err != nil {
		return err
	}
	for deadline := time.Now().Add(appliedTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		now, err := find(c, service)
		if err != nil {
			return err
		}
		if now.Address != before.Address {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), now.Address)
			return err
		}
	}
	return fmt.Errorf("the load balancer does not answer; see %s", c.Outside().Log("load-balancer"))
}

func find(c layout.Cluster, service string) (loadbalancer.Balancer, error) {
	book, err := loadbalancer.LoadBook(c)
	if err != nil {
		return loadbalancer.Balancer{}, err
	}
	for _, b := range book.Balancers {
		if b.Service == service {
			return b, nil
		}
	}
	return loadbalancer.Balancer{}, errors.Join(loadbalancer.CheckService(service), fmt.Errorf("service %s has no address", service))
}

func list(cmd *cobra.Command, c layout.Cluster) error {
	if err := lifecycle.MustRun(c); err != nil {
		return err
	}
	targets, err := loadbalancer.LoadTargets(c)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tADDRESS\tPORTS\tNODES")
	for _, t := range targets {
		var ports, nodes []string
		for _, p := range t.Ports {
			ports = append(ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
		}
		for _, n := range t.Nodes {
			nodes = append(nodes, n.String())
		}
		address := t.Address.String()
		if t.Hostname {
			address = loadbalancer.Hostname(t.Service) + " (" + address + ")"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", t.Service, address, strings.Join(ports, ","), strings.Join(nodes, ","))
	}
	return table.Flush()
}
