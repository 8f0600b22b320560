"""Normalization and its gradients in double-doubles.

Bounds on the errors of the references: elements are float64 at most, so x - x0 is exact as a double-double (x0: the
set's first element). The mean of these is within log2(n) * 2^-102 of the largest of them, whatever the offset, and so
is a deviation x - mean: a relative error of at most 2^-97 / d for an element d spreads from its mean. Draws of 10^7
elements have d above 10^-8, which leaves 2^-70: less than 10^-5 ulp of float64 and 10^-13 ulp of float32. Variance,
rstd and what follows add a few 2^-102; sums over 10^7 terms stay within 2^-97 of the sum of the magnitudes.

Elements that are put next to the mean on purpose (only for float32 and the half types, see `grid.py`) may have d down
to some 2^-60. There a relative error of 2^-37 is left, 10^-4 ulp of float32; and sums of such elements, which are
multiples of a common unit, mostly fit in 106 bits and are exact. A balanced set has at most 10^5 elements and a mean
of at least 10^-11 spreads, 2^-37: its error is below 2^-60, 0.01 ulp of float64.

`self_test.py` compares with exact rational numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from double_double import DD, fold
from shapes import Pooling

# The elements of a block, which stay in a core's cache over the many passes of an expression.
BLOCK = 1 << 15


@dataclass
class Statistics:
    """The statistics of each set, as columns. The mean is `origin`, a float64, plus `shift`."""

    origin: np.ndarray
    shift: DD
    var: DD
    rstd: DD
    # The sets that are divided by eps, whose gradients have no slope; None: no set.
    flat: np.ndarray | None = None

    @property
    def mean(self) -> DD:
        return self.shift + self.origin

    def deviations(self, rows: np.ndarray, block: slice) -> DD:
        return DD.difference(rows[:, block], self.origin) - self.shift

    def standardized(self, rows: np.ndarray, block: slice) -> DD:
        """xh."""
        return self.deviations(rows, block) * self.rstd


def blocks(rows: int, length: int):
    """Slices of the last axis, of about BLOCK elements."""
    width = max(1, BLOCK // rows)
    return (slice(start, min(length, start + width)) for start in range(0, length, width))


def summed(rows: int, length: int, terms: Callable[[slice], DD]) -> DD:
    """The sums of the terms of each row, as a column."""
    total, rest = None, None
    for block in blocks(rows, length):
        part = terms(block)
        if total is None:
            total = part
        elif part.high.shape == total.high.shape:
            total = total + part
        else:
            rest = part  # the last block is narrower
    result = fold(total) if rest is None else fold(total) + fold(rest)
    return result.reshape(-1, 1)


def each(rows: int, length: int, values: Callable[[slice], tuple[DD, np.ndarray | None]]):
    """The results of `values`, block by block, put together: numbers, and the magnitudes of their largest terms."""
    high, low = np.empty((rows, length)), np.empty((rows, length))
    largest = None
    for block in blocks(rows, length):
        value, term = values(block)
        high[:, block], low[:, block] = value.high, value.low
        if term is not None:
            largest = np.empty((rows, length)) if largest is None else largest
            largest[:, block] = term
    return DD(high, low), largest


def measured(pooling: Pooling, x: np.ndarray, eps: float) -> Statistics:
    """The statistics of the input itself; var is the biased one, without centring the mean square, of L2 the sum."""
    rows = pooling.rows(x)
    sets, n = rows.shape
    origin, shift = np.zeros((sets, 1)), DD(np.zeros((sets, 1)))
    if pooling.centred:
        origin = rows[:, :1]
        shift = summed(sets, n, lambda block: DD.difference(rows[:, block], origin)) / float(n)
    statistics = Statistics(origin, shift, shift, shift)

    def square(block: slice) -> DD:
        deviation = statistics.deviations(rows, block)
        return deviation * deviation

    statistics.var = summed(sets, n, square) / pooling.share(n)
    if pooling.kind != "l2":
        statistics.rstd = 1.0 / (statistics.var + eps).sqrt()
        return statistics
    norm = statistics.var.sqrt()
    flat = statistics.flat = ((norm - eps).high < 0)
    statistics.rstd = 1.0 / DD(np.where(flat, eps, norm.high), np.where(flat, 0.0, norm.low))
    return statistics


def given(pooling: Pooling, mean: np.ndarray, var: np.ndarray, eps: float) -> Statistics:
    """Running statistics; each set has those of its channel."""
    repeats = pooling.samples if pooling.kind == "instance" else 1
    mean, var = (np.tile(values, repeats).reshape(-1, 1) for values in (mean, var))
    return Statistics(mean, DD(np.zeros_like(mean)), DD(var), 1.0 / (DD(var) + eps).sqrt())


def spread(pooling: Pooling, parameter: np.ndarray | None) -> np.ndarray | None:
    """Weight or bias beside each element, as rows."""
    if parameter is None:
        return None
    return pooling.rows(np.broadcast_to(parameter.reshape(1, -1, 1), pooling.full))


def output(pooling, statistics, x, weight, bias):
    """y, and the larger of |xh * weight| and |bias| where there is a bias."""
    rows, weight, bias = pooling.rows(x), spread(pooling, weight), spread(pooling, bias)

    def values(block: slice):
        y = statistics.standardized(rows, block)
        if weight is not None:
            y = y * weight[:, block]
        if bias is None:
            return y, None
        return y + bias[:, block], np.maximum(np.abs(y.high), np.abs(bias[:, block]))

    return as_tensor(pooling, each(*rows.shape, values))


def running(pooling, statistics, mean, var, momentum):
    """The updated running mean and variance, with the larger of the mean's two terms."""
    n = float(pooling.rows(np.broadcast_to(0.0, pooling.full)).shape[1])

    def of_channels(column: DD) -> DD:
        by_channel = column.reshape(-1, pooling.channels).transpose()
        return fold(by_channel) / float(by_channel.high.shape[1])

    # In double-doubles 1 - momentum is exact.
    keep = DD(1.0) - momentum
    old, new = keep * mean, momentum * of_channels(statistics.mean)
    variance = keep * var + momentum * (of_channels(statistics.var) * n / (n - 1.0))
    return (old + new, np.maximum(np.abs(old.high), np.abs(new.high))), (variance, None)


def grad_input(pooling, statistics, x, dy, weight, constant: bool = False):
    """dx, and the largest of its terms; `constant`: the statistics are running ones."""
    rows, g, weight = pooling.rows(x), pooling.rows(dy), spread(pooling, weight)
    sets, n = rows.shape

    def weighed(block: slice) -> DD:
        return DD(g[:, block]) if weight is None else DD(g[:, block]) * weight[:, block]

    def values_of_constants(block: slice):
        return weighed(block) * statistics.rstd, None

    if constant:
        return as_tensor(pooling, each(sets, n, values_of_constants))
    mean_g = summed(sets, n, weighed) / float(n) if pooling.centred else DD(np.zeros((sets, 1)))
    mean_product = summed(sets, n, lambda block: weighed(block) * statistics.standardized(rows, block))
    mean_product = mean_product / pooling.share(n)
    if statistics.flat is not None:
        mean_product = DD(*(np.where(statistics.flat, 0.0, part) for part in (mean_product.high, mean_product.low)))
    first, second, third = statistics.rstd, statistics.rstd * mean_g, statistics.rstd * mean_product

    def values(block: slice):
        terms = weighed(block) * first, second, statistics.standardized(rows, block) * third
        largest = np.maximum(np.maximum(np.abs(terms[0].high), np.abs(terms[1].high)), np.abs(terms[2].high))
        return terms[0] - terms[1] - terms[2], largest

    return as_tensor(pooling, each(sets, n, values))


def grad_affine(pooling, statistics, x, dy):
    """The gradients of weight and of bias, each with the largest of its terms."""
    rows, g = pooling.rows(x), pooling.rows(dy)
    products, _ = as_tensor(pooling, each(*rows.shape, lambda b: (statistics.standardized(rows, b) * g[:, b], None)))
    products, dy = DD(pooling.places(products.high), pooling.places(products.low)), DD(pooling.places(dy))
    shape = products.high.shape
    return [
        (summed(*shape, lambda block: terms[:, block]).reshape(-1), np.abs(terms.high).max(1))
        for terms in (products, dy)
    ]


def as_tensor(pooling: Pooling, result: tuple[DD, np.ndarray | None]):
    value, largest = result
    value = DD(pooling.tensor(value.high), pooling.tensor(value.low))
    return value, None if largest is None else pooling.tensor(largest)
