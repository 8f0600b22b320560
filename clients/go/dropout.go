package evenkeel

import (
	"context"

	"evenkeel.dev/go/evenkeel/internal/wire"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// Dropped is the result of a dropout.
type Dropped struct {
	// Output is the tensor after dropout, of the input's type and shape.
	Output *Tensor
	// Kept is how many of its elements were kept.
	Kept uint64
	// Mask is which draws kept their elements, with [ReturnMask]; otherwise nil.
	Mask *Mask
}

// Dropout drops elements with probability p, which is in [0, 1], by a mask that depends on p, seed and [Offset] alone: equal
// arguments drop equal elements, so each call of a training needs another seed. [KeepMask] computes the mask without a server.
//
// A tensor that is larger than a message of the server goes through a stream.
func (c *Client) Dropout(ctx context.Context, x *Tensor, p float64, seed uint64, options ...DropoutOption) (*Dropped, error) {
	d := newDropout(p, seed, options)
	if err := d.check("input", x); err != nil {
		return nil, err
	}
	call := c.begin(ctx)
	defer call.end()
	var draws []int
	mask := 0
	if d.request.GetReturnMask() {
		draws = d.draws(x.shape)
		mask = (product(draws) + 7) / 8
	}
	message := new(wire.Message)
	message.Proto(d.request)
	x.appendTo(message, 15, "")
	stream, limits, err := call.needsStream(message.Size() + mask)
	if err != nil {
		return nil, err
	}
	if !stream {
		y, err := call.dropout(x, message, draws)
		if limits, stream = call.becomesStream(err, message.Size()+mask); !stream {
			return y, err
		}
	}
	return call.dropoutStream(d, x, draws, limits)
}

// DropoutBackward is the gradient of [Client.Dropout] with respect to its input, from the gradient of the output. The mask comes
// from p, seed and the options again, which are those of the forward call; gradients of dropped elements are exactly +0.0.
func (c *Client) DropoutBackward(ctx context.Context, gradOutput *Tensor, p float64, seed uint64, options ...DropoutOption) (*Tensor, error) {
	d := newDropout(p, seed, options)
	if err := d.check("grad_output", gradOutput); err != nil {
		return nil, err
	}
	call := c.begin(ctx)
	defer call.end()
	message := new(wire.Message)
	message.Proto(d.request) // DropoutBackwardRequest has the same fields under the same numbers
	gradOutput.appendTo(message, 15, "")
	stream, limits, err := call.needsStream(message.Size())
	if err != nil {
		return nil, err
	}
	if !stream {
		g, err := call.dropoutBackward(gradOutput, message)
		if limits, stream = call.becomesStream(err, message.Size()); !stream {
			return g, err
		}
	}
	return call.dropoutBackwardStream(d, gradOutput, limits)
}

// draws is the shape of the draws for an input of this shape, with the channels on an axis that the server accepts.
func (d *dropout) draws(shape []int) []int {
	switch d.request.GetKind() {
	case pb.DropoutKind_DROPOUT_KIND_CHANNEL, pb.DropoutKind_DROPOUT_KIND_FEATURE_ALPHA:
		axis := 1
		if d.request.ChannelAxis != nil {
			axis = int(d.request.GetChannelAxis())
		}
		if axis < 0 {
			axis += len(shape)
		}
		if len(shape) == 0 || axis < 0 || axis >= len(shape) {
			return []int{0} // the server refuses the call
		}
		return []int{shape[0], shape[axis]}
	default:
		return append([]int{}, shape...) // not nil for a scalar, which has a draw
	}
}

// dropout makes the unary call. The shape of the draws is nil if the mask was not asked for.
func (c *call) dropout(x *Tensor, message *wire.Message, draws []int) (*Dropped, error) {
	var answer pb.DropoutResponse
	reply := wire.NewReply(&answer)
	mask, output := reply.Bytes(14), reply.Tensor(15)
	if err := c.unary(pb.TensorOpsService_Dropout_FullMethodName, message, reply); err != nil {
		return nil, err
	}
	y, err := answerTo("output", x, output)
	if err != nil {
		return nil, err
	}
	return dropped(y, answer.GetKept(), *mask, draws)
}

func dropped(y *Tensor, kept uint64, mask []byte, draws []int) (*Dropped, error) {
	if kept > uint64(y.Len()) {
		return nil, broken("kept", "is %d of %d elements", kept, y.Len())
	}
	d := &Dropped{Output: y, Kept: kept}
	if draws == nil {
		return d, nil
	}
	var err error
	d.Mask, err = newMask(mask, draws)
	return d, err
}

func (c *call) dropoutBackward(gradOutput *Tensor, message *wire.Message) (*Tensor, error) {
	var answer pb.DropoutBackwardResponse
	reply := wire.NewReply(&answer)
	gradInput := reply.Tensor(15)
	if err := c.unary(pb.TensorOpsService_DropoutBackward_FullMethodName, message, reply); err != nil {
		return nil, err
	}
	return answerTo("grad_input", gradOutput, gradInput)
}
