package main

import (
	"context"
	"encoding"
	"encoding/base64"
	"strconv"

	"evenkeel.dev/go/evenkeel"
)

// invocation is an operation that is asked for.
type invocation struct {
	ctx context.Context
	*arguments
	client *client
	digest bool
}

var operations = map[string]func(*invocation) (any, error){
	"normalize":          (*invocation).normalize,
	"normalize_backward": (*invocation).normalizeBackward,
	"dropout":            (*invocation).dropout,
	"dropout_backward":   (*invocation).dropoutBackward,
	"clip_gradients":     (*invocation).clipGradients,
	"measure_gradients":  (*invocation).measureGradients,
	"measure_statistics": (*invocation).measureStatistics,
	"server_info":        (*invocation).serverInfo,
	"keep_mask":          (*invocation).keepMask,
	"convert":            (*invocation).convert,
	"merge_norms":        (*invocation).mergeNorms,
	"merge_statistics":   (*invocation).mergeStatistics,
}

// object is an answer without its absent parts.
type object map[string]any

func (o object) with(key string, value any) object {
	if value != nil {
		o[key] = value
	}
	return o
}

func (i *invocation) normalize() (any, error) {
	x, err := i.Input.decode()
	if err != nil {
		return nil, err
	}
	options, err := i.normalizeOptions()
	if err != nil {
		return nil, err
	}
	y, err := i.client.Normalize(i.ctx, x, i.kind(), options...)
	if err != nil {
		return nil, err
	}
	answer := object{"output": i.encode(y.Output), "axes": y.Axes}
	return answer.with("mean", i.encode(y.Mean)).with("rstd", i.encode(y.Rstd)).
		with("running_mean", i.encode(y.RunningMean)).with("running_var", i.encode(y.RunningVar)), nil
}

func (i *invocation) normalizeBackward() (any, error) {
	x, err := i.Input.decode()
	if err != nil {
		return nil, err
	}
	gradOutput, err := i.GradOutput.decode()
	if err != nil {
		return nil, err
	}
	options, err := i.normalizeOptions()
	if err != nil {
		return nil, err
	}
	g, err := i.client.NormalizeBackward(i.ctx, x, gradOutput, i.kind(), options...)
	if err != nil {
		return nil, err
	}
	answer := object{"grad_input": i.encode(g.GradInput)}
	return answer.with("grad_weight", i.encode(g.GradWeight)).with("grad_bias", i.encode(g.GradBias)), nil
}

func (i *invocation) dropout() (any, error) {
	x, err := i.Input.decode()
	if err != nil {
		return nil, err
	}
	seed, options, err := i.dropoutOptions()
	if err != nil {
		return nil, err
	}
	y, err := i.client.Dropout(i.ctx, x, float64(i.P), seed, options...)
	if err != nil {
		return nil, err
	}
	answer := object{"output": i.encode(y.Output), "kept": digits(y.Kept)}
	if y.Mask != nil {
		answer["mask"] = base64.StdEncoding.EncodeToString(y.Mask.Bytes())
	}
	return answer, nil
}

func (i *invocation) dropoutBackward() (any, error) {
	gradOutput, err := i.GradOutput.decode()
	if err != nil {
		return nil, err
	}
	seed, options, err := i.dropoutOptions()
	if err != nil {
		return nil, err
	}
	g, err := i.client.DropoutBackward(i.ctx, gradOutput, float64(i.P), seed, options...)
	if err != nil {
		return nil, err
	}
	return object{"grad_input": i.encode(g)}, nil
}

func (i *invocation) clipGradients() (any, error) {
	gradients, err := i.gradients()
	if err != nil {
		return nil, err
	}
	clip := i.client.ClipGradNorm
	if i.Mode == "value" {
		clip = i.client.ClipGradValue
	}
	clipped, err := clip(i.ctx, gradients, float64(i.Threshold), i.clipOptions()...)
	if err != nil {
		return nil, err
	}
	answers := []any{}
	for _, gradient := range clipped.Gradients {
		answer := i.encode(gradient.Tensor).(map[string]any)
		answer["name"] = gradient.Name
		answers = append(answers, answer)
	}
	answer := object{
		"gradients":        answers,
		"total_norm":       float(clipped.TotalNorm),
		"scale":            float(clipped.Scale),
		"clipped_elements": digits(clipped.ClippedElements),
	}
	if i.Mode == "norm_per_tensor" {
		norms := []float{}
		for _, norm := range clipped.TensorNorms {
			norms = append(norms, float(norm))
		}
		answer["tensor_norms"] = norms
	}
	return answer, nil
}

func (i *invocation) measureGradients() (any, error) {
	gradients, err := i.gradients()
	if err != nil {
		return nil, err
	}
	var options []evenkeel.MeasureOption
	if i.NormType != nil {
		options = append(options, evenkeel.NormType(float64(*i.NormType)))
	}
	partial, err := i.client.MeasureGradients(i.ctx, gradients, options...)
	if err != nil {
		return nil, err
	}
	return normAnswer(partial)
}

func (i *invocation) measureStatistics() (any, error) {
	x, err := i.Input.decode()
	if err != nil {
		return nil, err
	}
	gradOutput, err := i.GradOutput.decode()
	if err != nil {
		return nil, err
	}
	shared, err := i.normalizeOptions()
	if err != nil {
		return nil, err
	}
	options := []evenkeel.StatisticsOption{evenkeel.GradOutput(gradOutput)}
	for _, option := range shared {
		options = append(options, option)
	}
	partial, err := i.client.MeasureStatistics(i.ctx, x, i.kind(), options...)
	if err != nil {
		return nil, err
	}
	bytes, err := base64Of(partial)
	return object{"partial": bytes}, err
}

func (i *invocation) serverInfo() (any, error) {
	info, err := i.client.ServerInfo(i.ctx)
	if err != nil {
		return nil, err
	}
	return object{
		"version":                info.Version,
		"max_message_bytes":      digits(info.MaxMessageBytes),
		"max_stream_chunk_bytes": digits(info.MaxStreamChunkBytes),
		"warned":                 i.client.warned.any,
	}, nil
}

func digits(n uint64) string { return strconv.FormatUint(n, 10) }

func base64Of(partial encoding.BinaryMarshaler) (string, error) {
	bytes, err := partial.MarshalBinary()
	return base64.StdEncoding.EncodeToString(bytes), err
}
