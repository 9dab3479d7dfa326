package loadbalancer

import cloudprovider "k8s.io/cloud-provider"

// cloud is the provider in the shape that the service controller wants; it has load balancers and nothing else.
type cloud struct{ *Provider }

func (cloud) Initialize(cloudprovider.ControllerClientBuilder, <-chan struct{}) {}

func (c cloud) LoadBalancer() (cloudprovider.LoadBalancer, bool) { return c.Provider, true }

func (cloud) Instances() (cloudprovider.Instances, bool) { return nil, false }

func (cloud) InstancesV2() (cloudprovider.InstancesV2, bool) { return nil, false }

func (cloud) Zones() (cloudprovider.Zones, bool) { return nil, false }

func (cloud) Clusters() (cloudprovider.Clusters, bool) { return nil, false }

func (cloud) Routes() (cloudprovider.Routes, bool) { return nil, false }

func (cloud) ProviderName() string { return "status-cluster" }

func (cloud) HasClusterID() bool { return true }
