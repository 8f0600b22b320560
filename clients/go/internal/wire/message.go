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
	bytes, err := proto.Marshal(fields)
	if err != nil && m.err == nil {
		m.err = err
	}
	m.own(bytes)
}

// Bytes appends a field of bytes.
func (m *Message) Bytes(number protowire.Number, data []byte) {
	m.own(prefix(number, len(data)))
	m.share(data)
}

// Tensor appends a field with a tensor: its header, and then its elements, as in `data`.
func (m *Message) Tensor(number protowire.Number, header *pb.Tensor, data []byte) {
	var inner Message
	inner.Proto(header)
	if len(data) > 0 {
		inner.Bytes(tensorData, data)
	}
	m.Nested(number, &inner)
}

// Nested appends a field with a message.
func (m *Message) Nested(number protowire.Number, inner *Message) {
	if m.err == nil {
		m.err = inner.err
	}
	m.own(prefix(number, inner.size))
	for _, piece := range inner.pieces {
		if piece.shared {
			m.share(piece.bytes)
		} else {
			m.own(piece.bytes)
		}
	}
}

func prefix(number protowire.Number, length int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.BytesType), uint64(length))
}

func (m *Message) own(bytes []byte) {
	m.size += len(bytes)
	if last := len(m.pieces) - 1; last >= 0 && !m.pieces[last].shared {
		m.pieces[last].bytes = append(m.pieces[last].bytes, bytes...)
		return
	}
	m.pieces = append(m.pieces, piece{bytes: append([]byte(nil), bytes...)})
}

func (m *Message) share(bytes []byte) {
	if len(bytes) <= copied {
		m.own(bytes)
		return
	}
	m.size += len(bytes)
	m.pieces = append(m.pieces, piece{bytes: bytes, shared: true})
}
