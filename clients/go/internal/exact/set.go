package exact

import (
	"math/big"

	pb "evenkeel.dev/go/evenkeel/v1"
)

func setOf(message *pb.SetStatistics) (s set, f *Fault) {
	read := func(field string, sum *pb.ExactSum) *big.Int {
		number := fromLittleEndian(sum.GetMagnitude())
		if number.Sign() == 0 {
			return number
		}
		if length := uint64(sum.GetLowZeroBytes()) + uint64((number.BitLen()+7)/8); length > maxBytes {
			f = fault(field+".magnitude", "expected at most %d bytes, got %d", maxBytes, length)
			return new(big.Int)
		}
		number.Lsh(number, 8*uint(sum.GetLowZeroBytes()))
		if sum.GetNegative() {
			number.Neg(number)
		}
		return number
	}
	s = set{
		elements:         message.GetElements(),
		nan:              message.GetNanElements(),
		infinite:         message.GetInfiniteElements(),
		negativeInfinite: message.GetNegativeInfiniteElements(),
		sum:              read("sum", message.GetSum()),
		squares:          read("sum_of_squares", message.GetSumOfSquares()),
	}
	sum, products := message.GetSumOfGradients(), message.GetSumOfProducts()
	switch {
	case sum != nil:
		s.gradients = &gradients{
			nonfinite: message.GetNonfiniteGradients(),
			sum:       read("sum_of_gradients", sum),
			products:  read("sum_of_products", products),
		}
	case products != nil:
		f = fault("sum_of_products", "expected none without sum_of_gradients")
	case message.GetNonfiniteGradients() != 0:
		f = fault("nonfinite_gradients", "expected 0 without sum_of_gradients")
	}
	return s, f
}

func (s *set) message() *pb.SetStatistics {
	message := &pb.SetStatistics{
		Elements:                 s.elements,
		NanElements:              s.nan,
		InfiniteElements:         s.infinite,
		NegativeInfiniteElements: s.negativeInfinite,
	}
	if s.sum.Sign() != 0 {
		message.Sum = exactSum(s.sum)
	}
	if s.squares.Sign() != 0 {
		message.SumOfSquares = exactSum(s.squares)
	}
	if s.gradients != nil {
		message.NonfiniteGradients = s.gradients.nonfinite
		message.SumOfGradients = exactSum(s.gradients.sum)
		message.SumOfProducts = exactSum(s.gradients.products)
	}
	return message
}

// exactSum is a number as a message, without zero bytes at either end.
func exactSum(number *big.Int) *pb.ExactSum {
	bytes := toLittleEndian(number)
	low := 0
	for low < len(bytes) && bytes[low] == 0 {
		low++
	}
	return &pb.ExactSum{Negative: number.Sign() < 0, LowZeroBytes: uint32(low), Magnitude: bytes[low:]}
}

func (s *set) plus(other *set) set {
	sum := func(a, b *big.Int) *big.Int { return new(big.Int).Add(a, b) }
	merged := set{
		elements:         s.elements + other.elements,
		nan:              s.nan + other.nan,
		infinite:         s.infinite + other.infinite,
		negativeInfinite: s.negativeInfinite + other.negativeInfinite,
		sum:              sum(s.sum, other.sum),
		squares:          sum(s.squares, other.squares),
	}
	if s.gradients != nil {
		merged.gradients = &gradients{
			nonfinite: s.gradients.nonfinite + other.gradients.nonfinite,
			sum:       sum(s.gradients.sum, other.gradients.sum),
			products:  sum(s.gradients.products, other.gradients.products),
		}
	}
	return merged
}

// unlike is the fault of a set that cannot stand beside the first one.
func (s *set) unlike(first *set) *Fault {
	switch {
	case s.elements != first.elements:
		return fault("elements", "expected the %d of the first set, got %d", first.elements, s.elements)
	case s.gradients == nil && first.gradients != nil:
		return fault("sum_of_gradients", "required, since the first set has it")
	case s.gradients != nil && first.gradients == nil:
		return fault("sum_of_gradients", "expected none, since the first set has none")
	}
	return nil
}

// fault is the reason why no elements can have this set.
func (s *set) fault() *Fault {
	const element, product = unitBits + 1024, unitBits + 2048 // no float64 reaches 2^1024
	special, ok := sumOfCounts(s.nan, s.infinite, s.negativeInfinite)
	finite := s.elements - special
	switch {
	case s.elements > maxElements:
		return fault("elements", errTooMany)
	case !ok || special > s.elements:
		return fault("elements", "expected at least as many as those that are NaN or infinite")
	case !isBelow(s.sum, finite, element):
		return fault("sum", "expected no more than the finite elements can add up to")
	case !isOfFloats(s.sum):
		return fault("sum", "expected a multiple of 2^1074 units, as every float64 is")
	case s.squares.Sign() < 0:
		return fault("sum_of_squares", "expected a sum that is not negative")
	case !isBelow(s.squares, finite, product):
		return fault("sum_of_squares", "expected no more than the squares of the finite elements can add up to")
	case !s.hasRoom(finite):
		return fault("sum_of_squares", "expected at least the square of sum divided by the number of finite elements")
	case s.gradients == nil:
		return nil
	case s.gradients.nonfinite > s.elements:
		return fault("nonfinite_gradients", "expected no more than elements")
	}
	finiteGradients := s.elements - s.gradients.nonfinite
	switch {
	case !isBelow(s.gradients.sum, finiteGradients, element):
		return fault("sum_of_gradients", "expected no more than the finite gradients can add up to")
	case !isOfFloats(s.gradients.sum):
		return fault("sum_of_gradients", "expected a multiple of 2^1074 units, as every float64 is")
	case !isBelow(s.gradients.products, min(finite, finiteGradients), product):
		return fault("sum_of_products", "expected no more than the finite products can add up to")
	case s.squares.Sign() == 0 && s.gradients.products.Sign() != 0:
		return fault("sum_of_products", "expected 0, since sum_of_squares is 0")
	}
	return nil
}

// hasRoom says whether n numbers with this sum can have these squares: the square of the sum is at most n times the sum of the
// squares (Cauchy and Schwarz).
func (s *set) hasRoom(n uint64) bool {
	most := new(big.Int).Mul(new(big.Int).SetUint64(n), s.squares)
	return new(big.Int).Mul(s.sum, s.sum).Cmp(most.Lsh(most, unitBits)) <= 0
}
