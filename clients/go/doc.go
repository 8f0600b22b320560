// Package evenkeel is a client of evenkeel, a gRPC service for the operations that keep the training of neural networks stable:
// normalization, dropout and gradient clipping, with PyTorch's semantics and results that are the same on every machine, to the
// last bit.
//
//	client, err := evenkeel.New("127.0.0.1:50051")
//	defer client.Close()
//	y, err := client.LayerNorm(ctx, evenkeel.Of(x, 256, 1024))
//
// # Tensors
//
// [Of] makes a tensor of a slice of float32, float64, [Float16] or [BFloat16], without copying it; results have memory of their own,
// which [Tensor.Float32] and its like return as slices. See [Tensor] for when a slice may be changed.
//
// # Calls
//
// Each call takes a context, whose deadline and cancellation reach the server; without a deadline it has [WithTimeout]'s. Calls are
// repeated if the server is overloaded or unavailable: no call changes state, and each try has the same bits. Tensors that are
// larger than the server's messages go through streams by themselves, with the same result; a stream takes little memory beside its
// result. A client may be used by any number of goroutines, and leaves no goroutine behind when it is closed.
//
// # Errors
//
// Every error of a call wraps a [CallError], most of them as a more exact type:
//
//	var bad *evenkeel.InvalidArgument
//	if errors.As(err, &bad) {
//		for _, field := range bad.Fields { // eps: -1 is negative
//			fmt.Println(field)
//		}
//	}
//
// # Tensors on several machines
//
// [Client.MeasureGradients] and [Client.MeasureStatistics] turn a part into a partial of some hundred bytes, which merges with
// others, in any order, without rounding. [TotalNorm] and [Statistics] then give each part the bytes that it has in one call with
// all parts.
//
// # Tests
//
// The package evenkeeltest starts a server for a test.
package evenkeel
