package main

import (
	"encoding/base64"

	"evenkeel.dev/go/evenkeel"
)

// unknown stands for a name that the client has no constant for.
const unknown = 99

// kind is the kind by its name; the groups are an option.
func (i *invocation) kind() evenkeel.Norm {
	for kind := evenkeel.Batch; kind <= evenkeel.L2; kind++ {
		if kind.String() == i.Kind {
			return kind
		}
	}
	return evenkeel.Kind(unknown)
}

func (i *invocation) normalizeOptions() ([]evenkeel.NormalizeOption, error) {
	var options []evenkeel.NormalizeOption
	if i.Axes != nil {
		options = append(options, evenkeel.Axes(i.Axes...))
	}
	if i.Groups != nil {
		options = append(options, evenkeel.Groups(*i.Groups))
	}
	if i.Eps != nil {
		options = append(options, evenkeel.Eps(float64(*i.Eps)))
	}
	if i.ChannelAxis != nil {
		options = append(options, evenkeel.ChannelAxis(*i.ChannelAxis))
	}
	if i.Training != nil {
		options = append(options, evenkeel.Training(*i.Training))
	}
	if i.Momentum != nil {
		options = append(options, evenkeel.Momentum(float64(*i.Momentum)))
	}
	if i.ReturnStatistics {
		options = append(options, evenkeel.ReturnStatistics())
	}
	if i.Statistics != nil {
		bytes, err := base64.StdEncoding.DecodeString(*i.Statistics)
		if err != nil {
			return nil, err
		}
		partial := new(evenkeel.StatisticsPartial)
		if err := partial.UnmarshalBinary(bytes); err != nil {
			return nil, err
		}
		options = append(options, evenkeel.Statistics(partial))
	}
	parameters := map[*tensor]func(*evenkeel.Tensor) evenkeel.NormalizeOption{
		i.Weight: evenkeel.Weight, i.Bias: evenkeel.Bias, i.RunningMean: evenkeel.RunningMean, i.RunningVar: evenkeel.RunningVar,
	}
	for given, option := range parameters {
		if given == nil {
			continue
		}
		t, err := given.decode()
		if err != nil {
			return nil, err
		}
		options = append(options, option(t))
	}
	return options, nil
}

func (i *invocation) dropoutOptions() (seed uint64, options []evenkeel.DropoutOption, err error) {
	if seed, err = i.Seed.uint64("seed"); err != nil {
		return 0, nil, err
	}
	offset, err := i.Offset.uint64("offset")
	if err != nil {
		return 0, nil, err
	}
	options = append(options, evenkeel.Offset(offset))
	kinds := map[string]evenkeel.DropoutKind{
		"": evenkeel.DropElements, "element": evenkeel.DropElements, "channel": evenkeel.DropChannels,
		"alpha": evenkeel.DropAlpha, "feature_alpha": evenkeel.DropFeatureAlpha,
	}
	options = append(options, named(kinds, i.Kind))
	scalings := map[string]evenkeel.DropoutScaling{
		"": evenkeel.ScaleInverted, "inverted": evenkeel.ScaleInverted, "none": evenkeel.ScaleNone,
	}
	options = append(options, named(scalings, i.Scaling))
	if i.ChannelAxis != nil {
		options = append(options, evenkeel.ChannelAxis(*i.ChannelAxis))
	}
	if i.ReturnMask {
		options = append(options, evenkeel.ReturnMask())
	}
	return seed, options, nil
}

func named[T ~int](known map[string]T, name string) T {
	if value, is := known[name]; is {
		return value
	}
	return unknown
}

func (i *invocation) clipOptions() []evenkeel.ClipOption {
	var options []evenkeel.ClipOption
	if i.Mode == "norm_per_tensor" {
		options = append(options, evenkeel.PerTensor())
	}
	if i.NormType != nil {
		options = append(options, evenkeel.NormType(float64(*i.NormType)))
	}
	if i.TotalNorm != nil {
		options = append(options, evenkeel.TotalNorm(float64(*i.TotalNorm)))
	}
	if i.Epsilon != nil {
		options = append(options, evenkeel.Epsilon(float64(*i.Epsilon)))
	}
	if i.NotAbove {
		options = append(options, evenkeel.NotAbove())
	}
	if i.ErrorIfNonfinite {
		options = append(options, evenkeel.ErrorIfNonfinite())
	}
	return options
}

func (i *invocation) gradients() (evenkeel.Gradients, error) {
	var gradients evenkeel.Gradients
	for _, given := range i.Gradients {
		t, err := given.decode()
		if err != nil {
			return nil, err
		}
		gradients = append(gradients, evenkeel.Gradient{Name: given.Name, Tensor: t})
	}
	return gradients, nil
}
