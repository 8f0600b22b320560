package main

import (
	"encoding"
	"encoding/base64"

	"evenkeel.dev/go/evenkeel"
)

func (i *invocation) keepMask() (any, error) {
	seed, err := i.Seed.uint64("seed")
	if err != nil {
		return nil, err
	}
	offset, err := i.Offset.uint64("offset")
	if err != nil {
		return nil, err
	}
	n, err := i.N.uint64("n")
	if err != nil {
		return nil, err
	}
	kept, err := evenkeel.KeepMask(seed, offset, int(n), float64(i.P))
	if err != nil {
		return nil, err
	}
	keep := make([]byte, len(kept))
	for draw, kept := range kept {
		if kept {
			keep[draw] = 1
		}
	}
	return object{"keep": base64.StdEncoding.EncodeToString(keep)}, nil
}

func (i *invocation) convert() (any, error) {
	x, err := i.Input.decode()
	if err != nil {
		return nil, err
	}
	return object{"output": i.encode(x.Convert(dtypes[i.DType]))}, nil
}

func (i *invocation) mergeNorms() (any, error) {
	partials, err := decoded[evenkeel.NormPartial](i.Partials)
	if err != nil {
		return nil, err
	}
	merged, err := evenkeel.MergeNorms(partials...)
	if err != nil {
		return nil, err
	}
	return normAnswer(merged)
}

func (i *invocation) mergeStatistics() (any, error) {
	partials, err := decoded[evenkeel.StatisticsPartial](i.Partials)
	if err != nil {
		return nil, err
	}
	merged, err := evenkeel.MergeStatistics(partials...)
	if err != nil {
		return nil, err
	}
	bytes, err := base64Of(merged)
	return object{"partial": bytes}, err
}

func normAnswer(partial *evenkeel.NormPartial) (any, error) {
	bytes, err := base64Of(partial)
	return object{"partial": bytes, "total_norm": float(partial.TotalNorm())}, err
}

func decoded[T any, P interface {
	*T
	encoding.BinaryUnmarshaler
}](texts []string) ([]*T, error) {
	var partials []*T
	for _, text := range texts {
		bytes, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, err
		}
		partial := new(T)
		if err := P(partial).UnmarshalBinary(bytes); err != nil {
			return nil, err
		}
		partials = append(partials, partial)
	}
	return partials, nil
}
