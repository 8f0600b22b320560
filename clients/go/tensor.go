package evenkeel

import (
	"fmt"
	"math"
	"slices"
)

// Tensor is a dense array of numbers, in row-major order. [Of], [Scalar] and [FromBytes] make tensors; calls return them.
//
// A tensor does not copy the slice that it is made of. A call reads the slice while it runs, so the program must not change
// the slice before the call has returned; tensors that calls return have memory of their own. A call that fails, or is
// cancelled, waits until the transport has let go of the slice, 100 milliseconds at most. Only a transport that is stuck for
// longer may read a little of it later; what it reads then goes nowhere.
//
// The methods can be called by several goroutines at the same time.
type Tensor struct {
	dtype DType
	shape []int
	// The elements in the order of this machine, aligned for their type.
	bytes []byte
	// Why the tensor cannot be sent.
	fault *FieldViolation
}

// Of is a tensor of these elements and this shape, outermost dimension first; without a shape, a vector of all elements. The
// elements are not copied. If the shape does not fit them, the call that gets the tensor fails with an [InvalidArgument].
func Of[T Element](elements []T, shape ...int) *Tensor {
	if len(shape) == 0 {
		shape = []int{len(elements)}
	}
	return newTensor(dtypeFor[T](), bytesOf(elements), shape)
}

// Scalar is a tensor without dimensions, of one element.
func Scalar[T Element](x T) *Tensor {
	return newTensor(dtypeFor[T](), bytesOf([]T{x}), nil)
}

// FromBytes is a tensor of elements that are stored as bytes, little-endian and row-major, such as a file's; an empty shape is
// that of a scalar. The bytes are not copied where they are aligned and the machine is little-endian.
func FromBytes(dtype DType, data []byte, shape ...int) *Tensor {
	size := dtype.Size()
	if size > 0 && len(data)%size == 0 && (isBigEndian || !isAligned(data, size)) {
		native := newBytes(dtype, len(data)/size)
		copy(native, data)
		if isBigEndian {
			swapBytes(native, size)
		}
		data = native
	}
	return newTensor(dtype, data, shape)
}

func newTensor(dtype DType, bytes []byte, shape []int) *Tensor {
	t := &Tensor{dtype: dtype, shape: slices.Clone(shape), bytes: bytes}
	if dtype.Size() == 0 {
		t.fault = &FieldViolation{Path: "dtype", Description: fmt.Sprintf("%v is no element type", dtype)}
		return t
	}
	size := dtype.Size()
	for i, dim := range shape {
		if dim < 0 {
			t.fault = &FieldViolation{Path: fmt.Sprintf("shape[%d]", i), Description: fmt.Sprintf("%d is negative", dim)}
			return t
		}
		if dim > 0 && size > math.MaxInt/dim && !slices.Contains(shape, 0) {
			t.fault = &FieldViolation{Path: "shape", Description: fmt.Sprintf("%v has more elements than any memory", shape)}
			return t
		}
		size *= dim
	}
	if size != len(bytes) {
		text := fmt.Sprintf("expected %d bytes and got %d, for %v of shape %v", size, len(bytes), dtype, shape)
		t.fault = &FieldViolation{Path: "data", Description: text}
	}
	return t
}

// DType is the type of the elements.
func (t *Tensor) DType() DType { return t.dtype }

// Shape is a copy of the dimensions, outermost first; empty for a scalar.
func (t *Tensor) Shape() []int { return slices.Clone(t.shape) }

// Len is the number of elements.
func (t *Tensor) Len() int { return len(t.bytes) / max(t.dtype.Size(), 1) }

// Bytes is the elements as bytes, little-endian and row-major: the tensor's memory where the machine is little-endian,
// otherwise a copy.
func (t *Tensor) Bytes() []byte { return toWire(t.bytes, t.dtype.Size(), isBigEndian) }

// Float32 is the elements as float32: the tensor's memory if they are, otherwise a copy that is rounded to nearest even.
func (t *Tensor) Float32() []float32 { return Slice[float32](t) }

// Float64 is the elements as float64: the tensor's memory if they are, otherwise a copy.
func (t *Tensor) Float64() []float64 { return Slice[float64](t) }

// Float16 is the elements as Float16: the tensor's memory if they are, otherwise a copy that is rounded to nearest even.
func (t *Tensor) Float16() []Float16 { return Slice[Float16](t) }

// BFloat16 is the elements as BFloat16: the tensor's memory if they are, otherwise a copy that is rounded to nearest even.
func (t *Tensor) BFloat16() []BFloat16 { return Slice[BFloat16](t) }

// Convert is the tensor with elements of another type, rounded to nearest even; the tensor itself if they have that type.
func (t *Tensor) Convert(dtype DType) *Tensor {
	switch {
	case dtype == t.dtype || t.fault != nil:
		return t
	case dtype == F32:
		return Of(Slice[float32](t)).reshaped(t.shape)
	case dtype == F64:
		return Of(Slice[float64](t)).reshaped(t.shape)
	case dtype == F16:
		return Of(Slice[Float16](t)).reshaped(t.shape)
	case dtype == BF16:
		return Of(Slice[BFloat16](t)).reshaped(t.shape)
	default:
		return newTensor(dtype, nil, t.shape)
	}
}

func (t *Tensor) reshaped(shape []int) *Tensor {
	t.shape = slices.Clone(shape)
	return t
}

// String is the type and the shape: "float32[256 1024]".
func (t *Tensor) String() string { return fmt.Sprintf("%v%v", t.dtype, t.shape) }

// check returns the reason why the tensor cannot be the argument of this name, or nil.
func (t *Tensor) check(name string) error {
	switch {
	case t == nil:
		return invalid(name, "required")
	case t.dtype == 0:
		return invalid(name, "is a tensor that Of, Scalar or FromBytes has not made")
	case t.fault != nil:
		return invalid(name+"."+t.fault.Path, t.fault.Description)
	}
	return nil
}

// checkOptional is check for an argument that may be nil.
func (t *Tensor) checkOptional(name string) error {
	if t == nil {
		return nil
	}
	return t.check(name)
}
