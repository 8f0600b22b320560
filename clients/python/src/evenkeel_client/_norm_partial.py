"""Norms that merge."""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import _exact
from ._proto import tensor_ops_pb2 as pb
from ._tensors import parsed
from .errors import InvalidArgument, ProtocolError


@dataclass(frozen=True)
class NormPartial:
    """The exact norm over some gradients, in a form that merges.

    Partials merge without rounding: any order, any grouping and any distribution of the gradients over messages and
    servers give the same norm, to the last bit. Made by `measure_gradients`, by `merge`, and by `from_bytes`.
    """

    norm_type: float
    """The order of the norm: 1, 2 or infinity."""
    elements: int
    """How many elements were measured, finite or not."""
    nan_elements: int
    """How many of them are NaN. If it is not 0, the norm is NaN."""
    infinite_elements: int
    """How many of them are infinite. If it is not 0 and no element is NaN, the norm is infinite."""
    largest: float
    """Order infinity: the largest absolute value of the finite elements. Otherwise 0."""
    sum: int
    """Orders 1 and 2: the sum of the absolute values, or of the squares, of the finite elements, in units of
    2^-2148."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def total_norm(self) -> float:
        """The norm over all elements, rounded once: the `total_norm` of `clip_grad_norm`."""
        if self.nan_elements:
            return math.nan
        if self.infinite_elements:
            return math.inf
        if math.isinf(self.norm_type):
            return self.largest
        return _exact.rounded(self.sum) if self.norm_type == 1 else _exact.rounded_root(self.sum)

    def merge(self, *others: NormPartial) -> NormPartial:
        """Return the partial of all elements together.

        Raises:
            InvalidArgument: the orders differ, or there are more than 2^59 elements.

        """
        merged = self
        for other in others:
            if not isinstance(other, NormPartial):
                raise InvalidArgument.of("partials", f"expected a NormPartial, got {type(other).__name__}")
            if other.norm_type != merged.norm_type:
                raise InvalidArgument.of("norm_type", f"expected {merged.norm_type}, got {other.norm_type}")
            merged = NormPartial(
                merged.norm_type,
                merged.elements + other.elements,
                merged.nan_elements + other.nan_elements,
                merged.infinite_elements + other.infinite_elements,
                max(merged.largest, other.largest),
                merged.sum + other.sum,
            )
        return merged

    def to_bytes(self) -> bytes:
        """Return the message `evenkeel.v1.NormPartial`, at most some 600 bytes, which clients in any language read."""
        message = pb.NormPartial(
            norm_type=self.norm_type,
            elements=self.elements,
            nan_elements=self.nan_elements,
            infinite_elements=self.infinite_elements,
            largest=self.largest,
            sum=_exact.to_bytes(self.sum),
        )
        return message.SerializeToString()

    @classmethod
    def from_bytes(cls, data: bytes) -> NormPartial:
        """Return the partial of a message.

        Raises:
            InvalidArgument: the bytes are no message, or no elements have this partial.

        """
        try:
            return cls.from_message(parsed(pb.NormPartial, bytes(data)))
        except ProtocolError:
            raise InvalidArgument.of("partial", "is not the message evenkeel.v1.NormPartial") from None

    @classmethod
    def from_message(cls, message: pb.NormPartial) -> NormPartial:
        """Return the partial of a message that protobuf has parsed."""
        return cls(
            message.norm_type,
            message.elements,
            message.nan_elements,
            message.infinite_elements,
            abs(message.largest) if message.largest == 0 else message.largest,
            _exact.from_bytes("sum", message.sum),
        )


def _check(partial: NormPartial) -> None:
    """Raise `InvalidArgument` if no elements have this partial."""
    order = partial.norm_type
    if order not in (1, 2, math.inf):
        raise InvalidArgument.of("norm_type", f"expected 1, 2 or infinity, whose sums are exact, got {order}")
    if partial.elements > _exact.MAX_ELEMENTS:
        raise InvalidArgument.of("elements", "expected no more than 2^59, with those it is merged with")
    finite = partial.elements - partial.nan_elements - partial.infinite_elements
    if finite < 0:
        raise InvalidArgument.of("elements", "expected at least nan_elements and infinite_elements together")
    may_have_largest = math.isinf(order) and finite > 0
    if not 0 <= partial.largest < math.inf or (partial.largest > 0 and not may_have_largest):
        reason = f"expected a finite number, above 0 only with norm_type infinity, got {partial.largest}"
        raise InvalidArgument.of("largest", reason)
    if partial.sum == 0:
        return
    if math.isinf(order):
        raise InvalidArgument.of("sum", "expected none with norm_type infinity")
    if order == 1 and not _exact.is_of_float64(partial.sum):
        raise InvalidArgument.of("sum", "expected a multiple of 2^1074 with norm_type 1, as every float64 is")
    term_bits = _exact.ELEMENT_BITS if order == 1 else _exact.PRODUCT_BITS
    if not 0 < partial.sum < finite << term_bits:
        raise InvalidArgument.of("sum", "expected no more than the finite elements can add up to")
