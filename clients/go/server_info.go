package evenkeel

import (
	"context"
	"math"

	pb "evenkeel.dev/go/evenkeel/v1"

	"evenkeel.dev/go/evenkeel/internal/wire"
)

// ServerInfo is a server's version, its limits, and what it computes.
type ServerInfo struct {
	// Version is the server's, under Semantic Versioning.
	Version string
	// MaxMessageBytes is the longest message that it takes or sends. Calls on larger tensors become streams by themselves.
	MaxMessageBytes uint64
	// MaxStreamChunkBytes is the longest chunk that it sends in a stream; 0: it streams no tensors.
	MaxStreamChunkBytes uint64
	// DTypes are the element types that it computes on, of those that this client knows.
	DTypes []DType
	// Kinds are the normalizations that it computes, of those that this client knows.
	Kinds []Kind
	// Compression is the compression methods that it accepts, by gRPC's names. This client does not compress.
	Compression []string
}

// ServerInfo asks the server what it is. The client warns, once and in its log, of a server that is of another major version, or
// more than one minor version apart.
func (c *Client) ServerInfo(ctx context.Context) (*ServerInfo, error) {
	call := c.begin(ctx)
	defer call.end()
	info, _, err := call.serverInfo()
	return info, err
}

func (c *call) serverInfo() (*ServerInfo, *limits, error) {
	var answer pb.GetServerInfoResponse
	err := c.unary(pb.TensorOpsService_GetServerInfo_FullMethodName, new(wire.Message), wire.NewReply(&answer))
	if err != nil {
		return nil, nil, err
	}
	info := &ServerInfo{
		Version:             answer.GetVersion(),
		MaxMessageBytes:     answer.GetMaxMessageBytes(),
		MaxStreamChunkBytes: answer.GetMaxStreamChunkBytes(),
		Compression:         answer.GetCompression(),
	}
	for _, dtype := range answer.GetDtypes() {
		if known := dtypeOf(dtype); known != 0 {
			info.DTypes = append(info.DTypes, known)
		}
	}
	for _, kind := range answer.GetNormKinds() {
		if known := kindOf(kind); known != 0 {
			info.Kinds = append(info.Kinds, known)
		}
	}
	asked := &limits{message: min(info.MaxMessageBytes, math.MaxInt32), stream: info.MaxStreamChunkBytes}
	c.client.limits.Store(asked)
	c.client.checkVersion(info.Version)
	return info, asked, nil
}
