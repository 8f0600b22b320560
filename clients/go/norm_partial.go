package evenkeel

import (
	"encoding"

	"google.golang.org/protobuf/proto"

	"evenkeel.dev/go/evenkeel/internal/exact"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// NormPartial is the exact sum over some gradients from which their norm follows, or their largest magnitude. Partials merge
// without rounding: any order, any grouping and any cut of the gradients over servers give the same norm, to the last bit.
//
// [Client.MeasureGradients] makes one, and UnmarshalBinary reads one; the zero value has no order and merges with none.
type NormPartial struct {
	exact *exact.Norm
}

var (
	_ encoding.BinaryMarshaler   = (*NormPartial)(nil)
	_ encoding.BinaryUnmarshaler = (*NormPartial)(nil)
)

// MergeNorms is the partial of the elements of all these partials, of which there is one at least and which stay as they are. The
// error is an [InvalidArgument].
func MergeNorms(partials ...*NormPartial) (*NormPartial, error) {
	if len(partials) == 0 {
		return nil, invalid("partials", "expected one at least")
	}
	merged := &NormPartial{exact: partials[0].norm().Clone()}
	for _, partial := range partials[1:] {
		if err := merged.Merge(partial); err != nil {
			return nil, err
		}
	}
	return merged, nil
}

// Merge adds the elements of another partial of the same order. The error is an [InvalidArgument]; nothing is added then.
func (p *NormPartial) Merge(other *NormPartial) error {
	merged := p.norm().Clone()
	if fault := merged.Merge(other.norm()); fault != nil {
		return invalid(fault.Field, fault.Reason)
	}
	p.exact = merged
	return nil
}

// TotalNorm is the norm over all elements, rounded once, for the option [TotalNorm]: NaN if an element is NaN, else infinite if one
// is.
func (p *NormPartial) TotalNorm() float64 { return p.norm().Total() }

// NormType is the order of the norm: 1, 2 or infinity.
func (p *NormPartial) NormType() float64 { return p.norm().Type }

// Elements is how many elements were measured, finite or not.
func (p *NormPartial) Elements() uint64 { return p.norm().Elements }

// NaNElements is how many of them are NaN.
func (p *NormPartial) NaNElements() uint64 { return p.norm().NaN }

// InfiniteElements is how many of them are infinite.
func (p *NormPartial) InfiniteElements() uint64 { return p.norm().Infinite }

// MarshalBinary is the message evenkeel.v1.NormPartial, which clients in all languages read; at most some 600 bytes.
func (p *NormPartial) MarshalBinary() ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(p.norm().Message())
}

// UnmarshalBinary reads what MarshalBinary writes, in any language. Bytes that no elements have are an [InvalidArgument].
func (p *NormPartial) UnmarshalBinary(data []byte) error {
	message := new(pb.NormPartial)
	if err := proto.Unmarshal(data, message); err != nil {
		return invalid("partial", err.Error())
	}
	norm, fault := exact.NormOf(message)
	if fault != nil {
		return invalid(fault.Field, fault.Reason)
	}
	p.exact = norm
	return nil
}

// norm is that of the zero value if nothing was measured.
func (p *NormPartial) norm() *exact.Norm {
	if p == nil || p.exact == nil {
		return exact.NoNorm()
	}
	return p.exact
}
