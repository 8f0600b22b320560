// Normalize normalizes a row with a weight, and prints its statistics and the gradient of its input.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"evenkeel.dev/go/evenkeel"
)

func main() {
	client, err := evenkeel.New(cmp.Or(os.Getenv("EVENKEEL_ADDRESS"), "127.0.0.1:50051"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()

	x := evenkeel.Of([]float32{40000, 40001, 40002, 40003}, 1, 4)
	weight := evenkeel.Weight(evenkeel.Of([]float32{1, 1, 1, 2}))
	y, err := client.Normalize(ctx, x, evenkeel.Layer, weight, evenkeel.Eps(1e-6), evenkeel.ReturnStatistics())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y.Output.Float32(), "mean", y.Mean.Float32(), "rstd", y.Rstd.Float32())

	gradOutput := evenkeel.Of([]float32{1, 0, 0, 0}, 1, 4)
	gradients, err := client.NormalizeBackward(ctx, x, gradOutput, evenkeel.Layer, weight, evenkeel.Eps(1e-6))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(gradients.GradInput.Float32(), gradients.GradWeight.Float32())
}
