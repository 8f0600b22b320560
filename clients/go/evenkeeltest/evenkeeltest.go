// Package evenkeeltest starts evenkeel servers for tests.
//
//	func TestTraining(t *testing.T) {
//		server := evenkeeltest.Start(t)
//		client := server.Client()
//		...
//	}
package evenkeeltest

import (
	"testing"

	"evenkeel.dev/go/evenkeel"
)

// TestServer is a server that is stopped when its test ends.
type TestServer struct {
	*Server
	t testing.TB
}

// Start starts a server on a free port for a test, and stops it when the test and its subtests have ended, also if they fail; if
// the test's process dies, the server dies with it on Linux. The test fails at once if the server does not start. Flags are those
// of `evenkeel serve`; for the binary see [Binary].
func Start(t testing.TB, flags ...string) *TestServer {
	t.Helper()
	return StartBinary(t, "", flags...)
}

// StartBinary is [Start] of this binary; "" is that of [Binary].
func StartBinary(t testing.TB, binary string, flags ...string) *TestServer {
	t.Helper()
	server, err := Launch(binary, flags...)
	if err != nil {
		t.Fatalf("evenkeeltest: %v", err)
	}
	t.Cleanup(func() {
		server.Stop()
		if t.Failed() {
			t.Logf("the server's log:\n%s", server.Log())
		}
	})
	return &TestServer{Server: server, t: t}
}

// Client is a client of the server, which is closed before the server stops.
func (s *TestServer) Client(options ...evenkeel.Option) *evenkeel.Client {
	s.t.Helper()
	client, err := evenkeel.New(s.Address, options...)
	if err != nil {
		s.t.Fatalf("evenkeeltest: %v", err)
	}
	s.t.Cleanup(func() { client.Close() })
	return client
}
