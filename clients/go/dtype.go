package evenkeel

import (
	"fmt"

	pb "evenkeel.dev/go/evenkeel/v1"
)

// DType is the type of a tensor's elements. The zero value is no type.
type DType int

// The types that a tensor's elements can have.
const (
	F32  DType = iota + 1 // IEEE 754 binary32: float32
	F64                   // IEEE 754 binary64: float64
	F16                   // IEEE 754 binary16: [Float16]
	BF16                  // the upper half of a binary32: [BFloat16]
)

// Size is the number of bytes of an element, and 0 for a value that is no type.
func (d DType) Size() int {
	switch d {
	case F32:
		return 4
	case F64:
		return 8
	case F16, BF16:
		return 2
	default:
		return 0
	}
}

// String is the name of the type: "float32", "float64", "float16" or "bfloat16".
func (d DType) String() string {
	switch d {
	case F32:
		return "float32"
	case F64:
		return "float64"
	case F16:
		return "float16"
	case BF16:
		return "bfloat16"
	default:
		return fmt.Sprintf("DType(%d)", int(d))
	}
}

func (d DType) wire() pb.DataType {
	switch d {
	case F32:
		return pb.DataType_DATA_TYPE_FLOAT32
	case F64:
		return pb.DataType_DATA_TYPE_FLOAT64
	case F16:
		return pb.DataType_DATA_TYPE_FLOAT16
	case BF16:
		return pb.DataType_DATA_TYPE_BFLOAT16
	default:
		return pb.DataType_DATA_TYPE_UNSPECIFIED
	}
}

// dtypeOf is 0 for a type that this client does not know.
func dtypeOf(wire pb.DataType) DType {
	for _, d := range []DType{F32, F64, F16, BF16} {
		if d.wire() == wire {
			return d
		}
	}
	return 0
}
