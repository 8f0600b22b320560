"""Exact sums: whole numbers in units of 2^-2148, the square of the smallest float64 above 0."""

from __future__ import annotations

import math
import struct

from .errors import InvalidArgument

MAX_ELEMENTS = 1 << 59
"""The most elements of a partial."""
MAX_SUM_BYTES = 532
"""The most bytes of a sum of so many products of two float64."""
ELEMENT_BITS = 2148 + 1024
"""No float64 reaches 2^1024: no element reaches two to this power, in units."""
PRODUCT_BITS = 2148 + 2048
"""The same for products."""

_UNIT = 1 << 2148
_FLOAT64_STEP = 1 << 1074
_MANTISSA_BITS = 53
_MAX_SHIFT = 2045


def to_bytes(value: int) -> bytes:
    """Return a number that is not negative, little-endian, without zero bytes at its end."""
    return value.to_bytes((value.bit_length() + 7) // 8, "little")


def from_bytes(path: str, data: bytes, low_zero_bytes: int = 0) -> int:
    """Return the number of these bytes, above so many zero bytes, or raise `InvalidArgument` if it is too long."""
    value = int.from_bytes(data, "little")
    length = low_zero_bytes + (value.bit_length() + 7) // 8 if value else 0
    if length > MAX_SUM_BYTES:
        raise InvalidArgument.of(path, f"expected at most {MAX_SUM_BYTES} bytes, got {length}")
    return value << 8 * low_zero_bytes if value else 0


def is_of_float64(value: int) -> bool:
    """Return whether a sum can be one of float64: a multiple of the smallest above 0."""
    return value % _FLOAT64_STEP == 0


def rounded(value: int) -> float:
    """Return the sum as a float64, rounded once to nearest even; beyond float64 infinity."""
    try:
        return value / _UNIT  # Python rounds the quotient of two integers correctly.
    except OverflowError:
        return math.inf


def rounded_root(value: int) -> float:
    """Return the square root of the sum as a float64, rounded once to nearest even; beyond float64 infinity."""
    root = math.isqrt(value)  # Rounded down, in units of 2^-1074.
    shift = max(root.bit_length() - _MANTISSA_BITS, 0)  # The bits of it that a float64 has no room for.
    if shift > _MAX_SHIFT:
        return math.inf
    mantissa = root >> shift
    # The sum, compared with the square of the middle between the two neighbours, tells which is nearer; both times 4.
    rest = 4 * value - ((2 * mantissa + 1) << shift) ** 2
    mantissa += rest > 0 or (rest == 0 and mantissa % 2 == 1)
    # The exponent of a float64 lies above its mantissa without the highest bit. The addition with that bit increments
    # the exponent, so that it is right for subnormal numbers, and for a carry into the next power of two or infinity.
    number: float = struct.unpack("<d", struct.pack("<Q", (shift << 52) + mantissa))[0]
    return number
