// Package pki makes the cluster's keys: one certificate authority, the certificates it signs, a static token for every user,
// and the kubeconfigs that hold them. They are made once and last as long as the state directory.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"e2e/cluster/internal/files"
	"e2e/cluster/internal/layout"
)

// lifetime of every certificate: longer than any cluster of tests.
const lifetime = 10 * 365 * 24 * time.Hour

// User is one who connects to the API server.
type User struct {
	// Name is the user's name; File that of its kubeconfig; Group the group it is in.
	Name, File, Group string
}

// Users are all users of a cluster: the administrator, the control plane, the parts of this program, and the kubelets.
func Users() []User {
	users := []User{
		{"admin", "admin", "system:masters"},
		{"status-cluster", "status-cluster", "system:masters"},
		{"system:kube-controller-manager", "kube-controller-manager", "system:kube-controller-manager"},
		{"system:kube-scheduler", "kube-scheduler", "system:kube-scheduler"},
		{"system:kube-proxy", "kube-proxy", "system:kube-proxy"},
	}
	for i := 1; i <= layout.MaxNodes; i++ {
		name := fmt.Sprintf("node%d", i)
		users = append(users, User{"system:node:" + name, "kubelet-" + name, "system:nodes"})
	}
	return users
}

// Ensure makes what is missing. The file of tokens is written last: where it is, everything is.
func Ensure(c layout.Cluster) error {
	if _, err := os.Stat(c.PKI("tokens.csv")); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range []string{c.Path("pki"), c.Path("kubeconfig")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	if err := writePair(c, "ca", ca.certificate.Raw, ca.key); err != nil {
		return err
	}
	server := x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + layout.Domain},
		IPAddresses: []net.IP{net.ParseIP(layout.KubernetesIP), net.ParseIP(c.Node(1).IP()), net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	client := func(name string, groups ...string) x509.Certificate {
		return x509.Certificate{Subject: pkix.Name{CommonName: name, Organization: groups}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	}
	for name, template := range map[string]x509.Certificate{
		"apiserver":         server,
		"apiserver-kubelet": client("kube-apiserver-kubelet-client", "system:masters"),
		"front-proxy":       client("front-proxy-client"),
	} {
		raw, key, err := ca.sign(template)
		if err != nil {
			return fmt.Errorf("certificate %s: %w", name, err)
		}
		if err := writePair(c, name, raw, key); err != nil {
			return err
		}
	}
	accounts, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	if err := writeKey(c.PKI("service-accounts.key"), accounts); err != nil {
		return err
	}
	return writeUsers(c)
}

func writeUsers(c layout.Cluster) error {
	var tokens strings.Builder
	for _, u := range Users() {
		secret := make([]byte, 16)
		if _, err := rand.Read(secret); err != nil {
			return err
		}
		token := hex.EncodeToString(secret)
		fmt.Fprintf(&tokens, "%s,%s,%s,%s\n", token, u.Name, u.Name, u.Group)
		if err := writeKubeconfig(c, u, token); err != nil {
			return fmt.Errorf("kubeconfig of %s: %w", u.Name, err)
		}
	}
	return files.Write(c.PKI("tokens.csv"), []byte(tokens.String()), 0o600)
}

func writeKubeconfig(c layout.Cluster, u User, token string) error {
	authority, err := os.ReadFile(c.PKI("ca.crt"))
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["status-cluster"] = &clientcmdapi.Cluster{Server: c.APIServer(), CertificateAuthorityData: authority}
	config.AuthInfos[u.Name] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["status-cluster"] = &clientcmdapi.Context{Cluster: "status-cluster", AuthInfo: u.Name}
	config.CurrentContext = "status-cluster"
	return clientcmd.WriteToFile(*config, c.Kubeconfig(u.File))
}

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{
		Subject: pkix.Name{CommonName: "status-cluster-ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if err := stamp(&template); err != nil {
		return nil, err
	}
	raw, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(raw)
	return &authority{certificate, key}, err
}

func (a *authority) sign(template x509.Certificate) (raw []byte, key *ecdsa.PrivateKey, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if err = stamp(&template); err != nil {
		return nil, nil, err
	}
	raw, err = x509.CreateCertificate(rand.Reader, &template, a.certificate, key.Public(), a.key)
	return raw, key, err
}

// stamp gives a certificate its number and its life, which begins an hour ago so that a clock set back does no harm.
func stamp(t *x509.Certificate) error {
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	t.SerialNumber = number
	t.NotBefore = time.Now().Add(-time.Hour)
	t.NotAfter = time.Now().Add(lifetime)
	return err
}

func writePair(c layout.Cluster, name string, certificate []byte, key crypto.PrivateKey) error {
	if err := writeKey(c.PKI(name+".key"), key); err != nil {
		return err
	}
	return files.Write(c.PKI(name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600)
}

func writeKey(path string, key crypto.PrivateKey) error {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return files.Write(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600)
}
