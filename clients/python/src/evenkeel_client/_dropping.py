"""The requests and responses of Dropout, DropoutBackward and DropoutStream."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import _wire
from ._masks import unpacked
from ._options import DROPOUT_KINDS, INT32, SCALINGS, UINT64, choice, flag, integer, number
from ._proto import tensor_ops_pb2 as pb
from ._streams import BACKWARD_HEADER, DATA, HEADER, MASK, SUMMARY, Output, Receiver, incomplete, part, unexpected
from ._tensors import Tensor, expect_described, parsed, split
from .errors import ProtocolError
from .results import Dropped

_TENSOR = 15
"""The field of the tensor, in requests and responses of both directions."""
_HEAD_BYTES = 64
_CHANNEL_KINDS = (DROPOUT_KINDS["channel"], DROPOUT_KINDS["feature_alpha"])


@dataclass(frozen=True)
class DropoutCall:
    """The arguments of a dropout or its gradient. Both requests have the same fields."""

    options: pb.DropoutRequest
    """The fields without the tensor."""
    tensor: Tensor
    is_backward: bool

    @classmethod
    def of(
        cls,
        tensor: Tensor,
        *,
        is_backward: bool,
        p: Any,
        seed: Any,
        offset: Any,
        kind: Any,
        scaling: Any,
        channel_axis: Any,
        return_mask: Any = False,
    ) -> DropoutCall:
        """Check the arguments."""
        message = pb.DropoutRequest(
            p=number("p", p),
            seed=integer("seed", seed, UINT64),
            offset=integer("offset", offset, UINT64),
            kind=pb.DropoutKind.ValueType(choice("kind", kind, DROPOUT_KINDS)),
            scaling=pb.DropoutScaling.ValueType(choice("scaling", scaling, SCALINGS)),
            return_mask=flag("return_mask", return_mask),
        )
        if channel_axis is not None:
            message.channel_axis = integer("channel_axis", channel_axis, INT32)
        return cls(message, tensor, is_backward)

    @property
    def path(self) -> str:
        """The name of the tensor of the response."""
        return "grad_input" if self.is_backward else "output"

    @property
    def draws(self) -> tuple[int, ...]:
        """The shape of the draws, if the server takes the arguments."""
        shape = self.tensor.shape
        if self.options.kind not in _CHANNEL_KINDS:
            return shape
        axis = self.options.channel_axis if self.options.HasField("channel_axis") else 1
        return tuple(shape[axis] for axis in (0, axis) if -len(shape) <= axis < len(shape))

    @property
    def mask_bytes(self) -> int:
        """The bytes of the mask of the response."""
        return (math.prod(self.draws) + 7) // 8 if self.options.return_mask else 0

    def parts(self) -> list[bytes | memoryview]:
        """Return the message of the unary call, in parts."""
        return [self.options.SerializeToString(), *self.tensor.framed(_TENSOR)]

    def message_bytes(self, parts: list[bytes | memoryview]) -> int:
        """Return the bytes of the longest message of the unary call with this request.

        The response has the mask beside the elements.
        """
        return sum(map(len, parts)) + self.mask_bytes + _HEAD_BYTES

    def frames(self, chunk: int) -> Iterator[bytes]:
        """Return the messages of the stream."""
        header = self.options.SerializeToString() + self.tensor.described(_TENSOR)
        yield _wire.prefix(BACKWARD_HEADER if self.is_backward else HEADER, len(header)) + header
        yield from self.tensor.chunks(DATA, chunk)

    def decode(self, message: bytes) -> Dropped[Any]:
        """Return the result in the response of the unary call."""
        rest, received = split(message, frozenset((_TENSOR,)))
        if not received:
            raise ProtocolError.of(self.path, "is missing")
        output = received[-1][1].decode(self.path, self.tensor)
        answer = parsed(pb.DropoutResponse, rest)
        return self.result(output, answer.kept, answer.mask)

    def result(self, output: Any, kept: int, mask: bytes) -> Dropped[Any]:
        """Return the result; the mask as the server sends it."""
        if kept > math.prod(self.tensor.shape):
            raise ProtocolError.of("kept", f"is {kept}, more than the elements of the tensor")
        return Dropped(output, kept, unpacked(mask, self.draws) if self.options.return_mask else None)


class DropoutReceiver(Receiver[Dropped[Any]]):
    """Takes the response of DropoutStream."""

    def __init__(self, call: DropoutCall) -> None:
        self._call = call
        self._begun = False
        self._output = Output.of("data", call.tensor)
        self._mask = Output("mask", call.mask_bytes)
        self._kept: int | None = None

    def take(self, message: bytes) -> None:
        """Take the next message."""
        field = part(message)
        header = BACKWARD_HEADER if self._call.is_backward else HEADER
        if field.number == header and not self._begun:
            _, received = split(message[field.begin : field.end], frozenset((_TENSOR,)))
            if not received:
                raise ProtocolError.of(self._call.path, "is missing")
            expect_described(self._call.path, received[-1][1].head, self._call.tensor)
            self._begun = True
        elif not self._begun or self._kept is not None:
            raise unexpected(field, self._begun)
        elif field.number == DATA:
            self._output.take(message, field.begin, field.end)
        elif field.number == MASK:
            self._mask.take(message, field.begin, field.end)
        elif field.number == SUMMARY:
            self._kept = parsed(pb.DropoutResponse, message[field.begin : field.end]).kept
        else:
            raise unexpected(field, self._begun)

    def finish(self) -> Dropped[Any]:
        """Return the result; that of a gradient as `output`."""
        if self._kept is None:
            raise incomplete()
        output = self._call.tensor.like(self._output.finish())
        return self._call.result(output, self._kept, self._mask.finish().tobytes())
