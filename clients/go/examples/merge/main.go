// Merge measures gradients that live in two places, and clips each part by the norm of both.
package main

import (
	"cmp"
	"context"
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
	ctx := context.Background()

	here := evenkeel.Gradients{{Name: "w", Tensor: evenkeel.Of([]float32{3})}}
	there := evenkeel.Gradients{{Name: "w", Tensor: evenkeel.Of([]float32{4})}}

	norm, err := client.MeasureGradients(ctx, here)
	if err != nil {
		log.Fatal(err)
	}
	other, err := client.MeasureGradients(ctx, there) // in another program: MarshalBinary, send, UnmarshalBinary
	if err != nil {
		log.Fatal(err)
	}
	if err := norm.Merge(other); err != nil {
		log.Fatal(err)
	}
	fmt.Println("total norm", norm.TotalNorm(), "of", norm.Elements(), "elements")

	clipped, err := client.ClipGradNorm(ctx, here, 1, evenkeel.TotalNorm(norm.TotalNorm()))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("this part", clipped.Gradients[0].Tensor.Float32())
}
