package evenkeel

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"evenkeel.dev/go/evenkeel/internal/wire"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// gradientsNumber is the number of the gradients in requests and responses.
const gradientsNumber = 15

// Clipped is the result of a clipping.
type Clipped struct {
	// Gradients are those after clipping, in the order given, with their names, shapes and types.
	Gradients Gradients
	// TotalNorm is the norm over all gradients before clipping, or the one that was given.
	TotalNorm float64
	// Scale is the factor that was applied: min(1, maxNorm / (TotalNorm + epsilon)). By value: 1. With [PerTensor]: the smallest of
	// any gradient.
	Scale float64
	// ClippedElements is, by value, how many elements were outside of the largest value.
	ClippedElements uint64
	// TensorNorms is, with [PerTensor], the norm of each gradient before clipping.
	TensorNorms []float64
}

// ClipGradNorm scales all gradients by one factor, so that the norm over all of them is at most maxNorm; each by its own with
// [PerTensor]. torch.nn.utils.clip_grad_norm_. Gradients that need no scaling come back bit for bit.
//
// Gradients that are larger together than a message of the server go through a stream. If the server has no memory for them, they
// are sent twice, to be measured and to be clipped; the result is the same, to the last bit.
func (c *Client) ClipGradNorm(ctx context.Context, gradients Gradients, maxNorm float64, options ...ClipOption) (*Clipped, error) {
	return c.clip(ctx, gradients, pb.ClipMode_CLIP_MODE_NORM, maxNorm, options)
}

// ClipGradValue clamps each element to [-maxValue, maxValue]; NaN stays NaN. torch.nn.utils.clip_grad_value_.
func (c *Client) ClipGradValue(ctx context.Context, gradients Gradients, maxValue float64, options ...ClipOption) (*Clipped, error) {
	return c.clip(ctx, gradients, pb.ClipMode_CLIP_MODE_VALUE, maxValue, options)
}

func (c *Client) clip(ctx context.Context, gradients Gradients, mode pb.ClipMode, threshold float64, options []ClipOption) (*Clipped, error) {
	clipping := &clipping{request: &pb.ClipGradientsRequest{Mode: mode, Threshold: proto.Float64(threshold)}}
	for _, option := range options {
		option.applyClip(clipping)
	}
	if err := gradients.check(); err != nil {
		return nil, err
	}
	call := c.begin(ctx)
	defer call.end()
	message := new(wire.Message)
	message.Proto(clipping.request)
	for _, gradient := range gradients {
		gradient.Tensor.appendTo(message, gradientsNumber, gradient.Name)
	}
	// The response has some numbers beside the gradients, and with PerTensor a norm for each.
	most := message.Size() + 64 + 8*len(gradients)
	stream, limits, err := call.needsStream(most)
	if err != nil {
		return nil, err
	}
	if !stream {
		clipped, err := call.clip(clipping.request, gradients, message)
		if limits, stream = call.becomesStream(err, most); !stream {
			return clipped, err
		}
	}
	return call.clipStream(clipping.request, gradients, limits)
}

// clip makes the unary call.
func (c *call) clip(request *pb.ClipGradientsRequest, gradients Gradients, message *wire.Message) (*Clipped, error) {
	var answer pb.ClipGradientsResponse
	reply := wire.NewReply(&answer)
	received := reply.Tensors(gradientsNumber, len(gradients))
	if err := c.unary(pb.TensorOpsService_ClipGradients_FullMethodName, message, reply); err != nil {
		return nil, err
	}
	if len(*received) != len(gradients) {
		return nil, broken("gradients", "are %d where %d were sent", len(*received), len(gradients))
	}
	clipped, err := clippedOf(&answer, request, len(gradients))
	if err != nil {
		return nil, err
	}
	for i, sent := range gradients {
		field := fmt.Sprintf("gradients[%d]", i)
		tensor, err := sent.Tensor.like(sent.Name).tensor(field, &(*received)[i])
		if err != nil {
			return nil, err
		}
		clipped.Gradients = append(clipped.Gradients, Gradient{Name: sent.Name, Tensor: tensor})
	}
	return clipped, nil
}

// clippedOf is the answer without gradients, to a request of so many.
func clippedOf(answer *pb.ClipGradientsResponse, request *pb.ClipGradientsRequest, gradients int) (*Clipped, error) {
	norms := 0
	if request.GetMode() == pb.ClipMode_CLIP_MODE_NORM_PER_TENSOR {
		norms = gradients
	}
	if given := len(answer.GetTensorNorms()); given != norms {
		return nil, broken("tensor_norms", "are %d where %d are due", given, norms)
	}
	return &Clipped{
		TotalNorm:       answer.GetTotalNorm(),
		Scale:           answer.GetScale(),
		ClippedElements: answer.GetClippedElements(),
		TensorNorms:     answer.GetTensorNorms(),
	}, nil
}
