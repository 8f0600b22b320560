package exact

import (
	"fmt"
	"math"
	"math/big"
	"slices"

	pb "evenkeel.dev/go/evenkeel/v1"
)

// Statistics are the exact statistics of sets of elements, as in StatisticsPartial.
type Statistics struct {
	// Kind is the normalization that the sets are pooled by.
	Kind pb.NormKind
	// Shape is the shape of the sets.
	Shape []int
	sets  []set
}

// set is the statistics of the elements that are pooled together.
type set struct {
	elements, nan, infinite, negativeInfinite uint64
	sum, squares                              *big.Int
	// gradients is nil where none were measured.
	gradients *gradients
}

type gradients struct {
	nonfinite     uint64
	sum, products *big.Int
}

// StatisticsOf reads a message, and refuses one that no elements have.
func StatisticsOf(message *pb.StatisticsPartial) (*Statistics, *Fault) {
	s := &Statistics{Kind: message.GetKind()}
	if _, known := pb.NormKind_name[int32(s.Kind)]; !known || s.Kind == pb.NormKind_NORM_KIND_UNSPECIFIED {
		return nil, fault("kind", "%d is no kind", s.Kind)
	}
	sets := int64(1)
	for _, dim := range message.GetShape() {
		if dim < 0 || int64(int(dim)) != dim {
			return nil, fault("shape", "has a dimension that is none")
		}
		s.Shape = append(s.Shape, int(dim))
		if sets > 0 && dim > math.MaxInt64/sets {
			return nil, fault("sets", "expected as many as the shape has, got %d", len(message.GetSets()))
		}
		sets *= dim
	}
	if sets != int64(len(message.GetSets())) {
		return nil, fault("sets", "expected the %d sets of the shape, got %d", sets, len(message.GetSets()))
	}
	for i, of := range message.GetSets() {
		set, wrong := setOf(of)
		if wrong == nil && i > 0 {
			wrong = set.unlike(&s.sets[0])
		}
		if wrong == nil {
			wrong = set.fault()
		}
		if wrong != nil {
			wrong.Field = fmt.Sprintf("sets[%d].%s", i, wrong.Field)
			return nil, wrong
		}
		s.sets = append(s.sets, set)
	}
	return s, nil
}

// Elements is the number of elements of each set; 0 if there are no sets.
func (s *Statistics) Elements() uint64 {
	if len(s.sets) == 0 {
		return 0
	}
	return s.sets[0].elements
}

// HasGradients says whether gradients were measured as well; true if there are no sets.
func (s *Statistics) HasGradients() bool { return len(s.sets) == 0 || s.sets[0].gradients != nil }

// Merge adds the sets of other statistics; nothing is added if there is a fault.
func (s *Statistics) Merge(other *Statistics) *Fault {
	switch {
	case s.Kind != other.Kind:
		return fault("kind", "expected the kind of the partial it is merged with")
	case !slices.Equal(s.Shape, other.Shape):
		return fault("shape", "expected the shape of the partial it is merged with")
	case s.HasGradients() != other.HasGradients():
		return fault("sets[0].sum_of_gradients", "expected in both of the partials that are merged or in neither")
	case s.Elements()+other.Elements() > maxElements: // neither is above maxElements
		return fault("sets[0].elements", errTooMany)
	}
	merged := make([]set, len(s.sets))
	for i := range s.sets {
		merged[i] = s.sets[i].plus(&other.sets[i])
	}
	s.sets = merged
	return nil
}

// Clone is a copy.
func (s *Statistics) Clone() *Statistics {
	clone := *s
	return &clone // Merge makes new sets
}

// Message is the statistics as a message.
func (s *Statistics) Message() *pb.StatisticsPartial {
	message := &pb.StatisticsPartial{Kind: s.Kind}
	for _, dim := range s.Shape {
		message.Shape = append(message.Shape, int64(dim))
	}
	for i := range s.sets {
		message.Sets = append(message.Sets, s.sets[i].message())
	}
	return message
}
