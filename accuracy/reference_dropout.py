"""Dropout in double-doubles, by the mask that NumPy's Philox stream gives.

A reference takes a handful of operations with relative errors below 2^-100 each; nothing is summed over elements. The
one sum that may cancel, that of alpha dropout, is exact: `x + ALPHA * p` has three terms, and a double-double holds
their sum.
"""

from __future__ import annotations

import math

import numpy as np

from double_double import DD, two_product

# SELU's lambda times alpha, as float64.
ALPHA = 1.7580993408473766


def keep(p: float, seed: int, offset: int, count: int) -> np.ndarray:
    """The mask of `count` draws from `offset` on. The bit generator counts blocks of eight 32-bit words."""
    block, skipped = divmod(offset, 8)
    raw = np.random.Philox(key=seed, counter=block).random_raw((skipped + count + 1) // 2)
    return raw.view("<u4")[skipped : skipped + count] >= np.uint64(math.ceil(p * 2**32))


def mask(kind: str, shape: tuple[int, ...], p: float, seed: int, offset: int) -> np.ndarray:
    if kind in ("channel", "feature_alpha"):
        draws = keep(p, seed, offset, shape[0] * shape[1])
        return np.broadcast_to(draws.reshape(shape[0], shape[1], *[1] * (len(shape) - 2)), shape)
    return keep(p, seed, offset, math.prod(shape)).reshape(shape)


def alpha_scale(p: float) -> DD:
    alpha, p = DD(ALPHA), DD(p)
    return 1.0 / ((alpha * alpha * p + 1.0) * (1.0 - p)).sqrt()


def output(kind: str, x: np.ndarray, kept: np.ndarray, p: float) -> DD:
    if kind in ("element", "channel"):
        return selected(kept, x / (DD(1.0) - p), DD(0.0))
    scale, shift = alpha_scale(p), DD(*two_product(ALPHA, np.float64(p)))
    return selected(kept, scale * (shift + x), -(scale * ALPHA * (DD(1.0) - p)))


def gradient(kind: str, dy: np.ndarray, kept: np.ndarray, p: float) -> DD:
    factor = alpha_scale(p) if kind in ("alpha", "feature_alpha") else 1.0 / (DD(1.0) - p)
    return selected(kept, factor * dy, DD(0.0))


def selected(kept: np.ndarray, value: DD, otherwise: DD) -> DD:
    return DD(np.where(kept, value.high, otherwise.high), np.where(kept, value.low, otherwise.low))
