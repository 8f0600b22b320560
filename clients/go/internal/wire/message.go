// Package wire makes and reads evenkeel's messages without copying the elements of tensors more than once.
//
// The generated code copies a tensor's bytes into the message, and out of it again. Here a message is a list of pieces: small
// ones, which the generated code makes, and the memory of tensors, which gRPC writes to the connection as it is. A response is
// read from the frames that gRPC has received, right into the memory of the result.
package wire

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "evenkeel.dev/go/evenkeel/v1"
)

// copied is the length up to which bytes are copied into the message: a piece of its own costs more.
const copied = 4 << 10

// tensorData is the number of the field `data` of a Tensor.
const tensorData protowire.Number = 15

// Message is a message to be sent. Its methods append fields; protobuf takes them in any order.
type Message struct {
	pieces []piece
	size   int
	err    error
}

// piece is a part of a message: bytes of its own, or memory of the caller's that is only read.
type piece struct {
	bytes  []byte
	shared bool
}

// Size is the length of the message.
func (m *Message) Size() int { return m.size }

// Proto appends all fields that are set in a generated message.
func (m *Message) Proto(fields proto.Message) {
	m.own(func(bytes []byte) []byte {
		bytes, err := proto.MarshalOptions{}.MarshalAppend(bytes, fields)
		if err != nil && m.err == nil {
			m.err = err
		}
		return bytes
	})
}

// Bytes appends a field of bytes.
func (m *Message) Bytes(number protowire.Number, data []byte) {
	m.prefix(number, len(data))
	m.share(data)
}

// Tensor appends a field with a tensor: its header, and then its elements, as in `data`.
func (m *Message) Tensor(number protowire.Number, header *pb.Tensor, data []byte) {
	length := proto.Size(header)
	if len(data) > 0 {
		length += protowire.SizeTag(tensorData) + protowire.SizeBytes(len(data))
	}
	m.prefix(number, length)
	m.Proto(header)
	if len(data) > 0 {
		m.Bytes(tensorData, data)
	}
}

// Nested appends a field with a message.
func (m *Message) Nested(number protowire.Number, inner *Message) {
	if m.err == nil {
		m.err = inner.err
	}
	m.prefix(number, inner.size)
	for _, piece := range inner.pieces {
		if piece.shared {
			m.share(piece.bytes)
		} else {
			m.own(func(bytes []byte) []byte { return append(bytes, piece.bytes...) })
		}
	}
}

// prefix appends what comes before the bytes of a field.
func (m *Message) prefix(number protowire.Number, length int) {
	m.own(func(bytes []byte) []byte {
		return protowire.AppendVarint(protowire.AppendTag(bytes, number, protowire.BytesType), uint64(length))
	})
}

// own appends to a piece of the message's own.
func (m *Message) own(appendTo func([]byte) []byte) {
	last := len(m.pieces) - 1
	if last < 0 || m.pieces[last].shared {
		m.pieces = append(m.pieces, piece{bytes: make([]byte, 0, 64)})
		last++
	}
	before := len(m.pieces[last].bytes)
	m.pieces[last].bytes = appendTo(m.pieces[last].bytes)
	m.size += len(m.pieces[last].bytes) - before
}

// share appends memory of the caller's.
func (m *Message) share(bytes []byte) {
	if len(bytes) <= copied {
		m.own(func(own []byte) []byte { return append(own, bytes...) })
		return
	}
	m.size += len(bytes)
	m.pieces = append(m.pieces, piece{bytes: bytes, shared: true})
}
