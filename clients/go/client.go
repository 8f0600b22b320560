package evenkeel

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"evenkeel.dev/go/evenkeel/internal/wire"
)

// Version is that of this client.
const Version = "0.1.0"

const (
	// gRPC's default windows of 64 KiB grow by measurements of the connection, for which tensors wait.
	streamWindow     = 4 << 20
	connectionWindow = 16 << 20
	// A frame of gRPC's has 16 KiB. Buffers of several frames need fewer system calls.
	writeBuffer = 128 << 10
	readBuffer  = 128 << 10
)

// Client calls one evenkeel server. Any number of goroutines can use it at the same time. It must be closed.
type Client struct {
	settings    *settings
	connections []*grpc.ClientConn
	// calls counts gRPC's calls, which determines the connection of the next.
	calls  atomic.Uint64
	limits atomic.Pointer[limits]
	warned sync.Once
}

// New makes a client of the server at this address: host:port or http://host:port without TLS, https://host:port with TLS, or
// unix:/path for a Unix domain socket. [WithCA] and [WithTLSConfig] switch TLS on for host:port, too. The first call connects.
//
// The error is an [InvalidArgument] with the name of the option that cannot be used.
func New(address string, options ...Option) (*Client, error) {
	s := defaults()
	for _, option := range options {
		option(s)
	}
	switch {
	case s.connections < 1:
		return nil, invalid("connections", "expected 1 or more")
	case s.retries < 0:
		return nil, invalid("retries", "expected 0 or more")
	case s.timeout < 0:
		return nil, invalid("timeout", "expected 0 or more")
	}
	t, err := parseTarget(address)
	if err != nil {
		return nil, err
	}
	transport, encrypted, err := s.transport(t)
	if err != nil {
		return nil, err
	}
	if err := s.checkToken(t, encrypted); err != nil {
		return nil, err
	}
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent("evenkeel-go/" + Version),
		// This client retries by itself: gRPC's policies do not know the server's reasons.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstBackoff, Multiplier: 2, Jitter: 0.2, MaxDelay: maxBackoff},
			MinConnectTimeout: 10 * time.Second,
		}),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithWriteBufferSize(writeBuffer),
		grpc.WithReadBufferSize(readBuffer),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(wire.Codec{}),
			grpc.StaticMethod(),
			// The server's limit counts, not gRPC's 4 MiB.
			grpc.MaxCallRecvMsgSize(math.MaxInt32),
			grpc.MaxCallSendMsgSize(math.MaxInt32),
		),
	}
	if s.hasToken {
		dial = append(dial, grpc.WithPerRPCCredentials(bearer(s.token)))
	}
	dial = append(dial, s.dial...)
	c := &Client{settings: s}
	for range s.connections {
		connection, err := grpc.NewClient(t.grpc, dial...)
		if err != nil {
			return nil, errors.Join(invalid("address", err.Error()), c.Close())
		}
		c.connections = append(c.connections, connection)
	}
	return c, nil
}

// Close closes the connections. Calls that are under way end with [Cancelled].
func (c *Client) Close() error {
	var all []error
	for _, connection := range c.connections {
		all = append(all, connection.Close())
	}
	return errors.Join(all...)
}
