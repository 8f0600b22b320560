package evenkeel_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"evenkeel.dev/go/evenkeel"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// breaks says whether an error is that of an answer whose field breaks the contract.
func breaks(t *testing.T, err error, field string) {
	t.Helper()
	if !is[*evenkeel.Internal](err) || !strings.Contains(err.Error(), "breaks the contract: "+field+" ") {
		t.Errorf("%v instead of an error of %s", err, field)
	}
}

func described(shape ...int64) *pb.Tensor {
	return &pb.Tensor{Dtype: pb.DataType_DATA_TYPE_FLOAT32, Shape: shape}
}

func with(tensor *pb.Tensor, bytes int) *pb.Tensor {
	tensor.Data = make([]byte, bytes)
	return tensor
}

func TestAnswersThatBreakTheContractAreRefused(t *testing.T) {
	double := with(described(1, 2), 16)
	double.Dtype = pb.DataType_DATA_TYPE_FLOAT64
	unknown := with(described(1, 4), 16)
	unknown.Dtype = 99
	numbers := described(1, 4)
	numbers.FloatData = []float32{1}
	good := func() *pb.Tensor { return with(described(1, 4), 16) }
	for _, test := range []struct {
		field  string
		answer *pb.NormalizeResponse
	}{
		{"output", &pb.NormalizeResponse{}},
		{"output.shape", &pb.NormalizeResponse{Output: with(described(4, 1), 16)}},
		{"output.shape", &pb.NormalizeResponse{Output: with(described(-1, 4), 16)}},
		{"output.data", &pb.NormalizeResponse{Output: with(described(1, 4), 12)}},
		{"output.dtype", &pb.NormalizeResponse{Output: double}},
		{"output.dtype", &pb.NormalizeResponse{Output: unknown}},
		{"output.float_data", &pb.NormalizeResponse{Output: numbers}},
		{"mean", &pb.NormalizeResponse{Output: good(), Mean: described(1)}},
		{"running_mean", &pb.NormalizeResponse{Output: good(), RunningMean: good()}},
	} {
		server := &fake{normalize: func(_ context.Context, _ *pb.NormalizeRequest) (*pb.NormalizeResponse, error) {
			test.answer.Axes = []int32{1}
			return test.answer, nil
		}}
		breaks(t, second(server.client(t).LayerNorm(t.Context(), four)), test.field)
	}
	server := &fake{dropout: func(*pb.DropoutRequest) (*pb.DropoutResponse, error) {
		return &pb.DropoutResponse{Output: good(), Mask: []byte{1, 2}}, nil
	}}
	breaks(t, second(server.client(t).Dropout(t.Context(), four, 0.5, 1, evenkeel.ReturnMask())), "mask")
	for field, gradients := range map[string][]*pb.Tensor{
		"gradients":          {},
		"gradients[0].name":  {{Name: "other", Dtype: good().Dtype, Shape: good().Shape, Data: good().Data}},
		"gradients[0].shape": {with(described(2, 2), 16)},
	} {
		server := &fake{clip: func(*pb.ClipGradientsRequest) (*pb.ClipGradientsResponse, error) {
			return &pb.ClipGradientsResponse{Gradients: gradients}, nil
		}}
		breaks(t, second(server.client(t).ClipGradNorm(t.Context(), evenkeel.Unnamed(four), 1)), field)
	}
}

// replay reads the whole request, and answers with these messages.
func replay[Request, Response any](messages ...*Response) func(grpc.BidiStreamingServer[Request, Response]) error {
	return func(stream grpc.BidiStreamingServer[Request, Response]) error {
		for {
			if _, err := stream.Recv(); err == io.EOF {
				break
			} else if err != nil {
				return err
			}
		}
		for _, message := range messages {
			if err := stream.Send(message); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestNormalizeStreamsThatBreakTheContractAreRefused(t *testing.T) {
	type message = pb.NormalizeStreamResponse
	header := func(t *pb.Tensor) *message {
		return &message{Part: &pb.NormalizeStreamResponse_Header{Header: &pb.NormalizeResponse{Axes: []int32{1}, Output: t}}}
	}
	honest := header(described(1, 1000))
	data := func(n int) *message { return &message{Part: &pb.NormalizeStreamResponse_Data{Data: make([]byte, n)}} }
	summary := &message{Part: &pb.NormalizeStreamResponse_Summary{Summary: &pb.NormalizeResponse{}}}
	for _, test := range []struct {
		field    string
		messages []*message
	}{
		{"", []*message{honest, data(1000), data(0), data(3000), summary}},
		{"summary", nil},
		{"summary", []*message{honest, data(4000)}},
		{"summary", []*message{honest, data(4000), summary, summary}},
		{"header", []*message{data(4000), summary}},
		{"header", []*message{honest, honest, data(4000), summary}},
		{"output", []*message{header(nil), data(4000), summary}},
		{"output.shape", []*message{header(described(1000, 1)), data(4000), summary}},
		{"output.data", []*message{header(with(described(1, 1000), 4000)), summary}},
		{"data", []*message{honest, data(3999), summary}},
		{"data", []*message{honest, data(3000), data(1001), summary}},
		{"header", []*message{{}, summary}},
	} {
		server := &fake{info: small, stream: replay[pb.NormalizeStreamRequest](test.messages...)}
		y, err := server.client(t).LayerNorm(t.Context(), large)
		if test.field != "" {
			breaks(t, err, test.field)
		} else if err != nil || y.Output.Len() != 1000 {
			t.Errorf("an honest stream: %v", err)
		}
	}
}

func TestDropoutStreamsThatBreakTheContractAreRefused(t *testing.T) {
	type message = pb.DropoutStreamResponse
	header := &message{Part: &pb.DropoutStreamResponse_Header{Header: &pb.DropoutResponse{Output: described(1, 1000)}}}
	backward := &message{Part: &pb.DropoutStreamResponse_BackwardHeader{
		BackwardHeader: &pb.DropoutBackwardResponse{GradInput: described(1, 1000)},
	}}
	data := &message{Part: &pb.DropoutStreamResponse_Data{Data: make([]byte, 4000)}}
	mask := func(n int) *message { return &message{Part: &pb.DropoutStreamResponse_Mask{Mask: make([]byte, n)}} }
	summary := &message{Part: &pb.DropoutStreamResponse_Summary{Summary: &pb.DropoutResponse{Kept: 7}}}
	for _, test := range []struct {
		field    string
		messages []*message
	}{
		{"", []*message{header, mask(100), data, mask(25), summary}},
		{"header", []*message{backward, data, mask(125), summary}},
		{"mask", []*message{header, data, mask(124), summary}},
		{"mask", []*message{header, data, mask(126), summary}},
		{"data", []*message{header, data, data, mask(125), summary}},
	} {
		server := &fake{info: small, drop: replay[pb.DropoutStreamRequest](test.messages...)}
		y, err := server.client(t).Dropout(t.Context(), large, 0.5, 1, evenkeel.ReturnMask())
		if test.field != "" {
			breaks(t, err, test.field)
		} else if err != nil || y.Kept != 7 || y.Mask.Len() != 1000 {
			t.Errorf("an honest stream: %v", err)
		}
	}
	server := &fake{info: small, drop: replay[pb.DropoutStreamRequest](header, data, summary)}
	breaks(t, second(server.client(t).DropoutBackward(t.Context(), large, 0.5, 1)), "header")
}

func TestClipStreamsThatBreakTheContractAreRefused(t *testing.T) {
	type message = pb.ClipGradientsStreamResponse
	header := &message{Part: &pb.ClipGradientsStreamResponse_Header{Header: &pb.ClipGradientsResponse{}}}
	tensor := func(name string) *message {
		begin := described(1, 1000)
		begin.Name = name
		return &message{Part: &pb.ClipGradientsStreamResponse_Tensor{Tensor: begin}}
	}
	a, b := tensor("a"), tensor("b")
	data := func(n int) *message {
		return &message{Part: &pb.ClipGradientsStreamResponse_Data{Data: make([]byte, n)}}
	}
	summary := &message{Part: &pb.ClipGradientsStreamResponse_Summary{Summary: &pb.ClipGradientsResponse{Scale: 0.5}}}
	for _, test := range []struct {
		field    string
		messages []*message
	}{
		{"", []*message{header, a, data(1000), data(3000), b, data(4000), summary}},
		{"gradients[0].name", []*message{header, b, data(4000), a, data(4000), summary}},
		{"gradients[0].data", []*message{header, a, data(3000), b, data(4000), summary}},
		{"gradients[1].data", []*message{header, a, data(4000), b, data(3000), summary}},
		{"gradients[0].data", []*message{header, a, data(4001), summary}},
		{"gradients", []*message{header, a, data(4000), summary}},
		{"gradients", []*message{header, a, data(4000), b, data(4000), a, summary}},
		{"summary", []*message{header, a, data(4000), b, data(4000)}},
		{"header", []*message{a, data(4000), b, data(4000), summary}},
	} {
		server := &fake{info: small, clipping: replay[pb.ClipGradientsStreamRequest](test.messages...)}
		gradients := evenkeel.Gradients{{Name: "a", Tensor: large}, {Name: "b", Tensor: large}}
		y, err := server.client(t).ClipGradNorm(t.Context(), gradients, 1)
		if test.field != "" {
			breaks(t, err, test.field)
		} else if err != nil || y.Scale != 0.5 || y.Gradients[1].Name != "b" {
			t.Errorf("an honest stream: %v", err)
		}
	}
}

// A stream is retried from its beginning, with a result of its own.
func TestStreamsAreRetried(t *testing.T) {
	tries := 0
	server := &fake{info: small, stream: func(stream grpc.BidiStreamingServer[pb.NormalizeStreamRequest, pb.NormalizeStreamResponse]) error {
		tries++
		received := 0
		for {
			request, err := stream.Recv()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			if header := request.GetHeader(); header != nil {
				output := header.GetInput()
				part := &pb.NormalizeStreamResponse_Header{Header: &pb.NormalizeResponse{Axes: []int32{1}, Output: output}}
				if err := stream.Send(&pb.NormalizeStreamResponse{Part: part}); err != nil {
					return err
				}
				continue
			}
			received += len(request.GetData())
			part := &pb.NormalizeStreamResponse_Data{Data: request.GetData()}
			if err := stream.Send(&pb.NormalizeStreamResponse{Part: part}); err != nil {
				return err
			}
			if tries == 1 {
				return failure(codes.Unavailable, "")
			}
		}
		if received != 4000 {
			return errors.New("another number of bytes")
		}
		return stream.Send(&pb.NormalizeStreamResponse{Part: &pb.NormalizeStreamResponse_Summary{Summary: new(pb.NormalizeResponse)}})
	}}
	numbers := make([]float32, 1000)
	for i := range numbers {
		numbers[i] = float32(i)
	}
	y, err := server.client(t).LayerNorm(t.Context(), evenkeel.Of(numbers, 1, 1000))
	if err != nil || tries != 2 {
		t.Fatalf("%d tries: %v", tries, err)
	}
	for i, x := range y.Output.Float32() {
		if x != float32(i) {
			t.Fatalf("element %d is %v", i, x)
		}
	}
}
