package evenkeeltest_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"evenkeel.dev/go/evenkeel"
	"evenkeel.dev/go/evenkeel/evenkeeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listens says whether there is a server at the address.
func listens(address string) bool {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}

func TestAServerLivesAsLongAsItsTest(t *testing.T) {
	var address string
	t.Run("with a server", func(t *testing.T) {
		server := evenkeeltest.Start(t)
		address = server.Address
		y, err := server.Client().LayerNorm(t.Context(), evenkeel.Of([]float32{1, 1}))
		if err != nil || y.Output.Float32()[0] != 0 {
			t.Errorf("%v", err)
		}
		if !listens(address) {
			t.Error("it does not listen")
		}
	})
	if listens(address) {
		t.Error("it listens after its test")
	}
}

func TestServersListenWhereTheyAreTold(t *testing.T) {
	socket := "unix:" + filepath.Join(t.TempDir(), "evenkeel.sock")
	server := evenkeeltest.Start(t, "--listen", socket)
	if server.Address != socket {
		t.Errorf("it listens on %s", server.Address)
	}
	if _, err := server.Client().ServerInfo(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestChild is a test of another process, which ends in the way that the variable names.
func TestChild(t *testing.T) {
	way, folder := os.Getenv("EVENKEELTEST_WAY"), os.Getenv("EVENKEELTEST_FOLDER")
	if way == "" {
		t.Skip("runs in a process of its own")
	}
	server := evenkeeltest.Start(t)
	if err := os.WriteFile(filepath.Join(folder, way), []byte(server.Address), 0o600); err != nil {
		t.Fatal(err)
	}
	switch way {
	case "fatal":
		t.Fatal("as told")
	case "panic":
		panic("as told")
	case "exit":
		os.Exit(3)
	}
}

func TestServersStopAfterFailures(t *testing.T) {
	folder := t.TempDir()
	for _, way := range []string{"fatal", "panic", "exit"} {
		child := exec.Command(os.Args[0], "-test.run=^TestChild$")
		child.Env = append(os.Environ(), "EVENKEELTEST_WAY="+way, "EVENKEELTEST_FOLDER="+folder)
		if said, err := child.CombinedOutput(); err == nil {
			t.Errorf("%s: the test has not failed: %s", way, said)
		}
		address, err := os.ReadFile(filepath.Join(folder, way))
		if err != nil {
			t.Fatal(err)
		}
		for patience := time.Now().Add(10 * time.Second); listens(string(address)); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(patience) {
				t.Fatalf("%s: the server is still there", way)
			}
		}
	}
}

func TestBinariesThatAreNoServers(t *testing.T) {
	for binary, expected := range map[string]string{
		filepath.Join(t.TempDir(), "missing"): "no such file",
		"/bin/echo":                           "does not listen",
		"/bin/true":                           "does not listen",
	} {
		server, err := evenkeeltest.Launch(binary)
		if err == nil {
			server.Stop()
			t.Errorf("%s has started", binary)
		} else if !strings.Contains(err.Error(), expected) {
			t.Errorf("%s: %v", binary, err)
		}
	}
	if _, err := evenkeeltest.Launch("", "--no-such-flag"); err == nil || !strings.Contains(err.Error(), "--no-such-flag") {
		t.Errorf("the server's own words are missing: %v", err)
	}
	t.Setenv("EVENKEEL_BINARY", "")
	t.Setenv("PATH", t.TempDir())
	if _, err := evenkeeltest.Launch(""); err == nil || !strings.Contains(err.Error(), "EVENKEEL_BINARY") {
		t.Errorf("%v", err)
	}
}

func TestStoppingTwiceIsNoFault(t *testing.T) {
	server, err := evenkeeltest.Launch("")
	if err != nil {
		t.Fatal(err)
	}
	server.Stop()
	server.Stop()
}
