package evenkeel_test

import (
	"context"
	"slices"
	"testing"

	"evenkeel.dev/go/evenkeel"
	"evenkeel.dev/go/evenkeel/evenkeeltest"
)

// Results are those of a server that takes the tensors in one message, bit for bit.
func TestStreamsHaveTheBytesOfOneMessage(t *testing.T) {
	unary := evenkeeltest.Start(t).Client()
	streamed := evenkeeltest.Start(t, "--max-message-bytes", "16384", "--max-stream-chunk-bytes", "4096").Client()
	x := evenkeel.Of(random(30_000), 30, 1000)
	g := evenkeel.Gradients{
		{Name: "w", Tensor: x}, {Name: "empty", Tensor: evenkeel.Of([]float64{}, 0)},
		{Name: "b", Tensor: evenkeel.Of(random(5000)).Convert(evenkeel.BF16)},
	}
	weight := evenkeel.Weight(evenkeel.Of(random(1000)))
	type result struct {
		tensors []*evenkeel.Tensor
		numbers []float64
		mask    []byte
	}
	normalized := func(y *evenkeel.Normalized, err error) (result, error) {
		if err != nil {
			return result{}, err
		}
		return result{tensors: []*evenkeel.Tensor{y.Output, y.Mean, y.Rstd}}, nil
	}
	clipped := func(y *evenkeel.Clipped, err error) (result, error) {
		if err != nil {
			return result{}, err
		}
		r := result{numbers: append([]float64{y.TotalNorm, y.Scale, float64(y.ClippedElements)}, y.TensorNorms...)}
		for _, gradient := range y.Gradients {
			r.tensors = append(r.tensors, gradient.Tensor)
		}
		return r, nil
	}
	for name, call := range map[string]func(context.Context, *evenkeel.Client) (result, error){
		"layer": func(ctx context.Context, c *evenkeel.Client) (result, error) {
			return normalized(c.LayerNorm(ctx, x, weight, evenkeel.ReturnStatistics()))
		},
		"batch": func(ctx context.Context, c *evenkeel.Client) (result, error) {
			return normalized(c.BatchNorm(ctx, x))
		},
		"statistics longer than the output": func(ctx context.Context, c *evenkeel.Client) (result, error) {
			halves := evenkeel.Of(random(4000), 2, 2000).Convert(evenkeel.F16)
			return normalized(c.Normalize(ctx, halves, evenkeel.Layer, evenkeel.Axes(0), evenkeel.ReturnStatistics()))
		},
		"dropout": func(ctx context.Context, c *evenkeel.Client) (result, error) {
			y, err := c.Dropout(ctx, x, 0.3, 42, evenkeel.ReturnMask(), evenkeel.Offset(5))
			if err != nil {
				return result{}, err
			}
			return result{tensors: []*evenkeel.Tensor{y.Output}, numbers: []float64{float64(y.Kept)}, mask: y.Mask.Bytes()}, nil
		},
		"dropout backward": func(ctx context.Context, c *evenkeel.Client) (result, error) {
			y, err := c.DropoutBackward(ctx, x, 0.3, 42)
			return result{tensors: []*evenkeel.Tensor{y}}, err
		},
		"clip by norm": func(ctx context.Context, c *evenkeel.Client) (result, error) {
			return clipped(c.ClipGradNorm(ctx, g, 1))
		},
		"clip by each norm": func(ctx context.Context, c *evenkeel.Client) (result, error) {
			return clipped(c.ClipGradNorm(ctx, g, 1, evenkeel.PerTensor(), evenkeel.NormType(1)))
		},
		"clip by value": func(ctx context.Context, c *evenkeel.Client) (result, error) {
			return clipped(c.ClipGradValue(ctx, g, 0.5))
		},
	} {
		expected, err := call(t.Context(), unary)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := call(t.Context(), streamed)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		same := slices.EqualFunc(got.tensors, expected.tensors, func(a, b *evenkeel.Tensor) bool {
			return a == nil && b == nil || a != nil && b != nil && slices.Equal(a.Bytes(), b.Bytes()) && a.String() == b.String()
		})
		if !same || !slices.Equal(got.numbers, expected.numbers) || !slices.Equal(got.mask, expected.mask) {
			t.Errorf("%s: the stream has another result", name)
		}
	}
	if _, err := streamed.NormalizeBackward(t.Context(), x, x, evenkeel.Layer); !is[*evenkeel.MessageTooLarge](err) {
		t.Errorf("%v", err)
	}
}

// A server with little memory asks for two passes.
func TestTwoPasses(t *testing.T) {
	server := evenkeeltest.Start(t, "--max-message-bytes", "65536", "--max-bytes-in-flight", "1048576")
	little, plenty := server.Client(), evenkeeltest.Start(t).Client()
	x := evenkeel.Of(random(1<<20), 1<<16, 16)
	gradients := evenkeel.Gradients{{Name: "w", Tensor: x}, {Name: "v", Tensor: evenkeel.Of(random(1 << 19))}}
	for _, options := range [][]evenkeel.ClipOption{nil, {evenkeel.PerTensor()}} {
		got, err := little.ClipGradNorm(t.Context(), gradients, 1, options...)
		if err != nil {
			t.Fatal(err)
		}
		expected, err := plenty.ClipGradNorm(t.Context(), gradients, 1, options...)
		if err != nil {
			t.Fatal(err)
		}
		if got.TotalNorm != expected.TotalNorm || got.Scale != expected.Scale || !slices.Equal(got.TensorNorms, expected.TensorNorms) {
			t.Errorf("%v, %v instead of %v, %v", got.TotalNorm, got.Scale, expected.TotalNorm, expected.Scale)
		}
		for i := range gradients {
			if !slices.Equal(got.Gradients[i].Tensor.Bytes(), expected.Gradients[i].Tensor.Bytes()) {
				t.Errorf("gradient %d differs", i)
			}
		}
	}
	if _, err := little.ClipGradNorm(t.Context(), gradients, 1, evenkeel.NotAbove()); !is[*evenkeel.NeedsTwoPasses](err) {
		t.Errorf("%v", err)
	}
	got, err := little.BatchNorm(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	expected, err := plenty.BatchNorm(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	if !close32(got.Output.Float32(), expected.Output.Float32()) {
		t.Error("the normalization differs")
	}
}
