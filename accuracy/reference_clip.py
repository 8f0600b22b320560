"""Gradient clipping in double-doubles.

A norm is a sum of magnitudes or of squares, each exact as a double-double and none negative: its relative error is at
most log2(n) * 2^-102, less than 10^-12 ulp of float64.
"""

from __future__ import annotations

import math

import numpy as np

from double_double import DD
from reference_normalize import summed


def norm(tensors: list[np.ndarray], order: float) -> DD:
    values = np.concatenate([tensor.ravel() for tensor in tensors]).reshape(1, -1)
    if order == math.inf:
        return DD(np.abs(values).max())

    def terms(block: slice) -> DD:
        part = DD(values[:, block])
        return abs(part) if order == 1 else part * part

    total = summed(1, values.shape[1], terms)[0, 0]
    return total if order == 1 else total.sqrt()


def factor(threshold: float, norm: DD) -> DD:
    scale = threshold / (norm + 1e-6)
    return DD(1.0) if scale.high >= 1 else scale


def scaled(tensor: np.ndarray, factor: DD) -> DD:
    return factor * tensor


def clamped(tensor: np.ndarray, threshold: float) -> DD:
    return DD(np.clip(tensor, -threshold, threshold))
