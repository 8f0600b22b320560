// Dropout drops elements, computes the mask without the server, and drops a part and its gradient by the same draws.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"
	"slices"

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
	x := slices.Repeat([]float32{1}, 16)

	dropped, err := client.Dropout(ctx, evenkeel.Of(x, 2, 8), 0.3, 42, evenkeel.ReturnMask())
	if err != nil {
		log.Fatal(err)
	}
	show("output", dropped.Output)
	fmt.Println("kept", dropped.Kept)
	mask, err := evenkeel.KeepMask(42, 0, len(x), 0.3)
	if err != nil {
		log.Fatal(err)
	}
	same := "no"
	if slices.Equal(mask, dropped.Mask.Bools()) {
		same = "yes"
	}
	fmt.Println("same mask", same)

	second, err := client.Dropout(ctx, evenkeel.Of(x[8:], 1, 8), 0.3, 42, evenkeel.Offset(8))
	if err != nil {
		log.Fatal(err)
	}
	show("second row", second.Output)
	gradOutput := evenkeel.Of([]float32{1, 2, 3, 4, 5, 6, 7, 8}, 1, 8)
	gradInput, err := client.DropoutBackward(ctx, gradOutput, 0.3, 42, evenkeel.Offset(8))
	if err != nil {
		log.Fatal(err)
	}
	show("grad_input", gradInput)
}
