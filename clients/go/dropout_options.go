package evenkeel

import (
	"google.golang.org/protobuf/proto"

	pb "evenkeel.dev/go/evenkeel/v1"
)

// DropoutOption is an option of a dropout and of its gradient: a [DropoutKind], a [DropoutScaling], [Offset], [ChannelAxis] or
// [ReturnMask].
type DropoutOption interface {
	applyDropout(*dropout)
}

// dropout is the arguments of a call.
type dropout struct {
	// request has all but the tensor.
	request *pb.DropoutRequest
	// err is the first argument that cannot be sent.
	err error
}

func newDropout(p float64, seed uint64, options []DropoutOption) *dropout {
	d := &dropout{request: &pb.DropoutRequest{P: proto.Float64(p), Seed: seed}}
	for _, option := range options {
		option.applyDropout(d)
	}
	return d
}

func (d *dropout) check(name string, t *Tensor) error {
	if d.err != nil {
		return d.err
	}
	return t.check(name)
}

// DropoutKind is the elements that are dropped together, and what takes their place. It is a [DropoutOption].
type DropoutKind int

// The kinds of dropout. The default is DropElements.
const (
	// DropElements draws for each element; dropped elements become +0.0. torch.nn.functional.dropout.
	DropElements DropoutKind = iota + 1
	// DropChannels draws for each (n, c) of an input (N, C, ...). torch.nn.functional.dropout1d, dropout2d, dropout3d.
	DropChannels
	// DropAlpha draws for each element; an affine map keeps mean and variance. torch.nn.functional.alpha_dropout.
	DropAlpha
	// DropFeatureAlpha is as DropAlpha, with one draw for each (n, c). torch.nn.functional.feature_alpha_dropout.
	DropFeatureAlpha
)

func (k DropoutKind) applyDropout(d *dropout) {
	switch k {
	case DropElements:
		d.request.Kind = pb.DropoutKind_DROPOUT_KIND_ELEMENT
	case DropChannels:
		d.request.Kind = pb.DropoutKind_DROPOUT_KIND_CHANNEL
	case DropAlpha:
		d.request.Kind = pb.DropoutKind_DROPOUT_KIND_ALPHA
	case DropFeatureAlpha:
		d.request.Kind = pb.DropoutKind_DROPOUT_KIND_FEATURE_ALPHA
	default:
		d.err = invalid("kind", "is no kind of dropout")
	}
}

// DropoutScaling is what becomes of the elements that are kept. It is a [DropoutOption].
type DropoutScaling int

// The scalings of dropout. The default is ScaleInverted.
const (
	// ScaleInverted multiplies by 1 / (1 - p), so that the expected value does not change.
	ScaleInverted DropoutScaling = iota + 1
	// ScaleNone returns kept elements bit for bit. Refused for the alpha kinds.
	ScaleNone
)

func (s DropoutScaling) applyDropout(d *dropout) {
	switch s {
	case ScaleInverted:
		d.request.Scaling = pb.DropoutScaling_DROPOUT_SCALING_INVERTED
	case ScaleNone:
		d.request.Scaling = pb.DropoutScaling_DROPOUT_SCALING_NONE
	default:
		d.err = invalid("scaling", "is no scaling of dropout")
	}
}

type dropoutOption func(*dropout)

func (o dropoutOption) applyDropout(d *dropout) { o(d) }

// Offset is the index, in the seed's stream, of the first draw: slices of a tensor that are sent apart, each with its own offset,
// join to the bytes of the whole. For the kinds with channels draws are counted in (n, c). Default: 0.
func Offset(offset uint64) DropoutOption {
	return dropoutOption(func(d *dropout) { d.request.Offset = offset })
}

// ReturnMask asks for Mask of [Dropped]. It has no effect on gradients.
func ReturnMask() DropoutOption {
	return dropoutOption(func(d *dropout) { d.request.ReturnMask = true })
}
