// Merge measures gradients and a row in two parts, as two workers would, and computes one part by the measures of both.
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
func show[T float32 | float64](name string, values ...T) {
	fmt.Print(name)
	for _, value := range values {
		fmt.Printf(" %.7f", value)
	}
	fmt.Println()
}

// must ends the program at an error, and is the value without one.
func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	client := must(evenkeel.New(cmp.Or(os.Getenv("EVENKEEL_ADDRESS"), "127.0.0.1:50051")))
	defer client.Close()
	ctx := context.Background()

	here := evenkeel.Gradients{{Name: "w", Tensor: evenkeel.Of([]float32{3})}}
	there := evenkeel.Gradients{{Name: "w", Tensor: evenkeel.Of([]float32{4})}}
	sent := must(must(client.MeasureGradients(ctx, there)).MarshalBinary()) // from the other worker
	norm, other := must(client.MeasureGradients(ctx, here)), new(evenkeel.NormPartial)
	if err := other.UnmarshalBinary(sent); err != nil {
		log.Fatal(err)
	}
	if err := norm.Merge(other); err != nil {
		log.Fatal(err)
	}
	show("total_norm", norm.TotalNorm())
	fmt.Println("elements", norm.Elements())
	clipped := must(client.ClipGradNorm(ctx, here, 1, evenkeel.TotalNorm(norm.TotalNorm())))
	show("clipped here", clipped.Gradients[0].Tensor.Float32()...)

	first, second := evenkeel.Of([]float32{40000, 40001}, 1, 2), evenkeel.Of([]float32{40002, 40003}, 1, 2)
	sent = must(must(client.MeasureStatistics(ctx, first, evenkeel.Layer)).MarshalBinary()) // from the other worker
	statistics, others := must(client.MeasureStatistics(ctx, second, evenkeel.Layer)), new(evenkeel.StatisticsPartial)
	if err := others.UnmarshalBinary(sent); err != nil {
		log.Fatal(err)
	}
	if err := statistics.Merge(others); err != nil {
		log.Fatal(err)
	}
	y := must(client.LayerNorm(ctx, second, evenkeel.Statistics(statistics)))
	show("normalized here", y.Output.Float32()...)
}
