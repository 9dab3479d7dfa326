package loadbalancer

import (
	"fmt"
	"strings"
	"time"

	"e2e/cluster/internal/files"
	"e2e/cluster/internal/layout"
)

// All stands for every Service in the controls.
const All = "*"

// Controls are what a test can make the load balancer do. They are a file: commands write it, the provider watches it.
// A Service is named namespace/name and need not exist yet.
type Controls struct {
	// Delays are how long after its creation a Service gets its address.
	Delays map[string]Duration `json:"delays,omitempty"`
	// Changes count how often a Service was told to change its address.
	Changes map[string]int `json:"changes,omitempty"`
	// Hostnames are the Services that publish a hostname instead of an address.
	Hostnames map[string]bool `json:"hostnames,omitempty"`
	// RefuseMixed refuses Services with both TCP and UDP ports, as some clouds do.
	RefuseMixed bool `json:"refuseMixed,omitempty"`
}

// Duration is a time.Duration that is written as text.
type Duration time.Duration

// MarshalText writes "30s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads "30s".
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

const controlsFile = "controls.json"

// LoadControls reads the controls of a cluster; without a file none is set.
func LoadControls(c layout.Cluster) (Controls, error) {
	controls := Controls{Delays: map[string]Duration{}, Changes: map[string]int{}, Hostnames: map[string]bool{}}
	err := files.ReadJSON(c.LoadBalancer(controlsFile), &controls)
	return controls, err
}

// Save writes the controls; the provider applies them at once.
func (c Controls) Save(cluster layout.Cluster) error {
	return files.WriteJSON(cluster.LoadBalancer(controlsFile), c)
}

// delay of a Service: its own, else that of all.
func (c Controls) delay(service string) time.Duration {
	if d, ok := c.Delays[service]; ok {
		return time.Duration(d)
	}
	return time.Duration(c.Delays[All])
}

// hostname says whether a Service publishes a hostname: its own setting, else that of all.
func (c Controls) hostname(service string) bool {
	if h, ok := c.Hostnames[service]; ok {
		return h
	}
	return c.Hostnames[All]
}

// CheckService says what is wrong with a Service's name as given to a command.
func CheckService(service string) error {
	namespace, name, ok := strings.Cut(service, "/")
	if service != All && (!ok || namespace == "" || name == "" || strings.Contains(name, "/")) {
		return fmt.Errorf("service %q: name it NAMESPACE/NAME, or %s for all", service, All)
	}
	return nil
}

// Hostname is the name that a Service publishes when it publishes one.
func Hostname(service string) string {
	namespace, name, _ := strings.Cut(service, "/")
	return name + "." + namespace + "." + layout.LoadBalancerDomain
}
