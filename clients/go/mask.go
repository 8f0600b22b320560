package evenkeel

import (
	"fmt"
	"slices"

	"evenkeel.dev/go/evenkeel/internal/philox"
)

// Mask says for each draw of a dropout whether it kept its elements.
type Mask struct {
	bits  []byte
	shape []int
}

// newMask refuses bits that are not those of this shape.
func newMask(bits []byte, shape []int) (*Mask, error) {
	m := &Mask{bits: bits, shape: shape}
	if expected := (m.Len() + 7) / 8; len(bits) != expected {
		return nil, broken("mask", "has %d bytes where %d draws need %d", len(bits), m.Len(), expected)
	}
	return m, nil
}

// Shape is that of the draws: the input's, or (N, C) for the kinds with channels.
func (m *Mask) Shape() []int { return slices.Clone(m.shape) }

// Len is the number of draws.
func (m *Mask) Len() int { return product(m.shape) }

// Kept says whether draw i, in row-major order, kept its elements. It panics if i is not in [0, Len()).
func (m *Mask) Kept(i int) bool {
	if i < 0 || i >= m.Len() {
		panic(fmt.Sprintf("evenkeel: draw %d of a mask of %d", i, m.Len()))
	}
	return m.bits[i/8]>>(i%8)&1 == 1
}

// Bools is one bool for each draw, in row-major order; true for kept elements.
func (m *Mask) Bools() []bool {
	kept := make([]bool, m.Len())
	for i := range kept {
		kept[i] = m.bits[i/8]>>(i%8)&1 == 1
	}
	return kept
}

// Bytes is the server's form of the mask, which must not be changed: one bit for each draw, 1 for keep, from the lowest bit of the
// first byte on; the last byte is padded with 0.
func (m *Mask) Bytes() []byte { return m.bits }

// KeepMask computes a mask without a server: for each of the n draws from offset on, whether it keeps its elements. It is
// np.random.Philox(key=seed).random_raw((n + 1) // 2).view('<u4')[:n] >= np.uint64(math.ceil(p * 2**32)) for an offset of 0.
//
// The error is an [InvalidArgument] if p is not in [0, 1], n is negative or the stream of 2^64 draws has fewer from offset on.
func KeepMask(seed, offset uint64, n int, p float64) ([]bool, error) {
	switch {
	case !(p >= 0 && p <= 1):
		return nil, invalid("p", fmt.Sprintf("expected a number in [0, 1], got %v", p))
	case n < 0:
		return nil, invalid("n", fmt.Sprintf("%d is negative", n))
	case n > 0 && offset+uint64(n-1) < offset:
		return nil, invalid("offset", fmt.Sprintf("%d with %d draws runs past the end of the stream, 2^64", offset, n))
	}
	keep := make([]bool, n)
	philox.Keep(keep, seed, offset, p)
	return keep, nil
}

func product(shape []int) int {
	n := 1
	for _, dim := range shape {
		n *= dim
	}
	return n
}
