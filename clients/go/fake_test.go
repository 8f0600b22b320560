package evenkeel_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"evenkeel.dev/go/evenkeel"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// fake is a server that answers as a test says.
type fake struct {
	pb.UnimplementedTensorOpsServiceServer
	info      func() (*pb.GetServerInfoResponse, error)
	normalize func(context.Context, *pb.NormalizeRequest) (*pb.NormalizeResponse, error)
	dropout   func(*pb.DropoutRequest) (*pb.DropoutResponse, error)
	clip      func(*pb.ClipGradientsRequest) (*pb.ClipGradientsResponse, error)
	stream    func(grpc.BidiStreamingServer[pb.NormalizeStreamRequest, pb.NormalizeStreamResponse]) error
	drop      func(grpc.BidiStreamingServer[pb.DropoutStreamRequest, pb.DropoutStreamResponse]) error
	clipping  func(grpc.BidiStreamingServer[pb.ClipGradientsStreamRequest, pb.ClipGradientsStreamResponse]) error

	mutex sync.Mutex
	// calls are the times at which calls of Normalize came.
	calls []time.Time
}

// ordinary is what a server says of itself.
func ordinary() *pb.GetServerInfoResponse {
	return &pb.GetServerInfoResponse{Version: evenkeel.Version, MaxMessageBytes: 64 << 20, MaxStreamChunkBytes: 1 << 20}
}

// small is a server with so short messages that tensors are streamed.
func small() (*pb.GetServerInfoResponse, error) {
	info := ordinary()
	info.MaxMessageBytes = 2 << 10
	return info, nil
}

func (f *fake) GetServerInfo(context.Context, *pb.GetServerInfoRequest) (*pb.GetServerInfoResponse, error) {
	if f.info == nil {
		return ordinary(), nil
	}
	return f.info()
}

func (f *fake) Normalize(ctx context.Context, request *pb.NormalizeRequest) (*pb.NormalizeResponse, error) {
	f.mutex.Lock()
	f.calls = append(f.calls, time.Now())
	f.mutex.Unlock()
	if f.normalize == nil {
		return echo(request), nil
	}
	return f.normalize(ctx, request)
}

func (f *fake) Dropout(_ context.Context, request *pb.DropoutRequest) (*pb.DropoutResponse, error) {
	return f.dropout(request)
}

func (f *fake) ClipGradients(_ context.Context, request *pb.ClipGradientsRequest) (*pb.ClipGradientsResponse, error) {
	return f.clip(request)
}

func (f *fake) NormalizeStream(stream grpc.BidiStreamingServer[pb.NormalizeStreamRequest, pb.NormalizeStreamResponse]) error {
	return f.stream(stream)
}

func (f *fake) DropoutStream(stream grpc.BidiStreamingServer[pb.DropoutStreamRequest, pb.DropoutStreamResponse]) error {
	return f.drop(stream)
}

func (f *fake) ClipGradientsStream(stream grpc.BidiStreamingServer[pb.ClipGradientsStreamRequest, pb.ClipGradientsStreamResponse]) error {
	return f.clipping(stream)
}

// attempts is the times at which calls of Normalize came.
func (f *fake) attempts() []time.Time {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.calls
}

// echo is an answer with the elements of the request.
func echo(request *pb.NormalizeRequest) *pb.NormalizeResponse {
	return &pb.NormalizeResponse{Axes: []int32{int32(len(request.GetInput().GetShape()) - 1)}, Output: request.GetInput()}
}

// start starts the server, and returns its address.
func (f *fake) start(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.serve(t, listener)
	return listener.Addr().String()
}

func (f *fake) serve(t testing.TB, listener net.Listener) {
	server := grpc.NewServer()
	pb.RegisterTensorOpsServiceServer(server, f)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
}

// client is a client of the server.
func (f *fake) client(t testing.TB, options ...evenkeel.Option) *evenkeel.Client {
	t.Helper()
	return newClient(t, f.start(t), options...)
}

func newClient(t testing.TB, address string, options ...evenkeel.Option) *evenkeel.Client {
	t.Helper()
	client, err := evenkeel.New(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// failure is an error of a server, with a reason if it is not "".
func failure(code codes.Code, reason string, details ...protoadapt.MessageV1) error {
	if reason != "" {
		details = append(details, &errdetails.ErrorInfo{Reason: reason, Domain: "evenkeel"})
	}
	s, err := status.New(code, "the server's message").WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return s.Err()
}

func overloaded(delay time.Duration) error {
	return failure(codes.ResourceExhausted, "OVERLOADED", &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
}

// failing fails as often as there are errors, and succeeds then.
func failing(errors ...error) func(context.Context, *pb.NormalizeRequest) (*pb.NormalizeResponse, error) {
	var mutex sync.Mutex
	return func(_ context.Context, request *pb.NormalizeRequest) (*pb.NormalizeResponse, error) {
		mutex.Lock()
		defer mutex.Unlock()
		if len(errors) == 0 {
			return echo(request), nil
		}
		err := errors[0]
		errors = errors[1:]
		return nil, err
	}
}

var four = evenkeel.Of([]float32{1, 2, 3, 4}, 1, 4)
