package evenkeel_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"evenkeel.dev/go/evenkeel"
	"evenkeel.dev/go/evenkeel/evenkeeltest"
)

func random(n int) []float32 {
	generator := rand.New(rand.NewPCG(1, uint64(n)))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(generator.NormFloat64())
	}
	return x
}

func close32(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-5 })
}

func TestNormalizations(t *testing.T) {
	client := evenkeeltest.Start(t).Client()
	x := []float32{3, 5, -2, 2, 1, 1, 0, 8}
	for name, test := range map[string]struct {
		y        func(context.Context) (*evenkeel.Normalized, error)
		expected []float32
	}{
		"layer": {func(ctx context.Context) (*evenkeel.Normalized, error) {
			return client.LayerNorm(ctx, evenkeel.Of(x, 4, 2), evenkeel.Eps(0), evenkeel.Weight(evenkeel.Of([]float32{1, 10})), evenkeel.Bias(evenkeel.Of([]float64{1, 0})))
		}, []float32{0, 10, 0, 10, float32(math.NaN()), float32(math.NaN()), 0, 10}},
		"rms": {func(ctx context.Context) (*evenkeel.Normalized, error) {
			return client.RMSNorm(ctx, evenkeel.Of(x[:4], 2, 2), evenkeel.Eps(0))
		}, []float32{0.727607, 1.212678, -1, 1}},
		"batch": {func(ctx context.Context) (*evenkeel.Normalized, error) {
			return client.BatchNorm(ctx, evenkeel.Of(x[:4], 2, 2))
		}, []float32{0.9999992, 0.9999978, -0.9999992, -0.9999978}},
		"instance": {func(ctx context.Context) (*evenkeel.Normalized, error) {
			return client.InstanceNorm(ctx, evenkeel.Of(x[:4], 1, 2, 2))
		}, []float32{-0.999995, 0.999995, -0.99999875, 0.99999875}},
		"group": {func(ctx context.Context) (*evenkeel.Normalized, error) {
			return client.GroupNorm(ctx, evenkeel.Of(x[:4], 1, 4), 2)
		}, []float32{-0.999995, 0.999995, -0.99999875, 0.99999875}},
		"l2": {func(ctx context.Context) (*evenkeel.Normalized, error) {
			return client.L2Norm(ctx, evenkeel.Of([]float32{3, 4}, 1, 2))
		}, []float32{0.6, 0.8}},
	} {
		y, err := test.y(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := y.Output.Float32()
		for i := range got {
			if a, b := float64(got[i]), float64(test.expected[i]); !(math.Abs(a-b) < 1e-5) && !(math.IsNaN(b) && math.IsNaN(a)) {
				t.Errorf("%s: %v instead of %v", name, got, test.expected)
				break
			}
		}
	}
}

func TestRunningStatisticsAndMeans(t *testing.T) {
	client := evenkeeltest.Start(t).Client()
	y, err := client.BatchNorm(t.Context(), evenkeel.Of([]float64{1, 3}, 2, 1),
		evenkeel.RunningMean(evenkeel.Of([]float32{0})), evenkeel.RunningVar(evenkeel.Of([]float64{1})),
		evenkeel.Training(true), evenkeel.Momentum(0.5), evenkeel.ReturnStatistics())
	if err != nil {
		t.Fatal(err)
	}
	if y.Mean.Float64()[0] != 2 || y.Mean.DType() != evenkeel.F64 || y.RunningMean.Float32()[0] != 1 || y.RunningVar.Float64()[0] != 1.5 {
		t.Errorf("%v %v %v", y.Mean.Float64(), y.RunningMean.Float32(), y.RunningVar.Float64())
	}
	if !slices.Equal(y.Axes, []int{0}) || len(y.Rstd.Shape()) != 1 {
		t.Errorf("%v %v", y.Axes, y.Rstd)
	}
}

func TestPartsMerge(t *testing.T) {
	client := evenkeeltest.Start(t).Client()
	x := random(2000)
	whole, err := client.MeasureGradients(t.Context(), evenkeel.Unnamed(evenkeel.Of(x)))
	if err != nil {
		t.Fatal(err)
	}
	var parts []*evenkeel.NormPartial
	var statistics []*evenkeel.StatisticsPartial
	for _, part := range [][]float32{x[1200:], x[:1200]} {
		norm, err := client.MeasureGradients(t.Context(), evenkeel.Unnamed(evenkeel.Of(part)))
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, norm)
		of, err := client.MeasureStatistics(t.Context(), evenkeel.Of(part, len(part)/10, 10), evenkeel.Batch, evenkeel.GradOutput(evenkeel.Of(part, len(part)/10, 10)))
		if err != nil {
			t.Fatal(err)
		}
		statistics = append(statistics, of)
	}
	merged, err := evenkeel.MergeNorms(parts...)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := merged.MarshalBinary()
	b, _ := whole.MarshalBinary()
	if !slices.Equal(a, b) || merged.TotalNorm() != whole.TotalNorm() || merged.Elements() != 2000 {
		t.Error("the norms differ")
	}
	all, err := evenkeel.MergeStatistics(statistics...)
	if err != nil || all.Elements() != 200 || !all.HasGradients() || all.Kind() != evenkeel.Batch || !slices.Equal(all.Shape(), []int{10}) {
		t.Fatalf("%v", err)
	}
	half := evenkeel.Of(x[:1200], 120, 10)
	y, err := client.BatchNorm(t.Context(), half, evenkeel.Statistics(all))
	if err != nil {
		t.Fatal(err)
	}
	together, err := client.BatchNorm(t.Context(), evenkeel.Of(x, 200, 10))
	if err != nil || !close32(y.Output.Float32(), together.Output.Float32()[:1200]) {
		t.Errorf("a part is not normalized as in the whole: %v", err)
	}
	if _, err := client.NormalizeBackward(t.Context(), half, half, evenkeel.Batch, evenkeel.Statistics(all)); err != nil {
		t.Error(err)
	}
	var zero evenkeel.NormPartial
	if err := zero.Merge(whole); !is[*evenkeel.InvalidArgument](err) {
		t.Errorf("%v", err)
	}
}

func TestBackward(t *testing.T) {
	client := evenkeeltest.Start(t).Client()
	x, g := evenkeel.Of([]float32{3, 5, -2, 2}, 2, 2), evenkeel.Of([]float32{1, 2, 3, 4}, 2, 2)
	weight, bias := evenkeel.Of([]float64{1, 1}), evenkeel.Of([]float32{0, 0})
	y, err := client.NormalizeBackward(t.Context(), x, g, evenkeel.Layer, evenkeel.Weight(weight), evenkeel.Bias(bias))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(y.GradBias.Float32(), []float32{4, 6}) || y.GradWeight.DType() != evenkeel.F64 || y.GradInput.Len() != 4 {
		t.Errorf("%+v", y)
	}
	back, err := client.DropoutBackward(t.Context(), evenkeel.Of([]float64{1, 2, 3, 4, 5}), 0.5, 42)
	if err != nil || !slices.Equal(back.Float64(), []float64{0, 4, 0, 0, 10}) {
		t.Errorf("%v, %v", back, err)
	}
}

func TestMasksAreThoseOfTheServer(t *testing.T) {
	client := evenkeeltest.Start(t).Client()
	for _, test := range []struct {
		shape   []int
		draws   int
		options []evenkeel.DropoutOption
	}{
		{[]int{7, 9}, 63, nil},
		{nil, 1, nil},
		{[]int{0, 3}, 0, nil},
		{[]int{3, 5, 2}, 15, []evenkeel.DropoutOption{evenkeel.DropChannels}},
		{[]int{3, 5, 2}, 6, []evenkeel.DropoutOption{evenkeel.DropFeatureAlpha, evenkeel.ChannelAxis(-1)}},
	} {
		n := 1
		for _, dim := range test.shape {
			n *= dim
		}
		x := evenkeel.FromBytes(evenkeel.F32, make([]byte, 4*n), test.shape...)
		options := append(test.options, evenkeel.ReturnMask(), evenkeel.Offset(11))
		y, err := client.Dropout(t.Context(), x, 0.3, 1<<63, options...)
		if err != nil {
			t.Errorf("%v: %v", test.shape, err)
			continue
		}
		kept, err := evenkeel.KeepMask(1<<63, 11, test.draws, 0.3)
		if err != nil || !slices.Equal(y.Mask.Bools(), kept) {
			t.Errorf("%v: %v instead of %v", test.shape, y.Mask.Bools(), kept)
		}
	}
}

func TestFaultsOfTheServer(t *testing.T) {
	client := evenkeeltest.Start(t).Client()
	var bad *evenkeel.InvalidArgument
	_, err := client.LayerNorm(t.Context(), evenkeel.Of(random(6), 2, 3), evenkeel.Axes(2), evenkeel.Eps(-1))
	if !errors.As(err, &bad) || len(bad.Fields) != 2 || bad.Fields[0].Path != "axes[0]" || bad.Fields[1].Path != "eps" {
		t.Errorf("%v", err)
	}
	var nonfinite *evenkeel.NonfiniteNorm
	gradients := evenkeel.Gradients{{Name: "fine", Tensor: evenkeel.Scalar(1.0)}, {Name: "w", Tensor: evenkeel.Of([]float64{math.NaN(), math.Inf(1)})}}
	_, err = client.ClipGradNorm(t.Context(), gradients, 1, evenkeel.ErrorIfNonfinite())
	if !errors.As(err, &nonfinite) || nonfinite.NaNElements != 1 || !math.IsNaN(nonfinite.TotalNorm) ||
		!slices.Equal(nonfinite.Gradients, []evenkeel.NonfiniteGradient{{Index: 1, Name: "w"}}) {
		t.Errorf("%v", err)
	}
}

func TestFaultsThatAreNotSent(t *testing.T) {
	client := newClient(t, "127.0.0.1:1", evenkeel.WithRetries(0))
	x := evenkeel.Of([]float32{1, 2})
	wrong := evenkeel.Of([]float32{1, 2}, 3)
	// An int has 32 bits on some machines, where the conversion of a variable cuts it.
	beyond := int64(1) << 40
	for field, err := range map[string]error{
		"input.data":        second(client.LayerNorm(t.Context(), wrong)),
		"weight.data":       second(client.LayerNorm(t.Context(), x, evenkeel.Weight(wrong))),
		"kind":              second(client.Normalize(t.Context(), x, nil)),
		"groups":            second(client.GroupNorm(t.Context(), x, -1)),
		"axes[1]":           second(client.LayerNorm(t.Context(), x, evenkeel.Axes(0, int(beyond)))),
		"channel_axis":      second(client.Dropout(t.Context(), x, 0.5, 1, evenkeel.ChannelAxis(int(beyond)))),
		"scaling":           second(client.Dropout(t.Context(), x, 0.5, 1, evenkeel.DropoutScaling(9))),
		"grad_output":       second(client.NormalizeBackward(t.Context(), x, nil, evenkeel.Layer)),
		"grad_output.data":  second(client.DropoutBackward(t.Context(), wrong, 0.5, 1)),
		"gradients[0].data": second(client.MeasureGradients(t.Context(), evenkeel.Unnamed(wrong))),
		"gradients[1]":      second(client.ClipGradValue(t.Context(), evenkeel.Unnamed(x, nil), 1)),
		"partials":          second(evenkeel.MergeNorms()),
	} {
		var bad *evenkeel.InvalidArgument
		if !errors.As(err, &bad) || bad.Fields[0].Path != field {
			t.Errorf("%v instead of a fault of %s", err, field)
		}
	}
	kindErr := second(client.Normalize(t.Context(), x, evenkeel.Kind(77)))
	if !is[*evenkeel.InvalidArgument](kindErr) {
		t.Error(kindErr)
	}
}

// The race detector sees a transport that still reads a slice after the call.
func TestSlicesAreFreeAfterACancelledCall(t *testing.T) {
	client := evenkeeltest.Start(t, "--max-message-bytes", "33554432").Client()
	x := random(4 << 20)
	for i := range 12 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Duration(i)*2*time.Millisecond, cancel)
		_, err := client.Dropout(ctx, evenkeel.Of(x), 0.5, 1)
		if err != nil && !is[*evenkeel.Cancelled](err) {
			t.Fatal(err)
		}
		for j := range x {
			x[j]++
		}
		cancel()
	}
}

func TestManyCallsAtTheSameTime(t *testing.T) {
	client := evenkeeltest.Start(t).Client(evenkeel.WithConnections(2))
	x := random(10_000)
	expected, err := client.LayerNorm(t.Context(), evenkeel.Of(x, 10, 1000))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 5 {
				y, err := client.LayerNorm(t.Context(), evenkeel.Of(x, 10, 1000))
				if err != nil || !slices.Equal(y.Output.Bytes(), expected.Output.Bytes()) {
					t.Errorf("another result: %v", err)
				}
			}
		})
	}
	all.Wait()
}

func TestServerInfo(t *testing.T) {
	info, err := evenkeeltest.Start(t, "--max-message-bytes", "20000").Client().ServerInfo(t.Context())
	if err != nil || info.MaxMessageBytes != 20000 || len(info.DTypes) != 4 || len(info.Kinds) != 6 || info.Version == "" {
		t.Errorf("%+v, %v", info, err)
	}
}
