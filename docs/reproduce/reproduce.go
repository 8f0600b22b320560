// The mask of a dropout and the exact norm of gradients, bit for bit as evenkeel has them, without evenkeel.
//
//	go run reproduce.go cases.txt
//
// Copy what you need: keep and maskBytes are the mask; add, merge and norm are the norm. docs/numerics.md explains both.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"log"
	"math"
	"math/big"
	"math/bits"
	"os"
	"slices"
	"strconv"
	"strings"
)

// block makes words 8*number to 8*number+7 of the seed's stream: Philox4x64-10, as NumPy has it.
func block(seed, number uint64) [8]uint32 {
	c := [4]uint64{number + 1, 0, 0, 0} // NumPy increments the counter before it makes a block
	key := [2]uint64{seed, 0}
	for range 10 {
		high0, low0 := bits.Mul64(0xD2E7470EE14C6C93, c[0])
		high1, low1 := bits.Mul64(0xCA5A826395121157, c[2])
		c = [4]uint64{high1 ^ c[1] ^ key[0], low1, high0 ^ c[3] ^ key[1], low0}
		key[0] += 0x9E3779B97F4A7C15
		key[1] += 0xBB67AE8584CAA73B
	}
	var words [8]uint32
	for i := range words {
		words[i] = uint32(c[i/2] >> (32 * (i % 2))) // the low half of every 64-bit word comes first
	}
	return words
}

// keep says whether draw i of the seed's stream keeps its element.
func keep(p float64, seed, i uint64) bool {
	threshold := uint64(math.Ceil(p * (1 << 32))) // 2^32, for p = 1, needs 33 bits
	return uint64(block(seed, i/8)[i%8]) >= threshold
}

// maskBytes is `mask` of a DropoutResponse: bit i%8 of byte i/8, from the lowest; the last byte is padded with 0.
// A faster program makes each block once, for its eight draws.
func maskBytes(p float64, seed, offset uint64, n int) []byte {
	mask := make([]byte, (n+7)/8)
	for i := range n {
		if keep(p, seed, offset+uint64(i)) {
			mask[i/8] |= 1 << (i % 8)
		}
	}
	return mask
}

// partial is the NormPartial of order 2. Its sum is the sum of the squares of the finite elements, in units of 2^-2148.
type partial struct {
	elements, nan, infinite uint64
	sum                     big.Int
}

// add measures an element. A float32 becomes a float64 without rounding.
func (p *partial) add(x float64) {
	p.elements++
	switch {
	case math.IsNaN(x):
		p.nan++
	case math.IsInf(x, 0):
		p.infinite++
	default:
		// In units of 2^-1074, the smallest float64 above 0, every finite float64 is a whole number.
		fraction, exponent := math.Float64bits(x)&(1<<52-1), uint(math.Float64bits(x)>>52&0x7FF)
		if exponent > 0 {
			fraction, exponent = fraction|1<<52, exponent-1
		}
		units := new(big.Int).Lsh(new(big.Int).SetUint64(fraction), exponent)
		p.sum.Add(&p.sum, units.Mul(units, units))
	}
}

// merge adds the elements of another partial.
func (p *partial) merge(other *partial) {
	p.elements += other.elements
	p.nan += other.nan
	p.infinite += other.infinite
	p.sum.Add(&p.sum, &other.sum)
}

// sumBytes is the sum as in a message: little-endian, no zeros at the end.
func (p *partial) sumBytes() []byte {
	bytes := p.sum.Bytes() // big-endian, no zeros at the start
	slices.Reverse(bytes)
	return bytes
}

// norm is the square root of the sum, rounded once, to nearest, ties to even.
func (p *partial) norm() float64 {
	if p.nan > 0 {
		return math.Float64frombits(0x7FF8 << 48)
	}
	if p.infinite > 0 {
		return math.Inf(1)
	}
	root := new(big.Int).Sqrt(&p.sum)       // rounded down, in units of 2^-1074, the root of the sum's unit
	shift := uint(max(root.BitLen()-53, 0)) // how many of its bits a float64 has no room for
	if shift > 2045 {
		return math.Inf(1) // 2^1024 and above
	}
	mantissa := root.Rsh(root, shift).Uint64() // 53 bits or fewer
	// Which neighbour is nearer? Compare the sum with the square of the middle between them, both times 4.
	middle := new(big.Int).Lsh(new(big.Int).SetUint64(2*mantissa+1), shift)
	nearer := new(big.Int).Lsh(&p.sum, 2).Cmp(middle.Mul(middle, middle))
	if nearer > 0 || nearer == 0 && mantissa%2 == 1 {
		mantissa++
	}
	// In the bits of a float64 the exponent lies above the mantissa without its highest bit. Adding the mantissa with that
	// bit adds 1 to the exponent. So the sum is right for subnormal numbers, and for a carry into the next power of two or
	// into infinity.
	return math.Float64frombits(uint64(shift)<<52 + mantissa)
}

// number reads `float32:` or `float64:` and the bits, in hexadecimal.
func number(text string) float64 {
	dtype, digits, _ := strings.Cut(text, ":")
	bits := must(strconv.ParseUint(digits, 16, 64))
	if dtype == "float32" {
		return float64(math.Float32frombits(uint32(bits)))
	}
	return math.Float64frombits(bits)
}

func printNorm(name string, elements []string) {
	cut := slices.Index(elements, "/") // where the list is cut in two, each part measured by itself
	var first, second, merged partial
	for i, text := range elements {
		if i < cut {
			first.add(number(text))
		} else if i > cut {
			second.add(number(text))
		}
	}
	merged.merge(&first)
	merged.merge(&second)
	for i, part := range []*partial{&first, &second, &merged} {
		which, sum := [...]string{"first", "second", "merged"}[i], dash(part.sumBytes())
		fmt.Println("norm", name, which, part.elements, part.nan, part.infinite, sum)
	}
	total := merged.norm()
	decimal := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%.16e", total), "+"))
	fmt.Printf("norm %s total %016x %s\n", name, math.Float64bits(total), decimal)
}

func main() {
	file := must(os.Open(os.Args[1]))
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) > 0 && words[0] == "mask" {
			p, seed := must(strconv.ParseFloat(words[1], 64)), must(strconv.ParseUint(words[2], 10, 64))
			offset, n := must(strconv.ParseUint(words[3], 10, 64)), must(strconv.Atoi(words[4]))
			fmt.Println(strings.Join(words, " "), dash(maskBytes(p, seed, offset, n)))
		} else if len(words) > 0 && words[0] == "norm" {
			printNorm(words[1], words[2:])
		}
	}
}

func dash(bytes []byte) string {
	if len(bytes) == 0 {
		return "-"
	}
	return hex.EncodeToString(bytes)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
