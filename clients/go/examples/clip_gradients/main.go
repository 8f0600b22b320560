// Clip_gradients scales gradients so that their norm is 1.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"evenkeel.dev/go/evenkeel"
)

func main() {
	client, err := evenkeel.New(cmp.Or(os.Getenv("EVENKEEL_ADDRESS"), "127.0.0.1:50051"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	gradients := evenkeel.Gradients{
		{Name: "w", Tensor: evenkeel.Of([]float32{3, 0})},
		{Name: "b", Tensor: evenkeel.Of([]float32{0, 4})},
	}
	clipped, err := client.ClipGradNorm(context.Background(), gradients, 1, evenkeel.ErrorIfNonfinite())
	var nonfinite *evenkeel.NonfiniteNorm
	if errors.As(err, &nonfinite) {
		log.Fatal("skip this step: ", nonfinite.Gradients)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("norm", clipped.TotalNorm, "scale", clipped.Scale)
	for _, gradient := range clipped.Gradients {
		fmt.Println(gradient.Name, gradient.Tensor.Float32())
	}
}
