package evenkeel

import (
	"context"
	"slices"

	"evenkeel.dev/go/evenkeel/internal/wire"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// Normalized is the result of a normalization.
type Normalized struct {
	// Output is the normalized tensor, of the input's type and shape.
	Output *Tensor
	// Axes are the axes that were pooled, in ascending order; for Group with the channels' axis, which is split into groups.
	Axes []int
	// Mean is the means, with [ReturnStatistics]; nil for RMS and L2. Float64 for float64 input, else float32. Its shape is the
	// input's without the pooled axes; for Group, with the number of groups in place of the channels.
	Mean *Tensor
	// Rstd is 1 / sqrt(var + eps), for RMS 1 / sqrt(mean(x^2) + eps), for L2 1 / max(norm, eps), with [ReturnStatistics]; in type
	// and shape as Mean.
	Rstd *Tensor
	// RunningMean and RunningVar are the new running statistics, typed as those that were sent, if the input's own statistics
	// were used; otherwise nil.
	RunningMean, RunningVar *Tensor
}

// Normalize normalizes a tensor: y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance; RMS leaves the mean
// out, and L2 is x / max(sqrt(sum(x^2)), eps).
//
// A tensor that is larger than a message of the server goes through a stream. If the server has no memory for what is pooled
// together, it is sent twice, to be measured and to be normalized; the last bits may then differ from those of one pass.
func (c *Client) Normalize(ctx context.Context, x *Tensor, norm Norm, options ...NormalizeOption) (*Normalized, error) {
	n := newNormalization(norm).with(options)
	if err := n.check(x); err != nil {
		return nil, err
	}
	call := c.begin(ctx)
	defer call.end()
	message := n.message()
	x.appendTo(message, inputNumber, "")
	stream, limits, err := call.needsStream(message.Size())
	if err != nil {
		return nil, err
	}
	if !stream {
		y, err := call.normalize(n, x, message)
		most := message.Size()
		if n.request.GetReturnStatistics() {
			most += 2 * 8 * x.Len() // one set for each element
		}
		if limits, stream = call.becomesStream(err, most); !stream {
			return y, err
		}
	}
	return call.normalizeStream(n, x, limits)
}

// LayerNorm is [Client.Normalize] of the kind [Layer].
func (c *Client) LayerNorm(ctx context.Context, x *Tensor, options ...NormalizeOption) (*Normalized, error) {
	return c.Normalize(ctx, x, Layer, options...)
}

// RMSNorm is [Client.Normalize] of the kind [RMS].
func (c *Client) RMSNorm(ctx context.Context, x *Tensor, options ...NormalizeOption) (*Normalized, error) {
	return c.Normalize(ctx, x, RMS, options...)
}

// BatchNorm is [Client.Normalize] of the kind [Batch].
func (c *Client) BatchNorm(ctx context.Context, x *Tensor, options ...NormalizeOption) (*Normalized, error) {
	return c.Normalize(ctx, x, Batch, options...)
}

// InstanceNorm is [Client.Normalize] of the kind [Instance].
func (c *Client) InstanceNorm(ctx context.Context, x *Tensor, options ...NormalizeOption) (*Normalized, error) {
	return c.Normalize(ctx, x, Instance, options...)
}

// GroupNorm is [Client.Normalize] by [Group].
func (c *Client) GroupNorm(ctx context.Context, x *Tensor, groups int, options ...NormalizeOption) (*Normalized, error) {
	return c.Normalize(ctx, x, Group(groups), options...)
}

// L2Norm is [Client.Normalize] of the kind [L2].
func (c *Client) L2Norm(ctx context.Context, x *Tensor, options ...NormalizeOption) (*Normalized, error) {
	return c.Normalize(ctx, x, L2, options...)
}

// normalizeReply is the answer, of the unary call or in the summary of a stream.
type normalizeReply struct {
	answer                              pb.NormalizeResponse
	mean, rstd, runningMean, runningVar *wire.Tensor
}

func (r *normalizeReply) expect(reply *wire.Reply) {
	r.mean, r.rstd = reply.Tensor(10), reply.Tensor(11)
	r.runningMean, r.runningVar = reply.Tensor(12), reply.Tensor(13)
}

// result is all but the output, of a normalization of x.
func (r *normalizeReply) result(n *normalization, x *Tensor, axes []int32) (y *Normalized, err error) {
	y = &Normalized{Axes: n.pooledAxes(len(x.shape))}
	if !slices.EqualFunc(axes, y.Axes, func(given int32, due int) bool { return int(given) == due }) {
		return nil, broken("axes", "are %v where %v are pooled", axes, y.Axes)
	}
	asked := n.request.GetReturnStatistics()
	if y.Mean, err = n.statistic("mean", x, r.mean, asked && n.hasMean()); err != nil {
		return nil, err
	}
	if y.Rstd, err = n.statistic("rstd", x, r.rstd, asked); err != nil {
		return nil, err
	}
	if y.RunningMean, err = answerToOptional("running_mean", n.parameters[runningMean].tensor, r.runningMean); err != nil {
		return nil, err
	}
	y.RunningVar, err = answerToOptional("running_var", n.parameters[runningVar].tensor, r.runningVar)
	return y, err
}

// statistic is the mean or the rstd of a normalization of x, which is there if, and only if, it is due.
func (n *normalization) statistic(field string, x *Tensor, received *wire.Tensor, due bool) (*Tensor, error) {
	if !due {
		if received.Header != nil {
			return nil, broken(field, "was not asked for")
		}
		return nil, nil
	}
	dtype := F32
	if x.dtype == F64 {
		dtype = F64
	}
	return form{dtype: dtype, shape: n.sets(x.shape)}.tensor(field, received)
}

// normalize makes the unary call.
func (c *call) normalize(n *normalization, x *Tensor, message *wire.Message) (*Normalized, error) {
	var r normalizeReply
	reply := wire.NewReply(&r.answer)
	r.expect(reply)
	output := reply.Tensor(14)
	if err := c.unary(pb.TensorOpsService_Normalize_FullMethodName, message, reply); err != nil {
		return nil, err
	}
	y, err := r.result(n, x, r.answer.GetAxes())
	if err != nil {
		return nil, err
	}
	y.Output, err = answerTo("output", x, output)
	return y, err
}
