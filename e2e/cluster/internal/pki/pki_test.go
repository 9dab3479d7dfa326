package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"e2e/cluster/internal/layout"
)

func TestServerCertificateHoldsForEveryNameOfTheAPIServer(t *testing.T) {
	c := layout.Cluster{Dir: t.TempDir()}
	if err := Ensure(c); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(c.PKI("apiserver.crt"), c.PKI("apiserver.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(c.PKI("ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no authority", err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"10.96.0.1", "10.90.0.1", "127.0.0.1", "kubernetes.default.svc"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "10.90.0.2"}); err == nil {
		t.Error("holds for an address of another machine")
	}
}

func TestKeysAndTokensAreMadeOnceAndMatch(t *testing.T) {
	c := layout.Cluster{Dir: t.TempDir()}
	if err := Ensure(c); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(c.PKI("tokens.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Ensure(c); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(c.PKI("tokens.csv"))
	if err != nil || string(first) != string(second) {
		t.Errorf("tokens changed, or %v", err)
	}
	for _, u := range Users() {
		config, err := clientcmd.LoadFromFile(c.Kubeconfig(u.File))
		if err != nil {
			t.Fatal(err)
		}
		line := config.AuthInfos[u.Name].Token + "," + u.Name + "," + u.Name + "," + u.Group + "\n"
		if !strings.Contains(string(first), line) {
			t.Errorf("the token in the kubeconfig of %s is not the API server's", u.Name)
		}
	}
	if info, err := os.Stat(c.PKI("ca.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("ca.key: %v %v", info.Mode(), err)
	}
}
