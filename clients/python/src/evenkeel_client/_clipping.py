"""The requests and responses of ClipGradients and ClipGradientsStream."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import _wire
from ._options import flag, number
from ._proto import tensor_ops_pb2 as pb
from ._streams import DATA, HEADER, SUMMARY, Output, Receiver, incomplete, part, unexpected
from ._tensors import Received, Tensor, expect_described, parsed, split
from .errors import InvalidArgument, ProtocolError
from .results import Clipped

NORM, VALUE, NORM_PER_TENSOR = 1, 2, 3
_GRADIENTS = 15
_TENSOR = 2
"""The part of a stream that begins the next gradient."""
_NUMBERS_BYTES = 64
_NORM_BYTES = 8
_EXACT_ORDERS = (1.0, 2.0, math.inf)


def gradient_tensors(gradients: Any) -> list[Tensor]:
    """Take gradients: a mapping from names to arrays, or a sequence of arrays; or raise `InvalidArgument`."""
    if isinstance(gradients, Mapping):
        for name in gradients:
            if not isinstance(name, str):
                raise InvalidArgument.of("gradients", f"expected names, got a key of type {type(name).__name__}")
        return [Tensor.of(f"gradients[{i}]", array, name) for i, (name, array) in enumerate(gradients.items())]
    if isinstance(gradients, str | bytes | np.ndarray) or not isinstance(gradients, Sequence):
        kind = type(gradients).__name__
        raise InvalidArgument.of("gradients", f"expected a dict from names to arrays or a list of arrays, got {kind}")
    return [Tensor.of(f"gradients[{i}]", array) for i, array in enumerate(gradients)]


@dataclass(frozen=True)
class ClipCall:
    """The arguments of a clipping."""

    options: pb.ClipGradientsRequest
    """The fields without the gradients."""
    gradients: list[Tensor]
    names: list[str] | None
    """The keys of the result; `None`: it is a list."""
    first: int = 0
    """The index of the first gradient, among all of the user's call."""

    @classmethod
    def of(
        cls,
        gradients: Any,
        mode: int,
        threshold: Any,
        *,
        norm_type: Any,
        error_if_nonfinite: Any,
        total_norm: Any = None,
        epsilon: Any = None,
        not_above: Any = False,
    ) -> ClipCall:
        """Check the arguments."""
        message = pb.ClipGradientsRequest(
            mode=pb.ClipMode.ValueType(mode),
            threshold=number("threshold", threshold),
            norm_type=number("norm_type", norm_type),
            error_if_nonfinite=flag("error_if_nonfinite", error_if_nonfinite),
            not_above=flag("not_above", not_above),
        )
        if total_norm is not None:
            message.total_norm = number("total_norm", total_norm)
        if epsilon is not None:
            message.epsilon = number("epsilon", epsilon)
        tensors = gradient_tensors(gradients)
        return cls(message, tensors, list(gradients) if isinstance(gradients, Mapping) else None)

    def parts(self) -> list[bytes | memoryview]:
        """Return the message of the unary call, in parts."""
        parts: list[bytes | memoryview] = [self.options.SerializeToString()]
        for tensor in self.gradients:
            parts += tensor.framed(_GRADIENTS)
        return parts

    def message_bytes(self, parts: list[bytes | memoryview]) -> int:
        """Return the bytes of the longest message of the unary call with this request.

        The response has numbers beside the gradients.
        """
        return sum(map(len, parts)) + _NUMBERS_BYTES + _NORM_BYTES * len(self.gradients)

    @property
    def is_incremental(self) -> bool:
        """Whether the server needs to hold no more than a chunk for a stream."""
        is_exact = self.options.norm_type in _EXACT_ORDERS
        return self.options.HasField("total_norm") or (self.options.mode == VALUE and is_exact)

    @property
    def is_measured(self) -> bool:
        """Whether two passes can replace one: the gradients are measured, and then clipped by a known norm."""
        is_by_norm = self.options.mode in (NORM, NORM_PER_TENSOR)
        is_open = not self.options.HasField("total_norm") and not self.options.not_above
        return is_by_norm and is_open and self.options.norm_type in _EXACT_ORDERS and bool(self.gradients)

    def with_total_norm(self, total_norm: float) -> ClipCall:
        """Return the second pass: the call by a norm that is known."""
        options = pb.ClipGradientsRequest()
        options.CopyFrom(self.options)
        options.mode = pb.ClipMode.ValueType(NORM)
        options.total_norm = total_norm
        return replace(self, options=options)

    def one(self, index: int) -> ClipCall:
        """Return the call with a single gradient."""
        return replace(self, gradients=[self.gradients[index]], names=None, first=index)

    def frames(self, chunk: int) -> Iterator[bytes]:
        """Return the messages of the stream."""
        header = self.options.SerializeToString()
        yield _wire.prefix(HEADER, len(header)) + header
        for tensor in self.gradients:
            yield tensor.described(_TENSOR)
            yield from tensor.chunks(DATA, chunk)

    def decode(self, message: bytes) -> Clipped[Any]:
        """Return the result in the response of the unary call."""
        rest, received = split(message, frozenset((_GRADIENTS,)), len(self.gradients))
        if len(received) != len(self.gradients):
            raise ProtocolError.of("gradients", f"are {len(received)} where {len(self.gradients)} were sent")
        arrays = [
            tensor.decode(f"gradients[{index}]", sent)
            for index, ((_, tensor), sent) in enumerate(zip(received, self.gradients, strict=True))
        ]
        return self.result(arrays, parsed(pb.ClipGradientsResponse, rest))

    def result(self, arrays: list[Any], answer: pb.ClipGradientsResponse) -> Clipped[Any]:
        """Return the result with the numbers of an answer."""
        norms = len(self.gradients) if self.options.mode == NORM_PER_TENSOR else 0
        if len(answer.tensor_norms) != norms:
            raise ProtocolError.of("tensor_norms", f"are {len(answer.tensor_norms)} where {norms} are due")
        return Clipped(
            gradients=self.collected(arrays),
            total_norm=answer.total_norm,
            scale=answer.scale,
            clipped_elements=answer.clipped_elements,
            tensor_norms=tuple(answer.tensor_norms),
        )

    def collected(self, arrays: list[Any]) -> Any:
        """Return arrays in the user's collection."""
        return arrays if self.names is None else dict(zip(self.names, arrays, strict=True))


class ClipReceiver(Receiver[Clipped[Any]]):
    """Takes the response of ClipGradientsStream."""

    def __init__(self, call: ClipCall) -> None:
        self._call = call
        self._begun = False
        self._arrays: list[Any] = []
        self._output: Output | None = None
        self._summary: pb.ClipGradientsResponse | None = None

    def take(self, message: bytes) -> None:
        """Take the next message."""
        field = part(message)
        if field.number == HEADER and not self._begun:
            self._begun = True
        elif not self._begun or self._summary is not None:
            raise unexpected(field, self._begun)
        elif field.number == DATA and self._output is not None:
            self._output.take(message, field.begin, field.end)
        elif field.number == _TENSOR:
            self._begin(Received.read(message, field.begin, field.end).head)
        elif field.number == SUMMARY:
            self._complete()
            self._summary = parsed(pb.ClipGradientsResponse, message[field.begin : field.end])
        else:
            raise unexpected(field, self._begun)

    def _begin(self, head: pb.Tensor) -> None:
        self._complete()
        index = len(self._arrays)
        if index == len(self._call.gradients):
            raise ProtocolError.of("gradients", "are more than were sent")
        path = f"gradients[{self._call.first + index}]"
        expect_described(path, head, self._call.gradients[index])
        self._output = Output.of(f"{path}.data", self._call.gradients[index])

    def _complete(self) -> None:
        """End the gradient that has come."""
        if self._output is not None:
            self._arrays.append(self._call.gradients[len(self._arrays)].like(self._output.finish()))
            self._output = None

    def finish(self) -> Clipped[Any]:
        """Return the result."""
        if self._summary is None:
            raise incomplete()
        if len(self._arrays) != len(self._call.gradients):
            raise ProtocolError.of("gradients", f"are {len(self._arrays)} where {len(self._call.gradients)} were sent")
        return self._call.result(self._arrays, self._summary)
