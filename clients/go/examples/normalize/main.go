// Normalize normalizes a row far from zero with a weight, and computes the gradients.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"

	"evenkeel.dev/go/evenkeel"
)

// show prints a name and numbers.
func show(name string, tensor *evenkeel.Tensor) {
	fmt.Print(name)
	for _, value := range tensor.Float32() {
		fmt.Printf(" %.7f", value)
	}
	fmt.Println()
}

func main() {
	client, err := evenkeel.New(cmp.Or(os.Getenv("EVENKEEL_ADDRESS"), "127.0.0.1:50051"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	x := evenkeel.Of([]float32{40000, 40001, 40002, 40003}, 1, 4)
	weight := evenkeel.Weight(evenkeel.Of([]float32{1, 1, 1, 2}))

	y, err := client.LayerNorm(ctx, x, weight, evenkeel.Eps(1e-6), evenkeel.ReturnStatistics())
	if err != nil {
		log.Fatal(err)
	}
	show("output", y.Output)
	show("mean", y.Mean)
	show("rstd", y.Rstd)

	gradOutput := evenkeel.Of([]float32{1, 0, 0, 0}, 1, 4)
	gradients, err := client.NormalizeBackward(ctx, x, gradOutput, evenkeel.Layer, weight, evenkeel.Eps(1e-6))
	if err != nil {
		log.Fatal(err)
	}
	show("grad_input", gradients.GradInput)
	show("grad_weight", gradients.GradWeight)
}
