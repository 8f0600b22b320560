package evenkeel_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"evenkeel.dev/go/evenkeel"
	pb "evenkeel.dev/go/evenkeel/v1"
)

// refused is the error of a call that the server has refused so.
func refused(t *testing.T, refusal error) error {
	t.Helper()
	server := &fake{normalize: failing(refusal)}
	_, err := server.client(t, evenkeel.WithRetries(0)).LayerNorm(t.Context(), four)
	var call *evenkeel.CallError
	if !errors.As(err, &call) || call.Code != status.Code(refusal) || call.Message != "the server's message" {
		t.Fatalf("%v has become %v", refusal, err)
	}
	return err
}

// is says whether the error is of the type.
func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func TestErrorsHaveTypes(t *testing.T) {
	for _, test := range []struct {
		refusal error
		is      func(error) bool
	}{
		{failure(codes.InvalidArgument, ""), is[*evenkeel.InvalidArgument]},
		{failure(codes.ResourceExhausted, "OVERLOADED"), is[*evenkeel.Overloaded]},
		{failure(codes.ResourceExhausted, "MESSAGE_TOO_LARGE"), is[*evenkeel.MessageTooLarge]},
		{failure(codes.ResourceExhausted, "METADATA_TOO_LARGE"), is[*evenkeel.MetadataTooLarge]},
		{failure(codes.ResourceExhausted, "NEEDS_TWO_PASSES"), is[*evenkeel.NeedsTwoPasses]},
		{failure(codes.DeadlineExceeded, ""), is[*evenkeel.DeadlineExceeded]},
		{failure(codes.DeadlineExceeded, ""), func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		{failure(codes.Canceled, ""), is[*evenkeel.Cancelled]},
		{failure(codes.Canceled, ""), func(err error) bool { return !errors.Is(err, context.Canceled) }},
		{failure(codes.Unauthenticated, ""), is[*evenkeel.Unauthenticated]},
		{failure(codes.Unavailable, ""), is[*evenkeel.Unavailable]},
		{failure(codes.Unimplemented, ""), is[*evenkeel.Unimplemented]},
		{failure(codes.Internal, ""), is[*evenkeel.Internal]},
		{failure(codes.DataLoss, ""), func(err error) bool { return !is[*evenkeel.Internal](err) }},
	} {
		if err := refused(t, test.refusal); !test.is(err) {
			t.Errorf("%v has become a %T", test.refusal, err)
		}
	}
}

func TestInvalidArgumentsNameTheirFields(t *testing.T) {
	violations := []*errdetails.BadRequest_FieldViolation{
		{Field: "eps", Description: "is negative"}, {Field: "header.input.shape[2]", Description: "too"},
		{Field: "backward_header.p"},
	}
	var bad *evenkeel.InvalidArgument
	err := refused(t, failure(codes.InvalidArgument, "", &errdetails.BadRequest{FieldViolations: violations}))
	if !errors.As(err, &bad) || !slices.Equal(bad.Fields, []evenkeel.FieldViolation{
		{Path: "eps", Description: "is negative"}, {Path: "input.shape[2]", Description: "too"}, {Path: "p"},
	}) {
		t.Errorf("%+v", bad)
	}
	if len(status.Convert(err).Details()) != 1 {
		t.Error("the details are lost")
	}
}

func TestNonfiniteNormsHaveTheirNumbers(t *testing.T) {
	info := &errdetails.ErrorInfo{Reason: "NONFINITE_NORM", Domain: "evenkeel", Metadata: map[string]string{
		"total_norm": "inf", "nan_elements": "3", "infinite_elements": "18446744073709551615",
		"nonfinite_gradients": "2", "gradient_10": "b", "gradient_3": "a", "gradient_x": "?",
	}}
	var nonfinite *evenkeel.NonfiniteNorm
	if err := refused(t, failure(codes.FailedPrecondition, "", info)); !errors.As(err, &nonfinite) {
		t.Fatal(err)
	}
	if !math.IsInf(nonfinite.TotalNorm, 1) || nonfinite.NaNElements != 3 || nonfinite.InfiniteElements != math.MaxUint64 ||
		nonfinite.NonfiniteGradients != 2 ||
		!slices.Equal(nonfinite.Gradients, []evenkeel.NonfiniteGradient{{Index: 3, Name: "a"}, {Index: 10, Name: "b"}}) {
		t.Errorf("%+v", nonfinite)
	}
	delete(info.Metadata, "total_norm")
	if err := refused(t, failure(codes.FailedPrecondition, "", info)); errors.As(err, &nonfinite) {
		t.Errorf("a norm that is missing has become %v", nonfinite.TotalNorm)
	}
}

// held is a server that keeps calls until their clients leave, and tells what it saw.
func held(left chan<- error) *fake {
	return &fake{normalize: func(ctx context.Context, _ *pb.NormalizeRequest) (*pb.NormalizeResponse, error) {
		<-ctx.Done()
		left <- ctx.Err()
		return nil, ctx.Err()
	}}
}

func TestDeadlinesReachTheServer(t *testing.T) {
	left := make(chan error, 2)
	server := held(left)
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for _, err := range []error{
		second(server.client(t).LayerNorm(short, four)),
		second(server.client(t, evenkeel.WithTimeout(100*time.Millisecond)).LayerNorm(t.Context(), four)),
	} {
		if !is[*evenkeel.DeadlineExceeded](err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		<-left
	}
}

func TestCancellationReachesTheServer(t *testing.T) {
	left := make(chan error, 1)
	cause := errors.New("the user has left")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(cause) })
	_, err := held(left).client(t).LayerNorm(ctx, four)
	if !is[*evenkeel.Cancelled](err) || !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	if seen := <-left; !errors.Is(seen, context.Canceled) {
		t.Errorf("the server saw %v", seen)
	}
}

func TestClosedClientsRefuseCalls(t *testing.T) {
	client := new(fake).client(t)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.LayerNorm(t.Context(), four); !is[*evenkeel.Cancelled](err) {
		t.Errorf("%v", err)
	}
}
