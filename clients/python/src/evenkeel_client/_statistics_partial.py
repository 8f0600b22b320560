"""Statistics that merge."""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import _exact
from ._options import KINDS, Kind, kind_of
from ._proto import tensor_ops_pb2 as pb
from ._tensors import parsed
from .errors import InvalidArgument, ProtocolError


@dataclass(frozen=True)
class GradientSums:
    """The exact sums over the gradients of a set's outputs, in units of 2^-2148."""

    nonfinite_gradients: int
    """How many gradients are NaN or infinite."""
    sum: int
    """The sum of the finite gradients."""
    sum_of_products: int
    """The sum of the products of each element and its gradient, where both are finite."""


@dataclass(frozen=True)
class SetStatistics:
    """The exact sums over a set: the elements that are pooled together. Sums are in units of 2^-2148."""

    elements: int
    """How many elements were measured, finite or not."""
    nan_elements: int
    """How many of them are NaN."""
    infinite_elements: int
    """How many of them are positive infinity."""
    negative_infinite_elements: int
    """How many of them are negative infinity."""
    sum: int
    """The sum of the finite elements; 0 for the kinds that subtract no mean."""
    sum_of_squares: int
    """The sum of their squares."""
    gradients: GradientSums | None
    """The sums over the gradients, if they were measured."""

    def plus(self, other: SetStatistics) -> SetStatistics:
        """Return the statistics of both sets together, of which both or neither have gradients."""
        gradients = None
        if self.gradients is not None and other.gradients is not None:
            gradients = GradientSums(
                self.gradients.nonfinite_gradients + other.gradients.nonfinite_gradients,
                self.gradients.sum + other.gradients.sum,
                self.gradients.sum_of_products + other.gradients.sum_of_products,
            )
        return SetStatistics(
            self.elements + other.elements,
            self.nan_elements + other.nan_elements,
            self.infinite_elements + other.infinite_elements,
            self.negative_infinite_elements + other.negative_infinite_elements,
            self.sum + other.sum,
            self.sum_of_squares + other.sum_of_squares,
            gradients,
        )


@dataclass(frozen=True)
class StatisticsPartial:
    """The exact statistics of the sets of a part of a tensor, in a form that merges.

    Partials merge without rounding: any cut of the tensor into parts and any order give the same statistics, to the last
    bit. Made by `measure_statistics`, by `merge`, and by `from_bytes`.
    """

    kind: Kind
    """The normalization that the sets are pooled by."""
    shape: tuple[int, ...]
    """The shape of the sets: the input's without the pooled axes; for `group` with the number of groups in place of the
    channel axis."""
    sets: tuple[SetStatistics, ...]
    """The sets, in row-major order."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def elements(self) -> int:
        """The number of elements of each set, in all parts; 0 without sets."""
        return self.sets[0].elements if self.sets else 0

    @property
    def has_gradients(self) -> bool:
        """Whether gradients were measured beside the elements; also true without sets."""
        return all(part.gradients is not None for part in self.sets[:1])

    def merge(self, *others: StatisticsPartial) -> StatisticsPartial:
        """Return the statistics of all parts together.

        Raises:
            InvalidArgument: the kinds or the shapes differ, only some have gradients, or a set has more than 2^59
                elements.

        """
        merged = self
        for other in others:
            if not isinstance(other, StatisticsPartial):
                raise InvalidArgument.of("partials", f"expected a StatisticsPartial, got {type(other).__name__}")
            for path, is_same in (
                ("kind", other.kind == merged.kind),
                ("shape", other.shape == merged.shape),
                ("sets[0].sum_of_gradients", other.has_gradients == merged.has_gradients),
            ):
                if not is_same:
                    raise InvalidArgument.of(path, "expected the same in all partials that are merged")
            sets = (one.plus(another) for one, another in zip(merged.sets, other.sets, strict=True))
            merged = StatisticsPartial(merged.kind, merged.shape, tuple(sets))
        return merged

    def to_bytes(self) -> bytes:
        """Return the message `evenkeel.v1.StatisticsPartial`, which clients in any language read."""
        return self.to_message().SerializeToString()

    def to_message(self) -> pb.StatisticsPartial:
        """Return the message for a request."""
        kind = pb.NormKind.ValueType(KINDS[self.kind])
        return pb.StatisticsPartial(kind=kind, shape=self.shape, sets=map(_set_message, self.sets))

    @classmethod
    def from_bytes(cls, data: bytes) -> StatisticsPartial:
        """Return the statistics of a message.

        Raises:
            InvalidArgument: the bytes are no message, or no elements have these statistics.

        """
        try:
            return cls.from_message(parsed(pb.StatisticsPartial, bytes(data)))
        except ProtocolError:
            raise InvalidArgument.of("partial", "is not the message evenkeel.v1.StatisticsPartial") from None

    @classmethod
    def from_message(cls, message: pb.StatisticsPartial) -> StatisticsPartial:
        """Return the statistics of a message that protobuf has parsed."""
        kind = kind_of(message.kind)
        if kind is None:
            raise InvalidArgument.of("kind", f"{message.kind} is no kind of normalization")
        if any(dim < 0 for dim in message.shape):
            raise InvalidArgument.of("shape", "has a negative dimension")
        sets = (_set_of(f"sets[{index}]", part) for index, part in enumerate(message.sets))
        return cls(kind, tuple(message.shape), tuple(sets))


def _sum_message(value: int) -> pb.ExactSum:
    magnitude = abs(value)
    low_zero_bytes = ((magnitude & -magnitude).bit_length() - 1) // 8 if magnitude else 0
    data = _exact.to_bytes(magnitude >> 8 * low_zero_bytes)
    return pb.ExactSum(negative=value < 0, low_zero_bytes=low_zero_bytes, magnitude=data)


def _set_message(part: SetStatistics) -> pb.SetStatistics:
    message = pb.SetStatistics(
        elements=part.elements,
        nan_elements=part.nan_elements,
        infinite_elements=part.infinite_elements,
        negative_infinite_elements=part.negative_infinite_elements,
        sum=_sum_message(part.sum) if part.sum else None,
        sum_of_squares=_sum_message(part.sum_of_squares) if part.sum_of_squares else None,
    )
    if part.gradients is not None:
        message.nonfinite_gradients = part.gradients.nonfinite_gradients
        message.sum_of_gradients.CopyFrom(_sum_message(part.gradients.sum))
        message.sum_of_products.CopyFrom(_sum_message(part.gradients.sum_of_products))
    return message


def _sum_of(path: str, message: pb.ExactSum) -> int:
    magnitude = _exact.from_bytes(f"{path}.magnitude", message.magnitude, message.low_zero_bytes)
    return -magnitude if message.negative else magnitude


def _set_of(path: str, message: pb.SetStatistics) -> SetStatistics:
    gradients = None
    if message.HasField("sum_of_gradients"):
        gradients = GradientSums(
            message.nonfinite_gradients,
            _sum_of(f"{path}.sum_of_gradients", message.sum_of_gradients),
            _sum_of(f"{path}.sum_of_products", message.sum_of_products),
        )
    elif message.HasField("sum_of_products"):
        raise InvalidArgument.of(f"{path}.sum_of_products", "expected none without sum_of_gradients")
    elif message.nonfinite_gradients:
        raise InvalidArgument.of(f"{path}.nonfinite_gradients", "expected 0 without sum_of_gradients")
    return SetStatistics(
        message.elements,
        message.nan_elements,
        message.infinite_elements,
        message.negative_infinite_elements,
        _sum_of(f"{path}.sum", message.sum),
        _sum_of(f"{path}.sum_of_squares", message.sum_of_squares),
        gradients,
    )


def _check(partial: StatisticsPartial) -> None:
    """Raise `InvalidArgument` if no elements have these statistics."""
    if math.prod(partial.shape) != len(partial.sets):
        expected = math.prod(partial.shape)
        raise InvalidArgument.of("sets", f"expected the {expected} sets of the shape, got {len(partial.sets)}")
    for index, part in enumerate(partial.sets):
        path, first = f"sets[{index}]", partial.sets[0]
        if part.elements != first.elements:
            raise InvalidArgument.of(f"{path}.elements", f"expected the {first.elements} of the first set")
        if (part.gradients is None) != (first.gradients is None):
            raise InvalidArgument.of(f"{path}.sum_of_gradients", "expected as in the first set")
        _check_set(path, part)


def _check_set(path: str, part: SetStatistics) -> None:
    n = part.elements
    finite = n - part.nan_elements - part.infinite_elements - part.negative_infinite_elements
    _expect(n <= _exact.MAX_ELEMENTS, path, "elements", "no more than 2^59, with those they are merged with")
    _expect(finite >= 0, path, "elements", "at least as many as those that are NaN or infinite")
    _check_sum(path, "sum", part.sum, finite)
    _expect(part.sum_of_squares >= 0, path, "sum_of_squares", "a sum that is not negative")
    _check_products(path, "sum_of_squares", part.sum_of_squares, finite)
    # Cauchy and Schwarz: the square of the sum is at most n times the sum of the squares.
    has_room = part.sum**2 <= finite * part.sum_of_squares << 2148
    _expect(has_room, path, "sum_of_squares", "at least the square of sum divided by the number of finite elements")
    if part.gradients is not None:
        finite_gradients = n - part.gradients.nonfinite_gradients
        products = part.gradients.sum_of_products
        _expect(finite_gradients >= 0, path, "nonfinite_gradients", "no more than elements")
        _check_sum(path, "sum_of_gradients", part.gradients.sum, finite_gradients)
        _check_products(path, "sum_of_products", products, min(finite, finite_gradients))
        _expect(part.sum_of_squares > 0 or products == 0, path, "sum_of_products", "0, since sum_of_squares is 0")


def _check_sum(path: str, name: str, value: int, count: int) -> None:
    is_below = value == 0 or abs(value) < count << _exact.ELEMENT_BITS
    _expect(is_below, path, name, "no more than the finite numbers can add up to")
    _expect(_exact.is_of_float64(value), path, name, "a multiple of 2^1074 units, as every float64 is")


def _check_products(path: str, name: str, value: int, count: int) -> None:
    is_below = value == 0 or abs(value) < count << _exact.PRODUCT_BITS
    _expect(is_below, path, name, "no more than the finite products can add up to")


def _expect(is_right: bool, path: str, name: str, expected: str) -> None:
    if not is_right:
        raise InvalidArgument.of(f"{path}.{name}", f"expected {expected}")
