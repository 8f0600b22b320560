package evenkeel

import (
	"google.golang.org/protobuf/proto"

	pb "evenkeel.dev/go/evenkeel/v1"
)

// ClipOption is an option of a clipping.
type ClipOption interface {
	applyClip(*clipping)
}

// MeasureOption is an option of [Client.MeasureGradients]: [NormType].
type MeasureOption interface {
	applyMeasure(*pb.MeasureGradientsRequest)
}

// NormTypeOption is [NormType], which clipping and measuring have.
type NormTypeOption interface {
	ClipOption
	MeasureOption
}

// clipping is the arguments of a call.
type clipping struct {
	// request has all but the gradients.
	request *pb.ClipGradientsRequest
}

type clipOption func(*clipping)

func (o clipOption) applyClip(c *clipping) { o(c) }

type normType float64

func (t normType) applyClip(c *clipping) { c.request.NormType = proto.Float64(float64(t)) }
func (t normType) applyMeasure(request *pb.MeasureGradientsRequest) {
	request.NormType = proto.Float64(float64(t))
}

// NormType is the order of the norm: above 0, or infinity for the largest absolute value; to measure 1, 2 or infinity, whose sums
// are exact. For [Client.ClipGradValue] it is the order of the TotalNorm that is reported. Default: 2.
func NormType(order float64) NormTypeOption { return normType(order) }

// PerTensor clips each gradient by its own norm instead of one norm over all. For [Client.ClipGradNorm].
func PerTensor() ClipOption {
	return clipOption(func(c *clipping) {
		if c.request.Mode == pb.ClipMode_CLIP_MODE_NORM {
			c.request.Mode = pb.ClipMode_CLIP_MODE_NORM_PER_TENSOR
		}
	})
}

// TotalNorm is a norm that was computed elsewhere, such as by [NormPartial.TotalNorm]; it replaces that of these gradients, which
// are then only a part of all. Not negative. Refused by value and with [PerTensor].
func TotalNorm(norm float64) ClipOption {
	return clipOption(func(c *clipping) { c.request.TotalNorm = proto.Float64(norm) })
}

// Epsilon is added to the norm before the largest norm is divided by it. Finite, not negative. Default: 1e-6, as in PyTorch; Optax
// and TensorFlow use 0. Refused by value.
func Epsilon(epsilon float64) ClipOption {
	return clipOption(func(c *clipping) { c.request.Epsilon = proto.Float64(epsilon) })
}

// NotAbove rounds so that the exact norm of the result never exceeds the largest norm, as differential privacy requires. For norms
// of order 1, 2 and infinity, without [TotalNorm].
func NotAbove() ClipOption {
	return clipOption(func(c *clipping) { c.request.NotAbove = true })
}

// ErrorIfNonfinite makes a norm that is NaN or infinite a [NonfiniteNorm], and nothing is clipped. Without it a NaN norm makes
// everything NaN, and an infinite one makes finite elements 0 and infinite ones NaN, as in PyTorch.
func ErrorIfNonfinite() ClipOption {
	return clipOption(func(c *clipping) { c.request.ErrorIfNonfinite = true })
}
