package evenkeel

import (
	"crypto/tls"
	"log/slog"
	"time"

	"google.golang.org/grpc"
)

// Option is a setting of a [Client].
type Option func(*settings)

// settings are those of a client; the zero values of the pointers mean the default.
type settings struct {
	token          string
	hasToken       bool
	plaintextToken bool
	ca             string
	certificate    [2]string
	serverName     string
	tls            *tls.Config
	timeout        time.Duration
	connections    int
	retries        int
	logger         *slog.Logger
	dial           []grpc.DialOption
}

func defaults() *settings {
	return &settings{timeout: 60 * time.Second, connections: 1, retries: 4}
}

// WithToken sends `authorization: Bearer TOKEN` with each call. A token consists of visible ASCII characters: trim the line break
// of a file. It goes to another machine only over TLS, unless [WithPlaintextToken] is given.
func WithToken(token string) Option {
	return func(s *settings) { s.token, s.hasToken = token, true }
}

// WithPlaintextToken lets the token go to another machine without TLS, so that anyone on the network path can read it.
func WithPlaintextToken() Option {
	return func(s *settings) { s.plaintextToken = true }
}

// WithCA switches TLS on, and trusts the certificates in this PEM file instead of the system's. The file is read once.
func WithCA(file string) Option {
	return func(s *settings) { s.ca = file }
}

// WithClientCertificate shows the server this certificate: two PEM files, the certificate followed by those that it was signed
// with, and its private key. The files are read once. It needs TLS, by https:// or [WithCA].
func WithClientCertificate(certificateFile, keyFile string) Option {
	return func(s *settings) { s.certificate = [2]string{certificateFile, keyFile} }
}

// WithServerName is the name that the server's certificate must have. Default: the host of the address. It needs TLS, by https://
// or [WithCA].
func WithServerName(name string) Option {
	return func(s *settings) { s.serverName = name }
}

// WithTLSConfig switches TLS on with these settings, for certificates that are not in files or that change. [WithCA],
// [WithClientCertificate] and [WithServerName] override its fields. The client works on a copy.
func WithTLSConfig(config *tls.Config) Option {
	return func(s *settings) { s.tls = config }
}

// WithTimeout limits each call whose context has no deadline, with all its retries and passes; 0 means no limit. Default: 60
// seconds. The server gets the deadline as well, and stops working on the call when it passes.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.timeout = timeout }
}

// WithConnections makes so many connections, which calls use in turn. One connection occupies a few cores at most at each end.
// Default: 1.
func WithConnections(n int) Option {
	return func(s *settings) { s.connections = n }
}

// WithRetries repeats a call up to so many times if the server is overloaded, after the delay that it asks for, or unavailable,
// after 100 milliseconds that double up to 5 seconds. A call whose deadline comes before the next try fails at once. Default: 4.
func WithRetries(n int) Option {
	return func(s *settings) { s.retries = n }
}

// WithLogger is where the client warns, once, of a server of another version. Default: slog.Default.
func WithLogger(logger *slog.Logger) Option {
	return func(s *settings) { s.logger = logger }
}

// WithDialOptions passes options to grpc-go, such as interceptors or a stats handler; they override those of this client.
// Interceptors see messages of types that are private to this client.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, options...) }
}
