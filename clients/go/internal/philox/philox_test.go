package philox

import "testing"

// The words are those of np.random.Philox(key=42).random_raw(4).view('<u4').
func TestBlockIsNumPys(t *testing.T) {
	expected := [8]uint32{0x4d62880e, 0xd1f8817d, 0x5cc8797e, 0x307266b6, 0xf084ed03, 0xde1f04e7, 0x78cd1e59, 0x65034a8e}
	if got := block(42, 0); got != expected {
		t.Errorf("%08x instead of %08x", got, expected)
	}
}

func TestSlicesJoin(t *testing.T) {
	whole := make([]bool, 100)
	Keep(whole, 7, 0, 0.3)
	for offset := range whole {
		for _, n := range []int{0, 1, 9, len(whole) - offset} {
			part := make([]bool, min(n, len(whole)-offset))
			Keep(part, 7, uint64(offset), 0.3)
			for i, keep := range part {
				if keep != whole[offset+i] {
					t.Fatalf("draw %d differs in a slice from %d", offset+i, offset)
				}
			}
		}
	}
}

func TestProbabilitiesAtTheEnds(t *testing.T) {
	keep := make([]bool, 1000)
	for p, expected := range map[float64]bool{0: true, 1: false} {
		Keep(keep, 1, 1<<63, p)
		for i := range keep {
			if keep[i] != expected {
				t.Fatalf("p = %v: draw %d", p, i)
			}
		}
	}
}
