// Package philox has the random numbers of dropout: those of NumPy's bit generator Philox, Philox4x64-10.
package philox

import (
	"math"
	"math/bits"
)

// block is the words 8*number to 8*number+7 of the stream of a seed, 32 bits each.
func block(seed, number uint64) [8]uint32 {
	// The counter has four words. NumPy increments it before each block, with a carry.
	low, carry := bits.Add64(number, 1, 0)
	counter := [4]uint64{low, carry, 0, 0}
	key := [2]uint64{seed, 0}
	for range 10 {
		high0, low0 := bits.Mul64(0xD2E7470EE14C6C93, counter[0])
		high1, low1 := bits.Mul64(0xCA5A826395121157, counter[2])
		counter = [4]uint64{high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0}
		key[0] += 0x9E3779B97F4A7C15
		key[1] += 0xBB67AE8584CAA73B
	}
	var words [8]uint32
	for i := range words {
		words[i] = uint32(counter[i/2] >> (32 * (i % 2)))
	}
	return words
}

// Keep says for each of the draws from offset on whether it keeps its element: whether its word is at least p * 2^32, rounded up.
// p is in [0, 1], and offset+len(keep) is at most 2^64.
func Keep(keep []bool, seed, offset uint64, p float64) {
	threshold := uint64(math.Ceil(p * (1 << 32))) // 2^32, for p = 1, needs 33 bits
	for i := 0; i < len(keep); {
		draw := offset + uint64(i)
		words := block(seed, draw/8)
		for _, word := range words[draw%8:] {
			if i == len(keep) {
				return
			}
			keep[i] = uint64(word) >= threshold
			i++
		}
	}
}
