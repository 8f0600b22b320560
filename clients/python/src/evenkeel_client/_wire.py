"""The few parts of protobuf's encoding that let the bulk of a message pass without protobuf.

protobuf copies `bytes` fields whenever a message is made, nested, serialized, parsed or read. So the headers of messages
go through protobuf, and the elements of tensors are framed and found here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .errors import ProtocolError

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BITS = 64
MOST_FIELDS = 1 << 10
"""The fields that a message without lists of tensors can have, with room to spare. A loop over more is a waste of time."""
_MORE = 0x80
"""The bit of a byte of a number that says that another follows."""


class Field(NamedTuple):
    """Where a field lies in a message."""

    number: int
    start: int
    """Where its tag begins."""
    begin: int
    """Where its content begins: for a field with a length, behind the length."""
    end: int
    has_length: bool


def varint(value: int) -> bytes:
    """Encode a number that is not negative."""
    out = bytearray()
    while value >= _MORE:
        out.append(value & 0x7F | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def prefix(number: int, length: int) -> bytes:
    """Encode the tag and the length before the content of a field."""
    return varint(number << 3 | _LENGTH) + varint(length)


def read_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """Decode a number; return it and where the next byte is."""
    value = shift = 0
    while shift < _VARINT_BITS and at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value, at
        shift += 7
    raise malformed()


def fields(
    data: bytes | memoryview, begin: int = 0, end: int | None = None, most: int = MOST_FIELDS
) -> Iterator[Field]:
    """Find the fields of the message between two positions, without copying any; `most`: their number."""
    at, end = begin, len(data) if end is None else end
    while at < end:
        most -= 1
        if most < 0:
            raise ProtocolError("the server's answer has more fields than any answer needs")
        start, key = at, data[at]
        at += 1
        if key >= _MORE:  # Few keys have more than one byte, and a call costs as much as the rest.
            key, at = read_varint(data, start)
        number, wire_type = key >> 3, key & 7
        begin = at
        if wire_type == _VARINT:
            _, at = read_varint(data, at)
        elif wire_type == _LENGTH:
            length, begin = read_varint(data, at)
            at = begin + length
        elif wire_type in _FIXED_SIZES:
            at += _FIXED_SIZES[wire_type]
        else:
            raise malformed()
        if at > end:
            raise malformed()
        yield Field(number, start, begin, at, wire_type == _LENGTH)


def malformed() -> ProtocolError:
    """Return the error of bytes that are no message."""
    return ProtocolError("the server's answer is not a protobuf message")
