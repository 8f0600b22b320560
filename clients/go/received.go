package evenkeel

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"evenkeel.dev/go/evenkeel/internal/wire"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// header is the tensor as a message, without its elements.
func (t *Tensor) header(name string) *pb.Tensor {
	header := &pb.Tensor{Name: name, Dtype: t.dtype.wire()}
	for _, dim := range t.shape {
		header.Shape = append(header.Shape, int64(dim))
	}
	return header
}

// appendTo appends the tensor to a message, without copying its elements.
func (t *Tensor) appendTo(message *wire.Message, number protowire.Number, name string) {
	message.Tensor(number, t.header(name), t.Bytes())
}

// empty is a tensor of this type and shape whose elements are still to come.
func (t *Tensor) empty() *Tensor {
	return &Tensor{dtype: t.dtype, shape: t.shape, bytes: newBytes(t.dtype, t.Len())}
}

// tensorOf is a tensor of a response; nil if there was none.
func tensorOf(field string, received *wire.Tensor) (*Tensor, error) {
	if received.Header == nil {
		return nil, nil
	}
	dtype := dtypeOf(received.Header.GetDtype())
	if dtype == 0 {
		return nil, broken(field+".dtype", "is %v, which this client does not know", received.Header.GetDtype())
	}
	if len(received.Header.GetFloatData()) > 0 {
		return nil, broken(field+".float_data", "answers a request that used data")
	}
	shape := make([]int, len(received.Header.GetShape()))
	for i, dim := range received.Header.GetShape() {
		shape[i] = int(dim)
	}
	t := FromBytes(dtype, received.Data, shape...)
	if t.fault != nil {
		return nil, broken(field+"."+t.fault.Path, "%s", t.fault.Description)
	}
	return t, nil
}

// answerTo is a tensor of a response that must have the type and the shape of one that was sent.
func answerTo(field string, sent *Tensor, received *wire.Tensor) (*Tensor, error) {
	t, err := tensorOf(field, received)
	switch {
	case err != nil:
		return nil, err
	case t == nil:
		return nil, broken(field, "is missing")
	}
	return t, t.checkAnswer(field, sent)
}

func (t *Tensor) checkAnswer(field string, sent *Tensor) error {
	switch {
	case t.dtype != sent.dtype:
		return broken(field+".dtype", "is %v where %v was sent", t.dtype, sent.dtype)
	case !slices.Equal(t.shape, sent.shape):
		return broken(field+".shape", "is %v where %v was sent", t.shape, sent.shape)
	}
	return nil
}

// answerToOptional is answerTo for an argument that may be nil; then there must be no answer.
func answerToOptional(field string, sent *Tensor, received *wire.Tensor) (*Tensor, error) {
	switch {
	case received.Header == nil:
		return nil, nil
	case sent == nil:
		return nil, broken(field, "answers nothing that was sent")
	}
	return answerTo(field, sent, received)
}

// describes says whether the header of a stream's response describes the tensor that was sent.
func (t *Tensor) describes(field, name string, header *pb.Tensor) error {
	if header == nil {
		return broken(field, "is missing")
	}
	if header.GetName() != name {
		return broken(field+".name", "is %q where %q was sent", header.GetName(), name)
	}
	given := fmt.Sprint(header.GetDtype(), header.GetShape())
	if sent := fmt.Sprint(t.dtype.wire(), t.shape); given != sent {
		return broken(field, "is %s where %s was sent", given, sent)
	}
	if len(header.GetData()) > 0 || len(header.GetFloatData()) > 0 {
		return broken(field+".data", "has elements, which do not belong in a header")
	}
	return nil
}
