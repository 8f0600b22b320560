package evenkeel

import (
	"math"
	"strconv"
)

// Float16 is an IEEE 754 binary16 number, by its bits: 11 significant bits, up to 65504. [ToFloat16] makes one.
type Float16 uint16

// BFloat16 is the upper half of a binary32 number, by its bits: 8 significant bits and the range of float32. [ToBFloat16] makes one.
type BFloat16 uint16

// ToFloat16 rounds to the nearest Float16, ties to even. Numbers beyond its range become infinite; NaN stays a quiet NaN.
// A float32 converts to float64 without rounding, so that this function serves both.
func ToFloat16(x float64) Float16 { return Float16(narrow(x, 10, 5)) }

// ToBFloat16 rounds to the nearest BFloat16, ties to even. Numbers beyond its range become infinite; NaN stays a quiet NaN.
// A float32 converts to float64 without rounding, so that this function serves both.
func ToBFloat16(x float64) BFloat16 { return BFloat16(narrow(x, 7, 8)) }

// Float32 is the same number as a float32, which every Float16 has.
func (h Float16) Float32() float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10&0x1F), uint32(h&0x3FF)
	switch exponent {
	case 0: // zero, or a multiple of the smallest number above it
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)*0x1p-24))
	case 0x1F:
		quiet := uint32(0)
		if fraction != 0 {
			quiet = 1 << 22
		}
		return math.Float32frombits(sign | 0xFF<<23 | fraction<<13 | quiet)
	default:
		return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
	}
}

// Float64 is the same number as a float64.
func (h Float16) Float64() float64 { return float64(h.Float32()) }

// String is the shortest decimal number that rounds to the same float32.
func (h Float16) String() string { return decimal(h.Float32()) }

// Float32 is the same number as a float32, which every BFloat16 has.
func (b BFloat16) Float32() float32 { return math.Float32frombits(uint32(b) << 16) }

// Float64 is the same number as a float64.
func (b BFloat16) Float64() float64 { return float64(b.Float32()) }

// String is the shortest decimal number that rounds to the same float32.
func (b BFloat16) String() string { return decimal(b.Float32()) }

func decimal(x float32) string { return strconv.FormatFloat(float64(x), 'g', -1, 32) }

// narrow rounds to the nearest number of 16 bits that has so many bits of fraction and of exponent, ties to even.
func narrow(x float64, fractionBits, exponentBits int) uint16 {
	bits := math.Float64bits(x)
	sign := uint16(bits>>48) & 0x8000
	magnitude := bits &^ (1 << 63)
	infinity := uint16(1<<exponentBits-1) << fractionBits
	switch {
	case magnitude > 0x7FF<<52: // NaN: the upper bits of the payload stay, and the quiet bit is set
		payload := uint16(magnitude>>(52-fractionBits)) & (1<<fractionBits - 1)
		return sign | infinity | payload | 1<<(fractionBits-1)
	case magnitude == 0x7FF<<52:
		return sign | infinity
	}
	exponent := int(magnitude>>52) - 1023
	least := 2 - 1<<(exponentBits-1) // the exponent of the smallest normal number
	mantissa := magnitude&(1<<52-1) | 1<<52
	shift := 52 - fractionBits + max(least-exponent, 0)
	if shift > 53 { // less than half of the smallest number above 0, as is every subnormal float64
		return sign
	}
	kept, rest, half := mantissa>>shift, mantissa&(1<<shift-1), uint64(1)<<(shift-1)
	if rest > half || rest == half && kept%2 == 1 {
		kept++
	}
	// The leading bit of a normal number's mantissa adds 1 to the exponent's field; so does a carry.
	rounded := kept + uint64(max(exponent-least, 0))<<fractionBits
	return sign | uint16(min(rounded, uint64(infinity)))
}
