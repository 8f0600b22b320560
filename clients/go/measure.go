package evenkeel

import (
	"context"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"evenkeel.dev/go/evenkeel/internal/exact"
	"evenkeel.dev/go/evenkeel/internal/wire"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// MeasureGradients measures the norm of gradients in a form that merges with that of others: for gradients that live on several
// machines and are clipped by the norm of all, which [Client.ClipGradNorm] takes as [TotalNorm]. Names do not matter. Gradients of
// any size are sent in pieces.
func (c *Client) MeasureGradients(ctx context.Context, gradients Gradients, options ...MeasureOption) (*NormPartial, error) {
	request := new(pb.MeasureGradientsRequest)
	for _, option := range options {
		option.applyMeasure(request)
	}
	if err := gradients.check(); err != nil {
		return nil, err
	}
	call := c.begin(ctx)
	defer call.end()
	limits, err := call.askLimits()
	if err != nil {
		return nil, err
	}
	return call.measureGradients(gradients, request.NormType, limits)
}

func (c *call) measureGradients(gradients Gradients, normType *float64, limits *limits) (*NormPartial, error) {
	first := new(wire.Message)
	first.Proto(&pb.MeasureGradientsRequest{NormType: normType})
	send := func(send sender) error {
		if err := send(first); err != nil {
			return err
		}
		for _, gradient := range gradients {
			if err := sendPieces(send, gradient.Tensor, limits.chunk()); err != nil {
				return err
			}
		}
		return nil
	}
	var answer pb.MeasureGradientsResponse
	err := c.collect(pb.TensorOpsService_MeasureGradients_FullMethodName, send, wire.NewReply(&answer))
	if err != nil {
		return nil, err
	}
	norm, fault := exact.NormOf(answer.GetPartial())
	if fault != nil {
		return nil, broken("partial."+fault.Field, "%s", fault.Reason)
	}
	elements, order, total := uint64(0), 2.0, norm.Total()
	for _, gradient := range gradients {
		elements += uint64(gradient.Tensor.Len())
	}
	if normType != nil {
		order = *normType
	}
	switch given := answer.GetTotalNorm(); {
	case norm.Type != order:
		return nil, broken("partial.norm_type", "is %v where %v is due", norm.Type, order)
	case norm.Elements != elements:
		return nil, broken("partial.elements", "is %d where %d were sent", norm.Elements, elements)
	case given != total && !(math.IsNaN(given) && math.IsNaN(total)):
		return nil, broken("total_norm", "is %v where the partial's is %v", given, total)
	}
	return &NormPartial{exact: norm}, nil
}

// sendPieces sends a gradient as vectors of whole elements that fit into messages.
func sendPieces(send sender, gradient *Tensor, chunk int) error {
	size := gradient.dtype.Size()
	most := max(chunk/size*size, size)
	for data := gradient.Bytes(); len(data) > 0; {
		n := min(most, len(data))
		message := new(wire.Message)
		header := &pb.Tensor{Dtype: gradient.dtype.wire(), Shape: []int64{int64(n / size)}}
		message.Tensor(gradientsNumber, header, data[:n])
		if err := send(message); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// MeasureStatistics measures the statistics of a part of a tensor in a form that merges with those of others: for a tensor that is
// cut over several machines and normalized as one, by the option [Statistics]. [GradOutput] makes the statistics those of
// [Client.NormalizeBackward]. Options that do not say what is pooled have no effect. A part of any size is sent in pieces.
func (c *Client) MeasureStatistics(ctx context.Context, x *Tensor, norm Norm, options ...StatisticsOption) (*StatisticsPartial, error) {
	n := newNormalization(norm)
	for _, option := range options {
		option.applyStatistics(n)
	}
	if err := n.check(x); err != nil {
		return nil, err
	}
	call := c.begin(ctx)
	defer call.end()
	limits, err := call.askLimits()
	if err != nil {
		return nil, err
	}
	message, err := call.measureStatistics(n, x, limits)
	if err != nil {
		return nil, err
	}
	statistics, fault := exact.StatisticsOf(message)
	if fault != nil {
		return nil, broken(fault.Field, "%s", fault.Reason)
	}
	return &StatisticsPartial{exact: *statistics}, nil
}

func (c *call) measureStatistics(n *normalization, x *Tensor, limits *limits) (*pb.StatisticsPartial, error) {
	header, number := new(wire.Message), headerNumber
	header.Proto(pooling(n.request))
	header.Tensor(inputNumber, x.header(""), nil)
	if n.gradOutput != nil {
		number = backwardHeaderNumber
		header.Tensor(gradOutputNumber, n.gradOutput.header(""), nil)
	}
	send := func(send sender) error {
		if err := send(nested(number, header)); err != nil {
			return err
		}
		if n.gradOutput == nil {
			return sendData(send, x.Bytes(), inputNumber, limits.chunk())
		}
		return sendPairs(send, x.Bytes(), n.gradOutput.Bytes(), max(limits.chunk()/2, 1))
	}
	answer := new(pb.StatisticsPartial)
	err := c.collect(pb.TensorOpsService_MeasureStatistics_FullMethodName, send, wire.NewReply(answer))
	if err != nil {
		return nil, err
	}
	return answer, n.checkStatistics(answer, x)
}

// checkStatistics says whether statistics can be those of x. The sets themselves are not looked at, but for the first.
func (n *normalization) checkStatistics(answer *pb.StatisticsPartial, x *Tensor) error {
	shape, sets := n.sets(x.shape), answer.GetSets()
	isDim := func(given int64, due int) bool { return given == int64(due) }
	switch {
	case answer.GetKind() != n.request.GetKind():
		return broken("kind", "is %v where %v is due", answer.GetKind(), n.request.GetKind())
	case !slices.EqualFunc(answer.GetShape(), shape, isDim):
		return broken("shape", "is %v where %v is due", answer.GetShape(), shape)
	case len(sets) != product(shape):
		return broken("sets", "are %d where %d are due", len(sets), product(shape))
	case len(sets) == 0:
		return nil
	}
	if due := uint64(x.Len() / len(sets)); sets[0].GetElements() != due {
		return broken("sets[0].elements", "is %d where %d were sent", sets[0].GetElements(), due)
	}
	if (sets[0].GetSumOfGradients() != nil) != (n.gradOutput != nil) {
		return broken("sets[0].sum_of_gradients", "must be there if, and only if, gradients were sent")
	}
	return nil
}

// sendPairs sends the next elements, and beside them the gradients of the outputs of the same elements. If there are more of one,
// they are sent all the same: the server reports the error.
func sendPairs(send sender, data, gradients []byte, chunk int) error {
	for len(data) > 0 || len(gradients) > 0 {
		message := new(wire.Message)
		n, g := min(chunk, len(data)), min(chunk, len(gradients))
		message.Bytes(inputNumber, data[:n])
		message.Bytes(gradOutputNumber, gradients[:g])
		if err := send(message); err != nil {
			return err
		}
		data, gradients = data[n:], gradients[g:]
	}
	return nil
}

// pooling is what of a request says what is pooled. The server accepts the rest, which may be large.
func pooling(request *pb.NormalizeRequest) *pb.NormalizeRequest {
	only := &pb.NormalizeRequest{Kind: request.GetKind(), Axes: request.GetAxes(), Groups: request.GetGroups()}
	if request.ChannelAxis != nil {
		only.ChannelAxis = proto.Int32(request.GetChannelAxis())
	}
	return only
}
