package exact

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "evenkeel.dev/go/evenkeel/v1"
)

// units is |x| in units of 2^-1074.
func units(x float64) *big.Int {
	scaled := new(big.Float).SetMantExp(new(big.Float).SetFloat64(math.Abs(x)), floatBits)
	whole, _ := scaled.Int(nil)
	return whole
}

// message is the norm of elements as a server sends it.
func message(order float64, elements ...float64) *pb.NormPartial {
	m := &pb.NormPartial{NormType: order, Elements: uint64(len(elements))}
	sum := new(big.Int)
	for _, x := range elements {
		switch {
		case math.IsNaN(x):
			m.NanElements++
		case math.IsInf(x, 0):
			m.InfiniteElements++
		case order == 1:
			sum.Add(sum, new(big.Int).Lsh(units(x), floatBits))
		case order == 2:
			sum.Add(sum, new(big.Int).Mul(units(x), units(x)))
		default:
			m.Largest = max(m.Largest, math.Abs(x))
		}
	}
	m.Sum = toLittleEndian(sum)
	return m
}

func norm(t *testing.T, m *pb.NormPartial) *Norm {
	t.Helper()
	n, fault := NormOf(m)
	if fault != nil {
		t.Fatal(fault)
	}
	return n
}

func TestNormIsRoundedOnce(t *testing.T) {
	inf, tiny := math.Inf(1), math.SmallestNonzeroFloat64
	for _, test := range []struct {
		order    float64
		elements []float64
		expected float64
	}{
		{2, []float64{3, 4}, 5},
		{2, nil, 0},
		{2, []float64{tiny, tiny}, tiny},                      // the root of 2 units, rounded to nearest
		{2, []float64{tiny, tiny, tiny}, 2 * tiny},            // the root of 3
		{2, []float64{math.MaxFloat64, math.MaxFloat64}, inf}, // beyond float64
		{2, []float64{1, 0x1p-27}, 1},                         // 1 + 2^-55 is nearer to 1
		{2, []float64{1, 0x1p-26, 0x1p-40}, 1 + 0x1p-52},      // just above the middle
		{2, []float64{math.NaN(), inf}, math.NaN()},
		{2, []float64{1, -inf}, inf},
		{1, []float64{1, -0x1p-53}, 1},                // a tie, to even
		{1, []float64{1, 0x1p-53, tiny}, 1 + 0x1p-52}, // just above the tie
		{1, []float64{tiny}, tiny},
		{1, []float64{math.MaxFloat64, math.MaxFloat64}, inf},
		{inf, []float64{1, -7, 3}, 7},
	} {
		total := norm(t, message(test.order, test.elements...)).Total()
		if total != test.expected && !(math.IsNaN(total) && math.IsNaN(test.expected)) {
			t.Errorf("order %v of %v: %v instead of %v", test.order, test.elements, total, test.expected)
		}
	}
}

// The root is compared with that of big.Float, which has enough bits that it rounds as the exact one does.
func TestRootOfRandomSums(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		sum := new(big.Int).SetUint64(random.Uint64())
		sum.Lsh(sum, uint(random.IntN(4100)))
		sum.Add(sum, new(big.Int).SetUint64(random.Uint64N(3)))
		if random.IntN(2) == 0 { // a root of 54 bits lies in the middle between two float64
			middle := new(big.Int).SetUint64(1<<53 | random.Uint64()>>11 | 1)
			middle.Lsh(middle, uint(random.IntN(2000)))
			sum.Mul(middle, middle)
		}
		exact := new(big.Float).SetPrec(10_000).SetInt(sum)
		exact.Sqrt(exact)
		expected, _ := exact.SetMantExp(exact, -floatBits).Float64()
		if got := root(sum); got != expected {
			t.Fatalf("the root of %v is %v instead of %v", sum, got, expected)
		}
	}
}

func TestNormsMergeInAnyOrder(t *testing.T) {
	for _, order := range []float64{1, 2, math.Inf(1)} {
		all := []float64{1e300, -1, 0x1p-1074, math.NaN(), 7, math.Inf(-1)}
		whole := norm(t, message(order, all...)).Message()
		for split := range all {
			for _, parts := range [][2][]float64{{all[:split], all[split:]}, {all[split:], all[:split]}} {
				a, b := norm(t, message(order, parts[0]...)), norm(t, message(order, parts[1]...))
				before := a.Clone()
				if fault := a.Merge(b); fault != nil {
					t.Fatal(fault)
				}
				if !proto.Equal(a.Message(), whole) {
					t.Errorf("order %v, cut at %d: %v", order, split, a.Message())
				}
				if !proto.Equal(before.Message(), message(order, parts[0]...)) {
					t.Error("merging has changed a copy")
				}
			}
		}
	}
}

func TestNormsThatNoElementsHaveAreRefused(t *testing.T) {
	full := make([]byte, maxBytes)
	for i := range full {
		full[i] = 0xFF
	}
	for _, test := range []struct {
		field   string
		message *pb.NormPartial
	}{
		{"norm_type", &pb.NormPartial{}},
		{"norm_type", &pb.NormPartial{NormType: math.NaN()}},
		{"norm_type", &pb.NormPartial{NormType: math.Inf(-1)}},
		{"elements", &pb.NormPartial{NormType: 2, Elements: maxElements + 1}},
		{"elements", &pb.NormPartial{NormType: 2, Elements: 3, NanElements: 2, InfiniteElements: 2}},
		{"elements", &pb.NormPartial{NormType: 2, Elements: 3, NanElements: 4, InfiniteElements: math.MaxUint64 - 2}},
		{"largest", &pb.NormPartial{NormType: 2, Elements: 1, Largest: 1}},
		{"largest", &pb.NormPartial{NormType: math.Inf(1), Largest: 1}},
		{"largest", &pb.NormPartial{NormType: math.Inf(1), Elements: 1, Largest: math.NaN()}},
		{"largest", &pb.NormPartial{NormType: math.Inf(1), Elements: 1, Largest: math.Inf(1)}},
		{"sum", &pb.NormPartial{NormType: math.Inf(1), Elements: 1, Sum: []byte{1}}},
		{"sum", &pb.NormPartial{NormType: 2, Sum: []byte{1}}},
		{"sum", &pb.NormPartial{NormType: 2, Elements: 1, Sum: full}},
		{"sum", &pb.NormPartial{NormType: 2, Elements: maxElements, Sum: append(full, 1)}},
		{"sum", &pb.NormPartial{NormType: 1, Elements: 1, Sum: []byte{1}}},
	} {
		if _, fault := NormOf(test.message); fault == nil || fault.Field != test.field {
			t.Errorf("%v: %v instead of a fault of %s", test.message, fault, test.field)
		}
	}
	padded := message(2, 3)
	padded.Sum = append(padded.Sum, 0, 0)
	if got := norm(t, padded).Message(); !proto.Equal(got, message(2, 3)) {
		t.Errorf("zero bytes at the end matter: %v", got)
	}
	most := norm(t, &pb.NormPartial{NormType: 2, Elements: maxElements})
	for _, other := range []*Norm{norm(t, message(2, 1)), norm(t, message(1, 1))} {
		if fault := most.Merge(other); fault == nil {
			t.Error("partials that do not fit were merged")
		}
	}
}

func exactOf(terms ...float64) *pb.ExactSum {
	sum := new(big.Int)
	for _, x := range terms {
		term := new(big.Int).Lsh(units(x), floatBits)
		if x < 0 {
			term.Neg(term)
		}
		sum.Add(sum, term)
	}
	return exactSum(sum)
}

func statistics(change func(*pb.StatisticsPartial)) *pb.StatisticsPartial {
	set := func() *pb.SetStatistics {
		return &pb.SetStatistics{
			Elements: 2, Sum: exactOf(1, -3), SumOfSquares: exactOf(1, 9),
			SumOfGradients: exactOf(2), SumOfProducts: exactOf(-4),
		}
	}
	m := &pb.StatisticsPartial{Kind: pb.NormKind_NORM_KIND_BATCH, Shape: []int64{2}, Sets: []*pb.SetStatistics{set(), set()}}
	change(m)
	return m
}

func TestStatisticsMerge(t *testing.T) {
	read := func() *Statistics {
		s, fault := StatisticsOf(statistics(func(*pb.StatisticsPartial) {}))
		if fault != nil {
			t.Fatal(fault)
		}
		return s
	}
	merged := read()
	if fault := merged.Merge(read()); fault != nil {
		t.Fatal(fault)
	}
	expected := &pb.SetStatistics{
		Elements: 4, Sum: exactOf(-4), SumOfSquares: exactOf(20), SumOfGradients: exactOf(4), SumOfProducts: exactOf(-8),
	}
	for _, set := range merged.Message().GetSets() {
		if !proto.Equal(set, expected) {
			t.Errorf("%v instead of %v", set, expected)
		}
	}
	for field, change := range map[string]func(*pb.StatisticsPartial){
		"kind":  func(m *pb.StatisticsPartial) { m.Kind = pb.NormKind_NORM_KIND_INSTANCE },
		"shape": func(m *pb.StatisticsPartial) { m.Shape = []int64{1, 2} },
		"sets[0].sum_of_gradients": func(m *pb.StatisticsPartial) {
			for _, set := range m.Sets {
				set.SumOfGradients, set.SumOfProducts = nil, nil
			}
		},
		"sets[0].elements": func(m *pb.StatisticsPartial) {
			for _, set := range m.Sets {
				set.Elements = maxElements
			}
		},
	} {
		other, fault := StatisticsOf(statistics(change))
		if fault != nil {
			t.Fatal(fault)
		}
		if fault := merged.Merge(other); fault == nil || fault.Field != field {
			t.Errorf("%v instead of a fault of %s", fault, field)
		}
	}
}

func TestStatisticsThatNoElementsHaveAreRefused(t *testing.T) {
	huge := &pb.ExactSum{LowZeroBytes: maxBytes - 1, Magnitude: []byte{0xFF}}
	for field, change := range map[string]func(*pb.StatisticsPartial){
		"kind":             func(m *pb.StatisticsPartial) { m.Kind = 0 },
		"shape":            func(m *pb.StatisticsPartial) { m.Shape[0] = -1 },
		"sets":             func(m *pb.StatisticsPartial) { m.Shape[0] = 3 },
		"sets[1].elements": func(m *pb.StatisticsPartial) { m.Sets[1].NanElements = 3 },
		"sets[0].elements": func(m *pb.StatisticsPartial) { m.Sets[0].Elements = maxElements + 1 },
		"sets[1].sum":      func(m *pb.StatisticsPartial) { m.Sets[1].Sum = huge },
		"sets[0].sum":      func(m *pb.StatisticsPartial) { m.Sets[0].Sum = &pb.ExactSum{Magnitude: []byte{1}} },
		"sets[0].sum.magnitude": func(m *pb.StatisticsPartial) {
			m.Sets[0].Sum = &pb.ExactSum{LowZeroBytes: maxBytes, Magnitude: []byte{1}}
		},
		"sets[0].sum_of_squares":      func(m *pb.StatisticsPartial) { m.Sets[0].SumOfSquares = exactOf(-1) },
		"sets[1].sum_of_squares":      func(m *pb.StatisticsPartial) { m.Sets[1].SumOfSquares = exactOf(1) },
		"sets[1].sum_of_gradients":    func(m *pb.StatisticsPartial) { m.Sets[1].SumOfGradients, m.Sets[1].SumOfProducts = nil, nil },
		"sets[0].sum_of_gradients":    func(m *pb.StatisticsPartial) { m.Sets[0].SumOfGradients = huge },
		"sets[0].sum_of_products":     func(m *pb.StatisticsPartial) { m.Sets[0].SumOfProducts = huge },
		"sets[1].sum_of_products":     func(m *pb.StatisticsPartial) { m.Sets[1].SumOfGradients = nil },
		"sets[0].nonfinite_gradients": func(m *pb.StatisticsPartial) { m.Sets[0].NonfiniteGradients = 3 },
		"sets[0].sum_of_squares.magnitude": func(m *pb.StatisticsPartial) {
			m.Sets[0].SumOfSquares = &pb.ExactSum{LowZeroBytes: math.MaxUint32, Magnitude: []byte{1}}
		},
	} {
		if _, fault := StatisticsOf(statistics(change)); fault == nil || fault.Field != field {
			t.Errorf("%v instead of a fault of %s", fault, field)
		}
	}
}
