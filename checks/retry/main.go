// Runs grpc-go's own retry policy against a server that refuses calls: the client repeats a call that is refused because of
// overload after the delay that the server asks for, and never repeats one that is too large.
//
//	go run . --target HOST:PORT
//
// The server takes messages of 1 MiB, and 2 MiB in flight.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	method   = "/evenkeel.v1.TensorOpsService/Dropout"
	limit    = 1 << 20
	inFlight = 2 << 20
	// The number of elements of a call for which the server has no memory while it is held.
	small    = 60_000
	pushback = 100 * time.Millisecond
	// Longer than anything here takes: a client that waits for it has ignored the delay that the server asks for.
	never = time.Hour
	// The limit of all waits, for a machine that hangs.
	patience = 2 * time.Minute
)

// raw sends and receives messages as they are on the wire.
type raw struct{}

func (raw) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }
func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = bytes.Clone(data)
	return nil
}
func (raw) Name() string { return "proto" }

// dropout is a DropoutRequest that keeps all of a float32 tensor of so many elements, and asks for the mask if mask is set.
func dropout(elements int, mask bool) []byte {
	var tensor []byte
	tensor = protowire.AppendTag(tensor, 2, protowire.VarintType) // dtype
	tensor = protowire.AppendVarint(tensor, 1)
	shape := protowire.AppendVarint(nil, uint64(elements))
	tensor = protowire.AppendTag(tensor, 3, protowire.BytesType)
	tensor = protowire.AppendBytes(tensor, shape)
	tensor = protowire.AppendTag(tensor, 15, protowire.BytesType) // data
	tensor = protowire.AppendBytes(tensor, make([]byte, 4*elements))

	var request []byte
	request = protowire.AppendTag(request, 1, protowire.Fixed64Type) // p
	request = protowire.AppendFixed64(request, math.Float64bits(0))
	if mask {
		request = protowire.AppendTag(request, 6, protowire.VarintType)
		request = protowire.AppendVarint(request, 1)
	}
	request = protowire.AppendTag(request, 15, protowire.BytesType) // input
	return protowire.AppendBytes(request, tensor)
}

// attempts notes when each attempt of a call begins, and calls `before`, if it is set, before the attempt is sent.
type attempts struct {
	mutex  sync.Mutex
	begun  []time.Time
	before func(attempt int) // attempts count from 1
}

func (a *attempts) HandleRPC(_ context.Context, event stats.RPCStats) {
	if _, is := event.(*stats.Begin); is {
		a.mutex.Lock()
		a.begun = append(a.begun, time.Now())
		attempt := len(a.begun)
		a.mutex.Unlock()
		if a.before != nil {
			a.before(attempt)
		}
	}
}

func (*attempts) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }
func (*attempts) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}
func (*attempts) HandleConn(context.Context, stats.ConnStats) {}

// call makes a call with a policy of up to `most` attempts, the second one after up to `backoff`, unless the server says
// otherwise.
func call(target string, request []byte, most int, backoff time.Duration, counted *attempts) error {
	policy := fmt.Sprintf(`{"methodConfig": [{"name": [{"service": "evenkeel.v1.TensorOpsService"}], "retryPolicy": {
		"maxAttempts": %d, "initialBackoff": "%.3fs", "maxBackoff": "%.3fs", "backoffMultiplier": 1,
		"retryableStatusCodes": ["RESOURCE_EXHAUSTED"]}}]}`, most, backoff.Seconds(), backoff.Seconds())
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(policy),
		// The client never repeats a call with more bytes than this, by default 256 KiB, whatever the server says.
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxRetryRPCBufferSize(8*limit)),
		grpc.WithStatsHandler(counted))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var answer []byte
	return conn.Invoke(ctx, method, &request, &answer)
}

// hold takes the server's memory with messages whose last byte is not sent; release gives the memory back.
func hold(target string) (release func(), err error) {
	transport := &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	release = func() { cancel(); transport.CloseIdleConnections() }
	// Together the messages need more memory than there is; it does not matter that some are refused.
	message := dropout(small, false)
	for range 2 * inFlight / len(message) {
		reader, writer := io.Pipe()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+target+method, reader)
		if err != nil {
			return release, err
		}
		request.Header.Set("content-type", "application/grpc")
		request.Header.Set("te", "trailers")
		go func() {
			answer, err := transport.RoundTrip(request)
			if err == nil {
				answer.Body.Close()
				err = io.ErrClosedPipe
			}
			reader.CloseWithError(err)
		}()
		prefix := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
		go writer.Write(append(prefix, message[:len(message)-1]...))
	}
	return release, nil
}

// once makes a call without a retry policy.
func once(target string) error {
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, answer := dropout(small, false), []byte{}
	return conn.Invoke(ctx, method, &request, &answer)
}

func expect(what string, err error, code codes.Code, counted *attempts, count int) error {
	if status.Code(err) != code || len(counted.begun) != count {
		return fmt.Errorf("%s: %d attempts, then %v; expected %d, then %v", what, len(counted.begun), err, count, code)
	}
	return nil
}

// meets makes calls with a retry policy, while the memory is held, until one was refused because of overload: at first there may
// be room, and a call that succeeds at once proves nothing.
func meets(target string, before func(release func(), attempt int)) (*attempts, error) {
	for began := time.Now(); time.Since(began) < patience; {
		release, err := hold(target)
		if err != nil {
			return nil, err
		}
		counted := &attempts{before: func(attempt int) { before(release, attempt) }}
		err = call(target, dropout(small, false), 3, never, counted)
		release()
		if err != nil || len(counted.begun) > 1 {
			return counted, err
		}
	}
	return nil, errors.New("the server is never overloaded")
}

// overloaded: the client makes all attempts, each after the server's delay, though the policy would wait for an hour.
func overloaded(target string) error {
	counted, err := meets(target, func(func(), int) {})
	for err == nil { // there was room after all
		counted, err = meets(target, func(func(), int) {})
	}
	if counted == nil {
		return err
	}
	if err := expect("overloaded", err, codes.ResourceExhausted, counted, 3); err != nil {
		return err
	}
	for index, begun := range counted.begun[1:] {
		if waited := begun.Sub(counted.begun[index]); waited < pushback {
			return fmt.Errorf("an attempt after %v; the server asks for %v", waited, pushback)
		}
	}
	return nil
}

// recovered: a call that was refused has its result once the server has room.
func recovered(target string) error {
	counted, err := meets(target, func(release func(), attempt int) {
		if attempt != 2 {
			return
		}
		release()
		// The second attempt waits until a call on another connection has succeeded.
		for once(target) != nil {
		}
	})
	if counted == nil {
		return err
	}
	return expect("recovered", err, codes.OK, counted, 2)
}

// tooLarge: the client does not repeat a call whose request or response is too large, though the policy would do so at once.
func tooLarge(target string) error {
	requests := map[string][]byte{
		"a request above the limit": dropout(limit/4, false),
		"an answer above the limit": dropout(limit/4-1000, true),
	}
	for what, request := range requests {
		counted := &attempts{}
		err := call(target, request, 5, time.Millisecond, counted)
		if err := expect(what, err, codes.ResourceExhausted, counted, 1); err != nil {
			return err
		}
	}
	return nil
}

func run() error {
	target := flag.String("target", "", "HOST:PORT of the server")
	flag.Parse()
	if *target == "" {
		return errors.New("--target is missing")
	}
	for _, check := range []struct {
		name string
		run  func(string) error
	}{{"overloaded", overloaded}, {"recovered", recovered}, {"too large", tooLarge}} {
		if err := check.run(*target); err != nil {
			return fmt.Errorf("grpc-go, %s: %w", check.name, err)
		}
		fmt.Printf("ok      grpc-go, %s\n", check.name)
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "FAILED  %v\n", err)
		os.Exit(1)
	}
}
