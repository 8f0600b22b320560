package evenkeel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// bearer sends a token. Whether it may go where the client connects, checkToken says.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (b bearer) RequireTransportSecurity() bool { return false }

func (s *settings) checkToken(t target, encrypted bool) error {
	if !s.hasToken {
		return nil
	}
	visible := s.token != ""
	for _, character := range []byte(s.token) {
		visible = visible && character > ' ' && character < 0x7F
	}
	if !visible {
		return invalid("token", "expected visible ASCII characters, at least one, without spaces and line breaks")
	}
	if !encrypted && !t.local && !s.plaintextToken {
		return invalid("token", "would go to another machine unencrypted: use https://, or WithPlaintextToken if the network can be trusted")
	}
	return nil
}

// transport is how the connections are secured, and whether they are encrypted.
func (s *settings) transport(t target) (credentials.TransportCredentials, bool, error) {
	if !t.tls && s.ca == "" && s.tls == nil {
		if s.certificate != [2]string{} || s.serverName != "" {
			return nil, false, invalid("address", "needs https:// or a CA: a client certificate or a server name is set")
		}
		return insecure.NewCredentials(), false, nil
	}
	if t.plain {
		return nil, false, invalid("address", "is http://, which is not encrypted, but TLS is set: use https://")
	}
	config := new(tls.Config)
	if s.tls != nil {
		config = s.tls.Clone()
	}
	if s.ca != "" {
		pem, err := os.ReadFile(s.ca)
		if err != nil {
			return nil, false, invalid("ca", err.Error())
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, false, invalid("ca", s.ca+" has no certificate in PEM")
		}
	}
	if s.certificate != [2]string{} {
		pair, err := tls.LoadX509KeyPair(s.certificate[0], s.certificate[1])
		if err != nil {
			return nil, false, invalid("client_certificate", err.Error())
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if s.serverName != "" {
		config.ServerName = s.serverName
	}
	return credentials.NewTLS(config), true, nil
}
