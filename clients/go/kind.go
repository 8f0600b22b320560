package evenkeel

import (
	"fmt"

	pb "evenkeel.dev/go/evenkeel/v1"
)

// Norm is a normalization: a [Kind], or [Group] with its number of groups.
type Norm interface {
	norm(*normalization)
}

// Kind says which elements are pooled, and how.
type Kind int

// The kinds of normalization.
const (
	// Batch pools per channel, over all axes but the channels'. torch.nn.functional.batch_norm.
	Batch Kind = iota + 1
	// Layer pools over the last axis (1 to 3 dimensions) or over all axes but the first (4 and more).
	// torch.nn.functional.layer_norm.
	Layer
	// RMS is as Layer, by the root of the mean square; no mean is subtracted. torch.nn.functional.rms_norm.
	RMS
	// Instance pools per sample and channel, over all axes but 0 and the channels'; 3 dimensions and more.
	// torch.nn.functional.instance_norm.
	Instance
	// GroupKind is the kind of [Group]; by itself it lacks the number of groups, which [Groups] can set.
	GroupKind
	// L2 divides by the norm over axis 1 (1 dimension: axis 0), or by eps if the norm is smaller. torch.nn.functional.normalize.
	L2
)

// Group pools per sample and group of channels, over all axes but 0. The number of groups must divide that of the channels.
// torch.nn.functional.group_norm.
func Group(groups int) Norm { return grouped(groups) }

type grouped int

func (g grouped) norm(n *normalization) {
	GroupKind.norm(n)
	n.setGroups(int(g))
}

func (k Kind) norm(n *normalization) {
	if n.request.Kind = k.wire(); n.request.Kind == pb.NormKind_NORM_KIND_UNSPECIFIED {
		n.refuse("kind", fmt.Sprintf("%v is no kind", k))
	}
}

// String is the name of the kind: "batch", "layer", "rms", "instance", "group" or "l2".
func (k Kind) String() string {
	if k < Batch || k > L2 {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return [...]string{"batch", "layer", "rms", "instance", "group", "l2"}[k-1]
}

func (k Kind) wire() pb.NormKind {
	switch k {
	case Batch:
		return pb.NormKind_NORM_KIND_BATCH
	case Layer:
		return pb.NormKind_NORM_KIND_LAYER
	case RMS:
		return pb.NormKind_NORM_KIND_RMS
	case Instance:
		return pb.NormKind_NORM_KIND_INSTANCE
	case GroupKind:
		return pb.NormKind_NORM_KIND_GROUP
	case L2:
		return pb.NormKind_NORM_KIND_L2
	default:
		return pb.NormKind_NORM_KIND_UNSPECIFIED
	}
}

// kindOf is 0 for a kind that this client does not know.
func kindOf(wire pb.NormKind) Kind {
	for kind := Batch; kind <= L2; kind++ {
		if kind.wire() == wire {
			return kind
		}
	}
	return 0
}
