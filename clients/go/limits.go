package evenkeel

import (
	"errors"
	"log/slog"
	"math"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
)

const (
	// leastMessage is such that no server has a lower limit: shorter messages are sent without asking for it.
	leastMessage = 1 << 10
	// mostChunk is the longest chunk of a stream that this client sends.
	mostChunk = 1 << 20
	// chunkOverhead is what a chunk has in a message beside its bytes, with room to spare.
	chunkOverhead = 64
)

// limits are those of the server, as far as they determine how calls are made.
type limits struct {
	// message is the longest message that the server takes or sends.
	message uint64
	// stream is the longest chunk that it sends in a stream of a tensor; 0: it has no such streams.
	stream uint64
}

// unlimited are the limits of a server that does not tell.
var unlimited = &limits{message: math.MaxInt32}

// chunk is the most bytes of a tensor in a message that has some other bytes.
func (l *limits) chunk() int {
	most := uint64(mostChunk)
	if l.stream > 0 {
		most = min(most, l.stream)
	}
	return int(max(min(most, l.message-min(l.message, chunkOverhead)), 1))
}

// askLimits is the server's limits, for which the client asks once.
func (c *call) askLimits() (*limits, error) {
	if known := c.client.limits.Load(); known != nil {
		return known, nil
	}
	_, asked, err := c.serverInfo()
	var refused *CallError
	if errors.As(err, &refused) {
		switch refused.Code {
		case codes.Unimplemented: // an older server stays one
			c.client.limits.Store(unlimited)
			return unlimited, nil
		case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded, codes.Canceled:
			return nil, err
		default: // a proxy may refuse this call; what is wrong with others is told by the call itself
			return unlimited, nil
		}
	}
	return asked, nil
}

// needsStream says whether a call with messages of so many bytes has to be a stream.
func (c *call) needsStream(size int) (bool, *limits, error) {
	if size <= leastMessage {
		return false, nil, nil
	}
	l, err := c.askLimits()
	if err != nil {
		return false, nil, err
	}
	return uint64(size) > l.message && l.stream > 0, l, nil
}

// becomesStream says whether a call that the server has refused as no stream has to be one: its answer, of so many bytes at most, is
// too large for a message, or the server has other limits than before.
func (c *call) becomesStream(err error, most int) (*limits, bool) {
	var tooLarge *MessageTooLarge
	if !errors.As(err, &tooLarge) || most <= leastMessage {
		return nil, false
	}
	c.client.limits.Store(nil)
	l, failed := c.askLimits()
	return l, failed == nil && l.stream > 0 && uint64(most) > l.message
}

// checkVersion warns once of a server that may not fit this client: of another major version, or more than one minor apart.
func (c *Client) checkVersion(server string) {
	own, ok := parseVersion(Version)
	other, known := parseVersion(server)
	if !ok || known && own[0] == other[0] && max(own[1]-other[1], other[1]-own[1]) <= 1 {
		return
	}
	c.warned.Do(func() {
		logger := c.settings.logger
		if logger == nil {
			logger = slog.Default()
		}
		logger.Warn("the evenkeel server's version may not fit this client's", "server", server, "client", Version)
	})
}

// parseVersion is major and minor of a version.
func parseVersion(version string) (numbers [2]int, ok bool) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return numbers, false
	}
	for i := range numbers {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return numbers, false
		}
		numbers[i] = n
	}
	return numbers, true
}
