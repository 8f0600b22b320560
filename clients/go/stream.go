package evenkeel

import (
	"io"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"evenkeel.dev/go/evenkeel/internal/wire"
)

// dataNumber is the number of the next bytes of a tensor in the messages of all streams of tensors.
const dataNumber protowire.Number = 15

// sendData sends bytes in messages that have nothing else.
func sendData(send sender, data []byte, number protowire.Number, chunk int) error {
	for len(data) > 0 {
		message := new(wire.Message)
		n := min(chunk, len(data))
		message.Bytes(number, data[:n])
		if err := send(message); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// nested is a message with one field, which is another message.
func nested(number protowire.Number, inner *wire.Message) *wire.Message {
	message := new(wire.Message)
	message.Nested(number, inner)
	return message
}

// output is memory that the chunks of a response fill.
type output struct {
	field   string
	missing []byte
}

// take reads a chunk of n bytes.
func (o *output) take(reader *mem.Reader, n int) error {
	if n > len(o.missing) {
		return broken(o.field, "has %d bytes where %d are missing", n, len(o.missing))
	}
	if n > 0 {
		if _, err := io.ReadFull(reader, o.missing[:n]); err != nil {
			return err
		}
	}
	o.missing = o.missing[n:]
	return nil
}

func (o *output) complete() error {
	if len(o.missing) > 0 {
		return broken(o.field, "lacks the last %d bytes", len(o.missing))
	}
	return nil
}

// progress is where a response is: its header comes first, its summary last.
type progress struct{ begun, ended bool }

// note takes a message that is a header, a summary or neither.
func (p *progress) note(header, summary bool) error {
	switch {
	case p.ended:
		return broken("summary", "is not the last message of the stream")
	case header && p.begun:
		return broken("header", "comes a second time")
	case !header && !p.begun:
		return broken("header", "is missing: it is the first message")
	}
	p.begun, p.ended = true, summary
	return nil
}

func (p *progress) complete() error {
	if !p.ended {
		return broken("summary", "is missing at the end of the stream")
	}
	return nil
}

// native turns elements that have arrived into those of this machine.
func (t *Tensor) native() *Tensor {
	if isBigEndian {
		swapBytes(t.bytes, t.dtype.Size())
	}
	return t
}
