"""Tensors of requests and responses."""

from __future__ import annotations

import functools
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _wire
from ._dtypes import DType
from ._libraries import Bytes, Library, byte_length, library_of
from ._proto import tensor_ops_pb2 as pb
from .errors import ProtocolError

_DATA = 15
"""The field `data` of a Tensor."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of a request, and the form that its counterpart in the response must have."""

    library: Library
    dtype: DType
    shape: tuple[int, ...]
    data: Bytes
    """The elements: a view of the array, if possible."""
    name: str = ""

    @classmethod
    def of(cls, path: str, array: object, name: str = "") -> Tensor:
        """Take an array, or raise `InvalidArgument` with this path."""
        library = library_of(path, array)
        dtype = library.dtype(path, array)
        shape: tuple[int, ...] = tuple(getattr(array, "shape"))  # noqa: B009 (it is an array)
        return cls(library, dtype, shape, library.to_bytes(array), name)

    @classmethod
    def optional(cls, path: str, array: object) -> Tensor | None:
        """Take an array that may be absent."""
        return None if array is None else cls.of(path, array)

    @functools.cached_property
    def head(self) -> bytes:
        """Everything but the elements, serialized."""
        shape = [int(dim) for dim in self.shape]
        message = pb.Tensor(name=self.name, dtype=pb.DataType.ValueType(self.dtype.number), shape=shape)
        return message.SerializeToString()

    def framed(self, number: int) -> list[bytes | memoryview]:
        """Serialize the tensor as the field of a message, in parts. The elements are not copied."""
        head, data_prefix = self.head, _wire.prefix(_DATA, self.data.nbytes)
        length = len(head) + len(data_prefix) + self.data.nbytes
        return [_wire.prefix(number, length) + head + data_prefix, self.data.data]

    def described(self, number: int) -> bytes:
        """Serialize the tensor without its elements as the field of a message: the header of a stream has it so."""
        head = self.head
        return _wire.prefix(number, len(head)) + head

    def chunks(self, number: int, most: int) -> Iterator[bytes]:
        """Frame the elements as messages of a stream, of at most so many bytes each. A message is the one copy."""
        data = self.data.data
        for begin in range(0, len(data), most):
            chunk = data[begin : begin + most]
            yield b"".join((_wire.prefix(number, len(chunk)), chunk))

    def like(self, data: Bytes) -> Any:
        """Return an array of this form over bytes that nothing else refers to."""
        return self.library.from_bytes(data, self.dtype, self.shape)


@dataclass(frozen=True)
class Received:
    """A tensor of a response, whose elements are still in the message."""

    head_bytes: bytes
    message: bytes
    begin: int
    end: int

    @classmethod
    def read(cls, message: bytes, begin: int, end: int) -> Received:
        """Find the parts of the tensor that lies there."""
        rest, data_begin, data_end = [], end, end
        for field in _wire.fields(message, begin, end):
            if field.number == _DATA and field.has_length:
                data_begin, data_end = field.begin, field.end
            else:
                rest.append(message[field.start : field.end])
        return cls(b"".join(rest), message, data_begin, data_end)

    @functools.cached_property
    def head(self) -> pb.Tensor:
        """Everything but the elements."""
        head: pb.Tensor = parsed(pb.Tensor, self.head_bytes)
        return head

    def decode(self, path: str, sent: Tensor) -> Any:
        """Return the array, which must have the form of the tensor that was sent."""
        if self.head_bytes != sent.head:  # There are several encodings of a message, though servers use one.
            expect_described(path, self.head, sent)
        return sent.like(self._elements(path, sent.dtype, sent.shape))

    def decode_as(self, path: str, dtype: DType, shape: tuple[int, ...], library: Library) -> Any:
        """Return the array, which must have this dtype and shape."""
        if self.head.dtype != dtype.number:
            raise ProtocolError.of(f"{path}.dtype", f"is {self.head.dtype} where {dtype.number} is due")
        if tuple(self.head.shape) != shape:
            raise ProtocolError.of(f"{path}.shape", f"is {reprlib.repr(tuple(self.head.shape))} where {shape} is due")
        return library.from_bytes(self._elements(path, dtype, shape), dtype, shape)

    def _elements(self, path: str, dtype: DType, shape: tuple[int, ...]) -> Bytes:
        """Copy the elements out of the message.

        The copy cannot be avoided: the elements begin at any address, and arrays need one that is a multiple of the
        element's size; and a message is immutable, whereas arrays of results are to be writable.
        """
        given, expected = self.end - self.begin, byte_length(dtype, shape)
        if given != expected:
            raise ProtocolError.of(f"{path}.data", f"has {given} bytes where {expected} are due")
        data = np.empty(expected, np.uint8)
        data[:] = np.frombuffer(self.message, np.uint8, expected, self.begin)
        return data


def expect_described(path: str, given: pb.Tensor, sent: Tensor) -> None:
    """Raise `ProtocolError` if a response does not describe the tensor that was sent."""
    for part, is_given, was_sent in (
        ("name", given.name, sent.name),
        ("dtype", given.dtype, sent.dtype.number),
        ("shape", tuple(given.shape), sent.shape),
    ):
        if is_given != was_sent:
            raise ProtocolError.of(f"{path}.{part}", f"is {reprlib.repr(is_given)} where {was_sent!r} was sent")


def split(message: bytes, tensors: frozenset[int], most: int | None = None) -> tuple[bytes, list[tuple[int, Received]]]:
    """Part the tensors of a response, which are in these fields, from the rest, which protobuf may parse.

    `most` is the number of tensors, by default one for each field. There are no more numbers than tensors beside them.
    """
    rest: list[bytes] = []
    received: list[tuple[int, Received]] = []
    most = len(tensors) if most is None else most
    for field in _wire.fields(message, most=2 * most + _wire.MOST_FIELDS):
        if field.number in tensors and field.has_length:
            if len(received) == most:
                raise ProtocolError.of("message", f"has more than {most} tensors")
            received.append((field.number, Received.read(message, field.begin, field.end)))
        else:
            rest.append(message[field.start : field.end])
    return b"".join(rest), received


def parsed(kind: Any, message: bytes) -> Any:
    """Parse a message of this class, or raise `ProtocolError`."""
    try:
        return kind.FromString(message)
    except Exception as error:
        # The class of the error depends on the implementation of protobuf.
        raise _wire.malformed() from error
