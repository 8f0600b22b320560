"""The requests and responses of MeasureGradients and MeasureStatistics."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from . import _wire
from ._norm_partial import NormPartial
from ._normalization import Pooling
from ._proto import tensor_ops_pb2 as pb
from ._statistics_partial import StatisticsPartial
from ._tensors import Tensor, parsed
from .errors import InvalidArgument, ProtocolError

_GRADIENTS = 15
_HEADER, _BACKWARD_HEADER, _DATA, _GRAD_DATA = 1, 2, 14, 15
_INPUT, _GRAD_OUTPUT = 14, 15
_TENSOR_BYTES = 64
"""More than the fields of a tensor of one dimension have beside the elements."""


def gradient_frames(gradients: list[Tensor], norm_type: float, most: int) -> Iterator[bytes]:
    """Return the messages of MeasureGradients, of about so many bytes each: small gradients share one."""
    # The first message always goes: it has the order, also without gradients.
    frame: list[bytes | memoryview] = [pb.MeasureGradientsRequest(norm_type=norm_type).SerializeToString()]
    room = most
    for piece in _pieces(gradients, most):
        needed = piece.data.nbytes + _TENSOR_BYTES
        if needed > room and room < most:
            yield b"".join(frame)
            frame, room = [], most
        frame += piece.framed(_GRADIENTS)
        room -= needed
    yield b"".join(frame)


def _pieces(gradients: list[Tensor], most: int) -> Iterator[Tensor]:
    """Return the elements of all gradients, in tensors of one dimension and of about so many bytes at most."""
    for tensor in gradients:
        size = tensor.dtype.size
        step = max((most - _TENSOR_BYTES) // size, 1) * size
        for begin in range(0, tensor.data.nbytes, step):
            data = tensor.data[begin : begin + step]
            yield replace(tensor, name="", shape=(data.nbytes // size,), data=data)


def norm_partial(message: bytes, gradients: list[Tensor], norm_type: float) -> NormPartial:
    """Return the partial in the response of MeasureGradients, which must be of this order and of these gradients."""
    answer = parsed(pb.MeasureGradientsResponse, message)
    if not answer.HasField("partial"):
        raise ProtocolError.of("partial", "is missing")
    try:
        partial = NormPartial.from_message(answer.partial)
    except InvalidArgument as error:
        raise ProtocolError.of(f"partial.{error.fields[0].path}", error.fields[0].description) from None
    _expect("partial.norm_type", partial.norm_type, norm_type)
    _expect("partial.elements", partial.elements, sum(math.prod(tensor.shape) for tensor in gradients))
    total = partial.total_norm
    if not (math.isnan(total) and math.isnan(answer.total_norm)):
        _expect("total_norm", answer.total_norm, total)
    return partial


def _expect(path: str, given: Any, due: Any) -> None:
    if given != due:
        raise ProtocolError.of(path, f"is {reprlib.repr(given)} where {reprlib.repr(due)} is due")


def statistics_frames(pooling: Pooling, tensor: Tensor, grad_output: Tensor | None, most: int) -> Iterator[bytes]:
    """Return the messages of MeasureStatistics: a header, and the elements in chunks of so many bytes at most."""
    header = pooling.message().SerializeToString() + tensor.described(_INPUT)
    if grad_output is None:
        yield _wire.prefix(_HEADER, len(header)) + header
        yield from tensor.chunks(_DATA, most)
        return
    header += grad_output.described(_GRAD_OUTPUT)
    yield _wire.prefix(_BACKWARD_HEADER, len(header)) + header
    # If one of the two is longer, it is sent all the same, and the server reports the error.
    step = max((most - _TENSOR_BYTES) // 2, 1)
    for begin in range(0, max(tensor.data.nbytes, grad_output.data.nbytes), step):
        chunks = (
            (_DATA, tensor.data.data[begin : begin + step]),
            (_GRAD_DATA, grad_output.data.data[begin : begin + step]),
        )
        yield b"".join(part for field, chunk in chunks for part in (_wire.prefix(field, len(chunk)), chunk))


def statistics_partial(
    message: bytes, pooling: Pooling, shape: tuple[int, ...], *, has_gradients: bool
) -> StatisticsPartial:
    """Return the statistics in the response of MeasureStatistics, which must be those of a tensor of this shape."""
    answer, sets = parsed(pb.StatisticsPartial, message), pooling.sets_shape(shape)
    # The form comes first: each set takes time.
    _expect("kind", answer.kind, pooling.kind)
    _expect("shape", tuple(answer.shape), sets)
    _expect("the number of sets", len(answer.sets), math.prod(sets))
    try:
        partial = StatisticsPartial.from_message(answer)
    except InvalidArgument as error:
        raise ProtocolError.of(error.fields[0].path, error.fields[0].description) from None
    if partial.sets:
        _expect("sets[0].elements", partial.elements, math.prod(shape) // len(partial.sets))
        _expect("the presence of sets[0].sum_of_gradients", partial.has_gradients, has_gradients)
    return partial
