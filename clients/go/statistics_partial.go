package evenkeel

import (
	"encoding"
	"slices"

	"google.golang.org/protobuf/proto"

	"evenkeel.dev/go/evenkeel/internal/exact"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// StatisticsPartial is the exact sums over the sets of a tensor, which are the elements that are pooled together, from which mean
// and variance follow. Partials merge without rounding: any cut of the tensor into parts and any order give the same statistics,
// to the last bit.
//
// [Client.MeasureStatistics] makes one, and UnmarshalBinary reads one; the zero value has no kind and merges with none.
type StatisticsPartial struct {
	exact exact.Statistics
}

var (
	_ encoding.BinaryMarshaler   = (*StatisticsPartial)(nil)
	_ encoding.BinaryUnmarshaler = (*StatisticsPartial)(nil)
)

// MergeStatistics is the partial of all these partials together, of which there is one at least and which stay as they are. The
// error is an [InvalidArgument].
func MergeStatistics(partials ...*StatisticsPartial) (*StatisticsPartial, error) {
	if len(partials) == 0 {
		return nil, invalid("partials", "expected one at least")
	}
	merged := &StatisticsPartial{exact: *partials[0].exact.Clone()}
	for _, partial := range partials[1:] {
		if err := merged.Merge(partial); err != nil {
			return nil, err
		}
	}
	return merged, nil
}

// Merge adds the sets of another partial of the same kind and shape. The error is an [InvalidArgument]; nothing is added then.
func (p *StatisticsPartial) Merge(other *StatisticsPartial) error {
	merged := p.exact.Clone()
	if fault := merged.Merge(&other.exact); fault != nil {
		return invalid(fault.Field, fault.Reason)
	}
	p.exact = *merged
	return nil
}

// Kind is the normalization that the sets are pooled by.
func (p *StatisticsPartial) Kind() Kind { return kindOf(p.exact.Kind) }

// Shape is the shape of the sets: the input's without the pooled axes; for Group with the number of groups in place of the
// channels.
func (p *StatisticsPartial) Shape() []int { return slices.Clone(p.exact.Shape) }

// Elements is how many elements each set has, in all parts.
func (p *StatisticsPartial) Elements() uint64 { return p.exact.Elements() }

// HasGradients says whether gradients were measured beside the elements; true if there are no sets.
func (p *StatisticsPartial) HasGradients() bool { return p.exact.HasGradients() }

// MarshalBinary is the message evenkeel.v1.StatisticsPartial, which clients in all languages read: for each set some 110 bytes for
// float32 elements, up to 800 for float64, and twice that with gradients.
func (p *StatisticsPartial) MarshalBinary() ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(p.exact.Message())
}

// UnmarshalBinary reads what MarshalBinary writes, in any language. Bytes that no elements have are an [InvalidArgument].
func (p *StatisticsPartial) UnmarshalBinary(data []byte) error {
	message := new(pb.StatisticsPartial)
	if err := proto.Unmarshal(data, message); err != nil {
		return invalid("partial", err.Error())
	}
	statistics, fault := exact.StatisticsOf(message)
	if fault != nil {
		return invalid(fault.Field, fault.Reason)
	}
	p.exact = *statistics
	return nil
}
