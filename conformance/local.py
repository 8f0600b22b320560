"""What clients compute without a server, once more: by integers of any length, fractions and NumPy's Philox."""

import base64
import math

import numpy as np
from google.protobuf.message import DecodeError

import values

MOST_ELEMENTS = 2**59
MOST_SUM_BYTES = 532


class Refused(ValueError):
    """The arguments of a local operation are wrong."""


class Incomplete(ValueError):
    """An answer breaks the contract."""


def decoded(message, data: bytes, name: str = "partials"):
    try:
        return message.FromString(data)
    except DecodeError:
        raise Refused(name) from None


def keep_mask(seed: int, n: int, p: float, offset: int) -> bytes:
    """A byte 1 for each element that is kept, and 0 for each that is dropped."""
    if not 0 <= seed < 2**64:
        raise Refused("seed")
    if not 0 <= p <= 1:
        raise Refused("p")
    if offset < 0 or offset + n > 2**64:
        raise Refused("offset")
    block, skip = divmod(offset, 8)
    raw = np.random.Philox(key=seed, counter=block).random_raw((skip + n + 1) // 2)
    words = raw.view("<u4")[skip : skip + n]
    return (words >= np.uint64(math.ceil(p * 2**32))).astype(np.uint8).tobytes()


def convert(tensor: dict, dtype: str) -> dict:
    """The elements rounded to `dtype`."""
    data = values.pack(values.unpack(values.elements(tensor), tensor["dtype"]), dtype)
    return {"dtype": dtype, "shape": tensor["shape"], "data": base64.b64encode(data).decode()}


def merge_norms(pb, partials: list[bytes]) -> tuple[bytes, float]:
    """The merged NormPartial, and its norm."""
    read = [decoded(pb.NormPartial, partial) for partial in partials]
    if len({partial.norm_type for partial in read}) != 1:
        raise Refused("orders differ")
    merged = pb.NormPartial(norm_type=read[0].norm_type)
    total = 0
    for partial in read:
        check_norm(partial)
        merged.elements += partial.elements
        merged.nan_elements += partial.nan_elements
        merged.infinite_elements += partial.infinite_elements
        merged.largest = max(merged.largest, partial.largest)
        total += int.from_bytes(partial.sum, "little")
    merged.sum = little(total)
    check_norm(merged)
    return merged.SerializeToString(), total_norm(merged)


def little(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


def check_norm(partial) -> None:
    """Refuses what no elements can have."""
    nonfinite = partial.nan_elements + partial.infinite_elements
    finite = partial.elements - nonfinite
    total = int.from_bytes(partial.sum, "little")
    largest = 2**2098 - 2**2045  # of a float64, in units of 2^-1074
    if partial.norm_type not in (1, 2, math.inf):
        raise Refused("norm_type")
    if partial.elements > MOST_ELEMENTS or finite < 0 or len(partial.sum) > MOST_SUM_BYTES:
        raise Refused("elements")
    if partial.norm_type == math.inf:
        if partial.sum or not 0 <= partial.largest < math.inf or (partial.largest and not finite):
            raise Refused("largest")
        return
    if partial.largest:
        raise Refused("largest")
    if partial.norm_type == 1 and (total % 2**1074 or total > finite * largest << 1074):
        raise Refused("sum")
    if total > finite * largest**2:
        raise Refused("sum")


def total_norm(partial) -> float:
    """The value of a NormPartial, rounded once, to nearest, ties to even."""
    if partial.nan_elements:
        return math.nan
    if partial.infinite_elements:
        return math.inf
    total = int.from_bytes(partial.sum, "little")
    if partial.norm_type == math.inf:
        return partial.largest
    if partial.norm_type == 1:
        return rounded(total >> 1074, 0)
    # Two more bits of the root, and one that is set if there are any below: enough to tell which neighbour is nearer.
    root = math.isqrt(total << 4)
    return rounded(2 * root + (root * root != total << 4), 3)


def rounded(whole: int, bits: int) -> float:
    """whole * 2^(-1074 - bits), rounded to float64."""
    shift = max(whole.bit_length() - 53, bits)
    mantissa, rest = whole >> shift, whole & ((1 << shift) - 1)
    half = 1 << shift >> 1
    mantissa += shift > 0 and (rest > half or (rest == half and mantissa % 2 == 1))
    try:
        return math.ldexp(mantissa, shift - bits - 1074)
    except OverflowError:
        return math.inf


OF_GRADIENTS = ("sum_of_gradients", "sum_of_products")
SUMS = ("sum", "sum_of_squares", *OF_GRADIENTS)
COUNTS = ("elements", "nan_elements", "infinite_elements", "negative_infinite_elements", "nonfinite_gradients")


def merge_statistics(pb, partials: list[bytes]) -> bytes:
    """The merged StatisticsPartial."""
    read = [decoded(pb.StatisticsPartial, partial) for partial in partials]
    if any(len(part.sets) != math.prod(part.shape) for part in read):
        raise Refused("sets")
    if any(
        (part.kind, list(part.shape), len(part.sets)) != (read[0].kind, list(read[0].shape), len(read[0].sets))
        for part in read
    ):
        raise Refused("kinds or shapes differ")
    if len({one.HasField("sum_of_gradients") for part in read for one in part.sets}) > 1:
        raise Refused("gradients in some parts only")
    merged = pb.StatisticsPartial(kind=read[0].kind, shape=read[0].shape)
    for sets in zip(*(part.sets for part in read), strict=True):
        into = merged.sets.add()
        for field in COUNTS:
            setattr(into, field, sum(getattr(one, field) for one in sets))
        if into.elements > MOST_ELEMENTS:
            raise Refused("elements")
        for field in SUMS:
            total = sum(whole(getattr(one, field)) for one in sets)
            # A sum of 0 is unset, but those of gradients also tell that there were gradients.
            if total or (field in OF_GRADIENTS and sets[0].HasField("sum_of_gradients")):
                write(getattr(into, field), total)
    return merged.SerializeToString()


def whole(exact) -> int:
    return (-1 if exact.negative else 1) * int.from_bytes(exact.magnitude, "little") << 8 * exact.low_zero_bytes


def write(exact, number: int) -> None:
    """Sets an ExactSum, without zero bytes at either end."""
    exact.SetInParent()
    magnitude = little(abs(number))
    kept = magnitude.lstrip(b"\0")
    exact.negative, exact.low_zero_bytes, exact.magnitude = number < 0, len(magnitude) - len(kept), kept
