package wire

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	pb "evenkeel.dev/go/evenkeel/v1"
)

func numbered(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i*7 + i>>8)
	}
	return data
}

// marshal is the message as gRPC would send it, and whether a piece of it is memory of data.
func marshal(t *testing.T, message *Message, data []byte) (sent []byte, shares bool) {
	t.Helper()
	lease := new(Lease)
	buffers, err := Codec{}.Marshal(Sending{Message: message, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	for _, buffer := range buffers {
		if piece := buffer.ReadOnlyData(); len(piece) > 0 && len(data) > 0 && &piece[0] == &data[0] {
			shares = true
		}
	}
	sent = buffers.Materialize()
	buffers.Free()
	if lease.held.Load() != 0 {
		t.Errorf("%d buffers are held", lease.held.Load())
	}
	return sent, shares
}

func TestMessageIsWhatTheGeneratedCodeMakes(t *testing.T) {
	for _, length := range []int{0, 1, copied, copied + 1, 100_000} {
		data := numbered(length)
		weight := &pb.Tensor{Dtype: pb.DataType_DATA_TYPE_FLOAT16, Shape: []int64{1}, Data: []byte{1, 2}}
		input := &pb.Tensor{Name: "x", Dtype: pb.DataType_DATA_TYPE_FLOAT32, Shape: []int64{int64(length)}, Data: data}
		expected := &pb.NormalizeRequest{Kind: pb.NormKind_NORM_KIND_RMS, Eps: proto.Float64(0), Weight: weight, Input: input}

		message := new(Message)
		message.Proto(&pb.NormalizeRequest{Kind: pb.NormKind_NORM_KIND_RMS, Eps: proto.Float64(0)})
		message.Tensor(10, &pb.Tensor{Dtype: weight.Dtype, Shape: weight.Shape}, weight.Data)
		message.Tensor(14, &pb.Tensor{Name: "x", Dtype: input.Dtype, Shape: input.Shape}, data)
		sent, shares := marshal(t, message, data)
		var given pb.NormalizeRequest
		if err := proto.Unmarshal(sent, &given); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(&given, expected) {
			t.Errorf("%d bytes: another message", length)
		}
		if message.Size() != len(sent) || message.Size() != proto.Size(expected) {
			t.Errorf("%d bytes: Size is %d of %d", length, message.Size(), len(sent))
		}
		if shares != (length > copied) {
			t.Errorf("%d bytes: shared is %v", length, shares)
		}

		outer := new(Message)
		outer.Nested(1, message)
		sent, _ = marshal(t, outer, data)
		var stream pb.NormalizeStreamRequest
		if err := proto.Unmarshal(sent, &stream); err != nil || !proto.Equal(stream.GetHeader(), expected) {
			t.Errorf("%d bytes: another header: %v", length, err)
		}
	}
}

func TestNamesThatAreNotUTF8AreRefused(t *testing.T) {
	inner, outer := new(Message), new(Message)
	inner.Tensor(15, &pb.Tensor{Name: "\xff"}, nil)
	outer.Nested(1, inner)
	if _, err := (Codec{}).Marshal(Sending{Message: outer, Lease: new(Lease)}); err == nil {
		t.Error("the name was sent")
	}
}

// cut is bytes in buffers of this length, as gRPC receives them.
func cut(data []byte, length int) (buffers mem.BufferSlice) {
	for len(data) > 0 {
		n := min(length, len(data))
		buffers = append(buffers, mem.SliceBuffer(bytes.Clone(data[:n])))
		data = data[n:]
	}
	return buffers
}

func TestReplyIsReadFromBuffersThatAreCutAnywhere(t *testing.T) {
	sent := &pb.ClipGradientsResponse{
		TotalNorm:   5,
		Scale:       0.25,
		TensorNorms: []float64{3, 4},
		Gradients: []*pb.Tensor{
			{Name: "w", Dtype: pb.DataType_DATA_TYPE_FLOAT64, Shape: []int64{300}, Data: numbered(2400)},
			{Name: "b", Dtype: pb.DataType_DATA_TYPE_FLOAT16, Shape: []int64{0}},
			{Dtype: pb.DataType_DATA_TYPE_BFLOAT16, Shape: []int64{3}, Data: numbered(6)},
		},
	}
	data, err := proto.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	var rest pb.ClipGradientsResponse
	reply := NewReply(&rest)
	received := reply.Tensors(15, 3)
	for length := 1; length <= len(data); length++ {
		if err := (Codec{}).Unmarshal(cut(data, length), reply); err != nil {
			t.Fatalf("buffers of %d bytes: %v", length, err)
		}
		if len(*received) != len(sent.Gradients) {
			t.Fatalf("buffers of %d bytes: %d gradients", length, len(*received))
		}
		given := proto.Clone(&rest).(*pb.ClipGradientsResponse)
		for _, tensor := range *received {
			header := proto.Clone(tensor.Header).(*pb.Tensor)
			header.Data = tensor.Data
			given.Gradients = append(given.Gradients, header)
		}
		if !proto.Equal(given, sent) {
			t.Fatalf("buffers of %d bytes: another message", length)
		}
	}
}

func TestReplyForgetsTheMessageBefore(t *testing.T) {
	var rest pb.DropoutResponse
	reply := NewReply(&rest)
	mask, output := reply.Bytes(14), reply.Tensor(15)
	full, _ := proto.Marshal(&pb.DropoutResponse{Kept: 3, Mask: []byte{7}, Output: &pb.Tensor{Name: "x"}})
	for i, data := range [][]byte{full, nil} {
		if err := (Codec{}).Unmarshal(cut(data, 3), reply); err != nil {
			t.Fatal(err)
		}
		if there := i == 0; (rest.GetKept() == 3) != there || (len(*mask) == 1) != there || (output.Header != nil) != there {
			t.Errorf("message %d: kept %d, mask %v, output %v", i, rest.GetKept(), *mask, output.Header)
		}
	}
}

// FuzzReply: no bytes make the reader panic, take memory beyond their length, or accept what the generated code refuses.
func FuzzReply(f *testing.F) {
	data, _ := proto.Marshal(&pb.DropoutResponse{Kept: 1, Mask: []byte{1}, Output: &pb.Tensor{Shape: []int64{1}, Data: []byte{1}}})
	f.Add(data)
	f.Add([]byte{0x7A, 0x05, 0x7A, 0xFF})
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02})
	f.Fuzz(func(t *testing.T, data []byte) {
		var rest, generated pb.DropoutResponse
		reply := NewReply(&rest)
		mask, output := reply.Bytes(14), reply.Tensor(15)
		err := Codec{}.Unmarshal(cut(data, 2), reply)
		if err == nil && proto.Unmarshal(data, &generated) != nil {
			t.Fatal("the generated code refuses these bytes")
		}
		if len(*mask) > len(data) || len(output.Data) > len(data) {
			t.Fatal("more than was received")
		}
	})
}

func TestOtherMessagesGoThroughGRPCsCodec(t *testing.T) {
	buffers, err := Codec{}.Marshal(&pb.ExactSum{LowZeroBytes: 3})
	if err != nil {
		t.Fatal(err)
	}
	var sum pb.ExactSum
	if err := (Codec{}).Unmarshal(buffers, &sum); err != nil || sum.GetLowZeroBytes() != 3 {
		t.Errorf("%v, %v", &sum, err)
	}
}

func TestLeaseWaitsUntilAllIsGivenBack(t *testing.T) {
	lease := new(Lease)
	lease.Wait(time.Hour) // nothing was lent
	first, second := lease.buffer(numbered(5000)), lease.buffer(numbered(5000))
	if begun := time.Now(); true {
		lease.Wait(20 * time.Millisecond)
		if time.Since(begun) < 20*time.Millisecond {
			t.Error("it did not wait for what is held")
		}
	}
	first.Free()
	go func() {
		time.Sleep(20 * time.Millisecond)
		second.Free()
	}()
	lease.Wait(time.Hour)
	if held := lease.held.Load(); held != 0 {
		t.Errorf("%d are held", held)
	}
}
