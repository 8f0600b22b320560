"""The error of a number: its distance from the exact result, in units of the last place of the dtype.

The reference is not rounded to the dtype, so that the best possible result is up to 0.5 ulp away. The ulp is that of
the reference once it is rounded to the dtype: the distance to the next larger magnitude, and never less than the
smallest subnormal. Where the rounded reference overflows, an infinity of its sign is right (0) and all else is wrong
(infinite); an infinity or a NaN where the rounded reference is finite is wrong too. A NaN is right only where the
reference is NaN.

Where an output is a sum whose terms may cancel (x * weight + bias, the gradients), it is judged by the contract: in ulp
of the result or of the largest term, whichever is larger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from double_double import DD


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: significant bits, and the exponents of the smallest normal and largest number."""

    precision: int
    smallest: int
    largest: int

    def exponent(self, values: np.ndarray) -> np.ndarray:
        """The exponents of the values once they are rounded to the format's precision; for 0, one below all others."""
        mantissa, exponent = np.frexp(np.abs(values))
        rounded_up = np.rint(np.ldexp(mantissa, self.precision)) >= 2.0**self.precision
        return np.where(values == 0, -(1 << 20), exponent - 1 + rounded_up)

    def ulp(self, values: np.ndarray) -> np.ndarray:
        """The ulp of the values once they are rounded; beyond the largest number, that of the largest."""
        exponent = np.clip(self.exponent(values), self.smallest, self.largest)
        return np.ldexp(1.0, exponent - (self.precision - 1))

    def overflows(self, values: np.ndarray) -> np.ndarray:
        return np.isfinite(values) & (values != 0) & (self.exponent(values) > self.largest)


FORMATS = {
    "float32": Format(24, -126, 127),
    "float64": Format(53, -1022, 1023),
    "float16": Format(11, -14, 15),
    "bfloat16": Format(8, -126, 127),
}
# The promised limits, in ulp by the contract.
LIMITS = {"float32": 1.0, "float16": 1.0, "bfloat16": 1.0, "float64": 4.0}


@dataclass(frozen=True)
class Error:
    """The worst and the median error of a tensor by the contract, the worst in ulp of each result, and the place."""

    elements: int
    worst: float
    median: float
    strict: float
    place: int
    got: float
    expected: float


def measure(got: np.ndarray, reference: DD, format: Format, largest: np.ndarray | float | None = None) -> Error:
    """`largest`: the magnitude of the largest term, where the output is a sum whose terms may cancel."""
    got, high, low = (np.ravel(values) for values in (np.asarray(got, np.float64), reference.high, reference.low))
    if got.shape != high.shape:
        raise ValueError(f"{got.size} results for {high.size} references")
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs((got - high) - low)
        over = format.overflows(high)
        distance[over] = np.where(got[over] == np.copysign(np.inf, high[over]), 0.0, np.inf)
        distance[~np.isfinite(got) & ~over] = np.inf
        distance[np.isnan(got) & np.isnan(high)] = 0.0
        distance[np.isnan(high) & ~np.isnan(got)] = np.inf
        ulp = format.ulp(np.nan_to_num(high))
        strict = judged = quotient(distance, ulp)
        if largest is not None:
            of_largest = format.ulp(np.ravel(np.broadcast_to(largest, reference.high.shape)))
            judged = quotient(distance, np.maximum(ulp, of_largest))
    place = int(np.argmax(judged))
    worst, median = float(judged[place]), float(np.median(judged))
    return Error(got.size, worst, median, float(strict.max()), place, float(got[place]), float(high[place]))


def quotient(distance: np.ndarray, ulp: np.ndarray) -> np.ndarray:
    """Infinite only where the distance is: beside an exact 0, whose ulp is 2^-1074, a number may be 10^308 ulp off."""
    return np.where(np.isinf(distance), np.inf, np.minimum(distance / ulp, np.finfo(np.float64).max))
