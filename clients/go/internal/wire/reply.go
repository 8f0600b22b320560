package wire

import (
	"errors"
	"io"
	"slices"
	"unsafe"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "evenkeel.dev/go/evenkeel/v1"
)

// errShort is the error of a message that ends inside of a field, or whose bytes are no fields.
var errShort = errors.New("the message is cut off or is no protobuf")

// errTooMany is the error of a message with more tensors than are due: the rest is not read.
var errTooMany = errors.New("the message has more tensors than are due")

// Reply is a message to be received. Its methods say where the large fields go, each by its number; all other fields go to the
// generated message.
type Reply struct {
	rest  proto.Message
	large []target
}

// target is where a large field goes: one of the four, where most is the length of tensors.
type target struct {
	number  protowire.Number
	tensor  *Tensor
	tensors *[]Tensor
	most    int
	bytes   *[]byte
	chunk   take
}

// take reads the n bytes of a field.
type take func(reader *mem.Reader, n int) error

// Tensor is a tensor that was received. If there was none, Header is nil.
type Tensor struct {
	// Header is all but the elements.
	Header *pb.Tensor
	// Data is the elements, little-endian, in memory of their own that is aligned for numbers of any type.
	Data []byte
}

// NewReply is a reply whose fields go to a generated message.
func NewReply(rest proto.Message) *Reply { return &Reply{rest: rest} }

// Tensor is where the tensor with this number goes.
func (r *Reply) Tensor(number protowire.Number) *Tensor {
	tensor := new(Tensor)
	r.large = append(r.large, target{number: number, tensor: tensor})
	return tensor
}

// Tensors is where the tensors go that repeat this number, most times at most.
func (r *Reply) Tensors(number protowire.Number, most int) *[]Tensor {
	tensors := new([]Tensor)
	r.large = append(r.large, target{number: number, tensors: tensors, most: most})
	return tensors
}

// Bytes is where the bytes with this number go.
func (r *Reply) Bytes(number protowire.Number) *[]byte {
	bytes := new([]byte)
	r.large = append(r.large, target{number: number, bytes: bytes})
	return bytes
}

// Chunk passes the bytes with this number to a function, which must read exactly n of them.
func (r *Reply) Chunk(number protowire.Number, read func(reader *mem.Reader, n int) error) {
	r.large = append(r.large, target{number: number, chunk: read})
}

// read reads the whole message.
func (r *Reply) read(reader *mem.Reader) error {
	for _, target := range r.large {
		target.reset()
	}
	rest, err := fields(reader, 0, func(number protowire.Number) take {
		for i := range r.large {
			if r.large[i].number == number {
				return r.large[i].take
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return proto.Unmarshal(rest, r.rest)
}

// reset forgets an earlier message.
func (t *target) reset() {
	switch {
	case t.tensor != nil:
		*t.tensor = Tensor{}
	case t.tensors != nil:
		*t.tensors = nil
	case t.bytes != nil:
		*t.bytes = nil
	}
}

func (t *target) take(reader *mem.Reader, n int) error {
	switch {
	case t.tensor != nil:
		if t.tensor.Header != nil {
			return errTooMany
		}
		return t.tensor.read(reader, n)
	case t.tensors != nil:
		if len(*t.tensors) == t.most {
			return errTooMany
		}
		*t.tensors = append(*t.tensors, Tensor{})
		return (*t.tensors)[len(*t.tensors)-1].read(reader, n)
	case t.bytes != nil:
		*t.bytes = make([]byte, n)
		return fill(reader, *t.bytes)
	default:
		return t.chunk(reader, n)
	}
}

// read reads the n bytes of a tensor.
func (t *Tensor) read(reader *mem.Reader, n int) error {
	rest, err := fields(reader, reader.Remaining()-n, func(number protowire.Number) take {
		if number == tensorData {
			return t.readData
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.Header = new(pb.Tensor)
	return proto.Unmarshal(rest, t.Header)
}

func (t *Tensor) readData(reader *mem.Reader, n int) error {
	t.Data = aligned(n)
	return fill(reader, t.Data)
}

// fields reads fields until so many bytes are left, and returns those that are not large, as they are on the wire.
func fields(reader *mem.Reader, left int, large func(protowire.Number) take) (rest []byte, err error) {
	for reader.Remaining() > left {
		tag, err := varint(reader)
		if err != nil {
			return nil, err
		}
		number, kind := protowire.DecodeTag(tag)
		length := uint64(0)
		switch kind {
		case protowire.BytesType:
			if length, err = varint(reader); err != nil {
				return nil, err
			}
			if length > uint64(max(reader.Remaining()-left, 0)) {
				return nil, errShort
			}
			if take := large(number); take != nil {
				if err := take(reader, int(length)); err != nil {
					return nil, err
				}
				continue
			}
			rest = protowire.AppendVarint(protowire.AppendVarint(rest, tag), length)
		case protowire.VarintType:
			number, err := varint(reader)
			if err != nil {
				return nil, err
			}
			rest = protowire.AppendVarint(protowire.AppendVarint(rest, tag), number)
		case protowire.Fixed32Type:
			rest, length = protowire.AppendVarint(rest, tag), 4
		case protowire.Fixed64Type:
			rest, length = protowire.AppendVarint(rest, tag), 8
		default: // groups, which proto3 does not have
			return nil, errShort
		}
		start := len(rest)
		rest = slices.Grow(rest, int(length))[:start+int(length)]
		if err := fill(reader, rest[start:]); err != nil {
			return nil, err
		}
	}
	if reader.Remaining() < left {
		return nil, errShort
	}
	return rest, nil
}

func varint(reader *mem.Reader) (value uint64, err error) {
	for shift := 0; shift < 64; shift += 7 {
		b, err := reader.ReadByte()
		if err != nil || shift == 63 && b > 1 {
			return 0, errShort
		}
		value |= uint64(b&0x7F) << shift
		if b < 0x80 {
			return value, nil
		}
	}
	return 0, errShort
}

// fill reads as many bytes as there is room for.
func fill(reader *mem.Reader, to []byte) error {
	if len(to) == 0 {
		return nil
	}
	if _, err := io.ReadFull(reader, to); err != nil {
		return errShort
	}
	return nil
}

// aligned is memory for n bytes that can also be that of numbers of 8 bytes.
func aligned(n int) []byte {
	if n == 0 {
		return nil
	}
	numbers := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(numbers))), n)
}
