package evenkeel

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"evenkeel.dev/go/evenkeel/internal/wire"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// StatisticsOption is an option of [Client.MeasureStatistics]: each [NormalizeOption], and [GradOutput].
type StatisticsOption interface {
	applyStatistics(*normalization)
}

// NormalizeOption is an option of a normalization, of its gradients, and of the measurement of its statistics.
type NormalizeOption interface {
	StatisticsOption
	applyNormalize(*normalization)
}

// AxisOption is [ChannelAxis], which normalization and dropout have.
type AxisOption interface {
	NormalizeOption
	DropoutOption
}

// normalization is the arguments of a call.
type normalization struct {
	// request has all but the tensors.
	request *pb.NormalizeRequest
	// parameters are the tensors beside the input, by their numbers in the request.
	parameters [4]parameter
	gradOutput *Tensor
	// err is the first argument that cannot be sent.
	err error
}

type parameter struct {
	number protowire.Number
	name   string
	tensor *Tensor
}

// The places of the parameters.
const (
	weight = iota
	bias
	runningMean
	runningVar
)

// The numbers of the tensors in the requests.
const (
	inputNumber      protowire.Number = 14
	gradOutputNumber protowire.Number = 15
)

func newNormalization(norm Norm) *normalization {
	n := &normalization{
		request:    new(pb.NormalizeRequest),
		parameters: [4]parameter{{number: 10, name: "weight"}, {number: 11, name: "bias"}, {number: 12, name: "running_mean"}, {number: 13, name: "running_var"}},
	}
	if norm == nil {
		n.refuse("kind", "required")
		return n
	}
	norm.norm(n)
	return n
}

func (n *normalization) with(options []NormalizeOption) *normalization {
	for _, option := range options {
		option.applyNormalize(n)
	}
	return n
}

func (n *normalization) refuse(path, description string) {
	if n.err == nil {
		n.err = invalid(path, description)
	}
}

// check returns the first argument that cannot be sent.
func (n *normalization) check(input *Tensor) error {
	if n.err != nil {
		return n.err
	}
	if err := input.check("input"); err != nil {
		return err
	}
	for _, parameter := range n.parameters {
		if err := parameter.tensor.checkOptional(parameter.name); err != nil {
			return err
		}
	}
	return n.gradOutput.checkOptional("grad_output")
}

// message is the request without its input. NormalizeBackwardRequest has the same fields under the same numbers.
func (n *normalization) message() *wire.Message {
	message := new(wire.Message)
	message.Proto(n.request)
	for _, parameter := range n.parameters {
		if parameter.tensor != nil {
			parameter.tensor.appendTo(message, parameter.number, "")
		}
	}
	return message
}

func (n *normalization) setGroups(groups int) {
	if groups < 0 || int64(groups) > math.MaxUint32 {
		n.refuse("groups", fmt.Sprintf("%d is no number of groups", groups))
		return
	}
	n.request.Groups = uint32(groups)
}

type normalizeOption func(*normalization)

func (o normalizeOption) applyNormalize(n *normalization)  { o(n) }
func (o normalizeOption) applyStatistics(n *normalization) { o(n) }

type statisticsOption func(*normalization)

func (o statisticsOption) applyStatistics(n *normalization) { o(n) }

// Axes are the axes to pool over, in any order; negative ones count from the end. Default: those of the kind.
func Axes(axes ...int) NormalizeOption {
	return normalizeOption(func(n *normalization) {
		n.request.Axes = nil
		for i, axis := range axes {
			n.request.Axes = append(n.request.Axes, n.axis(fmt.Sprintf("axes[%d]", i), axis))
		}
	})
}

func (n *normalization) axis(path string, axis int) int32 {
	if int64(int32(axis)) != int64(axis) {
		n.refuse(path, fmt.Sprintf("%d is no axis", axis))
	}
	return int32(axis)
}

// Groups is the number of groups of [GroupKind]. [Group] sets both.
func Groups(groups int) NormalizeOption {
	return normalizeOption(func(n *normalization) { n.setGroups(groups) })
}

// Eps is added to the variance, for RMS to the mean square; for L2 it is the smallest divisor. Finite, not negative. Default:
// 1e-5; RMS: 2^-23, and 2^-52 for float64; L2: 1e-12.
func Eps(eps float64) NormalizeOption {
	return normalizeOption(func(n *normalization) { n.request.Eps = &eps })
}

type channelAxis int

func (a channelAxis) applyStatistics(n *normalization) { a.applyNormalize(n) }

func (a channelAxis) applyNormalize(n *normalization) {
	axis := n.axis("channel_axis", int(a))
	n.request.ChannelAxis = &axis
}

func (a channelAxis) applyDropout(d *dropout) {
	if int64(int32(a)) != int64(a) && d.err == nil {
		d.err = invalid("channel_axis", fmt.Sprintf("%d is no axis", int(a)))
	}
	axis := int32(a)
	d.request.ChannelAxis = &axis
}

// ChannelAxis is the axis of the channels, for Batch, Instance and Group, and for the kinds of dropout that have channels; a
// negative one counts from the end. Default: 1. Refused for the other kinds.
func ChannelAxis(axis int) AxisOption { return channelAxis(axis) }

// Training says for Batch and Instance whether the input's own statistics are used, which also update the running statistics;
// otherwise the running statistics are used. Default: true without a running mean, false with one.
func Training(training bool) NormalizeOption {
	return normalizeOption(func(n *normalization) { n.request.Training = &training })
}

// Momentum is the weight of the new statistics in the running ones, in [0, 1]. Default: 0.1.
func Momentum(momentum float64) NormalizeOption {
	return normalizeOption(func(n *normalization) { n.request.Momentum = &momentum })
}

// ReturnStatistics asks for Mean and Rstd of [Normalized]. It has no effect on gradients.
func ReturnStatistics() NormalizeOption {
	return normalizeOption(func(n *normalization) { n.request.ReturnStatistics = true })
}

// Statistics are those to normalize by, of all parts of a tensor that is cut: see [Client.MeasureStatistics].
func Statistics(partial *StatisticsPartial) NormalizeOption {
	return normalizeOption(func(n *normalization) {
		n.request.Statistics = nil
		if partial != nil {
			n.request.Statistics = partial.exact.Message()
		}
	})
}

// Weight is the scale: of the pooled axes' shape, or with one element for each channel.
func Weight(t *Tensor) NormalizeOption { return parameterOption(weight, t) }

// Bias is the shift, in the shape of the weight.
func Bias(t *Tensor) NormalizeOption { return parameterOption(bias, t) }

// RunningMean is the running mean of Batch or Instance, with one element for each channel.
func RunningMean(t *Tensor) NormalizeOption { return parameterOption(runningMean, t) }

// RunningVar is the running variance of Batch or Instance, with one element for each channel.
func RunningVar(t *Tensor) NormalizeOption { return parameterOption(runningVar, t) }

func parameterOption(place int, t *Tensor) NormalizeOption {
	return normalizeOption(func(n *normalization) { n.parameters[place].tensor = t })
}

// GradOutput is the gradient of the output, of the input's type and shape: with it, statistics are those that
// [Client.NormalizeBackward] takes. For Batch and Instance.
func GradOutput(t *Tensor) StatisticsOption {
	return statisticsOption(func(n *normalization) { n.gradOutput = t })
}
