"""Why a call has no result.

Every error of a call is an `EvenkeelError`. Cancelling a task of the asynchronous client raises
`asyncio.CancelledError`, as everywhere in asyncio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc

_MAX_MESSAGE_BYTES = 4096
"""The longest message of an error: a server, or a name in its answer, can be of any length."""


@dataclass(frozen=True)
class FieldViolation:
    """A field that does not fit."""

    path: str
    """The field's path in the request: `weight.shape`, `gradients[3].dtype`. The first argument of a call is `input` or
    `grad_output`, and `max_norm` and `max_value` are `threshold`."""
    description: str
    """Why the field is refused."""

    def __str__(self) -> str:
        return f"{self.path}: {self.description}"


class EvenkeelError(Exception):
    """The base class of all errors of a call. A status without a class of its own is raised as this class."""

    code: grpc.StatusCode
    """The status in gRPC's terms."""
    message: str
    """The server's message, or the client's for a fault that it found before it sent anything; at most 4 KiB."""
    reason: str | None
    """The reason of the `google.rpc.ErrorInfo`, such as `OVERLOADED`, or `None`."""

    def __init__(self, message: str, *, code: grpc.StatusCode, reason: str | None = None) -> None:
        message = _shortened(message)
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructors of the classes differ, and an error must pass from a worker process to its parent.
        return _restored, (type(self), self.args, self.__dict__)


def _shortened(message: str) -> str:
    """Return the beginning of a message that is too long."""
    encoded = message[: _MAX_MESSAGE_BYTES + 1].encode(errors="replace")
    if len(encoded) <= _MAX_MESSAGE_BYTES:
        return message
    return encoded[: _MAX_MESSAGE_BYTES - 3].decode(errors="ignore") + "..."


def _restored(kind: type[EvenkeelError], args: tuple[Any, ...], state: dict[str, Any]) -> EvenkeelError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class InvalidArgument(EvenkeelError, ValueError):
    """Arguments do not fit the call or each other. The client finds some of these faults before it sends anything."""

    fields: list[FieldViolation]
    """The fields that are wrong. Empty if the server names none."""

    def __init__(self, message: str, fields: list[FieldViolation]) -> None:
        super().__init__(message, code=grpc.StatusCode.INVALID_ARGUMENT)
        self.fields = fields

    @classmethod
    def of(cls, path: str, description: str) -> InvalidArgument:
        """Return the error of a single field."""
        violation = FieldViolation(path, description)
        return cls(str(violation), [violation])


class NonfiniteNorm(EvenkeelError):
    """A norm is NaN or infinite, and the call has set `error_if_nonfinite`. Nothing was clipped."""

    total_norm: float
    """The norm."""
    nan_elements: int
    """How many elements are NaN. All three counts can be 0: the norm of finite elements can be beyond float64."""
    infinite_elements: int
    """How many elements are infinite."""
    nonfinite_gradients: int
    """How many gradients have such elements."""
    gradients: list[tuple[int, str]]
    """The first of these gradients, at most 16: the index, and the name, which the server shortens to 64 bytes."""

    def __init__(self, message: str, metadata: dict[str, str]) -> None:
        super().__init__(message, code=grpc.StatusCode.FAILED_PRECONDITION, reason="NONFINITE_NORM")
        self.total_norm = float(metadata.get("total_norm", "nan"))
        self.nan_elements = int(metadata.get("nan_elements", 0))
        self.infinite_elements = int(metadata.get("infinite_elements", 0))
        self.nonfinite_gradients = int(metadata.get("nonfinite_gradients", 0))
        prefix = "gradient_"
        named = (item for item in metadata.items() if item[0].startswith(prefix))
        self.gradients = sorted((int(key[len(prefix) :]), name) for key, name in named)


class MessageTooLarge(EvenkeelError):
    """A message or the metadata is larger than the server takes, and there is no stream for it.

    Also raised if the call needs more memory than the server has for one call.
    """

    def __init__(self, message: str, reason: str = "MESSAGE_TOO_LARGE") -> None:
        super().__init__(message, code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason=reason)


class NeedsTwoPasses(EvenkeelError):
    """The server would have to hold more elements of a stream than it has memory for.

    The client makes two passes by itself where they give the same result. Where they cannot (`not_above`, and orders of
    the norm other than 1, 2 and infinity), it raises this error.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason="NEEDS_TWO_PASSES")


class Overloaded(EvenkeelError):
    """The server is overloaded and has refused the call at once, as often as the client has tried."""

    retry_after: float | None
    """The seconds that the server asks the client to wait before the next try, or `None`."""

    def __init__(self, message: str, retry_after: float | None, reason: str | None = "OVERLOADED") -> None:
        super().__init__(message, code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason=reason)
        self.retry_after = retry_after


class DeadlineExceeded(EvenkeelError, TimeoutError):
    """The call took longer than its timeout."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=grpc.StatusCode.DEADLINE_EXCEEDED)


class Cancelled(EvenkeelError):
    """The call was cancelled: the client was closed while the call was under way."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=grpc.StatusCode.CANCELLED)


class Unauthenticated(EvenkeelError):
    """The server requires a token, and the client has none or not a valid one."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=grpc.StatusCode.UNAUTHENTICATED)


class Unavailable(EvenkeelError):
    """There is no connection, or it broke: the server is down, does not exist, or is about to stop."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=grpc.StatusCode.UNAVAILABLE)


class Unimplemented(EvenkeelError):
    """The server does not have this call: it is older than the client."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=grpc.StatusCode.UNIMPLEMENTED)


class Internal(EvenkeelError):
    """The server failed, or could not decode the message."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=grpc.StatusCode.INTERNAL)


class ProtocolError(Internal):
    """The answer breaks the contract: the server is not evenkeel, or of another version."""

    @classmethod
    def of(cls, path: str, description: str) -> ProtocolError:
        """Return the error of a field of the answer."""
        return cls(f"the server's answer breaks the contract: {path} {description}")


class VersionWarning(UserWarning):
    """The server's version is further from the client's than one minor version."""
