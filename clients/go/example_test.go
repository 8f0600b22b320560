package evenkeel_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"evenkeel.dev/go/evenkeel"
)

func ExampleClient_LayerNorm() {
	client, err := evenkeel.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	x := []float32{40000, 40001, 40002, 40003}
	y, err := client.LayerNorm(context.Background(), evenkeel.Of(x, 1, 4))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y.Output.Float32())
	// Output: [-1.3416355 -0.4472118 0.4472118 1.3416355]
}

func ExampleClient_Normalize() {
	client, err := evenkeel.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	x := evenkeel.Of([]float32{1, 3, 10, 30}, 1, 4)
	y, err := client.Normalize(context.Background(), x, evenkeel.Group(2), evenkeel.ReturnStatistics())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y.Output, y.Axes, y.Mean.Float32())
	// Output: float32[1 4] [1] [2 20]
}

func ExampleClient_NormalizeBackward() {
	client, err := evenkeel.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	x := evenkeel.Of([]float32{3, 5, -2, 2}, 2, 2)
	gradOutput := evenkeel.Of([]float32{1, 2, 3, 4}, 2, 2)
	bias := evenkeel.Of([]float32{0, 0})
	gradients, err := client.NormalizeBackward(context.Background(), x, gradOutput, evenkeel.Layer, evenkeel.Bias(bias))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(gradients.GradBias.Float32())
	// Output: [4 6]
}

func ExampleClient_Dropout() {
	client, err := evenkeel.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	x := evenkeel.Of([]float32{1, 1, 1, 1, 1, 1, 1, 1})
	y, err := client.Dropout(context.Background(), x, 0.5, 42)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y.Output.Float32(), y.Kept)
	// Output: [0 2 0 0 2 2 0 0] 3
}

func ExampleKeepMask() {
	kept, err := evenkeel.KeepMask(42, 0, 8, 0.5)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(kept)
	// Output: [false true false false true true false false]
}

func ExampleClient_ClipGradNorm() {
	client, err := evenkeel.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	gradients := evenkeel.Gradients{
		{Name: "w", Tensor: evenkeel.Of([]float32{3, 0})},
		{Name: "b", Tensor: evenkeel.Of([]float32{0, 4})},
	}
	clipped, err := client.ClipGradNorm(context.Background(), gradients, 1, evenkeel.Epsilon(0))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(clipped.TotalNorm, clipped.Scale, clipped.Gradients.Map()["w"].Float32())
	// Output: 5 0.2 [0.6 0]
}

func ExampleClient_MeasureGradients() {
	client, err := evenkeel.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	norm, err := client.MeasureGradients(context.Background(), evenkeel.Unnamed(evenkeel.Of([]float32{3})))
	if err != nil {
		log.Fatal(err)
	}
	other, err := client.MeasureGradients(context.Background(), evenkeel.Unnamed(evenkeel.Of([]float64{4})))
	if err != nil {
		log.Fatal(err)
	}
	if err := norm.Merge(other); err != nil {
		log.Fatal(err)
	}
	fmt.Println(norm.TotalNorm())
	// Output: 5
}

func ExampleClient_MeasureStatistics() {
	client, err := evenkeel.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	x, others := evenkeel.Of([]float32{1, 2}, 2, 1), evenkeel.Of([]float32{3, 6}, 2, 1)
	statistics, err := client.MeasureStatistics(ctx, x, evenkeel.Batch)
	if err != nil {
		log.Fatal(err)
	}
	theirs, err := client.MeasureStatistics(ctx, others, evenkeel.Batch)
	if err != nil {
		log.Fatal(err)
	}
	if err := statistics.Merge(theirs); err != nil {
		log.Fatal(err)
	}
	y, err := client.BatchNorm(ctx, x, evenkeel.Statistics(statistics), evenkeel.ReturnStatistics())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y.Mean.Float32()) // of all four
	// Output: [3]
}

func ExampleInvalidArgument() {
	client, err := evenkeel.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	_, err = client.LayerNorm(context.Background(), evenkeel.Of([]float32{1, 2}), evenkeel.Axes(7))
	var bad *evenkeel.InvalidArgument
	if errors.As(err, &bad) {
		fmt.Println(bad.Fields[0].Path)
	}
	// Output: axes[0]
}

func ExampleToBFloat16() {
	x := []evenkeel.BFloat16{evenkeel.ToBFloat16(0.1), evenkeel.ToBFloat16(2.5)}
	fmt.Println(x, evenkeel.Of(x).Float32())
	// Output: [0.100097656 2.5] [0.100097656 2.5]
}
