package exact

import (
	"math"
	"math/big"

	pb "evenkeel.dev/go/evenkeel/v1"
)

// Norm is the norm of some elements, as in NormPartial.
type Norm struct {
	// Type is the order of the norm: 1, 2 or infinity.
	Type float64
	// Elements is how many elements there are, NaN and Infinite how many of them are not finite.
	Elements, NaN, Infinite uint64
	largest                 float64
	sum                     *big.Int
}

// NormOf reads a message, and refuses one that no elements have.
func NormOf(message *pb.NormPartial) (*Norm, *Fault) {
	n := &Norm{
		Type:     message.GetNormType(),
		Elements: message.GetElements(),
		NaN:      message.GetNanElements(),
		Infinite: message.GetInfiniteElements(),
		largest:  message.GetLargest(),
		sum:      fromLittleEndian(message.GetSum()),
	}
	if n.Type != 1 && n.Type != 2 && !math.IsInf(n.Type, 1) {
		return nil, fault("norm_type", "expected 1, 2 or infinity, whose sums are exact, got %v", n.Type)
	}
	special, ok := sumOfCounts(n.NaN, n.Infinite)
	if n.Elements > maxElements {
		return nil, fault("elements", errTooMany)
	}
	if !ok || special > n.Elements {
		return nil, fault("elements", "expected at least as many as nan_elements and infinite_elements together")
	}
	finite := n.Elements - special
	mayHaveLargest := math.IsInf(n.Type, 1) && finite > 0
	if !(n.largest >= 0 && n.largest <= math.MaxFloat64) || n.largest > 0 && !mayHaveLargest {
		return nil, fault("largest", "expected a finite number, above 0 only with norm_type infinity, got %v", n.largest)
	}
	return n, n.sumFault(finite)
}

func (n *Norm) sumFault(finite uint64) *Fault {
	bits := uint(unitBits + 1024) // no float64 reaches 2^1024
	if n.Type == 2 {
		bits = unitBits + 2048
	}
	switch {
	case n.sum.Sign() == 0:
		return nil
	case len(n.sum.Bytes()) > maxBytes:
		return fault("sum", "expected at most %d bytes, got %d", maxBytes, len(n.sum.Bytes()))
	case math.IsInf(n.Type, 1):
		return fault("sum", "expected none with norm_type infinity")
	case n.Type == 1 && !isOfFloats(n.sum):
		return fault("sum", "expected a multiple of 2^1074 with norm_type 1, as every float64 is")
	case !isBelow(n.sum, finite, bits):
		return fault("sum", "expected no more than the finite elements can add up to")
	}
	return nil
}

// Merge adds the elements of another norm; nothing is added if there is a fault.
func (n *Norm) Merge(other *Norm) *Fault {
	if n.Type != other.Type {
		return fault("norm_type", "expected %v, got %v", n.Type, other.Type)
	}
	if n.Elements+other.Elements > maxElements { // neither is above maxElements
		return fault("elements", errTooMany)
	}
	n.Elements += other.Elements
	n.NaN += other.NaN
	n.Infinite += other.Infinite
	n.largest = max(n.largest, other.largest)
	n.sum = new(big.Int).Add(n.sum, other.sum)
	return nil
}

// Clone is a copy.
func (n *Norm) Clone() *Norm {
	clone := *n
	return &clone // Merge makes a new sum
}

// Message is the norm as a message.
func (n *Norm) Message() *pb.NormPartial {
	return &pb.NormPartial{
		NormType:         n.Type,
		Elements:         n.Elements,
		NanElements:      n.NaN,
		InfiniteElements: n.Infinite,
		Largest:          n.largest,
		Sum:              toLittleEndian(n.sum),
	}
}

// Total is the norm, rounded once, to nearest, ties to even.
func (n *Norm) Total() float64 {
	switch {
	case n.NaN > 0:
		return math.NaN()
	case n.Infinite > 0:
		return math.Inf(1)
	case n.Type == 1:
		// A big.Float has all bits of the sum, so that Float64 rounds once.
		total := new(big.Float).SetInt(n.sum)
		rounded, _ := total.SetMantExp(total, -unitBits).Float64()
		return rounded
	case n.Type == 2:
		return root(n.sum)
	default:
		return n.largest
	}
}

// root is the square root of a number of units.
func root(sum *big.Int) float64 {
	root := new(big.Int).Sqrt(sum)          // rounded down, in units of 2^-1074, the root of the sum's unit
	shift := uint(max(root.BitLen()-53, 0)) // how many of its bits a float64 has no room for
	if shift > 2045 {
		return math.Inf(1) // 2^1024 and above
	}
	mantissa := root.Rsh(root, shift).Uint64()
	// Which neighbour is nearer? Compare the sum with the square of the middle between them, both times 4.
	middle := new(big.Int).Lsh(new(big.Int).SetUint64(2*mantissa+1), shift)
	nearer := new(big.Int).Lsh(sum, 2).Cmp(middle.Mul(middle, middle))
	if nearer > 0 || nearer == 0 && mantissa%2 == 1 {
		mantissa++
	}
	// The mantissa's highest bit adds 1 to the exponent's field, as does a carry: this is right for subnormal numbers as well,
	// and for a carry into the next power of two or into infinity.
	return math.Float64frombits(uint64(shift)<<52 + mantissa)
}

// NoNorm is a norm of no order and no elements.
func NoNorm() *Norm { return &Norm{sum: new(big.Int)} }
