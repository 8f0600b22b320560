package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"

	"google.golang.org/grpc/codes"

	"evenkeel.dev/go/evenkeel"
)

// arguments are those of all operations; absent ones are not passed to the client.
type arguments struct {
	Kind             string    `json:"kind"`
	DType            string    `json:"dtype"`
	Input            *tensor   `json:"input"`
	GradOutput       *tensor   `json:"grad_output"`
	Weight           *tensor   `json:"weight"`
	Bias             *tensor   `json:"bias"`
	RunningMean      *tensor   `json:"running_mean"`
	RunningVar       *tensor   `json:"running_var"`
	Gradients        []*tensor `json:"gradients"`
	Axes             []int     `json:"axes"`
	Groups           *int      `json:"groups"`
	ChannelAxis      *int      `json:"channel_axis"`
	Eps              *float    `json:"eps"`
	Momentum         *float    `json:"momentum"`
	Training         *bool     `json:"training"`
	ReturnStatistics bool      `json:"return_statistics"`
	ReturnMask       bool      `json:"return_mask"`
	Statistics       *string   `json:"statistics"`
	Partials         []string  `json:"partials"`
	P                float     `json:"p"`
	Seed             *integer  `json:"seed"`
	Offset           *integer  `json:"offset"`
	N                *integer  `json:"n"`
	Scaling          string    `json:"scaling"`
	Mode             string    `json:"mode"`
	Threshold        float     `json:"threshold"`
	NormType         *float    `json:"norm_type"`
	TotalNorm        *float    `json:"total_norm"`
	Epsilon          *float    `json:"epsilon"`
	NotAbove         bool      `json:"not_above"`
	ErrorIfNonfinite bool      `json:"error_if_nonfinite"`
}

// tensor is a tensor in a request or an answer.
type tensor struct {
	Name   string `json:"name,omitempty"`
	DType  string `json:"dtype"`
	Shape  []int  `json:"shape"`
	Data   string `json:"data,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Repeat int    `json:"repeat,omitempty"`
	Layout string `json:"layout,omitempty"`
}

var dtypes = map[string]evenkeel.DType{
	"float32": evenkeel.F32, "float64": evenkeel.F64, "float16": evenkeel.F16, "bfloat16": evenkeel.BF16,
}

func (t *tensor) decode() (*evenkeel.Tensor, error) {
	if t == nil {
		return nil, nil
	}
	if t.Layout != "" {
		return nil, unsupported("Go's slices are contiguous and in the machine's order")
	}
	data, err := base64.StdEncoding.DecodeString(t.Data)
	if err != nil {
		return nil, err
	}
	return evenkeel.FromBytes(dtypes[t.DType], slices.Repeat(data, max(t.Repeat, 1)), t.Shape...), nil
}

func (i *invocation) encode(t *evenkeel.Tensor) any {
	if t == nil {
		return nil
	}
	encoded := map[string]any{"dtype": t.DType().String(), "shape": append([]int{}, t.Shape()...)}
	if i.digest {
		sum := sha256.Sum256(t.Bytes())
		encoded["sha256"] = hex.EncodeToString(sum[:])
	} else {
		encoded["data"] = base64.StdEncoding.EncodeToString(t.Bytes())
	}
	return encoded
}

// float is a number, or a string for what JSON has no number for.
type float float64

func (f *float) UnmarshalJSON(text []byte) error {
	special := map[string]float64{`"NaN"`: math.NaN(), `"Infinity"`: math.Inf(1), `"-Infinity"`: math.Inf(-1)}
	if value, is := special[string(text)]; is {
		*f = float(value)
		return nil
	}
	return json.Unmarshal(text, (*float64)(f))
}

func (f float) MarshalJSON() ([]byte, error) {
	switch value := float64(f); {
	case math.IsNaN(value):
		return []byte(`"NaN"`), nil
	case math.IsInf(value, 0):
		return []byte(map[bool]string{true: `"Infinity"`, false: `"-Infinity"`}[value > 0]), nil
	default:
		return json.Marshal(value)
	}
}

// integer is a whole number as a string of digits.
type integer big.Int

func (n *integer) UnmarshalJSON(text []byte) error {
	var digits string
	if err := json.Unmarshal(text, &digits); err != nil {
		return err
	}
	if _, ok := (*big.Int)(n).SetString(digits, 10); !ok {
		return fmt.Errorf("%s is no whole number", text)
	}
	return nil
}

// uint64 is the number as an argument, 0 if it is absent. A number that uint64 does not have cannot be passed to this client: a
// program with one does not compile.
func (n *integer) uint64(name string) (uint64, error) {
	if n == nil {
		return 0, nil
	}
	if number := (*big.Int)(n); number.IsUint64() {
		return number.Uint64(), nil
	}
	violation := evenkeel.FieldViolation{Path: name, Description: "is no uint64"}
	return 0, &evenkeel.InvalidArgument{
		CallError: &evenkeel.CallError{Code: codes.InvalidArgument, Message: violation.String()},
		Fields:    []evenkeel.FieldViolation{violation},
	}
}
