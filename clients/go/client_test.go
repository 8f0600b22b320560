package evenkeel

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAddresses(t *testing.T) {
	for address, expected := range map[string]target{
		"127.0.0.1:50051":             {grpc: "dns:///127.0.0.1:50051", local: true},
		"[::1]:50051":                 {grpc: "dns:///[::1]:50051", local: true},
		"[::ffff:127.0.0.1]:1":        {grpc: "dns:///[::ffff:127.0.0.1]:1", local: true},
		"LocalHost:1":                 {grpc: "dns:///LocalHost:1", local: true},
		"localhost.example.com:1":     {grpc: "dns:///localhost.example.com:1"},
		"127.0.0.1.example.com:1":     {grpc: "dns:///127.0.0.1.example.com:1"},
		"10.0.0.1:1":                  {grpc: "dns:///10.0.0.1:1"},
		"http://10.0.0.1:1":           {grpc: "dns:///10.0.0.1:1", plain: true},
		"http://example.com":          {grpc: "dns:///example.com:80", plain: true},
		"https://example.com/":        {grpc: "dns:///example.com:443", tls: true},
		"https://[2001:db8::1]:50051": {grpc: "dns:///[2001:db8::1]:50051", tls: true},
		"unix:/run/evenkeel.sock":     {grpc: "unix:/run/evenkeel.sock", local: true},
	} {
		if got, err := parseTarget(address); err != nil || got != expected {
			t.Errorf("%s: %+v, %v instead of %+v", address, got, err, expected)
		}
	}
	for _, address := range []string{
		"", "localhost", ":50051", "localhost:", "unix:", "ftp://localhost:1", "http://", "https://user@localhost:1",
		"http://localhost:1/path", "http://localhost:1?query", "http://local host:1", "::1:50051",
	} {
		if got, err := parseTarget(address); err == nil {
			t.Errorf("%q is %+v", address, got)
		} else if field := refusedField(t, err); field != "address" {
			t.Errorf("%q: %s", address, field)
		}
	}
}

func TestSettingsThatCannotBeUsedAreRefusedByName(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	const here, there = "127.0.0.1:1", "10.0.0.1:1"
	for _, test := range []struct {
		field, address string
		options        []Option
	}{
		{"connections", here, []Option{WithConnections(0)}},
		{"retries", here, []Option{WithRetries(-1)}},
		{"timeout", here, []Option{WithTimeout(-time.Second)}},
		{"token", here, []Option{WithToken("")}},
		{"token", here, []Option{WithToken("line\n")}},
		{"token", here, []Option{WithToken("ä")}},
		{"token", there, []Option{WithToken("secret")}},
		{"token", "http://example.com", []Option{WithToken("secret")}},
		{"ca", here, []Option{WithCA(notPEM)}},
		{"ca", here, []Option{WithCA(notPEM + ".missing")}},
		{"client_certificate", "https://127.0.0.1:1", []Option{WithClientCertificate(notPEM, notPEM)}},
		{"address", "http://127.0.0.1:1", []Option{WithCA(notPEM)}},
		{"address", here, []Option{WithClientCertificate(notPEM, notPEM)}},
		{"address", here, []Option{WithServerName("name")}},
	} {
		client, err := New(test.address, test.options...)
		if err == nil {
			client.Close()
			t.Errorf("%s was accepted", test.field)
		} else if field := refusedField(t, err); field != test.field {
			t.Errorf("%s instead of %s", field, test.field)
		}
	}
	for _, test := range []struct {
		address string
		options []Option
	}{
		{here, []Option{WithToken("secret")}},
		{"unix:/run/evenkeel.sock", []Option{WithToken("secret")}},
		{there, []Option{WithToken("secret"), WithPlaintextToken()}},
		{"https://10.0.0.1:1", []Option{WithToken("secret")}},
		{there, []Option{WithToken("secret"), WithTLSConfig(&tls.Config{MinVersion: tls.VersionTLS13}), WithServerName("name")}},
	} {
		client, err := New(test.address, test.options...)
		if err != nil {
			t.Errorf("%s: %v", test.address, err)
			continue
		}
		client.Close()
	}
}

func TestVersions(t *testing.T) {
	for text, expected := range map[string][2]int{"0.1.0": {0, 1}, "12.34.5-rc.1": {12, 34}, "1.2": {1, 2}} {
		if got, ok := parseVersion(text); !ok || got != expected {
			t.Errorf("%s: %v", text, got)
		}
	}
	for _, text := range []string{"", "1", "one.2.3", "1.x.3"} {
		if got, ok := parseVersion(text); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
	if _, ok := parseVersion(Version); !ok {
		t.Error(Version)
	}
}

func TestChunksFitIntoMessages(t *testing.T) {
	for _, test := range []struct {
		limits   limits
		expected int
	}{
		{limits{message: 64 << 20, stream: 1 << 20}, 1 << 20},
		{limits{message: 64 << 20, stream: 4096}, 4096},
		{limits{message: 64 << 20, stream: 8 << 20}, 1 << 20},
		{limits{message: 16 << 10, stream: 1 << 20}, 16<<10 - chunkOverhead},
		{limits{message: 64 << 20}, 1 << 20},
		{limits{message: 10}, 1},
	} {
		if got := test.limits.chunk(); got != test.expected {
			t.Errorf("%+v: %d instead of %d", test.limits, got, test.expected)
		}
	}
}
