// Dropout drops elements, and computes the mask again without the server.
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

func main() {
	client, err := evenkeel.New(cmp.Or(os.Getenv("EVENKEEL_ADDRESS"), "127.0.0.1:50051"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	const p, seed = 0.3, 42
	ones := slices.Repeat([]float32{1}, 16)
	y, err := client.Dropout(context.Background(), evenkeel.Of(ones, 2, 8), p, seed, evenkeel.ReturnMask())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y.Output.Float32())
	fmt.Println("kept", y.Kept)

	mask, err := evenkeel.KeepMask(seed, 0, len(ones), p)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the same mask:", slices.Equal(mask, y.Mask.Bools()))
}
