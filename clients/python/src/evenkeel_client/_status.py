"""The errors that statuses of gRPC mean."""

from __future__ import annotations

from typing import Any

import grpc

from . import _wire
from .errors import (
    Cancelled,
    DeadlineExceeded,
    EvenkeelError,
    FieldViolation,
    Internal,
    InvalidArgument,
    MessageTooLarge,
    NeedsTwoPasses,
    NonfiniteNorm,
    Overloaded,
    ProtocolError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

_DOMAIN = "evenkeel"
_DETAILS_KEY = "grpc-status-details-bin"
_STREAM_HEADERS = ("header.", "backward_header.")

_PLAIN: dict[grpc.StatusCode, type[Any]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.INTERNAL: Internal,
}


def error_of(error: Any) -> EvenkeelError:
    """Return the error that an error of grpc means, in its synchronous or its asynchronous form."""
    code, message = error.code(), error.details() or ""
    try:
        return _described(code, message, _details(error.trailing_metadata() or ()))
    except (ProtocolError, ValueError):
        # Details that cannot be read must not hide the error.
        return _described(code, message, {})


def _described(code: grpc.StatusCode, message: str, details: dict[str, bytes]) -> EvenkeelError:
    """Return the error of a status with these details."""
    info = details.get("google.rpc.ErrorInfo")
    reason, metadata = _error_info(info) if info is not None else (None, {})
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidArgument(message, _violations(details.get("google.rpc.BadRequest", b"")))
    if code is grpc.StatusCode.FAILED_PRECONDITION and reason == "NONFINITE_NORM":
        return NonfiniteNorm(message, metadata)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        if reason in ("MESSAGE_TOO_LARGE", "METADATA_TOO_LARGE"):
            return MessageTooLarge(message, reason)
        if reason == "NEEDS_TWO_PASSES":
            return NeedsTwoPasses(message)
        retry = details.get("google.rpc.RetryInfo")
        if reason == "OVERLOADED" or retry is not None:
            return Overloaded(message, None if retry is None else _retry_delay(retry), reason)
    if code in _PLAIN:
        plain: EvenkeelError = _PLAIN[code](message)
        plain.reason = reason
        return plain
    return EvenkeelError(message, code=code, reason=reason)


def _details(trailers: Any) -> dict[str, bytes]:
    """Return the details of `google.rpc.Status` by the names of their types; an empty one if there are none."""
    details: dict[str, bytes] = {}
    for key, value in trailers:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            for any_message in _repeated(value, 3):
                details.setdefault(_text(any_message, 1).rpartition("/")[2], _bytes(any_message, 2))
    return details


def _error_info(info: bytes) -> tuple[str | None, dict[str, str]]:
    """Return reason and metadata of a `google.rpc.ErrorInfo`, if it is the service's own."""
    if _text(info, 2) != _DOMAIN:
        return None, {}
    entries = _repeated(info, 3)
    return _text(info, 1), {_text(entry, 1): _text(entry, 2) for entry in entries}


def _violations(bad_request: bytes) -> list[FieldViolation]:
    """Return the violations of a `google.rpc.BadRequest`. In a stream the paths begin with the name of its header."""
    violations = []
    for violation in _repeated(bad_request, 1):
        path = _text(violation, 1)
        for header in _STREAM_HEADERS:
            path = path.removeprefix(header)
        violations.append(FieldViolation(path, _text(violation, 2)))
    return violations


def _retry_delay(retry_info: bytes) -> float | None:
    """Return the seconds of a `google.rpc.RetryInfo`; `None` if they are not above 0, which says nothing."""
    duration = _bytes(retry_info, 1)
    numbers = {field.number: _signed(duration, field.begin) for field in _wire.fields(duration)}
    seconds: float = numbers.get(1, 0) + numbers.get(2, 0) / 1e9
    return seconds if seconds > 0 else None


def _signed(message: bytes, begin: int) -> int:
    """Return the number there, which is an int32 or an int64."""
    value = _wire.read_varint(message, begin)[0] % (1 << 64)
    return value - (1 << 64) if value >> 63 else value


def _repeated(message: bytes, number: int) -> list[bytes]:
    return [message[field.begin : field.end] for field in _wire.fields(message) if field.number == number]


def _bytes(message: bytes, number: int) -> bytes:
    return b"".join(_repeated(message, number)[-1:])


def _text(message: bytes, number: int) -> str:
    return _bytes(message, number).decode(errors="replace")
