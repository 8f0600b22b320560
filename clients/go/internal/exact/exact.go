// Package exact has norms and statistics in the form that merges: counts, and sums as whole numbers of any length.
//
// The unit of the sums is 2^-2148, the square of the smallest float64 above 0. Every float64 and every product of two is a whole
// number of units.
package exact

import (
	"fmt"
	"math/big"
	"slices"
)

const (
	// unitBits is the exponent of the unit, without its sign.
	unitBits = 2148
	// floatBits is such that every float64 is a multiple of 2^floatBits units.
	floatBits = 1074
	// maxElements is the most elements of partials that are merged.
	maxElements = 1 << 59
	// maxBytes is the length of the longest sum of so many squares.
	maxBytes = 532
)

// Fault is a field that no elements can have, or that does not fit the partial to merge with.
type Fault struct {
	// Field is the field's path, from the partial on.
	Field string
	// Reason says why it is refused.
	Reason string
}

// Error is the field and the reason.
func (f *Fault) Error() string { return f.Field + ": " + f.Reason }

func fault(field, format string, values ...any) *Fault {
	return &Fault{Field: field, Reason: fmt.Sprintf(format, values...)}
}

// errTooMany is the reason of more than maxElements.
const errTooMany = "expected no more than 2^59, with those they are merged with"

// fromLittleEndian is a whole number whose lowest byte comes first.
func fromLittleEndian(bytes []byte) *big.Int {
	reversed := slices.Clone(bytes)
	slices.Reverse(reversed)
	return new(big.Int).SetBytes(reversed)
}

// toLittleEndian is the reverse; the last byte is not 0.
func toLittleEndian(number *big.Int) []byte {
	bytes := number.Bytes()
	slices.Reverse(bytes)
	return bytes
}

// isBelow says whether |number| is below count * 2^bits units; 0 always is.
func isBelow(number *big.Int, count uint64, bits uint) bool {
	limit := new(big.Int).SetUint64(count)
	return number.Sign() == 0 || number.CmpAbs(limit.Lsh(limit, bits)) < 0
}

// isOfFloats says whether the number is a sum of float64.
func isOfFloats(number *big.Int) bool {
	return number.Sign() == 0 || number.TrailingZeroBits() >= floatBits
}

// sumOfCounts adds counts; false if they are more than any number has.
func sumOfCounts(counts ...uint64) (sum uint64, ok bool) {
	for _, count := range counts {
		if sum+count < sum {
			return 0, false
		}
		sum += count
	}
	return sum, true
}
