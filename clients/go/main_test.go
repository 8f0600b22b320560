package evenkeel_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"evenkeel.dev/go/evenkeel/evenkeeltest"
)

// address is that of the server of the examples.
var address string

// TestMain starts the server of the examples; without a server the tests that need one fail, and the others do not. No test leaves a goroutine behind, but for the one that waits for this server.
func TestMain(m *testing.M) {
	server, err := evenkeeltest.Launch("")
	if err == nil {
		address = server.Address
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	before := goleak.IgnoreCurrent()
	code := m.Run()
	if err := goleak.Find(before); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if server != nil {
		server.Stop()
	}
	os.Exit(code)
}
