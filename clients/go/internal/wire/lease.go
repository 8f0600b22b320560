package wire

import (
	"sync/atomic"
	"time"

	"google.golang.org/grpc/mem"
)

// Lease knows whether gRPC still holds memory of the caller's. gRPC gives memory back that it has written to the connection or
// dropped with a call; it never gives it back if the connection breaks first.
type Lease struct {
	held     atomic.Int64
	released chan struct{}
}

var _ mem.BufferPool = (*Lease)(nil)

// NewLease is a lease of nothing.
func NewLease() *Lease { return &Lease{released: make(chan struct{}, 1)} }

// buffer lends bytes to gRPC. They must be longer than those that gRPC copies, which it does not give back.
func (l *Lease) buffer(bytes []byte) mem.Buffer {
	l.held.Add(1)
	return mem.NewBuffer(&bytes, l)
}

// Get makes a Lease a pool for gRPC, which asks a pool only for memory to write to.
func (l *Lease) Get(length int) *[]byte {
	bytes := make([]byte, length)
	l.held.Add(1)
	return &bytes
}

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
