package evenkeel

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/mem"

	"evenkeel.dev/go/evenkeel/internal/wire"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// tensorNumber is the number of the header of a gradient in the messages of a stream.
const tensorNumber = 2

// clipStream makes the call as a stream, in two passes if the server asks for them and they give the same result.
func (c *call) clipStream(request *pb.ClipGradientsRequest, gradients Gradients, limits *limits) (*Clipped, error) {
	clipped, err := c.clipOnce(request, gradients, limits)
	var two *NeedsTwoPasses
	if errors.As(err, &two) && len(gradients) > 0 && isMeasured(request) {
		return c.clipMeasured(request, gradients, limits)
	}
	return clipped, err
}

func (c *call) clipOnce(request *pb.ClipGradientsRequest, gradients Gradients, limits *limits) (*Clipped, error) {
	header := new(wire.Message)
	header.Proto(request)
	send := func(send sender) error {
		if err := send(nested(headerNumber, header)); err != nil {
			return err
		}
		for _, gradient := range gradients {
			begin := new(wire.Message)
			begin.Tensor(tensorNumber, gradient.Tensor.header(gradient.Name), nil)
			if err := send(begin); err != nil {
				return err
			}
			if err := sendData(send, gradient.Tensor.Bytes(), dataNumber, limits.chunk()); err != nil {
				return err
			}
		}
		return nil
	}
	var received *clipReceiver
	err := c.both(pb.TensorOpsService_ClipGradientsStream_FullMethodName, send, func() receiver {
		received = &clipReceiver{sent: gradients}
		received.message = wire.NewReply(&received.part)
		received.message.Chunk(dataNumber, func(reader *mem.Reader, n int) error { return received.data.take(reader, n) })
		return received
	})
	if err != nil {
		return nil, err
	}
	clipped, err := clippedOf(received.last, request, len(gradients))
	if err != nil {
		return nil, err
	}
	for i, tensor := range received.tensors {
		clipped.Gradients = append(clipped.Gradients, Gradient{Name: gradients[i].Name, Tensor: tensor.native()})
	}
	return clipped, nil
}

// clipReceiver takes the response of a stream.
type clipReceiver struct {
	progress
	message *wire.Reply
	part    pb.ClipGradientsStreamResponse
	sent    Gradients
	// tensors are those that have begun; all but the last are complete.
	tensors []*Tensor
	data    output
	last    *pb.ClipGradientsResponse
}

func (r *clipReceiver) reply() *wire.Reply { return r.message }

func (r *clipReceiver) take() error {
	tensor, summary := r.part.GetTensor(), r.part.GetSummary()
	if err := r.note(r.part.GetHeader() != nil, summary != nil); err != nil {
		return err
	}
	if tensor == nil && summary == nil {
		return nil
	}
	if err := r.data.complete(); err != nil {
		return err
	}
	if summary != nil {
		r.last = summary
		return nil
	}
	i := len(r.tensors)
	if i == len(r.sent) {
		return broken("gradients", "are more than were sent")
	}
	field, sent := fmt.Sprintf("gradients[%d]", i), r.sent[i]
	if err := sent.Tensor.describes(field, sent.Name, tensor); err != nil {
		return err
	}
	r.tensors = append(r.tensors, sent.Tensor.empty())
	r.data = output{field: field + ".data", missing: r.tensors[i].bytes}
	return nil
}

func (r *clipReceiver) complete() error {
	if err := r.progress.complete(); err != nil {
		return err
	}
	if len(r.tensors) < len(r.sent) {
		return broken("gradients", "end before the one at index %d", len(r.tensors))
	}
	return nil
}
