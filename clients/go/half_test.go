package evenkeel

import (
	"math"
	"testing"
)

// nearest is the number of a half type that is nearest to x, ties to even, found by looking at all of them.
func nearest(x float64, value func(uint16) float64, infinity uint16) uint16 {
	sign := uint16(math.Float64bits(x)>>48) & 0x8000
	x = math.Abs(x)
	low, high := uint16(0), infinity
	for high-low > 1 { // the values of the bits ascend
		if middle := low + (high-low)/2; value(middle) <= x {
			low = middle
		} else {
			high = middle
		}
	}
	below, above := value(low), value(high)
	if high == infinity { // where the next number would be
		above = below + (below - value(low-1))
	}
	if x-below > above-x || x-below == above-x && low%2 == 1 {
		return sign | high
	}
	return sign | low
}

func TestHalvesAreRoundedToNearestEven(t *testing.T) {
	halves := []struct {
		name     string
		round    func(float64) uint16
		value    func(uint16) float64
		infinity uint16
	}{
		{"float16", func(x float64) uint16 { return uint16(ToFloat16(x)) }, func(b uint16) float64 { return Float16(b).Float64() }, 0x7C00},
		{"bfloat16", func(x float64) uint16 { return uint16(ToBFloat16(x)) }, func(b uint16) float64 { return BFloat16(b).Float64() }, 0x7F80},
	}
	for _, half := range halves {
		for bits := uint16(0); bits < half.infinity; bits++ {
			x := half.value(bits)
			between := x + (half.value(min(bits+1, half.infinity-1))-x)/2 // exact
			for _, y := range []float64{x, -x, between, -between, math.Nextafter(between, 0), math.Nextafter(between, math.Inf(1))} {
				if got, expected := half.round(y), nearest(y, half.value, half.infinity); got != expected {
					t.Fatalf("%s of %v is %04x instead of %04x", half.name, y, got, expected)
				}
			}
		}
		most := half.value(half.infinity - 1)
		step := most - half.value(half.infinity-2)
		for y, expected := range map[float64]uint16{
			most + step/2: half.infinity, math.Nextafter(most+step/2, 0): half.infinity - 1, math.Inf(1): half.infinity,
			math.Inf(-1): half.infinity | 0x8000, math.MaxFloat64: half.infinity, math.SmallestNonzeroFloat64: 0,
			half.value(1) / 2: 0, math.Nextafter(half.value(1)/2, 1): 1, math.Copysign(0, -1): 0x8000,
		} {
			if got := half.round(y); got != expected {
				t.Errorf("%s of %v is %04x instead of %04x", half.name, y, got, expected)
			}
		}
	}
}

func TestNaNStaysAQuietNaN(t *testing.T) {
	signalling := math.Float64frombits(0xFFF0_0000_0000_0001)
	for _, x := range []float64{math.NaN(), signalling} {
		f, b := ToFloat16(x), ToBFloat16(x)
		if f&0x7E00 != 0x7E00 || b&0x7FC0 != 0x7FC0 {
			t.Errorf("%x becomes %04x and %04x", math.Float64bits(x), uint16(f), uint16(b))
		}
		if !math.IsNaN(f.Float64()) || !math.IsNaN(b.Float64()) {
			t.Errorf("%v and %v are no NaN", f, b)
		}
	}
	if bits := math.Float32bits(Float16(0x7C01).Float32()); bits&(1<<22) == 0 {
		t.Errorf("%08x is not quiet", bits)
	}
}

func TestHalvesPrint(t *testing.T) {
	if text := ToFloat16(0.1).String(); text != "0.099975586" {
		t.Error(text)
	}
	if text := ToBFloat16(-2.5).String(); text != "-2.5" {
		t.Error(text)
	}
}
