"""What the streams of tensors have in common: the result that comes in chunks."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from . import _wire
from ._libraries import Bytes, byte_length
from ._tensors import Tensor
from .errors import ProtocolError

R_co = TypeVar("R_co", covariant=True)

HEADER, BACKWARD_HEADER, SUMMARY, MASK, DATA = 1, 2, 3, 14, 15
"""The fields of the messages of a response."""

_MOST_PARTS = 16
"""A message has one part. A few more are read, for an error that says so."""


class Receiver(Protocol, Generic[R_co]):
    """Takes the messages of a response, one after the other."""

    def take(self, message: bytes) -> None:
        """Take the next message, or raise `ProtocolError`."""

    def finish(self) -> R_co:
        """Return the result after the last message, or raise `ProtocolError` if the response is not complete."""


class Output:
    """Bytes of which all must come, and no more. They are copied once, from the message to where they stay."""

    def __init__(self, path: str, size: int) -> None:
        self._path = path
        self._data = np.empty(size, np.uint8)
        self._filled = 0

    @classmethod
    def of(cls, path: str, tensor: Tensor) -> Output:
        """Make room for a tensor of this form."""
        return cls(path, byte_length(tensor.dtype, tensor.shape))

    def take(self, message: bytes, begin: int, end: int) -> None:
        """Take the next bytes, which lie there in a message."""
        filled = self._filled + end - begin
        if filled > self._data.nbytes:
            missing = self._data.nbytes - self._filled
            raise ProtocolError.of(self._path, f"has {end - begin} bytes where {missing} are missing")
        self._data[self._filled : filled] = np.frombuffer(message, np.uint8, end - begin, begin)
        self._filled = filled

    def finish(self) -> Bytes:
        """Return the bytes."""
        missing = self._data.nbytes - self._filled
        if missing:
            raise ProtocolError.of(self._path, f"lacks the last {missing} bytes")
        return self._data


def whole(answer: Any) -> bytes:
    """Return the one message of a response. grpc returns something else for the status OK without a message."""
    if not isinstance(answer, bytes):
        raise ProtocolError.of("message", "is missing")
    return answer


def part(message: bytes) -> _wire.Field:
    """Return the one part of a message of a response."""
    found = list(_wire.fields(message, most=_MOST_PARTS))
    if len(found) != 1 or not found[0].has_length:
        raise ProtocolError.of("part", "is missing")
    return found[0]


def unexpected(field: _wire.Field, begun: bool) -> ProtocolError:
    """Return the error of a part that is not due."""
    if not begun:
        return ProtocolError.of("header", "is missing: it is the first message")
    return ProtocolError.of("part", f"{field.number} is not due")


def incomplete() -> ProtocolError:
    """Return the error of a response that ends too early."""
    return ProtocolError.of("summary", "is missing at the end of the stream")
