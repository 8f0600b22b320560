package evenkeel

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"evenkeel.dev/go/evenkeel/internal/wire"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// The numbers of a stream's messages.
const (
	headerNumber         protowire.Number = 1
	backwardHeaderNumber protowire.Number = 2
)

// normalizeStream makes the call as a stream, in two passes if the server asks for them.
func (c *call) normalizeStream(n *normalization, x *Tensor, limits *limits) (*Normalized, error) {
	y, err := c.normalizeOnce(n, x, limits)
	var two *NeedsTwoPasses
	if !errors.As(err, &two) || n.request.GetStatistics() != nil || !n.usesOwnStatistics() {
		return y, err
	}
	measured, err := c.measureStatistics(n, x, limits)
	if err != nil {
		return nil, err
	}
	second := &normalization{request: proto.Clone(n.request).(*pb.NormalizeRequest), parameters: n.parameters}
	second.request.Statistics = measured
	return c.normalizeOnce(second, x, limits)
}

// usesOwnStatistics says whether the statistics are neither running nor merged ones.
func (n *normalization) usesOwnStatistics() bool {
	if n.request.GetStatistics() != nil {
		return false
	}
	if n.request.Training != nil {
		return n.request.GetTraining()
	}
	return n.parameters[runningMean].tensor == nil
}

func (c *call) normalizeOnce(n *normalization, x *Tensor, limits *limits) (*Normalized, error) {
	header := n.message()
	header.Tensor(inputNumber, x.header(""), nil)
	send := func(send sender) error {
		if err := send(nested(headerNumber, header)); err != nil {
			return err
		}
		return sendData(send, x.Bytes(), dataNumber, limits.chunk())
	}
	var received *normalizeReceiver
	err := c.both(pb.TensorOpsService_NormalizeStream_FullMethodName, send, func() receiver {
		received = &normalizeReceiver{sent: x, y: x.empty()}
		received.output = output{field: "data", missing: received.y.bytes}
		received.message = wire.NewReply(&received.part)
		received.message.Chunk(dataNumber, received.output.take)
		return received
	})
	if err != nil {
		return nil, err
	}
	result, err := received.summary().result(n, x, received.axes)
	if err != nil {
		return nil, err
	}
	result.Output = received.y.native()
	return result, nil
}

// normalizeReceiver takes the response of a stream.
type normalizeReceiver struct {
	progress
	message *wire.Reply
	part    pb.NormalizeStreamResponse
	sent, y *Tensor
	output  output
	axes    []int32
	last    *pb.NormalizeResponse
}

func (r *normalizeReceiver) reply() *wire.Reply { return r.message }

func (r *normalizeReceiver) take() error {
	header, summary := r.part.GetHeader(), r.part.GetSummary()
	if err := r.note(header != nil, summary != nil); err != nil {
		return err
	}
	if header != nil {
		r.axes = header.GetAxes()
		return r.sent.describes("output", "", header.GetOutput())
	}
	if summary != nil {
		r.last = summary
	}
	return nil
}

func (r *normalizeReceiver) complete() error {
	return errors.Join(r.progress.complete(), r.output.complete())
}

// summary is the answer without its elements. Its tensors have a copy more than those of the unary call; they are small beside
// the elements.
func (r *normalizeReceiver) summary() *normalizeReply {
	received := func(t *pb.Tensor) *wire.Tensor { return &wire.Tensor{Header: t, Data: t.GetData()} }
	return &normalizeReply{
		mean:        received(r.last.GetMean()),
		rstd:        received(r.last.GetRstd()),
		runningMean: received(r.last.GetRunningMean()),
		runningVar:  received(r.last.GetRunningVar()),
	}
}
