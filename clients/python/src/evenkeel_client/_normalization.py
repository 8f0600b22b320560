"""The requests and responses of Normalize, NormalizeBackward and NormalizeStream."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from . import _wire
from ._dtypes import FLOAT32, FLOAT64, DType
from ._options import INT32, KINDS, UINT32, choice, flag, integer, integers, number
from ._proto import tensor_ops_pb2 as pb
from ._statistics_partial import StatisticsPartial
from ._streams import DATA, HEADER, SUMMARY, Output, Receiver, incomplete, part, unexpected
from ._tensors import Received, Tensor, expect_described, parsed, split
from .errors import InvalidArgument, ProtocolError
from .results import Normalized, NormalizeGradients

_WEIGHT, _BIAS, _RUNNING_MEAN, _RUNNING_VAR, _INPUT, _GRAD_OUTPUT = 10, 11, 12, 13, 14, 15
"""The fields of the tensors of a request, in the order in which they are sent."""
_MEAN, _RSTD, _OUTPUT = 10, 11, 14
_RESPONSE_TENSORS = frozenset((_MEAN, _RSTD, _RUNNING_MEAN, _RUNNING_VAR, _OUTPUT))
_GRAD_WEIGHT, _GRAD_BIAS, _GRAD_INPUT = 10, 11, 12
_AXES_BYTES = 80
"""More than the axes of a response have, of which there are 64 at most."""
_TENSOR_BYTES = 16
_DIM_BYTES = 10
"""More than a tensor, and than each of its dimensions, have beside the elements."""
_UNCENTRED = (KINDS["rms"], KINDS["l2"])
"""The kinds that subtract no mean."""
_ROW_RANK = 3
"""Up to this rank LAYER and RMS pool the last axis."""


@dataclass(frozen=True)
class Pooling:
    """What is pooled together."""

    kind: int
    axes: list[int]
    groups: int
    channel_axis: int | None

    @classmethod
    def of(cls, kind: Any, axes: Any, groups: Any, channel_axis: Any) -> Pooling:
        """Check the arguments."""
        return cls(
            choice("kind", kind, KINDS),
            [] if axes is None else integers("axes", axes, INT32),
            0 if groups is None else integer("groups", groups, UINT32),
            None if channel_axis is None else integer("channel_axis", channel_axis, INT32),
        )

    def message(self) -> pb.NormalizeRequest:
        """Return a request with these fields. Those of NormalizeBackwardRequest have the same numbers."""
        kind = pb.NormKind.ValueType(self.kind)
        message = pb.NormalizeRequest(kind=kind, axes=self.axes, groups=self.groups)
        if self.channel_axis is not None:
            message.channel_axis = self.channel_axis
        return message

    def pooled_axes(self, rank: int) -> tuple[int, ...]:
        """Return the axes that are pooled of a tensor of this rank, sorted, if the server takes the arguments."""
        channel_axis = self._channel_axis(rank)
        kinds = {number: kind for kind, number in KINDS.items()}
        default: set[int] = {
            "batch": set(range(rank)) - {channel_axis},
            "layer": {rank - 1} if rank <= _ROW_RANK else set(range(1, rank)),
            "rms": {rank - 1} if rank <= _ROW_RANK else set(range(1, rank)),
            "instance": set(range(rank)) - {0, channel_axis},
            "group": set(range(1, rank)),
            "l2": {min(1, rank - 1)},
        }[kinds[self.kind]]
        pooled = {axis % max(rank, 1) for axis in self.axes} or default
        if self.kind == KINDS["group"]:
            pooled |= {channel_axis}
        return tuple(sorted(pooled))

    def sets_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the sets of a tensor of this shape, if the server takes the arguments."""
        pooled: dict[int, list[int]] = {axis: [] for axis in self.pooled_axes(len(shape))}
        if self.kind == KINDS["group"]:
            pooled[self._channel_axis(len(shape))] = [self.groups]
        return tuple(dim for axis, length in enumerate(shape) for dim in pooled.get(axis, [length]))

    def _channel_axis(self, rank: int) -> int:
        return (1 if self.channel_axis is None else self.channel_axis) % max(rank, 1)


@dataclass(frozen=True)
class NormalizeCall:
    """The arguments of a normalization or its gradients, and the forms that the tensors of the response must have."""

    pooling: Pooling
    options: pb.NormalizeRequest
    """The fields without tensors."""
    tensors: dict[int, Tensor]
    """The tensors by their fields."""

    @classmethod
    def of(
        cls,
        x: object,
        pooling: Pooling,
        *,
        eps: Any,
        training: Any,
        momentum: Any = None,
        statistics: Any,
        return_statistics: Any = False,
        grad_output: object = None,
        **optional: object,
    ) -> NormalizeCall:
        """Check the arguments. `optional` has weight, bias, running_mean and running_var."""
        message = pooling.message()
        if eps is not None:
            message.eps = number("eps", eps)
        if training is not None:
            message.training = flag("training", training)
        if momentum is not None:
            message.momentum = number("momentum", momentum)
        message.return_statistics = flag("return_statistics", return_statistics)
        if statistics is not None:
            if not isinstance(statistics, StatisticsPartial):
                kind = type(statistics).__name__
                raise InvalidArgument.of("statistics", f"expected a StatisticsPartial, got {kind}")
            message.statistics.CopyFrom(statistics.to_message())
        named = {"weight": _WEIGHT, "bias": _BIAS, "running_mean": _RUNNING_MEAN, "running_var": _RUNNING_VAR}
        given = {field: Tensor.optional(name, optional[name]) for name, field in named.items()}
        tensors = {field: tensor for field, tensor in given.items() if tensor is not None}
        tensors[_INPUT] = Tensor.of("input", x)
        if grad_output is not None:
            tensors[_GRAD_OUTPUT] = Tensor.of("grad_output", grad_output)
        return cls(pooling, message, tensors)

    @property
    def input(self) -> Tensor:
        """The input."""
        return self.tensors[_INPUT]

    def parts(self) -> list[bytes | memoryview]:
        """Return the message of the unary call, in parts."""
        parts: list[bytes | memoryview] = [self.options.SerializeToString()]
        for field, tensor in self.tensors.items():
            parts += tensor.framed(field)
        return parts

    def message_bytes(self, parts: list[bytes | memoryview]) -> int:
        """Return the bytes of the longest message of the unary call with this request: it or the response."""
        return sum(map(len, parts)) + self.statistics_bytes + _AXES_BYTES

    @property
    def statistics_bytes(self) -> int:
        """The most bytes of `mean` and `rstd` in a response."""
        if not self.options.return_statistics:
            return 0
        elements = self._statistics_dtype.size * math.prod(self.pooling.sets_shape(self.input.shape))
        return 2 * (elements + _TENSOR_BYTES + _DIM_BYTES * len(self.input.shape))

    @property
    def _statistics_dtype(self) -> DType:
        return FLOAT64 if self.input.dtype == FLOAT64 else FLOAT32

    @property
    def uses_own_statistics(self) -> bool:
        """Whether the statistics are the input's own: neither running nor merged ones."""
        has_running = _RUNNING_MEAN in self.tensors
        trains = self.options.training if self.options.HasField("training") else not has_running
        return trains and not self.options.HasField("statistics")

    @property
    def is_incremental(self) -> bool:
        """Whether the server needs to hold no more than a set for a stream, which is small for most tensors."""
        return not (self.uses_own_statistics and self.pooling.kind == KINDS["batch"])

    def with_statistics(self, statistics: StatisticsPartial) -> NormalizeCall:
        """Return the call with the statistics that a first pass has measured."""
        options = pb.NormalizeRequest()
        options.CopyFrom(self.options)
        options.statistics.CopyFrom(statistics.to_message())
        return replace(self, options=options)

    def frames(self, chunk: int) -> Iterator[bytes]:
        """Return the messages of the stream."""
        header: list[bytes | memoryview] = [self.options.SerializeToString()]
        for field, tensor in self.tensors.items():
            header += [tensor.described(field)] if field == _INPUT else tensor.framed(field)
        yield b"".join((_wire.prefix(HEADER, sum(map(len, header))), *header))
        yield from self.input.chunks(DATA, chunk)

    def decode(self, message: bytes) -> Normalized[Any]:
        """Return the result in the response of the unary call."""
        rest, received = split(message, _RESPONSE_TENSORS)
        tensors = dict(received)
        if _OUTPUT not in tensors:
            raise ProtocolError.of("output", "is missing")
        output = tensors.pop(_OUTPUT).decode("output", self.input)
        return self.result(parsed(pb.NormalizeResponse, rest).axes, output, tensors)

    def result(self, axes: Any, output: Any, tensors: dict[int, Received]) -> Normalized[Any]:
        """Return the result with the tensors that came beside the output."""
        shape = self.input.shape
        pooled = self.pooling.pooled_axes(len(shape))
        if tuple(axes) != pooled:
            raise ProtocolError.of("axes", f"are {reprlib.repr(tuple(axes))} where {pooled} are pooled")

        def statistic(path: str, field: int, *, is_due: bool) -> Any:
            if (field in tensors) != is_due:
                raise ProtocolError.of(path, "is missing" if is_due else "was not asked for")
            if not is_due:
                return None
            return tensors[field].decode_as(
                path, self._statistics_dtype, self.pooling.sets_shape(shape), self.input.library
            )

        are_returned = self.options.return_statistics

        def running(path: str, field: int) -> Any:
            if field not in tensors:
                return None
            if field not in self.tensors:
                raise ProtocolError.of(path, "answers nothing that was sent")
            return tensors[field].decode(path, self.tensors[field])

        return Normalized(
            output,
            pooled,
            statistic("mean", _MEAN, is_due=are_returned and self.pooling.kind not in _UNCENTRED),
            statistic("rstd", _RSTD, is_due=are_returned),
            running("running_mean", _RUNNING_MEAN),
            running("running_var", _RUNNING_VAR),
        )

    def decode_gradients(self, message: bytes) -> NormalizeGradients[Any]:
        """Return the gradients in the response of NormalizeBackward."""
        _, received = split(message, frozenset((_GRAD_WEIGHT, _GRAD_BIAS, _GRAD_INPUT)))
        tensors = dict(received)

        def gradient(path: str, field: int, sent: Tensor | None) -> Any:
            if sent is None:
                return None
            if field not in tensors:
                raise ProtocolError.of(path, "is missing")
            return tensors[field].decode(path, sent)

        return NormalizeGradients(
            gradient("grad_input", _GRAD_INPUT, self.input),
            gradient("grad_weight", _GRAD_WEIGHT, self.tensors.get(_WEIGHT)),
            gradient("grad_bias", _GRAD_BIAS, self.tensors.get(_BIAS)),
        )


class NormalizeReceiver(Receiver[Normalized[Any]]):
    """Takes the response of NormalizeStream."""

    def __init__(self, call: NormalizeCall) -> None:
        self._call = call
        self._axes: Any = None
        self._output = Output.of("data", call.input)
        self._summary: dict[int, Received] | None = None

    def take(self, message: bytes) -> None:
        """Take the next message."""
        field, begun = part(message), self._axes is not None
        if field.number == DATA and begun and self._summary is None:
            self._output.take(message, field.begin, field.end)
            return
        if (field.number, begun) not in ((HEADER, False), (SUMMARY, True)) or self._summary is not None:
            raise unexpected(field, begun)
        rest, received = split(message[field.begin : field.end], _RESPONSE_TENSORS)
        if field.number == SUMMARY:
            self._summary = dict(received)
            return
        described = dict(received).get(_OUTPUT)
        if described is None:
            raise ProtocolError.of("output", "is missing")
        expect_described("output", described.head, self._call.input)
        self._axes = parsed(pb.NormalizeResponse, rest).axes

    def finish(self) -> Normalized[Any]:
        """Return the result."""
        if self._summary is None:
            raise incomplete()
        output = self._call.input.like(self._output.finish())
        return self._call.result(cast("list[int]", self._axes), output, self._summary)
