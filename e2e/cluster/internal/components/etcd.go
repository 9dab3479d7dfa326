// Package components holds the programs that run in a cluster's machines, one subcommand each.
package components

import (
	"context"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
)

// Etcd runs etcd on the node's loopback until the context ends. Without fsync: data outlives the process, not the machine.
func Etcd(ctx context.Context, dir string) error {
	config := embed.NewConfig()
	config.Dir = dir
	config.LogLevel = "warn"
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	config.UnsafeNoFsync = true
	client, peer := url.URL{Scheme: "http", Host: "127.0.0.1:2379"}, url.URL{Scheme: "http", Host: "127.0.0.1:2380"}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-server.Err():
		return err
	}
}
