package evenkeel

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// refusedField is the path of the argument that an error names.
func refusedField(t *testing.T, err error) string {
	t.Helper()
	var argument *InvalidArgument
	if !errors.As(err, &argument) || len(argument.Fields) != 1 {
		t.Fatalf("%v is no error of an argument", err)
	}
	return argument.Fields[0].Path
}

func TestTensorsDoNotCopy(t *testing.T) {
	x := []float64{1, 2, 3, 4}
	tensor := Of(x, 2, 2)
	x[3] = 5
	if y := tensor.Float64(); y[3] != 5 || &y[0] != &x[0] {
		t.Error("the elements were copied")
	}
	if y := Slice[float32](tensor); y[3] != 5 {
		t.Errorf("%v", y)
	}
}

func TestShapesThatDoNotFitAreRefusedByName(t *testing.T) {
	x := make([]float32, 6)
	for _, test := range []struct {
		tensor *Tensor
		field  string
	}{
		{nil, "input"},
		{new(Tensor), "input"},
		{Of(x, 2, 4), "input.data"},
		{Of(x, 0), "input.data"},
		{Of(x, 2, -3), "input.shape[1]"},
		{Of(x, -2, -3), "input.shape[0]"},
		{Of(x, math.MaxInt, math.MaxInt), "input.shape"},
		{Of(x, math.MaxInt/2+1, 4), "input.shape"},
		{FromBytes(F32, make([]byte, 5), 1), "input.data"},
		{FromBytes(DType(9), nil), "input.dtype"},
		{Of([]float64{}, 1, 1), "input.data"},
	} {
		if field := refusedField(t, test.tensor.check("input")); field != test.field {
			t.Errorf("%v: %s instead of %s", test.tensor, field, test.field)
		}
	}
	for _, tensor := range []*Tensor{Of(x), Of(x, 2, 3), Of(x, 1, 6, 1), Of(x[:0], 0), Of(x[:0], 3, 0), Of(x[:0], math.MaxInt, math.MaxInt, 0), Scalar(1.5)} {
		if err := tensor.check("input"); err != nil {
			t.Errorf("%v: %v", tensor, err)
		}
	}
}

func TestShapes(t *testing.T) {
	x := make([]float32, 6)
	for _, test := range []struct {
		tensor *Tensor
		text   string
		length int
	}{
		{Of(x), "float32[6]", 6},
		{Of(x, 2, 3), "float32[2 3]", 6},
		{Scalar(ToBFloat16(1)), "bfloat16[]", 1},
		{FromBytes(F16, make([]byte, 2)), "float16[]", 1},
		{Of([]float64{}, 0, 4), "float64[0 4]", 0},
	} {
		if test.tensor.String() != test.text || test.tensor.Len() != test.length {
			t.Errorf("%v of %d elements instead of %s of %d", test.tensor, test.tensor.Len(), test.text, test.length)
		}
	}
	shape := []int{2, 3}
	tensor := Of(x, shape...)
	shape[0] = 7
	tensor.Shape()[1] = 7
	if !slices.Equal(tensor.Shape(), []int{2, 3}) {
		t.Errorf("the shape was changed to %v", tensor.Shape())
	}
}

func TestBytesThatAreNotAlignedAreCopied(t *testing.T) {
	data := Of([]float64{0, 1.5, -2}).Bytes()
	for shift := range 9 {
		moved := append(make([]byte, shift, 64), data...)[shift:]
		if y := FromBytes(F64, moved, 3).Float64(); !slices.Equal(y, []float64{0, 1.5, -2}) {
			t.Errorf("shifted by %d: %v", shift, y)
		}
	}
}

func TestConversions(t *testing.T) {
	x := Of([]float64{0.1, -70000, math.Inf(-1), 1 + 0x1p-24 + 0x1p-50}, 2, 2)
	for dtype, expected := range map[DType][]float64{
		F64:  {0.1, -70000, math.Inf(-1), 1 + 0x1p-24 + 0x1p-50},
		F32:  {float64(float32(0.1)), -70000, math.Inf(-1), 1 + 0x1p-23},
		F16:  {0.0999755859375, math.Inf(-1), math.Inf(-1), 1},
		BF16: {0.10009765625, -70144, math.Inf(-1), 1},
	} {
		y := x.Convert(dtype)
		if y.DType() != dtype || !slices.Equal(y.Shape(), x.Shape()) || !slices.Equal(y.Float64(), expected) {
			t.Errorf("%v: %v of %v instead of %v", dtype, y, y.Float64(), expected)
		}
		if back := y.Convert(F64).Convert(dtype); !slices.Equal(back.Bytes(), y.Bytes()) {
			t.Errorf("%v: float64 has not every number", dtype)
		}
	}
	if y := ToBFloat16(1 + 0x1p-8 + 0x1p-40); y.Float64() != 1+0x1p-7 { // through float32 it would be a tie
		t.Errorf("rounded twice: %v", y)
	}
	if err := x.Convert(0).check("x"); err == nil {
		t.Error("no type is a type")
	}
	if y := Of([]Float16{ToFloat16(1.5)}).BFloat16(); y[0] != ToBFloat16(1.5) {
		t.Errorf("%v", y)
	}
	if y := Of([]float32{1.5}).Float16(); y[0] != ToFloat16(1.5) {
		t.Errorf("%v", y)
	}
}

// The machine of this test may be little-endian: what a big-endian one does is tried by hand.
func TestBigEndianElementsAreTurnedAround(t *testing.T) {
	for size, expected := range map[int][]byte{2: {2, 1, 4, 3, 6, 5, 8, 7}, 4: {4, 3, 2, 1, 8, 7, 6, 5}, 8: {8, 7, 6, 5, 4, 3, 2, 1}} {
		native := []byte{1, 2, 3, 4, 5, 6, 7, 8}
		if wire := toWire(native, size, true); !slices.Equal(wire, expected) || native[0] != 1 {
			t.Errorf("%d bytes: %v of %v", size, wire, native)
		}
		if wire := toWire(native, size, false); &wire[0] != &native[0] {
			t.Error("little-endian elements were copied")
		}
	}
	if one := Of([]float32{1}).Bytes(); !slices.Equal(one, []byte{0, 0, 0x80, 0x3F}) {
		t.Errorf("the wire would have %x", one)
	}
}

func TestGradientsByName(t *testing.T) {
	a, b := Scalar(1.0), Scalar(2.0)
	gradients := FromMap(map[string]*Tensor{"b": b, "a": a})
	if len(gradients) != 2 || gradients[0].Name != "a" || gradients[1].Tensor != b {
		t.Errorf("%v", gradients)
	}
	if named := gradients.Map(); named["a"] != a || named["b"] != b {
		t.Errorf("%v", named)
	}
	if field := refusedField(t, Unnamed(a, nil).check()); field != "gradients[1]" {
		t.Error(field)
	}
	if field := refusedField(t, Gradients{{Name: "\xff", Tensor: a}}.check()); field != "gradients[0].name" {
		t.Error(field)
	}
	if field := refusedField(t, Unnamed(Of([]float32{1}, 2)).check()); field != "gradients[0].data" {
		t.Error(field)
	}
}

func TestKeepMask(t *testing.T) {
	kept, err := KeepMask(42, 0, 8, 0.5) // words 4d.. d1.. 5c.. 30.. f0.. de.. 78.. 65..
	if expected := []bool{false, true, false, false, true, true, false, false}; err != nil || !slices.Equal(kept, expected) {
		t.Errorf("%v, %v", kept, err)
	}
	if kept, err := KeepMask(42, 3, 3, 0.5); err != nil || !slices.Equal(kept, []bool{false, true, true}) {
		t.Errorf("%v, %v", kept, err)
	}
	if _, err := KeepMask(1, math.MaxUint64, 1, 0.5); err != nil {
		t.Errorf("the last draw: %v", err)
	}
	for field, err := range map[string]error{
		"p":      second(KeepMask(1, 0, 1, math.NaN())),
		"n":      second(KeepMask(1, 0, -1, 0.5)),
		"offset": second(KeepMask(1, math.MaxUint64, 2, 0.5)),
	} {
		if got := refusedField(t, err); got != field {
			t.Errorf("%s instead of %s", got, field)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestMasks(t *testing.T) {
	mask, err := newMask([]byte{0b0100_0101, 0b10}, []int{2, 5})
	if err != nil {
		t.Fatal(err)
	}
	var kept []int
	for i := range mask.Len() {
		if mask.Kept(i) != mask.Bools()[i] {
			t.Errorf("draw %d differs", i)
		}
		if mask.Kept(i) {
			kept = append(kept, i)
		}
	}
	if !slices.Equal(kept, []int{0, 2, 6, 9}) || !slices.Equal(mask.Shape(), []int{2, 5}) {
		t.Errorf("%v of %v", kept, mask.Shape())
	}
	for _, bits := range [][]byte{{}, {1}, {1, 2, 3}} {
		if _, err := newMask(bits, []int{2, 5}); err == nil {
			t.Errorf("%d bytes are no mask of 10 draws", len(bits))
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("there is no draw 10")
		}
	}()
	mask.Kept(10)
}
