"""Arithmetic with about 106 bits, in NumPy: a number is the unevaluated sum of two float64.

The algorithms are those of Dekker ("A floating-point technique for extending the available precision", 1971) and Knuth
(The Art of Computer Programming 2, 4.2.2), in the accurate variants. A single operation has a relative error of at most
2^-102 (Joldes, Muller and Popescu, "Tight and rigorous error bounds for basic building blocks of double-word
arithmetic", 2017, give 2^-104 to 2^-102.6), as long as nothing leaves the range of float64. The accuracy report stays
between 1e-130 and 1e160.
"""

from __future__ import annotations

import numpy as np

SPLITTER = 2.0**27 + 1


def two_sum(a, b):
    """The rounded sum and its rounding error, which is exact."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def quick_two_sum(a, b):
    """As two_sum, where |a| >= |b|."""
    total = a + b
    return total, b - (total - a)


def split(a):
    """Two numbers of 26 bits whose sum is `a`."""
    carried = SPLITTER * a
    high = carried - (carried - a)
    return high, a - high


def two_product(a, b):
    """The rounded product and its rounding error, which is exact."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = split(a), split(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


class DD:
    """An array of double-doubles: `high` is the value rounded to float64, `low` the rest."""

    __slots__ = ("high", "low")
    __array_priority__ = 1  # a float64 array on the left leaves the operation to this class

    def __init__(self, high, low=None):
        self.high = np.asarray(high, np.float64)
        self.low = np.zeros_like(self.high) if low is None else low

    @staticmethod
    def of(value) -> DD:
        return value if isinstance(value, DD) else DD(value)

    @staticmethod
    def difference(a, b) -> DD:
        """The exact difference of two float64 arrays."""
        return DD(*two_sum(np.asarray(a, np.float64), -np.asarray(b, np.float64)))

    def __getitem__(self, index) -> DD:
        return DD(self.high[index], self.low[index])

    def reshape(self, *shape) -> DD:
        return DD(self.high.reshape(*shape), self.low.reshape(*shape))

    def transpose(self, *axes) -> DD:
        return DD(self.high.transpose(*axes), self.low.transpose(*axes))

    def __neg__(self) -> DD:
        return DD(-self.high, -self.low)

    def __abs__(self) -> DD:
        sign = np.where(self.high < 0, -1.0, 1.0)
        return DD(self.high * sign, self.low * sign)

    def __add__(self, other) -> DD:
        other = DD.of(other)
        high, low = two_sum(self.high, other.high)
        low_high, low_low = two_sum(self.low, other.low)
        high, low = quick_two_sum(high, low + low_high)
        return DD(*quick_two_sum(high, low + low_low))

    __radd__ = __add__

    def __sub__(self, other) -> DD:
        return self + -DD.of(other)

    def __rsub__(self, other) -> DD:
        return -self + other

    def __mul__(self, other) -> DD:
        other = DD.of(other)
        high, low = two_product(self.high, other.high)
        return DD(*quick_two_sum(high, low + (self.high * other.low + self.low * other.high)))

    __rmul__ = __mul__

    def __truediv__(self, other) -> DD:
        other = DD.of(other)
        first = self.high / other.high
        rest = self - other * first
        second = rest.high / other.high
        rest = rest - other * second
        return DD(*quick_two_sum(first, second)) + rest.high / other.high

    def __rtruediv__(self, other) -> DD:
        return DD.of(other) / self

    def sqrt(self) -> DD:
        """One step of Newton from the root in float64 doubles its digits."""
        root = np.sqrt(self.high)
        rest = self - DD(*two_product(root, root))
        with np.errstate(divide="ignore", invalid="ignore"):
            correction = np.where(root > 0, rest.high / (2.0 * root), 0.0)
        return DD(*quick_two_sum(root, correction))


def fold(terms: DD) -> DD:
    """The sums over the last axis, along a balanced tree: an error of log2(n) * 2^-102 of the sum of the magnitudes."""
    length = terms.high.shape[-1]
    while length > 1:
        half = length // 2
        pairs = terms[..., :half] + terms[..., half : 2 * half]
        if length % 2:
            with_last = pairs[..., :1] + terms[..., 2 * half :]
            pairs.high[..., :1], pairs.low[..., :1] = with_last.high, with_last.low
        terms, length = pairs, half
    return terms[..., 0]
