package evenkeel

import (
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

// form is what a tensor of a response must have.
type form struct {
	name  string
	dtype DType
	shape []int
}

// like is the form of the tensor, under this name.
func (t *Tensor) like(name string) form { return form{name, t.dtype, t.shape} }

// check says whether a header is of the form.
func (f form) check(field string, header *pb.Tensor) error {
	isDim := func(given int64, due int) bool { return given == int64(due) }
	switch {
	case header == nil:
		return broken(field, "is missing")
	case header.GetName() != f.name:
		return broken(field+".name", "is %.64q where %q is due", header.GetName(), f.name)
	case header.GetDtype() != f.dtype.wire():
		return broken(field+".dtype", "is %v where %v is due", header.GetDtype(), f.dtype)
	case !slices.EqualFunc(header.GetShape(), f.shape, isDim):
		return broken(field+".shape", "is %v where %v is due", header.GetShape(), f.shape)
	}
	return nil
}

// tensor is a tensor of a response that must be of the form.
func (f form) tensor(field string, received *wire.Tensor) (*Tensor, error) {
	if err := f.check(field, received.Header); err != nil {
		return nil, err
	}
	if len(received.Header.GetFloatData()) > 0 {
		return nil, broken(field+".float_data", "answers a request that used data")
	}
	t := FromBytes(f.dtype, received.Data, f.shape...)
	if t.fault != nil {
		return nil, broken(field+"."+t.fault.Path, "%s", t.fault.Description)
	}
	return t, nil
}

// answerTo is a tensor of a response that must have the type and the shape of one that was sent without a name.
func answerTo(field string, sent *Tensor, received *wire.Tensor) (*Tensor, error) {
	return sent.like("").tensor(field, received)
}

// answerIfSent is answerTo for an argument that may be nil; then, and only then, there must be no answer.
func answerIfSent(field string, sent *Tensor, received *wire.Tensor) (*Tensor, error) {
	if sent == nil {
		return answerToOptional(field, nil, received)
	}
	return answerTo(field, sent, received)
}

// answerToOptional is answerTo for an answer that may be missing, and must be if the argument is nil.
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
	if err := t.like(name).check(field, header); err != nil {
		return err
	}
	if len(header.GetData()) > 0 || len(header.GetFloatData()) > 0 {
		return broken(field+".data", "has elements, which do not belong in a header")
	}
	return nil
}
