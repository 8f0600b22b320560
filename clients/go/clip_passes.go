package evenkeel

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	pb "evenkeel.dev/go/evenkeel/v1"
)

// isMeasured says whether two passes give the result of one: the norm is measured, and then given.
func isMeasured(request *pb.ClipGradientsRequest) bool {
	order := 2.0
	if request.NormType != nil {
		order = request.GetNormType()
	}
	merges := order == 1 || order == 2 || math.IsInf(order, 1)
	byNorm := request.GetMode() == pb.ClipMode_CLIP_MODE_NORM || request.GetMode() == pb.ClipMode_CLIP_MODE_NORM_PER_TENSOR
	return byNorm && merges && request.TotalNorm == nil && !request.GetNotAbove()
}

// clipMeasured clips in two passes, of which each needs no more than a chunk of the server's memory.
func (c *call) clipMeasured(request *pb.ClipGradientsRequest, gradients Gradients, limits *limits) (*Clipped, error) {
	if request.GetMode() == pb.ClipMode_CLIP_MODE_NORM {
		norm, err := c.measureGradients(gradients, request.NormType, limits)
		if err != nil {
			return nil, err
		}
		return c.clipOnce(withTotalNorm(request, norm.TotalNorm()), gradients, limits)
	}
	// By each one's own norm: every gradient is a clipping of its own, by a norm that is known.
	all := &Clipped{Scale: math.Inf(1)}
	var whole *NormPartial
	for i := range gradients {
		one := gradients[i : i+1]
		norm, err := c.measureGradients(one, request.NormType, limits)
		if err != nil {
			return nil, err
		}
		clipped, err := c.clipOnce(withTotalNorm(request, norm.TotalNorm()), one, limits)
		if err != nil {
			return nil, ofGradient(err, i)
		}
		all.Gradients = append(all.Gradients, clipped.Gradients...)
		all.TensorNorms = append(all.TensorNorms, norm.TotalNorm())
		if math.IsNaN(clipped.Scale) || clipped.Scale < all.Scale {
			all.Scale = clipped.Scale
		}
		if whole == nil {
			whole = norm
		} else if err := whole.Merge(norm); err != nil {
			return nil, broken("partial", "%v", err)
		}
	}
	all.TotalNorm = whole.TotalNorm()
	return all, nil
}

func withTotalNorm(request *pb.ClipGradientsRequest, norm float64) *pb.ClipGradientsRequest {
	second := proto.Clone(request).(*pb.ClipGradientsRequest)
	second.Mode = pb.ClipMode_CLIP_MODE_NORM
	second.TotalNorm = &norm
	return second
}

// ofGradient is the error of a call with one gradient as one of all.
func ofGradient(err error, index int) error {
	var nonfinite *NonfiniteNorm
	if errors.As(err, &nonfinite) {
		for i := range nonfinite.Gradients {
			nonfinite.Gradients[i].Index = index
		}
	}
	var argument *InvalidArgument
	if errors.As(err, &argument) {
		return fmt.Errorf("gradients[%d]: %w", index, err)
	}
	return err
}
