// First_call normalizes a row of numbers.
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
	x := []float32{40000, 40001, 40002, 40003}
	y, err := client.LayerNorm(context.Background(), evenkeel.Of(x, 1, 4))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y.Output.Float32())
}
