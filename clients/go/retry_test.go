package evenkeel_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"evenkeel.dev/go/evenkeel"
	pb "evenkeel.dev/go/evenkeel/v1"
)

func TestOverloadIsRetriedAfterTheServersDelay(t *testing.T) {
	const delay = 60 * time.Millisecond
	server := &fake{normalize: failing(overloaded(delay), overloaded(delay))}
	if _, err := server.client(t).LayerNorm(t.Context(), four); err != nil {
		t.Fatal(err)
	}
	attempts := server.attempts()
	if len(attempts) != 3 {
		t.Fatalf("%d attempts", len(attempts))
	}
	for i := range 2 {
		if waited := attempts[i+1].Sub(attempts[i]); waited < delay {
			t.Errorf("waited %v", waited)
		}
	}
}

func TestUnavailableIsRetriedWithBackoff(t *testing.T) {
	server := &fake{normalize: failing(failure(codes.Unavailable, ""), failure(codes.Unavailable, ""))}
	if _, err := server.client(t).LayerNorm(t.Context(), four); err != nil {
		t.Fatal(err)
	}
	attempts := server.attempts()
	for i, least := range []time.Duration{80 * time.Millisecond, 160 * time.Millisecond} {
		if waited := attempts[i+1].Sub(attempts[i]); waited < least {
			t.Errorf("waited %v before retry %d", waited, i+1)
		}
	}
}

func TestRetriesEnd(t *testing.T) {
	for retries := range 3 {
		var busy *evenkeel.Overloaded
		server := &fake{normalize: func(context.Context, *pb.NormalizeRequest) (*pb.NormalizeResponse, error) {
			return nil, overloaded(time.Millisecond)
		}}
		_, err := server.client(t, evenkeel.WithRetries(retries)).LayerNorm(t.Context(), four)
		if !errors.As(err, &busy) || busy.RetryAfter != time.Millisecond {
			t.Errorf("%v", err)
		}
		if attempts := len(server.attempts()); attempts != 1+retries {
			t.Errorf("%d attempts with %d retries", attempts, retries)
		}
	}
}

func TestARetryThatComesTooLateIsNotWaitedFor(t *testing.T) {
	server := &fake{normalize: failing(overloaded(time.Hour))}
	begun := time.Now()
	var busy *evenkeel.Overloaded
	if _, err := server.client(t).LayerNorm(t.Context(), four); !errors.As(err, &busy) || busy.RetryAfter != time.Hour {
		t.Errorf("%v", err)
	}
	if waited := time.Since(begun); waited > 20*time.Second {
		t.Errorf("waited %v", waited)
	}
}

func TestACancelledCallDoesNotWaitForItsRetry(t *testing.T) {
	server := &fake{normalize: failing(overloaded(time.Minute))}
	ctx, cancel := context.WithCancel(t.Context())
	client := server.client(t, evenkeel.WithTimeout(0))
	time.AfterFunc(50*time.Millisecond, cancel)
	var cancelled *evenkeel.Cancelled
	if _, err := client.LayerNorm(ctx, four); !errors.As(err, &cancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestNothingElseIsRetried(t *testing.T) {
	for _, refusal := range []error{
		failure(codes.ResourceExhausted, "MESSAGE_TOO_LARGE"),
		failure(codes.ResourceExhausted, "METADATA_TOO_LARGE"),
		failure(codes.ResourceExhausted, "NEEDS_TWO_PASSES"),
		failure(codes.ResourceExhausted, "", &errdetails.RetryInfo{}),
		failure(codes.ResourceExhausted, "", &errdetails.ErrorInfo{Reason: "OVERLOADED", Domain: "another"}),
		failure(codes.InvalidArgument, ""),
		failure(codes.Internal, ""),
		failure(codes.Unauthenticated, ""),
		failure(codes.Unimplemented, ""),
		failure(codes.DeadlineExceeded, ""),
		failure(codes.Canceled, ""),
		failure(codes.Aborted, ""),
	} {
		server := &fake{normalize: failing(refusal)}
		_, err := server.client(t).LayerNorm(t.Context(), four)
		if attempts := len(server.attempts()); err == nil || attempts != 1 {
			t.Errorf("%v: %d attempts, %v", refusal, attempts, err)
		}
		if status.Code(err) != status.Code(refusal) {
			t.Errorf("%v has become %v", refusal, err)
		}
	}
}

// A server that starts later is found: the connection is made anew for each retry.
func TestAServerThatStartsLaterIsFound(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	client := newClient(t, address, evenkeel.WithRetries(8))
	started := make(chan net.Listener, 1)
	time.AfterFunc(250*time.Millisecond, func() {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
		}
		started <- listener
	})
	result := make(chan error, 1)
	go func() { result <- second(client.LayerNorm(t.Context(), four)) }()
	if listener := <-started; listener != nil {
		new(fake).serve(t, listener)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestNoServerIsUnavailable(t *testing.T) {
	client := newClient(t, "127.0.0.1:1", evenkeel.WithRetries(1))
	var unavailable *evenkeel.Unavailable
	if _, err := client.LayerNorm(t.Context(), four); !errors.As(err, &unavailable) {
		t.Errorf("%v", err)
	}
}

func TestCallsUseTheConnectionsInTurn(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &counting{Listener: listener}
	new(fake).serve(t, counted)
	client := newClient(t, listener.Addr().String(), evenkeel.WithConnections(3))
	for range 9 {
		if _, err := client.LayerNorm(t.Context(), four); err != nil {
			t.Fatal(err)
		}
	}
	if counted.accepted != 3 {
		t.Errorf("%d connections", counted.accepted)
	}
}

// counting counts the connections that it accepts.
type counting struct {
	net.Listener
	accepted int
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.accepted++
	}
	return conn, err
}

func TestOtherVersionsAreWarnedOfOnce(t *testing.T) {
	for version, warns := range map[string]bool{
		evenkeel.Version: false, "0.0.9": false, "0.2.7": false, "0.3.0": true, "1.1.0": true, "unknown": true, "": true,
	} {
		info := ordinary()
		info.Version = version
		server := &fake{info: func() (*pb.GetServerInfoResponse, error) { return info, nil }}
		var log strings.Builder
		client := server.client(t, evenkeel.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		for range 2 {
			if _, err := client.ServerInfo(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if lines := strings.Count(log.String(), "\n"); (lines == 1) != warns || lines > 1 {
			t.Errorf("%q: the log is %q", version, log.String())
		}
	}
}

// large is a tensor of 4000 bytes, for which the client asks for the limits.
var large = evenkeel.Of(make([]float32, 1000), 1, 1000)

func TestLimitsAreAskedForOnce(t *testing.T) {
	asked := 0
	server := &fake{info: func() (*pb.GetServerInfoResponse, error) { asked++; return ordinary(), nil }}
	client := server.client(t)
	for _, x := range []*evenkeel.Tensor{four, large, large} {
		if _, err := client.LayerNorm(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestServersThatDoNotTellTheirLimits(t *testing.T) {
	for code, works := range map[codes.Code]bool{
		codes.Unimplemented: true, codes.PermissionDenied: true, codes.Unauthenticated: true,
		codes.Unavailable: false, codes.DeadlineExceeded: false,
	} {
		server := &fake{info: func() (*pb.GetServerInfoResponse, error) { return nil, failure(code, "") }}
		_, err := server.client(t, evenkeel.WithRetries(0)).LayerNorm(t.Context(), large)
		if (err == nil) != works {
			t.Errorf("%v: %v", code, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
