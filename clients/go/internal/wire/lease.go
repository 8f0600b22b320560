package wire

import (
	"sync/atomic"
	"time"

	"google.golang.org/grpc/mem"
)

// Lease knows whether gRPC still holds memory of the caller's; the zero value is a lease of nothing. One goroutine lends, and waits
// or passes the lease on. gRPC gives memory back that it has written to the connection or
// dropped with a call; it never gives it back if the connection breaks first.
type Lease struct {
	held atomic.Int64
	// released is made with the first loan.
	released chan struct{}
}

var _ mem.BufferPool = (*Lease)(nil)

// buffer lends bytes to gRPC. They must be longer than those that gRPC copies, which it does not give back.
func (l *Lease) buffer(bytes []byte) mem.Buffer {
	if l.released == nil {
		l.released = make(chan struct{}, 1)
	}
	l.held.Add(1)
	return mem.NewBuffer(&bytes, l)
}

// Get makes a Lease a pool for gRPC, which asks only other pools for memory.
func (l *Lease) Get(int) *[]byte { panic("evenkeel: a lease has no memory to give") }

// Put takes memory back.
func (l *Lease) Put(*[]byte) {
	if l.held.Add(-1) == 0 {
		select {
		case l.released <- struct{}{}:
		default:
		}
	}
}

// Wait waits until gRPC holds nothing, for so long at most. No more may be lent meanwhile.
func (l *Lease) Wait(limit time.Duration) {
	if l.held.Load() == 0 {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for l.held.Load() > 0 {
		select {
		case <-l.released:
		case <-timer.C:
			return
		}
	}
}
