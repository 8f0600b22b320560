package evenkeel

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"

	"evenkeel.dev/go/evenkeel/internal/wire"
)

// letGo is how long a call waits for gRPC to let go of its tensors.
const letGo = 100 * time.Millisecond

// unary sends a message and receives one.
func (c *call) unary(method string, message *wire.Message, reply *wire.Reply) error {
	return c.try(func(connection *grpc.ClientConn) error {
		lease := new(wire.Lease)
		defer lease.Wait(letGo)
		return connection.Invoke(c.ctx, method, wire.Sending{Message: message, Lease: lease}, reply)
	})
}

// sender sends a message of a stream. An error means that the call has ended; the response says why.
type sender func(*wire.Message) error

// receiver takes the messages of a response. Each try of a call has one of its own.
type receiver interface {
	// reply is where the next message goes.
	reply() *wire.Reply
	// take is called when it is there.
	take() error
	// complete is called at the end of the response.
	complete() error
}

// collect sends a stream of messages and receives one.
func (c *call) collect(method string, send func(sender) error, reply *wire.Reply) error {
	return c.exchange(method, &grpc.StreamDesc{ClientStreams: true}, send, func(stream grpc.ClientStream) error {
		err := stream.RecvMsg(reply)
		if err == io.EOF {
			return broken("the message", "is missing")
		}
		return err
	})
}

// both sends a stream of messages and receives one at the same time.
func (c *call) both(method string, send func(sender) error, begin func() receiver) error {
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	return c.exchange(method, desc, send, func(stream grpc.ClientStream) error {
		receiver := begin()
		for {
			err := stream.RecvMsg(receiver.reply())
			if err == io.EOF {
				return receiver.complete()
			}
			if err == nil {
				err = receiver.take()
			}
			if err != nil {
				return err
			}
		}
	})
}

// exchange makes a call whose request is sent by a goroutine of its own, which has ended when exchange returns.
func (c *call) exchange(method string, desc *grpc.StreamDesc, send func(sender) error, receive func(grpc.ClientStream) error) error {
	return c.try(func(connection *grpc.ClientConn) error {
		lease := new(wire.Lease)
		defer lease.Wait(letGo)
		ctx, cancel := context.WithCancel(c.ctx)
		defer cancel()
		stream, err := connection.NewStream(ctx, desc, method)
		if err != nil {
			return err
		}
		sent := make(chan error, 1)
		go func() {
			err := send(func(message *wire.Message) error {
				return stream.SendMsg(wire.Sending{Message: message, Lease: lease})
			})
			switch {
			case err == nil:
				err = stream.CloseSend()
			case !errors.Is(err, io.EOF):
				cancel() // the message cannot be sent
			}
			sent <- err
		}()
		received := receive(stream)
		cancel()
		if failed := <-sent; received != nil && failed != nil && !errors.Is(failed, io.EOF) && c.ctx.Err() == nil {
			return failed
		}
		return received
	})
}
