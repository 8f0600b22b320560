package evenkeeltest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// patience is how long a server may take to listen.
const patience = 30 * time.Second

// Server is a server's process.
type Server struct {
	// Address is where it listens, for evenkeel.New.
	Address string

	command *exec.Cmd
	log     *log
	ended   chan struct{}
}

// Binary is the path of the server's binary: the variable EVENKEEL_BINARY, or `evenkeel` on the PATH.
func Binary() (string, error) {
	if path := os.Getenv("EVENKEEL_BINARY"); path != "" {
		return path, nil
	}
	path, err := exec.LookPath("evenkeel")
	if err != nil {
		return "", errors.New("no server: set EVENKEEL_BINARY to its path, or have evenkeel on the PATH")
	}
	return path, nil
}

// Launch starts a server outside of tests; it must be stopped. "" is the binary of [Binary]. It listens on a free port of
// 127.0.0.1, if the flags have no --listen. Launch returns when it listens.
func Launch(binary string, flags ...string) (*Server, error) {
	if binary == "" {
		found, err := Binary()
		if err != nil {
			return nil, err
		}
		binary = found
	}
	arguments := []string{"serve"}
	if !slices.ContainsFunc(flags, func(flag string) bool { return flag == "--listen" || strings.HasPrefix(flag, "--listen=") }) {
		arguments = append(arguments, "--listen", "127.0.0.1:0")
	}
	s := &Server{command: exec.Command(binary, append(arguments, flags...)...), log: new(log), ended: make(chan struct{})}
	s.command.Stderr = s.log
	s.command.WaitDelay = time.Second
	stdout, err := s.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	go s.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", binary, err)
	}
	timer := time.AfterFunc(patience, s.kill)
	defer timer.Stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	address, listens := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !listens {
		s.Stop()
		return nil, fmt.Errorf("%s does not listen: it printed %q\n%s", binary, line, s.Log())
	}
	s.Address = address
	return s, nil
}

// run starts the process and waits for its end, on one thread: where the process dies with its parent, it dies with the thread
// that has started it.
func (s *Server) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.ended)
	dieWithParent(s.command)
	err := s.command.Start()
	started <- err
	if err == nil {
		s.command.Wait() // a killed process is no error
	}
}

// Stop kills the server, and returns when it has ended. It may be called again.
func (s *Server) Stop() {
	s.kill()
	<-s.ended
}

func (s *Server) kill() { s.command.Process.Kill() }

// Log is what the server has written to standard error.
func (s *Server) Log() string { return s.log.String() }

// log is a buffer that is written and read at the same time.
type log struct {
	mutex sync.Mutex
	bytes bytes.Buffer
}

func (l *log) Write(line []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.bytes.Write(line)
}

func (l *log) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.bytes.String()
}
