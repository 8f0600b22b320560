// Bench compares the client with the generated stub, for a layer norm of float32 rows of 1024 elements: one line of JSON for each
// size, with the median time of a call by each, in turns.
//
//	go run ./bench -evenkeel PATH
//
// EVENKEEL_ADDRESS names a server that runs already, which must take messages of more than 64 MiB. EVENKEEL_BENCH_SCALE is a factor
// for the number of rounds, such as 0.1.
package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"runtime/pprof"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"evenkeel.dev/go/evenkeel"
	"evenkeel.dev/go/evenkeel/evenkeeltest"
	evenkeelv1 "evenkeel.dev/go/evenkeel/v1"
)

const row = 1024

// measured is a way to make the call.
type measured func(ctx context.Context, x []float32) ([]float32, error)

func byClient(client *evenkeel.Client) measured {
	return func(ctx context.Context, x []float32) ([]float32, error) {
		y, err := client.LayerNorm(ctx, evenkeel.Of(x, len(x)/row, row))
		if err != nil {
			return nil, err
		}
		return y.Output.Float32(), nil
	}
}

// byStub is the shortest correct code that a user of the generated stub writes.
func byStub(stub evenkeelv1.TensorOpsServiceClient) measured {
	return func(ctx context.Context, x []float32) ([]float32, error) {
		data, err := binary.Append(nil, binary.LittleEndian, x)
		if err != nil {
			return nil, err
		}
		response, err := stub.Normalize(ctx, &evenkeelv1.NormalizeRequest{
			Kind: evenkeelv1.NormKind_NORM_KIND_LAYER,
			Input: &evenkeelv1.Tensor{
				Dtype: evenkeelv1.DataType_DATA_TYPE_FLOAT32,
				Shape: []int64{int64(len(x) / row), row},
				Data:  data,
			},
		})
		if err != nil {
			return nil, err
		}
		y := make([]float32, len(x))
		_, err = binary.Decode(response.GetOutput().GetData(), binary.LittleEndian, y)
		return y, err
	}
}

// seconds is the time of a call, the mean of some one after the other.
func seconds(call measured, x []float32, calls int) float64 {
	begun := time.Now()
	for range calls {
		if _, err := call(context.Background(), x); err != nil {
			log.Fatal(err)
		}
	}
	return time.Since(begun).Seconds() / float64(calls)
}

func compare(client, stub measured, bytes int, rounds int) map[string]any {
	x := make([]float32, bytes/4)
	for i := range x {
		x[i] = float32(i%997) - 500
	}
	a, errA := client(context.Background(), x)
	b, errB := stub(context.Background(), x)
	if errA != nil || errB != nil || !slices.Equal(a, b) {
		log.Fatal("client and stub differ: ", errA, errB)
	}
	calls := max(1, min(200, (16<<20)/bytes))
	var clients, stubs []float64
	for range rounds {
		clients = append(clients, seconds(client, x, calls))
		stubs = append(stubs, seconds(stub, x, calls))
	}
	c, s := median(clients), median(stubs)
	return map[string]any{"bytes": bytes, "client_seconds": c, "stub_seconds": s, "ratio": math.Round(100*s/c) / 100}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func main() {
	binary := flag.String("evenkeel", "", "the server's binary; EVENKEEL_BINARY or that on the PATH without it")
	rounds := flag.Int("rounds", 15, "the number of rounds")
	profile := flag.String("cpuprofile", "", "a file for a profile of the client alone")
	flag.Parse()
	scale, err := strconv.ParseFloat(cmp.Or(os.Getenv("EVENKEEL_BENCH_SCALE"), "1"), 64)
	if err != nil {
		log.Fatal("EVENKEEL_BENCH_SCALE: ", err)
	}
	address := os.Getenv("EVENKEEL_ADDRESS")
	if address == "" {
		server, err := evenkeeltest.Launch(*binary, "--max-message-bytes", "134217728")
		if err != nil {
			log.Fatal(err)
		}
		defer server.Stop()
		address = server.Address
	}
	client, err := evenkeel.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	connection, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(128<<20)))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	stub := byStub(evenkeelv1.NewTensorOpsServiceClient(connection))
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			log.Fatal(err)
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			log.Fatal(err)
		}
		x := make([]float32, 1<<20)
		fmt.Println(seconds(byClient(client), x, 400))
		pprof.StopCPUProfile()
		return
	}
	for _, bytes := range []int{4 << 10, 256 << 10, 4 << 20, 64 << 20} {
		line, err := json.Marshal(compare(byClient(client), stub, bytes, max(1, int(scale*float64(*rounds)))))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(line))
	}
}
