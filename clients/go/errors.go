package evenkeel

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// maxText is the most bytes of the text of an error.
	maxText = 4 << 10
	// more stands for the rest of a text.
	more = "..."
)

// CallError is why a call has no result. Every error of this package's functions wraps one, most of them as a more exact type such as
// [*InvalidArgument] or [*Overloaded]; errors.As finds either.
//
// errors.Is finds context.Canceled and context.DeadlineExceeded in the errors of calls that ended so, and status.Code of
// google.golang.org/grpc/status returns Code.
type CallError struct {
	// Code is gRPC's status code.
	Code codes.Code
	// Message is the server's message, or this client's if it has not asked the server; at most 4 KiB.
	Message string
	// Reason is the reason of the google.rpc.ErrorInfo, such as "OVERLOADED"; "" if there is none.
	Reason string

	status *status.Status
	cause  error
}

// Error is the code's name and the message.
func (e *CallError) Error() string { return fmt.Sprintf("evenkeel: %v: %s", e.Code, e.Message) }

// GRPCStatus is the status with all its details.
func (e *CallError) GRPCStatus() *status.Status {
	if e.status == nil {
		return status.New(e.Code, e.Message)
	}
	return e.status
}

// Unwrap is the cause on this side, such as context.Canceled, or nil.
func (e *CallError) Unwrap() error { return e.cause }

// FieldViolation is an argument that is wrong.
type FieldViolation struct {
	// Path is the argument's path in the request: "eps", "input.shape[2]", "gradients[3].data".
	Path string
	// Description says what is wrong with it.
	Description string
}

// String is the path and the description.
func (v FieldViolation) String() string { return v.Path + ": " + v.Description }

// InvalidArgument says that arguments are wrong or contradict each other. This client finds some such faults before it sends
// anything, the server the others.
type InvalidArgument struct {
	*CallError
	// Fields are the arguments, as many as the server names.
	Fields []FieldViolation
}

// Unwrap is the CallError.
func (e *InvalidArgument) Unwrap() error { return e.CallError }

// Overloaded says that the server has refused the call at once because it is busy, and that this client's retries have not
// helped or did not fit into the deadline.
type Overloaded struct {
	*CallError
	// RetryAfter is how long the server asks to wait before the next try; 0 if it does not say.
	RetryAfter time.Duration
}

// Unwrap is the CallError.
func (e *Overloaded) Unwrap() error { return e.CallError }

// MessageTooLarge says that a message of the call is above the server's limit, and that the call has no stream.
type MessageTooLarge struct{ *CallError }

// Unwrap is the CallError.
func (e *MessageTooLarge) Unwrap() error { return e.CallError }

// MetadataTooLarge says that the metadata of the call is above the server's limit.
type MetadataTooLarge struct{ *CallError }

// Unwrap is the CallError.
func (e *MetadataTooLarge) Unwrap() error { return e.CallError }

// NeedsTwoPasses says that the server would have to hold more of a stream than it has memory for, and that two passes cannot give
// the same result, such as with NotAbove.
type NeedsTwoPasses struct{ *CallError }

// Unwrap is the CallError.
func (e *NeedsTwoPasses) Unwrap() error { return e.CallError }

// NonfiniteNorm says that a norm is NaN or infinite, and [ErrorIfNonfinite] is set. Nothing was clipped.
type NonfiniteNorm struct {
	*CallError
	// TotalNorm is the norm.
	TotalNorm float64
	// NaNElements and InfiniteElements are how many elements are NaN and how many are infinite. Both may be 0: the norm of
	// finite elements can be beyond float64.
	NaNElements, InfiniteElements uint64
	// NonfiniteGradients is how many gradients have such elements.
	NonfiniteGradients uint64
	// Gradients are the first of these gradients, 16 at most, in their order.
	Gradients []NonfiniteGradient
}

// Unwrap is the CallError.
func (e *NonfiniteNorm) Unwrap() error { return e.CallError }

// NonfiniteGradient is a gradient with elements that are NaN or infinite.
type NonfiniteGradient struct {
	// Index is the gradient's place in the call.
	Index int
	// Name is its name, which the server shortens to 64 bytes.
	Name string
}

// DeadlineExceeded says that the call took longer than its deadline. errors.Is finds context.DeadlineExceeded in it.
type DeadlineExceeded struct{ *CallError }

// Unwrap is the CallError.
func (e *DeadlineExceeded) Unwrap() error { return e.CallError }

// Cancelled says that the call was cancelled. If its context was, errors.Is finds context.Canceled in it.
type Cancelled struct{ *CallError }

// Unwrap is the CallError.
func (e *Cancelled) Unwrap() error { return e.CallError }

// Unauthenticated says that the call has no token, or not one that the server accepts.
type Unauthenticated struct{ *CallError }

// Unwrap is the CallError.
func (e *Unauthenticated) Unwrap() error { return e.CallError }

// Unavailable says that there is no connection, or that it broke: the server is down, does not exist or is about to stop.
type Unavailable struct{ *CallError }

// Unwrap is the CallError.
func (e *Unavailable) Unwrap() error { return e.CallError }

// Unimplemented says that the server does not have the method: it is older than this client, or no evenkeel.
type Unimplemented struct{ *CallError }

// Unwrap is the CallError.
func (e *Unimplemented) Unwrap() error { return e.CallError }

// Internal says that the server has failed, or that its answer breaks the contract.
type Internal struct{ *CallError }

// Unwrap is the CallError.
func (e *Internal) Unwrap() error { return e.CallError }

// invalid is the error of an argument that this client refuses.
func invalid(path, description string) error {
	violation := FieldViolation{Path: path, Description: description}
	return &InvalidArgument{
		CallError: &CallError{Code: codes.InvalidArgument, Message: violation.String()},
		Fields:    []FieldViolation{violation},
	}
}

// broken is the error of an answer that breaks the contract in this field.
func broken(field, format string, values ...any) error {
	message := fmt.Sprintf("the server's answer breaks the contract: %s %s", field, fmt.Sprintf(format, values...))
	return &Internal{&CallError{Code: codes.Internal, Message: bounded(message)}}
}

// bounded is the beginning of a text that is too long: that of a server, or one with names of its answer, may have any length.
func bounded(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText-len(more)], "") + more
}
