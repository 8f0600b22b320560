package evenkeel

import (
	"encoding/binary"
	"unsafe"
)

// Element is a type that a tensor's elements can have.
type Element interface {
	float32 | float64 | Float16 | BFloat16
}

// isBigEndian says whether this machine stores the highest byte of a number first. The wire has the lowest first.
var isBigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

func dtypeFor[T Element]() DType {
	switch any(*new(T)).(type) {
	case float32:
		return F32
	case float64:
		return F64
	case Float16:
		return F16
	default:
		return BF16
	}
}

// bytesOf is the memory of a slice, without a copy. Every bit pattern is a number of these types, and bytes have no alignment,
// so both may be read and written as long as either slice is reachable.
func bytesOf[T Element](elements []T) []byte {
	if len(elements) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(elements))), len(elements)*int(unsafe.Sizeof(elements[0])))
}

// elementsOf is the reverse of bytesOf. The bytes must be aligned as the elements are: those of bytesOf are, and isAligned tells
// it of others.
func elementsOf[T Element](bytes []byte) []T {
	size := int(unsafe.Sizeof(*new(T)))
	if len(bytes) < size {
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(bytes))), len(bytes)/size)
}

// isAligned says whether bytes can be the memory of elements of this size.
func isAligned(bytes []byte, size int) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(bytes)))%uintptr(size) == 0
}

// newBytes is new memory for so many elements, aligned for them.
func newBytes(dtype DType, elements int) []byte {
	switch dtype {
	case F64:
		return bytesOf(make([]float64, elements))
	case F32:
		return bytesOf(make([]float32, elements))
	default:
		return bytesOf(make([]Float16, elements))
	}
}

// swapBytes turns the bytes of each element around, between the order of a big-endian machine and that of the wire.
func swapBytes(bytes []byte, size int) {
	for ; len(bytes) >= size; bytes = bytes[size:] {
		for i, j := 0, size-1; i < j; i, j = i+1, j-1 {
			bytes[i], bytes[j] = bytes[j], bytes[i]
		}
	}
}

// toWire is the bytes of elements in the order of the wire. Only a big-endian machine copies them.
func toWire(native []byte, size int, bigEndian bool) []byte {
	if !bigEndian {
		return native
	}
	wire := append([]byte(nil), native...)
	swapBytes(wire, size)
	return wire
}
