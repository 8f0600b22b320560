package evenkeel

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"evenkeel.dev/go/evenkeel/internal/wire"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// maskNumber is the number of the next bytes of the mask.
const maskNumber protowire.Number = 14

func (c *call) dropoutStream(d *dropout, x *Tensor, draws []int, limits *limits) (*Dropped, error) {
	mask := 0
	if draws != nil {
		mask = (product(draws) + 7) / 8
	}
	received, err := c.streamDropout(d, x, headerNumber, mask, limits)
	if err != nil {
		return nil, err
	}
	return dropped(received.y.native(), received.kept, received.bits, draws)
}

func (c *call) dropoutBackwardStream(d *dropout, gradOutput *Tensor, limits *limits) (*Tensor, error) {
	received, err := c.streamDropout(d, gradOutput, backwardHeaderNumber, 0, limits)
	if err != nil {
		return nil, err
	}
	return received.y.native(), nil
}

// streamDropout makes the call with the header of this number, for a mask of so many bytes.
func (c *call) streamDropout(d *dropout, x *Tensor, number protowire.Number, mask int, limits *limits) (*dropoutReceiver, error) {
	header := new(wire.Message)
	header.Proto(d.request)
	header.Tensor(15, x.header(""), nil)
	send := func(send sender) error {
		if err := send(nested(number, header)); err != nil {
			return err
		}
		return sendData(send, x.Bytes(), dataNumber, limits.chunk())
	}
	var received *dropoutReceiver
	err := c.both(pb.TensorOpsService_DropoutStream_FullMethodName, send, func() receiver {
		received = newDropoutReceiver(x, number == backwardHeaderNumber, mask)
		return received
	})
	return received, err
}

// dropoutReceiver takes the response of a stream.
type dropoutReceiver struct {
	progress
	message  *wire.Reply
	part     pb.DropoutStreamResponse
	sent, y  *Tensor
	backward bool
	data     output
	mask     output
	bits     []byte
	kept     uint64
}

func newDropoutReceiver(x *Tensor, backward bool, mask int) *dropoutReceiver {
	r := &dropoutReceiver{sent: x, y: x.empty(), backward: backward, bits: make([]byte, mask)}
	r.data = output{field: "data", missing: r.y.bytes}
	r.mask = output{field: "mask", missing: r.bits}
	r.message = wire.NewReply(&r.part)
	r.message.Chunk(dataNumber, r.data.take)
	r.message.Chunk(maskNumber, r.mask.take)
	return r
}

func (r *dropoutReceiver) reply() *wire.Reply { return r.message }

func (r *dropoutReceiver) take() error {
	forward, backward, summary := r.part.GetHeader(), r.part.GetBackwardHeader(), r.part.GetSummary()
	if err := r.note(forward != nil || backward != nil, summary != nil); err != nil {
		return err
	}
	switch {
	case forward != nil && !r.backward:
		return r.sent.describes("output", "", forward.GetOutput())
	case backward != nil && r.backward:
		return r.sent.describes("grad_input", "", backward.GetGradInput())
	case forward != nil || backward != nil:
		return broken("header", "belongs to another call")
	case summary != nil:
		r.kept = summary.GetKept()
	}
	return nil
}

func (r *dropoutReceiver) complete() error {
	return errors.Join(r.progress.complete(), r.data.complete(), r.mask.complete())
}
