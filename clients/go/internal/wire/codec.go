package wire

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Sending is a message, and the lease of the call that sends it.
type Sending struct {
	*Message
	// Lease is that of the tensors' memory.
	Lease *Lease
}

// Codec takes Sending and *Reply, and all that gRPC's own codec for protobuf takes.
type Codec struct{}

var _ encoding.CodecV2 = Codec{}

// Name is that of protobuf: the bytes are the same.
func (Codec) Name() string { return proto.Name }

// Marshal joins the pieces of a message without copying them.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	sending, is := v.(Sending)
	if !is {
		return encoding.GetCodecV2(proto.Name).Marshal(v)
	}
	if sending.err != nil {
		return nil, sending.err
	}
	buffers := make(mem.BufferSlice, 0, len(sending.pieces))
	for _, piece := range sending.pieces {
		if piece.shared && !mem.IsBelowBufferPoolingThreshold(cap(piece.bytes)) {
			buffers = append(buffers, sending.Lease.buffer(piece.bytes))
		} else {
			buffers = append(buffers, mem.SliceBuffer(piece.bytes))
		}
	}
	return buffers, nil
}

// Unmarshal reads a response from the buffers in which it has arrived.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	reply, is := v.(*Reply)
	if !is {
		return encoding.GetCodecV2(proto.Name).Unmarshal(data, v)
	}
	reader := data.Reader()
	defer reader.Close()
	if err := reply.read(reader); err != nil {
		return fmt.Errorf("evenkeel: %w", err)
	}
	return nil
}
