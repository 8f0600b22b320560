package wire

import (
	"errors"
	"io"
	"unsafe"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "evenkeel.dev/go/evenkeel/v1"
)

// errShort is the error of a message that ends inside of a field, or whose bytes are no fields.
var errShort = errors.New("the message is cut off or is no protobuf")

// Reply is a message to be received. Its methods say where the large fields go, each by its number; all other fields go to the
// generated message.
type Reply struct {
	rest  proto.Message
	large map[protowire.Number]target
}

// target is where a large field goes.
type target struct {
	reset func()
	// take reads the field's n bytes.
	take func(reader *mem.Reader, n int) error
}

// Tensor is a tensor that was received. If there was none, Header is nil.
type Tensor struct {
	// Header is all but the elements.
	Header *pb.Tensor
	// Data is the elements, little-endian, in memory of their own that is aligned for numbers of any type.
	Data []byte
}

// NewReply is a reply whose fields go to a generated message.
func NewReply(rest proto.Message) *Reply {
	return &Reply{rest: rest, large: make(map[protowire.Number]target)}
}

// Tensor is where the tensor with this number goes.
func (r *Reply) Tensor(number protowire.Number) *Tensor {
	tensor := new(Tensor)
	r.large[number] = target{
		reset: func() { *tensor = Tensor{} },
		take:  func(reader *mem.Reader, n int) error { return tensor.read(reader, n) },
	}
	return tensor
}

// Tensors is where the tensors go that repeat this number.
func (r *Reply) Tensors(number protowire.Number) *[]Tensor {
	tensors := new([]Tensor)
	r.large[number] = target{
		reset: func() { *tensors = nil },
		take: func(reader *mem.Reader, n int) error {
			*tensors = append(*tensors, Tensor{})
			return (*tensors)[len(*tensors)-1].read(reader, n)
		},
	}
	return tensors
}

// Bytes is where the bytes with this number go.
func (r *Reply) Bytes(number protowire.Number) *[]byte {
	bytes := new([]byte)
	r.Chunk(number, func(reader *mem.Reader, n int) error {
		*bytes = make([]byte, n)
		return fill(reader, *bytes)
	})
	return bytes
}

// Chunk passes the bytes with this number to a function, which must read exactly n of them.
func (r *Reply) Chunk(number protowire.Number, take func(reader *mem.Reader, n int) error) {
	r.large[number] = target{reset: func() {}, take: take}
}

// read reads the whole message.
func (r *Reply) read(reader *mem.Reader) error {
	for _, target := range r.large {
		target.reset()
	}
	rest, err := fields(reader, 0, r.large)
	if err != nil {
		return err
	}
	return proto.Unmarshal(rest, r.rest)
}

// read reads the n bytes of a tensor.
func (t *Tensor) read(reader *mem.Reader, n int) error {
	data := target{take: func(reader *mem.Reader, n int) error {
		t.Data = aligned(n)
		return fill(reader, t.Data)
	}}
	rest, err := fields(reader, reader.Remaining()-n, map[protowire.Number]target{tensorData: data})
	if err != nil {
		return err
	}
	t.Header = new(pb.Tensor)
	return proto.Unmarshal(rest, t.Header)
}

// fields reads fields until so many bytes are left, and returns those that are not large, as they are on the wire.
func fields(reader *mem.Reader, left int, large map[protowire.Number]target) (rest []byte, err error) {
	for reader.Remaining() > left {
		tag, err := varint(reader)
		if err != nil {
			return nil, err
		}
		number, kind := protowire.DecodeTag(tag)
		length := uint64(0)
		value := protowire.AppendVarint(nil, tag)
		switch kind {
		case protowire.BytesType:
			if length, err = varint(reader); err != nil {
				return nil, err
			}
			if length > uint64(max(reader.Remaining()-left, 0)) {
				return nil, errShort
			}
			if target, is := large[number]; is {
				if err := target.take(reader, int(length)); err != nil {
					return nil, err
				}
				continue
			}
			value = protowire.AppendVarint(value, length)
		case protowire.VarintType:
			number, err := varint(reader)
			if err != nil {
				return nil, err
			}
			value = protowire.AppendVarint(value, number)
		case protowire.Fixed32Type:
			length = 4
		case protowire.Fixed64Type:
			length = 8
		default: // groups, which proto3 does not have
			return nil, errShort
		}
		rest = append(rest, value...)
		start := len(rest)
		rest = append(rest, make([]byte, length)...)
		if err := fill(reader, rest[start:]); err != nil {
			return nil, err
		}
	}
	if reader.Remaining() < left {
		return nil, errShort
	}
	return rest, nil
}

func varint(reader *mem.Reader) (uint64, error) {
	var bytes []byte
	for len(bytes) < 10 {
		b, err := reader.ReadByte()
		if err != nil {
			return 0, errShort
		}
		bytes = append(bytes, b)
		if b < 0x80 {
			break
		}
	}
	value, n := protowire.ConsumeVarint(bytes)
	if n < 0 {
		return 0, errShort
	}
	return value, nil
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
