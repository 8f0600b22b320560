// Clip_gradients clips two gradients by their common norm and by value, and refuses those whose norm is infinite.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"math"
	"os"

	"evenkeel.dev/go/evenkeel"
)

// show prints a name and numbers.
func show[T float32 | float64](name string, values ...T) {
	fmt.Print(name)
	for _, value := range values {
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
	w, b := []float32{3, 0}, []float32{0, 4}
	gradients := evenkeel.Gradients{{Name: "w", Tensor: evenkeel.Of(w)}, {Name: "b", Tensor: evenkeel.Of(b)}}

	clipped, err := client.ClipGradNorm(ctx, gradients, 1)
	if err != nil {
		log.Fatal(err)
	}
	show("total_norm", clipped.TotalNorm)
	show("scale", clipped.Scale)
	for _, gradient := range clipped.Gradients {
		show(gradient.Name, gradient.Tensor.Float32()...)
	}

	clamped, err := client.ClipGradValue(ctx, gradients, 3.5)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("clipped_elements", clamped.ClippedElements)
	for _, gradient := range clamped.Gradients {
		show(gradient.Name, gradient.Tensor.Float32()...)
	}

	b[0] = float32(math.Inf(1))
	_, err = client.ClipGradNorm(ctx, gradients, 1, evenkeel.ErrorIfNonfinite())
	var nonfinite *evenkeel.NonfiniteNorm
	if !errors.As(err, &nonfinite) {
		log.Fatal("expected a norm that is not finite: ", err)
	}
	for _, gradient := range nonfinite.Gradients {
		fmt.Println("skip this step:", gradient.Name)
	}
}
