package evenkeel

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// domain is that of the service's ErrorInfo. The same reason under another domain means something else.
const domain = "evenkeel"

// details are those of a status that this client understands.
type details struct {
	info       *errdetails.ErrorInfo
	retry      *errdetails.RetryInfo
	badRequest *errdetails.BadRequest
}

func detailsOf(s *status.Status) (found details) {
	for _, detail := range s.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == domain {
				found.info = detail
			}
		case *errdetails.RetryInfo:
			found.retry = detail
		case *errdetails.BadRequest:
			found.badRequest = detail
		}
	}
	return found
}

// fromGRPC is the error of a call that ended with err, whose context was ctx.
func fromGRPC(ctx context.Context, err error) error {
	var own *CallError
	if err == nil || errors.As(err, &own) {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		s = status.FromContextError(err)
	}
	found := detailsOf(s)
	base := &CallError{Code: s.Code(), Message: bounded(s.Message()), Reason: found.info.GetReason(), status: s}
	switch base.Code {
	case codes.InvalidArgument:
		return &InvalidArgument{base, violations(found.badRequest)}
	case codes.FailedPrecondition:
		if base.Reason == "NONFINITE_NORM" {
			return nonfiniteNorm(base, found.info.GetMetadata())
		}
		return base
	case codes.ResourceExhausted:
		return exhausted(base, found)
	case codes.DeadlineExceeded:
		base.cause = context.DeadlineExceeded
		return &DeadlineExceeded{base}
	case codes.Canceled:
		return cancelled(ctx, base)
	case codes.Unauthenticated:
		return &Unauthenticated{base}
	case codes.Unavailable:
		return &Unavailable{base}
	case codes.Unimplemented:
		return &Unimplemented{base}
	case codes.Internal:
		return &Internal{base}
	default:
		return base
	}
}

// cancelled tells a context whose deadline has passed from one that was cancelled, and both from a server that gave up.
func cancelled(ctx context.Context, base *CallError) error {
	switch ctx.Err() {
	case nil:
		return &Cancelled{base}
	case context.DeadlineExceeded:
		base.Code, base.status, base.cause = codes.DeadlineExceeded, nil, context.DeadlineExceeded
		return &DeadlineExceeded{base}
	default:
		base.cause = context.Canceled
		if cause := context.Cause(ctx); cause != context.Canceled {
			base.cause = errors.Join(context.Canceled, cause)
		}
		return &Cancelled{base}
	}
}

func exhausted(base *CallError, found details) error {
	switch {
	case base.Reason == "MESSAGE_TOO_LARGE":
		return &MessageTooLarge{base}
	case base.Reason == "METADATA_TOO_LARGE":
		return &MetadataTooLarge{base}
	case base.Reason == "NEEDS_TWO_PASSES":
		return &NeedsTwoPasses{base}
	case base.Reason == "OVERLOADED":
		return &Overloaded{base, max(found.retry.GetRetryDelay().AsDuration(), 0)}
	default:
		return base
	}
}

func violations(request *errdetails.BadRequest) []FieldViolation {
	fields := make([]FieldViolation, 0, len(request.GetFieldViolations()))
	for _, violation := range request.GetFieldViolations() {
		// In a stream the arguments are in its header.
		path := strings.TrimPrefix(strings.TrimPrefix(violation.GetField(), "header."), "backward_header.")
		fields = append(fields, FieldViolation{Path: path, Description: violation.GetDescription()})
	}
	return fields
}

func nonfiniteNorm(base *CallError, metadata map[string]string) error {
	count := func(key string) uint64 {
		n, _ := strconv.ParseUint(metadata[key], 10, 64) // 0 from a server that does not count
		return n
	}
	total, err := strconv.ParseFloat(metadata["total_norm"], 64)
	if err != nil {
		return base
	}
	failure := &NonfiniteNorm{
		CallError:          base,
		TotalNorm:          total,
		NaNElements:        count("nan_elements"),
		InfiniteElements:   count("infinite_elements"),
		NonfiniteGradients: count("nonfinite_gradients"),
	}
	for key, name := range metadata {
		if digits, is := strings.CutPrefix(key, "gradient_"); is {
			if index, err := strconv.Atoi(digits); err == nil {
				failure.Gradients = append(failure.Gradients, NonfiniteGradient{Index: index, Name: name})
			}
		}
	}
	slices.SortFunc(failure.Gradients, func(a, b NonfiniteGradient) int { return a.Index - b.Index })
	return failure
}
