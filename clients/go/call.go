package evenkeel

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
)

const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
	// maxDelay is the longest delay of a server's that is waited for, whatever the deadline.
	maxDelay = time.Minute
)

// call is a call of the program's, which may take several of gRPC's: retries, passes, and the question for the limits. They have
// one deadline and one number of retries.
type call struct {
	client  *Client
	ctx     context.Context
	end     context.CancelFunc
	retries int
	backoff time.Duration
}

// begin begins a call, which must be ended with end.
func (c *Client) begin(ctx context.Context) *call {
	end := func() {}
	if _, has := ctx.Deadline(); !has && c.settings.timeout > 0 {
		ctx, end = context.WithTimeout(ctx, c.settings.timeout)
	}
	return &call{client: c, ctx: ctx, end: end, retries: c.settings.retries, backoff: firstBackoff}
}

// try makes a call of gRPC's, and makes it again where that may help.
func (c *call) try(attempt func(*grpc.ClientConn) error) error {
	for {
		connections := c.client.connections
		connection := connections[(c.client.calls.Add(1)-1)%uint64(len(connections))]
		err := fromGRPC(c.ctx, attempt(connection))
		if err == nil || c.retries == 0 {
			return err
		}
		delay, again := c.delay(err)
		if deadline, has := c.ctx.Deadline(); !again || has && time.Until(deadline) <= delay {
			return err
		}
		c.retries--
		var unavailable *Unavailable
		if errors.As(err, &unavailable) {
			connection.ResetConnectBackoff() // connects anew during the delay
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-c.ctx.Done():
			timer.Stop()
			return fromGRPC(c.ctx, c.ctx.Err())
		}
	}
}

// delay is how long to wait before the next try, and whether there is one.
func (c *call) delay(err error) (time.Duration, bool) {
	var overloaded *Overloaded
	if errors.As(err, &overloaded) && overloaded.RetryAfter > 0 {
		return overloaded.RetryAfter, overloaded.RetryAfter <= maxDelay
	}
	var unavailable *Unavailable
	if overloaded == nil && !errors.As(err, &unavailable) {
		return 0, false
	}
	delay := time.Duration(float64(c.backoff) * (0.8 + 0.4*rand.Float64()))
	c.backoff = min(2*c.backoff, maxBackoff)
	return min(delay, maxBackoff), true
}
