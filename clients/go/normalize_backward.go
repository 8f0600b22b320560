package evenkeel

import (
	"context"

	"evenkeel.dev/go/evenkeel/internal/wire"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// NormalizeGradients is the gradients of a normalization.
type NormalizeGradients struct {
	// GradInput is the gradient of the input, in its type and shape.
	GradInput *Tensor
	// GradWeight and GradBias are the gradients of the weight and the bias, in their types and shapes; nil where none was given.
	GradWeight, GradBias *Tensor
}

// NormalizeBackward is the gradients of [Client.Normalize] with respect to its input, weight and bias, from the input and the
// gradient of the output, which has the input's type and shape. The options are those of the forward call; the running mean and
// variance are as they were before it.
//
// Input and gradient must fit into one message of the server: there is no stream, and more is a [MessageTooLarge].
func (c *Client) NormalizeBackward(ctx context.Context, x, gradOutput *Tensor, norm Norm, options ...NormalizeOption) (*NormalizeGradients, error) {
	n := newNormalization(norm).with(options)
	if err := n.check(x); err != nil {
		return nil, err
	}
	if err := gradOutput.check("grad_output"); err != nil {
		return nil, err
	}
	call := c.begin(ctx)
	defer call.end()
	message := n.message()
	x.appendTo(message, inputNumber, "")
	gradOutput.appendTo(message, gradOutputNumber, "")

	var answer pb.NormalizeBackwardResponse
	reply := wire.NewReply(&answer)
	gradWeight, gradBias, gradInput := reply.Tensor(10), reply.Tensor(11), reply.Tensor(12)
	if err := call.unary(pb.TensorOpsService_NormalizeBackward_FullMethodName, message, reply); err != nil {
		return nil, err
	}
	g := new(NormalizeGradients)
	var err error
	if g.GradInput, err = answerTo("grad_input", x, gradInput); err != nil {
		return nil, err
	}
	if g.GradWeight, err = answerIfSent("grad_weight", n.parameters[weight].tensor, gradWeight); err != nil {
		return nil, err
	}
	if g.GradBias, err = answerIfSent("grad_bias", n.parameters[bias].tensor, gradBias); err != nil {
		return nil, err
	}
	return g, nil
}
